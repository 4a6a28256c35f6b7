//! How often a secret was used to answer an invite within the last day: each time, whoever made
//! that invite got one guess at it, unless it turned out to be the one who knows it. Times only, in the sessions' directory; never anything computed
//! from a secret.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::place::{self, Directory};

/// No session has a name like this.
const FILE: &str = ".guesses";
/// Seconds for which a guess is remembered.
const DAY: u64 = 24 * 60 * 60;
/// Guesses that are counted: whoever gave more has been warned often enough.
const MOST: usize = 1_000;

impl Directory {
    /// Counts one guess given away at `now` (Unix seconds); how many it makes in a day.
    pub fn count_guess(&self, now: u64) -> io::Result<usize> {
        self.change_guesses(OFlags::CREATE, |times| {
            // One under a clock that was ahead stays: few are kept, and it is only a warning.
            times.retain(|time| now.saturating_sub(*time) < DAY);
            times.push(now);
            times.len()
        })
    }

    /// What was given away then was no guess: the other side has shown that it knows the secret.
    pub fn was_no_guess(&self, at: u64) {
        // Where this fails, a warning comes that could have been spared.
        let _ = self.change_guesses(OFlags::empty(), |times| {
            if let Some(which) = times.iter().position(|time| *time == at) {
                times.remove(which);
            }
        });
    }

    fn change_guesses<T>(
        &self,
        create: OFlags,
        change: impl FnOnce(&mut Vec<u64>) -> T,
    ) -> io::Result<T> {
        let flags = OFlags::RDWR | create | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(self, FILE, flags, Mode::RUSR | Mode::WUSR)?;
        let stat = rustix::fs::fstat(&fd)?;
        if !place::is_file(&stat) || !place::is_ours(&stat) {
            return Err(Errno::PERM.into());
        }
        rustix::fs::flock(&fd, FlockOperation::LockExclusive)?;
        let mut file = File::from(fd);
        let mut bytes = Vec::new();
        (&mut file).take(8 * MOST as u64).read_to_end(&mut bytes)?;
        let (times, _) = bytes.as_chunks::<8>();
        let mut times: Vec<u64> = times.iter().map(|time| u64::from_be_bytes(*time)).collect();
        let result = change(&mut times);
        let first = times.len().saturating_sub(MOST);
        let kept: Vec<u8> = times[first..].iter().flat_map(|time| time.to_be_bytes()).collect();
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&kept)?;
        file.set_len(kept.len() as u64)?;
        Ok(result)
    }

    /// Forgets the count.
    pub fn forget_guesses(&self) {
        // There may be none; and times are no secret.
        let _ = rustix::fs::unlinkat(self, FILE, AtFlags::empty());
    }
}

#[cfg(test)]
mod tests {
    use super::super::place::{Options, Search};
    use super::*;

    #[test]
    fn guesses_are_counted_for_a_day() {
        let place = tempfile::tempdir_in("/dev/shm").unwrap();
        let options = Options {
            named: Some(place.path().join("otr")),
            allow_disk: false,
            ..Options::default()
        };
        let directory = Search::new(&options).home().unwrap();
        let noon = 1_800_000_000;
        assert_eq!(directory.count_guess(noon).unwrap(), 1);
        assert_eq!(directory.count_guess(noon + 60).unwrap(), 2);
        assert_eq!(directory.count_guess(noon + DAY).unwrap(), 2, "the first is too old");
        assert_eq!(directory.sessions().unwrap(), []);
        directory.was_no_guess(noon + 60);
        directory.was_no_guess(noon + 61);
        assert_eq!(directory.count_guess(noon + DAY).unwrap(), 2, "one of two was none");
        directory.forget_guesses();
        directory.was_no_guess(noon + DAY);
        assert_eq!(directory.count_guess(noon + DAY).unwrap(), 1);
        for _ in 0..MOST {
            directory.count_guess(noon + DAY).unwrap();
        }
        assert_eq!(directory.count_guess(noon + DAY).unwrap(), MOST + 1);
    }
}
