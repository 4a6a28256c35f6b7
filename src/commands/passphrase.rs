//! The passphrase of an exported session: from a file, a descriptor or the terminal, never from
//! the arguments or the environment, where other processes could read it.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use zeroize::Zeroizing;

use crate::failure::{Code, Failure};
use crate::inherited::{self, Use};
use crate::ui::printable;
use crate::ui::prompt;

/// Longest passphrase in bytes: more than anybody types, less than a file named by mistake.
const LONGEST: usize = 1024;

const OTHERWISE: &str = "give it with --passphrase-file or --passphrase-fd";

/// Where it comes from.
#[derive(clap::Args)]
#[group(multiple = false)]
pub(crate) struct Passphrase {
    /// Passphrase in FILE, without the newline at its end
    #[arg(long = "passphrase-file", value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    file: Option<PathBuf>,

    /// Passphrase on descriptor N, to its end, without the newline there
    #[arg(long = "passphrase-fd", value_name = "N", value_parser = clap::value_parser!(u32).range(3..))]
    fd: Option<u32>,

    /// Ask for the passphrase on the terminal
    #[arg(long = "ask-passphrase")]
    ask: bool,
}

impl Passphrase {
    /// Whether one is to be used.
    pub(super) fn is_given(&self) -> bool {
        self.file.is_some() || self.fd.is_some() || self.ask
    }

    /// One that will open a line later: asked for twice, since nobody sees what he types.
    pub(super) fn new_one(&self) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
        if !self.ask {
            return self.without_asking();
        }
        let once = prompt::secret("passphrase for the exported session", OTHERWISE)?;
        if *once != *prompt::secret("the same again", OTHERWISE)? {
            return Err(Failure::new(Code::Usage, "the two passphrases differ", "try again"));
        }
        checked(once.as_bytes()).map(Some)
    }

    /// The one that a line was sealed with; without any option, the person is asked.
    pub(super) fn known_one(&self) -> Result<Zeroizing<Vec<u8>>, Failure> {
        if let Some(passphrase) = self.without_asking()? {
            return Ok(passphrase);
        }
        let typed = prompt::secret("passphrase of the exported session", OTHERWISE)?;
        checked(typed.as_bytes())
    }

    fn without_asking(&self) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
        let (file, name) = match (&self.file, self.fd) {
            (Some(path), _) => (File::open(path), printable::line(&path.to_string_lossy())),
            (None, Some(number)) => {
                (inherited::duplicate(number, Use::Read), format!("descriptor {number}"))
            }
            (None, None) => return Ok(None),
        };
        let read = file.and_then(|mut file| read(&mut file)).map_err(|error| {
            let what = format!("cannot read the passphrase from {name}: {error}");
            Failure::new(Code::Usage, what, "")
        })?;
        let text = read.strip_suffix(b"\n").unwrap_or(&read);
        checked(text.strip_suffix(b"\r").unwrap_or(text)).map(Some)
    }
}

/// At most two bytes more than a passphrase and its newline have, so that a longer one is seen.
fn read(file: &mut impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    let most = LONGEST + "\r\n".len() + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(most));
    file.take(most as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn checked(passphrase: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
    match passphrase.len() {
        0 => Err(Failure::new(Code::Usage, "the passphrase is empty", "give it at least a word")),
        1..=LONGEST => Ok(Zeroizing::new(passphrase.to_vec())),
        _ => {
            let what = "the passphrase is longer than 1,024 bytes";
            Err(Failure::new(Code::Usage, what, "is it the right file?"))
        }
    }
}
