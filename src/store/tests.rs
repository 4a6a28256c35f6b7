//! Tests of a session's file and its locks, through the store that the commands use.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::error::StoreError;
use super::*;

const NOW: Duration = Duration::ZERO;
const LONG: Duration = Duration::from_mins(1);

/// A directory for sessions, removed at the end.
struct Place {
    directory: tempfile::TempDir,
    options: Options,
}

impl Place {
    fn new() -> Self {
        Self::within("/dev/shm", false)
    }

    fn within(parent: &str, allow_disk: bool) -> Self {
        let closed = fs::Permissions::from_mode(0o700);
        let directory = tempfile::Builder::new().permissions(closed).tempdir_in(parent).unwrap();
        let options =
            Options { named: Some(directory.path().to_owned()), allow_disk, ..Options::default() };
        Self { directory, options }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory.path()).unwrap();
        let mut files: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        files.sort();
        files
    }

    /// A store of session `ann` that holds these bytes.
    fn with(&self, bytes: &[u8]) -> Store {
        let mut store = Store::prepare(&self.options, &ann()).unwrap();
        let held = store.lock_state(NOW).unwrap();
        store.create(&held, bytes).unwrap();
        drop(held);
        store
    }

    fn open(&self) -> Store {
        Store::open(&self.options, &ann()).unwrap()
    }
}

fn ann() -> Name {
    "ann".parse().unwrap()
}

fn load(store: &mut Store) -> Result<Vec<u8>, StoreError> {
    let held = store.lock_state(NOW)?;
    store.load(&held).map(|loaded| loaded.bytes.to_vec())
}

fn replace(store: &mut Store, bytes: &[u8]) -> Result<(), StoreError> {
    let held = store.lock_state(NOW)?;
    let mut version = store.load(&held)?.version;
    store.replace(&held, &mut version, bytes)
}

fn wipe(store: &mut Store) -> Result<(), StoreError> {
    let held = store.lock_state(NOW)?;
    store.wipe(&held)
}

#[test]
fn a_session_lives_from_create_to_wipe() {
    for place in [Place::new(), Place::within(".", true)] {
        let mut store = place.with(b"one");
        assert_eq!(place.files(), ["ann.lock", "ann.state"]);
        assert_eq!(fs::metadata(place.path("ann.state")).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(load(&mut store).unwrap(), b"one");
        replace(&mut store, b"and two").unwrap();
        replace(&mut store, b"3").unwrap();
        assert_eq!(load(&mut place.open()).unwrap(), b"3");
        assert_eq!(fs::metadata(place.path("ann.state")).unwrap().mode() & 0o7777, 0o600);
        wipe(&mut store).unwrap();
        assert_eq!(place.files(), Vec::<String>::new());
        assert_eq!(Store::open(&place.options, &ann()).unwrap_err().kind(), ErrorKind::NoSession);
        assert_eq!(load(&mut store).unwrap_err().kind(), ErrorKind::NoSession);
        assert_eq!(place.files(), Vec::<String>::new());
    }
}

#[test]
fn the_buffer_of_a_state_has_no_room_to_spare() {
    let place = Place::new();
    let store = place.with(&[7; 4321]);
    let held = store.lock_state(NOW).unwrap();
    assert_eq!(store.load(&held).unwrap().bytes.capacity(), 4321);
}

#[test]
fn a_second_session_of_the_same_name_is_refused() {
    let place = Place::new();
    let mut late = Store::prepare(&place.options, &ann()).unwrap();
    place.with(b"first");
    assert_eq!(Store::prepare(&place.options, &ann()).unwrap_err().kind(), ErrorKind::Exists);
    let held = late.lock_state(NOW).unwrap();
    assert_eq!(late.create(&held, b"second").unwrap_err().kind(), ErrorKind::Exists);
    assert_eq!(place.open().load(&held).unwrap().bytes.as_slice(), b"first");
}

#[test]
fn old_bytes_are_overwritten() {
    let place = Place::new();
    let old = vec![0xAA; 200_000];
    let mut store = place.with(&old);
    let witness = place.path("witness");
    let seen = || fs::read(&witness).unwrap();

    // A second name keeps the inode readable. Loading refuses a second name, so it is made after
    // loading.
    let held = store.lock_state(NOW).unwrap();
    let mut version = store.load(&held).unwrap().version;
    fs::hard_link(place.path("ann.state"), &witness).unwrap();
    assert_eq!(seen(), old);
    store.replace(&held, &mut version, b"new").unwrap();
    drop(held);
    assert_eq!(seen(), vec![0; 200_000]);

    fs::remove_file(&witness).unwrap();
    fs::hard_link(place.path("ann.state"), &witness).unwrap();
    assert_eq!(seen(), b"new");
    wipe(&mut store).unwrap();
    assert_eq!(seen(), [0; 3]);
}

#[test]
fn the_leftover_of_a_killed_replacement_is_overwritten() {
    let place = Place::new();
    let mut store = place.with(b"whole");
    for end in [replace, |store: &mut Store, _: &[u8]| wipe(store)] {
        fs::write(place.path("ann.new"), b"half").unwrap();
        fs::hard_link(place.path("ann.new"), place.path("witness")).unwrap();
        end(&mut store, b"next").unwrap();
        assert_eq!(fs::read(place.path("witness")).unwrap(), [0; 4]);
        assert!(!place.path("ann.new").exists());
        fs::remove_file(place.path("witness")).unwrap();
    }
}

#[test]
fn a_leftover_that_is_a_symlink_is_not_followed() {
    let place = Place::new();
    let mut store = place.with(b"whole");
    fs::write(place.path("other"), b"kept").unwrap();
    symlink(place.path("other"), place.path("ann.new")).unwrap();
    replace(&mut store, b"next").unwrap();
    assert_eq!(fs::read(place.path("other")).unwrap(), b"kept");
    assert_eq!(load(&mut store).unwrap(), b"next");
}

/// Asserts that the state is refused as unsafe with this reason, and that it can be wiped
/// nevertheless.
fn assert_unsafe(place: &Place, why: &str) {
    let mut store = place.open();
    let failure = load(&mut store).unwrap_err();
    assert_eq!(failure.kind(), ErrorKind::Unsafe, "{failure}");
    assert!(failure.to_string().contains(why), "{failure}");
    wipe(&mut store).unwrap();
    assert!(fs::symlink_metadata(place.path("ann.state")).is_err());
}

#[test]
fn an_empty_state_is_refused() {
    let place = Place::new();
    place.with(b"");
    assert_unsafe(&place, "is empty");
}

#[test]
fn a_state_too_large_is_refused_before_it_is_read() {
    let place = Place::new();
    place.with(b"x");
    let state = File::options().write(true).open(place.path("ann.state")).unwrap();
    state.set_len(1 << 40).unwrap();
    let mut store = place.open();
    assert_eq!(load(&mut store).unwrap_err().kind(), ErrorKind::Unsafe);
    // Overwriting a terabyte that was never written would take memory that is not there.
    state.set_len(file::LARGEST as u64 + 1).unwrap();
    assert_unsafe(&place, "larger than any state");
}

#[test]
fn a_state_open_to_others_is_refused() {
    for mode in [0o640, 0o604, 0o601, 0o660] {
        let place = Place::new();
        place.with(b"x");
        let mode = fs::Permissions::from_mode(mode);
        fs::set_permissions(place.path("ann.state"), mode).unwrap();
        assert_unsafe(&place, "open to other users");
    }
}

#[test]
fn a_symlink_is_refused_and_its_target_kept() {
    let place = Place::new();
    fs::write(place.path("other"), b"kept").unwrap();
    fs::set_permissions(place.path("other"), fs::Permissions::from_mode(0o600)).unwrap();
    symlink(place.path("other"), place.path("ann.state")).unwrap();
    assert_unsafe(&place, "is a symlink");
    assert_eq!(fs::read(place.path("other")).unwrap(), b"kept");
}

#[test]
fn a_hard_link_is_refused() {
    let place = Place::new();
    place.with(b"x");
    fs::hard_link(place.path("ann.state"), place.path("copy")).unwrap();
    assert_unsafe(&place, "second name");
}

#[test]
fn what_is_no_file_is_refused() {
    let place = Place::new();
    let made = Command::new("mkfifo").arg("-m600").arg(place.path("ann.state")).status().unwrap();
    assert!(made.success());
    assert_unsafe(&place, "not a regular file");
    fs::create_dir(place.path("ann.state")).unwrap();
    let failure = load(&mut place.open()).unwrap_err();
    assert_eq!(failure.kind(), ErrorKind::Unsafe);
}

#[test]
fn somebody_elses_state_is_refused() {
    let place = Place::new();
    place.with(b"x");
    if rustix::process::geteuid().is_root() {
        chown(place.path("ann.state"), Some(65_534), None).unwrap();
        assert_unsafe(&place, "belongs to another user");
    } else {
        // Only root can give a file away; a file of another user cannot even be opened.
        fs::set_permissions(place.path("ann.state"), fs::Permissions::from_mode(0o0)).unwrap();
        assert_eq!(load(&mut place.open()).unwrap_err().kind(), ErrorKind::Unsafe);
    }
}

#[test]
fn a_stale_state_is_noticed_and_never_stored_over_a_newer_one() {
    let place = Place::new();
    let (mut one, mut other) = (place.with(b"a"), place.open());
    let held = one.lock_state(NOW).unwrap();
    let [mut first, mut stale] = [&one, &other].map(|store| store.load(&held).unwrap().version);
    one.replace(&held, &mut first, b"b").unwrap();

    // It does not matter through which store: another part of this process may have its own.
    assert!(one.is_current(&held, &first).unwrap());
    for store in [&mut one, &mut other] {
        assert!(!store.is_current(&held, &stale).unwrap());
        assert_eq!(
            store.replace(&held, &mut stale, b"lost").unwrap_err().kind(),
            ErrorKind::Failed
        );
        let fresh = store.load(&held).unwrap();
        assert_eq!(fresh.bytes.as_slice(), b"b");
        assert!(store.is_current(&held, &fresh.version).unwrap());
        assert!(!store.is_current(&held, &stale).unwrap(), "a later load makes none fresh");
        assert!(store.replace(&held, &mut stale, b"lost").is_err());
    }
    other.replace(&held, &mut first, b"c").unwrap();
    assert!(one.is_current(&held, &first).unwrap(), "it is known by what is stored");
    other.wipe(&held).unwrap();
    assert!(!one.is_current(&held, &first).unwrap());
    assert!(one.replace(&held, &mut first, b"d").is_err());
    drop(held);
    assert_eq!(place.files(), Vec::<String>::new());
}

#[test]
fn many_generations_are_told_apart() {
    // Most disks reuse an inode's number at once, within one tick of the clock.
    for place in [Place::new(), Place::within(".", true)] {
        let mut writer = place.with(b"0");
        let reader = place.open();
        let held = writer.lock_state(NOW).unwrap();
        for round in 0..20 {
            let seen = reader.load(&held).unwrap().version;
            let mut last = writer.load(&held).unwrap().version;
            for _ in 0..=round % 4 {
                writer.replace(&held, &mut last, b"1").unwrap();
            }
            assert!(!reader.is_current(&held, &seen).unwrap(), "round {round}");
        }
    }
}

/// A limit on file size stands in for a full file system: it needs no privilege and no mount, and
/// also truncates a write in the middle. It applies to a process and its children, so this test
/// runs itself again under such a limit.
#[test]
fn what_does_not_fit_leaves_the_old_state_whole() {
    const INNER: &str = "OTR_TEST_UNDER_A_LIMIT";
    const TEST: &str = "store::tests::what_does_not_fit_leaves_the_old_state_whole";
    if std::env::var_os(INNER).is_none() {
        let script = r#"trap "" XFSZ; ulimit -f 64; exec "$0" --exact "$1""#;
        let this = std::env::current_exe().unwrap();
        let mut inner = Command::new("sh");
        inner.args(["-c", script]).arg(this).arg(TEST).env(INNER, "1");
        let output = inner.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let place = Place::new();
    let mut store = place.with(b"old");
    // More than 64 blocks, whether of 512 or of 1,024 bytes.
    let failure = replace(&mut store, &vec![1; 200_000]).unwrap_err();
    assert_eq!(failure.kind(), ErrorKind::Full, "{failure}");
    assert_eq!(place.files(), ["ann.lock", "ann.state"]);
    assert_eq!(load(&mut place.open()).unwrap(), b"old");
    // The store continues from the old state.
    replace(&mut store, b"new").unwrap();
    assert_eq!(load(&mut place.open()).unwrap(), b"new");
}

#[test]
fn a_state_larger_than_can_be_read_again_is_not_stored() {
    let place = Place::new();
    let mut store = place.with(b"old");
    let failure = replace(&mut store, &vec![1; file::LARGEST + 1]).unwrap_err();
    assert_eq!(failure.kind(), ErrorKind::Full);
    assert_eq!(load(&mut store).unwrap(), b"old");
    replace(&mut store, &vec![1; file::LARGEST]).unwrap();
    assert_eq!(load(&mut store).unwrap().len(), file::LARGEST);
}

#[test]
fn locks_exclude_their_own_kind_only_and_wait() {
    let place = Place::new();
    let one = place.with(b"x");
    let other = place.open();
    let state = one.lock_state(NOW).unwrap();
    let sender = one.lock_sender(NOW).unwrap();
    let receiver = one.lock_receiver(NOW).unwrap();
    let start = Instant::now();
    let wait = Duration::from_millis(60);
    assert_eq!(other.lock_sender(wait).unwrap_err().kind(), ErrorKind::Busy);
    assert!(start.elapsed() >= wait);
    assert_eq!(other.lock_receiver(NOW).unwrap_err().kind(), ErrorKind::Busy);
    assert_eq!(other.lock_state(NOW).unwrap_err().kind(), ErrorKind::Busy);
    drop((state, sender, receiver));
    drop((other.lock_state(NOW).unwrap(), other.lock_sender(NOW).unwrap()));
    drop(other.lock_receiver(NOW).unwrap());

    std::thread::scope(|scope| {
        let held = one.lock_state(NOW).unwrap();
        let waiting = scope.spawn(|| other.lock_state(LONG).is_ok());
        std::thread::sleep(Duration::from_millis(20));
        drop(held);
        assert!(waiting.join().unwrap());
    });
}

#[test]
fn a_lock_held_through_a_wipe_is_removed_by_its_holder() {
    let place = Place::new();
    let mut store = place.with(b"x");
    let sender = place.open().lock_sender(NOW).unwrap();
    drop(place.open().lock_receiver(NOW).unwrap());
    wipe(&mut store).unwrap();
    assert_eq!(place.files(), ["ann.send"]);
    drop(sender);
    assert_eq!(place.files(), Vec::<String>::new());
}

#[test]
fn no_step_is_lost_when_many_take_turns() {
    const THREADS: u64 = 4;
    const STEPS: u64 = 250;
    let place = Place::new();
    drop(place.with(&0_u64.to_le_bytes()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                // Each thread has its own store, as another process would.
                let mut store = place.open();
                for _ in 0..STEPS {
                    let held = store.lock_state(LONG).unwrap();
                    let Loaded { bytes: state, mut version } = store.load(&held).unwrap();
                    let count = u64::from_le_bytes(state[..8].try_into().unwrap());
                    assert!(state[8..].iter().all(|&b| b == state[0]), "torn");
                    // The sizes differ, so that a mixture of two states would show.
                    let mut next = (count + 1).to_le_bytes().to_vec();
                    next.resize(8 + usize::try_from(count % 97).unwrap() * 100, next[0]);
                    store.replace(&held, &mut version, &next).unwrap();
                }
            });
        }
    });
    let last = load(&mut place.open()).unwrap();
    assert_eq!(last[..8], (THREADS * STEPS).to_le_bytes());
}

#[test]
fn a_lock_stays_exclusive_while_sessions_come_and_go() {
    let place = Place::new();
    let alone = AtomicBool::new(true);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (place, alone) = (&place, &alone);
            scope.spawn(move || {
                let search = Search::new(&place.options);
                let directory = Arc::new(search.all().unwrap().remove(0));
                let mut store = Store::in_directory(directory, &ann());
                for step in 0..400 {
                    let held = store.lock_state(LONG).unwrap();
                    assert!(alone.swap(false, Ordering::SeqCst), "two hold the lock");
                    match store.load(&held) {
                        Ok(_) if (step + thread) % 3 == 0 => store.wipe(&held).unwrap(),
                        Ok(mut loaded) => {
                            store.replace(&held, &mut loaded.version, b"more").unwrap();
                        }
                        Err(none) => {
                            assert_eq!(none.kind(), ErrorKind::NoSession);
                            if step % 2 == 0 {
                                store.create(&held, b"new").unwrap();
                            }
                        }
                    }
                    alone.store(true, Ordering::SeqCst);
                }
            });
        }
    });
    let mut store =
        Store::in_directory(Arc::new(Search::new(&place.options).all().unwrap().remove(0)), &ann());
    wipe(&mut store).unwrap();
    assert_eq!(place.files(), Vec::<String>::new());
}
