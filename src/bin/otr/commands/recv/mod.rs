//! `otr recv`: packets become text. It also takes the reply; it recognizes each by itself.
//!
//! ```text
//! source → receiver (opens on a working copy) → delivery (text out, flushed) → receiver stores
//! postbox → the same → discarded there
//! ```

mod checks;
mod delivery;
mod flow;
mod hook;
mod keep_calls;
mod outcome;
mod output;
mod postbox;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use otr::armor::Item;
use otr::conversation::{Cover, Files, Receiver, Snapshot, block_on};
use otr::protocol::ratchet::address_index::{LOOK_AHEAD, LOOK_AHEAD_MAX};

use super::source::{Source, is_by_hand, widen_stdin};
use super::stored;
use crate::commands::{cover, whom};
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::options::shell_command;
use crate::route::RouteArgs;
use crate::ui::units;
pub(crate) use checks::object as check_object;
use delivery::{Delivery, Way};
pub(crate) use flow::KeepHook;
pub(crate) use keep_calls::KeepCalls;
use otr::postbox::client::Client;
use outcome::Outcome;
pub(crate) use outcome::reason;
pub(crate) use output::{Output, Target, part_in, rename_unless_there, write_new};
pub(crate) use postbox::take_reply;

/// `otr recv`
#[derive(clap::Args)]
#[command(after_long_help = SCHEMA)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub(crate) struct Args {
    /// Put the message into FILE, which appears only when the message is complete
    ///
    /// A device, a FIFO or a descriptor (/dev/stdout, /dev/fd/3) is written through instead, and '-'
    /// is stdout. A symlink is followed. If recv is killed in the moment after FILE has appeared
    /// and before that is noted in the session, the same command notes it; with another FILE, or
    /// where the file system has no hard links, the message is given once more.
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["json", "null"])]
    output: Option<PathBuf>,

    /// Let --output replace a file that is there
    #[arg(long, requires = "output")]
    force: bool,

    /// Give each message to CMD on stdin; CMD's exit code says whether it is taken
    ///
    /// CMD runs in /bin/sh, once for each message, one after another. With 0 the message is taken; with
    /// anything else, or if a signal ends CMD, nothing of it is noted, it stays in the postbox (or in
    /// the file that was on stdin), and recv ends with 1. See "Commands" below.
    #[arg(long, value_name = "CMD", value_parser = shell_command(), value_hint = clap::ValueHint::CommandString, conflicts_with_all = ["output", "null", "state_fd"])]
    exec: Option<OsString>,

    /// Write a NUL byte after each message
    #[arg(long, conflicts_with = "json")]
    null: bool,

    /// Put the MAC keys to be published into FILE, at its end, instead of keeping them for 'send'
    #[arg(long, value_name = "FILE")]
    reveal: Option<PathBuf>,

    /// Refuse input with anything but our lines in it
    #[arg(long)]
    strict: bool,

    /// Read stdin even if the session has a postbox; no call is made
    #[arg(long, conflicts_with_all = ["wait", "all", "follow", "count"])]
    stdin: bool,

    /// With a postbox: wait no longer than this for something to come
    #[arg(long, value_name = "TIME", value_parser = units::duration, conflicts_with = "all")]
    wait: Option<Duration>,

    /// With a postbox: take all that is there, and wait for nothing
    #[arg(long)]
    all: bool,

    /// With a postbox: take message after message, until the other side closes
    #[arg(long, conflicts_with_all = ["all", "output"])]
    follow: bool,

    /// With --follow, through Tor or a proxy: also post packets that say nothing, at random moments so far
    /// apart in the mean, or constant=TIME, each after that time. What 'send --later' leaves in the session
    /// takes the place of the next one
    #[arg(long, value_name = "MEAN", value_parser = cover::parse)]
    cover: Option<Cover>,

    /// With a postbox: take this many messages [default: 1]
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u64).range(1..),
        conflicts_with_all = ["all", "follow", "output"]
    )]
    count: Option<u64>,

    #[command(flatten)]
    route: RouteArgs,

    /// Expect packets up to this many numbers ahead
    #[arg(
        long,
        value_name = "N",
        default_value_t = LOOK_AHEAD,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(LOOK_AHEAD_MAX))
    )]
    look_ahead: u32,
}

/// The promise to programs; a new field is no break.
const SCHEMA: &str = "\
--json writes one object a line, for each message:
  session        its name
  message        its number, from 0
  bytes          its length
  text | base64  the message, if it is UTF-8; else in base64
  authenticated  [how, …]: how the other side was checked so far, as in 'otr status';
                 empty if nobody has checked who it is
  missing        [number, …]: messages that should be here and are not; at most 1,000
and for each step of 'otr verify':
  session, authenticated
  verify         asked         the other side asks; answer with 'otr verify'
                 equal         the secrets are equal
                 different     they are not
                 unfinished    a check that was answered never got its end, which counts
                 crossed       both sides asked at once, and the question of this one goes on
                 gave_way      both did, and the other side's goes on
                 stopped       the other side has stopped before anything was compared
                 bad_share     the other side asked with a value that cannot be used
                 dropped       a step of a check that is over
  question       with asked: the other side's text, maybe empty
  failures       with different and unfinished: how many count, of three
Three failures end the session: code 5.

Commands (--exec): CMD's stdout and stderr are those of recv; besides its environment it has
  OTR_SESSION, OTR_DIR   the session, so that 'otr send' in CMD answers
  OTR_MESSAGE            the message's number, from 0
  OTR_SIZE               its length in bytes
  OTR_AUTHENTICATED      how the other side was checked, as above, separated by spaces
  OTR_MISSING            the numbers of messages that should be here and are not
A message that CMD has not taken comes again whole: CMD may see it twice, if something ends recv
after CMD and before that is noted. A message that is cut starts no CMD. recv waits for CMD as long
as it takes ('timeout 60 CMD' bounds that), and holds the session's receiving end meanwhile; what
ends recv (SIGINT, SIGTERM, SIGHUP) ends CMD, too, by SIGTERM.
A message of more than 16 MiB (64 MiB from stdin) does not fit the postbox, so it flows through CMD
while it comes, without OTR_SIZE. CMD is a process group of its own then. If the message is cut, or
recv ends, CMD gets SIGTERM before the end of its stdin; if CMD fails, the message is lost (6).
With --json, only what recv says is in JSON.";

/// At least this many bytes of packets are opened before the state is stored, if they come without
/// a pause: storing after each small packet would cost more than opening it, and after each large
/// one a seventh of it.
const BATCH: usize = 4 << 20;

pub(crate) fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    if args.cover.is_some() && !args.follow {
        let what = "--cover is for a recv that stays: packets are posted as long as it runs";
        let hint = match (args.all, args.count) {
            (true, _) => "'recv --follow --cover', without --all",
            (_, Some(_)) => "'recv --follow --cover', without --count",
            _ => "'recv --follow --cover', or 'chat --cover'",
        };
        return Err(Failure::new(Code::Usage, what, hint));
    }
    let (mut files, mut loaded) = (None, None);
    if !args.stdin || is_by_hand() {
        // We must know whether there is a postbox before we touch stdin.
        files = if_there(context.open())?;
        if let Some(found) = &mut files
            && let Some(held) = if_there(stored::take(found))?
        {
            let known = held.into_snapshot();
            let client = if args.stdin { None } else { whom::client(&known.stage, &args.route)? };
            match (client, files) {
                (Some(client), Some(files)) => return postbox::run(context, args, files, &client),
                (_, opened) => files = opened,
            }
            loaded = Some(known);
        }
    }
    if args.wait.is_some() || args.all || args.follow || args.count.is_some() {
        if !args.stdin && loaded.is_none() {
            // Perhaps there is no session at all.
            stored::take(&mut context.open()?)?;
        }
        let what = "--wait, --all, --follow and --count are for a session with a postbox";
        return Err(Failure::new(Code::Usage, what, "without one, recv reads stdin to its end"));
    }
    read(context, args, files, loaded)
}

/// The data of a session, if it exists. If it does not, we say so only after reading stdin, since
/// other commands of a pipeline may still be making it; but at a terminal before a person pastes
/// anything.
fn if_there<T>(found: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match found {
        Err(failure) if failure.code == Code::NoSession && !is_by_hand() => Ok(None),
        found => found.map(Some),
    }
}

/// Takes all items from stdin.
fn read(
    context: &Context,
    args: &Args,
    files: Option<Files>,
    loaded: Option<Snapshot<Files>>,
) -> Result<u8, Failure> {
    let mut source = Source::stdin()?;
    let mut delivery = Delivery::new(context, args, Way::Stdin)?;
    let Some(mut items) = first_items(&mut source)? else {
        return Err(Failure::new(
            Code::NothingYet,
            "stdin is empty",
            "give it packets or the reply",
        ));
    };
    widen_stdin();
    let files = files.map_or_else(|| context.open(), Ok)?;
    let _receiver = files.store.lock_receiver(context.lock_wait)?;
    let mut receiver: Stdin = block_on(Receiver::open(files, loaded, args.look_ahead, None))?;
    receiver.refuse_if_over()?;
    let mut outcome = Outcome::new(Way::Stdin, args.exec.is_some());
    let mut taken = 0;
    loop {
        // The reply comes first: it is stored as soon as it is taken.
        strict(args, &source)?;
        for item in items {
            taken += take(item, &mut receiver, &mut delivery, &mut outcome)?;
        }
        block_on(receiver.settle(&mut delivery, &mut outcome.counts))?;
        // Its text goes out at once; it is stored with what follows directly.
        block_on(receiver.deliver(&mut delivery))?;
        recycle(&mut source, &mut receiver, &mut delivery);
        let more = if taken < BATCH { source.items_soon()? } else { None };
        // Text between packets is as good as a pause.
        if more.as_ref().is_none_or(Vec::is_empty) {
            block_on(receiver.store(&mut delivery))?;
            taken = 0;
        }
        items = match more {
            Some(more) => more,
            None => match source.next_items()? {
                Some(more) => {
                    // Reads what happened to the session during the pause, such as its end.
                    block_on(receiver.refresh())?;
                    more
                }
                None => break,
            },
        };
    }
    block_on(receiver.finish(&mut delivery, &mut outcome.counts))?;
    block_on(receiver.store(&mut delivery))?;
    outcome.unrelated = source.unrelated_lines();
    outcome.tell(context, receiver.session())
}

/// Packets that we owe the other side wait for the next send.
type Stdin = Receiver<Files, Client>;

/// Returns the buffers of delivered text.
fn recycle(source: &mut Source, receiver: &mut Stdin, delivery: &mut Delivery) {
    for mut buffer in receiver.take_buffers(delivery) {
        source.recycle(std::mem::take(&mut buffer));
    }
}

/// The first read that brought items, or the end of the input if none did; `None` if the input is
/// empty.
fn first_items(source: &mut Source) -> Result<Option<Vec<Item>>, Failure> {
    let first = source.next_items()?;
    // We look at the session only now, since all commands of a pipeline start together.
    Ok(match first {
        Some(items) if items.is_empty() && source.is_empty() => None,
        other => other,
    })
}

fn strict(args: &Args, source: &Source) -> Result<(), Failure> {
    if args.strict && source.other_lines() > 0 {
        let hint = "nothing of this read was taken; leave out --strict to pass over such lines";
        return Err(Failure::new(Code::Refused, "the input holds more than our lines", hint));
    }
    Ok(())
}

/// Takes one item; returns how many bytes of packet it had.
fn take(
    item: Item,
    receiver: &mut Stdin,
    delivery: &mut Delivery,
    outcome: &mut Outcome,
) -> Result<usize, Failure> {
    match item {
        Item::Packet(packet) => {
            let length = packet.len();
            block_on(receiver.packet(packet, None, delivery, &mut outcome.counts))?;
            return Ok(length);
        }
        Item::Reply(reply) => block_on(receiver.reply(&reply, &mut outcome.counts))?,
        Item::Invite(_) => outcome.refuse("an invite: answer it with 'otr respond'"),
        // The keys that the peer publishes for our packets are for the public, not for us.
        Item::Key(_) => outcome.keys += 1,
        Item::Damaged(damaged) => outcome.refuse(damaged.to_string()),
    }
    Ok(0)
}
