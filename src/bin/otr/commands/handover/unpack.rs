//! The tar stream of a directory, unpacked into a new directory that nobody else can enter: what another
//! tar would accept and a careful person would not (a path that leads out, a device, a name twice) ends it.
//!
//! Links come last. So while files are written there is no link among their directories. Each link is made
//! in a directory that was opened step by step without following any link, so that its own way up leads
//! through directories alone, and what [`stays`] counts is true.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use rustix::fs::{Mode, OFlags, openat, symlinkat};
use rustix::io::Errno;
use tar::{Archive, EntryType};

use super::fault::shown;

/// The longest path in the archive, in bytes: that of Linux.
const PATH: u64 = 4096;
/// The most entries: the links among them are in memory until the end.
const ENTRIES: usize = 1 << 20;

/// Why an archive is not unpacked.
#[derive(Debug)]
pub(super) enum Error {
    /// It holds what it must not.
    Unsafe(String),
    /// It ends too early, or is no archive.
    Damaged,
    /// The system's error when writing.
    Write(io::Error),
    /// This command is about to end.
    Stopped,
}

/// Unpacks into the new directory `to`, until `stopped`.
pub(super) fn unpack(
    archive: impl Read,
    to: &Path,
    stopped: impl Fn() -> bool,
) -> Result<(), Error> {
    make(to).map_err(Error::Write)?;
    let mut links = Vec::new();
    let (mut long_name, mut long_link) = (None, None);
    let mut archive = Archive::new(archive);
    let entries = archive.entries().map_err(|_| Error::Damaged)?;
    for (nth, entry) in entries.raw(true).enumerate() {
        if stopped() {
            return Err(Error::Stopped);
        }
        if nth >= ENTRIES {
            return Err(Error::Unsafe("it has too many entries".into()));
        }
        let mut entry = entry.map_err(|_| Error::Damaged)?;
        let kind = entry.header().entry_type();
        match kind {
            EntryType::GNULongName => {
                long_name = Some(long(&mut entry)?);
                continue;
            }
            EntryType::GNULongLink => {
                long_link = Some(long(&mut entry)?);
                continue;
            }
            _ => {}
        }
        let path = long_name.take().unwrap_or_else(|| entry.path_bytes().into_owned());
        let path = within(&path)?;
        let place = to.join(&path);
        if path.as_os_str().is_empty() {
            // The directory itself.
            continue;
        }
        match kind {
            EntryType::Directory => make(&place).map_err(|error| misplaced(&path, error))?,
            EntryType::Regular => {
                let header = entry.header();
                let executable = header.mode().unwrap_or(0) & 0o100 != 0;
                let modified = header.mtime().unwrap_or(0);
                let size = header.size().map_err(|_| Error::Damaged)?;
                let mut file = create(&path, &place, executable)?;
                write(&mut entry, &mut file, size, modified, &stopped)?;
            }
            EntryType::Symlink => {
                let target = long_link
                    .take()
                    .or_else(|| entry.link_name_bytes().map(std::borrow::Cow::into_owned));
                links.push((
                    path,
                    PathBuf::from(std::ffi::OsString::from_vec(target.unwrap_or_default())),
                ));
            }
            _ => {
                let what = format!("{} is neither a file, a directory nor a link", shown(&path));
                return Err(Error::Unsafe(what));
            }
        }
    }
    for (path, target) in links {
        if !stays(&path, &target) {
            return Err(Error::Unsafe(format!("the link {} leads out of it", shown(&path))));
        }
        link(to, &path, &target)?;
    }
    Ok(())
}

/// Makes a link below `to`, on whose way there is no other link.
fn link(to: &Path, path: &Path, target: &Path) -> Result<(), Error> {
    let mut directory = File::open(to).map_err(Error::Write)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    for component in path.parent().into_iter().flat_map(Path::components) {
        let next = openat(&directory, component.as_os_str(), flags, Mode::empty());
        directory = next.map_err(|error| misplaced(path, error.into()))?.into();
    }
    let name = path.file_name().unwrap_or_default();
    symlinkat(target, &directory, name).map_err(|error| misplaced(path, error.into()))
}

/// The content of an entry that is the next one's name.
fn long(entry: &mut impl Read) -> Result<Vec<u8>, Error> {
    let mut name = Vec::new();
    entry.take(PATH + 1).read_to_end(&mut name).map_err(|_| Error::Damaged)?;
    if name.last() == Some(&0) {
        name.pop();
    }
    if name.len() as u64 >= PATH {
        return Err(Error::Unsafe("a path in it is too long".into()));
    }
    Ok(name)
}

/// A path that leads nowhere but down.
fn within(path: &[u8]) -> Result<PathBuf, Error> {
    let path = Path::new(std::ffi::OsStr::from_bytes(path));
    let mut within = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) if !name.as_bytes().contains(&0) => within.push(name),
            Component::CurDir => {}
            _ => {
                let what = format!("the path {} leads out of it", shown(path));
                return Err(Error::Unsafe(what));
            }
        }
    }
    Ok(within)
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

fn make(place: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o777).create(place)
}

/// What the error means for an entry that may be there already, or have no directory to be in.
fn misplaced(path: &Path, error: io::Error) -> Error {
    let what = match Errno::from_io_error(&error) {
        Some(Errno::EXIST) => "is in it twice",
        // Of a link on the way as well, which is not followed.
        Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => "is in no directory of it",
        _ => return Error::Write(error),
    };
    Error::Unsafe(format!("{} {what}", shown(path)))
}

fn create(path: &Path, place: &Path, executable: bool) -> Result<File, Error> {
    let mode = if executable { 0o777 } else { 0o666 };
    let opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(place);
    opened.map_err(|error| misplaced(path, error))
}

fn write(
    content: &mut impl Read,
    file: &mut File,
    size: u64,
    modified: u64,
    stopped: impl Fn() -> bool,
) -> Result<(), Error> {
    let written = copy(content, file, stopped)?;
    if written != size {
        return Err(Error::Damaged);
    }
    // A time that no file system has is not worth an error.
    if let Some(at) = UNIX_EPOCH.checked_add(Duration::from_secs(modified)) {
        drop(file.set_modified(at));
    }
    Ok(())
}

fn copy(from: &mut impl Read, to: &mut File, stopped: impl Fn() -> bool) -> Result<u64, Error> {
    let mut buffer = zeroize::Zeroizing::new(vec![0; 1 << 18]);
    let mut all = 0;
    loop {
        if stopped() {
            return Err(Error::Stopped);
        }
        let count = match from.read(&mut buffer) {
            Ok(0) => return Ok(all),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return Err(Error::Damaged),
        };
        io::Write::write_all(to, &buffer[..count]).map_err(Error::Write)?;
        all += count as u64;
    }
}

/// Has all of a tree on the disk before somebody relies on it.
pub(super) fn sync(tree: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    return Ok(rustix::fs::syncfs(File::open(tree)?)?);
    #[cfg(not(target_os = "linux"))]
    return File::open(tree)?.sync_all();
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tar::{Builder, Header};

    use super::*;

    /// An archive of entries whose names nobody has checked.
    fn archive(entries: &[(EntryType, &str, &str)]) -> Vec<u8> {
        let mut archive = Builder::new(Vec::new());
        for (kind, path, content) in entries {
            let mut header = Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(0o4755);
            header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
            let mut data = content.as_bytes();
            if matches!(kind, EntryType::Symlink | EntryType::Link) {
                header.as_old_mut().linkname[..content.len()].copy_from_slice(data);
                data = b"";
            }
            header.set_size(data.len() as u64);
            header.set_cksum();
            archive.append(&header, data).unwrap();
        }
        archive.into_inner().unwrap()
    }

    /// What becomes of it, and the directory around its place.
    fn unpacked(bytes: &[u8]) -> (Result<(), Error>, tempfile::TempDir) {
        let around = tempfile::tempdir_in("/dev/shm").unwrap();
        (unpack(bytes, &around.path().join("tree"), || false), around)
    }

    use EntryType::{Block, Char, Directory, Fifo, Link, Regular, Symlink};

    #[test]
    fn what_leads_out_is_refused_and_nothing_is_outside() {
        for entries in [
            &[(Regular, "../x", "out")][..],
            &[(Regular, "a/../../x", "out")],
            &[(Regular, "/tmp/x", "out")],
            &[(Symlink, "a", "/etc")],
            &[(Symlink, "a", "..")],
            &[(Symlink, "a", "../b")],
            &[(Directory, "d", ""), (Symlink, "d/a", "../../x")],
            // Each by itself stays inside; one over the other does not.
            &[(Directory, "d", ""), (Symlink, "d/up", ".."), (Symlink, "x", "d/up/..")],
            // Through one link, whose way down is shorter than it looks, another is made that leads out.
            &[
                (Directory, "a", ""),
                (Directory, "a/b", ""),
                (Symlink, "a/b/l", "../.."),
                (Symlink, "a/b/l/x", ".."),
                (Symlink, "x/planted", "tree/payload"),
            ],
            &[(Directory, "d", ""), (Symlink, "l", "d"), (Symlink, "l/x", "y")],
            &[(Symlink, "a", "b"), (Regular, "a", "over a link")],
            &[(Directory, "a", ""), (Directory, "a", "")],
            &[(Regular, "a", "1"), (Directory, "a", "")],
            &[(Regular, "a", "1"), (Regular, "a/b", "below a file")],
            &[(Regular, "a/b", "its directory is not there")],
            &[(Directory, "a/b", "")],
            &[(Symlink, "a/b", "c")],
            &[(Regular, "a", "1"), (Regular, "a", "2")],
            &[(Regular, "a", "1"), (Symlink, "a", "b")],
            &[(Link, "a", "/etc/passwd")],
            &[(Fifo, "a", "")],
            &[(Char, "a", "")],
            &[(Block, "a", "")],
            &[(EntryType::XHeader, "a", "20 path=../../x\n")],
        ] {
            let (came, around) = unpacked(&archive(entries));
            assert!(matches!(came, Err(Error::Unsafe(_))), "{entries:?}: {came:?}");
            assert_eq!(fs::read_dir(around.path()).unwrap().count(), 1, "{entries:?}");
        }
        let (came, around) = unpacked(&archive(&[
            (Symlink, "a", "/dev/shm"),
            (Regular, "a/otr-test-through-a-link", "out"),
        ]));
        assert!(came.is_err() && !Path::new("/dev/shm/otr-test-through-a-link").exists());
        drop(around);
    }

    #[test]
    fn what_stays_inside_is_made_without_special_rights() {
        use std::os::unix::fs::PermissionsExt as _;
        let (came, around) = unpacked(&archive(&[
            (Directory, "./d", ""),
            (Regular, "d/a", "text"),
            (Symlink, "d/up", "../b"),
            (Symlink, "b", "d/a"),
        ]));
        came.unwrap();
        let tree = around.path().join("tree");
        assert_eq!(fs::read(tree.join("d/up")).unwrap(), b"text");
        let mode = fs::metadata(tree.join("d/a")).unwrap().permissions().mode();
        assert_eq!((mode & 0o7000, mode & 0o700), (0, 0o700));
    }

    #[test]
    fn a_cut_archive_is_no_archive() {
        let whole = archive(&[(Regular, "a", &"x".repeat(3000))]);
        for length in [100, 600, 2000] {
            let (came, _around) = unpacked(&whole[..length]);
            assert!(matches!(came, Err(Error::Damaged)), "{length}: {came:?}");
        }
        let (stopped, _around) = {
            let around = tempfile::tempdir_in("/dev/shm").unwrap();
            (unpack(&whole[..], &around.path().join("tree"), || true), around)
        };
        assert!(matches!(stopped, Err(Error::Stopped)));
    }
}
