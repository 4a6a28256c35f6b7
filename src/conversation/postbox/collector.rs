//! Asks the postbox for packets: several tokens in one call or, through Tor, one token per call,
//! each through its own circuit and all at the same time.

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::plan;
use super::start;
use crate::conversation::error::Error;
use crate::postbox::api::Token;
use crate::postbox::client::{self, Client, Found, Patience};
use crate::protocol::session::Session;

/// An answer of this many bytes belongs to a long message, so the next packets are requested while
/// these are opened.
const LONG: usize = 1 << 20;

type Answer = (Token, Result<Vec<Found>, client::Error>);

/// Asks the postbox.
pub(super) struct Collector {
    client: Client,
    /// Through Tor: the calls that are still waiting. They outlast the request for which they were
    /// made, because a second call for the same token would only tell the postbox more.
    asked: BTreeSet<Token>,
    tell: Sender<Answer>,
    answers: Receiver<Answer>,
    /// A call for the packets after the last answer.
    ahead: Option<JoinHandle<Result<Vec<Found>, client::Error>>>,
}

impl Collector {
    pub(super) fn new(client: Client) -> Self {
        let (tell, answers) = channel();
        Self { client, asked: BTreeSet::new(), tell, answers, ahead: None }
    }

    /// How long it keeps trying while the postbox cannot be reached.
    pub(super) fn lasting(&mut self, patience: Patience) {
        self.client = self.client.lasting(patience);
    }

    /// The packets under these tokens, as soon as there are any; none after `wait`.
    pub(super) fn collect(
        &mut self,
        tokens: &[Token],
        wait: Duration,
    ) -> Result<Vec<Found>, Error> {
        if let Some(ahead) = self.ahead.take()
            // An error of that call happens again below.
            && let Ok(Ok(found)) = ahead.join()
            && !found.is_empty()
        {
            return Ok(found);
        }
        if !self.client.isolates() {
            return Ok(self.client.collect(tokens, wait)?);
        }
        let deadline = Instant::now() + wait;
        let mut open: BTreeSet<Token> = tokens.iter().copied().collect();
        for token in tokens {
            self.ask(*token, wait)?;
        }
        while !open.is_empty() {
            let Ok((token, answer)) = self.answers.recv() else { break };
            self.asked.remove(&token);
            let found = answer?;
            if !found.is_empty() {
                return Ok(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if self.client.is_stopped() {
                break;
            }
            if open.contains(&token) && left >= Duration::from_secs(1) {
                // An older call, which ended before this wait does.
                self.ask(token, left)?;
            } else {
                open.remove(&token);
            }
        }
        Ok(Vec::new())
    }

    /// Requests the packets beyond `found` in advance, if there are many; the next request gets
    /// them.
    pub(super) fn ask_ahead(
        &mut self,
        session: &Session,
        found: &[Found],
        held_back: &BTreeSet<Token>,
        look_ahead: u32,
    ) -> Result<(), Error> {
        let bytes: usize = found.iter().map(|one| one.packet.len()).sum();
        if bytes < LONG || self.client.isolates() {
            return Ok(());
        }
        let here = found.iter().map(|one| one.token).collect();
        let client = self.client.clone();
        let tokens = plan::following(session, &here, held_back, look_ahead);
        let call = move || client.collect(&tokens, Duration::ZERO);
        self.ahead = Some(start(call)?);
        Ok(())
    }

    /// Whether such a call is running.
    pub(super) fn is_ahead(&self) -> bool {
        self.ahead.is_some()
    }

    fn ask(&mut self, token: Token, wait: Duration) -> Result<(), Error> {
        if !self.asked.insert(token) {
            return Ok(());
        }
        let (client, tell) = (self.client.clone(), self.tell.clone());
        let call = move || {
            // Nobody listens any more if the command is about to end.
            drop(tell.send((token, client.collect(&[token], wait))));
        };
        start(call).map(drop)
    }
}
