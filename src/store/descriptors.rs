//! State without any file: it is read once from one descriptor, and each new state is written to
//! the other as a line of `otr1s:` and unpadded base64url. The last complete line counts; a line
//! with nothing after its mark, or no line, means that there is no session. A truncated line is
//! skipped, even if the next one was appended directly to it.
//!
//! Nothing is locked: the holder of the descriptors must ensure that they serve one `otr` at a
//! time.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::str::FromStr;

use zeroize::Zeroizing;

use super::error::StoreError;
use super::file::LARGEST;
use super::inherited::{self, Use};
use super::line::{self, LineError, PLAIN};
use super::patient::Patient;

/// The numbers of the two descriptors, `IN,OUT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    input: u32,
    output: u32,
}

/// The text is not a pair of descriptor numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadNumbers;

impl std::fmt::Display for BadNumbers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("two descriptor numbers above 2 and a comma, as in 3,4")
    }
}

impl std::error::Error for BadNumbers {}

impl FromStr for Numbers {
    type Err = BadNumbers;

    fn from_str(text: &str) -> Result<Self, BadNumbers> {
        // 0, 1 and 2 carry messages and notices to a person.
        let number = |text: &str| text.parse().ok().filter(|&n| n > 2).ok_or(BadNumbers);
        let (input, output) = text.split_once(',').ok_or(BadNumbers)?;
        Ok(Self { input: number(input)?, output: number(output)? })
    }
}

/// State that comes from one descriptor and goes to another.
pub(super) struct Descriptors {
    output: Patient<File>,
    current: Option<Zeroizing<Vec<u8>>>,
    line: Line,
}

/// Which line a state is: 0 for the line that was read, and one more for each that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line(u64);

/// Does not print the state.
impl std::fmt::Debug for Descriptors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Descriptors").field("output", &self.output).finish_non_exhaustive()
    }
}

impl Descriptors {
    /// Takes the descriptors and reads the state.
    pub(super) fn open(numbers: Numbers) -> Result<Self, StoreError> {
        let take = |number, usage| {
            inherited::duplicate(number, usage)
                .map_err(|error| StoreError::Descriptor { number, error })
        };
        let mut input = take(numbers.input, Use::Read)?;
        let output = take(numbers.output, Use::Write)?;
        let current = match last_line(&mut input)? {
            Some(line) => decode(&line)?,
            None => None,
        };
        Ok(Self { output, current, line: Line(0) })
    }

    pub(super) fn load(&self) -> Result<(Zeroizing<Vec<u8>>, Line), StoreError> {
        let bytes = self.current.clone().ok_or(StoreError::NothingInDescriptor)?;
        Ok((bytes, self.line))
    }

    /// Whether `line` is still the last one.
    pub(super) fn is_current(&self, line: Line) -> bool {
        self.current.is_some() && self.line == line
    }

    pub(super) fn create(&mut self, bytes: &[u8]) -> Result<Line, StoreError> {
        if self.current.is_some() {
            return Err(StoreError::ExistsInDescriptor);
        }
        self.store(bytes)
    }

    /// Writes the line that follows `old`, and updates `old` to it.
    pub(super) fn replace(&mut self, old: &mut Line, bytes: &[u8]) -> Result<(), StoreError> {
        if !self.is_current(*old) {
            return Err(StoreError::Changed { name: None });
        }
        *old = self.store(bytes)?;
        Ok(())
    }

    pub(super) fn wipe(&mut self) -> Result<(), StoreError> {
        self.current = None;
        self.put(&[])
    }

    fn store(&mut self, bytes: &[u8]) -> Result<Line, StoreError> {
        if bytes.len() > LARGEST {
            let doing = "store the state".to_owned();
            return Err(StoreError::Full { doing, place: None, error: None });
        }
        self.put(bytes)?;
        self.current = Some(Zeroizing::new(bytes.to_vec()));
        self.line = Line(self.line.0.saturating_add(1));
        Ok(self.line)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let doing = || "write the state to its descriptor".to_owned();
        self.output.write_all(&line::encode(PLAIN, bytes)).map_err(|error| match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                StoreError::Full { doing: doing(), place: None, error: Some(error) }
            }
            _ => StoreError::system(doing(), error),
        })
    }
}

fn decode(text: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
    // After a truncated line (because of a full disk) stands the next one that was appended. No
    // encoded state contains a colon.
    let Some(at) = memchr::memmem::rfind(text, PLAIN) else {
        return Err(damaged("is not a line of otr1s:"));
    };
    let (cut, text) = text.split_at(at);
    if !PLAIN.starts_with(cut) && !cut.starts_with(PLAIN) {
        return Err(damaged("is not a line of otr1s:"));
    }
    let text = &text[PLAIN.len()..];
    if text.is_empty() {
        return Ok(None);
    }
    line::decode(text).map(Some).ok_or_else(|| damaged("is not unpadded base64url"))
}

/// The last line that ends with a newline, without the newline; `None` if there was no input at
/// all. Anything after it was truncated while it was being written, and does not count.
fn last_line(input: &mut impl Read) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
    let mut whole = None;
    let mut cut = false;
    let read = line::read(input, |line, ended| if ended { whole = Some(line) } else { cut = true });
    read.map_err(|error| match error {
        LineError::Input(error) => StoreError::system("read the state from its descriptor", error),
        LineError::TooLong => damaged("has a line longer than any state"),
    })?;
    if whole.is_none() && cut {
        return Err(damaged("ends before its first line does"));
    }
    Ok(whole)
}

fn damaged(why: &'static str) -> StoreError {
    StoreError::DamagedLine { why }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::os::fd::AsRawFd;

    use super::*;
    use crate::kind::ErrorKind;

    fn open(input: &impl AsRawFd, output: &impl AsRawFd) -> Result<Descriptors, StoreError> {
        let numbers = format!("{},{}", input.as_raw_fd(), output.as_raw_fd());
        Descriptors::open(numbers.parse().unwrap())
    }

    /// A descriptor from which this text can be read.
    fn holding(text: &str) -> File {
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(text.as_bytes()).unwrap();
        File::from(std::os::fd::OwnedFd::from(reader))
    }

    /// The state of a store that reads this text.
    fn read(text: &str) -> Result<Option<Vec<u8>>, ErrorKind> {
        let (_, writer) = io::pipe().unwrap();
        match open(&holding(text), &writer) {
            Ok(store) => Ok(store.current.as_ref().map(|state| state.to_vec())),
            Err(failure) => Err(failure.kind()),
        }
    }

    #[test]
    fn numbers_are_two_above_the_standard_ones() {
        assert_eq!("3,4".parse(), Ok(Numbers { input: 3, output: 4 }));
        assert_eq!("7,7".parse(), Ok(Numbers { input: 7, output: 7 }));
        for bad in
            ["", "3", "3,", ",4", "3,4,5", "2,4", "3,1", "-3,4", "3, 4", "x,y", "99999999999,4"]
        {
            assert_eq!(bad.parse::<Numbers>(), Err(BadNumbers), "{bad}");
        }
    }

    #[test]
    fn the_last_whole_line_counts() {
        assert_eq!(read(""), Ok(None));
        assert_eq!(read("otr1s:\n"), Ok(None));
        assert_eq!(read("otr1s:YWI\n"), Ok(Some(b"ab".to_vec())));
        assert_eq!(read("otr1s:YWI\notr1s:YWJj\n"), Ok(Some(b"abc".to_vec())));
        assert_eq!(read("otr1s:YWI\notr1s:YWJ"), Ok(Some(b"ab".to_vec())));
        assert_eq!(read("otr1s:YWI\notr1s:\n"), Ok(None));
    }

    #[test]
    fn a_line_that_was_cut_off_does_not_spoil_the_next() {
        for cut in ["o", "otr1s", "otr1s:", "otr1s:Y", "otr1s:YWJj"] {
            assert_eq!(
                read(&format!("otr1s:YQ\n{cut}otr1s:YWI\n")),
                Ok(Some(b"ab".to_vec())),
                "{cut}"
            );
            assert_eq!(read(&format!("{cut}otr1s:\n")), Ok(None), "{cut}");
        }
        assert_eq!(read("otr1s:YotrotrY1s:YWotr1s:YWI\n"), Ok(Some(b"ab".to_vec())));
    }

    #[test]
    fn what_otr_did_not_write_is_refused() {
        for bad in [
            "\n",
            "x\n",
            "otr1p:YWI\n",
            "otr1s:YWI=\n",
            "otr1s:YW\r\n",
            "otr1s:YWJ\n",
            "otr1s:+/8\n",
            "xotr1s:YWI\n",
            "otr1e:YWIotr1s:YWI\n",
        ] {
            assert_eq!(read(bad), Err(ErrorKind::Unsafe), "{bad:?}");
        }
        // The only line was truncated: that is not the same as no session.
        assert_eq!(read("otr1s:YWI"), Err(ErrorKind::Unsafe));
    }

    #[test]
    fn a_line_longer_than_any_state_ends_the_reading() {
        let failure = last_line(&mut io::repeat(b'A')).unwrap_err();
        assert_eq!(failure.kind(), ErrorKind::Unsafe);
    }

    #[test]
    fn lines_longer_than_a_piece_come_back_whole() {
        let state: Vec<u8> = (0..300_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let mut text = line::encode(PLAIN, b"before").to_vec();
        text.extend_from_slice(&line::encode(PLAIN, &state));
        let line = last_line(&mut text.as_slice()).unwrap().unwrap();
        assert_eq!(decode(&line).unwrap().unwrap().as_slice(), state);
    }

    #[test]
    fn each_new_state_is_a_line() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut store = open(&holding(""), &writer).unwrap();
        drop(writer);
        assert_eq!(store.load().unwrap_err().kind(), ErrorKind::NoSession);
        let mut line = store.create(b"a").unwrap();
        let stale = line;
        assert_eq!(store.create(b"b").unwrap_err().kind(), ErrorKind::Exists);
        store.replace(&mut line, b"ab").unwrap();
        assert!(store.is_current(line) && !store.is_current(stale));
        assert_eq!(
            store.replace(&mut stale.clone(), b"lost").unwrap_err().kind(),
            ErrorKind::Failed
        );
        assert_eq!(store.load().unwrap().0.as_slice(), b"ab");
        store.wipe().unwrap();
        assert!(!store.is_current(line));
        assert_eq!(store.load().unwrap_err().kind(), ErrorKind::NoSession);
        drop(store);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "otr1s:YQ\notr1s:YWI\notr1s:\n");
    }

    #[test]
    fn a_full_or_closed_output_is_an_error_and_the_state_stays() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut store = open(&holding("otr1s:YWI\n"), &full).unwrap();
        let (_, mut line) = store.load().unwrap();
        assert_eq!(store.replace(&mut line, b"abc").unwrap_err().kind(), ErrorKind::Full);
        assert_eq!(store.load().unwrap().0.as_slice(), b"ab");

        let (reader, writer) = io::pipe().unwrap();
        let mut store = open(&holding("otr1s:YWI\n"), &writer).unwrap();
        drop(reader);
        let (_, mut line) = store.load().unwrap();
        assert_eq!(store.replace(&mut line, b"abc").unwrap_err().kind(), ErrorKind::Failed);
        assert_eq!(store.load().unwrap().0.as_slice(), b"ab");
    }

    #[test]
    fn a_descriptor_that_is_not_open_is_wrong_usage() {
        let failure = Descriptors::open("65534,65535".parse().unwrap()).unwrap_err();
        assert_eq!(failure.kind(), ErrorKind::Usage);
    }
}
