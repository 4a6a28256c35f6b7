//! A transfer as it comes: the offer, about which the person is asked, then the content, into its place.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use otr::conversation::Event;
use otr::protocol::session::Identity;
use zeroize::Zeroizing;

use super::fault::shown;
use super::message::{Have, Kind, LINE, Line, Offer, Why};
use super::name;
use super::place::{Place, Refusal, check_room, destination};
use super::stdout::Out;
use super::talk::Ending;
use crate::failure::{Code, Failure};
use crate::ui::progress::{Progress, human};
use crate::ui::speak::Voice;
use crate::ui::{printable, prompt, stdio};

/// So many directories and links need not be told.
const FEW: u64 = 100;
/// A text up to this length is shown without a question.
const SHORT: u64 = 64 << 10;

/// What the person has said on the command line.
pub(super) struct Wanted {
    pub(super) yes: bool,
    pub(super) output: Option<PathBuf>,
    pub(super) stdout: bool,
}

impl Wanted {
    fn is_stdout(&self) -> bool {
        self.stdout || self.output.as_deref() == Some(Path::new("-"))
    }
}

/// How a transfer ended that did not come to its end.
pub(super) enum Ended {
    /// Not taken: the other side is told why.
    Refused(Refusal),
    /// There is no other side to tell.
    Over(Failure),
    /// The same command may go on.
    Later(Failure),
}

impl Ended {
    /// What an error of the engine means.
    pub(super) fn of(failure: Failure) -> Self {
        match failure.code {
            Code::Closed | Code::NotAuthentic | Code::NoSession | Code::CutShort => {
                Self::Over(failure)
            }
            _ => Self::Later(failure),
        }
    }
}

/// Nobody can be asked.
pub(super) fn unasked() -> Refusal {
    let what = "there is no terminal to ask whether to take it";
    let hint =
        "nothing was taken; give --yes to take what comes, into this directory or to -o PATH";
    Refusal::new(Why::Unasked, Code::Usage, what, hint)
}

/// Where the content goes.
enum Sink {
    /// Nothing is agreed yet.
    Nowhere,
    Place(Box<Place>),
    Stdout(Box<Out>),
}

/// One transfer.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Taking {
    voice: Voice,
    wanted: Wanted,
    number: u32,
    of: Identity,
    pub(super) ending: Ending,
    /// What a signal takes away.
    work: Arc<Mutex<Option<PathBuf>>>,
    sink: Sink,
    offer: Option<Offer>,
    /// The message whose content comes, and its line while that is not whole.
    message: Option<u64>,
    head: Zeroizing<Vec<u8>>,
    is_content: bool,
    progress: Option<Progress>,
    takes: bool,
    /// Whether the content was cut, which nobody has been told.
    pub(super) was_cut: bool,
    pub(super) is_done: bool,
    pub(super) closed: bool,
    pub(super) refusal: Option<Refusal>,
}

impl Taking {
    pub(super) fn new(
        voice: Voice,
        wanted: Wanted,
        (number, of): (u32, Identity),
        ending: Ending,
        work: Arc<Mutex<Option<PathBuf>>>,
    ) -> Self {
        Self {
            voice,
            wanted,
            number,
            of,
            ending,
            work,
            sink: Sink::Nowhere,
            offer: None,
            message: None,
            head: Zeroizing::default(),
            is_content: false,
            progress: None,
            takes: false,
            was_cut: false,
            is_done: false,
            closed: false,
            refusal: None,
        }
    }

    /// Takes up what an earlier run has left here, to which so many messages have come.
    pub(super) fn resume(&mut self, received: u64) -> Result<(), Ended> {
        if received == 0 && self.wanted.is_stdout() {
            return Ok(());
        }
        let output = self.wanted.output.as_deref().filter(|_| !self.wanted.is_stdout());
        if let Some(work) = Place::given_up(output, &self.of) {
            *self.work.lock().unwrap_or_else(PoisonError::into_inner) = Some(work);
            let what = "it was ended by an earlier run";
            let hint = "nothing of it was kept: ask for it again";
            return Err(Ended::Refused(Refusal::new(Why::Ended, Code::Closed, what, hint)));
        }
        let place = Place::again(output, self.number, &self.of);
        let place = place.map_err(|refusal| Ended::Later(refusal.failure))?;
        if self.wanted.is_stdout() {
            let what = "an earlier run puts it into a file";
            let hint = "give the command as before";
            let later = Failure::new(Code::Usage, what, hint);
            return Err(place.map_or_else(|| Ended::Refused(elsewhere()), |_| Ended::Later(later)));
        }
        if let Some(place) = place {
            self.offer = Some(place.offer.clone());
            self.watch(&place);
            // What that run was about to say when it was killed; the other side minds nothing twice.
            self.is_done = place.is_placed();
            self.takes = !place.has_begun();
            self.sink = Sink::Place(Box::new(place));
        } else if received > 0 {
            let what = "its beginning is not here";
            let hint = format!(
                "run the same command in the same directory; a text, or what went to stdout, cannot go on: \
                 'otr -s get-{} close' ends it",
                self.number
            );
            return Err(Ended::Later(Failure::new(Code::NotReady, what, hint)));
        }
        Ok(())
    }

    /// Whether anything has come so far, in this run or an earlier one.
    pub(super) fn has_begun(&self) -> bool {
        self.offer.is_some()
    }

    fn watch(&self, place: &Place) {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        *work = Some(place.beside().to_owned());
    }

    /// Takes away the content, while the session has not ended.
    pub(super) fn give_up(&mut self) {
        self.progress = None;
        if let Some(work) = &*self.work.lock().unwrap_or_else(PoisonError::into_inner) {
            Place::give_up(work);
        }
    }

    /// Takes away what lies beside the place.
    pub(super) fn clear(&mut self) {
        self.progress = None;
        if let Some(work) = self.work.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Place::clear(&work);
        }
    }

    /// Whether the other side is to be told something now.
    pub(super) fn has_to_answer(&self) -> bool {
        self.takes
    }

    /// What the other side is to be told now, if anything, before all is here.
    pub(super) fn answer(&mut self) -> Option<Line> {
        if !std::mem::take(&mut self.takes) {
            return None;
        }
        let have = match &mut self.sink {
            Sink::Place(place) => place.have().unwrap_or_default(),
            _ => Have::default(),
        };
        Some(Line::Take(have))
    }

    /// Takes what the engine delivers. What it has taken is in its place before the keys are forgotten.
    pub(super) fn event(&mut self, event: &Event<'_>) -> Result<(), Failure> {
        let taken = match *event {
            Event::Part { message, offset, end, text } => self.part(message, offset, end, text),
            Event::Truncated(_) => {
                self.progress = None;
                self.was_cut = true;
                Ok(())
            }
            Event::Closed => {
                self.closed = true;
                Ok(())
            }
            _ => Ok(()),
        };
        let Err(refusal) = taken else { return Ok(()) };
        let failure = refusal.failure.clone();
        self.refusal.get_or_insert(refusal);
        // A message of one line is taken, so that the other side can be answered.
        let is_line = matches!(event, Event::Part { end: true, .. }) && !self.is_content;
        if is_line { Ok(()) } else { Err(failure) }
    }

    fn part(&mut self, message: u64, offset: u64, end: bool, text: &[u8]) -> Result<(), Refusal> {
        if self.ending.has_come() {
            return Err(Refusal::interrupted());
        }
        let mut rest = text;
        let mut offset = offset;
        if offset == 0 {
            self.message = Some(message);
            self.head.clear();
            self.is_content = false;
        } else if self.message.is_none() {
            // Its beginning came to a run that was killed.
            self.message = Some(message);
            self.is_content = true;
        }
        if !self.is_content {
            let line = memchr::memchr(b'\n', rest);
            let (head, after) = rest.split_at(line.map_or(rest.len(), |at| at + 1));
            if self.head.len() + head.len() > LINE {
                return Err(not_ours());
            }
            self.head.extend_from_slice(head);
            offset += head.len() as u64;
            rest = after;
            if line.is_some() {
                self.line(message, offset)?;
            } else if end {
                return Err(not_ours());
            }
        }
        if self.is_content { self.content(message, offset, end, rest) } else { Ok(()) }
    }

    /// Takes the line at the beginning of a message, `head` bytes with its newline.
    fn line(&mut self, message: u64, head: u64) -> Result<(), Refusal> {
        match Line::parse(self.head.strip_suffix(b"\n").unwrap_or_default()) {
            Some(Line::Offer(offer)) => self.offered(offer),
            Some(Line::Content(from)) => {
                let Some(offer) = &self.offer else { return Err(not_ours()) };
                self.is_content = true;
                self.progress = Some(Progress::new(self.voice, offer.size));
                match &mut self.sink {
                    Sink::Nowhere => Err(not_ours()),
                    Sink::Place(place) => place.begins(message, head, from),
                    Sink::Stdout(out) => out.begins(from),
                }
            }
            // What a later version says besides.
            _ => Ok(()),
        }
    }

    fn content(
        &mut self,
        message: u64,
        offset: u64,
        end: bool,
        part: &[u8],
    ) -> Result<(), Refusal> {
        let came = match &mut self.sink {
            Sink::Nowhere => {
                return Err(elsewhere());
            }
            Sink::Place(place) => place.write(message, offset, part)?,
            Sink::Stdout(out) => out.write(part)?,
        };
        if let Some(progress) = &mut self.progress {
            progress.at(came);
        }
        if !end {
            return Ok(());
        }
        self.message = None;
        match &mut self.sink {
            Sink::Nowhere => {}
            Sink::Place(place) => place.end(came, &self.ending)?,
            Sink::Stdout(out) => out.end()?,
        }
        self.progress = None;
        self.is_done = true;
        Ok(())
    }

    /// Something is offered, perhaps once more.
    fn offered(&mut self, offer: Offer) -> Result<(), Refusal> {
        match &self.offer {
            Some(known) if *known != offer => {
                let what = "the other side now offers something else than before";
                let hint = "nothing of it was kept: ask for another code";
                return Err(Refusal::new(Why::Another, Code::Refused, what, hint));
            }
            Some(_) => match &mut self.sink {
                Sink::Place(_) => {}
                Sink::Stdout(out) => out.begins(0)?,
                Sink::Nowhere => return Err(not_ours()),
            },
            None => self.sink = self.agree(&offer)?,
        }
        self.offer = Some(offer);
        self.takes = true;
        Ok(())
    }

    /// Asks, unless that was done before.
    fn agree(&self, offer: &Offer) -> Result<Sink, Refusal> {
        let is_short = offer.kind == Kind::Text && offer.size.is_some_and(|size| size <= SHORT);
        let to_file = self.wanted.output.is_some() && !self.wanted.is_stdout();
        if self.wanted.is_stdout() || (offer.kind == Kind::Text && !to_file) {
            if !is_short {
                self.ask(offer, None)?;
            }
            return Out::open(offer).map(|out| Sink::Stdout(Box::new(out)));
        }
        let path = destination(self.wanted.output.as_deref(), offer, self.number)?;
        check_room(&path, offer)?;
        self.ask(offer, Some(&path))?;
        let place = Place::make(offer, path, &self.of)?;
        self.watch(&place);
        Ok(Sink::Place(Box::new(place)))
    }

    fn ask(&self, offer: &Offer, path: Option<&Path>) -> Result<(), Refusal> {
        let what = described(offer);
        let place = path.map_or_else(|| "stdout".to_owned(), shown);
        if self.wanted.yes {
            self.voice.say(format_args!("taking {what}, to {place}"));
            return Ok(());
        }
        if !io::stderr().is_terminal() {
            return Err(unasked());
        }
        self.ending.waits.store(true, Ordering::Release);
        let answer = prompt::yes(&format!("take {what}, to {place}?"), "give --yes");
        self.ending.waits.store(false, Ordering::Release);
        if self.ending.has_come() {
            // The session is ended already, whatever the answer was.
            return Err(Refusal::interrupted());
        }
        match answer {
            Ok(true) => Ok(()),
            Ok(false) => {
                let hint = "the other side knows";
                Err(Refusal::new(Why::Declined, Code::Refused, "nothing was taken", hint))
            }
            Err(failure) if failure.code == Code::Usage => Err(unasked()),
            Err(failure) => Err(Refusal { why: Why::Declined, failure }),
        }
    }

    /// Says on stdout where it is.
    pub(super) fn report(&self) -> Result<(), Failure> {
        let Sink::Place(place) = &self.sink else { return Ok(()) };
        let path = place.path.strip_prefix(".").unwrap_or(&place.path);
        let mut out = stdio::output()?;
        let line = if io::stdout().is_terminal() {
            shown(path).into_bytes()
        } else {
            path.as_os_str().as_encoded_bytes().to_vec()
        };
        let written = out.write_all(&[&line[..], b"\n"].concat());
        written.map_err(|error| Failure::output(&error))
    }
}

/// An offer in words, with what the other side says made visible.
fn described(offer: &Offer) -> String {
    let size = offer.size.map_or_else(|| "of unknown length".to_owned(), human);
    let name = printable::line(&offer.name);
    let safe = name::safe(&offer.name);
    let known = if name == safe { name.clone() } else { format!("{name}, as {safe}") };
    let files = if offer.files == 1 { "1 file".into() } else { format!("{} files", offer.files) };
    // Where they are the most of it, which the files do not show.
    let others = match offer.entries.saturating_sub(offer.files) {
        others if others <= offer.files.max(FEW) => String::new(),
        others => format!("{others} directories and links, "),
    };
    match offer.kind {
        Kind::File => format!("{known} ({size})"),
        Kind::Tree if name.is_empty() => format!("{files} ({others}{size})"),
        Kind::Tree => format!("the directory {known} ({files}, {others}{size})"),
        Kind::Text => format!("a text ({size})"),
        Kind::Stream => format!("what the other side has on stdin ({size})"),
    }
}

fn elsewhere() -> Refusal {
    let what = "its beginning went to another run, and cannot go on here";
    Refusal::new(Why::Cut, Code::CutShort, what, "the other side knows: ask for it again")
}

fn not_ours() -> Refusal {
    let what = "the other side does not hand anything over, or its otr is of another version";
    Refusal::new(Why::Cut, Code::Refused, what, "'otr put' is what it needs")
}
