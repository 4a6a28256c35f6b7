//! `otr inspect`: what a stranger sees of recorded packets, replies and invites: their size, their
//! address, and that the rest looks random. With `--keys`, also what published MAC keys verify.

mod evidence;
mod randomness;
mod show;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;

use otr::armor::Item;
use otr::protocol::packet::ADDRESS;

use super::capture::{self, Input};
use super::source::Source;
use crate::context::{Context, now};
use crate::failure::{Code, Failure};
use crate::route::RouteArgs;
use crate::ui::{printable, stdio};
use evidence::{Evidence, KeyName};
use randomness::{Histogram, Measure};
use show::{Seen, TABLE_HEAD};

/// How many addresses to remember, in order to count a packet and its forgery once: a few MiB,
/// however long the capture is. Copies of later packets are counted again, which makes no
/// difference among so many.
const COUNTED_MAX: usize = 1 << 16;

/// `otr inspect`
#[derive(clap::Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// The capture: files, or directories of files; without a name, or for '-', stdin
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::AnyPath)]
    files: Vec<PathBuf>,

    /// Show which packets are verified by published MAC keys, those of the capture and of KEYS
    #[arg(
        long,
        value_name = "KEYS",
        num_args = 0..=1,
        require_equals = true,
        value_hint = clap::ValueHint::FilePath
    )]
    #[expect(clippy::option_option, reason = "absent, bare, with a file")]
    keys: Option<Option<PathBuf>>,

    /// Like --keys, also with the keys that the postbox at this address has for these packets
    #[arg(long, value_name = "URL", value_hint = clap::ValueHint::Url)]
    postbox: Option<String>,

    #[command(flatten)]
    route: RouteArgs,
}

const HELP: &str = "\
A stranger sees the size and the address of a packet, and nothing else. Of an address, the first four
of its 32 bytes are shown.

chi-square compares how often each of the 256 byte values occurs with how often it should: about 255
for random bytes. p is how often truly random bytes deviate at least as much: any value between 0
and 1 is as likely as any other, so one packet in a hundred has a p below 0.01. Many small ones, or
a small one over all packets together, are no accident. A high p is no proof: bytes can be evenly
spread and predictable. Below 1,280 bytes the test says nothing, and no p is given; how small a flaw
the whole capture would show is said at its end.
Of packets with the same address only the first counts: a copy or a forgery repeats its bytes.
A reply that is not text looks like any packet of 8,192 bytes.

--keys tries each published key on the packets of its address. If two packets of one address
verify, at least one is a forgery, and nothing tells which. That a key verifies a packet proves
nothing about who made it: anyone who has a published key can write any text under it, and for any
packet at all a key can be made up that verifies it. This keeps packets in memory, at most 256 MiB.

--json writes one object a line:
  item    its number in the capture, from 1
  file    null for stdin; file_base64 instead if the name is not UTF-8
  kind    packet | reply | invite | key (a published MAC key) | damaged | mac | total
  of each but damaged, mac and total: bytes, address (first bytes, hexadecimal), chi_square, p (or
            null)
  packet, reply:  k: bytes = 2^k
  invite:   version, secret (whether one is asked for), expires (Unix seconds, or null), postbox
            (URL, or null); all null in an invite of a version that this otr does not know
  damaged:  reason
  mac:      with --keys, one for each packet and key of the same address: address, item, key (its
            item, or null for one of KEYS or of the postbox), verifies, copy_of (the item with the
            very same bytes, or null)
  total:    packets, replies, invites, keys, damaged, bytes, and chi_square and p over all packets
            and replies together, notices (a value that is this many times too frequent would be
            noticed); with --keys verified (packets that some key verifies), two_texts (addresses
            under which different packets verify)";

pub(crate) fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let mut out = stdio::output()?;
    let mut inspection = Inspection { json: context.json, ..Inspection::default() };
    if args.postbox.is_some() {
        inspection.evidence = Some(Evidence::default());
    }
    if let Some(keys) = &args.keys {
        inspection.evidence = Some(Evidence::default());
        keys.iter().try_for_each(|path| inspection.read_keys(path.clone()))?;
    }
    let mut empty = true;
    for path in capture::expand(&args.files)? {
        let Input { mut source, name } = capture::open(&path)?;
        inspection.file = name.map(|_| path);
        inspection.heading_due = true;
        while let Some(items) = source.next_items()? {
            let mut told = String::new();
            for item in items {
                told.push_str(&inspection.line(item, &mut source)?);
            }
            out.write_all(told.as_bytes()).map_err(|error| Failure::output(&error))?;
        }
        inspection.unrelated += source.unrelated_lines();
        empty &= source.is_empty();
    }
    if empty {
        return Err(Failure::new(
            Code::NothingYet,
            "the input is empty",
            "give it what was recorded",
        ));
    }
    if let (Some(url), Some(evidence)) = (&args.postbox, &mut inspection.evidence) {
        let keys = capture::published(url, &args.route, evidence.without_key())?;
        for (number, key) in (1..).zip(keys) {
            evidence.key(KeyName::Postbox(number), key);
        }
    }
    let end = inspection.end();
    out.write_all(end.as_bytes()).map_err(|error| Failure::output(&error))?;
    if inspection.unrelated > 0 {
        context.voice.say(format_args!("skipped unrelated lines: {}", inspection.unrelated));
    }
    inspection.code()
}

/// What has been seen so far.
#[derive(Default)]
struct Inspection {
    json: bool,
    /// The input that is being read, unless it is stdin.
    file: Option<PathBuf>,
    /// Whether the table's head and the file's name must still be shown.
    heading_due: bool,
    headed: bool,
    items: u64,
    packets: u64,
    replies: u64,
    invites: u64,
    keys: u64,
    damaged: u64,
    unrelated: u64,
    bytes: u64,
    /// The bytes of all packets and replies, but only the first of each address.
    sealed: Histogram,
    /// Their addresses.
    counted: BTreeSet<[u8; ADDRESS]>,
    evidence: Option<Evidence>,
}

impl Inspection {
    /// Reads published keys from a separate file; anything else in it is ignored.
    fn read_keys(&mut self, path: PathBuf) -> Result<(), Failure> {
        let Some(evidence) = &mut self.evidence else { return Ok(()) };
        let mut count = 0;
        for path in capture::expand(&[path])? {
            let Input { mut source, .. } = capture::open(&path)?;
            while let Some(items) = source.next_items()? {
                for item in items {
                    if let Item::Key(key) = item {
                        count += 1;
                        evidence.key(KeyName::File(count), key);
                    }
                }
            }
        }
        if count > 0 {
            return Ok(());
        }
        let hint = "a published key is a line that begins with otr1k:";
        Err(Failure::new(Code::Refused, "there is no key in the file of keys", hint))
    }

    /// Counts an item; returns the line about it.
    fn line(&mut self, item: Item, source: &mut Source) -> Result<String, Failure> {
        self.items += 1;
        let seen = self.count(&item);
        match (item, &mut self.evidence) {
            (Item::Packet(packet), Some(evidence)) => evidence.packet(self.items, packet)?,
            (Item::Packet(packet), None) => source.recycle(packet),
            (Item::Key(key), Some(evidence)) => evidence.key(KeyName::Item(self.items), key),
            _ => {}
        }
        if self.json {
            return Ok(seen.json(self.items, self.file.as_deref()));
        }
        Ok(self.heading() + &seen.text(self.items, now()))
    }

    fn heading(&mut self) -> String {
        let mut heading = String::new();
        if !std::mem::replace(&mut self.headed, true) {
            heading.push_str(TABLE_HEAD);
        }
        if std::mem::replace(&mut self.heading_due, false)
            && let Some(name) = &self.file
        {
            heading.push_str(&printable::line(&name.to_string_lossy()));
            heading.push('\n');
        }
        heading
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
        // A copy or a forgery shares nearly all bytes with its original: counting them again would
        // make chance look like a flaw.
        let address = capture::address(bytes);
        let known = self.counted.contains(&address);
        if !known {
            self.sealed.add(&histogram);
            if self.counted.len() < COUNTED_MAX {
                self.counted.insert(address);
            }
        }
        Seen::sealed(kind, bytes, &histogram)
    }

    /// What to say at the end.
    fn end(&self) -> String {
        let measure = self.sealed.measure();
        let verdict = self.evidence.as_ref().map(Evidence::verdict);
        if self.json {
            let macs = verdict.as_ref().map(evidence::Verdict::json).unwrap_or_default();
            return macs + &self.total_json(&measure, verdict.as_ref());
        }
        let Self { packets, replies, invites, keys, damaged, bytes, .. } = self;
        let mut end = format!(
            "\ntotal: {bytes} bytes; invites {invites}, replies {replies}, packets {packets}, \
             keys {keys}, damaged {damaged}\n"
        );
        if packets + replies > 0 {
            end.push_str(
                "Visible in packets and replies: their size, their address, nothing else.\n",
            );
            end.push_str(&measure.report());
        }
        if let Some(verdict) = verdict {
            end.push_str(&verdict.text());
        }
        end
    }

    fn total_json(&self, measure: &Measure, verdict: Option<&evidence::Verdict>) -> String {
        let mut total = serde_json::json!({
            "kind": "total", "file": null,
            "packets": self.packets, "replies": self.replies, "invites": self.invites,
            "keys": self.keys, "damaged": self.damaged, "bytes": self.bytes,
            "chi_square": measure.chi_square(), "p": measure.p(), "notices": measure.notices(),
        });
        if let Some(verdict) = verdict {
            total["verified"] = verdict.verified().into();
            total["two_texts"] = verdict.two_texts().into();
        }
        format!("{total}\n")
    }

    fn code(&self) -> Result<(), Failure> {
        if self.packets + self.replies + self.invites + self.keys > 0 {
            return Ok(());
        }
        Err(if self.damaged > 0 {
            Failure::new(Code::Refused, "every item in the input is damaged", "record it again")
        } else {
            Failure::new(
                Code::Refused,
                "there is no item in the input",
                "items are lines that begin with otr1",
            )
        })
    }
}
