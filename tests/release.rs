//! `packaging/release` makes everything that a release consists of, and what it makes can be used: on
//! this machine, and for the other architecture under qemu.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside of #[test]")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use support::{Run, binary, clean, feed, tool};
use tempfile::TempDir;

const TOP: &str = env!("CARGO_MANIFEST_DIR");
const VERSION: &str = env!("CARGO_PKG_VERSION");
const NATIVE: &str = std::env::consts::ARCH;
/// The address where the files of a release would lie.
const URL: &str = "https://host.example/otr";

/// What is in CHANGELOG.md of a tree that is ready.
const NEWS: &str = "### Added\n\n- One thing.\n\n";

fn other() -> &'static str {
    if NATIVE == "x86_64" { "aarch64" } else { "x86_64" }
}

fn debian(arch: &str) -> &'static str {
    if arch == "x86_64" { "amd64" } else { "arm64" }
}

/// How programs of the other architecture are built here: as fast as can be; what they do is little.
fn cheaply(command: &mut Command) -> &mut Command {
    for (name, value) in [("OPT_LEVEL", "0"), ("DEBUG", "0"), ("STRIP", "symbols")] {
        command.env(format!("CARGO_PROFILE_DEV_{name}"), value);
    }
    command.env("CARGO_INCREMENTAL", "0")
}

/// On a disk, since it is large.
fn place() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// A copy of this tree in a repository of its own, all of it committed, ready for a release.
struct Tree(TempDir);

impl Tree {
    fn new() -> Self {
        drop((tool("git", "git"), tool("minisign", "minisign")));
        let tree = Self(place());
        let copy = "tar -C \"$TOP\" --exclude ./target --exclude ./fuzz/target --exclude ./.git -c . | tar x
            git init -q -b main";
        tree.sh(copy);
        tree.say(NEWS);
        tree.sh("minisign -G -W -p packaging/otr.pub -s \"$KEY\" > ../said");
        tree.commit();
        tree
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join("tree").join(name)
    }

    fn key(&self) -> PathBuf {
        self.0.path().join("key")
    }

    fn shell(&self, script: &str) -> Command {
        fs::create_dir_all(self.path("")).unwrap();
        let mut shell = clean("sh");
        shell.args(["-ec", script]).current_dir(self.path(""));
        for name in ["GIT_AUTHOR", "GIT_COMMITTER"] {
            shell
                .env(format!("{name}_NAME"), "a maker")
                .env(format!("{name}_EMAIL"), "m@host.example");
            shell.env(format!("{name}_DATE"), "2026-01-02T03:04:05Z");
        }
        shell.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        shell.env("TOP", TOP).env("KEY", self.key());
        shell
    }

    #[track_caller]
    fn sh(&self, script: &str) -> String {
        feed(&mut self.shell(script), b"").text()
    }

    fn commit(&self) {
        self.sh("git add -A; git commit -q --no-verify -m 'a state of the tree'");
    }

    /// The changelog tells this of the version, and what an older one brought.
    fn say(&self, news: &str) {
        let text = format!(
            "# Changelog\n\n## [Unreleased]\n\n## [{VERSION}] - 2026-12-01\n\n{news}## [0.0.1] - 2026-01-01\n\n- Old.\n"
        );
        fs::write(self.path("CHANGELOG.md"), text).unwrap();
    }

    /// `packaging/release` there, with the key if the arguments do not say otherwise.
    fn release(&self, args: &[&str]) -> Run {
        let mut command = clean(self.path("packaging/release"));
        command.env_remove("SOURCE_DATE_EPOCH").arg("--key").arg(self.key()).args(args);
        feed(command.env("GIT_CONFIG_GLOBAL", "/dev/null"), b"")
    }

    /// It must not make this, and say so.
    #[track_caller]
    fn refuses(&self, args: &[&str], because: &str) {
        let run = self.release(args);
        assert!(matches!(run.code, 1 | 2), "{args:?}: {}\n{}", run.code, run.err);
        assert!(run.err.contains(because), "{args:?}: {}", run.err);
    }
}

#[test]
fn a_release_is_not_made_of_a_tree_that_is_not_ready() {
    let tree = Tree::new();
    let made = tree.release(&["--check", VERSION]);
    assert!(made.err.contains(&format!("{VERSION} can be made")), "{}", made.err);
    made.ok();

    tree.refuses(&["--check"], "name the version");
    tree.refuses(&["--check", "9.9.9"], &format!("this is {VERSION}, not 9.9.9"));
    tree.refuses(&["--check", "--key", "none", VERSION], "none is not there");
    tree.refuses(&["--snapshot", VERSION], "takes no version");
    tree.refuses(&["--check", "--arch", "sparc", VERSION], "sparc is not built");
    tree.refuses(&["--check", "--url", URL, "--arch", NATIVE, VERSION], "name both architectures");
    tree.refuses(&["--check", "--binary", "x86_64=none", VERSION], "none is not there");
    tree.refuses(&["--check", "--nonsense", VERSION], "--nonsense is no option");

    fs::write(tree.path("left over"), "").unwrap();
    tree.refuses(&["--check", VERSION], "the tree has changes");
    fs::remove_file(tree.path("left over")).unwrap();

    tree.sh(&format!("git tag v{VERSION}"));
    fs::write(tree.path("more"), "").unwrap();
    tree.commit();
    tree.refuses(&["--check", VERSION], "is another commit");
    tree.sh("git tag | xargs git tag -d > /dev/null");
    tree.say("");
    tree.commit();
    tree.refuses(&["--check", VERSION], "says nothing about");

    fs::write(tree.path("CHANGELOG.md"), "# Changelog\n\n## [Unreleased]\n\n- New.\n").unwrap();
    tree.commit();
    tree.refuses(&["--check", VERSION], "the newest release in CHANGELOG.md is 'none'");

    tree.say(NEWS);
    let text = fs::read_to_string(tree.path("CHANGELOG.md")).unwrap();
    let late = text.replace("## [Unreleased]\n", "## [Unreleased]\n\n- Forgotten.\n");
    fs::write(tree.path("CHANGELOG.md"), late).unwrap();
    tree.commit();
    tree.refuses(&["--check", VERSION], "has lines under Unreleased");

    tree.say(NEWS);
    tree.sh("git rm -q packaging/otr.pub");
    tree.commit();
    tree.refuses(&["--check", VERSION], "users have no key to verify with");
}

#[test]
fn what_has_gone_wrong_leaves_nothing_that_looks_like_a_release() {
    let tree = Tree::new();
    let binary = format!("{NATIVE}={}", binary().display());
    let making = ["--arch", NATIVE, "--binary", &binary, VERSION];

    fs::write(tree.path("man/otr-old.1"), "").unwrap();
    tree.commit();
    tree.refuses(&making, "the pages in man/ are old");
    tree.sh("git rm -q man/otr-old.1; echo >> completions/_otr");
    tree.commit();
    tree.refuses(&making, "the completions are old");
    tree.sh("test -z \"$(ls target)\"");

    fs::create_dir_all(tree.path("target/taken")).unwrap();
    let output = tree.path("target/taken").display().to_string();
    tree.refuses(&[&["--output", &output], &making[..]].concat(), "is there already");
}

/// Programs of both architectures: the tests' own, and one that the script builds for the other.
struct Programs {
    place: TempDir,
}

impl Programs {
    fn new() -> Self {
        let programs = Self { place: place() };
        let mut command = clean(Path::new(TOP).join("packaging/release"));
        command.args(["--snapshot", "--profile", "dev", "--arch", other(), "--output"]);
        command.arg(programs.path("other"));
        let run = feed(cheaply(&mut command), b"");
        assert_eq!(run.code, 0, "{}", run.err);
        programs.unpack_other();
        let mut strip = tool("strip", "binutils");
        strip.arg("-o").arg(programs.path(NATIVE)).arg(binary());
        feed(&mut strip, b"").quietly();
        programs
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// Takes the program out of what was made, under the name of its architecture.
    fn unpack_other(&self) {
        let unpack =
            "tar xzf other/otr-*-linux-*.tar.gz --strip-components 2 --wildcards '*/bin/otr'
            mv otr \"$1\"";
        let mut shell = clean("sh");
        shell.args(["-ec", unpack, "sh", other()]).current_dir(&self.place);
        feed(&mut shell, b"").quietly();
    }

    fn given(&self) -> Vec<String> {
        let given = |arch| format!("{arch}={}", self.path(arch).display());
        vec!["--binary".into(), given(NATIVE), "--binary".into(), given(other())]
    }
}

fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
    entries
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect()
}

#[test]
fn everything_that_a_release_consists_of_is_made_and_can_be_used() {
    let programs = Programs::new();
    let tree = Tree::new();
    let given = programs.given();
    let mut args: Vec<&str> = given.iter().map(String::as_str).collect();
    args.extend(["--profile", "dev", "--url", URL, VERSION]);
    tree.release(&args).ok();
    let made = tree.path(&format!("target/release-{VERSION}"));

    names_are_as_told(&made);
    twice_it_is_the_same(&tree, &args, &made);
    checksums_and_signature_hold(&tree, &made);
    let notes = fs::read_to_string(made.join(format!("otr-{VERSION}-notes.md"))).unwrap();
    assert_eq!(notes, NEWS);
    archives_hold_a_conversation(&tree, &made);
    packages_install_and_go(&tree, &made);
    the_source_is_whole(&tree, &made);
    recipes_name_the_files(&tree);
    the_bill_is_what_the_compiler_was_given(&made);
}

fn names_are_as_told(made: &Path) {
    let mut names = BTreeSet::from(
        ["SHA256SUMS", "SHA256SUMS.minisig", "PKGBUILD", "otr.rb"].map(String::from),
    );
    names.extend([format!("otr-{VERSION}.tar.gz"), format!("otr-{VERSION}-notes.md")]);
    for arch in [NATIVE, other()] {
        names.insert(format!("otr-{VERSION}-linux-{arch}.tar.gz"));
        names.insert(format!("otr-{VERSION}-linux-{arch}.cdx.json"));
        names.insert(format!("otr_{VERSION}-1_{}.deb", debian(arch)));
    }
    assert_eq!(files(made).into_keys().collect::<BTreeSet<_>>(), names);
}

/// Somewhere else, at another time, under another umask: byte for byte.
fn twice_it_is_the_same(tree: &Tree, args: &[&str], made: &Path) {
    let again = tree.0.path().join("again");
    let mut shell = clean("sh");
    shell.args(["-c", "umask 077; exec \"$0\" \"$@\""]).arg(tree.path("packaging/release"));
    shell
        .arg("--output")
        .arg(&again)
        .arg("--key")
        .arg(tree.key())
        .args(args)
        .env("TZ", "Asia/Tokyo");
    feed(shell.env_remove("SOURCE_DATE_EPOCH"), b"").ok();
    let (mut first, second) = (files(made), files(&again));
    // Who only compares has no key.
    first.remove("SHA256SUMS.minisig");
    let differing: Vec<_> = first.keys().filter(|name| first[*name] != second[*name]).collect();
    assert!(differing.is_empty(), "not the same: {differing:?}");
}

fn checksums_and_signature_hold(tree: &Tree, made: &Path) {
    let verify = |public: &str| {
        let mut minisign = tool("minisign", "minisign");
        minisign
            .args(["-V", "-Q", "-p"])
            .arg(tree.path(public))
            .arg("-m")
            .arg(made.join("SHA256SUMS"));
        feed(&mut minisign, b"")
    };
    let check = || {
        feed(
            clean("sha256sum")
                .args(["--check", "--strict", "--quiet", "SHA256SUMS"])
                .current_dir(made),
            b"",
        )
    };
    assert_eq!(verify("packaging/otr.pub").text(), format!("otr {VERSION}\n"));
    check().quietly();
    let listed = fs::read_to_string(made.join("SHA256SUMS")).unwrap().lines().count();
    assert_eq!(listed, files(made).len() - 2);

    tree.sh("minisign -G -W -p ../else.pub -s ../else > ../said");
    assert_ne!(verify("../else.pub").code, 0);
    for name in ["SHA256SUMS".to_owned(), format!("otr_{VERSION}-1_amd64.deb")] {
        let whole = fs::read(made.join(&name)).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        fs::write(made.join(&name), flipped).unwrap();
        let found = if name == "SHA256SUMS" { verify("packaging/otr.pub") } else { check() };
        assert_ne!(found.code, 0, "a flipped byte of {name} was not noticed");
        fs::write(made.join(&name), whole).unwrap();
    }
    assert_eq!(verify("packaging/otr.pub").code + check().code, 0);
}

/// A whole conversation in `$PLACE`, between the programs that `a` and `b` start.
const CONVERSATION: &str = r#"
    a() { OTR_DIR=$PLACE/a $A "$@"; }
    b() { OTR_DIR=$PLACE/b $B "$@"; }
    mkdir -p -m 700 "$PLACE/a" "$PLACE/b"
    a init < /dev/null | b respond | a recv
    for turn in 1 2; do
        head -c 40000 "$TEXT" | a send | b recv > "$PLACE/got"
        head -c 40000 "$TEXT" | cmp - "$PLACE/got"
        echo "turn $turn" | b send | a recv
    done
    code=0
    a close | b recv || code=$?
    test $code = 7
"#;

fn archives_hold_a_conversation(tree: &Tree, made: &Path) {
    for arch in [NATIVE, other()] {
        let archive = made.join(format!("otr-{VERSION}-linux-{arch}.tar.gz"));
        let mut tar = clean("tar");
        let to = tree.0.path().join(arch);
        // As docs/install.md tells it; what is there already stays closed to others.
        fs::create_dir_all(to.join("share")).unwrap();
        fs::set_permissions(to.join("share"), Permissions::from_mode(0o700)).unwrap();
        tar.arg("xzf").arg(archive).arg("-C").arg(&to).args(["--strip-components", "1"]);
        feed(&mut tar, b"").quietly();
        assert_eq!(fs::metadata(to.join("share")).unwrap().mode() & 0o7777, 0o700);
        for file in
            ["share/man/man1/otr-send.1", "share/doc/otr/LICENSE", "share/doc/otr/THIRD-PARTY.txt"]
        {
            assert!(fs::read_to_string(to.join(file)).unwrap().len() > 1000, "{file}");
        }
        for (kept, placed) in [
            ("otr.bash", "bash-completion/completions/otr"),
            ("_otr", "zsh/site-functions/_otr"),
            ("otr.fish", "fish/vendor_completions.d/otr.fish"),
        ] {
            let kept = Path::new(TOP).join("completions").join(kept);
            assert_eq!(fs::read(kept).unwrap(), fs::read(to.join("share").join(placed)).unwrap());
        }
    }
    drop(tool(&qemu(), "qemu-user"));
    let native = tree.0.path().join(NATIVE).join("bin/otr").display().to_string();
    let foreign = format!("{} {}", qemu(), tree.0.path().join(other()).join("bin/otr").display());
    for program in [&native, &foreign] {
        assert_eq!(tree.sh(&format!("{program} --version")), format!("otr {VERSION}\n"));
    }
    for (a, b) in [(&native, &foreign), (&foreign, &native)] {
        let talk = tempfile::tempdir_in("/dev/shm").unwrap();
        let mut shell = tree.shell(CONVERSATION);
        shell
            .env("A", a)
            .env("B", b)
            .env("PLACE", talk.path())
            .env("TEXT", tree.path("Cargo.lock"));
        let run = feed(&mut shell, b"");
        assert_eq!(run.code, 0, "{}", run.err);
        assert_eq!(String::from_utf8(run.out).unwrap(), "turn 1\nturn 2\n", "{}", run.err);
    }
}

fn qemu() -> String {
    format!("qemu-{}", other())
}

/// Into an empty root, by dpkg itself; its maintainer scripts run, and nothing of this machine changes.
const INSTALL: &str = r#"
    mkdir -p root/var/lib/dpkg/info root/var/lib/dpkg/updates
    : > root/var/lib/dpkg/status
    export PATH="$PATH:/usr/sbin:/sbin"
    dpkg() { command dpkg --root="$PWD/root" --log="$PWD/log" --force-script-chrootless "$@"; }
    dpkg -i "$DEB"
    test "$(dpkg-query --admindir=root/var/lib/dpkg -W -f '${Status}' otr)" = 'install ok installed'
    root/usr/bin/otr --version
    (cd root && md5sum --quiet -c var/lib/dpkg/info/otr.md5sums)
    gzip -t root/usr/share/man/man1/otr.1.gz root/usr/share/doc/otr/changelog.Debian.gz
    cmp root/usr/lib/systemd/system/otr-postbox.service "$TOP/packaging/otr-postbox.service"
    test -z "$(find root/usr -perm /022 ! -type l)"
    test ! -e root/etc/systemd/system/sockets.target.wants
    dpkg -P otr
    test -z "$(find root ! -type d ! -path 'root/var/lib/dpkg/*')"
"#;

fn packages_install_and_go(tree: &Tree, made: &Path) {
    for arch in [NATIVE, other()] {
        let deb = made.join(format!("otr_{VERSION}-1_{}.deb", debian(arch)));
        let field =
            |name: &str| feed(tool("dpkg-deb", "dpkg").arg("-f").arg(&deb).arg(name), b"").text();
        assert_eq!(field("Architecture"), format!("{}\n", debian(arch)));
        assert_eq!(field("Version"), format!("{VERSION}-1\n"));
        assert_eq!(field("Depends").trim(), "");
        let root = tree.0.path().join(format!("deb-{arch}"));
        feed(clean("dpkg-deb").arg("-x").arg(&deb).arg(&root), b"").quietly();
        let program = |root: &Path, path| fs::read(root.join(path)).unwrap();
        assert!(program(&root, "usr/bin/otr") == program(&tree.0.path().join(arch), "bin/otr"));
    }
    let mut install = tool("unshare", "util-linux");
    if !rustix::process::geteuid().is_root() {
        install.arg("-r");
    }
    install.args(["-m", "sh", "-ec", INSTALL]).current_dir(&tree.0).env("TOP", TOP);
    install.env("DEB", made.join(format!("otr_{VERSION}-1_{}.deb", debian(NATIVE))));
    let run = feed(&mut install, b"");
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(String::from_utf8(run.out).unwrap().contains(&format!("\notr {VERSION}\n")));
}

fn the_source_is_whole(tree: &Tree, made: &Path) {
    let listed =
        feed(clean("tar").arg("tzf").arg(made.join(format!("otr-{VERSION}.tar.gz"))), b"").text();
    let top = format!("otr-{VERSION}/");
    let packed: BTreeSet<&str> =
        listed.lines().map(|name| name.strip_prefix(&top).unwrap()).collect();
    let committed = tree.sh("git ls-files");
    let committed: BTreeSet<&str> = committed.lines().collect();
    let packed: BTreeSet<&str> =
        packed.into_iter().filter(|name| !name.ends_with('/') && !name.is_empty()).collect();
    assert_eq!(packed, committed);
}

fn recipes_name_the_files(tree: &Tree) {
    let read = format!(
        "cd target/release-{VERSION}
        . ./PKGBUILD
        test \"${{sha256sums[0]}}  otr-{VERSION}.tar.gz\" = \"$(grep 'otr-{VERSION}.tar.gz$' SHA256SUMS)\"
        test \"${{source[0]}} $pkgver\" = '{URL}/otr-{VERSION}.tar.gz {VERSION}'
        ! grep -n '@[A-Z0-9_]*@' otr.rb PKGBUILD
        for arch in x86_64 aarch64; do
            grep -q \"\\\"{URL}/otr-{VERSION}-linux-$arch.tar.gz\\\"\" otr.rb
            grep -q \"\\\"$(sha256sum otr-{VERSION}-linux-$arch.tar.gz | cut -d ' ' -f 1)\\\"\" otr.rb
        done"
    );
    let mut bash = clean("bash");
    let run = feed(bash.args(["-ec", &read]).current_dir(tree.path("")), b"");
    assert_eq!(run.code, 0, "{}{}", run.err, String::from_utf8_lossy(&run.out));
}

/// Cargo tells of each crate that it compiles for the other architecture: these and no others are
/// listed, each with the checksum of Cargo.lock.
fn the_bill_is_what_the_compiler_was_given(made: &Path) {
    let target = format!("{}-unknown-linux-gnu", other());
    let mut cargo = clean(env!("CARGO"));
    cargo.args([
        "build",
        "--locked",
        "--offline",
        "--bin",
        "otr",
        "--message-format",
        "json",
        "--target",
        &target,
    ]);
    cargo.args(["--config", &format!("target.{target}.linker = \"{}-linux-gnu-gcc\"", other())]);
    let Output { stdout, stderr, status } = cheaply(&mut cargo).current_dir(TOP).output().unwrap();
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    let linked: BTreeSet<(String, String)> = String::from_utf8(stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|told| told["reason"] == "compiler-artifact" && is_for(told, &target))
        .map(|told| name_and_version(told["package_id"].as_str().unwrap()))
        .filter(|(name, _)| name != "otr")
        .collect();

    let bill =
        fs::read_to_string(made.join(format!("otr-{VERSION}-linux-{}.cdx.json", other()))).unwrap();
    let bill: Value = serde_json::from_str(&bill).unwrap();
    let lock = fs::read_to_string(Path::new(TOP).join("Cargo.lock")).unwrap();
    let mut listed = BTreeSet::new();
    let mut tools = Vec::new();
    for part in bill["components"].as_array().unwrap() {
        let told = |key: &str| part[key].as_str().unwrap().to_owned();
        assert!(!part["licenses"][0]["expression"].as_str().unwrap().is_empty());
        if told("purl").starts_with("pkg:generic/") {
            tools.push(told("name"));
            continue;
        }
        let checksum = part["hashes"][0]["content"].as_str().unwrap();
        let entry = format!("name = \"{}\"\nversion = \"{}\"\n", told("name"), told("version"));
        let entry = lock.split("[[package]]\n").find(|found| found.starts_with(&entry)).unwrap();
        assert!(entry.contains(&format!("checksum = \"{checksum}\"")), "{entry}");
        listed.insert((told("name"), told("version")));
    }
    assert_eq!(tools, ["rust-std", "glibc"]);
    assert!(listed.len() > 50, "{listed:?}");
    assert_eq!(listed, linked);
    let refs = bill["dependencies"].as_array().unwrap();
    assert_eq!(refs.len(), listed.len() + tools.len() + 1);
}

/// A library for that target, and not a macro, a build script or what these use.
fn is_for(told: &Value, target: &str) -> bool {
    let kinds = told["target"]["kind"].as_array().unwrap();
    let below = format!("/{target}/");
    let files = told["filenames"].as_array().unwrap();
    !kinds.iter().any(|kind| kind == "custom-build")
        && files.iter().any(|file| file.as_str().unwrap().contains(&below))
}

/// Of `registry+…#name@version` or `…/name#version`.
fn name_and_version(id: &str) -> (String, String) {
    let (source, name) = id.rsplit_once('#').unwrap();
    let (name, version) =
        name.split_once('@').unwrap_or((source.rsplit('/').next().unwrap(), name));
    (name.to_owned(), version.to_owned())
}
