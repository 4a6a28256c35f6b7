//! `otr simulate`: a whole conversation that never took place, made up by one person. Invite,
//! reply, packets and published keys come from the code that makes real ones, in the places where
//! the real commands put them; nothing distinguishes the two.

mod script;
mod stage;
mod tape;

use std::io::{Read, Write};
use std::path::PathBuf;

use otr::protocol::randomness::Randomness;

use super::source::text_on_stdin;
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::options::size_class;
use crate::randomness::{Seeded, System};
use crate::ui::speak::Voice;
use crate::ui::{printable, stdio, terminal};
use script::{Act, parse};
use stage::{Habits, play};
use tape::Tape;

/// The most bytes of a script: more than a conversation that one person types.
const SCRIPT_MAX: u64 = 16 << 20;

/// `otr simulate`
#[derive(clap::Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// What the two should have said; without a name, or for '-', stdin
    #[arg(value_name = "SCRIPT", value_hint = clap::ValueHint::FilePath)]
    script: Option<PathBuf>,

    /// Make the same bytes for the same script each time; anyone who knows or guesses TEXT can tell
    #[arg(long, value_name = "TEXT")]
    seed: Option<String>,

    /// Pad to packets of at least this size, 4K to 1M
    #[arg(long, value_name = "SIZE", default_value = "4K", value_parser = size_class)]
    size: u8,

    /// Break lines after this many columns, at least 32 (for mail: 72)
    #[arg(long, value_name = "COLUMNS", value_parser = crate::options::wrap)]
    wrap: Option<otr::armor::Wrap>,

    /// Write reply, packets and keys as bytes instead of lines of text
    #[arg(long, conflicts_with = "wrap")]
    raw: bool,
}

const HELP: &str = "\
  printf 'A: are you there?\\nB: yes\\n' | otr simulate > capture

Each line of the script that begins with 'A: ' is a message of the inviting side, with 'B: ' of the
answering one; each is read at once. 'A closes' and 'B closes' end it; without them both close, A
first. Empty lines, and lines that begin with '#', are skipped. Other lines (all with A or B):

  how it begins, before any other line
    secret: TEXT         both gave that secret
    code: CODE           the invite lay in the postbox under a code, 417-guitar-vanish
    postbox: URL         the invite names a postbox; what is read is discarded there, and those
                         records, with their keys, stand where 'otr expect --spent' writes them
    expires: 1h, @TIME   --expires; or the exact time, in Unix seconds
    A again, B again     the invite, the reply, was written twice
  messages
    A sends 100K         a message of that many bytes
    A < FILE             the contents of a file
    A last               'otr send --last'
    A size 64K           from here on, packets of at least that size
    A raw, A text        from here on, bytes, or lines of text (before all else: the reply, too)
  reading
    B reads, B reads 2   takes everything sent to it, or what the first two commands wrote. A side
                         with such a line reads there and nowhere else: messages cross, or wait
    lost                 what the line before sent never arrived
  checking a secret
    A asks, A asks: TEXT     'otr verify', with that question
    B answers, B answers wrongly
  the end
    A leaves             without telling: 'otr close --silent'
    nobody closes        the record ends in the middle

The output is what the real commands would have written, from the same code; nothing is written
until the whole script has been played. No session is touched, and nobody's secret is used. It does
not make up: when things happened, a truncated long message, --no-keys, and what a postbox sees
beyond packets and those records: who asks for what, or discards the invite of a code.";

pub(crate) fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    if args.raw {
        terminal::refuse_binary()?;
    }
    let mut out = stdio::output()?;
    let text = read(context.voice, args.script.as_ref())?;
    let script = parse(&text)?;
    let mut random: Box<dyn Randomness> = match &args.seed {
        Some(seed) => Box::new(Seeded::new(seed, &text)),
        None => Box::new(System),
    };
    let habits = Habits { size: args.size, raw: args.raw };
    let tape = play(&script, habits, Tape::new(args.wrap), random.as_mut())?;
    out.write_all(tape.bytes()).map_err(|error| Failure::output(&error))?;
    let says = |act: &Act| matches!(act, Act::Says(_) | Act::Sends(_) | Act::File(_));
    let messages = script.lines.iter().filter(|line| says(&line.act)).count();
    context.voice.detail(format_args!(
        "made up: a conversation of {messages} messages that nobody else took part in"
    ));
    Ok(())
}

/// What to tell a person at a terminal.
const TYPE: &str =
    "type the script (A: and what she says, B: and what he does), then Ctrl-D on a line of its own";

fn read(voice: Voice, path: Option<&PathBuf>) -> Result<String, Failure> {
    let path = path.filter(|path| path.as_os_str() != "-");
    let mut bytes = Vec::new();
    let read = match path {
        None => text_on_stdin(|| voice.say(TYPE))?.take(SCRIPT_MAX + 1).read_to_end(&mut bytes),
        Some(path) => std::fs::File::open(path)
            .and_then(|file| file.take(SCRIPT_MAX + 1).read_to_end(&mut bytes)),
    };
    read.map_err(|error| {
        let name = path.map_or("stdin".into(), |path| printable::line(&path.to_string_lossy()));
        Failure {
            file: path.cloned(),
            ..Failure::new(Code::Failed, format!("cannot read {name}: {error}"), "")
        }
    })?;
    if bytes.len() as u64 > SCRIPT_MAX {
        return Err(Failure::new(Code::Full, "the script is longer than 16 MiB", "shorten it"));
    }
    String::from_utf8(bytes).map_err(|_| {
        Failure::new(Code::Refused, "the script is not text in UTF-8", "write it as text")
    })
}
