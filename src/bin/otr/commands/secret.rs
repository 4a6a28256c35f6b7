//! The secret that two people share, for the handshake and for `verify`.

use std::path::PathBuf;

use otr::protocol::authentication::password::Password;
use zeroize::Zeroizing;

use super::hidden;
use crate::failure::Failure;
use crate::ui::prompt;

const NOUN: &str = "secret";
const OTHERWISE: &str = "give it with --secret-file or --secret-fd";

/// Where a secret comes from.
#[derive(clap::Args)]
pub(crate) struct Given {
    /// Secret in FILE, without the newline at its end
    #[arg(
        long = "secret-file",
        value_name = "FILE",
        value_hint = clap::ValueHint::FilePath,
        conflicts_with = "secret_fd"
    )]
    secret_file: Option<PathBuf>,

    /// Secret on descriptor N, to its end, without the newline there
    #[arg(long = "secret-fd", value_name = "N", value_parser = clap::value_parser!(u32).range(3..))]
    secret_fd: Option<u32>,
}

/// A secret for the handshake, if one of these options is used.
#[derive(clap::Args)]
pub(crate) struct Secret {
    #[command(flatten)]
    given: Given,

    /// Ask on the terminal for a secret that both people know
    #[arg(long = "ask-secret", conflicts_with_all = ["secret_file", "secret_fd"])]
    ask_secret: bool,
}

impl Given {
    /// The named secret, if there is one.
    fn read(&self) -> Result<Option<Password>, Failure> {
        let bytes = hidden::read(NOUN, self.secret_file.as_deref(), self.secret_fd)?;
        bytes.map(|bytes| hidden::password(NOUN, &bytes)).transpose()
    }

    /// The named secret; if there is none, asks the person, twice if it is `new`.
    pub(super) fn or_asked(&self, question: &str, new: bool) -> Result<Password, Failure> {
        match self.read()? {
            Some(secret) => Ok(secret),
            None => hidden::password(NOUN, asked(question, new)?.as_bytes()),
        }
    }
}

impl Secret {
    /// The secret to use, if any; asked for twice if it is `new`, so that a typing error does not
    /// waste it.
    pub(super) fn get(&self, new: bool) -> Result<Option<Password>, Failure> {
        if !self.ask_secret {
            return self.given.read();
        }
        let typed = asked("the secret that you both know", new)?;
        hidden::password(NOUN, typed.as_bytes()).map(Some)
    }
}

fn asked(question: &str, new: bool) -> Result<Zeroizing<String>, Failure> {
    if new {
        hidden::ask_twice(NOUN, question, OTHERWISE)
    } else {
        prompt::secret(question, OTHERWISE)
    }
}
