//! `otr chat`: a conversation at a terminal.
//!
//! ```text
//! keys ─┐                                   ┌→ sending   → stored → posted
//!       ├→ events → screen (this thread) ───┤
//! postbox → receiving ─ shown, then stored ←┘
//! ```
//!
//! The screen waits for nobody: what is entered goes to the thread that sends, and what comes is stored as
//! read once it has been drawn.

mod begin;
mod events;
mod history;
mod line;
mod outgoing;
mod pace;
mod paint;
mod receiving;
mod saving;
mod screen;
mod secret;
mod sending;
mod status;
mod typed;

use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};
use std::{env, thread};

use otr::conversation::{Collecting, Conversation, Cover, Files, Until, block_on};
use otr::postbox::client::{self, Client, Patience, Stop};
use otr::protocol::ratchet::address_index::LOOK_AHEAD;
use otr::store::RoleLock;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use zeroize::Zeroizing;

use super::{close, cover};
use crate::context::Context;
use crate::ending;
use crate::failure::{Code, Failure};
use crate::process;
use crate::route::RouteArgs;
use crate::ui::keys::Keys;
use crate::ui::speak::{self, warn};
use crate::ui::terminal::{self, Screen};
use crate::ui::units;
use crate::worker;
use begin::Begun;
use events::{Direction, Event, Facts};
use pace::{Pace, Stock};
use paint::Paint;
use receiving::Incoming;
use saving::Unfinished;
use screen::{Chat, End};
use sending::{Ended, Job, Left, Sending};

/// `otr chat`
#[derive(clap::Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// The other person's code; '-' asks for it, or reads it from stdin
    ///
    /// Without it the chat goes on with the session, or begins one and shows a code for the other
    /// person.
    #[arg(value_name = "CODE")]
    code: Option<String>,

    /// Begin through the postbox at this https:// address, or unix: and the path of a socket
    #[arg(
        long,
        value_name = "URL",
        env = "OTR_POSTBOX",
        hide_env_values = true,
        value_delimiter = ' ',
        value_hint = clap::ValueHint::Url
    )]
    postbox: Vec<String>,

    /// Leave the conversation in the terminal's scrollback, instead of a screen of its own
    #[arg(long)]
    inline: bool,

    /// Post each message at a random moment within this time, so that it does not follow what was just
    /// read; until then it waits in the session. At the end of the chat it is waited for; Ctrl-C leaves it
    /// to the next command
    #[arg(long, value_name = "TIME", value_parser = units::duration, conflicts_with = "cover")]
    hold: Option<Duration>,

    /// Through Tor or a proxy: post packets that say nothing, at random moments so far apart in the mean, or
    /// constant=TIME, each after that time. What you enter takes the place of the next one, and has to fit
    /// into one packet
    #[arg(long, value_name = "MEAN", value_parser = cover::parse)]
    cover: Option<Cover>,

    #[command(flatten)]
    route: RouteArgs,
}

const HELP: &str = "\
  alice$ otr chat --postbox https://box.example       shows a code, and waits
  bob$   otr chat 417-guitar-vanish@box.example       answers it
  alice$ otr chat -s bob                              goes on with the session 'bob'

The last row but one says who you talk to, and how that was checked. Enter sends, Alt-Enter begins a new
line; a paste is one message. /words shows four words to compare by voice, /verify compares a secret,
/send FILE sends a file, /save NAME puts what came into a new file, /close ends the session on both sides,
/help shows the rest. Ctrl-C asks whether to leave the session open or to close it.
What is said is in memory only, and gone from the screen at the end; nothing is written unless you say
/save. No receipts go out, and nobody sees you type.
While the postbox is away, up to 256 KiB wait in the session, and go out with the next command.";

/// How long another process may have the session before the chat gives up.
const BUSY: Duration = Duration::from_secs(2);
/// How long an ESC waits for the rest of a key's sequence.
const ESCAPE: Duration = Duration::from_millis(50);
/// How long the last messages may take to be posted, and then to be stored.
const POSTING: Duration = Duration::from_secs(3);
const STORING: Duration = Duration::from_secs(3);
/// How long nothing is said of what waits for its moment.
const GLANCE: Duration = Duration::from_millis(300);
/// How long what is on the screen may take to be noted as read.
const NOTING: Duration = Duration::from_secs(2);
/// The same at a signal, all together.
const AT_A_SIGNAL: Duration = Duration::from_secs(4);

pub(crate) fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    let terminal = terminal(args)?;
    if context.state_fd.is_some() {
        let what = "a chat sends and receives at the same time, and --state-fd is for one of them";
        return Err(Failure::new(Code::Usage, what, "keep the session in a file"));
    }
    let Begun { files, client, code } = begin::begin(context, args)?;
    let pace = Pace::of(args.hold, args.cover);
    let threads = Threads::start(context, files, client, pace)?;
    process::lock_pages();
    let _stored = at_a_signal(&threads)?;
    let end = converse(context, args, &threads, terminal, code)?;
    threads.end(context, end)
}

/// The terminal, if there is one that can show a chat.
fn terminal(args: &Args) -> Result<File, Failure> {
    let hint = "use 'otr send' and 'otr recv --follow'";
    let unfit = |what: &'static str| Failure::new(Code::Usage, what, hint);
    let reads_code = args.code.as_deref() == Some("-");
    if !io::stdout().is_terminal() || !(reads_code || io::stdin().is_terminal()) {
        return Err(unfit("a chat is for a person at a terminal, and there is none"));
    }
    if env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb") {
        return Err(unfit("this terminal (TERM) cannot move its cursor, which a chat needs"));
    }
    let open = File::options().read(true).write(true).open("/dev/tty");
    open.map_err(|_| unfit("a chat is for a person at a terminal, and there is none"))
}

/// What runs beside the screen.
struct Threads {
    client: Client,
    stop: Stop,
    pace: Pace,
    jobs: Sender<Job>,
    events: Receiver<Event>,
    tell: Sender<Event>,
    ended: Ended,
    receiving: Arc<thread::JoinHandle<()>>,
    unfinished: Unfinished,
    facts: Facts,
}

impl Threads {
    fn start(context: &Context, files: Files, client: Client, pace: Pace) -> Result<Self, Failure> {
        let ((tell, events), (jobs, to_do), stop) = (channel(), channel(), Stop::default());
        let another = files.another(context.lock_wait).ok_or_else(|| {
            let what = "this session cannot be opened twice";
            Failure::new(Code::Usage, what, "keep it in a file")
        })?;
        let receiver = receiver(context, &files)?;
        let told = tell.clone();
        let listener: client::Listener = Arc::new(move |notice| {
            let is_away = match notice {
                client::Notice::Unreachable(_) => true,
                client::Notice::Back(_) => false,
                _ => return,
            };
            // Nobody may look any more.
            drop(told.send(Event::Away(Direction::In, is_away)));
        });
        let patient = client.until_at_once(&stop).lasting(Patience::Endless).telling(listener);
        let mut collecting = block_on(Collecting::open(files, patient, LOOK_AHEAD, Until::Closed))?;
        if !pace.is_at_once() {
            collecting.leaves_posting();
        }
        let facts = Facts::of(collecting.session());
        let ended = Ended::default();
        let sending = Sending {
            conversation: Conversation::open(another),
            client: client.until_at_once(&stop),
            stop: stop.clone(),
            tell: tell.clone(),
            jobs: to_do,
            ended: ended.clone(),
            next: std::collections::VecDeque::new(),
            stock: Stock::new(pace)?,
            away: None,
            is_last: false,
            lost: 0,
        };
        half(&tell, Event::SendingEnded, move || sending.run())?;
        let unfinished = Unfinished::default();
        let incoming = Incoming::new(tell.clone(), stop.clone(), unfinished.clone());
        let receiving = half(&tell, Event::ReceivingEnded, move || {
            let (mut collecting, _receiver) = (collecting, receiver);
            receiving::run(&mut collecting, incoming)
        })?;
        let receiving = Arc::new(receiving);
        Ok(Self { client, stop, pace, jobs, events, tell, ended, receiving, unfinished, facts })
    }

    /// Has stored what was entered, and ends.
    fn end(self, context: &Context, end: End) -> Result<u8, Failure> {
        let waits = matches!(end, End::Leave { closed: false }) && !self.pace.is_at_once();
        if !waits && !self.pace.is_at_once() {
            // What waits for its moment is left, or goes with the end.
            self.stop.stop();
        }
        drop(self.jobs.send(Job::End));
        let posted = if waits { self.moments(context) } else { self.ended.wait(POSTING) };
        let left = posted.or_else(|| {
            // From now on nothing is posted, only stored.
            self.stop.stop();
            self.ended.wait(STORING)
        });
        self.stop.stop();
        wait_for(&self.receiving, NOTING);
        match end {
            End::Leave { closed } => {
                self.say_left(left);
                let name = &context.name;
                if closed {
                    let what = "the other side has closed the session";
                    context.voice.say(format_args!("{what}: 'otr close -s {name}' wipes it here"));
                } else {
                    context.voice.say(format_args!(
                        "the session stays open: 'otr chat -s {name}' goes on with it"
                    ));
                }
                Ok(0)
            }
            End::Failed(failure) => {
                self.say_left(left);
                Err(failure)
            }
            End::Close => {
                say_lost(left);
                let closed = self.close(context);
                if closed.is_ok() {
                    context.voice.say("closed: the session is wiped here");
                }
                closed.map(|()| 0)
            }
            End::Differ => {
                say_lost(left);
                if let Err(failure) = self.close(context) {
                    warn(failure.what);
                }
                let hint = "begin a new one over another channel";
                let what = "the words differ: somebody is in between; the session has been ended";
                Err(Failure::new(Code::NotAuthentic, what, hint))
            }
        }
    }

    /// Waits until what was entered has had its moments, unless a signal ends that.
    fn moments(&self, context: &Context) -> Option<Left> {
        if let Some(left) = self.ended.wait(GLANCE) {
            return Some(left);
        }
        let what = "what you entered last waits for its moment to be posted";
        context.voice.say(format_args!("{what}; Ctrl-C leaves it in the session"));
        loop {
            let has_ended = |event| matches!(event, Event::SendingEnded(_));
            let is_over = self.events.try_iter().any(has_ended);
            let left = self.ended.wait(GLANCE);
            if left.is_some() || is_over {
                return left;
            }
        }
    }

    fn say_left(&self, left: Option<Left>) {
        say_left(left);
        self.unfinished.say();
    }

    fn close(&self, context: &Context) -> Result<(), Failure> {
        // There will be no rest.
        self.unfinished.remove();
        let last = close::wipe(context, false)?;
        close::post(Ok(self.client.clone()), &last, false)
    }
}

/// The screen, until the person or something else ends the chat.
fn converse(
    context: &Context,
    args: &Args,
    threads: &Threads,
    terminal: File,
    code: Option<Zeroizing<String>>,
) -> Result<End, Failure> {
    let (enter, leave) = if args.inline {
        (paint::ENTER_INLINE, paint::LEAVE_INLINE)
    } else {
        (paint::ENTER_WHOLE, paint::LEAVE_WHOLE)
    };
    let unusable = |error: io::Error| {
        Failure::new(Code::Failed, format!("the terminal cannot be used ({error})"), "")
    };
    let (tell, said) = (threads.tell.clone(), threads.tell.clone());
    let keys = terminal.try_clone().map_err(unusable)?;
    let shown = terminal.try_clone().map_err(unusable)?;
    let changed = move || drop(tell.send(Event::Changed));
    let mut screen = Screen::enter(terminal, enter, leave, changed).map_err(unusable)?;
    let _heard = speak::heard_by(move |words| drop(said.send(Event::Said(words.to_owned()))));
    let tell = threads.tell.clone();
    worker::start(move || read_keys(keys, &tell))?;
    let colours = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let paint = Paint::new(args.inline, colours);
    let mut chat = Chat::new(context, paint, threads.facts.clone(), threads.jobs.clone());
    if let Some(note) = threads.pace.note() {
        chat.note(note);
    }
    if let Some(code) = code {
        chat.note(&format!("the code: {}", *code));
        chat.note(&format!("tell it to the other person, who types: otr chat {}", *code));
    }
    Ok(chat.run(&mut screen, &shown, &threads.events))
}

/// Before a signal ends the process: the terminal is given back, and what was entered is stored.
fn at_a_signal(threads: &Threads) -> Result<ending::Guard, Failure> {
    let (stop, jobs, ended) = (threads.stop.clone(), threads.jobs.clone(), threads.ended.clone());
    let (receiving, unfinished) = (Arc::clone(&threads.receiving), threads.unfinished.clone());
    ending::first(move || {
        stop.stop();
        drop(jobs.send(Job::End));
        terminal::give_back();
        speak::unheard();
        let since = Instant::now();
        let left = ended.wait(AT_A_SIGNAL);
        // What is being written is there, or not.
        wait_for(&receiving, AT_A_SIGNAL.saturating_sub(since.elapsed()));
        say_left(left);
        unfinished.say();
    })
}

/// Says what was entered and is not out.
fn say_left(left: Option<Left>) {
    say_lost(left);
    if let Some(waiting) = left.map(|left| left.waiting).filter(|&waiting| waiting > 0) {
        warn(format_args!(
            "not posted yet: {waiting} of your messages; the next otr command of the session posts them"
        ));
    }
}

/// The same for a session that is closed, with which all goes out that is stored.
fn say_lost(left: Option<Left>) {
    match left {
        Some(Left { lost: 0, .. }) => {}
        Some(Left { lost, .. }) => warn(format_args!("not sent: {lost} of your messages")),
        None => warn("whether the last messages were stored is not known"),
    }
}

/// The session's one receiver, or the hint that something else is.
fn receiver(context: &Context, files: &Files) -> Result<RoleLock, Failure> {
    let locked = files.store.lock_receiver(context.lock_wait.min(BUSY));
    locked.map_err(|error| match Failure::from(error) {
        failure if failure.code == Code::Busy => {
            let hint = "end the other chat, or the 'otr recv' of this session, first";
            Failure { hint: hint.into(), ..failure }
        }
        failure => failure,
    })
}

/// Runs a half on a thread of its own, and tells how it ended, also if it panics.
fn half(
    tell: &Sender<Event>,
    as_event: fn(Result<(), Failure>) -> Event,
    work: impl FnOnce() -> Result<(), Failure> + Send + 'static,
) -> Result<thread::JoinHandle<()>, Failure> {
    struct Telling(Sender<Event>, fn(Result<(), Failure>) -> Event, Option<Result<(), Failure>>);
    impl Drop for Telling {
        fn drop(&mut self) {
            let panicked =
                || Err(Failure::new(Code::Failed, "a part of the chat has panicked", ""));
            // Nobody may look any more.
            drop(self.0.send((self.1)(self.2.take().unwrap_or_else(panicked))));
        }
    }
    let telling = Telling(tell.clone(), as_event, None);
    worker::start(move || {
        let mut telling = telling;
        telling.2 = Some(work());
        drop(telling);
    })
}

fn wait_for(thread: &thread::JoinHandle<()>, limit: Duration) {
    let since = Instant::now();
    while !thread.is_finished() && since.elapsed() < limit {
        thread::sleep(Duration::from_millis(5));
    }
}

/// Reads the keyboard until the terminal is gone, or this panics: without keys there is no chat.
fn read_keys(mut terminal: File, tell: &Sender<Event>) {
    struct Telling<'a>(&'a Sender<Event>);
    impl Drop for Telling<'_> {
        fn drop(&mut self) {
            // Nobody may look any more.
            drop(self.0.send(Event::Gone));
        }
    }
    let _telling = Telling(tell);
    let mut keys = Keys::default();
    let mut bytes = Zeroizing::new([0; 4096]);
    loop {
        let pause = Timespec::try_from(ESCAPE).ok().filter(|_| keys.waits());
        let mut polled = [PollFd::new(&terminal, PollFlags::IN)];
        let ready = match poll(&mut polled, pause.as_ref()) {
            Err(rustix::io::Errno::INTR) => continue,
            ready => ready,
        };
        let typed = match ready {
            Ok(0) => keys.pause(),
            // What another job is told is not for us, and reading it would stop us; one that is brought to
            // the front in this moment would stop there.
            Ok(_) if terminal::is_behind(&terminal) => {
                thread::sleep(terminal::BEHIND);
                continue;
            }
            Ok(_) => match terminal.read(&mut bytes[..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Ok(count) if count > 0 => keys.take(&bytes[..count]),
                _ => break,
            },
            Err(_) => break,
        };
        for key in typed {
            if tell.send(Event::Key(key)).is_err() {
                return;
            }
        }
    }
}
