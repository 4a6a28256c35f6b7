//! A secret that is typed in the place of the line, to compare it with the other side's; the screen does not
//! show it.

use zeroize::Zeroizing;

use super::sending::Job;
use crate::commands::hidden;
use crate::ui::keys::Key;
use crate::ui::speak::sentence;

/// A secret on its way in.
pub(super) struct Secret {
    what: What,
    typed: Zeroizing<String>,
}

/// What it is for.
enum What {
    /// To ask, with this question for the other side. A typing error would cost a guess, so it is typed
    /// twice: the first time, if that is over.
    Question(String, Option<Zeroizing<String>>),
    /// To answer the other side's question, of this run.
    Answer([u8; 32]),
}

/// What became of a key.
pub(super) enum Taken {
    /// More may follow.
    Part(Secret),
    /// Nothing of it was taken, for this reason; more may follow.
    Nothing(Secret, &'static str),
    /// All is here.
    Whole(Job),
    /// Nothing is compared, for this reason.
    Ended(String),
}

impl Secret {
    pub(super) fn question(question: &str) -> Self {
        let what = What::Question(question.to_owned(), None);
        Self { what, typed: Zeroizing::default() }
    }

    pub(super) fn answer(run: [u8; 32]) -> Self {
        Self { what: What::Answer(run), typed: Zeroizing::default() }
    }

    pub(super) fn prompt(&self) -> &'static str {
        match self.what {
            What::Answer(_) => "your answer (it is not shown; Esc: not now): ",
            What::Question(_, None) => "the secret to compare (it is not shown; Esc: not now): ",
            What::Question(_, Some(_)) => "the same again: ",
        }
    }

    /// Takes a key.
    pub(super) fn key(mut self, key: &Key) -> Taken {
        match key {
            Key::Char(sign) => self.typed.push(*sign),
            Key::Paste(text) => match str::from_utf8(text) {
                Ok(text) if !text.contains(['\r', '\n']) => self.typed.push_str(text),
                _ => {
                    let why = "a secret is one line: nothing of the paste was taken";
                    return Taken::Nothing(self, why);
                }
            },
            Key::Backspace => drop(self.typed.pop()),
            Key::DeleteToStart => self.typed.clear(),
            Key::Escape | Key::Interrupt | Key::EndOfInput => {
                return Taken::Ended("nothing was compared".to_owned());
            }
            Key::Enter => return self.entered(),
            _ => {}
        }
        Taken::Part(self)
    }

    fn entered(mut self) -> Taken {
        let typed = std::mem::take(&mut self.typed);
        if let What::Question(_, once) = &mut self.what {
            match once {
                None => {
                    *once = Some(typed);
                    return Taken::Part(self);
                }
                Some(once) if *once != typed => {
                    return Taken::Ended("the two differ: nothing was compared".to_owned());
                }
                Some(_) => {}
            }
        }
        match (hidden::password("secret", typed.as_bytes()), self.what) {
            (Err(failure), _) => Taken::Ended(sentence(&failure)),
            (Ok(password), What::Question(question, _)) => {
                Taken::Whole(Job::Ask(password, question))
            }
            (Ok(password), What::Answer(run)) => Taken::Whole(Job::Answer(run, password)),
        }
    }
}
