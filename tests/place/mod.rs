//! A separate place in memory for each test, and the real binary in it.

#![allow(dead_code, reason = "each test file uses its part of it")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;

/// A directory on tmpfs: `dir` in it is for sessions.
pub(crate) struct Place(tempfile::TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        let place = tempfile::tempdir_in("/dev/shm").unwrap();
        fs::create_dir(place.path().join("dir")).unwrap();
        set_mode(&place.path().join("dir"), 0o700);
        Self(place)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The state file of a session.
    pub(crate) fn state(&self, name: &str) -> PathBuf {
        self.path(&format!("dir/{name}.state"))
    }

    /// `otr` with these arguments, its sessions in `dir`, started here.
    pub(crate) fn otr(&self, arguments: &[&str]) -> Command {
        let mut command = Command::cargo_bin("otr").unwrap();
        command.current_dir(&self.0).env("OTR_DIR", self.path("dir")).env_remove("OTR_SESSION");
        command.args(arguments);
        command
    }

    /// What it writes; it must succeed.
    pub(crate) fn run(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let output = self.otr(arguments).write_stdin(input).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        output.stdout
    }

    /// A shell script started here; `$0` is the binary.
    pub(crate) fn shell(&self, script: &str) -> Output {
        let mut command = Command::new("sh");
        command.args(["-c", script, env!("CARGO_BIN_EXE_otr")]).current_dir(&self.0);
        command.env_remove("OTR_DIR").env_remove("OTR_SESSION").output().unwrap()
    }
}

pub(crate) fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

pub(crate) fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
