//! A call on its way, and what all calls share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use otr::postbox::client::{self, Patience};
use otr::store::Name;
use serde_json::Value;

use super::answer::Answer;
use super::client::{Client, Running};
use super::table::{Field, Params};
use crate::commands::whom;
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::route::RouteArgs;

/// What all calls share.
pub(super) struct Rpc {
    /// With the session of calls that name none.
    context: Context,
    pub(super) route: RouteArgs,
    /// By what an invite says of its postboxes: calls of one share its connections.
    postboxes: Mutex<BTreeMap<String, client::Client>>,
}

impl Rpc {
    pub(super) fn new(context: Context, route: RouteArgs) -> Self {
        Self { context, route, postboxes: Mutex::default() }
    }

    /// The postbox with this URL.
    pub(super) fn postbox(&self, url: &str) -> Result<client::Client, Failure> {
        let mut known = self.postboxes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = known.get(url) {
            return Ok(client.clone());
        }
        let client = whom::connect(url, &self.route)?;
        known.insert(url.to_owned(), client.clone());
        Ok(client)
    }
}

/// What a method's work comes to.
pub(super) type Done = Result<Value, Failure>;

/// A call whose parameters fit the table.
pub(super) struct Call {
    pub(super) rpc: Arc<Rpc>,
    pub(super) client: Arc<Client>,
    pub(super) context: Context,
    pub(super) params: Params,
}

impl Call {
    /// The session's name is among the parameters, or the usual one.
    pub(super) fn new(
        rpc: &Arc<Rpc>,
        client: &Arc<Client>,
        params: Params,
    ) -> Result<Self, Failure> {
        let named = params.text("session").map(str::parse::<Name>).transpose()?;
        let context = rpc.context.of(named.unwrap_or_else(|| rpc.context.name.clone()));
        Ok(Self { rpc: Arc::clone(rpc), client: Arc::clone(client), context, params })
    }

    /// A number of seconds.
    pub(super) fn seconds(&self, name: &str) -> Option<Duration> {
        self.params.number(name).map(Duration::from_secs)
    }

    /// The postbox with this URL, called for as long as `retry` says while it is away.
    pub(super) fn postbox(&self, url: &str) -> Result<client::Client, Failure> {
        let retry = self.seconds("retry").unwrap_or(RETRY);
        Ok(self.rpc.postbox(url)?.lasting(Patience::For(retry)))
    }
}

/// How long to go on calling a postbox that is away.
const RETRY: Duration = Duration::from_mins(1);

/// How a method is run.
#[derive(Clone, Copy)]
pub(super) enum Run {
    /// At once, before the next line is read: it never waits.
    AtOnce(fn(&Call, Answer)),
    /// In a thread of its own.
    Beside(fn(&Call) -> Done),
    /// After the client's earlier calls about the session.
    InTurn(fn(&Call) -> Done),
    /// The same; it gives the answer, perhaps later, in another thread.
    Telling(fn(&Call, Answer)),
    /// The same; what follows it directly and fits is done in one step with it.
    Together(Together),
    /// The description of the interface.
    Describe,
}

/// Calls that can be done in one step.
#[derive(Clone, Copy)]
pub(super) struct Together {
    /// Whether these two can.
    pub(super) joins: fn(&Call, &Call) -> bool,
    pub(super) run: fn(Vec<Waiting>),
}

/// A call that waits for its turn.
pub(super) struct Waiting {
    pub(super) call: Call,
    pub(super) answer: Answer,
    pub(super) running: Running,
}

/// A method.
pub(super) struct Method {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) takes: &'static [Field],
    pub(super) gives: &'static [Field],
    pub(super) run: Run,
}

/// A wrong value of a parameter that the table cannot tell.
pub(super) fn wrong(what: impl Into<String>, hint: &'static str) -> Failure {
    Failure::new(Code::Usage, what.into(), hint)
}
