//! Which directory holds a session, and whether it is safe for keys: on a memory file system, the
//! user's own, and closed to everybody else.
//!
//! A directory is opened once, without following a symlink, and everything in it is reached through
//! that descriptor, so swapping a path afterwards changes nothing.

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::error::StoreError;
use super::name::Name;
use super::unfit::Unfit;
use crate::kind::ErrorKind;

/// The suffix of a state file's name.
pub(super) const STATE: &str = ".state";

/// What the user said about where to keep state.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Use this directory or fail.
    pub named: Option<PathBuf>,
    /// Without a named directory, use the first of these that is safe ([`usual_places`]).
    pub usual: Vec<PathBuf>,
    /// Whether file systems that are not in memory are allowed.
    pub allow_disk: bool,
}

/// An opened directory that has passed every check.
#[derive(Debug)]
pub struct Directory {
    fd: OwnedFd,
    path: PathBuf,
    stat: Stat,
    in_memory: bool,
}

impl Directory {
    /// Its path, for people.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is on tmpfs or ramfs. If not, the user has allowed a disk, and the caller warns.
    pub fn in_memory(&self) -> bool {
        self.in_memory
    }

    /// What `fstat` reported when it was opened.
    pub(super) fn stat(&self) -> &Stat {
        &self.stat
    }

    /// The sessions in it, sorted by name.
    pub fn sessions(&self) -> Result<Vec<Name>, StoreError> {
        let failed = |error: Errno| StoreError::System {
            doing: format!("list {}", self.path.display()),
            path: Some(self.path.clone()),
            error: error.into(),
        };
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.fd).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let stem = entry.file_name().to_str().ok().and_then(|n| n.strip_suffix(STATE));
            names.extend(stem.and_then(|stem| stem.parse::<Name>().ok()));
        }
        names.sort();
        Ok(names)
    }

    /// Whether there is a session of that name (its state may still turn out unusable).
    pub(super) fn holds(&self, name: &Name) -> bool {
        let file = format!("{name}{STATE}");
        rustix::fs::statat(&self.fd, file, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    fn open(path: &Path, allow_disk: bool) -> Result<Self, Unfit> {
        let fd = open_directory(CWD, path.as_os_str(), OFlags::NOFOLLOW)?;
        Self::examine(fd, path, allow_disk)
    }

    /// Opens it, or makes it if only its last component is missing.
    fn make(path: &Path, allow_disk: bool) -> Result<Self, Unfit> {
        match Self::open(path, allow_disk) {
            Err(Unfit::Missing) => {}
            done => return done,
        }
        let (Some(parent), Some(last)) = (path.parent(), path.file_name()) else {
            return Err(Unfit::Missing);
        };
        let parent = if parent == Path::new("") { Path::new(".") } else { parent };
        let parent = open_directory(CWD, parent.as_os_str(), OFlags::empty())?;
        // Examined before anything is made, so that nothing is left behind in an unsafe directory.
        if !allow_disk && !is_memory(parent.as_fd())? {
            return Err(Unfit::Disk);
        }
        if !keeps_names(&rustix::fs::fstat(&parent)?) {
            return Err(Unfit::ParentOpen);
        }
        match rustix::fs::mkdirat(&parent, last, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        Self::examine(open_directory(&parent, last, OFlags::NOFOLLOW)?, path, allow_disk)
    }

    fn examine(fd: OwnedFd, path: &Path, allow_disk: bool) -> Result<Self, Unfit> {
        let stat = rustix::fs::fstat(&fd)?;
        if !is_ours(&stat) {
            return Err(Unfit::NotOurs);
        }
        if is_open_to_others(&stat) {
            return Err(Unfit::Open);
        }
        let in_memory = is_memory(fd.as_fd())?;
        if !in_memory && !allow_disk {
            return Err(Unfit::Disk);
        }
        Ok(Self { fd, path: path.to_owned(), stat, in_memory })
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn open_directory(at: impl AsFd, path: &OsStr, more: OFlags) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | more;
    rustix::fs::openat(at, path, flags, Mode::empty())
}

/// Whether the effective user owns it.
pub(super) fn is_ours(stat: &Stat) -> bool {
    stat.st_uid == geteuid().as_raw()
}

/// Whether it has any permission bit for the group or for others.
pub(super) fn is_open_to_others(stat: &Stat) -> bool {
    Mode::from_raw_mode(stat.st_mode).intersects(Mode::RWXG | Mode::RWXO)
}

/// Whether it is a regular file.
pub(super) fn is_file(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

/// Whether names in this directory are stable: only we and root may rename in it.
fn keeps_names(stat: &Stat) -> bool {
    let mode = Mode::from_raw_mode(stat.st_mode);
    let writable = mode.intersects(Mode::WGRP | Mode::WOTH);
    (is_ours(stat) || stat.st_uid == 0) && (!writable || mode.contains(Mode::SVTX))
}

/// The two file systems that keep files in memory only: `TMPFS_MAGIC`, `RAMFS_MAGIC` of
/// `statfs(2)`.
#[cfg(target_os = "linux")]
fn is_memory(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    let kind = rustix::fs::fstatfs(fd)?.f_type;
    // The type of `f_type` differs between architectures; the numbers are 32 bits everywhere.
    Ok(matches!(u32::try_from(kind), Ok(0x0102_1994 | 0x8584_58f6)))
}

/// This program knows no memory file system outside Linux.
#[cfg(not(target_os = "linux"))]
fn is_memory(_: BorrowedFd<'_>) -> Result<bool, Errno> {
    Ok(false)
}

/// The directories to search, in order of preference.
#[derive(Debug)]
pub struct Search {
    paths: Vec<PathBuf>,
    named: bool,
    allow_disk: bool,
}

impl Search {
    /// The search that the options ask for.
    pub fn new(options: &Options) -> Self {
        let paths = match &options.named {
            // Drops a trailing slash, which would make the system follow a symlink.
            Some(path) => vec![path.components().collect()],
            None => options.usual.clone(),
        };
        Self { paths, named: options.named.is_some(), allow_disk: options.allow_disk }
    }

    /// The directory that has this session; the error names the directories that were searched.
    pub fn find(&self, name: &Name) -> Result<Directory, StoreError> {
        let mut searched = Vec::new();
        for path in &self.paths {
            match Directory::open(path, self.allow_disk) {
                Ok(directory) if directory.holds(name) => return Ok(directory),
                Ok(_) | Err(Unfit::Missing) => searched.push(path.display().to_string()),
                Err(unfit) if self.named || unfit.is_shortage() => {
                    return Err(refusal(path, unfit));
                }
                Err(unfit) => searched.push(format!("{} ({unfit})", path.display())),
            }
        }
        Err(StoreError::NoSession { name: Some(name.clone()), searched })
    }

    /// The directory for a new session, made if necessary; an error if any directory already has
    /// the session.
    pub fn make(&self, name: &Name) -> Result<Directory, StoreError> {
        match self.find(name) {
            Ok(_) => return Err(StoreError::Exists(name.clone())),
            Err(error) if error.kind() == ErrorKind::NoSession => {}
            Err(error) => return Err(error),
        }
        self.home()
    }

    /// The directory for something new, made if necessary.
    pub fn home(&self) -> Result<Directory, StoreError> {
        let mut reasons = Vec::new();
        // Prefers memory; takes a disk only if there is no other choice.
        for allow_disk in [false, true] {
            if allow_disk && !self.allow_disk {
                break;
            }
            reasons.clear();
            for path in &self.paths {
                match Directory::make(path, allow_disk) {
                    Ok(directory) => return Ok(directory),
                    Err(unfit) if unfit.is_shortage() => return Err(refusal(path, unfit)),
                    Err(unfit) => reasons.push((path, unfit)),
                }
            }
        }
        if let (true, [(path, unfit)]) = (self.named, reasons.as_slice()) {
            return Err(refusal(path, *unfit));
        }
        let tried = reasons.into_iter().map(|(path, unfit)| (path.clone(), unfit)).collect();
        Err(StoreError::NoPlace { tried })
    }

    /// The error that there is no session at all, with the directories that are searched.
    pub fn nothing(&self) -> StoreError {
        let searched = self.paths.iter().map(|path| path.display().to_string()).collect();
        StoreError::NoSession { name: None, searched }
    }

    /// Every usable directory that exists; an error if the user named one and it is not usable.
    pub fn all(&self) -> Result<Vec<Directory>, StoreError> {
        let mut directories = Vec::new();
        for path in &self.paths {
            match Directory::open(path, self.allow_disk) {
                Ok(directory) => directories.push(directory),
                Err(unfit) if unfit.is_shortage() || self.named && unfit != Unfit::Missing => {
                    return Err(refusal(path, unfit));
                }
                Err(_) => {}
            }
        }
        Ok(directories)
    }
}

/// The directories for a user's sessions, the best first: what a service manager provides
/// (`service`, in the form of systemd's `RUNTIME_DIRECTORY`), the user's own directory in memory
/// (`XDG_RUNTIME_DIR`), and where these two usually are.
pub fn usual_places(service: Option<OsString>, user: Option<OsString>) -> Vec<PathBuf> {
    places_of(service, user, geteuid().as_raw())
}

fn places_of(service: Option<OsString>, user: Option<OsString>, uid: u32) -> Vec<PathBuf> {
    // systemd joins several paths with colons; the first is the unit's main one.
    let service = service.and_then(|all| env::split_paths(&all).next());
    let user = user.map(PathBuf::from);
    // A relative path must be ignored (XDG Base Directory Specification).
    let given = [service, user].into_iter().flatten().filter(|path| path.is_absolute());
    let run = PathBuf::from(format!("/run/user/{uid}"));
    let mut paths: Vec<PathBuf> = given.chain([run]).map(|path| path.join("otr")).collect();
    paths.push(PathBuf::from(format!("/dev/shm/otr-{uid}")));
    let mut seen = Vec::new();
    paths.retain(|path| !seen.contains(path) && (seen.push(path.clone()), true).1);
    paths
}

fn refusal(path: &Path, unfit: Unfit) -> StoreError {
    StoreError::Unfit { path: path.to_owned(), unfit }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown, symlink};

    use super::*;

    fn memory() -> tempfile::TempDir {
        tempfile::tempdir_in("/dev/shm").unwrap()
    }

    fn closed(path: PathBuf) -> PathBuf {
        fs::DirBuilder::new().mode(0o700).create(&path).unwrap();
        path
    }

    fn named(path: &Path, allow_disk: bool) -> Search {
        Search::new(&Options { named: Some(path.to_owned()), allow_disk, ..Options::default() })
    }

    fn usual(paths: &[&Path]) -> Search {
        let paths = paths.iter().map(|&path| path.to_owned()).collect();
        Search { paths, named: false, allow_disk: false }
    }

    fn name() -> Name {
        "ann".parse().unwrap()
    }

    #[test]
    fn the_usual_places_come_in_their_order() {
        let places = |service: Option<&str>, user: Option<&str>| {
            places_of(service.map(Into::into), user.map(Into::into), 7)
        };
        let paths = |all: &[&str]| all.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert_eq!(places(None, None), paths(&["/run/user/7/otr", "/dev/shm/otr-7"]));
        assert_eq!(
            places(Some("/run/a:/run/b"), Some("/run/user/7")),
            paths(&["/run/a/otr", "/run/user/7/otr", "/dev/shm/otr-7"])
        );
        assert_eq!(places(Some(""), Some("here")), places(None, None));
    }

    #[test]
    fn only_memory_is_memory() {
        let is = |path| is_memory(fs::File::open(path).unwrap().as_fd()).unwrap();
        assert!(is("/dev/shm"));
        assert!(!is("/proc"));
    }

    #[test]
    fn a_named_directory_is_made_closed() {
        let top = memory();
        let path = top.path().join("new");
        assert_eq!(named(&path, false).find(&name()).unwrap_err().kind(), ErrorKind::NoSession);
        assert!(!path.exists());
        assert!(named(&path, false).make(&name()).unwrap().in_memory());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    }

    /// The errors that a named directory causes, for a new session and for an old one.
    fn verdict(path: &Path) -> [(ErrorKind, String); 2] {
        [named(path, false).make(&name()), named(path, false).find(&name())].map(|result| {
            let failure = result.unwrap_err();
            (failure.kind(), failure.to_string())
        })
    }

    fn assert_refused(path: &Path, why: &str) {
        for (code, what) in verdict(path) {
            assert_eq!(code, ErrorKind::Unsafe);
            assert!(what.contains(why), "{what}");
        }
    }

    #[test]
    fn a_symlink_is_refused_with_and_without_a_slash() {
        let top = memory();
        let real = closed(top.path().join("real"));
        symlink(&real, top.path().join("link")).unwrap();
        assert_refused(&top.path().join("link"), "symlink");
        assert_refused(&top.path().join("link/"), "symlink");
        fs::write(top.path().join("file"), "").unwrap();
        assert_refused(&top.path().join("file"), "not a directory");
    }

    #[test]
    fn a_directory_open_to_others_is_refused() {
        let top = memory();
        let path = closed(top.path().join("open"));
        for mode in [0o750, 0o701, 0o770, 0o777] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_refused(&path, "open to other users");
        }
    }

    #[test]
    fn somebody_elses_directory_is_refused() {
        let top = memory();
        let path = closed(top.path().join("theirs"));
        if geteuid().is_root() {
            chown(&path, Some(65_534), None).unwrap();
            assert_refused(&path, "belongs to another user");
        } else {
            assert_refused(Path::new("/"), "belongs to another user");
        }
    }

    #[test]
    fn nothing_is_made_where_others_can_rename() {
        let top = memory();
        let shared = closed(top.path().join("shared"));
        fs::set_permissions(&shared, fs::Permissions::from_mode(0o777)).unwrap();
        let path = shared.join("otr");
        let failure = named(&path, false).make(&name()).unwrap_err();
        assert_eq!(failure.kind(), ErrorKind::Unsafe);
        assert!(!path.exists());
        fs::set_permissions(&shared, fs::Permissions::from_mode(0o1777)).unwrap();
        named(&path, false).make(&name()).unwrap();
    }

    #[test]
    fn what_is_not_in_memory_needs_leave() {
        // This directory always exists, is ours, is closed to others, and is not on a memory file
        // system.
        let path = Path::new("/proc/self/fd");
        assert_refused(path, "not on a memory file system");
        assert!(!named(path, true).all().unwrap()[0].in_memory());
    }

    #[test]
    fn a_session_is_looked_for_everywhere_before_one_is_made() {
        let top = memory();
        let first = top.path().join("first");
        let second = closed(top.path().join("second"));
        fs::write(second.join("ann.state"), "x").unwrap();
        let search = usual(&[&first, &second]);
        assert_eq!(search.find(&name()).unwrap().path(), second);
        assert_eq!(search.make(&name()).unwrap_err().kind(), ErrorKind::Exists);
        assert_eq!(search.make(&"bob".parse().unwrap()).unwrap().path(), first);
        assert_eq!(search.all().unwrap().len(), 2);
    }

    #[test]
    fn usual_places_that_are_not_safe_are_skipped_and_named() {
        let top = memory();
        let open = closed(top.path().join("open"));
        fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
        let good = top.path().join("good");
        let search = usual(&[&open, Path::new("/proc/self/otr"), &good]);
        let missing = search.find(&name()).unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NoSession);
        assert!(
            missing.to_string().contains("open (is open to other users)"),
            "{}",
            missing.to_string()
        );
        assert!(missing.to_string().contains(good.to_str().unwrap()));
        assert_eq!(search.make(&name()).unwrap().path(), good);
        let nowhere = usual(&[&open, Path::new("/proc/self/otr")]).make(&name()).unwrap_err();
        assert_eq!(nowhere.kind(), ErrorKind::Unsafe);
        assert!(
            nowhere.to_string().contains("/proc/self/otr is not on a memory"),
            "{}",
            nowhere.to_string()
        );
    }

    #[test]
    fn sessions_are_listed_and_nothing_else() {
        let top = memory();
        let path = closed(top.path().join("otr"));
        for file in ["bob.state", "ann.state", "ann.lock", "x.new", ".state", ".hidden.state"] {
            fs::write(path.join(file), "x").unwrap();
        }
        let directories = named(&path, false).all().unwrap();
        let names = directories[0].sessions().unwrap();
        assert_eq!(names.iter().map(Name::as_str).collect::<Vec<_>>(), ["ann", "bob"]);
    }
}
