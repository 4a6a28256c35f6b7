//! The tar stream of a directory, unpacked into a new directory that nobody else can enter: what another
//! tar would accept and a careful person would not (a path that leads out, a device, a name twice) ends it.
//!
//! Links come last. So while files are written there is no link among their directories. Each link is made
//! in a directory that was opened step by step without following any link, so that its own way up leads
//! through directories alone, and what [`entries`](super::entries) counts is true.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use rustix::fs::{Mode, OFlags, openat, symlinkat};
use rustix::io::Errno;
use tar::Archive;

use super::entries::{Entries, Entry, Unfit};
use super::fault::shown;
use super::message::Offer;

/// Why an archive is not unpacked.
#[derive(Debug)]
pub(super) enum Error {
    Unfit(Unfit),
    /// The system's error when writing.
    Write(io::Error),
    /// This command is about to end.
    Stopped,
}

impl From<Unfit> for Error {
    fn from(why: Unfit) -> Self {
        Self::Unfit(why)
    }
}

const DAMAGED: Error = Error::Unfit(Unfit::Damaged);

/// Unpacks the tree that was offered into the new directory `to`, until `stopped`; returns how many of its names
/// have become others.
pub(super) fn unpack(
    archive: impl Read,
    offer: &Offer,
    to: &Path,
    stopped: impl Fn() -> bool,
) -> Result<u64, Error> {
    make(to).map_err(Error::Write)?;
    let mut links = Vec::new();
    let mut entries = Entries::of(offer);
    let mut archive = Archive::new(archive);
    for entry in archive.entries().map_err(|_| DAMAGED)?.raw(true) {
        if stopped() {
            return Err(Error::Stopped);
        }
        let mut entry = entry.map_err(|_| DAMAGED)?;
        match entries.header(entry.header())? {
            Entry::Long(length) => {
                let mut long = Vec::new();
                let read = (&mut entry).take(length).read_to_end(&mut long);
                if read.map_err(|_| DAMAGED)? as u64 != length {
                    return Err(DAMAGED);
                }
                entries.long(long);
            }
            Entry::Root => {}
            Entry::Directory(path) => {
                make(&to.join(&path)).map_err(|error| misplaced(&path, error))?;
            }
            Entry::File { path, size, executable, modified } => {
                let mut file = create(&path, &to.join(&path), executable)?;
                write(&mut entry, &mut file, size, modified, &stopped)?;
            }
            Entry::Link(path, target) => links.push((path, target)),
        }
    }
    for (path, target) in links {
        link(to, &path, &target)?;
    }
    Ok(entries.renamed)
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
    Error::Unfit(Unfit::Unsafe(format!("{} {what}", shown(path))))
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
        return Err(DAMAGED);
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
            Err(_) => return Err(DAMAGED),
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
    use std::os::unix::fs::FileExt as _;

    use EntryType::{Block, Char, Directory, Fifo, GNULongName, Link, Regular, Symlink};
    use tar::{Builder, EntryType, Header};

    use super::super::message::Kind;
    use super::super::scan::Scan;
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

    const OFFER: Offer =
        Offer { kind: Kind::Tree, name: String::new(), size: Some(9000), files: 9, entries: 20 };

    /// What becomes of it, and the directory around its place. While it comes, whatever it is in, nothing else
    /// is refused.
    fn unpacked(bytes: &[u8]) -> (Result<u64, Error>, tempfile::TempDir) {
        let around = tempfile::tempdir_in("/dev/shm").unwrap();
        let came = unpack(bytes, &OFFER, &around.path().join("tree"), || false);
        let file = tempfile::tempfile_in("/dev/shm").unwrap();
        file.write_all_at(bytes, 0).unwrap();
        for piece in [1, 511, bytes.len()] {
            let mut scan = Scan::new(&OFFER);
            let scanned = bytes.chunks(piece).try_for_each(|bytes| scan.take(bytes));
            assert!(scanned.is_ok() || came.is_err(), "{scanned:?}");
            let again = Scan::after(&OFFER, &file, bytes.len() as u64);
            assert_eq!(format!("{scanned:?}"), format!("{:?}", again.map(drop)));
        }
        (came, around)
    }

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
            assert!(matches!(came, Err(Error::Unfit(Unfit::Unsafe(_)))), "{entries:?}: {came:?}");
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

    /// Whether it is refused while it comes, and when it is unpacked.
    fn refused(entries: &[(EntryType, &str, &str)]) -> (bool, bool) {
        let archive = archive(entries);
        let (came, _around) = unpacked(&archive);
        (Scan::new(&OFFER).take(&archive).is_err(), came.is_err())
    }

    #[test]
    fn what_can_be_told_from_a_header_is_refused_while_it_comes() {
        for entries in [
            &[(Regular, "../x", "out")][..],
            &[(Symlink, "a", "/etc")],
            &[(Directory, "d", ""), (Symlink, "d/a", "../../x")],
            &[(Link, "a", "/etc/passwd")],
            &[(Fifo, "a", "")],
            // More than was announced: bytes, files, entries.
            &[(Regular, "a", &"x".repeat(9001))],
            &[(Regular, "a", &"x".repeat(5000)), (Regular, "b", &"x".repeat(4001))],
            &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"].map(|name| (Regular, name, "")),
            &[(Symlink, "a", "b"); 21],
            // Content that is nowhere counted.
            &[(Directory, "a", "content")],
            &[(GNULongName, "", &"x".repeat(5000)), (Regular, "a", "")],
            &[(GNULongName, "", "x"), (GNULongName, "", "y"), (Regular, "a", "")],
        ] {
            assert_eq!(refused(entries), (true, true), "{entries:?}");
        }
        let mut long = archive(&[(Regular, "a", "1")]);
        long.extend(vec![0; 20_000]);
        assert!(Scan::new(&OFFER).take(&long).is_err(), "the end does not come");
    }

    #[test]
    fn names_become_harmless_and_never_the_same() {
        let (came, around) = unpacked(&archive(&[
            (Directory, "d\x1b[2J", ""),
            (Regular, "d\x1b[2J/-rf", "text"),
            (Regular, ".hidden", ""),
            (Symlink, "link\n", "d\x1b[2J/-rf"),
            (Regular, "a\u{202e}b", ""),
        ]));
        assert_eq!(came.unwrap(), 4);
        let tree = around.path().join("tree");
        assert_eq!(fs::read(tree.join("link_")).unwrap(), b"text");
        let mut names: Vec<_> =
            fs::read_dir(&tree).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, [".hidden", "a_b", "d_[2J", "link_"]);
        assert_eq!(fs::read(tree.join("d_[2J/_rf")).unwrap(), b"text");
        for entries in [
            [(Regular, "a\n", "one"), (Regular, "a_", "two")],
            [(Directory, "a\n", ""), (Directory, "a\t", "")],
            [(Regular, "a\n", "one"), (Symlink, "a\t", "two")],
        ] {
            assert_eq!(refused(&entries), (false, true), "{entries:?}");
        }
    }

    #[test]
    fn a_cut_archive_is_no_archive() {
        let whole = archive(&[(Regular, "a", &"x".repeat(3000))]);
        for length in [100, 600, 2000] {
            let (came, _around) = unpacked(&whole[..length]);
            assert!(matches!(came, Err(Error::Unfit(Unfit::Damaged))), "{length}: {came:?}");
        }
        let (stopped, _around) = {
            let around = tempfile::tempdir_in("/dev/shm").unwrap();
            (unpack(&whole[..], &OFFER, &around.path().join("tree"), || true), around)
        };
        assert!(matches!(stopped, Err(Error::Stopped)));
    }
}
