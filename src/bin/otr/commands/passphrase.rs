//! The passphrase of an exported session.

use std::path::PathBuf;

use otr::protocol::authentication::password::Password;

use super::hidden;
use crate::failure::Failure;
use crate::ui::prompt;

const NOUN: &str = "passphrase";
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
    /// Whether to use a passphrase.
    pub(super) fn is_given(&self) -> bool {
        self.file.is_some() || self.fd.is_some() || self.ask
    }

    /// A new passphrase, for a line to be opened later.
    pub(super) fn new_one(&self) -> Result<Option<Password>, Failure> {
        if !self.ask {
            return self.without_asking();
        }
        let typed = hidden::ask_twice(NOUN, "passphrase for the exported session", OTHERWISE)?;
        hidden::password(NOUN, typed.as_bytes()).map(Some)
    }

    /// The passphrase with which a line was sealed; without any option, asks the person.
    pub(super) fn known_one(&self) -> Result<Password, Failure> {
        if let Some(passphrase) = self.without_asking()? {
            return Ok(passphrase);
        }
        let typed = prompt::secret("passphrase of the exported session", OTHERWISE)?;
        hidden::password(NOUN, typed.as_bytes())
    }

    fn without_asking(&self) -> Result<Option<Password>, Failure> {
        let read = hidden::read(NOUN, self.file.as_deref(), self.fd)?;
        read.map(|read| hidden::password(NOUN, &read)).transpose()
    }
}
