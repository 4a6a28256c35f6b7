//! `otr complete-sessions`, hidden: the names of the sessions, for the completions of a shell. It
//! never fails and never writes to stderr, because it runs while somebody types.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use otr::store::Search;

use crate::context::{Context, places};
use crate::ui::stdio;

/// `otr complete-sessions`
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The words typed so far; one may be empty, and so not a path
    #[arg(last = true)]
    words: Vec<OsString>,
}

pub(crate) fn run(context: &Context, args: &Args) {
    let typed = typed_directory(&args.words);
    let named = typed.or_else(|| context.options.named.clone());
    let options = places(named, true);
    let directories = Search::new(&options).all().unwrap_or_default();
    let mut lines = String::new();
    for session in directories.iter().filter_map(|directory| directory.sessions().ok()).flatten() {
        lines += session.as_str();
        lines.push('\n');
    }
    if let Ok(mut out) = stdio::output() {
        let _ = out.write_all(lines.as_bytes());
    }
}

/// The last `--dir DIR` or `--dir=DIR`; bash splits the latter into three words.
fn typed_directory(words: &[OsString]) -> Option<PathBuf> {
    let mut words = words.iter().filter(|word| *word != "=");
    let mut directory = None;
    while let Some(word) = words.next() {
        if word == "--dir" {
            directory = words.next().map(PathBuf::from);
        } else if let Some(path) = word.to_str().and_then(|word| word.strip_prefix("--dir=")) {
            directory = Some(path.into());
        }
    }
    directory.filter(|path| !path.as_os_str().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_is_found_among_the_words() {
        let found =
            |line: &str| typed_directory(&line.split(' ').map(Into::into).collect::<Vec<_>>());
        for line in
            ["otr --dir /a -s", "otr --dir=/a send", "otr --dir = /a", "otr --dir b --dir /a"]
        {
            assert_eq!(found(line), Some("/a".into()), "{line}");
        }
        for line in ["otr -s", "otr --dir", "otr --dir="] {
            assert_eq!(found(line), None, "{line}");
        }
    }
}
