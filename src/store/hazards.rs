//! Hazards to a session that the system causes: swapping may write it to a disk, and a logout may
//! erase it. This module states facts; the caller may warn about them.

use std::fs;
use std::path::Path;

use super::directory::Directory;

/// Users below this number are system users, whose shared memory logind leaves alone
/// (`SYSTEM_UID_MAX`).
const FIRST_PERSON: u32 = 1000;

/// The swap areas to which the directory's pages can be written; none if its file system is mounted
/// `noswap` or never swaps.
pub fn swap_areas(directory: &Directory) -> Vec<String> {
    let swaps = fs::read_to_string("/proc/swaps").unwrap_or_default();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let device = directory.stat().st_dev;
    let device = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    if stays_in_ram(&mounts, &device) { Vec::new() } else { areas(&swaps) }
}

/// The first column of `/proc/swaps`, without its heading.
fn areas(swaps: &str) -> Vec<String> {
    let names = swaps.lines().skip(1).filter_map(|line| line.split_whitespace().next());
    names.map(str::to_owned).collect()
}

/// Whether `/proc/self/mountinfo` (see `proc_pid_mountinfo(5)`) says that the file system on this
/// device is never swapped out.
fn stays_in_ram(mounts: &str, device: &str) -> bool {
    mounts.lines().any(|line| {
        let Some((front, back)) = line.split_once(" - ") else { return false };
        let mut back = back.split(' ');
        let (kind, _, options) = (back.next(), back.next(), back.next().unwrap_or_default());
        front.split(' ').nth(2) == Some(device)
            && (kind == Some("ramfs") || options.split(',').any(|option| option == "noswap"))
    })
}

/// Whether the session is lost when the user logs out for the last time.
pub fn logout_erases(directory: &Directory) -> bool {
    let path = directory.path().canonicalize();
    let path = path.as_deref().unwrap_or(directory.path());
    erased_at_logout(Path::new("/"), path, directory.stat().st_uid)
}

/// The same below another root directory, for the tests.
fn erased_at_logout(root: &Path, directory: &Path, uid: u32) -> bool {
    let logind = root.join("run/systemd/seats").exists() || root.join("run/systemd/users").exists();
    if !logind {
        return false;
    }
    let erased = if directory.starts_with(format!("/run/user/{uid}")) {
        true
    } else if directory.starts_with("/dev/shm") {
        uid >= FIRST_PERSON && removes_shared_memory(root)
    } else {
        false
    };
    erased && !lingers(root, uid)
}

/// `RemoveIPC` of `logind.conf(5)`, which is on by default.
fn removes_shared_memory(root: &Path) -> bool {
    // The administrator's folder comes last: the last of several lines counts, and so does the last
    // of several files.
    let folders = ["usr/lib", "run", "etc"].map(|top| root.join(top).join("systemd"));
    let extra = folders.iter().flat_map(|folder| fs::read_dir(folder.join("logind.conf.d")));
    let mut extra: Vec<_> = extra.flatten().flatten().map(|entry| entry.path()).collect();
    extra.sort_by(|one, other| one.file_name().cmp(&other.file_name()));
    let files = folders.iter().map(|folder| folder.join("logind.conf")).chain(extra);
    let texts = files.filter_map(|file| fs::read_to_string(file).ok());
    let mut said = texts.filter_map(|text| text.lines().rev().find_map(remove_ipc));
    said.next_back().unwrap_or(true)
}

fn remove_ipc(line: &str) -> Option<bool> {
    let value = line.trim().strip_prefix("RemoveIPC")?.trim_start().strip_prefix('=')?.trim();
    Some(!matches!(value.to_ascii_lowercase().as_str(), "no" | "false" | "off" | "0" | "n" | "f"))
}

fn lingers(root: &Path, uid: u32) -> bool {
    user_name(root, uid).is_some_and(|user| root.join("var/lib/systemd/linger").join(user).exists())
}

/// logind records its users' names; for a user whom it does not know, the password file has the
/// name.
fn user_name(root: &Path, uid: u32) -> Option<String> {
    let known = fs::read_to_string(root.join(format!("run/systemd/users/{uid}")));
    let known = known.unwrap_or_default();
    if let Some(name) = known.lines().find_map(|line| line.strip_prefix("NAME=")) {
        return Some(name.to_owned());
    }
    let users = fs::read_to_string(root.join("etc/passwd")).ok()?;
    let uid = uid.to_string();
    let line = users.lines().find(|line| line.split(':').nth(2) == Some(uid.as_str()))?;
    line.split(':').next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SWAPS: &str = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n\
        /dev/dm-1                               partition\t8388604\t\t0\t\t-2\n\
        /swap.img                               file\t\t4194300\t\t0\t\t-3\n";

    #[test]
    fn swap_areas_are_named() {
        assert_eq!(areas(SWAPS), ["/dev/dm-1", "/swap.img"]);
        assert_eq!(areas("Filename\tType\tSize\tUsed\tPriority\n"), Vec::<String>::new());
        assert_eq!(areas(""), Vec::<String>::new());
    }

    #[test]
    fn noswap_counts_for_its_own_mount_only() {
        let mounts = "26 1 0:23 / /dev/shm rw,relatime shared:2 - tmpfs tmpfs rw,size=1k\n\
            27 1 0:24 / /run/user/1000 rw shared:3 - tmpfs tmpfs rw,size=2k,noswap,mode=700\n\
            28 1 0:25 / /ram rw - ramfs none rw\n";
        assert!(!stays_in_ram(mounts, "0:23"));
        assert!(stays_in_ram(mounts, "0:24"));
        assert!(stays_in_ram(mounts, "0:25"));
        assert!(!stays_in_ram(mounts, "0:2"));
    }

    /// A root directory with these files.
    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    const LOGIND: (&str, &str) = ("run/systemd/seats/seat0", "");
    const USERS: (&str, &str) =
        ("etc/passwd", "root:x:0:0::/:/bin/sh\nann:x:1000:1000::/:/bin/sh\n");

    #[test]
    fn logout_erases_what_logind_owns() {
        let root = root(&[LOGIND, USERS]);
        let erased = |path: &str, uid| erased_at_logout(root.path(), Path::new(path), uid);
        assert!(erased("/run/user/1000/otr", 1000));
        assert!(erased("/dev/shm/otr-1000", 1000));
        // The service manager's directory, root's shared memory, and a directory of the user's
        // choice.
        assert!(!erased("/run/mail/otr", 1000));
        assert!(!erased("/dev/shm/otr-0", 0));
        assert!(!erased("/mnt/ram", 1000));
    }

    #[test]
    fn logout_erases_nothing_without_logind_or_with_linger() {
        let run = Path::new("/run/user/1000/otr");
        assert!(!erased_at_logout(root(&[USERS]).path(), run, 1000));
        let linger = ("var/lib/systemd/linger/ann", "");
        assert!(!erased_at_logout(root(&[LOGIND, USERS, linger]).path(), run, 1000));
        // logind's own record takes precedence over the password file.
        let known = ("run/systemd/users/1000", "# private\nNAME=bea\nSTATE=active\n");
        assert!(erased_at_logout(root(&[known, USERS, linger]).path(), run, 1000));
    }

    #[test]
    fn remove_ipc_is_read_in_the_order_of_logind() {
        let shm = Path::new("/dev/shm/otr-1000");
        let off = ("etc/systemd/logind.conf", "[Login]\n#RemoveIPC=yes\nRemoveIPC = no\n");
        let on = ("etc/systemd/logind.conf.d/50.conf", "RemoveIPC=yes\n");
        assert!(!erased_at_logout(root(&[LOGIND, USERS, off]).path(), shm, 1000));
        assert!(erased_at_logout(root(&[LOGIND, USERS, off, on]).path(), shm, 1000));
    }
}
