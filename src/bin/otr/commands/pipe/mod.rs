//! `otr pipe`: streams of bytes both ways over a session, until both ends have closed.
//!
//! ```text
//! an end here (stdin and stdout, a connection, a command) ⇄ pipe ⇄ postbox, or the link of --via
//! ```
//!
//! Threads: two for each stream (`ends`), one that sends, one that receives; all of them only wait for
//! each other inside of the library's `Pipe`.

mod address;
mod children;
mod ends;
mod greeting;
mod link;

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use otr::conversation::{Carrier, Conversation, Files, Manner, Pipe, System, block_on};
use otr::postbox::client::{Client, Patience};
use otr::protocol::authentication::verify::Event as Check;
use otr::protocol::session::stored::Stage;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use super::recv::take_reply;
use super::secret::Secret;
use super::stored;
use crate::commands::whom;
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::process;
use crate::route::RouteArgs;
use crate::ui::speak::warn;
use crate::ui::{notices, units};
use crate::worker;
use address::Address;
use ends::{Outcomes, Served};
use link::Link;

/// `otr pipe`
#[derive(clap::Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// Accept connections at ADDR: each one becomes a stream of its own
    #[arg(long, value_name = "ADDR", conflicts_with_all = ["connect", "exec"])]
    listen: Option<Address>,

    /// Connect to ADDR for each stream that the other side opens
    #[arg(long, value_name = "ADDR", conflicts_with = "exec")]
    connect: Option<Address>,

    /// Run CMD (by sh -c) for each stream that the other side opens, with its stdin and stdout
    #[arg(long, value_name = "CMD", value_hint = clap::ValueHint::CommandString)]
    exec: Option<String>,

    /// When the other side's pipe has ended, go on with its next one
    #[arg(short, long)]
    keep_open: bool,

    /// Without any postbox: run CMD (by sh -c), which carries the packets from its stdin to an
    /// 'otr pipe --stdio' and back; without a session, begin one
    #[arg(long, value_name = "CMD", value_hint = clap::ValueHint::CommandString)]
    via: Option<String>,

    /// Be the other end of --via: stdin and stdout carry packets
    #[arg(long, conflicts_with_all = ["via", "keep_open"])]
    stdio: bool,

    /// Give up if the other side is not there within this time, or is silent for so long although
    /// something is on its way to it
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    wait: Option<Duration>,

    #[command(flatten)]
    secret: Secret,

    #[command(flatten)]
    route: RouteArgs,
}

const HELP: &str = "\
  alice$ otr pipe < request > answer              bob$ otr pipe --exec ./server
  alice$ otr pipe --listen 8080                   bob$ otr pipe --connect intranet.example:80
  alice$ ssh -o ProxyCommand='otr pipe' bob       bob$ otr pipe --connect localhost:22 --keep-open
  alice$ otr pipe --via 'ssh bob otr pipe --stdio --exec ./server'

ADDR is [HOST:]PORT, on this machine unless HOST says otherwise, or unix:PATH.
What one end writes and closes comes out at the other, and then closes there; the other direction goes
on. A connection of the network may be cut and a postbox may begin anew: what was lost is sent again.
What a stream holds is in memory only: when one of the two processes ends, its streams are broken.
With --via and no session yet, the side of --via makes the invite and the other one answers it; whoever
can read and change what CMD carries could be in between, so compare 'otr words', or use --secret-file.
Exit status: 0 if everything arrived, both ways; 6 if stdin and stdout, or a command's, were broken off;
1 if a command failed; 8 after --wait. Connections that break are only that.";

/// How long the other side's last word may take.
const LAST_WORD: Duration = Duration::from_secs(2);
/// How often to look whether the other side is silent.
const GLANCE: Duration = Duration::from_millis(300);
/// For a wait without a limit.
const LONG: Duration = Duration::from_hours(24 * 365);

pub(crate) fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    check(context, args)?;
    let served = Served::new(args)?;
    if args.stdio || args.via.is_some() {
        return by_link(context, args, served);
    }
    let mut files = context.open()?;
    let known = stored::take(&mut files)?.into_snapshot();
    let Some(client) = whom::client(&known.stage, &args.route)? else {
        let hint = "begin one with 'otr init --postbox URL', or use --via CMD";
        return Err(Failure::new(Code::Usage, "the session has no postbox", hint));
    };
    let client = client.telling(notices::of_postbox(context.voice));
    if matches!(known.stage, Stage::Inviting(_)) {
        files = take_reply(context, files, &client, args.wait.unwrap_or(LONG))?;
    }
    let client = client.lasting(Patience::Endless);
    let (running, other) = Running::new(context, args, &files)?;
    running.collect(other, client.clone())?;
    running.run(context, args, served, files, client)
}

/// Refuses what cannot work, before anything is touched.
fn check(context: &Context, args: &Args) -> Result<(), Failure> {
    if context.state_fd.is_some() {
        let what = "a pipe sends and receives at the same time, and --state-fd is for one of them";
        return Err(Failure::new(Code::Usage, what, "keep the session in a file"));
    }
    let accepts = args.connect.is_some() || args.exec.is_some();
    if args.stdio && args.listen.is_none() && !accepts {
        let what = "with --stdio, stdin and stdout carry packets";
        let hint = "say where the streams go: --exec CMD, --connect ADDR or --listen ADDR";
        return Err(Failure::new(Code::Usage, what, hint));
    }
    if args.keep_open && (!accepts || args.via.is_some()) {
        let what = "--keep-open is for --connect and --exec, through a postbox";
        return Err(Failure::new(Code::Usage, what, "leave it out"));
    }
    Ok(())
}

/// The pipe over a command's stdin and stdout, or over our own.
fn by_link(context: &Context, args: &Args, served: Served) -> Result<u8, Failure> {
    let secret = args.secret.get(args.via.is_some())?;
    let mut link = match &args.via {
        Some(command) => Link::run(command)?,
        None => Link::stdio()?,
    };
    let greeted = greeting::greet(context, &mut link, args.via.is_some(), secret);
    let Link { mut input, output, child } = link;
    let ended = greeted.and_then(|files| {
        let (running, mut other) = Running::new(context, args, &files)?;
        let pipe = running.pipe.clone();
        running.half(Event::Received, move || input.feed(&mut other, &pipe))?;
        running.run(context, args, served, files, output)
    });
    match child {
        Some(child) => child.end(ended),
        None => ended,
    }
}

/// What the main thread waits for.
enum Event {
    /// The half that sends has ended.
    Carried(Result<(), Failure>),
    /// The half that receives has ended.
    Received(Result<(), Failure>),
    /// The other side was not there in time, or silent.
    Silent,
    /// A signal came.
    Signal(i32),
}

/// A pipe while it runs.
struct Running {
    pipe: Pipe,
    tell: Sender<Event>,
    events: Receiver<Event>,
}

/// Tells that a half has ended, also if it panics.
struct Telling {
    tell: Sender<Event>,
    as_event: fn(Result<(), Failure>) -> Event,
    ended: Result<(), Failure>,
}

impl Drop for Telling {
    fn drop(&mut self) {
        let ended = std::mem::replace(&mut self.ended, Ok(()));
        // Nobody may wait for it any more.
        drop(self.tell.send((self.as_event)(ended)));
    }
}

impl Running {
    /// The pipe, and the conversation for its receiving half.
    fn new(
        context: &Context,
        args: &Args,
        files: &Files,
    ) -> Result<(Self, Conversation<Files>), Failure> {
        let accepts = args.connect.is_some() || args.exec.is_some();
        let manner = Manner { accepts, keep_open: args.keep_open };
        let voice = context.voice;
        let check = move |_: &Check| {
            voice.say("the other side checks a secret: answer with 'otr verify' after the pipe");
        };
        let pipe = Pipe::new(manner, &mut System, check).map_err(|_| Failure::no_randomness())?;
        let another = files.another(context.lock_wait).ok_or_else(|| {
            let what = "this session cannot be opened twice";
            Failure::new(Code::Usage, what, "keep it in a file")
        })?;
        let (tell, events) = channel();
        Ok((Self { pipe, tell, events }, Conversation::open(another)))
    }

    /// Runs a half on a thread of its own.
    fn half(
        &self,
        as_event: fn(Result<(), Failure>) -> Event,
        work: impl FnOnce() -> Result<(), Failure> + Send + 'static,
    ) -> Result<(), Failure> {
        let panicked = Failure::new(Code::Failed, "a part of the pipe has panicked", "");
        let telling = Telling { tell: self.tell.clone(), as_event, ended: Err(panicked) };
        worker::start(move || {
            let mut telling = telling;
            telling.ended = work();
            drop(telling);
        })
        .map(drop)
    }

    /// Receives from the postbox.
    fn collect(&self, mut other: Conversation<Files>, client: Client) -> Result<(), Failure> {
        let pipe = self.pipe.clone();
        self.half(Event::Received, move || {
            let lost = block_on(other.collect_streams(&pipe, &client))?;
            if lost > 0 {
                warn(format_args!("{lost} earlier packets can no longer be accepted"));
            }
            Ok(())
        })
    }

    /// Runs the pipe to its end, and says how that was.
    fn run<C: Carrier + Send + 'static>(
        self,
        context: &Context,
        args: &Args,
        served: Served,
        files: Files,
        mut carrier: C,
    ) -> Result<u8, Failure> {
        process::lock_pages();
        self.watch_for_signals()?;
        if let Some(wait) = args.wait {
            self.watch_for_silence(wait)?;
        }
        let outcomes = Outcomes::default();
        let kind = served.kind();
        let guard = served.start(&self.pipe, context.voice, &outcomes)?;
        let pipe = self.pipe.clone();
        self.half(Event::Carried, move || {
            let mut conversation = Conversation::open(files);
            Ok(block_on(conversation.carry(&pipe, &mut carrier))?)
        })?;
        let ended = self.wait(args);
        drop(guard);
        children::end_all();
        if let Ended::Signal(signal) = ended {
            // Returns only if the system does not allow it.
            let _ = emulate_default_handler(signal);
        }
        match ended {
            Ended::Signal(signal) => Ok(u8::try_from(128 + signal).unwrap_or(u8::MAX)),
            Ended::Failed(failure) => Err(failure),
            Ended::WithPipe => outcomes.code(kind, self.pipe.broke()),
        }
    }

    /// Waits for the end of both halves, of which the second may take a moment longer.
    fn wait(&self, args: &Args) -> Ended {
        let (mut carried, mut received) = (None, None);
        let mut why = None;
        let mut until: Option<Instant> = None;
        while carried.is_none() || received.is_none() {
            let left = until.map_or(LONG, |until| until.saturating_duration_since(Instant::now()));
            let event = match self.events.recv_timeout(left) {
                Ok(event) => event,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            };
            match event {
                Event::Carried(ended) => carried = Some(ended),
                Event::Received(ended) => received = Some(ended),
                Event::Silent => {
                    let wait = units::age(args.wait.unwrap_or_default().as_secs());
                    let what = format!("the other side was not there, or silent, for {wait}");
                    let hint = "it needs an 'otr pipe', too";
                    let failure = Failure::new(Code::NothingYet, what, hint);
                    why.get_or_insert(Ended::Failed(failure));
                }
                // A second signal is impatient.
                Event::Signal(signal) if matches!(why, Some(Ended::Signal(_))) => {
                    return Ended::Signal(signal);
                }
                Event::Signal(signal) => why = Some(Ended::Signal(signal)),
            }
            if why.is_some() {
                self.pipe.end_all();
            }
            if carried.is_some() || received.is_some() || why.is_some() {
                until.get_or_insert(Instant::now() + LAST_WORD);
            }
        }
        self.pipe.fail();
        let failed = received.into_iter().chain(carried).find_map(Result::err);
        why.unwrap_or_else(|| failed.map_or(Ended::WithPipe, Ended::Failed))
    }

    /// Tells when the other side is not there in time, or falls silent.
    fn watch_for_silence(&self, wait: Duration) -> Result<(), Failure> {
        let (pipe, tell) = (self.pipe.clone(), self.tell.clone());
        worker::start(move || {
            let since = Instant::now();
            let mut alone = true;
            while !pipe.is_over() {
                std::thread::sleep(GLANCE.min(wait));
                alone &= !pipe.is_met();
                if (alone && since.elapsed() >= wait) || pipe.silence() >= wait {
                    drop(tell.send(Event::Silent));
                    return;
                }
            }
        })
        .map(drop)
    }

    /// Tells when a signal comes: the other side is told, if that is possible at once, and the signal then
    /// has its usual effect.
    fn watch_for_signals(&self) -> Result<(), Failure> {
        let heard = process::not_ignored(&[SIGINT, SIGTERM, SIGHUP]);
        let mut signals = Signals::new(heard).map_err(|error| {
            Failure::new(Code::Failed, format!("cannot watch for signals: {error}"), "")
        })?;
        let tell = self.tell.clone();
        worker::start(move || {
            for signal in signals.forever() {
                drop(tell.send(Event::Signal(signal)));
            }
        })
        .map(drop)
    }
}

/// How it ended.
enum Ended {
    /// All was said.
    WithPipe,
    Failed(Failure),
    Signal(i32),
}
