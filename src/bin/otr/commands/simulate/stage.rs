//! Both ends of a made-up conversation, played with the code of the real commands.

use std::collections::{BTreeSet, VecDeque};
use std::path::Path;

use otr::conversation::{Error, K_SHORT, farewell, seal_short};
use otr::protocol::authentication::nameplate::{Code as ShortCode, Nameplate};
use otr::protocol::authentication::password::Password;
use otr::protocol::handshake::{Invitation, Inviting, InvitingError, respond};
use otr::protocol::packet::{ADDRESS, K_MAX, K_MIN, Packet, size};
use otr::protocol::randomness::Randomness;
use otr::protocol::ratchet::address_index::{AddressIndex, LOOK_AHEAD};
use otr::protocol::session::verify::{Ending, VerifyError};
use otr::protocol::session::{Outcome, Part, Session, nothing_frames};

use super::script::{Act, Expiry, Line, Script, Setup, Side, refused};
use super::tape::Tape;
use crate::commands::capture::address;
use crate::context::now;
use crate::failure::{Code, Failure};
use crate::ui::printable;
use otr::postbox::client::Urls;

/// How many numbers a long message reserves at a time, as in `send`.
const BATCH: u32 = 256;
/// The most bytes of a message.
const MESSAGE_MAX: usize = 128 << 20;
/// What both people type at `verify`, and what somebody types who does not know it. No packet shows
/// it.
const ANSWER: &str = "swordfish";
const WRONG_ANSWER: &str = "haddock";

/// How a side writes.
#[derive(Clone, Copy)]
pub(super) struct Habits {
    pub(super) size: u8,
    pub(super) raw: bool,
}

/// One side.
struct End {
    session: Session,
    index: AddressIndex,
    habits: Habits,
    /// What was sent to it and not read yet; the output of one command stays together.
    waiting: VecDeque<Vec<Packet>>,
    /// The addresses of packets that it has read, which may arrive again.
    read: BTreeSet<[u8; ADDRESS]>,
    reads_when_told: bool,
    gone: bool,
}

pub(super) struct Stage<'a> {
    a: End,
    b: End,
    postbox: bool,
    tape: Tape,
    random: &'a mut dyn Randomness,
}

/// Plays the whole script; returns the record of it.
pub(super) fn play(
    script: &Script,
    habits: Habits,
    mut tape: Tape,
    random: &mut dyn Randomness,
) -> Result<Tape, Failure> {
    // Lines about the form at the beginning apply to the handshake, too.
    let mut own = [habits; 2];
    let early = |line: &&Line| matches!(line.act, Act::Size(_) | Act::Raw(_) | Act::Again);
    let settings = script.lines.iter().take_while(early).count();
    let (settings, lines) = script.lines.split_at(settings);
    for line in settings {
        set(&mut own[usize::from(line.side == Side::B)], &line.act);
    }
    let again =
        |side| settings.iter().filter(move |line| line.side == side && line.act == Act::Again);
    let again = [Side::A, Side::B].map(|side| again(side).count());
    let (a, b) = handshake(&script.setup, own, again, &mut tape, random)?;
    let end = |session, habits, side| End {
        session,
        index: AddressIndex::new(LOOK_AHEAD),
        habits,
        waiting: VecDeque::new(),
        read: BTreeSet::new(),
        reads_when_told: script.reads_when_told(side),
        gone: false,
    };
    let mut stage = Stage {
        a: end(a, own[0], Side::A),
        b: end(b, own[1], Side::B),
        postbox: script.setup.postbox.is_some(),
        tape,
        random,
    };
    if stage.postbox {
        stage.greet()?;
    }
    for line in lines {
        stage.play(line)?;
    }
    Ok(stage.tape)
}

fn set(habits: &mut Habits, act: &Act) {
    match act {
        Act::Size(size) => habits.size = *size,
        Act::Raw(raw) => habits.raw = *raw,
        _ => {}
    }
}

/// Makes the invite and the reply, and writes them as often as the script asks.
fn handshake(
    setup: &Setup,
    habits: [Habits; 2],
    again: [usize; 2],
    tape: &mut Tape,
    random: &mut dyn Randomness,
) -> Result<(Session, Session), Failure> {
    if let Some(postbox) = &setup.postbox {
        Urls::parse(postbox).map_err(|why| Failure::new(Code::Refused, why, ""))?;
    }
    let code = setup.code.as_deref().map(|code| ShortCode::parse(code).map_err(|_| no_code()));
    let code = code.transpose()?;
    let secret = match (&code, &setup.secret) {
        (Some(code), _) => Some(code.secret().map_err(|_| no_code())?),
        (None, Some(secret)) => Some(Password::from_text(secret).map_err(|_| no_secret())?),
        (None, None) => None,
    };
    // The bytes of an invite that does not expire do not depend on the clock.
    let expires = match setup.expires {
        None => None,
        Some(Expiry::At(time)) => Some(time),
        Some(Expiry::In(seconds)) => Some(now().saturating_add(seconds)),
    };
    let inviting = Inviting::new(
        Invitation { postbox: setup.postbox.as_deref(), expires, secret: secret.as_ref() },
        0,
        random,
    );
    let mut inviting = inviting.map_err(|error| match error {
        InvitingError::PostboxTooLong => {
            Failure::new(Code::Refused, "the postbox's address is too long", "")
        }
        error => Error::from(error).into(),
    })?;
    let invite = inviting.invite().to_vec();
    match &code {
        // The invite lies in the postbox, under the code's number.
        Some(code) => {
            let sealed = Nameplate::of(code.number()).seal(&invite, random);
            tape.packet(&sealed.map_err(|_| Failure::no_randomness())?, false)?;
        }
        None => (0..=again[0]).for_each(|_| tape.invite(&invite)),
    }
    let answered = respond(&invite, secret.as_ref(), 0, random);
    let (b, reply) = answered.map_err(Error::from)?;
    (0..=again[1]).for_each(|_| tape.reply(&reply, habits[1].raw));
    let opened = inviting.open(&reply).map_err(|_| out_of_step())?;
    let a = inviting.accept(opened, 0).map_err(|_| out_of_step())?;
    Ok((a, b))
}

impl Stage<'_> {
    fn end(&mut self, side: Side) -> &mut End {
        match side {
            Side::A => &mut self.a,
            Side::B => &mut self.b,
        }
    }

    fn end_and_random(&mut self, side: Side) -> (&mut End, &mut dyn Randomness) {
        let end = match side {
            Side::A => &mut self.a,
            Side::B => &mut self.b,
        };
        (end, &mut *self.random)
    }

    /// With a postbox, the inviting side answers the reply with a packet that says nothing.
    fn greet(&mut self) -> Result<(), Failure> {
        let (end, random) = self.end_and_random(Side::A);
        let mut reservation = end.session.reserve(1, random).map_err(Error::from)?;
        let sealed = reservation.seal_frames(K_MIN, &nothing_frames(), random);
        self.hand_over(Side::A, vec![sealed.map_err(Error::from)?], false)
    }

    fn play(&mut self, line: &Line) -> Result<(), Failure> {
        let side = line.side;
        if self.end(side).gone {
            return Err(refused(line.number, "that side has closed"));
        }
        match &line.act {
            Act::Says(text) => self.say(line, text.as_bytes()),
            Act::Sends(bytes) if *bytes > MESSAGE_MAX => Err(too_long(line)),
            Act::Sends(bytes) => self.say(line, &vec![b'.'; *bytes]),
            Act::File(path) => {
                let text = read_file(path)?;
                if text.len() > MESSAGE_MAX { Err(too_long(line)) } else { self.say(line, &text) }
            }
            Act::Reads(count) => self.read(side, count.unwrap_or(usize::MAX)),
            Act::Asks(question) => self.check_secret(line, Some(question), true),
            Act::Answers { right } => self.check_secret(line, None, *right),
            Act::Last => {
                let last = self.end(side).session.outbox().packets.clone();
                if last.is_empty() {
                    return Err(refused(line.number, "that side has no short message to repeat"));
                }
                self.hand_over(side, last, line.lost)
            }
            Act::Again => Err(refused(line.number, "that belongs before the first message")),
            Act::Size(_) | Act::Raw(_) => {
                set(&mut self.end(side).habits, &line.act);
                Ok(())
            }
            Act::Closes => self.close(line),
            Act::Leaves => {
                self.end(side).gone = true;
                Ok(())
            }
        }
    }

    /// `send`: the pending step of a check goes out first, and published keys go out with it.
    fn say(&mut self, line: &Line, text: &[u8]) -> Result<(), Failure> {
        let side = line.side;
        let end = self.end(side);
        if end.session.peer_closed() {
            return Err(refused(line.number, "the other side has closed"));
        }
        if !end.session.may_send_text() {
            let what = "with a secret, B writes only after it has read a packet of A's";
            return Err(refused(line.number, what));
        }
        self.still_goes_on(line)?;
        self.pay(side, line.lost)?;
        let (end, random) = self.end_and_random(side);
        let least = end.habits.size;
        let short = if text.len() < size(K_SHORT) {
            seal_short(&mut end.session, text, least..=K_SHORT, false, random)?
        } else {
            None
        };
        let packets = match short {
            Some(sealed) => {
                end.session.keep(vec![sealed.packet.clone()]);
                vec![sealed.packet]
            }
            None => seal_long(&mut end.session, text, least, random)?,
        };
        let (keys, raw) = (end.session.take_published(), end.habits.raw);
        self.tape.keys(&keys, raw);
        self.hand_over(side, packets, line.lost)
    }

    /// Refuses to go on if failed checks have ended the session.
    fn still_goes_on(&mut self, line: &Line) -> Result<(), Failure> {
        if self.end(line.side).session.ending() == Ending::GoesOn {
            return Ok(());
        }
        Err(refused(line.number, "three checks of a secret have failed: the session has ended"))
    }

    fn pay(&mut self, side: Side, lost: bool) -> Result<(), Failure> {
        let (end, random) = self.end_and_random(side);
        let pending = end.session.seal_pending(random).map_err(|_| out_of_step())?;
        pending.map_or(Ok(()), |packet| self.hand_over(side, vec![packet], lost))
    }

    /// `verify`, which asks or answers.
    fn check_secret(
        &mut self,
        line: &Line,
        question: Option<&str>,
        right: bool,
    ) -> Result<(), Failure> {
        self.still_goes_on(line)?;
        let secret = Password::from_text(if right { ANSWER } else { WRONG_ANSWER });
        let secret = secret.map_err(|_| no_secret())?;
        let (end, random) = self.end_and_random(line.side);
        if end.session.peer_closed() {
            return Err(refused(line.number, "the other side has closed"));
        }
        let sealed = match question {
            Some(question) => end.session.start_verify(&secret, question, random),
            None => match end.session.question_run() {
                Some(run) => {
                    let prs = secret.stretch(run).map_err(|_| Failure::out_of_memory())?;
                    end.session.answer_verify(&prs, random)
                }
                None => Err(VerifyError::NothingAsked),
            },
        };
        let packet = sealed.map_err(|error| match error {
            VerifyError::QuestionTooLong => {
                refused(line.number, "the question is longer than 1,024 bytes")
            }
            VerifyError::PeerAsked => refused(line.number, "the other side has asked: it answers"),
            VerifyError::NothingAsked => refused(line.number, "nobody has asked that side"),
            VerifyError::Waiting => {
                refused(line.number, "that side has answered, and has not read the result")
            }
            _ => out_of_step(),
        })?;
        end.session.keep(vec![packet.clone()]);
        self.hand_over(line.side, vec![packet], line.lost)
    }

    fn close(&mut self, line: &Line) -> Result<(), Failure> {
        let (end, random) = self.end_and_random(line.side);
        let (keys, raw) = (end.session.take_published(), end.habits.raw);
        let pending = end.session.seal_pending(random).map_err(|_| out_of_step())?;
        let last = farewell(&mut end.session, random)?;
        end.gone = true;
        self.tape.keys(&keys, raw);
        self.hand_over(line.side, pending.into_iter().chain(last).collect(), line.lost)
    }

    /// Hands over what one command writes.
    fn hand_over(&mut self, from: Side, packets: Vec<Packet>, lost: bool) -> Result<(), Failure> {
        let raw = self.end(from).habits.raw;
        for packet in &packets {
            self.tape.packet(packet, raw)?;
        }
        let to = from.other();
        if lost || packets.is_empty() || self.end(to).gone {
            return Ok(());
        }
        self.end(to).waiting.push_back(packets);
        if self.end(to).reads_when_told { Ok(()) } else { self.read(to, usize::MAX) }
    }

    /// `recv`; with a postbox, it discards there what was read, with its key, and posts the pending
    /// step.
    fn read(&mut self, side: Side, count: usize) -> Result<(), Failure> {
        let end = self.end(side);
        let count = count.min(end.waiting.len());
        for packet in end.waiting.drain(..count).flatten().collect::<Vec<_>>() {
            end.receive(packet.into())?;
        }
        if self.postbox {
            let spent = self.end(side).session.take_collected();
            self.tape.spent(&spent);
            self.pay(side, false)?;
        }
        Ok(())
    }
}

impl End {
    fn receive(&mut self, mut packet: Vec<u8>) -> Result<(), Failure> {
        // A packet that arrives twice is refused, as by `recv`.
        if !self.read.insert(address(&packet)) {
            return Ok(());
        }
        let opened = self.session.open(&mut self.index, &mut packet, None);
        let Ok(Outcome::Accepted(accepted)) = opened else { return Err(out_of_step()) };
        let accepted = self.session.accept(&mut self.index, &accepted, 0);
        accepted.map(drop).map_err(|_| out_of_step())
    }
}

/// Seals a message that does not fit into one packet of 64 KiB.
fn seal_long(
    session: &mut Session,
    text: &[u8],
    least: u8,
    random: &mut dyn Randomness,
) -> Result<Vec<Packet>, Failure> {
    let mut reservation = session.reserve(BATCH, random).map_err(Error::from)?;
    let message = session.begin_message();
    let room = reservation.room(K_MAX);
    let mut packets = Vec::new();
    for (number, part) in text.chunks(room).enumerate() {
        if reservation.left() == 0 {
            reservation = session.reserve(BATCH, random).map_err(Error::from)?;
        }
        let offset = number * room;
        let end = offset + part.len() == text.len();
        let k = reservation.fit(part.len(), if end { least } else { K_MAX }).unwrap_or(K_MAX);
        let whole = Part { message, offset: offset as u64, end, length: part.len() };
        let sealed = reservation.seal_text(k, part, whole, random);
        packets.push(sealed.map_err(Error::from)?.0);
    }
    session.give_back(reservation);
    session.keep_nothing();
    Ok(packets)
}

fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| {
        let name = printable::line(&path.to_string_lossy());
        Failure::new(Code::Failed, format!("cannot read {name}: {error}"), "")
    })
}

fn too_long(line: &Line) -> Failure {
    refused(line.number, "a message of more than 128 MiB")
}

fn no_code() -> Failure {
    let what =
        "the script's code is invalid: a code is a number and two words, such as 417-guitar-vanish";
    Failure::new(Code::Refused, what, "change the script")
}

fn no_secret() -> Failure {
    Failure::new(Code::Refused, "the script's secret is longer than 1,024 bytes", "shorten it")
}

fn out_of_step() -> Failure {
    Failure::new(
        Code::Failed,
        "the two ends do not understand each other",
        "this is a fault of otr",
    )
}
