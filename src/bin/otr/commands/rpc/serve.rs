//! Reads a client's calls, and has them run.

use std::io::Read;
use std::sync::Arc;

use serde_json::Value;

use super::answer::{Answer, Batch, To};
use super::call::{Call, Method, Rpc, Run, Waiting};
use super::client::Client;
use super::describe;
use super::envelope::{self, Read as Found, no_method};
use super::lines::{LONGEST, Line, Lines};
use super::methods::METHODS;
use super::table::Params;
use super::turns::{Turn, Turns};
use crate::worker;

/// Serves a client until it is gone, or has written its last line; then waits for its calls.
pub(super) fn serve(rpc: &Arc<Rpc>, client: &Arc<Client>, input: impl Read) {
    let (mut lines, turns) = (Lines::new(input), Turns::new());
    while !client.out.is_closed() {
        match lines.next() {
            Line::Whole(line) => take(rpc, client, &turns, &line),
            Line::TooLong => {
                client.out.write(&envelope::too_long(LONGEST));
            }
            Line::End => break,
        }
    }
    client.finish(None);
    client.out.end();
}

fn take(rpc: &Arc<Rpc>, client: &Arc<Client>, turns: &Arc<Turns<Next>>, line: &[u8]) {
    match envelope::read(line) {
        Found::One(one) => begin((rpc, client, turns), one, To::Client(Arc::clone(&client.out))),
        Found::Batch(all) => {
            let batch = Batch::new(&client.out, all.len());
            for one in all {
                begin((rpc, client, turns), one, To::Batch(Arc::clone(&batch)));
            }
        }
    }
}

fn begin(
    (rpc, client, turns): (&Arc<Rpc>, &Arc<Client>, &Arc<Turns<Next>>),
    one: Result<envelope::Call, Value>,
    to: To,
) {
    let envelope::Call { id, method, params } = match one {
        Ok(call) => call,
        Err(answer) => return to.take(Some(answer)),
    };
    let Some(method) = METHODS.iter().find(|known| known.name == method) else {
        return to.take(id.as_ref().map(no_method));
    };
    let answer = Answer::new(id, to);
    let params = Params::new(params, method.takes);
    match params.and_then(|params| Call::new(rpc, client, params)) {
        Ok(call) => run(turns, method, call, answer),
        Err(failure) => answer.give(Err(failure)),
    }
}

fn run(turns: &Arc<Turns<Next>>, method: &'static Method, call: Call, answer: Answer) {
    match method.run {
        Run::AtOnce(work) => work(&call, answer),
        Run::Describe => answer.give(Ok(describe::document(METHODS))),
        // If it cannot be started, its answer says so.
        Run::Beside(work) => {
            let running = call.client.begin();
            drop(worker::start(move || {
                answer.give(work(&call));
                drop(running);
            }));
        }
        Run::InTurn(_) | Run::Telling(_) | Run::Together(_) => {
            let (running, session) = (call.client.begin(), call.context.name.clone());
            let waiting = Waiting { call, answer, running };
            drop(turns.run(&session, Next { method, waiting }));
        }
    }
}

/// A call about a session.
struct Next {
    method: &'static Method,
    waiting: Waiting,
}

impl Turn for Next {
    fn joins(&self, next: &Self) -> bool {
        match self.method.run {
            Run::Together(together) if self.method.name == next.method.name => {
                (together.joins)(&self.waiting.call, &next.waiting.call)
            }
            _ => false,
        }
    }

    fn run(all: Vec<Self>) {
        let Some(Run::Together(together)) = all.first().map(|next| next.method.run) else {
            return all.into_iter().for_each(Self::alone);
        };
        (together.run)(all.into_iter().map(|next| next.waiting).collect());
    }
}

impl Next {
    fn alone(self) {
        let Waiting { call, answer, running } = self.waiting;
        match self.method.run {
            Run::InTurn(work) => answer.give(work(&call)),
            Run::Telling(work) => work(&call, answer),
            Run::AtOnce(_) | Run::Beside(_) | Run::Together(_) | Run::Describe => {}
        }
        drop(running);
    }
}
