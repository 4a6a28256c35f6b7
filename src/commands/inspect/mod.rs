//! `otr inspect`: what a stranger sees of packets, replies and invites that he records: how many
//! bytes they have, their address, and that the rest looks like any random bytes.

mod randomness;
mod show;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use otr::armor::Item;

use super::source::Source;
use super::{Context, now};
use crate::failure::{Code, Failure};
use crate::ui::printable;
use crate::ui::stdio;
use randomness::Histogram;
use show::Seen;

/// `otr inspect`
#[derive(clap::Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// What was recorded; without a name, or for '-', stdin
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    files: Vec<PathBuf>,
}

const HELP: &str = "\
Of an address the first four of its 32 bytes are shown.
chi-square compares how often each of the 256 byte values occurs with how often it should: about 255
for random bytes. p is how often truly random bytes deviate at least as much: any value between 0
and 1 is as likely as any other, so one packet in a hundred has a p below 0.01. Many small ones, and
a small one over all packets together, are no chance. A high p is no proof: bytes can be evenly
spread and predictable. Below 1,280 bytes the test says nothing, and no p is given.
A reply that is not text looks like any packet of 8,192 bytes.

--json writes one object a line:
  file    null for stdin
  kind    packet | reply | invite | key (a published MAC key) | damaged | total
  of each but damaged and total: bytes, address (first bytes, hexadecimal), chi_square, p (or null)
  packet, reply:  k: bytes = 2^k
  invite:   version, secret (whether one is asked for), expires (Unix seconds, or null), postbox
            (URL, or null); all null in an invite of a version that this otr does not know
  damaged:  reason
  total:    packets, replies, invites, keys, damaged, bytes, and chi_square and p over all packets
            and replies together";

pub(crate) fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let stdin = [PathBuf::from("-")];
    let files = if args.files.is_empty() { &stdin[..] } else { &args.files };
    let mut inspection = Inspection { json: context.json, ..Inspection::default() };
    let mut out = stdio::output()?;
    let mut empty = true;
    for path in files {
        let (mut source, name) = open(path)?;
        while let Some(items) = source.next_items()? {
            let told: String = items
                .into_iter()
                .map(|item| inspection.line(item, name.as_deref(), &mut source))
                .collect();
            out.write_all(told.as_bytes()).map_err(|error| Failure::output(&error))?;
        }
        inspection.foreign += source.foreign_lines();
        empty &= source.is_empty();
    }
    if empty {
        return Err(Failure::new(
            Code::NothingYet,
            "the input is empty",
            "give it what was recorded",
        ));
    }
    let total = inspection.total();
    out.write_all(total.as_bytes()).map_err(|error| Failure::output(&error))?;
    if inspection.foreign > 0 {
        context
            .voice
            .say(format_args!("passed over lines that are not ours: {}", inspection.foreign));
    }
    inspection.code()
}

/// The input, and its name if it is a file.
fn open(path: &Path) -> Result<(Source, Option<String>), Failure> {
    if path.as_os_str() == "-" {
        return Ok((Source::stdin()?, None));
    }
    let name = printable::line(&path.to_string_lossy());
    let file = File::open(path)
        .map_err(|error| Failure::new(Code::Failed, format!("cannot read {name}: {error}"), ""))?;
    Ok((Source::file(file, name.clone()), Some(name)))
}

/// What was seen so far.
#[derive(Default)]
struct Inspection {
    json: bool,
    packets: u64,
    replies: u64,
    invites: u64,
    keys: u64,
    damaged: u64,
    foreign: u64,
    bytes: u64,
    /// Of all packets and replies.
    sealed: Histogram,
}

impl Inspection {
    /// Counts an item; the line about it.
    fn line(&mut self, item: Item, file: Option<&str>, source: &mut Source) -> String {
        let seen = self.count(&item);
        if let Item::Packet(buffer) = item {
            source.recycle(buffer);
        }
        if self.json { seen.json(file) } else { seen.text(file, now()) }
    }

    fn count(&mut self, item: &Item) -> Seen {
        match item {
            Item::Packet(bytes) => self.sealed("packet", bytes),
            Item::Reply(bytes) => self.sealed("reply", bytes),
            Item::Invite(bytes) => {
                self.invites += 1;
                self.bytes += bytes.len() as u64;
                Seen::invite(bytes)
            }
            Item::Key(bytes) => {
                self.keys += 1;
                self.bytes += bytes.len() as u64;
                Seen::key(bytes)
            }
            Item::Damaged(damaged) => {
                self.damaged += 1;
                Seen::Damaged(damaged.to_string())
            }
        }
    }

    fn sealed(&mut self, kind: &'static str, bytes: &[u8]) -> Seen {
        *(if kind == "reply" { &mut self.replies } else { &mut self.packets }) += 1;
        self.bytes += bytes.len() as u64;
        let histogram = Histogram::of(bytes);
        self.sealed.add(&histogram);
        Seen::sealed(kind, bytes, &histogram)
    }

    fn total(&self) -> String {
        let Self { packets, replies, invites, keys, damaged, bytes, .. } = self;
        let randomness = self.sealed.measure();
        if self.json {
            let total = serde_json::json!({
                "kind": "total", "file": null,
                "packets": packets, "replies": replies, "invites": invites, "keys": keys,
                "damaged": damaged, "bytes": bytes,
                "chi_square": randomness.chi_square(), "p": randomness.p(),
            });
            return format!("{total}\n");
        }
        format!(
            "total: {bytes} bytes; packets {packets}, replies {replies}, invites {invites}, \
             keys {keys}, damaged {damaged}; packets and replies together: {randomness}\n"
        )
    }

    fn code(&self) -> Result<(), Failure> {
        if self.packets + self.replies + self.invites + self.keys > 0 {
            return Ok(());
        }
        Err(if self.damaged > 0 {
            Failure::new(Code::Refused, "all that is ours in this is damaged", "record it again")
        } else {
            Failure::new(Code::Refused, "nothing of ours in this", "lines of ours begin with otr1")
        })
    }
}
