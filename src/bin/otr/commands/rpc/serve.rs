//! Reads a client's calls, and has them run.

use std::io::Read;
use std::sync::Arc;

use serde_json::Value;

use super::answer::{Answer, Batch, To};
use super::call::{Call, Method, Rpc, Run};
use super::client::{Client, Job};
use super::describe;
use super::envelope::{self, Read as Found, no_method};
use super::lines::{LONGEST, Line, Lines};
use super::methods::METHODS;
use super::table::Params;

/// Serves a client until it is gone, or has written its last line; then waits for its calls.
pub(super) fn serve(rpc: &Arc<Rpc>, client: &Arc<Client>, input: impl Read) {
    let mut lines = Lines::new(input);
    while !client.out.is_closed() {
        match lines.next() {
            Line::Whole(line) => take(rpc, client, &line),
            Line::TooLong => {
                client.out.write(&envelope::too_long(LONGEST));
            }
            Line::End => break,
        }
    }
    client.finish(None);
    client.out.end();
}

fn take(rpc: &Arc<Rpc>, client: &Arc<Client>, line: &[u8]) {
    match envelope::read(line) {
        Found::One(one) => begin(rpc, client, one, To::Client(Arc::clone(&client.out))),
        Found::Batch(all) => {
            let batch = Batch::new(&client.out, all.len());
            for one in all {
                begin(rpc, client, one, To::Batch(Arc::clone(&batch)));
            }
        }
    }
}

fn begin(rpc: &Arc<Rpc>, client: &Arc<Client>, one: Result<envelope::Call, Value>, to: To) {
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
        Ok(call) => run(method, call, answer),
        Err(failure) => answer.give(Err(failure)),
    }
}

fn run(method: &'static Method, call: Call, answer: Answer) {
    let (client, session) = (Arc::clone(&call.client), call.context.name.clone());
    let job: Job = match method.run {
        Run::AtOnce(work) => return work(&call, answer),
        Run::Describe => return answer.give(Ok(describe::document(METHODS))),
        Run::Beside(work) | Run::InTurn(work) => {
            let running = call.client.begin();
            Box::new(move || {
                answer.give(work(&call));
                drop(running);
            })
        }
        Run::Telling(work) => {
            let running = call.client.begin();
            Box::new(move || work(&call, answer, running))
        }
    };
    // If it cannot be started, its answer says so.
    drop(match method.run {
        Run::Beside(_) => Client::beside(job),
        _ => client.in_turn(&session, job),
    });
}
