//! How often a secret was used to answer an invite within the last day. Each time, the author of
//! the invite got one guess at the secret, unless it turned out that they know it. The file in the
//! sessions' directory holds only times, never anything computed from a secret.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::directory::{self, Directory};

/// No session can have this name.
const FILE: &str = ".guesses";
/// Seconds for which a guess is remembered.
const DAY: u64 = 24 * 60 * 60;
/// The most guesses to count: a user who gave away more has been warned often enough.
const MOST: usize = 1_000;

impl Directory {
    /// Counts one guess given away at `now` (Unix seconds); returns how many that makes within a
    /// day.
    pub fn count_guess(&self, now: u64) -> io::Result<usize> {
        self.change_guesses(OFlags::CREATE, |times| {
            // A time that lies in the future stays: there are few of them, and they only affect a
            // warning.
            times.retain(|time| now.saturating_sub(*time) < DAY);
            times.push(now);
            times.len()
        })
    }

    /// Takes back the guess counted at `at`: the other side has shown that it knows the secret.
    pub fn was_no_guess(&self, at: u64) {
        // If this fails, a warning appears that was not needed.
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
        if !directory::is_file(&stat) || !directory::is_ours(&stat) {
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
        // There may be none, and times are not secret.
        let _ = rustix::fs::unlinkat(self, FILE, AtFlags::empty());
    }
}

#[cfg(test)]
mod tests {
    use super::super::directory::{Options, Search};
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
