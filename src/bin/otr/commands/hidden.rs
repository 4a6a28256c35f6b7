//! A text that nobody else may see, such as a secret or a passphrase: from a file, a descriptor or
//! the terminal, never from the arguments or the environment, where other processes could read it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use otr::protocol::authentication::password::{Password, PasswordError};
use otr::store::inherited::{self, Use};
use otr::store::patient::Patient;
use zeroize::Zeroizing;

use crate::failure::{Code, Failure};
use crate::ui::printable;
use crate::ui::prompt;
use otr::postbox::secret;

/// The most bytes to read: four times the longest usable text, because normalising may shorten it,
/// but less than a file that was named by mistake is likely to have.
const MOST: usize = 4096;

/// The exact contents of the file or the descriptor; `None` if neither was named. `noun` is what to
/// call it, such as `secret`.
pub(super) fn read(
    noun: &str,
    path: Option<&Path>,
    descriptor: Option<u32>,
) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
    let (file, name) = match (path, descriptor) {
        (Some(path), _) => {
            (File::open(path).map(Patient::new), printable::line(&path.to_string_lossy()))
        }
        (None, Some(number)) => {
            (inherited::duplicate(number, Use::Read), format!("descriptor {number}"))
        }
        (None, None) => return Ok(None),
    };
    let bytes = file.and_then(|mut file| read_all(&mut file)).map_err(|error| {
        let what = format!("cannot read the {noun} from {name}: {error}");
        Failure { file: path.map(Path::to_owned), ..Failure::new(Code::Usage, what, "") }
    })?;
    if bytes.len() > MOST { Err(too_long(noun)) } else { Ok(Some(bytes)) }
}

/// The post secret of a postbox, without the newline at its end.
pub(super) fn post_secret(path: &Path) -> Result<Zeroizing<String>, Failure> {
    const NOUN: &str = "post secret";
    let bytes = read(NOUN, Some(path), None)?.unwrap_or_default();
    let text = str::from_utf8(bytes.trim_ascii_end()).unwrap_or_default();
    if secret::is_sound(text) {
        return Ok(Zeroizing::new(text.to_owned()));
    }
    let what = format!("the {NOUN} is not {}", secret::SHAPE);
    Err(Failure::new(Code::Usage, what, "openssl rand -hex 16 makes one").about(path))
}

/// Reads one byte more than can be used, to detect a longer text.
fn read_all(file: &mut impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(MOST + 1));
    file.take(MOST as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Asks twice, because the person cannot see the typed text.
pub(super) fn ask_twice(
    noun: &str,
    question: &str,
    otherwise: &'static str,
) -> Result<Zeroizing<String>, Failure> {
    let once = prompt::secret(question, otherwise)?;
    if *once != *prompt::secret("the same again", otherwise)? {
        return Err(Failure::new(Code::Usage, format!("the two {noun}s differ"), "try again"));
    }
    Ok(once)
}

/// The form of a text that both sides compare.
pub(super) fn password(noun: &str, bytes: &[u8]) -> Result<Password, Failure> {
    let text = str::from_utf8(bytes).map_err(|_| {
        let hint = "write it in UTF-8: it must be the same text everywhere";
        Failure::new(Code::Usage, format!("the {noun} is not UTF-8"), hint)
    })?;
    Password::from_text(text).map_err(|error| match error {
        PasswordError::Empty => {
            Failure::new(Code::Usage, format!("the {noun} is empty"), "use at least one word")
        }
        PasswordError::TooLong => too_long(noun),
    })
}

fn too_long(noun: &str) -> Failure {
    let what = format!("the {noun} is longer than 1,024 bytes");
    Failure::new(Code::Usage, what, "is it the right file?")
}
