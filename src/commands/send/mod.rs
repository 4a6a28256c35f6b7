//! `otr send`: stdin becomes one message, or a message a line; packets go out.
//!
//! A short message is sealed, stored with its packets, and only then written out: a crash in
//! between loses nothing (`--last`). A longer one takes numbers in batches and flows through.
//! In a session that has a postbox they are posted there instead of written.

mod lines;
mod long;

use std::ffi::OsString;
use std::io::{Cursor, Read};
use std::slice;
use std::time::{Duration, Instant};

use otr::protocol::deniability::reveal::PUBLISHED_KEY;
use otr::protocol::packet::{K_MAX, K_MIN, size};
use otr::protocol::session::stored::Stage;
use otr::protocol::session::verify::Ending;
use otr::protocol::session::{Identity, OutboxKind, Session};
use otr::store::{Store, Version};
use zeroize::Zeroizing;

use super::emit::Emitter;
use super::guide::Handed;
use super::held::{Held, Known, peer_has_closed};
use super::owed::{self, Way};
use super::recv::take_reply;
use super::source;
use super::window::Window;
use crate::commands::blocks::HeadBytes;
use crate::commands::outbox;
use crate::commands::sealing::{K_SHORT, Sealed, seal_short, too_large, unconfirmed};
use crate::commands::whom;
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::options::{Form, size_class};
use crate::postbox::client::{Client, Patience, Reach};
use crate::randomness::System;
use crate::ui::{shell, units};

/// How long the reply to the invite is waited for, unless `--wait` says otherwise.
const REPLY_WAIT: Duration = Duration::from_secs(30);
/// With `--lines`: how long a postbox that was away is not called for each line.
const AWAY: Duration = Duration::from_secs(5);
/// How long a postbox that is away is called again and again, unless `--retry` says otherwise.
const RETRY: &str = "1m";

/// `otr send`
#[derive(clap::Args)]
#[command(after_long_help = HELP)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub(crate) struct Args {
    /// Every line is a message of its own, sent as it comes
    #[arg(long, conflicts_with = "last")]
    lines: bool,

    /// Write the last packets once more, the same bytes: of a short message, or of 'verify'
    #[arg(long)]
    last: bool,

    /// Pad to packets of at least this size, 4K to 1M
    #[arg(long, value_name = "SIZE", default_value = "4K", value_parser = size_class)]
    size: u8,

    /// Publish no MAC keys with these packets; they wait
    #[arg(long)]
    no_keys: bool,

    /// Write the packets to stdout even if the session has a postbox; nobody is called
    #[arg(long)]
    stdout: bool,

    /// With a postbox: end only when the other side has opened the message, which it shows with
    /// the MAC key that it publishes. Says 6 if the message was lost, 8 if --wait is over
    #[arg(long, conflicts_with_all = ["last", "stdout"])]
    confirm: bool,

    /// With a postbox: how long to wait for the reply to the invite [default: 30s], and with
    /// --confirm for the other side [default: as long as the postbox keeps the message]
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    wait: Option<Duration>,

    /// With a postbox: how long to go on trying while it cannot be reached; 0s: some seconds
    #[arg(long, value_name = "TIME", default_value = RETRY, value_parser = units::duration)]
    retry: Duration,

    #[command(flatten)]
    reach: Reach,

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
    let emitter = Emitter::new(&args.form)?.guided(context.voice, Handed::Message);
    let mut sender = Sender {
        context,
        args,
        emitter,
        begun: None,
        opened: None,
        client: None,
        loaded: None,
        seen: None,
        away: None,
    };
    sender.run()?;
    sender.emitter.end();
    Ok(())
}

struct Sender<'a> {
    context: &'a Context,
    args: &'a Args,
    emitter: Emitter,
    /// Where packets go, if not to stdout.
    client: Option<Client>,
    /// The session in which the first message began: while it runs, another one may get the name.
    begun: Option<Identity>,
    /// The store, where it was looked at before the message was read.
    opened: Option<Store>,
    /// What was loaded to look for a postbox; most often nobody stores in between.
    loaded: Option<Known>,
    /// Which stored state a long message that is on its way has looked at last.
    seen: Option<Version>,
    /// With `--lines`: when the postbox was away last, while lines that are taken wait for it.
    away: Option<Instant>,
}

/// What came of a short message.
enum Short {
    /// It is out, or waits in the state.
    Sent,
    /// It goes out as a long one does, under the number that it may have already.
    Long(Option<u64>),
}

/// The largest size class of so many bytes at most; where none is so small, the smallest.
fn class(bytes: usize) -> u8 {
    (K_MIN..=K_MAX).rev().find(|&k| size(k) <= bytes).unwrap_or(K_MIN)
}

impl Sender<'_> {
    fn run(&mut self) -> Result<(), Failure> {
        if self.args.last {
            return self.last();
        }
        if source::is_by_hand() {
            self.look_first()?;
        }
        let hint = "type the message, then Ctrl-D on a line of its own";
        let input = source::text_on_stdin(|| self.context.voice.say(hint))?;
        if self.args.lines { self.lines(input) } else { self.message(input) }
    }

    /// Says what is in the way of a message before a person has typed it.
    fn look_first(&mut self) -> Result<(), Failure> {
        let mut store = self.open()?;
        let mut held = self.take(&mut store)?;
        if let Err(failure) = self.ready(&mut held) {
            drop(held);
            if failure.code == Code::NotAuthentic {
                let _sender = store.lock_sender(self.context.lock_wait)?;
                self.pay(&mut store)?;
            }
            return Err(failure);
        }
        drop(held);
        self.opened = Some(store);
        Ok(())
    }

    /// The session's store. One that has a postbox is called from now on, and asked for the reply
    /// if that has not come.
    fn open(&mut self) -> Result<Store, Failure> {
        if let Some(store) = self.opened.take() {
            return Ok(store);
        }
        let mut store = self.context.open()?;
        if self.args.stdout {
            return Ok(store);
        }
        let known = Held::take(&mut store, self.context.lock_wait)?.into_known();
        let stage = &known.stage;
        if let Stage::Session(session) = stage {
            self.begun.get_or_insert(session.identity());
        }
        if self.client.is_none() {
            let patience = Patience::For(self.args.retry);
            self.client = whom::client(stage, &self.args.reach)?
                .map(|client| client.patient(patience, self.context.voice));
        }
        match &self.client {
            None if self.args.confirm => Err(Failure::new(
                Code::Usage,
                "--confirm is for a session with a postbox, which learns that the message was opened",
                "nothing was sent: leave --confirm out",
            )),
            Some(client) if matches!(stage, Stage::Inviting(_)) => {
                let wait = self.args.wait.unwrap_or(REPLY_WAIT);
                if source::is_by_hand() {
                    self.context.voice.say("looking for the reply to the invite");
                }
                take_reply(self.context, store, client, wait)
                    .map_err(|f| not_begun("no reply yet", f))
            }
            _ => {
                self.loaded = Some(known);
                Ok(store)
            }
        }
    }

    fn take<'s>(&mut self, store: &'s mut Store) -> Result<Held<'s>, Failure> {
        match self.loaded.take() {
            Some(known) => Held::retake(store, known, self.context.lock_wait),
            None => Held::take(store, self.context.lock_wait),
        }
    }

    /// Waits until what was posted is opened, where that was asked for. The session is free.
    fn confirm(&self, mut window: Window) -> Result<(), Failure> {
        if let Some(client) = &self.client {
            client.tell_keeps(self.context.voice);
        }
        if !self.args.confirm {
            return Ok(());
        }
        window.confirm(self.args.wait).map_err(|failure| match failure.code {
            Code::Postbox => {
                let what = format!("the message is posted, not yet confirmed: {}", failure.what);
                Failure { what: what.into(), taken: Some(true), ..failure }
            }
            Code::NothingYet => Failure { taken: Some(true), ..failure },
            _ => failure,
        })
    }

    /// Hands out what an earlier command has left.
    fn hand_out_waiting(&mut self, store: &mut Store) -> Result<(), Failure> {
        match &self.client {
            Some(client) => outbox::post_waiting(self.context, store, client, self.begun),
            None => outbox::print_waiting(self.context, store, &[], &mut self.emitter).map(drop),
        }
    }

    /// Hands out what a check of a secret owes the other side: before any text.
    fn pay(&mut self, store: &mut Store) -> Result<(), Failure> {
        let way = Way::of(self.client.as_ref(), &mut self.emitter);
        owed::settle(self.context, store, way)
    }

    /// One message: all of `input`.
    fn message(&mut self, mut input: impl Read + Send + 'static) -> Result<(), Failure> {
        // One byte more than any short message has tells the two apart.
        let mut head = Zeroizing::new(Vec::with_capacity(size(K_MIN)));
        let short = size(K_SHORT) as u64;
        let read = (&mut input).take(short).read_to_end(&mut head);
        read.map_err(|error| Failure::input(&error))?;
        let mut store = self.open()?;
        let mut number = None;
        if head.len() < size(K_SHORT) {
            match self.short(&mut store, &head)? {
                Short::Sent => return Ok(()),
                Short::Long(taken) => number = taken,
            }
        }
        let head = Cursor::new(HeadBytes(head));
        self.long(&mut store, head.chain(input), number)
    }

    /// Sends `text` as one packet that is kept in the state, where it fits one.
    ///
    /// # Errors
    /// Where [`Failure::taken`] says so, the packet waits in the state and goes out later.
    fn short(&mut self, store: &mut Store, text: &[u8]) -> Result<Short, Failure> {
        let sender = store.lock_sender(self.context.lock_wait)?;
        let held = self.take(&mut *store)?;
        let mut held = self.with_owed(held)?;
        let session = self.ready(&mut held)?;
        let most = self.client.as_ref().map_or(K_MAX, |client| class(client.largest_known()));
        let sizes = self.args.size..=most.min(K_SHORT);
        let Some(sealed) = seal_short(session, text, sizes, &mut System)? else {
            return Ok(Short::Long(None));
        };
        let keys = self.keys(session);
        if self.client.is_none() && session.waiting().is_empty() {
            session.keep(vec![sealed.packet.clone()]);
            held.keep()?;
            self.emitter.packets(&keys, &[sealed.packet])?;
            return Ok(Short::Sent);
        }
        if let Err(full) = outbox::queue(session, sealed.packet.clone()) {
            // Nothing is stored yet. Where the others can go out, there is room.
            drop(held);
            self.hand_out_waiting(store).map_err(|failure| Failure {
                what: format!("{}, and {}", full.what, failure.what).into(),
                ..full
            })?;
            drop(sender);
            return match self.client {
                // What stays is too large to be posted: this one does not wait behind it.
                Some(_) => Ok(Short::Long(None)),
                None => self.short(store, text),
            };
        }
        let store = held.keep_open()?;
        let Some(client) = self.client.clone() else {
            // What was promised before stays so until it is out.
            outbox::print_waiting(self.context, store, &keys, &mut self.emitter)?;
            return Ok(Short::Sent);
        };
        if self.away.is_some_and(|since| since.elapsed() < AWAY) {
            return Ok(Short::Sent);
        }
        if !self.post_short(store, &client, &sealed.packet)? {
            return self.take_back(store, &client, &sealed);
        }
        drop(sender);
        let mut window = Window::new(client);
        window.posted(&sealed.packet, Some(sealed.receipt));
        self.confirm(window).map(|()| Short::Sent)
    }

    /// Posts what is in line; whether `packet` of it is not refused for its size.
    fn post_short(
        &mut self,
        store: &mut Store,
        client: &Client,
        packet: &Vec<u8>,
    ) -> Result<bool, Failure> {
        let refused = outbox::post_fitting(self.context, store, client, self.begun);
        let refused = refused.map_err(Failure::taken)?;
        self.away = None;
        let (own, others): (Vec<_>, Vec<_>) = refused.into_iter().partition(|one| one == packet);
        outbox::tell_refused(&others);
        Ok(own.is_empty())
    }

    /// The packet is refused for its size, and leaves the line: its text goes in smaller ones.
    fn take_back(
        &mut self,
        store: &mut Store,
        client: &Client,
        sealed: &Sealed,
    ) -> Result<Short, Failure> {
        let mut held = Held::take(store, self.context.lock_wait)?;
        self.same(held.session()?)?.handed_out(slice::from_ref(&sealed.packet));
        held.keep()?;
        if sealed.packet.len() == size(K_MIN) {
            return Err(too_large(client.too_large(size(K_MIN))));
        }
        Ok(Short::Long(Some(sealed.message)))
    }

    /// The session, with what a check of a secret owes the other side in line, before any text.
    /// Where it is written to stdout, that is done here.
    fn with_owed<'s>(&mut self, mut held: Held<'s>) -> Result<Held<'s>, Failure> {
        match &mut held.stage {
            Stage::Session(session) if session.ending() != Ending::GoesOn => {}
            Stage::Session(session) if session.owes() && self.client.is_some() => {
                if let Some(packet) = session.seal_owed(&mut System).map_err(owed::explain)? {
                    outbox::queue(session, packet)?;
                }
                return Ok(held);
            }
            Stage::Session(session) if session.owes() => {}
            _ => return Ok(held),
        }
        let store = held.let_go();
        self.pay(store)?;
        Held::take(store, self.context.lock_wait)
    }

    /// The MAC keys that leave with these packets.
    fn keys(&self, session: &mut Session) -> Vec<[u8; PUBLISHED_KEY]> {
        if self.args.no_keys { Vec::new() } else { session.take_published() }
    }

    /// The session, if it may send.
    fn ready<'h>(&mut self, held: &'h mut Held<'_>) -> Result<&'h mut Session, Failure> {
        let session = self.same(held.session()?)?;
        if session.peer_closed() {
            return Err(peer_has_closed());
        }
        if !session.may_send_text() {
            return Err(unconfirmed());
        }
        Ok(session)
    }

    /// The session, if it is the one in which this command began: what was meant for one person
    /// never goes to another.
    fn same<'h>(&mut self, session: &'h mut Session) -> Result<&'h mut Session, Failure> {
        if !self.begun.get_or_insert(session.identity()).is(&session.identity()) {
            return Err(Failure::another_session("nothing was sent in the other one"));
        }
        Ok(session)
    }

    /// The packets of the last short message, or the reply, once more.
    fn last(&mut self) -> Result<(), Failure> {
        let mut store = self.open()?;
        let mut held = Held::take(&mut store, self.context.lock_wait)?;
        let outbox = held.session()?.outbox();
        if outbox.kind == OutboxKind::Waiting {
            drop(held);
            let _sender = store.lock_sender(self.context.lock_wait)?;
            return self.hand_out_waiting(&mut store).map_err(Failure::taken);
        }
        if outbox.kind == OutboxKind::Nothing {
            let hint = "only the last message is kept, and only if it is short";
            return Err(Failure::new(Code::Refused, "there is no message to send again", hint));
        }
        match &self.client {
            Some(client) => client.post(&outbox.packets),
            None => self.emitter.packets(&[], &outbox.packets),
        }
    }
}

/// The postbox is away, and nothing of the message was taken.
fn not_begun(step: &str, failure: Failure) -> Failure {
    if !matches!(failure.code, Code::Postbox | Code::Full) {
        return failure;
    }
    let what = format!("{step}: {}", failure.what);
    Failure::new(Code::NotReady, what, "nothing of this message was sent: try again later")
}
