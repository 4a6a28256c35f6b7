//! `otr simulate`: a whole conversation that never took place, made up by one person alone. Invite,
//! reply, packets and published keys come from the code that makes real ones, in the places where
//! the real commands put them; nothing in them tells the two apart.

mod script;

use std::io::Read;
use std::path::PathBuf;

use otr::protocol::handshake::{Inviting, respond};
use otr::protocol::lookahead::{LOOK_AHEAD, Lookahead};
use otr::protocol::randomness::Randomness;
use otr::protocol::session::{Outcome, Session};

use super::Context;
use super::close::farewell;
use super::emit::Emitter;
use super::send::{seal_short, size_class};
use super::source::text_on_stdin;
use crate::cli::Form;
use crate::failure::{Code, Failure};
use crate::randomness::{Seeded, System};
use crate::ui::printable;
use script::{Line, Side, parse};

/// Bytes of a script: a conversation that one person types, and more.
const SCRIPT_MAX: u64 = 16 << 20;

/// `otr simulate`
#[derive(clap::Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// What the two shall have said; without a name, or for '-', stdin
    #[arg(value_name = "SCRIPT", value_hint = clap::ValueHint::FilePath)]
    script: Option<PathBuf>,

    /// Make the same bytes for the same script each time; who knows or guesses TEXT can see it
    #[arg(long, value_name = "TEXT")]
    seed: Option<String>,

    /// Pad to packets of at least this size, 4K to 64K
    #[arg(long, value_name = "SIZE", default_value = "4K", value_parser = size_class)]
    size: u8,

    /// Break lines after so many columns, at least 32 (for mail: 72)
    #[arg(long, value_name = "COLUMNS", value_parser = crate::cli::wrap)]
    wrap: Option<otr::armor::Wrap>,
}

const HELP: &str = "\
  printf 'A: are you there?\\nB: yes\\n' | otr simulate > capture

Each line of the script that begins with 'A: ' is a message of the inviting side, with 'B: ' of the
answering one; each is read at once. 'A closes' and 'B closes' end it; without them both do, A first.
Empty lines, and lines that begin with '#', are passed over.
What is written is what 'otr init', 'respond', 'send' and 'close' would have written over pipes, from
the same code. No session is touched, no secret of anybody is used.";

pub(crate) fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let emitter = Emitter::new(&Form { raw: false, wrap: args.wrap })?;
    let text = read(args.script.as_ref())?;
    let script = parse(&text)?;
    let mut random: Box<dyn Randomness> = match &args.seed {
        Some(seed) => Box::new(Seeded::new(seed, &text)),
        None => Box::new(System),
    };
    let mut stage = Stage::open(emitter, random.as_mut())?;
    for line in &script {
        stage.play(line, args.size)?;
    }
    let messages = script.iter().filter(|line| matches!(line, Line::Says { .. })).count();
    context.voice.detail(format_args!(
        "made up: a conversation of {messages} messages that nobody else took part in"
    ));
    Ok(())
}

fn read(path: Option<&PathBuf>) -> Result<String, Failure> {
    let path = path.filter(|path| path.as_os_str() != "-");
    let mut bytes = Vec::new();
    let read = match path {
        None => text_on_stdin(|| {})?.take(SCRIPT_MAX + 1).read_to_end(&mut bytes),
        Some(path) => std::fs::File::open(path)
            .and_then(|file| file.take(SCRIPT_MAX + 1).read_to_end(&mut bytes)),
    };
    read.map_err(|error| {
        let name = path.map_or("stdin".into(), |path| printable::line(&path.to_string_lossy()));
        Failure::new(Code::Failed, format!("cannot read {name}: {error}"), "")
    })?;
    if bytes.len() as u64 > SCRIPT_MAX {
        return Err(Failure::new(Code::Full, "the script is longer than 16 MiB", "cut it"));
    }
    String::from_utf8(bytes).map_err(|_| {
        Failure::new(Code::Refused, "the script is not text in UTF-8", "write it as text")
    })
}

/// Both ends, played by one.
struct Stage<'a> {
    ends: [Option<End>; 2],
    emitter: Emitter,
    random: &'a mut dyn Randomness,
}

struct End {
    session: Session,
    lookahead: Lookahead,
}

impl End {
    fn new(session: Session) -> Self {
        Self { session, lookahead: Lookahead::new(LOOK_AHEAD) }
    }

    fn receive(&mut self, packet: &[u8]) -> Result<(), Failure> {
        let mut packet = packet.to_vec();
        let opened = self.session.open(&mut self.lookahead, &mut packet, None);
        let Ok(Outcome::Accepted(accepted)) = opened else { return Err(out_of_step()) };
        let accepted = self.session.accept(&mut self.lookahead, &accepted, 0);
        accepted.map(|_| ()).map_err(|_| out_of_step())
    }
}

impl<'a> Stage<'a> {
    /// The handshake.
    fn open(mut emitter: Emitter, random: &'a mut dyn Randomness) -> Result<Self, Failure> {
        // Nothing of the clock goes into the bytes of an invite that does not expire.
        let mut inviting =
            Inviting::new("", 0, None, 0, random).map_err(|_| Failure::no_randomness())?;
        let invite = inviting.invite().to_vec();
        emitter.invite(&invite)?;
        let (answering, reply) =
            respond(&invite, None, 0, random).map_err(|_| Failure::no_randomness())?;
        emitter.reply(&reply)?;
        let opened = inviting.open(&reply).map_err(|_| out_of_step())?;
        let asking = inviting.accept(opened, 0).map_err(|_| out_of_step())?;
        let ends = [asking, answering].map(|session| Some(End::new(session)));
        Ok(Self { ends, emitter, random })
    }

    fn play(&mut self, line: &Line, least: u8) -> Result<(), Failure> {
        let [a, b] = &mut self.ends;
        let (speaker, listener) = if line.side() == Side::A { (a, b) } else { (b, a) };
        let Some(end) = speaker else { return Err(closed(line)) };
        let packet = match line {
            Line::Says { .. } if end.session.peer_closed() => return Err(after_the_end(line)),
            Line::Says { text, .. } => {
                let sealed = seal_short(&mut end.session, text.as_bytes(), least, self.random)?;
                Some(sealed.ok_or_else(|| too_long(line))?.0)
            }
            Line::Closes { .. } => None,
        };
        let keys = end.session.take_published();
        let packet = match packet {
            None => farewell(&mut end.session, self.random)?,
            packet => packet,
        };
        if matches!(line, Line::Closes { .. }) {
            *speaker = None;
        }
        let packets = packet.into_iter().collect::<Vec<_>>();
        self.emitter.packets(&keys, &packets)?;
        match listener {
            Some(listener) => packets.iter().try_for_each(|packet| listener.receive(packet)),
            None => Ok(()),
        }
    }
}

fn refused(line: &Line, what: &str) -> Failure {
    let what = format!("line {} of the script: {what}", line.number());
    Failure::new(Code::Refused, what, "change the script")
}

fn closed(line: &Line) -> Failure {
    refused(line, "that side has closed")
}

fn after_the_end(line: &Line) -> Failure {
    refused(line, "the other side has closed")
}

fn too_long(line: &Line) -> Failure {
    refused(line, "longer than the 64K that one packet here holds")
}

fn out_of_step() -> Failure {
    Failure::new(
        Code::Failed,
        "the two ends do not understand each other",
        "this is a fault of otr",
    )
}
