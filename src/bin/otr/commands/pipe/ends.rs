//! The ends of streams on this machine: stdin and stdout, connections, commands.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::Args;
use super::LONG;
use super::address::{Address, Socket, SocketFile, accept, listen};
use super::children::{self, Child};
use crate::commands::source::widen_stdin;
use crate::failure::{Code, Failure};
use crate::ui::speak::{Voice, warn};
use crate::ui::stdio;
use crate::worker;
use otr::conversation::{Broken, Pipe, StreamId};
use otr::postbox::server::Listener;

/// How long a command that has closed its stdout may take to end: it decides whether what it wrote was
/// all.
const VERDICT: Duration = Duration::from_millis(300);

/// What failed at this end, the first of it.
#[derive(Clone, Default)]
pub(super) struct Outcomes(Arc<Mutex<Option<Failure>>>);

impl Outcomes {
    fn leave(&self, failure: Failure) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
    }

    /// The exit code, if streams of this kind `broke` or not.
    pub(super) fn code(&self, kind: Kind, broke: bool) -> Result<u8, Failure> {
        if let Some(failure) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(failure);
        }
        if broke && kind == Kind::Whole {
            let what = "it was broken off before the end";
            return Err(Failure::new(Code::CutShort, what, "what came until then is not all"));
        }
        Ok(0)
    }
}

/// What a stream that breaks off means.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The command has failed.
    Whole,
    /// One connection of many has.
    Connections,
}

/// What ends with the pipe.
pub(super) struct Guard(#[expect(dead_code, reason = "held for its drop")] Option<SocketFile>);

/// What is at this end.
pub(super) enum Served {
    Stdio,
    Listen(Listener, Option<SocketFile>),
    Connect(Address),
    Exec(String),
}

impl Served {
    pub(super) fn new(args: &Args) -> Result<Self, Failure> {
        if let Some(address) = &args.listen {
            let (listener, file) = listen(address).map_err(|error| {
                let what = format!("cannot listen at {address}: {error}");
                Failure::new(Code::Failed, what, "take another address")
            })?;
            return Ok(Self::Listen(listener, file));
        }
        Ok(match (&args.connect, &args.exec) {
            (Some(address), _) => Self::Connect(address.clone()),
            (None, Some(command)) => Self::Exec(command.clone()),
            (None, None) => Self::Stdio,
        })
    }

    /// What it means if a stream of it breaks.
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Stdio | Self::Exec(_) => Kind::Whole,
            Self::Listen(..) | Self::Connect(_) => Kind::Connections,
        }
    }

    /// Starts the threads of this end, which leave there what fails.
    pub(super) fn start(
        self,
        pipe: &Pipe,
        voice: Voice,
        outcomes: &Outcomes,
    ) -> Result<Guard, Failure> {
        let (pipe, outcomes) = (pipe.clone(), outcomes.clone());
        let mut guard = Guard(None);
        match self {
            Self::Stdio => {
                let local = stdin_and_stdout()?;
                if let Some(id) = pipe.open() {
                    pipe.open_no_more();
                    serve(&pipe, id, local, outcomes)?;
                }
            }
            Self::Listen(listener, file) => {
                guard = Guard(file);
                worker::start(move || accept_all(&pipe, &listener, &outcomes))?;
            }
            Self::Connect(address) => {
                pipe.open_no_more();
                serve_all(&pipe, voice, outcomes, move || connected(&address))?;
            }
            Self::Exec(command) => {
                pipe.open_no_more();
                serve_all(&pipe, voice, outcomes, move || executed(&command))?;
            }
        }
        Ok(guard)
    }
}

/// Says, at the end of the input, whether that was all.
type Verdict = Box<dyn FnOnce() -> Result<(), Failure> + Send>;

/// What a stream is joined to.
struct Local {
    input: Box<dyn Read + Send>,
    output: Box<dyn Write + Send>,
    /// Closes the output; the input goes on.
    close_output: Box<dyn FnOnce() + Send>,
    verdict: Verdict,
    /// Ends both, from any thread.
    stop: Arc<dyn Fn() + Send + Sync>,
    /// What it means that nobody reads the output any more.
    unread: Unread,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Unread {
    /// The stream is broken off.
    Broken,
    /// The rest is dropped: a command need not read all of its stdin.
    Dropped,
    /// The whole command ends, as by SIGPIPE.
    Ends,
}

/// Joins a stream to its local end, by two threads.
fn serve(pipe: &Pipe, id: StreamId, local: Local, outcomes: Outcomes) -> Result<(), Failure> {
    let Local { input, output, close_output, verdict, stop, unread } = local;
    let (theirs, their_outcomes, their_stop) = (pipe.clone(), outcomes.clone(), Arc::clone(&stop));
    worker::start(move || {
        match copy_in(&theirs, id, input, verdict, unread) {
            Ok(()) => return,
            Err(Some(failure)) => {
                their_outcomes.leave(failure);
                theirs.abort_behind(id);
            }
            Err(None) => theirs.abort(id),
        }
        their_stop();
    })?;
    let pipe = pipe.clone();
    worker::start(move || {
        copy_out(&pipe, id, output, unread, close_output, &outcomes);
        if !pipe.closed(id) {
            stop();
        }
    })
    .map(drop)
}

/// Local input into the stream. Fails if the stream breaks, or with what makes it break.
fn copy_in(
    pipe: &Pipe,
    id: StreamId,
    mut input: Box<dyn Read + Send>,
    verdict: Verdict,
    unread: Unread,
) -> Result<(), Option<Failure>> {
    let mut chunk = pipe.buffer();
    loop {
        pipe.wait_for_room(id).map_err(|Broken| None)?;
        match input.read(chunk.space()) {
            Ok(0) => {
                let verdict = verdict();
                // A command that was ended because the stream broke has not failed by itself.
                pipe.wait_for_room(id).map_err(|Broken| None)?;
                verdict.map_err(Some)?;
                return pipe.end(id).map_err(|Broken| None);
            }
            Ok(count) => {
                chunk.filled(count);
                pipe.write(id, chunk).map_err(|Broken| None)?;
                chunk = pipe.buffer();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A connection that is reset is only that.
            Err(_) if unread == Unread::Broken => return Err(None),
            Err(error) => return Err(Some(Failure::input(&error))),
        }
    }
}

/// The stream into the local output.
fn copy_out(
    pipe: &Pipe,
    id: StreamId,
    mut output: Box<dyn Write + Send>,
    unread: Unread,
    close: Box<dyn FnOnce() + Send>,
    outcomes: &Outcomes,
) {
    let mut dropping = false;
    loop {
        match pipe.read(id) {
            Ok(Some(bytes)) => {
                let written = if dropping { Ok(()) } else { output.write_all(&bytes) };
                match written {
                    Err(_) if unread == Unread::Dropped => dropping = true,
                    Err(error) => {
                        if unread == Unread::Ends {
                            outcomes.leave(Failure::output(&error));
                        }
                        pipe.abort(id);
                        if unread == Unread::Ends {
                            pipe.end_all();
                        }
                        return;
                    }
                    Ok(()) => {}
                }
                pipe.took(id, Some(bytes));
            }
            Ok(None) => {
                drop(output);
                close();
                pipe.took(id, None);
                return;
            }
            Err(Broken) => return,
        }
    }
}

fn stdin_and_stdout() -> Result<Local, Failure> {
    let (input, output) = (stdio::input()?, stdio::output()?);
    widen_stdin();
    stdio::widen(&output);
    Ok(Local {
        input: Box::new(input),
        output: Box::new(output),
        close_output: Box::new(stdio::close_output),
        verdict: Box::new(|| Ok(())),
        stop: Arc::new(|| {}),
        unread: Unread::Ends,
    })
}

fn socket(socket: Socket) -> io::Result<Local> {
    let (output, both) = (socket.another()?, socket.another()?);
    let half = socket.another()?;
    Ok(Local {
        input: Box::new(socket),
        output: Box::new(output),
        close_output: Box::new(move || half.shutdown(Shutdown::Write)),
        verdict: Box::new(|| Ok(())),
        stop: Arc::new(move || both.shutdown(Shutdown::Both)),
        unread: Unread::Broken,
    })
}

fn connected(address: &Address) -> Result<Local, String> {
    let connection = Socket::connect(address).and_then(socket);
    connection.map_err(|error| format!("cannot connect to {address}: {error}"))
}

fn executed(command: &str) -> Result<Local, String> {
    let started = children::start(command);
    let (child, output, input) =
        started.map_err(|error| format!("cannot run '{command}': {error}"))?;
    stdio::widen(&input);
    stdio::widen(&output);
    let (theirs, last, command) = (child.clone(), child.clone(), command.to_owned());
    Ok(Local {
        input: Box::new(input),
        output: Box::new(output),
        // A command that has closed its stdout before may still have to do something with what it has read.
        close_output: Box::new(move || {
            last.status(LONG);
        }),
        verdict: Box::new(move || judge(&child, &command)),
        stop: Arc::new(move || theirs.end()),
        unread: Unread::Dropped,
    })
}

/// Whether a command that has closed its stdout has written all that it had to. It may go on reading for
/// hours.
fn judge(child: &Child, command: &str) -> Result<(), Failure> {
    match child.status(VERDICT) {
        Some(status) if !status.success() => {
            let what = format!("'{command}' failed ({status})");
            Err(Failure::new(Code::Failed, what, "the other side was told that this is not all"))
        }
        _ => Ok(()),
    }
}

/// Each connection becomes a stream.
fn accept_all(pipe: &Pipe, listener: &Listener, outcomes: &Outcomes) {
    loop {
        let accepted = accept(listener).and_then(socket);
        let Some(id) = pipe.open() else { return };
        let served = match accepted {
            Ok(local) => serve(pipe, id, local, outcomes.clone()),
            Err(error) => {
                pipe.abort(id);
                warn(format_args!("cannot accept a connection: {error}"));
                std::thread::sleep(VERDICT);
                Ok(())
            }
        };
        if served.is_err() {
            pipe.abort(id);
        }
    }
}

/// Each stream that the other side opens gets an end of its own.
fn serve_all(
    pipe: &Pipe,
    voice: Voice,
    outcomes: Outcomes,
    make: impl Fn() -> Result<Local, String> + Send + Sync + 'static,
) -> Result<(), Failure> {
    let pipe = pipe.clone();
    let make = Arc::new(make);
    worker::start(move || {
        while let Some(id) = pipe.accept() {
            let (pipe, outcomes, make) = (pipe.clone(), outcomes.clone(), Arc::clone(&make));
            // A connection may take its time.
            let begin = move || match make() {
                Ok(local) => {
                    if serve(&pipe, id, local, outcomes).is_err() {
                        pipe.abort(id);
                    }
                }
                Err(what) => {
                    warn(what);
                    pipe.abort(id);
                }
            };
            voice.detail(format_args!("stream {} was opened", id.number));
            drop(worker::start(begin));
        }
    })
    .map(drop)
}
