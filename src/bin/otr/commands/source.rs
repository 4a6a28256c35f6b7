//! stdin, or a file, as items: read in the command's own thread at first, and by a separate thread
//! once there is much.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::os::fd::AsFd;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::time::Duration;

use otr::armor::{Item, Scanner};
use otr::store::patient::Patient;
use rustix::fs::OFlags;
use zeroize::Zeroize;

use crate::failure::{Code, Failure};
use crate::ui::speak;
use crate::ui::stdio;
use crate::ui::terminal::{PASTE_HINT, Pasted};
use crate::ui::typed::Typed;
use crate::worker;

/// After this many bytes a thread reads ahead; for less, starting one costs more than it saves.
const MUCH: usize = 1 << 20;

/// How many reads the reading thread is ahead: enough to keep it busy while a large packet is
/// opened, and few enough to bound memory to a few packets.
const AHEAD: usize = 2;

/// If a stream brings nothing for this long, no more is on its way: several times as long as
/// sealing a large packet takes.
const PAUSE: Duration = Duration::from_millis(5);

/// The items of stdin, or of a file.
pub(crate) struct Source {
    reading: Reading,
    counts: Counts,
    empty: bool,
    name: Cow<'static, str>,
}

enum Reading {
    Here { input: Box<dyn Read + Send>, scanner: Box<Scanner>, read: usize },
    OnThread { items: Receiver<io::Result<Brought>>, buffers: Sender<Vec<u8>> },
    Ended,
}

impl Reading {
    fn on_thread(input: Box<dyn Read + Send>, scanner: Scanner) -> Result<Self, Failure> {
        let (to_us, items) = sync_channel(AHEAD);
        let (buffers, from_us) = channel();
        worker::start(move || read_all(input, scanner, &to_us, &from_us))?;
        Ok(Self::OnThread { items, buffers })
    }
}

/// The result of one read.
struct Brought {
    items: Vec<Item>,
    counts: Counts,
}

/// Counts of lines that hold more than items.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    unrelated: u64,
    quoted: u64,
}

impl Source {
    /// stdin.
    pub(crate) fn stdin() -> Result<Self, Failure> {
        Ok(Self::new(items_on_stdin()?, "stdin".into()))
    }

    /// The contents of a file; `name` is for errors.
    pub(crate) fn file(file: File, name: String) -> Self {
        Self::new(Box::new(file), name.into())
    }

    fn new(input: Box<dyn Read + Send>, name: Cow<'static, str>) -> Self {
        let scanner = Box::new(Scanner::new());
        Self {
            reading: Reading::Here { input, scanner, read: 0 },
            counts: Counts::default(),
            empty: true,
            name,
        }
    }

    /// What another program writes for as long as it likes: a thread reads it from the beginning.
    pub(crate) fn stream(input: Patient<File>, name: &'static str) -> Result<Self, Failure> {
        let reading = Reading::on_thread(Box::new(input), Scanner::new())?;
        Ok(Self { reading, counts: Counts::default(), empty: false, name: name.into() })
    }

    /// The items of the next read, perhaps none; `None` at the end.
    pub(crate) fn next_items(&mut self) -> Result<Option<Vec<Item>>, Failure> {
        self.read_on_thread_if_much()?;
        let read = match &mut self.reading {
            Reading::Here { input, scanner, read } => {
                let result = read_items(input, scanner);
                if let Ok((_, count)) = &result {
                    *read += count;
                    self.empty &= *count == 0;
                }
                let ended = !matches!(result, Ok((_, 1..)));
                let result = result.map(|(items, _)| items);
                if ended {
                    self.end();
                }
                Some(result)
            }
            Reading::OnThread { items, .. } => items.recv().ok(),
            Reading::Ended => None,
        };
        let Some(read) = read.transpose().map_err(|error| self.unreadable(&error))? else {
            return Ok(None);
        };
        self.counts = read.counts;
        Ok(Some(read.items))
    }

    /// The items of another read, if it comes without a noticeable pause.
    pub(crate) fn items_soon(&mut self) -> Result<Option<Vec<Item>>, Failure> {
        let Reading::OnThread { items, .. } = &self.reading else { return Ok(None) };
        let read =
            items.recv_timeout(PAUSE).ok().transpose().map_err(|error| self.unreadable(&error))?;
        Ok(read.map(|read| {
            self.counts = read.counts;
            read.items
        }))
    }

    /// Takes back a packet's buffer and wipes it, for a later packet.
    pub(crate) fn recycle(&mut self, mut buffer: Vec<u8>) {
        buffer[..].zeroize();
        match &mut self.reading {
            Reading::Here { scanner, .. } => scanner.recycle(buffer),
            // The reading thread may have ended.
            Reading::OnThread { buffers, .. } => drop(buffers.send(buffer)),
            Reading::Ended => {}
        }
    }

    /// Whether the input ended without a single byte.
    pub(crate) fn is_empty(&self) -> bool {
        self.empty
    }

    /// How many lines held no part of an item.
    pub(crate) fn unrelated_lines(&self) -> u64 {
        self.counts.unrelated
    }

    /// How many lines held anything other than items.
    pub(crate) fn other_lines(&self) -> u64 {
        self.counts.unrelated + self.counts.quoted
    }

    fn unreadable(&self, error: &io::Error) -> Failure {
        Failure::new(Code::Failed, format!("cannot read {}: {error}", self.name), "")
    }

    /// Closes the input. The scanner stays: it has held only sealed packets, and freeing it means
    /// wiping its 64 KiB, which costs a short command more than opening a packet.
    fn end(&mut self) {
        if let Reading::Here { scanner, .. } = std::mem::replace(&mut self.reading, Reading::Ended)
        {
            Box::leak(scanner);
        }
    }

    fn read_on_thread_if_much(&mut self) -> Result<(), Failure> {
        if !matches!(&self.reading, Reading::Here { read, .. } if *read >= MUCH) {
            return Ok(());
        }
        if let Reading::Here { input, scanner, .. } =
            std::mem::replace(&mut self.reading, Reading::Ended)
        {
            self.reading = Reading::on_thread(input, *scanner)?;
        }
        Ok(())
    }
}

/// One read: its items, and how many bytes it had (0: the end).
fn read_items(input: &mut impl Read, scanner: &mut Scanner) -> io::Result<(Brought, usize)> {
    let count = loop {
        match input.read(scanner.space()) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => break result?,
        }
    };
    if count == 0 {
        scanner.finish();
    } else {
        scanner.filled(count);
    }
    let items = std::iter::from_fn(|| scanner.next_item()).collect();
    let counts = Counts { unrelated: scanner.unrelated_lines(), quoted: scanner.quoted_lines() };
    Ok((Brought { items, counts }, count))
}

/// The reading thread. It ends with the input, with an error, or when nobody takes items any more.
fn read_all(
    mut input: Box<dyn Read + Send>,
    mut scanner: Scanner,
    to_command: &SyncSender<io::Result<Brought>>,
    buffers: &Receiver<Vec<u8>>,
) {
    let mut told = Counts::default();
    loop {
        for buffer in buffers.try_iter() {
            scanner.recycle(buffer);
        }
        let (read, ended) = match read_items(&mut input, &mut scanner) {
            Ok((read, count)) => (Ok(read), count == 0),
            Err(error) => (Err(error), true),
        };
        // A read in the middle of a packet has nothing to report.
        let nothing = matches!(&read, Ok(read) if read.items.is_empty() && read.counts == told);
        if nothing && !ended {
            continue;
        }
        told = read.as_ref().map_or(told, |read| read.counts);
        if to_command.send(read).is_err() || ended {
            return;
        }
    }
}

/// Enlarges the pipe on stdin, for a stream of large packets.
pub(crate) fn widen_stdin() {
    stdio::widen(io::stdin());
}

/// Whether a person pastes or types the input.
pub(crate) fn is_by_hand() -> bool {
    io::stdin().is_terminal()
}

/// stdin as items; tells a person at a terminal how to paste them.
pub(crate) fn items_on_stdin() -> Result<Box<dyn Read + Send>, Failure> {
    let stdin = stdio::input()?;
    if !stdin.as_fd().is_terminal() {
        return Ok(Box::new(stdin));
    }
    let pasted = Pasted::new(stdin).map_err(|error| Failure::input(&error))?;
    // Say it only now: a paste before this would be truncated at 4,096 characters.
    speak::warn(PASTE_HINT);
    Ok(Box::new(pasted))
}

/// stdin as text; a person may type lines of any length there. `hint` tells that person what to do.
pub(crate) fn text_on_stdin(hint: impl FnOnce()) -> Result<Box<dyn Read + Send>, Failure> {
    let stdin = stdio::input()?;
    if !stdin.as_fd().is_terminal() {
        return Ok(Box::new(stdin));
    }
    let typed = screen(&stdin).and_then(|screen| Typed::seen(stdin, screen));
    let typed = typed.map_err(|error| Failure::input(&error))?;
    // Say it only now: the kernel would truncate a long line that is typed before this.
    hint();
    Ok(Box::new(typed))
}

/// Where the person sees the typed text: the same terminal, which may be open only for reading.
fn screen(stdin: &impl AsFd) -> io::Result<Patient<File>> {
    let both = rustix::fs::fcntl_getfl(stdin)?.contains(OFlags::RDWR);
    Ok(Patient::new(if both {
        File::from(stdin.as_fd().try_clone_to_owned()?)
    } else {
        File::options().write(true).open("/dev/tty")?
    }))
}
