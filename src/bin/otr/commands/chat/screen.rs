//! The chat as the person sees it: what happens with each key, and with all that comes from the threads.

use std::fs::File;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SendError, Sender};

use zeroize::Zeroizing;

use super::events::{Came, Decision, Direction, Event, Facts, Long, Mark};
use super::history::{History, Who};
use super::line::Line;
use super::paint::{Foot, Paint};
use super::saving::is_there;
use super::secret::{Secret, Taken};
use super::sending::Job;
use super::status::Status;
use super::typed::{COMMANDS, KEYS, Typed, completed};
use crate::commands::recv::write_new;
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::ui::keys::Key;
use crate::ui::printable;
use crate::ui::progress::human;
use crate::ui::speak::sentence;
use crate::ui::terminal::{Drawn, Screen};

/// The longest text that is sent as typed or pasted, in bytes.
const TEXT: usize = 16 << 20;
/// What stands before the line.
const PROMPT: &str = "> ";
/// The most candidates of a completion to show.
const CANDIDATES: usize = 40;

const SAVING: &str = "a file is on its way in: wait until it is saved";
const ASK_LEAVE: &str = "leave? [l]eave the session open, [c]lose it for both, [g]o on: ";
const ASK_CLOSE: &str =
    "close the session on both sides, and wipe it here? Enter closes it, any other key goes on: ";

/// How the chat ends.
pub(super) enum End {
    /// The session stays; whether the other side has closed it.
    Leave {
        closed: bool,
    },
    Close,
    /// The words differ: the session ends.
    Differ,
    Failed(Failure),
}

/// What is asked in the place of the line.
enum Asking {
    Leave,
    Close,
    Secret(Secret),
}

pub(super) struct Chat<'a> {
    context: &'a Context,
    history: History,
    line: Line,
    paint: Paint,
    asking: Option<Asking>,
    facts: Facts,
    /// Whether the words were shown.
    offered: bool,
    /// Whether the postbox is away, as either direction finds.
    away: (bool, bool),
    long: Option<Long>,
    /// Whether it is on its way into a file.
    is_saving: bool,
    /// The last text that came, for `/save`.
    last: Option<Zeroizing<Vec<u8>>>,
    jobs: Sender<Job>,
    count: u64,
    /// Those who hear that what they sent is on the screen.
    unseen: Vec<Sender<()>>,
    /// How many messages have come while earlier lines are looked at.
    new: usize,
}

impl<'a> Chat<'a> {
    pub(super) fn new(context: &'a Context, paint: Paint, facts: Facts, jobs: Sender<Job>) -> Self {
        let mut chat = Self {
            context,
            history: History::default(),
            line: Line::default(),
            paint,
            asking: None,
            facts: Facts::default(),
            offered: false,
            away: (false, false),
            long: None,
            is_saving: false,
            last: None,
            jobs,
            count: 0,
            unseen: Vec::new(),
            new: 0,
        };
        if chat.paint.is_inline() {
            chat.note("--inline: what is said here stays in the terminal's scrollback");
        }
        chat.note("/help shows the commands; Ctrl-C asks whether to leave or to close");
        if facts.is_open && !facts.is_closed {
            chat.note("the session is open");
        }
        chat.learn(facts);
        chat
    }

    /// Says something to the person.
    pub(super) fn note(&mut self, words: &str) {
        self.history.add(Who::Note, &printable::text(words.as_bytes()), None);
    }

    /// Runs until the person ends it, or something else does.
    pub(super) fn run(
        &mut self,
        screen: &mut Screen,
        terminal: &File,
        events: &Receiver<Event>,
    ) -> End {
        loop {
            if self.draw(screen, terminal).is_err() {
                return gone();
            }
            let Ok(first) = events.recv() else { return gone() };
            // All that is there is drawn once.
            for event in [first].into_iter().chain(events.try_iter()) {
                if let Some(end) = self.take(event) {
                    return end;
                }
            }
        }
    }

    fn draw(&mut self, screen: &mut Screen, terminal: &File) -> std::io::Result<()> {
        let status = self.status(size(terminal).0);
        let question = self.asking.as_ref().map(|asking| match asking {
            Asking::Leave => ASK_LEAVE,
            Asking::Close => ASK_CLOSE,
            Asking::Secret(secret) => secret.prompt(),
        });
        // A question stands in the place of the line, its end being where the answer would be.
        let foot = match question {
            Some(text) => Foot { status, prompt: "", text, cursor: text.len() },
            None => {
                Foot { status, prompt: PROMPT, text: self.line.text(), cursor: self.line.cursor() }
            }
        };
        let (paint, history) = (&mut self.paint, &mut self.history);
        let frame = |is_new: bool| {
            if is_new {
                paint.begin();
            }
            paint.frame(size(terminal), history, &foot)
        };
        match screen.draw(frame)? {
            Drawn::Yes => {}
            // It is drawn when the screen is ours again.
            Drawn::No => return Ok(()),
            Drawn::Lost => {
                self.paint.take_back();
                return Ok(());
            }
        }
        if self.history.is_back() {
            // What is below the screen has not been read.
            return Ok(());
        }
        self.new = 0;
        for unseen in self.unseen.drain(..) {
            // Whoever waited may have ended.
            let _ = unseen.send(());
        }
        Ok(())
    }

    fn status(&self, width: usize) -> String {
        let status = Status {
            name: self.context.name.as_str(),
            facts: &self.facts,
            is_away: self.away.0 || self.away.1,
            waiting: self.history.waiting(),
            has_to_decide: self.long.is_some(),
            is_saving: self.is_saving,
            below: self.history.is_back().then_some(self.new),
        };
        status.line(width)
    }

    fn take(&mut self, event: Event) -> Option<End> {
        match event {
            Event::Key(key) => return self.key(key),
            Event::Gone => return Some(gone()),
            Event::Changed => self.paint.forget(),
            Event::Said(words) | Event::Checked(words) => self.note(&words),
            Event::Facts(facts) => self.learn(facts),
            Event::Came(all, shown) => {
                for came in all {
                    self.came(came);
                }
                self.unseen.push(shown);
            }
            Event::Long(long) => self.offer(long),
            Event::Saved(path) => {
                self.is_saving = false;
                let path = printable::line(&path.to_string_lossy());
                self.note(&format!("saved: {path}"));
            }
            Event::NotSaved(failure) => {
                self.is_saving = false;
                self.note(&sentence(&failure));
            }
            Event::Answered(run) => {
                self.facts.asked.take_if(|asked| asked.run == run);
            }
            Event::Away(direction, is_away) => match direction {
                Direction::In => self.away.0 = is_away,
                Direction::Out => self.away.1 = is_away,
            },
            Event::Marked(number, mark) => {
                let inline_note = match &mark {
                    Mark::NotSent(why) => Some(format!("NOT SENT: {why}")),
                    _ => None,
                };
                self.history.mark(number, mark);
                // What stands above the foot there cannot change.
                if let Some(note) = inline_note.filter(|_| self.paint.is_inline()) {
                    self.note(&note);
                }
            }
            Event::WordsSame => {
                self.facts.authentication.words = true;
                self.note("recorded: the words are the same, nobody is in between");
            }
            Event::ReceivingEnded(Err(failure)) | Event::SendingEnded(Err(failure)) => {
                return Some(End::Failed(failure));
            }
            Event::ReceivingEnded(Ok(())) | Event::SendingEnded(Ok(())) => {}
        }
        None
    }

    fn came(&mut self, came: Came) {
        match came {
            Came::Text(text) => {
                self.new += 1;
                self.history.add(Who::They, &printable::text(&text), None);
                self.last = Some(text);
            }
            Came::CutShort(note) => {
                self.is_saving = false;
                self.note(&note);
            }
        }
    }

    /// Says what is new in how things stand.
    fn learn(&mut self, facts: Facts) {
        let before = std::mem::replace(&mut self.facts, facts.clone());
        if let Some(asked) = facts.asked.filter(|asked| before.asked.as_ref() != Some(asked)) {
            let what = match printable::line(&asked.text) {
                text if text.is_empty() => "for a secret that you both know".to_owned(),
                text => format!("\"{text}\""),
            };
            self.note(&format!("the other side asks {what}; answer: /verify"));
        }
        if facts.is_closed && !before.is_closed {
            self.note("the other side has closed the session: nothing more comes, and nothing can be sent; /close wipes it here, too");
        }
        if facts.words.is_some() && !facts.authentication.words && !facts.is_closed && !self.offered
        {
            self.words();
        }
    }

    fn words(&mut self) {
        let Some(words) = self.facts.words else {
            return self.note("no words yet: they come with the other side's first packet");
        };
        self.offered = true;
        let words = words.join(" ");
        let how = "compare them where you know the voice: '/words same' if the other person has the same, '/words differ' if not";
        self.note(&format!("the four words: {words}"));
        if !self.facts.authentication.words {
            self.note(how);
        }
    }

    fn offer(&mut self, long: Long) {
        if self.long.as_ref().is_none_or(|known| known.message != long.message) {
            let size = human(long.bytes);
            let (what, place) = if long.goes_on {
                let what = format!("a message goes on that was being saved ({size} so far)");
                (what, "in the directory of its beginning goes on with it")
            } else if long.whole {
                let what = format!("a message of {size} that is no text has come");
                (what, "puts it into a new file")
            } else {
                let what = format!("a long message has begun to come ({size} so far)");
                (what, "puts it into a new file")
            };
            self.note(&format!(
                "{what}: '/save NAME' {place}, '/drop' throws it away; what follows it waits"
            ));
        }
        self.long = Some(long);
    }

    fn key(&mut self, key: Key) -> Option<End> {
        match key {
            Key::Suspend => {
                Screen::suspend();
                return None;
            }
            Key::Redraw => {
                self.paint.forget();
                return None;
            }
            _ => {}
        }
        match self.asking.take() {
            Some(Asking::Leave) => return self.leaving(&key),
            Some(Asking::Close) => return (key == Key::Enter).then_some(End::Close),
            Some(Asking::Secret(secret)) => {
                self.secret(secret, &key);
                return None;
            }
            None => {}
        }
        match key {
            Key::Enter => return self.enter(),
            Key::Interrupt => self.asking = Some(Asking::Leave),
            Key::EndOfInput if self.line.is_empty() => self.asking = Some(Asking::Leave),
            Key::Tab => self.complete(),
            Key::PageUp => self.scroll(true),
            Key::PageDown => self.scroll(false),
            Key::PasteTooLong => self.note("nobody reads so long a paste: send a file with /send"),
            key => self.line.key(&key),
        }
        None
    }

    fn leaving(&mut self, key: &Key) -> Option<End> {
        match key {
            Key::Enter | Key::Char('l' | 'L') => return Some(self.leave()),
            // What it does to both sides takes more than one key, which may have been meant for the line.
            Key::Char('c' | 'C') => self.asking = Some(Asking::Close),
            Key::Escape | Key::Interrupt | Key::Char('g' | 'G' | 'n' | 'N' | 'q') => {}
            _ => self.asking = Some(Asking::Leave),
        }
        None
    }

    fn leave(&self) -> End {
        End::Leave { closed: self.facts.is_closed }
    }

    fn scroll(&mut self, back: bool) {
        let page = isize::try_from(self.paint.page()).unwrap_or(1);
        self.history.scroll(if back { page } else { -page });
    }

    fn complete(&mut self) {
        let (before, after) = self.line.text().split_at(self.line.cursor());
        if !after.is_empty() {
            return;
        }
        let Some((text, candidates)) = completed(before) else { return };
        if !candidates.is_empty() && text == before {
            let more = if candidates.len() > CANDIDATES { " …" } else { "" };
            let shown: Vec<_> =
                candidates.iter().take(CANDIDATES).map(|one| one.trim_end()).collect();
            let shown = format!("{}{more}", shown.join("  "));
            self.note(&shown);
        }
        self.line.set(&text);
    }

    fn enter(&mut self) -> Option<End> {
        self.history.forward();
        if self.line.is_empty() {
            return None;
        }
        let is_text = matches!(Typed::of(self.line.text()), Typed::Text(_));
        if let Some(why) = self.cannot_write().filter(|_| is_text) {
            self.note(why);
            if self.facts.is_closed {
                // Nothing will ever take it: the line is for commands.
                self.line.enter();
            }
            return None;
        }
        let entered = self.line.enter();
        match Typed::of(&entered) {
            Typed::Text(text) => {
                let mut whole = self.line.whole(text);
                if !whole.ends_with(b"\n") {
                    whole.push(b'\n');
                }
                if whole.len() > TEXT {
                    self.note("this is too long for a message: send a file with /send");
                    return None;
                }
                let number = self.own(&printable::text(&whole));
                self.give(Job::Text(number, whole));
            }
            Typed::Words => self.words(),
            Typed::Same if self.facts.words.is_none() => self.words(),
            Typed::Same => self.give(Job::Same),
            Typed::Differ => return Some(End::Differ),
            Typed::Verify(question) => self.verify(question),
            Typed::Send(path) => self.send(path),
            Typed::Save(path) => self.save(path),
            Typed::Drop => self.throw_away(),
            Typed::Close => return Some(End::Close),
            Typed::Quit => return Some(self.leave()),
            Typed::Help => self.help(),
            Typed::Wrong(why) => self.note(why),
        }
        None
    }

    fn cannot_write(&self) -> Option<&'static str> {
        let Facts { is_open, may_write, is_closed, .. } = self.facts;
        if is_closed {
            Some("the other side has closed the session: nothing can be sent; /close wipes it here")
        } else if !is_open {
            Some("nobody has answered yet: this stays in the line until you press Enter again")
        } else if !may_write {
            Some(
                "the other side has not shown yet that it knows the code or secret: try again in a moment",
            )
        } else {
            None
        }
    }

    /// A new message of ours.
    fn own(&mut self, text: &str) -> u64 {
        self.count += 1;
        self.history.add(Who::You, text, Some(self.count));
        self.count
    }

    fn give(&mut self, job: Job) {
        // If the thread has ended, an event says why.
        if let Err(SendError(Job::Text(number, _) | Job::File(number, _))) = self.jobs.send(job) {
            self.history.mark(number, Mark::NotSent("the chat ends".to_owned()));
        }
    }

    fn send(&mut self, path: PathBuf) {
        if let Some(why) = self.cannot_write() {
            return self.note(why);
        }
        let shown = printable::line(&path.to_string_lossy());
        match path.metadata() {
            Ok(found) if found.is_file() => {
                let text = format!("[file {shown}, {}]", human(found.len()));
                let number = self.own(&text);
                self.give(Job::File(number, path));
            }
            Ok(_) => self.note(&format!("{shown} is no file: nothing was sent")),
            Err(error) => self.note(&format!("cannot read {shown}: {error}")),
        }
    }

    fn save(&mut self, path: PathBuf) {
        if self.is_saving {
            return self.note(SAVING);
        }
        if let Some(long) = self.long.take() {
            // If the thread has ended, an event says why.
            self.is_saving = long.decide.send(Decision::Save(path)).is_ok();
            return;
        }
        let Some(text) = &self.last else {
            return self.note("nothing has come that could be saved");
        };
        let shown = printable::line(&path.to_string_lossy());
        match write_new(&path, text) {
            Ok(()) => self.note(&format!("saved: {shown}")),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                self.note(&sentence(&is_there(&path)));
            }
            Err(error) => self.note(&format!("cannot write {shown}: {error}")),
        }
    }

    fn throw_away(&mut self) {
        match self.long.take() {
            Some(long) => {
                drop(long.decide.send(Decision::Drop));
                self.note("thrown away");
            }
            None if self.is_saving => self.note(SAVING),
            None => self.note("nothing waits that could be thrown away"),
        }
    }

    fn help(&mut self) {
        for (name, what) in COMMANDS {
            self.note(&format!("{name:<8} {what}"));
        }
        for what in KEYS {
            self.note(what);
        }
    }

    fn verify(&mut self, question: &str) {
        if let Some(why) = self.cannot_write() {
            return self.note(why);
        }
        if self.facts.asked.is_some() && !question.is_empty() {
            return self.note("the other side has asked: answer that first, with /verify alone");
        }
        let secret = match &self.facts.asked {
            Some(asked) => Secret::answer(asked.run),
            None => Secret::question(question),
        };
        self.asking = Some(Asking::Secret(secret));
    }

    fn secret(&mut self, secret: Secret, key: &Key) {
        match secret.key(key) {
            Taken::Part(secret) => self.asking = Some(Asking::Secret(secret)),
            Taken::Nothing(secret, why) => {
                self.note(why);
                self.asking = Some(Asking::Secret(secret));
            }
            Taken::Whole(job) => self.give(job),
            Taken::Ended(why) => self.note(&why),
        }
    }
}

/// There is no terminal any more.
fn gone() -> End {
    End::Failed(Failure::new(Code::Failed, "the terminal is gone", "the session stays open"))
}

/// Columns and rows of the terminal, as far as it tells.
fn size(terminal: &File) -> (usize, usize) {
    let told = rustix::termios::tcgetwinsize(terminal).ok();
    let of = |told: Option<u16>, usual| told.filter(|&count| count > 0).map_or(usual, usize::from);
    let width = of(told.map(|told| told.ws_col), 80);
    (width.max(10), of(told.map(|told| told.ws_row), 24).max(4))
}
