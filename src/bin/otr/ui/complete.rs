//! Reads a line that a person edits at the terminal, with completion on TAB.

use std::fs::File;

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::Validator;
use rustyline::{Behavior, CompletionType, Config, Context, Editor, Helper};
use zeroize::Zeroizing;

use crate::failure::{Code, Failure};
use crate::process;
use crate::ui::terminal::Quiet;

/// Completions for the text up to the cursor: the byte at which they begin, and the candidates.
pub(crate) type Candidates = fn(&str) -> (usize, Vec<String>);

/// Asks for a line. `otherwise` says what to do if there is no terminal.
pub(crate) fn line(
    question: &str,
    otherwise: &'static str,
    candidates: Candidates,
) -> Result<Zeroizing<String>, Failure> {
    let no_terminal = |_| Failure::new(Code::Usage, "there is no terminal to ask on", otherwise);
    let terminal = File::options().read(true).write(true).open("/dev/tty").map_err(no_terminal)?;
    let guard = Quiet::guard(terminal).map_err(ReadlineError::Io);
    match guard.and_then(|_given_back| edited(question, candidates)) {
        Ok(line) => Ok(Zeroizing::new(line)),
        Err(ReadlineError::Interrupted) => {
            process::end_by_interrupt();
            Err(Failure::new(Code::Failed, "interrupted", ""))
        }
        Err(ReadlineError::Eof) => {
            Err(Failure::new(Code::Failed, "no answer was given", "type it and press Enter"))
        }
        Err(error) => {
            let what = format!("the terminal cannot be used ({error})");
            Err(Failure::new(Code::Failed, what, otherwise))
        }
    }
}

fn edited(question: &str, candidates: Candidates) -> rustyline::Result<String> {
    let config = Config::builder()
        .behavior(Behavior::PreferTerm)
        .completion_type(CompletionType::List)
        .auto_add_history(false)
        .build();
    let mut editor: Editor<Words, DefaultHistory> = Editor::with_config(config)?;
    editor.set_helper(Some(Words(candidates)));
    editor.readline(&format!("otr: {question}: "))
}

struct Words(Candidates);

impl Completer for Words {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        cursor: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok((self.0)(line.get(..cursor).unwrap_or_default()))
    }
}

impl Helper for Words {}
impl Highlighter for Words {}
impl Hinter for Words {
    type Hint = String;
}
impl Validator for Words {}
