//! `otr send`: stdin becomes one message, or a message a line; packets go out.
//!
//! A short message is sealed, stored with its packets, and only then written out: a crash in
//! between loses nothing (`--last`). A longer one takes numbers in batches and flows through.
//! In a session that has a postbox they are posted there instead of written.

mod lines;
mod long;
mod producer;

use std::ffi::OsString;
use std::io::{Cursor, Read};
use std::time::{Duration, Instant};

use otr::conversation::{
    self, Files, K_SHORT, Sent, Short, Snapshot, Window, block_on, pause_within,
};
use otr::protocol::packet::{K_MIN, size};
use otr::protocol::session::Identity;
use otr::protocol::session::stored::Stage;
use zeroize::Zeroizing;

use super::emit::Emitter;
use super::guide::{Guide, Step};
use super::outlets::Way;
use super::recv::take_reply;
use super::source;
use super::stored;
use crate::commands::blocks::HeadBytes;
use crate::commands::whom;
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::options::{Form, shell_command, size_class};
use crate::route::RouteArgs;
use crate::ui::{notices, shell, units};
use otr::postbox::client::{Client, Patience};
use producer::{Producer, unread};

/// How long to wait for the reply to the invite, unless `--wait` says otherwise.
const REPLY_WAIT: Duration = Duration::from_secs(30);
/// With `--lines`: how long not to call a postbox for each line after it was away.
const AWAY: Duration = Duration::from_secs(5);
/// How long to keep calling a postbox that is away, unless `--retry` says otherwise.
const RETRY: &str = "1m";

/// `otr send`
#[derive(clap::Args)]
#[command(after_long_help = HELP)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub(crate) struct Args {
    /// Every line is a message of its own, sent as it comes
    #[arg(long, conflicts_with = "last")]
    lines: bool,

    /// Send what CMD writes, and only if CMD ends with 0; stdin is not read
    ///
    /// CMD runs in /bin/sh. If it ends with anything else, or by a signal, a short message is not sent
    /// (1), and a long one is cut (6): the other side's recv then says 6, too. With --lines, the lines
    /// before have gone out. What ends send ends CMD, too, by SIGTERM.
    #[arg(long, value_name = "CMD", value_parser = shell_command(), value_hint = clap::ValueHint::CommandString, conflicts_with_all = ["last", "state_fd"])]
    exec: Option<OsString>,

    /// Write the last packets once more, the same bytes: of a short message, or of 'verify'
    #[arg(long)]
    last: bool,

    /// Pad to packets of at least this size, 4K to 1M
    #[arg(long, value_name = "SIZE", default_value = "4K", value_parser = size_class)]
    size: u8,

    /// Publish no MAC keys with these packets; they wait
    #[arg(long)]
    no_keys: bool,

    /// Write the packets to stdout even if the session has a postbox; no call is made
    #[arg(long)]
    stdout: bool,

    /// With a postbox: end only when the other side has opened the message, which it shows with
    /// the MAC key that it publishes. Says 6 if the message was lost, 8 if --wait is over.
    /// Through Tor the other side then discards it within ten seconds instead of a minute, and its
    /// recv ends as much later: the postbox sees more closely when it was read, but not by whom
    #[arg(long, conflicts_with_all = ["last", "stdout"])]
    confirm: bool,

    /// With a postbox: how long to wait for the reply to the invite [default: 30s], and with
    /// --confirm for the other side [default: as long as the postbox keeps the message]
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    wait: Option<Duration>,

    /// With a postbox: how long to go on trying while it cannot be reached; 0s: some seconds
    #[arg(long, value_name = "TIME", default_value = RETRY, value_parser = units::duration)]
    retry: Duration,

    /// With a postbox: post the message at a random moment within this time, so that it does not follow
    /// what was just read. Until then it is not in the session, and a signal drops it
    #[arg(long, value_name = "TIME", value_parser = units::duration, conflicts_with_all = ["last", "stdout", "lines"])]
    hold: Option<Duration>,

    /// With a postbox: leave the message in the session, and call nobody: the next command posts it, or
    /// a 'recv --follow' that runs through Tor or a proxy, at a moment of its own. It has to fit into one packet
    #[arg(long, conflicts_with_all = ["last", "stdout", "lines", "confirm", "hold"])]
    later: bool,

    #[command(flatten)]
    route: RouteArgs,

    #[command(flatten)]
    form: Form,

    /// Not taken: the message comes on stdin
    #[arg(hide = true, value_hint = clap::ValueHint::FilePath)]
    words: Vec<OsString>,
}

const HELP: &str = "\
While the postbox is away, short messages wait in the session, up to 256 KiB of packets, and go out
with the next send or recv. Then, and only then, send ends with 9: the message is taken and need not
be sent again. With any other code it was not taken and may be; but for 8 and 6 of --confirm, which
tell of a message that was posted. With --json the error says \"taken\": true or false. A long message
is never taken in part: it is sent whole, or cut (6).";

pub(crate) fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    if !args.words.is_empty() {
        let what = "send reads stdin, and takes no text or file as an argument";
        return Err(Failure::new(Code::Usage, what, shell::instead_of_words(&args.words)));
    }
    let emitter = Emitter::new(&args.form)?.guided(context, Step::Message);
    let how = How {
        route: args.route.clone(),
        size: args.size,
        no_keys: args.no_keys,
        confirm: args.confirm,
        stdout: args.stdout,
        wait: args.wait,
        retry: args.retry,
        hold: args.hold,
        later: args.later,
        total: None,
        ends_by_itself: false,
    };
    let mut sender = Sender::new(context, how, emitter);
    sender.run(args)?;
    sender.emitter.end();
    if args.later {
        Guide::new(context).ends(Step::Waits);
    } else if sender.client.is_some() && !args.confirm {
        Guide::new(context).ends(Step::Posted);
    }
    Ok(())
}

/// Sends all of `input` as one message, of `total` bytes if that is known, in a session that is open and has
/// this postbox. A signal has to end the client's calls.
pub(super) fn message(
    context: &Context,
    files: Files,
    client: Client,
    input: impl Read + Send + 'static,
    total: Option<u64>,
) -> Result<(), Failure> {
    let how = How {
        route: RouteArgs::default(),
        size: K_MIN,
        no_keys: false,
        confirm: false,
        stdout: false,
        wait: None,
        retry: Duration::ZERO,
        hold: None,
        later: false,
        total,
        ends_by_itself: true,
    };
    let emitter = Emitter::new(&Form { raw: false, wrap: None })?;
    let mut sender = Sender::new(context, how, emitter);
    (sender.opened, sender.client) = (Some(files), Some(client));
    sender.message(input)
}

/// How messages are sent.
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
struct How {
    route: RouteArgs,
    /// The size class of the smallest packet.
    size: u8,
    no_keys: bool,
    confirm: bool,
    stdout: bool,
    wait: Option<Duration>,
    retry: Duration,
    /// Within which time to post.
    hold: Option<Duration>,
    /// Whether to leave the message in the session.
    later: bool,
    /// How long the message is, if that is known.
    total: Option<u64>,
    /// Whether a signal ends the client's calls, and so the message, before the process.
    ends_by_itself: bool,
}

struct Sender<'a> {
    context: &'a Context,
    how: How,
    emitter: Emitter,
    /// Where packets go, if not to stdout.
    client: Option<Client>,
    /// The session in which the first message began: another session may take its name meanwhile.
    begun: Option<Identity>,
    /// The session, where it was looked at before the message was read.
    opened: Option<Files>,
    /// The state that was loaded to look for a postbox; most often it does not change in between.
    loaded: Option<Snapshot<Files>>,
    /// With `--lines`: when the postbox was last away, while accepted lines wait for it.
    away: Option<Instant>,
}

impl<'a> Sender<'a> {
    fn new(context: &'a Context, how: How, emitter: Emitter) -> Self {
        let (begun, opened, client, loaded, away) = Default::default();
        Self { context, how, emitter, client, begun, opened, loaded, away }
    }

    fn run(&mut self, args: &Args) -> Result<(), Failure> {
        if args.last {
            return self.last();
        }
        if let Some(line) = &args.exec {
            // Before anything is done in vain.
            self.look_first()?;
            let input = Producer::start(self.context, line)?;
            return if args.lines { self.lines(input) } else { self.message(input) };
        }
        if source::is_by_hand() {
            self.look_first()?;
        }
        let hint = "type the message, then Ctrl-D on a line of its own";
        let input = source::text_on_stdin(|| self.context.voice.say(hint))?;
        if args.lines { self.lines(input) } else { self.message(input) }
    }

    /// Reports what prevents a message before a person has typed it.
    fn look_first(&mut self) -> Result<(), Failure> {
        let mut files = self.open()?;
        let known = self.loaded.take();
        let way = &mut Way::of(self.client.as_mut(), &mut self.emitter);
        block_on(conversation::look_first(&mut files, way, &mut self.begun, known))?;
        self.opened = Some(files);
        Ok(())
    }

    /// The session's place in the store. If it has a postbox, this command calls it from now on,
    /// and asks for the reply if that has not come.
    fn open(&mut self) -> Result<Files, Failure> {
        if let Some(files) = self.opened.take() {
            return Ok(files);
        }
        let mut files = self.context.open()?;
        if self.how.stdout {
            return Ok(files);
        }
        let known = stored::take(&mut files)?.into_snapshot();
        let stage = &known.stage;
        if let Stage::Session(session) = stage {
            self.begun.get_or_insert(session.identity());
        }
        if self.client.is_none() {
            let patience = Patience::For(self.how.retry);
            self.client = whom::client(stage, &self.how.route)?.map(|client| {
                client.lasting(patience).telling(notices::of_postbox(self.context.voice))
            });
        }
        match &self.client {
            None if self.how.confirm => Err(Failure::new(
                Code::Usage,
                "--confirm is for a session with a postbox, which learns that the message was opened",
                "nothing was sent: leave --confirm out",
            )),
            None if self.how.hold.is_some() || self.how.later => Err(Failure::new(
                Code::Usage,
                "--hold and --later are for a session with a postbox",
                "nothing was sent: leave them out",
            )),
            Some(client) if matches!(stage, Stage::Inviting(_)) => {
                let wait = self.how.wait.unwrap_or(REPLY_WAIT);
                if source::is_by_hand() {
                    let why = if client.isolates() {
                        "; through Tor or a proxy that takes up to half a minute, so that no call follows another"
                    } else {
                        ""
                    };
                    self.context
                        .voice
                        .say(format_args!("looking for the reply to the invite{why}"));
                }
                take_reply(self.context, files, client, wait).map_err(no_reply)
            }
            _ => {
                self.loaded = Some(known);
                Ok(files)
            }
        }
    }

    /// Waits until the other side has opened what was posted, if `--confirm` asks for it. The
    /// session is not locked meanwhile.
    fn confirm(&self, mut window: Window) -> Result<(), Failure> {
        if let Some(client) = &self.client
            && let Some(seconds) = client.take_keeps_short()
        {
            notices::keeps_short(self.context.voice, client.host(), seconds);
        }
        if !self.how.confirm {
            return Ok(());
        }
        opened(&mut window, self.how.wait)
    }

    /// One message: all of `input`.
    fn message(&mut self, mut input: impl Read + Send + 'static) -> Result<(), Failure> {
        // Reading one byte more than a short message can have tells the two apart.
        let mut head = Zeroizing::new(Vec::with_capacity(size(K_MIN)));
        let short = size(K_SHORT) as u64;
        let read = (&mut input).take(short).read_to_end(&mut head);
        read.map_err(|error| unread(&error))?;
        let mut files = self.open()?;
        if let (Some(client), Some(time)) = (&self.client, self.how.hold) {
            pause_within(client, time)?;
        }
        let mut number = None;
        if head.len() < size(K_SHORT) {
            match self.short(&mut files, &head)? {
                Sent::Long(_) if self.how.later => return Err(too_long_for_later()),
                Sent::Long(taken) => number = taken,
                Sent::Out(_) => return Ok(()),
            }
        }
        if self.how.later {
            return Err(too_long_for_later());
        }
        let head = Cursor::new(HeadBytes(head));
        self.long(&mut files, head.chain(input), number)
    }

    /// Sends `text` as one packet that is kept in the state, if it fits into one.
    ///
    /// # Errors
    /// If [`Failure::taken`] says so, the packet waits in the state and goes out later.
    fn short(&mut self, files: &mut Files, text: &[u8]) -> Result<Sent, Failure> {
        let later = self.how.later || self.away.is_some_and(|since| since.elapsed() < AWAY);
        let short = Short {
            text,
            least: self.how.size,
            publish: !self.how.no_keys,
            later,
            receipt: self.how.confirm,
        };
        let known = self.loaded.take();
        let way = &mut Way::of(self.client.as_mut(), &mut self.emitter);
        let sent = block_on(conversation::short(files, way, &mut self.begun, known, &short))?;
        if !later {
            self.away = None;
        }
        match (&self.client, sent) {
            (Some(client), Sent::Out(Some(posted))) => {
                let mut window = Window::new(client.clone());
                window.posted(&posted.packet, Some(posted.receipt));
                self.confirm(window).map(|()| Sent::Out(None))
            }
            (_, sent) => Ok(sent),
        }
    }

    /// The packets of the last short message, or the reply, once more.
    fn last(&mut self) -> Result<(), Failure> {
        let mut files = self.open()?;
        let way = &mut Way::of(self.client.as_mut(), &mut self.emitter);
        if block_on(conversation::resend(&mut files, way, self.begun))? {
            return Ok(());
        }
        let hint = "only the last message is kept, and only if it is short";
        Err(Failure::new(Code::Refused, "there is no message to send again", hint))
    }
}

/// The message has to go at once, in several packets.
pub(crate) fn too_long_for_later() -> Failure {
    let what = "the message does not fit into one packet, or not into what waits already";
    Failure::new(Code::Refused, what, "nothing was sent: leave 'later' out")
}

/// Waits until the other side has opened what was posted.
pub(crate) fn opened(window: &mut Window, limit: Option<Duration>) -> Result<(), Failure> {
    window.confirm(limit).map_err(Failure::from).map_err(|failure| match failure.code {
        Code::Postbox => {
            let what = format!("the message is posted, not yet confirmed: {}", failure.what);
            Failure { what: what.into(), taken: Some(true), ..failure }
        }
        Code::NothingYet => Failure { taken: Some(true), ..failure },
        _ => failure,
    })
}

/// The postbox is away, and nothing of the message was taken.
fn no_reply(failure: Failure) -> Failure {
    if !matches!(failure.code, Code::Postbox | Code::Full) {
        return failure;
    }
    let what = format!("no reply yet: {}", failure.what);
    Failure::new(Code::NotReady, what, "nothing of this message was sent: try again later")
}
