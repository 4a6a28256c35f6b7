//! The lines that a client writes. A line that is too long is passed over as it comes, in the memory of
//! one read.

use std::io::{BufRead, BufReader, Read};

use zeroize::Zeroizing;

/// The longest line: a message of 3 MiB in base64. Longer ones come from a file or a descriptor.
pub(super) const LONGEST: usize = 4 << 20;
/// Bytes of one read.
const READ: usize = 64 << 10;

/// What comes next.
pub(super) enum Line {
    /// Without its newline; it may hold a secret.
    Whole(Zeroizing<Vec<u8>>),
    /// Longer than [`LONGEST`], and gone.
    TooLong,
    End,
}

/// An input, line by line.
pub(super) struct Lines<R>(BufReader<R>);

impl<R: Read> Lines<R> {
    pub(super) fn new(input: R) -> Self {
        Self(BufReader::with_capacity(READ, input))
    }

    /// The next line that is not empty. Where the input fails, it has ended.
    pub(super) fn next(&mut self) -> Line {
        loop {
            let mut line = Zeroizing::new(Vec::new());
            let mut input = (&mut self.0).take(LONGEST as u64 + 1);
            match input.read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return Line::End,
                Ok(_) => {}
            }
            if line.ends_with(b"\n") {
                line.pop();
            } else if line.len() > LONGEST {
                drop(line);
                return if self.0.skip_until(b'\n').is_ok() { Line::TooLong } else { Line::End };
            }
            if !line.trim_ascii().is_empty() {
                return Line::Whole(line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &[u8]) -> Vec<Option<Vec<u8>>> {
        let mut lines = Lines::new(input);
        let mut found = Vec::new();
        loop {
            match lines.next() {
                Line::Whole(line) => found.push(Some(line.to_vec())),
                Line::TooLong => found.push(None),
                Line::End => return found,
            }
        }
    }

    #[test]
    fn after_a_line_that_is_too_long_comes_the_next() {
        let fits = vec![b'x'; LONGEST];
        let longer = [&fits[..], b"y"].concat();
        let input = [b"a\r\n\n \n", &longer[..], b"\n", &fits, b"\nlast"].concat();
        assert_eq!(read(&input), [Some(b"a\r".to_vec()), None, Some(fits), Some(b"last".to_vec())]);
        assert_eq!(read(&longer), [None]);
        assert_eq!(read(b""), []);
    }
}
