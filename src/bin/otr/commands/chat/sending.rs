//! The thread that sends: what was entered is stored, and then posted, in its order.
//!
//! Storing takes a moment, also while the postbox is away. Three things keep what was entered in memory
//! alone for longer: a queue that is full; a long text or a file on its way, behind which everything waits
//! for its turn; and a call that the postbox has taken and does not answer. The end of the chat ends the
//! latter two, and what stood behind them is stored.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use otr::conversation::{Cause, Conversation, Error, ErrorKind, Files, K_SHORT, block_on};
use otr::postbox::client::{Client, Patience, Stop};
use otr::protocol::authentication::password::Password;
use otr::protocol::packet::size;
use otr::protocol::session::verify::VerifyError;
use zeroize::Zeroizing;

use super::events::{Direction, Event, Mark};
use super::outgoing::Way;
use super::pace::{Pace, Stock};
use crate::failure::{Code, Failure};
use crate::ui::speak::sentence;

/// How long not to call a postbox after it was away.
const AWAY: Duration = Duration::from_secs(2);
/// How often to tell how far a file is.
const GLANCE: Duration = Duration::from_millis(300);

/// What is to be sent.
pub(super) enum Job {
    Text(u64, Zeroizing<Vec<u8>>),
    File(u64, PathBuf),
    /// The words are the same: the other end learns nothing of it.
    Same,
    Ask(Password, String),
    /// For the question of this run, and no other.
    Answer([u8; 32], Password),
    /// Nothing more will be entered.
    End,
}

impl Job {
    fn is_message(&self) -> bool {
        matches!(self, Self::Text(..) | Self::File(..))
    }
}

/// Whether what is not stored before may go.
enum Flows {
    Now,
    Later,
    Never,
}

/// What was not sent when the thread ended.
#[derive(Clone, Copy, Default)]
pub(super) struct Left {
    /// Stored: the next command of the session posts it.
    pub(super) waiting: usize,
    pub(super) lost: usize,
}

/// Hears what was left.
#[derive(Clone, Default)]
pub(super) struct Ended(Arc<(Mutex<Option<Left>>, Condvar)>);

impl Ended {
    fn with(&self, left: Left) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(left);
        self.0.1.notify_all();
    }

    /// Waits for it so long.
    pub(super) fn wait(&self, limit: Duration) -> Option<Left> {
        let ended = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.0.1.wait_timeout_while(ended, limit, |ended| ended.is_none());
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

pub(super) struct Sending {
    pub(super) conversation: Conversation<Files>,
    pub(super) client: Client,
    pub(super) stop: Stop,
    pub(super) tell: Sender<Event>,
    pub(super) jobs: Receiver<Job>,
    pub(super) ended: Ended,
    /// What is not even stored, because so much waits already.
    pub(super) next: VecDeque<Job>,
    /// What is stored and not posted.
    pub(super) stock: Stock,
    /// When the postbox was last found away.
    pub(super) away: Option<Instant>,
    /// Whether nothing more will be entered.
    pub(super) is_last: bool,
    /// How many messages the end has kept from going out.
    pub(super) lost: usize,
}

impl Sending {
    /// Sends until the end.
    pub(super) fn run(mut self) -> Result<(), Failure> {
        let done = self.rounds();
        self.next.extend(self.jobs.try_iter());
        let lost = self.lost + self.next.iter().filter(|job| job.is_message()).count();
        self.ended.with(Left { waiting: self.stock.messages(), lost });
        done
    }

    fn rounds(&mut self) -> Result<(), Failure> {
        // From now on it is this session, and no other that takes its name.
        block_on(self.conversation.status())?;
        // What an earlier command has left goes first.
        self.post()?;
        while !self.is_over() {
            self.fetch();
            while let Some(job) = self.next.pop_front() {
                let is_message = job.is_message();
                let taken = self.take(job).inspect_err(|_| self.lost += usize::from(is_message));
                if let Some(job) = taken? {
                    self.next.push_front(job);
                    break;
                }
            }
            self.post()?;
        }
        Ok(())
    }

    /// Whether nothing more is to be done: what has a moment of its own is waited for, unless the chat is to end at
    /// once, or the postbox is away.
    fn is_over(&self) -> bool {
        let has_moment = || !self.stock.packets.is_empty() || !self.next.is_empty();
        let can_wait = || !self.stop.is_asked() && self.away.is_none() && !self.stock.is_over;
        self.is_last && (self.stock.pace.is_at_once() || !can_wait() || !has_moment())
    }

    /// Waits for something to do.
    fn fetch(&mut self) {
        // What an earlier command has left waits for the postbox, too.
        let waits = self.away.is_some() || self.stock.messages() > 0 || !self.next.is_empty();
        let job = if !self.stock.pace.is_at_once() {
            self.jobs.recv_timeout(self.stock.pause())
        } else if waits {
            self.jobs.recv_timeout(AWAY)
        } else {
            self.jobs.recv().map_err(|_| RecvTimeoutError::Disconnected)
        };
        match job {
            Ok(job) => self.add(job),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => self.is_last = true,
        }
        while let Ok(job) = self.jobs.try_recv() {
            self.add(job);
        }
    }

    fn add(&mut self, job: Job) {
        match job {
            Job::End => self.is_last = true,
            job => self.next.push_back(job),
        }
    }

    fn tell(&self, event: Event) {
        // Nobody may look any more.
        drop(self.tell.send(event));
    }

    fn mark(&self, number: u64, mark: Mark) {
        self.tell(Event::Marked(number, mark));
    }

    fn sent(&self, numbers: Vec<u64>) {
        for number in numbers {
            self.mark(number, Mark::Sent);
        }
    }

    fn by_post(&self) -> Way {
        Way::post(self.client.lasting(Patience::Brief))
    }

    /// For what is posted at once, unless all of it has moments of its own.
    fn by_pace(&self) -> Way {
        if self.stock.pace.is_at_once() { self.by_post() } else { Way::later(self.client.clone()) }
    }

    /// Does it; gives it back if that must wait.
    fn take(&mut self, job: Job) -> Result<Option<Job>, Failure> {
        match job {
            Job::Text(number, text) => {
                return Ok(self.text(number, &text)?.map(|()| Job::Text(number, text)));
            }
            Job::File(number, path) => match self.may_flow(number)? {
                Flows::Now => self.file(number, &path)?,
                Flows::Later => return Ok(Some(Job::File(number, path))),
                Flows::Never => {}
            },
            Job::Same => self.same(),
            Job::Ask(secret, question) => {
                let way = &mut self.by_pace();
                let asked = block_on(self.conversation.ask(way, secret, &question));
                self.checked(asked, "asked; the other side answers with /verify");
            }
            Job::Answer(run, secret) => self.answer(run, &secret),
            Job::End => {}
        }
        Ok(None)
    }

    /// Stores a short message, or sends a long one. `Some` if there is no room for it yet.
    fn text(&mut self, number: u64, text: &[u8]) -> Result<Option<()>, Failure> {
        if text.len() < size(K_SHORT) {
            let way = &mut Way::later(self.client.clone());
            match block_on(self.conversation.send(way, text)) {
                Ok(()) | Err(Error::Taken(_)) => {
                    self.stock.add(Some(number), way.sealed)?;
                    return Ok(None);
                }
                // It needs more than one packet.
                Err(Error::NotBegun(_)) => {}
                // There is no room yet, or another command is sending something long.
                Err(error) if matches!(error.kind(), ErrorKind::Full | ErrorKind::Busy) => {
                    return Ok(Some(()));
                }
                Err(error) => return self.not_sent(number, error).map(|()| None),
            }
        }
        match self.may_flow(number)? {
            Flows::Now => self.flush()?,
            Flows::Later => return Ok(Some(())),
            Flows::Never => return Ok(None),
        }
        let mut left = text;
        let read = move |room: &mut [u8]| Ok(left.read(room).unwrap_or_default());
        self.flow(number, read).map(|()| None)
    }

    /// Whether a file or a long text may go now, which is not stored before.
    fn may_flow(&mut self, number: u64) -> Result<Flows, Failure> {
        let pace = self.stock.pace;
        Ok(match pace {
            Pace::AtOnce => Flows::Now,
            Pace::Cover(_) => {
                let why = "it does not fit into one packet, and beside the cover it would be seen: \
                           a chat without --cover sends it";
                self.mark(number, Mark::NotSent(why.to_owned()));
                Flows::Never
            }
            // At the end it is known at once that it does not go any more.
            Pace::Hold(_) if self.stop.is_asked() || self.stock.is_long_due()? => Flows::Now,
            Pace::Hold(_) => Flows::Later,
        })
    }

    fn file(&mut self, number: u64, path: &Path) -> Result<(), Failure> {
        self.flush()?;
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) => {
                self.mark(number, Mark::NotSent(error.to_string()));
                return Ok(());
            }
        };
        let (tell, mut out, mut told) = (self.tell.clone(), 0, Instant::now());
        let read = move |room: &mut [u8]| {
            let count = file.read(room).map_err(|error| Cause::new(ErrorKind::Failed, error))?;
            out += count as u64;
            if told.elapsed() >= GLANCE {
                told = Instant::now();
                drop(tell.send(Event::Marked(number, Mark::Sending(out))));
            }
            Ok(count)
        };
        self.flow(number, read)
    }

    /// Sends a message as it is read, however long the postbox is away.
    fn flow(
        &mut self,
        number: u64,
        read: impl FnMut(&mut [u8]) -> Result<usize, Cause>,
    ) -> Result<(), Failure> {
        let way = &mut Way::flow(self.client.lasting(Patience::Endless));
        match block_on(self.conversation.send_from(way, read)) {
            Ok(()) => self.mark(number, Mark::Sent),
            Err(Error::Taken(_)) => self.stock.add(Some(number), way.sealed)?,
            Err(error) => self.not_sent(number, error)?,
        }
        Ok(())
    }

    /// Says that a message is not sent; an error if none will be.
    fn not_sent(&mut self, number: u64, error: Error) -> Result<(), Failure> {
        let failure = Failure::from(error);
        self.mark(number, Mark::NotSent(failure.what.to_string()));
        match failure.code {
            Code::NoSession | Code::NotAuthentic | Code::UnsafeState => Err(failure),
            _ => {
                self.lost += usize::from(self.stop.is_asked());
                Ok(())
            }
        }
    }

    fn same(&mut self) {
        let words = block_on(self.conversation.words());
        let same = words.and_then(|words| match words {
            Some(words) => block_on(self.conversation.confirm_words(&words)),
            None => Ok(false),
        });
        match same {
            Ok(true) => self.tell(Event::WordsSame),
            Ok(false) => self.tell(Event::Said("there are no words yet".to_owned())),
            Err(error) => self.tell(Event::Said(sentence(&error.into()))),
        }
    }

    fn answer(&mut self, run: [u8; 32], secret: &Password) {
        let asked = match block_on(self.conversation.question()) {
            Ok(Some(asked)) if asked.run != run => {
                let said =
                    "the other side has asked anew, and this was not compared: see its question";
                return self.tell(Event::Checked(said.to_owned()));
            }
            Ok(asked) => asked.ok_or_else(|| VerifyError::NothingAsked.into()),
            Err(error) => Err(error),
        };
        let way = &mut self.by_pace();
        let answered =
            asked.and_then(|asked| block_on(self.conversation.answer(way, &asked, secret)));
        if matches!(answered, Ok(()) | Err(Error::Taken(_))) {
            self.tell(Event::Answered(run));
        }
        self.checked(answered, "answered; the other side's next packet tells");
    }

    fn checked(&mut self, done: Result<(), Error>, said: &str) {
        let said = match done {
            Ok(()) => said.to_owned(),
            Err(Error::Taken(_)) => {
                if self.stock.pace.is_at_once() {
                    self.found_away();
                }
                said.to_owned()
            }
            Err(error) => sentence(&error.into()),
        };
        self.tell(Event::Checked(said));
    }

    fn found_away(&mut self) {
        if self.away.replace(Instant::now()).is_none() {
            self.tell(Event::Away(Direction::Out, true));
        }
    }

    /// Posts what is to be posted by now, unless the postbox was away a moment ago.
    fn post(&mut self) -> Result<(), Failure> {
        if self.stop.is_asked() {
            return Ok(());
        }
        let pace = self.stock.pace;
        match pace {
            Pace::AtOnce => self.flush(),
            Pace::Cover(_) if self.stock.is_cover_due()? => self.post_one(true).map(drop),
            Pace::Cover(_) => Ok(()),
            Pace::Hold(_) => {
                self.look()?;
                while self.stock.is_due() && !self.is_just_away() && self.post_one(false)? {}
                Ok(())
            }
        }
    }

    fn is_just_away(&self) -> bool {
        self.away.is_some_and(|since| since.elapsed() < AWAY)
    }

    /// Posts all that is stored.
    fn flush(&mut self) -> Result<(), Failure> {
        if (self.is_just_away() && !self.is_last) || self.stop.is_asked() {
            return Ok(());
        }
        let way = &mut self.by_post();
        let flushed = block_on(self.conversation.flush(way));
        if self.posted(flushed)? {
            let posted = self.stock.all_posted().collect();
            self.sent(posted);
        }
        Ok(())
    }

    /// Posts one packet, of the cover if none waits; whether fewer wait than before.
    fn post_one(&mut self, cover: bool) -> Result<bool, Failure> {
        let before = self.stock.packets.len();
        let way = &mut self.by_post();
        match block_on(self.conversation.post_one(way, cover)) {
            Err(Error::PeerClosed) => self.stock.end(),
            done => drop(self.posted(done)?),
        }
        self.look()?;
        Ok(self.stock.packets.len() < before)
    }

    /// Learns what still waits, and what other commands of the session have posted, or left.
    fn look(&mut self) -> Result<(), Failure> {
        match block_on(self.conversation.waiting()) {
            Ok(waiting) => {
                let posted = self.stock.waits(&waiting)?;
                self.sent(posted);
                Ok(())
            }
            Err(error) => self.posted(Err(error)).map(drop),
        }
    }

    /// Says what posting has come to: whether it worked.
    fn posted(&mut self, done: Result<(), Error>) -> Result<bool, Failure> {
        match done {
            Ok(()) => {
                if self.away.take().is_some() {
                    self.tell(Event::Away(Direction::Out, false));
                }
                Ok(true)
            }
            Err(error) if matches!(error.kind(), ErrorKind::Unreachable | ErrorKind::Full) => {
                self.found_away();
                Ok(false)
            }
            // Nobody has answered yet, or another command of the session is sending.
            Err(error) if matches!(error.kind(), ErrorKind::NotReady | ErrorKind::Busy) => {
                Ok(false)
            }
            // Failed checks have ended the session: who receives says so.
            Err(Error::NearlyOver) => Ok(false),
            // What was entered meanwhile is still to be stored.
            Err(_) if self.stop.is_asked() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
