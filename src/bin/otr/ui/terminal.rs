//! The terminal: changes of its mode, which are always undone, input that a person pastes, and the
//! screen as a whole.
//!
//! A line on a terminal has at most 4,096 characters as long as the kernel edits it (canonical
//! mode), but a packet's line has 5,468. So this module reads a paste with canonical mode off.
//! Whatever ends or stops the process meanwhile, the terminal first gets its old mode back.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, OnceLock, PoisonError, TryLockError};
use std::time::{Duration, Instant};
use std::{mem, panic, thread};

use otr::store::patient::Patient;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{getpgrp, getppid, getsid};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp, tcsetattr,
};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH};
use signal_hook::iterator::Signals;
use signal_hook::low_level::{emulate_default_handler, raise};

use crate::ending;
use crate::failure::{Code, Failure};
use crate::process::not_ignored;

/// The most bytes of a paste to hold until its end: more than anybody has in a clipboard. Anything
/// beyond that is passed on as it comes.
const PASTE: usize = 16 << 20;

/// How much to read at a time: all that a terminal holds.
const PIECE: usize = 4096;

/// How long a signal waits for somebody who is writing to the terminal, or for the terminal to take the
/// last few bytes: one that is stuck must not keep the process.
const STUCK: Duration = Duration::from_millis(500);
/// How often to look meanwhile.
const GLANCE: Duration = Duration::from_millis(5);

/// How often to look, in the background, whether we are in the foreground again.
pub(crate) const BEHIND: Duration = Duration::from_millis(100);
/// Whether somebody does.
static WATCHING: AtomicBool = AtomicBool::new(false);

/// What to say before a paste, which will not be shown.
pub(crate) const PASTE_HINT: &str =
    "paste what you received (it is not shown), then press Enter and Ctrl-D";

/// Refuses to write binary data to a person's terminal.
pub(crate) fn refuse_binary() -> Result<(), Failure> {
    if io::stdout().is_terminal() {
        return Err(Failure::new(
            Code::Usage,
            "binary data is not for a terminal",
            "leave --raw out, or redirect the output",
        ));
    }
    Ok(())
}

/// A terminal, and the mode that it had.
struct Old {
    terminal: OwnedFd,
    mode: Termios,
}

impl Old {
    fn of(terminal: impl AsFd) -> io::Result<Arc<Self>> {
        let terminal = terminal.as_fd().try_clone_to_owned()?;
        let mode = tcgetattr(&terminal)?;
        Ok(Arc::new(Self { terminal, mode }))
    }

    fn set(&self) {
        // A terminal that has disappeared has no mode.
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.mode);
    }
}

/// A change of a terminal's mode.
struct Change {
    old: Arc<Old>,
    /// Our mode, to be set again after a stop; a line editor sets its own.
    during: Option<Termios>,
    /// What else is to be undone, if the whole screen is ours.
    screen: Option<Shown>,
    /// Whether it is to be made again as soon as we are in the foreground.
    is_behind: bool,
}

impl Change {
    fn new(old: Arc<Old>, during: Option<Termios>, screen: Option<Shown>) -> Self {
        Self { old, during, screen, is_behind: false }
    }

    /// Makes it again after a stop, or notes that somebody else has the terminal.
    fn again(&mut self) {
        let Some(during) = &self.during else { return };
        let terminal = &self.old.terminal;
        let is_ours = is_in_front(terminal);
        self.is_behind = !is_ours;
        if is_ours {
            let _ = tcsetattr(terminal, OptionalActions::Now, during);
        }
        if let Some(screen) = &mut self.screen {
            if is_ours {
                let _ = rustix::io::write(terminal, screen.enter);
                screen.is_new = true;
            }
            screen.is_ours = is_ours;
        }
    }

    fn undo(&mut self) {
        self.is_behind = false;
        if let Some(screen) = self.screen.as_mut().filter(|screen| screen.is_ours) {
            screen.is_ours = false;
            if takes_more(&self.old.terminal) {
                // A terminal that has disappeared shows nothing.
                let _ = rustix::io::write(&self.old.terminal, screen.leave);
            }
        }
        self.old.set();
    }
}

/// The screen while it is ours.
struct Shown {
    enter: &'static [u8],
    leave: &'static [u8],
    /// Whether it is ours at this moment.
    is_ours: bool,
    /// Whether it has become ours since the last frame.
    is_new: bool,
    /// Hears that what is on it, or its size, may have changed.
    redraw: Box<dyn Fn() + Send>,
}

fn takes_more(terminal: &OwnedFd) -> bool {
    let mut polled = [PollFd::new(terminal, PollFlags::OUT)];
    let limit = Timespec::try_from(STUCK).ok();
    poll(&mut polled, limit.as_ref()).is_ok_and(|ready| ready > 0)
}

static CHANGES: Mutex<Vec<Change>> = Mutex::new(Vec::new());
/// The modes to give back, apart: somebody who is stuck in writing to the terminal has the changes.
static MODES: Mutex<Vec<Arc<Old>>> = Mutex::new(Vec::new());

fn changes() -> MutexGuard<'static, Vec<Change>> {
    CHANGES.lock().unwrap_or_else(PoisonError::into_inner)
}

fn modes() -> MutexGuard<'static, Vec<Arc<Old>>> {
    MODES.lock().unwrap_or_else(PoisonError::into_inner)
}

fn begin(changes: &mut Vec<Change>, change: Change) {
    modes().push(Arc::clone(&change.old));
    changes.push(change);
}

/// A terminal in another mode until this is dropped. If several exist, drop the newest first.
pub(crate) struct Quiet(());

impl Quiet {
    /// Switches off echo and line editing, so that any number of bytes arrives unchanged.
    pub(crate) fn enter(terminal: impl AsFd) -> io::Result<Self> {
        let old = Old::of(terminal)?;
        let mut during = old.mode.clone();
        // ISIG stays on, so Ctrl-C and Ctrl-Z work as usual. Without IEXTEN the kernel does not
        // handle Ctrl-V.
        let off = LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::IEXTEN;
        during.local_modes.remove(off);
        during.special_codes[SpecialCodeIndex::VMIN] = 1;
        during.special_codes[SpecialCodeIndex::VTIME] = 0;
        give_back_at_the_end()?;
        go_on_after_a_stop()?;
        let mut changes = changes();
        tcsetattr(&old.terminal, OptionalActions::Now, &during)?;
        begin(&mut changes, Change::new(old, Some(during), None));
        Ok(Self(()))
    }

    /// For a line editor that changes the mode itself, and handles stopping and continuing:
    /// restores the terminal when something ends the process.
    pub(crate) fn guard(terminal: impl AsFd) -> io::Result<Self> {
        let old = Old::of(terminal)?;
        give_back_at_the_end()?;
        begin(&mut changes(), Change::new(old, None, None));
        Ok(Self(()))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let mut changes = changes();
        if let Some(mut change) = changes.pop() {
            change.undo();
        }
        modes().pop();
    }
}

/// The whole screen, until this is dropped: every key comes as it is, and what is written is not
/// changed on its way. Whatever ends or stops the process, the terminal gets its old mode back, and its
/// old screen.
pub(crate) struct Screen {
    terminal: Patient<File>,
    _quiet: Quiet,
}

impl Screen {
    /// Takes over the terminal. `enter` is written now and after each stop, `leave` at the end and before
    /// each stop; `redraw` hears that everything is to be drawn again.
    pub(crate) fn enter(
        terminal: File,
        enter: &'static [u8],
        leave: &'static [u8],
        redraw: impl Fn() + Send + 'static,
    ) -> io::Result<Self> {
        let old = Old::of(&terminal)?;
        let mut during = old.mode.clone();
        during.make_raw();
        during.special_codes[SpecialCodeIndex::VMIN] = 1;
        during.special_codes[SpecialCodeIndex::VTIME] = 0;
        give_back_at_the_end()?;
        go_on_after_a_stop()?;
        give_back_for_a_panic();
        let mut terminal = Patient::new(terminal);
        let mut changes = changes();
        tcsetattr(&terminal, OptionalActions::Now, &during)?;
        let redraw = Box::new(redraw);
        let shown = Shown { enter, leave, is_ours: true, is_new: true, redraw };
        begin(&mut changes, Change::new(old, Some(during), Some(shown)));
        drop(changes);
        let quiet = Quiet(());
        terminal.write_all(enter)?;
        Ok(Self { terminal, _quiet: quiet })
    }

    /// Draws what this returns, which hears whether nothing of an earlier frame is on the screen.
    pub(crate) fn draw<T: AsRef<[u8]>>(
        &mut self,
        frame: impl FnOnce(bool) -> T,
    ) -> io::Result<Drawn> {
        let Some(is_new) = our_screen(&mut changes()).map(|shown| mem::take(&mut shown.is_new))
        else {
            return Ok(Drawn::No);
        };
        // While a frame is made, which may be long and may panic, a signal has its way.
        let frame = frame(is_new);
        let mut changes = changes();
        if our_screen(&mut changes).is_none_or(|shown| shown.is_new) {
            return Ok(Drawn::Lost);
        }
        self.terminal.write_all(frame.as_ref())?;
        Ok(Drawn::Yes)
    }

    /// Stops the process as Ctrl-Z does elsewhere, a moment later.
    pub(crate) fn suspend() {
        // The thread for signals does the rest.
        let _ = raise(SIGTSTP);
    }
}

/// What has become of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drawn {
    Yes,
    /// The screen is somebody else's at the moment: no frame was made.
    No,
    /// It became somebody else's meanwhile: the frame was made, and not written.
    Lost,
}

fn our_screen(changes: &mut [Change]) -> Option<&mut Shown> {
    changes.iter_mut().filter_map(|change| change.screen.as_mut()).find(|shown| shown.is_ours)
}

/// Gives the terminal back, before something ends the process.
pub(crate) fn give_back() {
    drop(undo_all());
}

/// Undoes everything. Nobody can change a mode while the result lives, unless somebody is stuck.
fn undo_all() -> Option<MutexGuard<'static, Vec<Change>>> {
    let mut changes = changes_in_time();
    if let Some(changes) = &mut changes {
        changes.iter_mut().rev().for_each(Change::undo);
    } else {
        // The mode at least, for which nobody has to write.
        modes().iter().rev().for_each(|old| old.set());
    }
    changes
}

/// The changes, unless somebody is stuck in writing to the terminal.
fn changes_in_time() -> Option<MutexGuard<'static, Vec<Change>>> {
    let since = Instant::now();
    loop {
        match CHANGES.try_lock() {
            Ok(changes) => return Some(changes),
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) if since.elapsed() >= STUCK => return None,
            Err(TryLockError::WouldBlock) => thread::sleep(GLANCE),
        }
    }
}

/// What a panic says belongs on the old screen.
fn give_back_for_a_panic() {
    static HOOKED: Once = Once::new();
    HOOKED.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |panicked| {
            give_back();
            usual(panicked);
        }));
    });
}

/// Starts, once, the thread that restores the terminal before a signal takes effect.
///
/// The thread stays, because removing the handler would leave Ctrl-C without effect. While no mode
/// is changed, it does what the system would have done.
fn give_back_at_the_end() -> io::Result<()> {
    static WATCHED: OnceLock<()> = OnceLock::new();
    watch(&WATCHED, &[SIGHUP, SIGINT, SIGQUIT, SIGTERM])
}

/// The same for Ctrl-Z, for continuing afterwards, and for another size.
fn go_on_after_a_stop() -> io::Result<()> {
    static WATCHED: OnceLock<()> = OnceLock::new();
    watch(&WATCHED, &[SIGTSTP, SIGCONT, SIGWINCH])
}

fn watch(watched: &OnceLock<()>, signals: &[i32]) -> io::Result<()> {
    if watched.get().is_some() {
        return Ok(());
    }
    // A signal that the parent has switched off (`nohup`) stays off.
    let mut signals = Signals::new(not_ignored(signals))?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in signals.forever() {
            if signal == SIGCONT {
                resume();
            } else if signal == SIGWINCH {
                tell_changed();
            } else if signal == SIGTSTP && is_orphaned() {
                // Nobody could make it go on: the system would not stop it, either.
            } else {
                // Held until the signal has taken effect: a change made in between would not be
                // undone.
                let _changes = undo_all();
                let _held = (signal != SIGTSTP).then(ending::now);
                let _ = emulate_default_handler(signal);
            }
        }
    })?;
    let _ = watched.set(());
    Ok(())
}

/// Whether no shell that controls jobs waits for us: the terminal's own program, or what is left of it.
fn is_orphaned() -> bool {
    let Ok(session) = getsid(None) else { return true };
    session == getpgrp() || getppid().is_none_or(|parent| getsid(Some(parent)) != Ok(session))
}

/// Sets the mode again, back in the foreground after Ctrl-Z; in the background that is to be waited for.
fn resume() {
    let mut changes = changes();
    changes.iter_mut().for_each(Change::again);
    let is_behind = changes.iter().any(|change| change.is_behind);
    let has_to_watch = is_behind && !WATCHING.swap(true, Ordering::Relaxed);
    drop(changes);
    tell_changed();
    if has_to_watch
        && thread::Builder::new().name("front".into()).spawn(watch_for_the_front).is_err()
    {
        // Only a SIGCONT tells it then.
        WATCHING.store(false, Ordering::Relaxed);
    }
}

/// A shell that brings a job to the foreground tells it nothing, if it was not stopped.
fn watch_for_the_front() {
    loop {
        thread::sleep(BEHIND);
        let mut changes = changes();
        let mut is_back = false;
        for change in changes.iter_mut().filter(|change| change.is_behind) {
            change.again();
            is_back |= !change.is_behind;
        }
        let is_over = changes.iter().all(|change| !change.is_behind);
        if is_over {
            WATCHING.store(false, Ordering::Relaxed);
        }
        drop(changes);
        if is_back {
            tell_changed();
        }
        if is_over {
            return;
        }
    }
}

fn is_in_front(terminal: impl AsFd) -> bool {
    tcgetpgrp(terminal).is_ok_and(|group| group == getpgrp())
}

/// Whether the terminal is another job's at the moment.
pub(crate) fn is_behind(terminal: impl AsFd) -> bool {
    tcgetpgrp(terminal).is_ok_and(|group| group != getpgrp())
}

fn tell_changed() {
    for screen in changes().iter().filter_map(|change| change.screen.as_ref()) {
        (screen.redraw)();
    }
}

/// What a person pastes into a terminal, up to Ctrl-D, which alone ends it. Nothing is passed on
/// before that: otherwise a command that has seen enough would end, and the Ctrl-D would close the
/// shell.
pub(crate) struct Pasted<T: AsFd> {
    terminal: T,
    end: u8,
    ended: bool,
    held: Vec<u8>,
    /// How many of those bytes were passed on.
    taken: usize,
    _quiet: Quiet,
}

impl<T: AsFd> Pasted<T> {
    /// Takes over the terminal; say [`PASTE_HINT`] afterwards.
    pub(crate) fn new(terminal: T) -> io::Result<Self> {
        let end = tcgetattr(&terminal)?.special_codes[SpecialCodeIndex::VEOF];
        let quiet = Quiet::enter(&terminal)?;
        Ok(Self { terminal, end, ended: false, held: Vec::new(), taken: 0, _quiet: quiet })
    }
}

impl<T: AsFd + Read> Pasted<T> {
    fn fill(&mut self) -> io::Result<()> {
        self.held.clear();
        self.taken = 0;
        let mut piece = [0; PIECE];
        while !self.ended && self.held.len() < PASTE {
            let count = match self.terminal.read(&mut piece) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            // Without canonical mode Ctrl-D is an ordinary character, and we must end the input
            // ourselves. 0 stands for a disabled key.
            let end = memchr::memchr(self.end, &piece[..count]).filter(|_| self.end != 0);
            // The terminal may have disappeared.
            self.ended = end.is_some() || count == 0;
            self.held.extend_from_slice(&piece[..end.unwrap_or(count)]);
        }
        Ok(())
    }
}

impl<T: AsFd + Read> Read for Pasted<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.held.len() {
            self.fill()?;
        }
        let count = (&self.held[self.taken..]).read(buffer)?;
        self.taken += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    use super::*;

    /// The two ends of a terminal; the lock makes tests change modes one after another.
    fn terminal() -> (MutexGuard<'static, ()>, File, File) {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&keyboard).unwrap();
        unlockpt(&keyboard).unwrap();
        let path = ptsname(&keyboard, Vec::new()).unwrap();
        let us = rustix::fs::open(
            path,
            rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY,
            rustix::fs::Mode::empty(),
        );
        (turn, keyboard.into(), us.unwrap().into())
    }

    #[test]
    fn a_line_longer_than_the_kernel_edits_can_be_pasted() {
        let (_turn, mut keyboard, us) = terminal();
        let mut pasted = Pasted::new(&us).unwrap();
        let line = [&vec![b'x'; 5_500][..], b"\r"].concat();
        let typing = thread::spawn(move || {
            for _ in 0..3 {
                keyboard.write_all(&line).unwrap();
            }
            keyboard.write_all(b"\x04more").unwrap();
            keyboard
        });
        let mut text = Vec::new();
        pasted.read_to_end(&mut text).unwrap();
        let expected = [&vec![b'x'; 5_500][..], b"\n"].concat().repeat(3);
        assert!(text == expected, "{} bytes", text.len());
        assert_eq!(pasted.read(&mut [0; 8]).unwrap(), 0);
        drop(typing.join().unwrap());
    }

    #[test]
    fn the_mode_is_changed_and_restored() {
        let (_turn, _keyboard, us) = terminal();
        let modes = || tcgetattr(&us).unwrap().local_modes;
        let before = modes();
        assert!(before.contains(LocalModes::ECHO | LocalModes::ICANON));
        {
            let _quiet = Quiet::enter(&us).unwrap();
            assert!(!modes().intersects(LocalModes::ECHO | LocalModes::ICANON));
            assert!(modes().contains(LocalModes::ISIG));
            {
                let _guard = Quiet::guard(&us).unwrap();
                let mut other = tcgetattr(&us).unwrap();
                other.local_modes.remove(LocalModes::ISIG);
                tcsetattr(&us, OptionalActions::Now, &other).unwrap();
            }
            assert!(modes().contains(LocalModes::ISIG));
        }
        assert_eq!(modes(), before);
    }

    #[test]
    fn who_is_stuck_in_writing_does_not_keep_the_mode() {
        let (_turn, _keyboard, us) = terminal();
        let before = tcgetattr(&us).unwrap().local_modes;
        let _quiet = Quiet::enter(&us).unwrap();
        let held = changes();
        thread::spawn(give_back).join().unwrap();
        drop(held);
        assert_eq!(tcgetattr(&us).unwrap().local_modes, before);
    }

    #[test]
    fn a_panic_while_a_frame_is_made_finds_the_terminal_at_once() {
        let (_turn, _keyboard, us) = terminal();
        let modes = || tcgetattr(&us).unwrap().local_modes;
        let before = modes();
        let mut screen = Screen::enter(us.try_clone().unwrap(), b"in", b"out", || {}).unwrap();
        assert_eq!(screen.draw(|is_new| [u8::from(is_new)]).unwrap(), Drawn::Yes);
        assert_ne!(modes(), before);
        let drawn = screen.draw(|is_new| {
            assert!(!is_new && CHANGES.try_lock().is_ok());
            // As a panic does.
            give_back();
            assert_eq!(modes(), before);
            b"lost"
        });
        assert_eq!(drawn.unwrap(), Drawn::Lost);
        assert_eq!(screen.draw(|_| b"no").unwrap(), Drawn::No);
    }

    #[test]
    fn what_is_not_a_terminal_is_left_alone() {
        let (one, _other) = std::io::pipe().unwrap();
        assert!(Pasted::new(one).is_err());
    }
}
