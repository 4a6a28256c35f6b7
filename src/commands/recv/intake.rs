//! The session's side of `recv`: packets are opened on a working copy, their text goes out, and
//! only then the stored state follows, even if a `send` has moved it on meanwhile.

mod waiting;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::Duration;

use otr::armor::encode;
use otr::protocol::authentication::verify::Event;
use otr::protocol::handshake::ReplyError;
use otr::protocol::handshake::reply::REPLY;
use otr::protocol::ratchet::lookahead::Lookahead;
use otr::protocol::ratchet::skipped::Position;
use otr::protocol::session::stored::{Expired, Stage};
use otr::protocol::session::verify::Ending;
use otr::protocol::session::{Accepted, Outcome as Opened, Refusal, Role, Session};
use otr::store::{RoleLock, StateLock, Store, Version};

use super::delivery::{Delivery, Piece};
use super::outcome::Outcome;
use super::reply;
use crate::commands::authenticated::UNCHECKED;
use crate::commands::ending;
use crate::commands::held::{Held, Known, no_reply_yet, nobody_answered};
use crate::commands::outbox;
use crate::commands::owed::{self, Way};
use crate::context::Context;
use crate::context::now;
use crate::failure::{Code, Failure};
use crate::postbox::client::Client;
use crate::ui::speak::warn;

/// What happened to the working copy since it was stored, to be done again on a state that a
/// `send` has moved on.
enum Change {
    /// And when, in Unix seconds.
    Accepted(Box<Accepted>, u64),
    GivenUp(u64),
}

/// A later part that came first, or a part of a message that is not being written out.
struct HeldPacket {
    packet: Vec<u8>,
    at: Position,
}

/// The receiving half of a session, for one command.
pub(super) struct Intake<'a> {
    context: &'a Context,
    store: Store,
    _receiver: RoleLock,
    stage: Stage,
    /// The stored state on which the changes were made.
    version: Version,
    lookahead: Lookahead,
    look_ahead: u32,
    changes: Vec<Change>,
    /// Opened packets whose text waits to be written.
    opened: Vec<Vec<u8>>,
    /// By message and offset.
    held: BTreeMap<(u64, u64), HeldPacket>,
    held_bytes: usize,
    /// Whether parts are held that [`settle`](Self::settle) has not seen.
    held_more: bool,
    reveal: Option<PathBuf>,
    /// What became of checks of a secret, by the acceptances that are going to be stored.
    checks: Vec<Event>,
    /// Whether the person was told in this run that nobody has checked who the other side is.
    unchecked_told: bool,
    /// Whether it is open whether the other side knows the secret.
    is_guess: bool,
    /// Where what is owed to the other side can be posted.
    client: Option<Client>,
}

impl<'a> Intake<'a> {
    /// Loads the session, whose one receiver the caller is.
    pub(super) fn open(
        context: &'a Context,
        mut store: Store,
        loaded: Option<Known>,
        receiver: RoleLock,
        look_ahead: u32,
        reveal: Option<PathBuf>,
    ) -> Result<Self, Failure> {
        let held = match loaded {
            Some(known) => Held::retake(&mut store, known, context.lock_wait)?,
            None => Held::take(&mut store, context.lock_wait)?,
        };
        let known = held.into_known();
        let is_guess = is_unconfirmed(&known.stage);
        Ok(Self {
            context,
            store,
            _receiver: receiver,
            stage: known.stage,
            version: known.version,
            lookahead: Lookahead::new(look_ahead),
            look_ahead,
            changes: Vec::new(),
            opened: Vec::new(),
            held: BTreeMap::new(),
            held_bytes: 0,
            held_more: false,
            reveal,
            checks: Vec::new(),
            unchecked_told: false,
            is_guess,
            client: None,
        })
    }

    /// What is owed to the other side is posted there from now on.
    pub(super) fn answer_by(&mut self, client: &Client) {
        self.client = Some(client.clone());
    }

    /// The session as it is by now, if the handshake is done.
    pub(super) fn session(&self) -> Option<&Session> {
        match &self.stage {
            Stage::Session(session) => Some(session),
            Stage::Inviting(_) => None,
        }
    }

    /// How far the conversation is by now.
    pub(super) fn stage(&self) -> &Stage {
        &self.stage
    }

    /// Ends the receiving.
    pub(super) fn into_store(self) -> Store {
        self.store
    }

    /// Takes over what a `send` has stored meanwhile, if it has.
    pub(super) fn refresh(&mut self) -> Result<bool, Failure> {
        let lock = self.store.lock_state(self.context.lock_wait)?;
        let changed = !self.store.is_current(&lock, &self.version)?;
        if changed {
            let Known { stage, version } = Known::load(&self.store, &lock)?;
            self.stage = match (&self.stage, stage) {
                (Stage::Inviting(ours), Stage::Session(opened)) if ours.became(&opened) => {
                    Stage::Session(opened)
                }
                (Stage::Inviting(ours), Stage::Inviting(same))
                    if same.invite() == ours.invite() =>
                {
                    Stage::Inviting(same)
                }
                (Stage::Inviting(_), _) => return Err(reply::another_invite()),
                (Stage::Session(_), stage) => self.again(stage)?,
            };
            self.version = version;
        } else if self.changes.is_empty() {
            // A receiver that runs for weeks.
            match self.stage.expire(now()) {
                Expired::Nothing => {}
                Expired::Numbers => {
                    self.store.replace(&lock, &mut self.version, &self.stage.to_bytes(false))?;
                }
                Expired::Invite => {
                    self.store.wipe(&lock)?;
                    return Err(nobody_answered());
                }
            }
        }
        Ok(changed)
    }

    /// Whether what was taken is not stored yet.
    pub(super) fn is_ahead(&self) -> bool {
        !self.changes.is_empty()
    }

    /// Whether a later part with this address is held.
    pub(super) fn holds(&self, address: &[u8; 32]) -> bool {
        self.held.values().any(|held| held.packet.starts_with(address))
    }

    /// Posts what waits for it, unless a `send` is at it.
    pub(super) fn post_waiting(&mut self, client: &Client) -> Result<(), Failure> {
        let Ok(_sender) = self.store.lock_sender(Duration::ZERO) else { return Ok(()) };
        let of = self.session().map(Session::identity);
        outbox::post_waiting(self.context, &mut self.store, client, of)?;
        self.reload()
    }

    /// The postbox has these keys.
    pub(super) fn forget_collected(&mut self, records: &[[u8; 96]]) -> Result<(), Failure> {
        if records.is_empty() {
            return Ok(());
        }
        let lock = self.catch_up()?;
        if let Stage::Session(session) = &mut self.stage {
            session.forget_collected(records);
        }
        if self.is_ahead() {
            // Text of what was taken may be in memory alone: the state that forgets it comes later,
            // and with it this. Until then the postbox may be told twice.
            return Ok(());
        }
        Ok(self.store.replace(&lock, &mut self.version, &self.stage.to_bytes(false))?)
    }

    /// Reads what this process itself has stored by another way.
    fn reload(&mut self) -> Result<(), Failure> {
        let lock = self.store.lock_state(self.context.lock_wait)?;
        self.load(&lock)
    }

    /// Loads what is stored, and does the changes again on that.
    fn load(&mut self, lock: &StateLock) -> Result<(), Failure> {
        let Known { stage, version } = Known::load(&self.store, lock)?;
        self.stage = self.again(stage)?;
        self.version = version;
        Ok(())
    }

    /// Takes the reply to the invite, and stores the session that it opens.
    pub(super) fn reply(&mut self, reply: &[u8], outcome: &mut Outcome) -> Result<(), Failure> {
        let invite = match &self.stage {
            Stage::Inviting(inviting) => inviting.invite(),
            Stage::Session(session) => {
                outcome.refuse(if session.role() == Role::Responder {
                    "a reply: it is for the side that made the invite"
                } else {
                    "a reply: the invite was answered already"
                });
                return Ok(());
            }
        };
        let mut held = Held::take(&mut self.store, self.context.lock_wait)?;
        match reply::accept(&mut held, invite, reply)? {
            Ok(mut session) => {
                if !session.postbox().is_empty() {
                    // In the same step: it is posted even if this command ends here.
                    outbox::greet(&mut session)?;
                }
                held.keep_and_hold(Stage::Session(Box::new(session)))?;
                Known { stage: self.stage, version: self.version } = held.into_known();
                outcome.replied = true;
            }
            Err(ReplyError::Junk) => outcome.refuse("a reply to another invite, or a damaged one"),
            Err(ReplyError::Bad) => {
                outcome.refuse("a reply that holds the invite's key and does not fit it");
            }
            Err(ReplyError::Second) => {
                outcome.refuse("a second reply to this invite: somebody else has it too");
            }
            Err(ReplyError::NotAuthentic) => {
                let code =
                    matches!(&held.stage, Stage::Inviting(inviting) if inviting.is_by_code());
                held.wipe()?;
                return Err(reply::wrong_guess(code));
            }
        }
        Ok(())
    }

    /// Takes a packet: its text, if it is due, goes into `delivery`. `hash` is its SHA-256, where
    /// that is known.
    pub(super) fn packet(
        &mut self,
        packet: Vec<u8>,
        hash: Option<[u8; 32]>,
        delivery: &mut Delivery,
        outcome: &mut Outcome,
    ) -> Result<(), Failure> {
        self.refuse_if_over()?;
        if matches!(self.stage, Stage::Inviting(_)) {
            // A raw reply looks like any packet of its size.
            if packet.len() == REPLY {
                return self.reply(&packet, outcome);
            }
            return Err(no_reply_yet());
        }
        if delivery.is_done() {
            outcome.left += 1;
            return Ok(());
        }
        if self.try_packet(packet, hash, delivery, outcome)? {
            self.try_held(delivery, outcome)?;
            self.give_up_hopeless(delivery, outcome)?;
        }
        Ok(())
    }

    /// Whether the packet was accepted.
    fn try_packet(
        &mut self,
        mut packet: Vec<u8>,
        hash: Option<[u8; 32]>,
        delivery: &mut Delivery,
        outcome: &mut Outcome,
    ) -> Result<bool, Failure> {
        match self.open_packet(&mut packet, hash, delivery)? {
            Ok(Opened::Accepted(accepted)) => {
                if delivery.will_keep_back(&accepted) {
                    // What came before is out, and must not wait for this message's end.
                    self.store(delivery, &mut drop)?;
                }
                let Stage::Session(session) = &mut self.stage else { return Ok(false) };
                delivery.check(&accepted, &session.identity(), self.changes.len())?;
                let at = now();
                let effects = session
                    .accept(&mut self.lookahead, &accepted, at)
                    .map_err(|_| changed_meanwhile())?;
                let over = session.ending() != Ending::GoesOn;
                self.checks.extend(effects.verify);
                outcome.packets += 1;
                outcome.lost += effects.lost.fell_out + effects.lost.given_up;
                for message in effects.cut {
                    outcome.cut.push(message);
                    delivery.cut(message);
                }
                outcome.closed |= accepted.frames.close.is_some();
                if let (Some(data), false) = (&accepted.frames.data, accepted.dropped || over) {
                    if delivery.is_rest(data) {
                        outcome.rest(data.message);
                    }
                    outcome.whole += u64::from(data.end);
                    if session.is_unchecked_untold() && !self.context.voice.is_quiet() {
                        self.context.voice.say(UNCHECKED);
                        session.record_unchecked_told();
                        self.unchecked_told = true;
                    }
                    delivery.add(Piece { packet: self.opened.len(), data: data.clone() });
                }
                self.opened.push(packet);
                self.changes.push(Change::Accepted(accepted, at));
                if over {
                    // Nothing that lies behind it is looked at.
                    self.store(delivery, &mut drop)?;
                }
                Ok(true)
            }
            Ok(Opened::Held { message, offset, at }) => {
                self.hold((message, offset), HeldPacket { packet, at }, delivery, outcome)?;
                Ok(false)
            }
            Err(Refusal::CommitmentBroken) => {
                let ours = self.session().map(Session::identity);
                let held = Held::take(&mut self.store, self.context.lock_wait)?;
                // Not another one that got the name meanwhile.
                match (ours, &held.stage) {
                    (Some(ours), Stage::Session(session)) if ours.is(&session.identity()) => {}
                    _ => return Err(changed_meanwhile()),
                }
                held.wipe()?;
                let hint = "the session has been ended; begin a new one over another channel";
                Err(Failure::new(Code::NotAuthentic, "somebody is in between", hint))
            }
            Err(refusal) => {
                outcome.unexpected += u64::from(refusal == Refusal::NotOurs);
                outcome.refuse(reason(refusal));
                Ok(false)
            }
        }
    }

    /// Opens a packet. One that nothing is expected under may answer what a `send` beside this
    /// command has sent: then, once, it is tried on what that one has stored.
    fn open_packet(
        &mut self,
        packet: &mut [u8],
        hash: Option<[u8; 32]>,
        delivery: &Delivery,
    ) -> Result<Result<Opened, Refusal>, Failure> {
        let opened = self.open_here(packet, hash, delivery);
        if matches!(opened, Err(Refusal::NotOurs)) && self.refresh()? {
            return Ok(self.open_here(packet, hash, delivery));
        }
        Ok(opened)
    }

    fn open_here(
        &mut self,
        packet: &mut [u8],
        hash: Option<[u8; 32]>,
        delivery: &Delivery,
    ) -> Result<Opened, Refusal> {
        match &self.stage {
            Stage::Session(session) => {
                session.open_hashed(&mut self.lookahead, packet, hash, delivery.writing())
            }
            Stage::Inviting(_) => Err(Refusal::NotOurs),
        }
    }

    /// Writes what was opened.
    pub(super) fn write(
        &mut self,
        delivery: &mut Delivery,
        recycle: &mut dyn FnMut(Vec<u8>),
    ) -> Result<(), Failure> {
        delivery.write(&self.opened, self.session())?;
        self.opened.drain(..).for_each(recycle);
        Ok(())
    }

    /// Writes what was opened, then stores the state that forgets its keys.
    pub(super) fn store(
        &mut self,
        delivery: &mut Delivery,
        recycle: &mut dyn FnMut(Vec<u8>),
    ) -> Result<(), Failure> {
        self.write(delivery, recycle)?;
        // At the session's end nobody will have the rest of what is kept back.
        if self.changes.is_empty() || (delivery.keeps_back() && !self.is_over()) {
            return Ok(());
        }
        let revealed = self.store_changes()?;
        self.changes.clear();
        delivery.stored();
        self.count_no_guess();
        for event in std::mem::take(&mut self.checks) {
            delivery.check_of_secret(self.context.voice, &event, self.session())?;
        }
        if let (Some(path), false) = (&self.reveal, revealed.is_empty()) {
            append(path, &revealed)?;
        }
        self.end_if_over()
    }

    /// Takes back that answering the invite gave a guess at the secret away, once that is known.
    fn count_no_guess(&mut self) {
        if !self.is_guess || is_unconfirmed(&self.stage) {
            return;
        }
        self.is_guess = false;
        if let (Some(session), Some(directory)) = (self.session(), self.store.directory()) {
            directory.was_no_guess(session.created());
        }
    }

    /// Refuses to take anything more in a session that failed checks have ended.
    pub(super) fn refuse_if_over(&self) -> Result<(), Failure> {
        if self.is_over() { Err(ending::nearly_over()) } else { Ok(()) }
    }

    /// Whether failed checks have ended the session.
    fn is_over(&self) -> bool {
        self.session().is_some_and(|session| session.ending() != Ending::GoesOn)
    }

    /// Posts what is owed to the other side, if it can be, and ends the session where failed
    /// checks do: code 5. Where there is a postbox, nothing is left of it then, even if the other
    /// side could not be told. Nothing may wait to be stored here.
    pub(super) fn end_if_over(&mut self) -> Result<(), Failure> {
        let was_over = self.is_over();
        match self.pay() {
            // A `send` that was at it has ended it.
            Err(failure) if was_over && failure.code == Code::NoSession => {
                return Err(ending::over());
            }
            other => other?,
        }
        if !self.is_over() {
            return Ok(());
        }
        if self.client.is_some() {
            let of = self.session().map(Session::identity);
            let why = "something else is sending";
            outbox::wipe_untold(self.context, &mut self.store, of, why)?;
        } else if self.session().is_some_and(ending::is_over) {
            // It is wiped by this.
            drop(Held::take(&mut self.store, self.context.lock_wait)?);
        }
        Err(ending::nearly_over())
    }

    /// Posts what is owed to the other side, unless a `send` is at it: then that does, or the next
    /// call. At the session's end that one is waited for.
    fn pay(&mut self) -> Result<(), Failure> {
        let Some(client) = self.client.clone() else { return Ok(()) };
        if !self.is_over() && !self.session().is_some_and(Session::owes) {
            return Ok(());
        }
        let wait = if self.is_over() { self.context.lock_wait } else { Duration::ZERO };
        let Ok(_sender) = self.store.lock_sender(wait) else { return Ok(()) };
        let of = self.session().map(Session::identity);
        let paid = outbox::post_waiting(self.context, &mut self.store, &client, of)
            .and_then(|()| owed::settle(self.context, &mut self.store, Way::Post(&client)));
        match paid {
            Err(failure) if matches!(failure.code, Code::NotAuthentic | Code::NoSession) => {
                return Err(failure);
            }
            Err(failure) => warn(format_args!("a packet waits to be posted: {}", failure.what)),
            Ok(()) => {}
        }
        self.reload()
    }

    /// Stores the working copy, or its changes on top of what a `send` has stored meanwhile; the
    /// keys to be published elsewhere, if that was asked for.
    fn store_changes(&mut self) -> Result<Vec<u8>, Failure> {
        let lock = self.catch_up()?;
        let mut revealed = Vec::new();
        if let (Stage::Session(session), true) = (&mut self.stage, self.reveal.is_some()) {
            for key in session.take_published() {
                encode::key(&mut revealed, &key, None);
            }
        }
        self.store.replace(&lock, &mut self.version, &self.stage.to_bytes(false))?;
        Ok(revealed)
    }

    /// Locks the state to store it, with what a `send` has stored meanwhile under our changes.
    fn catch_up(&mut self) -> Result<StateLock, Failure> {
        let lock = self.store.lock_state(self.context.lock_wait)?;
        if !self.store.is_current(&lock, &self.version)? {
            self.load(&lock)?;
        }
        Ok(lock)
    }

    /// Does the changes again on a state that was loaded anew.
    fn again(&mut self, stage: Stage) -> Result<Stage, Failure> {
        let (Stage::Session(mut session), Stage::Session(ours)) = (stage, &self.stage) else {
            return Err(changed_meanwhile());
        };
        if !session.identity().is(&ours.identity()) {
            return Err(changed_meanwhile());
        }
        self.lookahead = Lookahead::new(self.look_ahead);
        self.checks.clear();
        if self.unchecked_told {
            session.record_unchecked_told();
        }
        for change in &self.changes {
            match change {
                Change::Accepted(accepted, at) => {
                    let effects = session
                        .accept(&mut self.lookahead, accepted, *at)
                        .map_err(|_| changed_meanwhile())?;
                    self.checks.extend(effects.verify);
                }
                Change::GivenUp(message) => session.give_up(*message),
            }
        }
        // Not before: a number may have been used in its last second.
        session.expire(now());
        Ok(Stage::Session(session))
    }
}

/// Whether the other side has still to show that it knows the secret.
fn is_unconfirmed(stage: &Stage) -> bool {
    matches!(stage, Stage::Session(session) if session.used_secret() && !session.is_confirmed())
}

fn changed_meanwhile() -> Failure {
    let hint = "what was written may come once more; look at it with 'otr status'";
    Failure::new(Code::Failed, "the session was changed by something else meanwhile", hint)
}

fn append(path: &PathBuf, lines: &[u8]) -> Result<(), Failure> {
    let open = || -> std::io::Result<File> {
        OpenOptions::new().append(true).create(true).mode(0o600).open(path)
    };
    open().and_then(|mut file| file.write_all(lines)).map_err(|error| {
        let what = format!("cannot write the MAC keys to {}: {error}", path.display());
        Failure::new(Code::Failed, what, "these keys are not published").about(path)
    })
}

/// Why a packet was refused, for a person.
fn reason(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Size => "a packet of a wrong length",
        Refusal::NotOurs => {
            "a packet that is not expected: it was here before, or is of another session"
        }
        Refusal::Ratchet(_) => "a packet that does not open: it was changed on its way",
        Refusal::Part => "a part of a message that was here before",
        Refusal::Frames(_) | Refusal::Opening | Refusal::Verify | Refusal::CommitmentBroken => {
            "a packet that breaks the protocol"
        }
    }
}
