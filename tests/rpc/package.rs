//! The Python package: built as a wheel, installed into an environment of its own, and used, all without
//! a network.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::place::Place;
use crate::postbox::Postbox;

#[track_caller]
fn run(command: &mut Command, package: &str) -> Output {
    let program = command.get_program().display().to_string();
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}: apt-get install {package}"));
    let told = [&output.stdout[..], &output.stderr].concat();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&told));
    output
}

#[test]
fn the_package_is_built_installed_and_used() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("bindings/python");
    let here = |command: &mut Command| {
        command
            .current_dir(place.path(""))
            .env("HOME", place.path(""))
            .env("TMPDIR", place.path(""));
        command.env("PYTHONDONTWRITEBYTECODE", "1").env("PIP_DISABLE_PIP_VERSION_CHECK", "1");
        command.env_remove("PYTHONPATH").env("PIP_NO_INDEX", "1").env("PIP_NO_CACHE_DIR", "1");
    };
    let mut environment = Command::new("python3");
    here(environment.args(["-m", "venv", "venv"]));
    run(&mut environment, "python3-venv");
    let mut wheel = Command::new(place.path("venv/bin/pip"));
    here(wheel.args(["wheel", "--quiet", "--no-deps", "--wheel-dir", "dist"]).arg(&sources));
    run(&mut wheel, "python3-pip");
    let built: Vec<_> =
        fs::read_dir(place.path("dist")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(
        built,
        [place.path(&format!("dist/otr-{}-py3-none-any.whl", env!("CARGO_PKG_VERSION")))]
    );
    let mut install = Command::new(place.path("venv/bin/pip"));
    here(install.args(["install", "--quiet"]).arg(&built[0]));
    run(&mut install, "python3-pip");
    let otr = Path::new(env!("CARGO_BIN_EXE_otr")).parent().unwrap().to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::iter::once(otr).chain(std::env::split_paths(&path));
    let mut script = Command::new(place.path("venv/bin/python"));
    here(
        script
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rpc/package.py"))
            .arg(&postbox.url),
    );
    script.env("PATH", std::env::join_paths(paths).unwrap()).env("OTR_DIR", place.path("dir"));
    script.env_remove("OTR_POSTBOX").env_remove("OTR_PROXY").env_remove("OTR_SESSION");
    let output = run(&mut script, "python3");
    assert_eq!(output.stdout, b"all of it\n", "{}", String::from_utf8_lossy(&output.stderr));
}
