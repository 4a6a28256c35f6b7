//! What a tree may hold: each entry of its tar stream, in order, with a name that is harmless here, and no more
//! of them than was announced. The stream is judged by it as it comes ([`Scan`](super::scan::Scan)), and once
//! more when it is unpacked.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};

use tar::{EntryType, Header};

use super::fault::shown;
use super::message::Offer;
use super::name;

/// The longest path in the archive, in bytes: that of Linux.
const PATH: u64 = 4096;
/// The most entries: the sender has their names in memory.
pub(super) const ENTRIES: u64 = 1 << 20;
/// The most bytes of all links, with their targets: they are in memory until the end.
const LINKS: usize = 64 << 20;

/// Why a tree is not taken.
#[derive(Debug)]
pub(super) enum Unfit {
    /// It holds what it must not.
    Unsafe(String),
    /// It holds more than was announced.
    TooMuch,
    /// It ends too early, or is no archive.
    Damaged,
}

/// What a header says, with the way to its place below the tree's own directory.
pub(super) enum Entry {
    /// The next entry's name or target comes, in so many bytes: [`Entries::long`] is to be told.
    Long(u64),
    /// The tree's own directory.
    Root,
    Directory(PathBuf),
    File {
        path: PathBuf,
        size: u64,
        executable: bool,
        modified: u64,
    },
    /// A link, and where it leads.
    Link(PathBuf, PathBuf),
}

/// The entries of one tree.
pub(super) struct Entries {
    /// How much of what was announced has not come yet.
    files: u64,
    bytes: u64,
    in_all: u64,
    /// The bytes of the links so far.
    links: usize,
    /// What is told before the entry to which it belongs.
    name: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    /// Which of the two comes.
    is_target: bool,
    /// How many names have become others.
    pub(super) renamed: u64,
}

impl Entries {
    /// Those of the tree that was offered.
    pub(super) fn of(offer: &Offer) -> Self {
        Self {
            files: offer.files,
            bytes: offer.size.unwrap_or(0),
            in_all: offer.entries.min(ENTRIES),
            links: 0,
            name: None,
            target: None,
            is_target: false,
            renamed: 0,
        }
    }

    /// Takes the next header.
    pub(super) fn header(&mut self, header: &Header) -> Result<Entry, Unfit> {
        let size = header.entry_size().map_err(|_| Unfit::Damaged)?;
        let kind = header.entry_type();
        if matches!(kind, EntryType::GNULongName | EntryType::GNULongLink) {
            self.is_target = kind == EntryType::GNULongLink;
            let known = if self.is_target { &self.target } else { &self.name };
            return match known {
                Some(_) => Err(Unfit::Damaged),
                // With the NUL at its end.
                None if size > PATH => Err(Unfit::Unsafe("a path in it is too long".into())),
                None => Ok(Entry::Long(size)),
            };
        }
        let named = self.name.take().unwrap_or_else(|| header.path_bytes().into_owned());
        let target = self.target.take();
        self.in_all = self.in_all.checked_sub(1).ok_or(Unfit::TooMuch)?;
        let path = self.within(&named)?;
        match kind {
            EntryType::Directory | EntryType::Symlink if size > 0 => Err(Unfit::Damaged),
            EntryType::Directory if path.as_os_str().is_empty() => Ok(Entry::Root),
            _ if path.as_os_str().is_empty() => {
                Err(Unfit::Unsafe("a file in it has no name".into()))
            }
            EntryType::Directory => Ok(Entry::Directory(path)),
            EntryType::Regular => {
                self.files = self.files.checked_sub(1).ok_or(Unfit::TooMuch)?;
                self.bytes = self.bytes.checked_sub(size).ok_or(Unfit::TooMuch)?;
                let executable = header.mode().unwrap_or(0) & 0o100 != 0;
                Ok(Entry::File { path, size, executable, modified: header.mtime().unwrap_or(0) })
            }
            EntryType::Symlink => {
                let target = target.or_else(|| Some(header.link_name_bytes()?.into_owned()));
                let target = PathBuf::from(OsString::from_vec(target.unwrap_or_default()));
                if !stays(&path, &target) {
                    let what = format!("the link {} leads out of it", shown(&path));
                    return Err(Unfit::Unsafe(what));
                }
                self.links += path.as_os_str().len() + target.as_os_str().len();
                if self.links > LINKS {
                    return Err(Unfit::Unsafe("there are too many links in it".into()));
                }
                let target = renamed(&target).unwrap_or(target);
                Ok(Entry::Link(path, target))
            }
            _ => {
                let what = format!("{} is neither a file, a directory nor a link", shown(&path));
                Err(Unfit::Unsafe(what))
            }
        }
    }

    /// Takes the content of a [`Entry::Long`].
    pub(super) fn long(&mut self, mut content: Vec<u8>) {
        content.pop_if(|last| *last == 0);
        let place = if self.is_target { &mut self.target } else { &mut self.name };
        *place = Some(content);
    }

    /// A path that leads nowhere but down, by harmless names.
    fn within(&mut self, path: &[u8]) -> Result<PathBuf, Unfit> {
        let path = Path::new(std::ffi::OsStr::from_bytes(path));
        let mut within = PathBuf::new();
        for component in path.components() {
            match component {
                Component::Normal(name) => within.push(name),
                Component::CurDir => {}
                _ => {
                    let what = format!("the path {} leads out of it", shown(path));
                    return Err(Unfit::Unsafe(what));
                }
            }
        }
        Ok(renamed(&within).inspect(|_| self.renamed += 1).unwrap_or(within))
    }
}

/// The path with harmless names, if it has others.
pub(super) fn renamed(path: &Path) -> Option<PathBuf> {
    let mut made = PathBuf::new();
    let mut is_other = false;
    for component in path.components() {
        match component {
            Component::Normal(name) => {
                let harmless = name::inside(name);
                is_other |= *name != *harmless;
                made.push(harmless);
            }
            other => made.push(other),
        }
    }
    is_other.then_some(made)
}

/// Whether a link at this path stays within the tree: it goes up no farther than to its root, and never up
/// again after it has gone down, perhaps through another link.
fn stays(path: &Path, target: &Path) -> bool {
    let mut up = 0;
    let mut down = false;
    for component in target.components() {
        match component {
            Component::ParentDir if down => return false,
            Component::ParentDir => up += 1,
            Component::Normal(_) => down = true,
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    !target.as_os_str().is_empty() && up < path.components().count()
}
