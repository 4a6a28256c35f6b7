//! A directory, or several files, as a tar stream: looked through before there is a code, in an order that
//! is always the same, so that the stream can go on where it was cut.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, PipeReader, PipeWriter, Read as _, pipe};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use rustix::fs::{Mode, OFlags};
use tar::{Builder, EntryType, Header};

use super::entries::{ENTRIES, renamed};
use super::fault::{Fault, shown, unreadable};
use crate::failure::{Code, Failure};
use crate::ui::speak::warn;
use crate::ui::stdio;
use crate::worker;

/// The deepest directory.
const DEPTH: usize = 100;

/// What is packed.
pub(super) struct Tree {
    /// Its name for the other side.
    pub(super) name: String,
    /// By their paths within it.
    entries: BTreeMap<PathBuf, Entry>,
}

struct Entry {
    from: PathBuf,
    kind: Kind,
}

enum Kind {
    Directory,
    File {
        size: u64,
        executable: bool,
        modified: u64,
    },
    /// To here.
    Link(PathBuf),
}

impl Tree {
    /// A directory with all that is in it.
    pub(super) fn of_directory(path: &Path) -> Result<Self, Failure> {
        // `.` and `a/..` have a name, too.
        let whole = fs::canonicalize(path).map_err(|error| unreadable(path, &error))?;
        let name = whole.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut tree = Self { name, entries: BTreeMap::new() };
        tree.fill(path, Path::new(""), 0)?;
        tree.check_names()
    }

    /// Several files and directories, next to each other.
    pub(super) fn of_several(paths: &[PathBuf]) -> Result<Self, Failure> {
        let mut tree = Self { name: String::new(), entries: BTreeMap::new() };
        for path in paths {
            let Some(name) = path.file_name() else {
                let what = format!("{} has no name of its own", shown(path));
                return Err(Failure::new(Code::Usage, what, "hand it over by itself"));
            };
            if tree.entries.contains_key(Path::new(name)) {
                let what = format!("two of these are named {}", shown(Path::new(name)));
                return Err(Failure::new(Code::Usage, what, "hand them over one by one"));
            }
            let found = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
            tree.add(path, Path::new(name), &found, 0)?;
        }
        tree.check_names()
    }

    fn fill(&mut self, from: &Path, to: &Path, depth: usize) -> Result<(), Failure> {
        let read = fs::read_dir(from).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        for entry in read.map_err(|error| unreadable(from, &error))? {
            let path = entry.path();
            let found = entry.metadata().map_err(|error| unreadable(&path, &error))?;
            self.add(&path, &to.join(entry.file_name()), &found, depth)?;
        }
        Ok(())
    }

    fn add(
        &mut self,
        from: &Path,
        to: &Path,
        found: &fs::Metadata,
        depth: usize,
    ) -> Result<(), Failure> {
        if self.entries() >= ENTRIES || depth > DEPTH {
            let what = "there are too many files, or too many directories in one another";
            return Err(Failure::new(Code::Usage, what, "put a tar archive of them"));
        }
        let kind = if found.is_dir() {
            Kind::Directory
        } else if found.is_file() {
            // Whether it may be read is known before anybody has the code.
            open(from).map_err(|error| unreadable(from, &error))?;
            let modified = found.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
            Kind::File {
                size: found.len(),
                executable: found.permissions().mode() & 0o100 != 0,
                modified: modified.unwrap_or_default().as_secs(),
            }
        } else if found.is_symlink() {
            Kind::Link(fs::read_link(from).map_err(|error| unreadable(from, &error))?)
        } else {
            let what = format!("{} is neither a file, a directory nor a link", shown(from));
            return Err(Failure::new(Code::Usage, what, "leave it out").about(from));
        };
        let is_directory = matches!(kind, Kind::Directory);
        self.entries.insert(to.to_owned(), Entry { from: from.to_owned(), kind });
        if is_directory { self.fill(from, to, depth + 1) } else { Ok(()) }
    }

    /// The bytes of its files.
    pub(super) fn bytes(&self) -> u64 {
        let sizes = self.entries.values().map(|entry| match entry.kind {
            Kind::File { size, .. } => size,
            _ => 0,
        });
        sizes.sum()
    }

    /// How many files it has.
    pub(super) fn files(&self) -> u64 {
        let files = self.entries.values().filter(|entry| matches!(entry.kind, Kind::File { .. }));
        files.count() as u64
    }

    /// How many files, directories and links.
    pub(super) fn entries(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Whether the other side can give each its name, which is known before anybody has the code.
    fn check_names(self) -> Result<Self, Failure> {
        let others: Vec<_> =
            self.entries.keys().filter_map(|path| Some((path, renamed(path)?))).collect();
        let mut made = BTreeSet::new();
        for (path, other) in &others {
            if self.entries.contains_key(other) || !made.insert(other) {
                let what = format!(
                    "{} and another would both be named {} at the other side",
                    shown(path),
                    shown(other)
                );
                let hint = "rename one of them, or put a tar archive";
                return Err(Failure::new(Code::Usage, what, hint).about(path));
            }
        }
        if let Some((path, other)) = others.first() {
            warn(format_args!(
                "{} of the names in it will have '_' for what could do harm, such as {}, as {}",
                others.len(),
                shown(path),
                shown(other)
            ));
        }
        Ok(self)
    }

    fn write(&self, out: PipeWriter) -> io::Result<()> {
        let mut archive = Builder::new(out);
        for (path, entry) in &self.entries {
            entry.write(&mut archive, path).map_err(|error| {
                io::Error::new(error.kind(), format!("{}: {error}", shown(&entry.from)))
            })?;
        }
        archive.finish()
    }
}

impl Entry {
    fn write(&self, archive: &mut Builder<PipeWriter>, path: &Path) -> io::Result<()> {
        let mut header = Header::new_gnu();
        header.set_mode(0o644);
        match &self.kind {
            Kind::Directory => {
                header.set_entry_type(EntryType::Directory);
                header.set_mode(0o755);
                header.set_size(0);
                archive.append_data(&mut header, path, io::empty())
            }
            Kind::Link(to) => {
                header.set_entry_type(EntryType::Symlink);
                header.set_size(0);
                archive.append_link(&mut header, path, to)
            }
            Kind::File { size, executable, modified } => {
                header.set_entry_type(EntryType::Regular);
                header.set_mode(if *executable { 0o755 } else { 0o644 });
                header.set_mtime(*modified);
                header.set_size(*size);
                let mut file = open(&self.from)?;
                let found = file.metadata()?;
                // What it has become must not be read: a device may never end.
                if !found.is_file() || found.len() != *size {
                    return Err(io::Error::other("it has changed while it was read"));
                }
                let mut rest = (&mut file).take(*size);
                archive.append_data(&mut header, path, &mut rest)?;
                if rest.limit() > 0 || file.read(&mut [0])? > 0 {
                    return Err(io::Error::other("it has changed while it was read"));
                }
                Ok(())
            }
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
}

/// The stream, which a thread writes as it is read. If something goes wrong, it ends early, and `fault` says
/// why before that.
pub(super) fn stream(tree: &Arc<Tree>, fault: &Fault) -> Result<PipeReader, Failure> {
    let (read, write) = pipe()
        .map_err(|error| Failure::new(Code::Failed, format!("cannot open a pipe: {error}"), ""))?;
    stdio::widen(&write);
    let held = write.try_clone();
    let (tree, fault) = (Arc::clone(tree), fault.clone());
    worker::start(move || {
        // Held open until the fault is noted: the reader sees the end after that.
        let held = held;
        match tree.write(write) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(error) => fault.set(error.to_string()),
            Ok(()) => {}
        }
        drop(held);
    })?;
    Ok(read)
}
