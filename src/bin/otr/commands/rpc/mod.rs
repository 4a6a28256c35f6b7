//! `otr rpc`: serves another program, which uses sessions without knowing the protocol.
//!
//! ```text
//! lines → envelope → table, methods → Conversation
//! postbox → Collecting → delivery ⇄ ledger ← ack
//! ```
//!
//! JSON-RPC 2.0, a line for each call, answer and notification, on stdin and stdout or at a Unix socket.

mod answer;
mod call;
mod client;
mod delivery;
mod describe;
mod envelope;
mod ledger;
mod lines;
mod methods;
mod out;
mod outlet;
mod serve;
mod socket;
mod subscribe;
mod table;
mod turns;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use call::Rpc;
use client::Client;
use serve::serve;
use socket::Socket;

use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::process;
use crate::route::RouteArgs;
use crate::ui::stdio;
use crate::worker;

/// `otr rpc`
#[derive(clap::Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// Listen at a Unix socket instead, which only you can use; several programs at once
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::FilePath)]
    socket: Option<PathBuf>,

    #[command(flatten)]
    route: RouteArgs,
}

const HELP: &str = "\
  > {\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"send\",\"params\":{\"session\":\"bob\",\"text\":\"hello\"}}
  < {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"keys\":[],\"packets\":[],\"posted\":true}}
  > {\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"subscribe\",\"params\":{\"session\":\"bob\"}}
  < {\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{\"subscription\":1}}
  < {\"jsonrpc\":\"2.0\",\"method\":\"message\",\"params\":{\"subscription\":1,\"message\":0,\"text\":\"hi\",…}}
  > {\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"ack\",\"params\":{\"subscription\":1,\"message\":0}}

A message that was not acknowledged stays in the postbox, and comes again. The method rpc.discover
describes all methods, as docs/rpc.md does. It ends with the program's last line, once its calls are
done; at a socket, by a signal. Other otr commands may run beside it.";

/// How long a signal waits for the calls that run.
const SIGNAL_WAIT: Duration = Duration::from_secs(2);

/// The clients that are there.
#[derive(Default)]
struct Clients(Mutex<Vec<Weak<Client>>>);

impl Clients {
    fn add(&self, client: &Arc<Client>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|client| client.strong_count() > 0);
        all.push(Arc::downgrade(client));
    }

    fn finish(&self) {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: Vec<_> = all.iter().filter_map(Weak::upgrade).collect();
        for client in &all {
            client.stop_all();
        }
        let deadline = Instant::now() + SIGNAL_WAIT;
        for client in all {
            client.finish(Some(deadline.saturating_duration_since(Instant::now())));
        }
    }
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    if context.state_fd.is_some() {
        let hint = "a state in descriptors is for one command at a time";
        return Err(Failure::new(Code::Usage, "rpc takes no --state-fd", hint));
    }
    let rpc = Arc::new(Rpc::new(context.of(context.name.clone()), args.route.clone()));
    let clients = Arc::new(Clients::default());
    process::lock_pages();
    let Some(path) = &args.socket else {
        let (input, out) = (stdio::input()?, stdio::output()?);
        end_by_signal(&clients, None)?;
        let client = Client::new(Box::new(out));
        clients.add(&client);
        serve(&rpc, &client, input);
        return Ok(());
    };
    let socket = Arc::new(Socket::open(path)?);
    end_by_signal(&clients, Some(Arc::clone(&socket)))?;
    let shown = path.display();
    context.voice.say(format_args!("rpc listens at {shown}"));
    loop {
        let (input, out) = socket.accept()?;
        let (rpc, clients) = (Arc::clone(&rpc), Arc::clone(&clients));
        worker::start(move || {
            let client = Client::new(Box::new(out));
            clients.add(&client);
            serve(&rpc, &client, input);
        })?;
    }
}

/// A signal ends all deliveries, and then the process: what was acknowledged is stored, and what was not
/// comes again.
fn end_by_signal(clients: &Arc<Clients>, socket: Option<Arc<Socket>>) -> Result<(), Failure> {
    let heard = process::not_ignored(&[SIGINT, SIGTERM, SIGHUP]);
    let mut signals = Signals::new(heard).map_err(|error| {
        Failure::new(Code::Failed, format!("cannot watch for signals: {error}"), "")
    })?;
    let clients = Arc::clone(clients);
    worker::start(move || {
        for signal in signals.forever() {
            if let Some(socket) = &socket {
                socket.remove();
            }
            clients.finish();
            let _ = emulate_default_handler(signal);
        }
    })?;
    Ok(())
}
