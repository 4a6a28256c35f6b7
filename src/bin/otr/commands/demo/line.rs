//! A command line that runs without a shell: the line that is shown and the processes that are
//! started come from the same words.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use super::family::Family;

/// Longer lines are broken after a `|`, so that they fit into 80 columns with the prompt.
const WIDTH: usize = 78;

/// Commands joined by pipes, with the file the first reads and the file the last writes.
pub(super) struct Line {
    commands: Vec<Vec<OsString>>,
    input: Option<PathBuf>,
    output: Option<PathBuf>,
}

/// The results of a line.
pub(super) struct Ran {
    /// The exit code of the last command; `None` if a signal ended it.
    pub(super) code: Option<i32>,
    /// The output of the last command, unless it went to a file.
    pub(super) stdout: Vec<u8>,
    /// The stderr of all commands, in the order of the line.
    pub(super) stderr: Vec<u8>,
    /// Whether every command but the last ended with 0.
    pub(super) fed: bool,
}

impl Line {
    /// One command.
    pub(super) fn new<W: Into<OsString>>(words: impl IntoIterator<Item = W>) -> Self {
        let words = words.into_iter().map(Into::into).collect();
        Self { commands: vec![words], input: None, output: None }
    }

    /// `… | words`
    pub(super) fn pipe<W: Into<OsString>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        self.commands.push(words.into_iter().map(Into::into).collect());
        self
    }

    /// `… < file`, for the first command.
    pub(super) fn from(mut self, file: impl Into<PathBuf>) -> Self {
        self.input = Some(file.into());
        self
    }

    /// `… > file`, for the last.
    pub(super) fn to(mut self, file: impl Into<PathBuf>) -> Self {
        self.output = Some(file.into());
        self
    }

    /// Runs it to its end in `directory`; `otr` means this very program.
    pub(super) fn run(&self, directory: &Path, family: &Family) -> io::Result<Ran> {
        self.start(directory, family)?.wait()
    }

    /// Starts it, as a shell does with `… &`.
    pub(super) fn start(&self, directory: &Path, family: &Family) -> io::Result<Running> {
        // Held until all processes have started, because this also creates files.
        let mut members = family.hold();
        let mut input = match &self.input {
            Some(file) => Stdio::from(File::open(directory.join(file))?),
            None => Stdio::null(),
        };
        let mut running = Running(Vec::new());
        for (number, words) in self.commands.iter().enumerate() {
            let mut command = prepare(words, directory)?;
            command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
            if let (Some(file), true) = (&self.output, number + 1 == self.commands.len()) {
                command.stdout(File::create(directory.join(file))?);
            }
            let mut child = members.start(&mut command)?;
            input = match child.stdout.take() {
                Some(stdout) if number + 1 < self.commands.len() => stdout.into(),
                stdout => {
                    child.stdout = stdout;
                    Stdio::null()
                }
            };
            running.0.push(child);
        }
        Ok(running)
    }
}

/// The processes of a line; dropping them kills those that were not waited for.
pub(super) struct Running(Vec<Child>);

impl Running {
    /// Waits for the last one first: its output must be read before the others can end.
    pub(super) fn wait(mut self) -> io::Result<Ran> {
        let last = self.0.pop().map(Child::wait_with_output).transpose()?;
        let feeders: Result<Vec<Output>, _> =
            self.0.drain(..).map(Child::wait_with_output).collect();
        let feeders = feeders?;
        let fed = feeders.iter().all(|one| one.status.success());
        let code = last.as_ref().and_then(|one| one.status.code());
        let stderr = feeders.iter().chain(&last).flat_map(|one| one.stderr.clone()).collect();
        let stdout = last.map(|one| one.stdout).unwrap_or_default();
        Ok(Ran { code, stdout, stderr, fed })
    }

    /// The process of the last command.
    pub(super) fn last(mut self) -> Option<Child> {
        self.0.pop()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn prepare(words: &[OsString], directory: &Path) -> io::Result<Command> {
    let Some((program, arguments)) = words.split_first() else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let mut command =
        if program == "otr" { Command::new(env::current_exe()?) } else { Command::new(program) };
    // The person's own settings apply to the person's own sessions.
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("OTR_")) {
            command.env_remove(name);
        }
    }
    command.args(arguments).current_dir(directory).env("OTR_DIR", directory);
    Ok(command)
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.commands.len().saturating_sub(1);
        let mut column = 0;
        for (number, words) in self.commands.iter().enumerate() {
            let mut text: Vec<_> = words.iter().map(|word| quoted(word)).collect();
            if let (0, Some(file)) = (number, &self.input) {
                text.push(format!("< {}", quoted(file.as_os_str())));
            }
            if let (true, Some(file)) = (number == last, &self.output) {
                text.push(format!("> {}", quoted(file.as_os_str())));
            }
            let text = text.join(" ");
            if number > 0 {
                let breaks = column + text.len() + " | ".len() > WIDTH;
                f.write_str(if breaks { " |\n    " } else { " | " })?;
                column = if breaks { 4 } else { column + 3 };
            }
            column += text.len();
            f.write_str(&text)?;
        }
        Ok(())
    }
}

/// The word, quoted for a shell.
fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(line: &Line, directory: &tempfile::TempDir) -> io::Result<Ran> {
        line.run(directory.path(), &Family::default())
    }

    #[test]
    fn what_is_shown_is_what_a_shell_would_run() {
        let directory = tempfile::tempdir_in("/dev/shm").unwrap();
        std::fs::write(directory.path().join("a file"), "it's\nso").unwrap();
        let lines = [
            Line::new(["echo", "it's", "$HOME", "", "a  b"]).pipe(["tr", "a-z", "A-Z"]),
            Line::new(["cat"]).from("a file").pipe(["tr", "\n", "|"]),
            Line::new(["printf", "%s|", "*", "~", "#", "a;b", "ü", "&", "(", "a\nb"]),
        ];
        for line in lines {
            let ran = run(&line, &directory).unwrap();
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(line.to_string()).current_dir(directory.path());
            let expected = shell.output().unwrap();
            assert_eq!((ran.code, ran.fed), (expected.status.code(), true));
            assert_eq!(ran.stdout, expected.stdout, "{line}");
            assert!(!ran.stdout.is_empty());
        }
    }

    #[test]
    fn a_file_takes_the_output_and_a_failure_is_seen() {
        let directory = tempfile::tempdir_in("/dev/shm").unwrap();
        let line = Line::new(["echo", "hi"]).to("out");
        assert_eq!(line.to_string(), "echo hi > out");
        let ran = run(&line, &directory).unwrap();
        assert!(ran.stdout.is_empty());
        assert_eq!(std::fs::read(directory.path().join("out")).unwrap(), b"hi\n");

        let ran = run(&Line::new(["false"]).pipe(["cat"]), &directory).unwrap();
        assert_eq!((ran.code, ran.fed), (Some(0), false));
        let ran = run(&Line::new(["false"]), &directory).unwrap();
        assert_eq!((ran.code, ran.fed), (Some(1), true));
        assert!(run(&Line::new(["/no/such/program"]), &directory).is_err());
    }

    #[test]
    fn a_long_line_is_broken_after_a_bar() {
        let long = "x".repeat(50);
        let line = Line::new(["echo", &long]).pipe(["cat", "-"]).pipe(["tr", "a", &"b".repeat(20)]);
        let shown = line.to_string();
        assert_eq!(shown, format!("echo {long} | cat - |\n    tr a {}", "b".repeat(20)));
        assert!(shown.lines().all(|line| line.len() <= WIDTH));
    }
}
