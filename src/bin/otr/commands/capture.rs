//! A capture: recorded packets, from files, directories and stdin.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use otr::protocol::deniability::reveal::PUBLISHED_KEY;
use otr::protocol::packet::ADDRESS;

use super::source::Source;
use super::whom::connect;
use crate::failure::{Code, Failure};
use crate::route::RouteArgs;
use crate::ui::printable;
use otr::postbox::client::Url;

/// The most bytes of packets to keep, so that keys that come later can be tried on them.
pub(crate) const KEPT_MAX: usize = 256 << 20;

/// The first 32 bytes: the address that a packet, a reply or a published key names.
pub(crate) fn address(bytes: &[u8]) -> [u8; ADDRESS] {
    let mut address = [0; ADDRESS];
    for (to, from) in address.iter_mut().zip(bytes) {
        *to = *from;
    }
    address
}

/// An input, and its name if it is a file.
pub(crate) struct Input {
    pub(crate) source: Source,
    pub(crate) name: Option<String>,
}

/// The files that these names stand for: a directory stands for its files, sorted by name, without
/// hidden ones and subdirectories; no name at all stands for stdin.
pub(crate) fn expand(names: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    if names.is_empty() {
        return Ok(vec!["-".into()]);
    }
    let mut paths = Vec::new();
    for name in names {
        if name.is_dir() {
            paths.append(&mut files_of(name).map_err(|error| unreadable(name, &error))?);
        } else {
            paths.push(name.clone());
        }
    }
    Ok(paths)
}

fn files_of(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if !hidden && entry.path().is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

/// Opens one of them; '-' is stdin.
pub(crate) fn open(path: &Path) -> Result<Input, Failure> {
    if path.as_os_str() == "-" {
        return Ok(Input { source: Source::stdin()?, name: None });
    }
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let name = printable::line(&path.to_string_lossy());
    Ok(Input { source: Source::file(file, name.clone()), name: Some(name) })
}

/// The keys that a postbox has for these addresses.
pub(crate) fn published(
    url: &str,
    route: &RouteArgs,
    mut addresses: Vec<[u8; ADDRESS]>,
) -> Result<Vec<[u8; PUBLISHED_KEY]>, Failure> {
    let parsed = Url::parse(url).map_err(|why| Failure::new(Code::Usage, why, ""))?;
    route.check(&parsed)?;
    let client = connect(url, route)?;
    addresses.sort_unstable();
    addresses.dedup();
    let keys = client.revealed(&addresses)?.into_iter().map(|(of, key)| {
        let mut published = [0; PUBLISHED_KEY];
        published[..ADDRESS].copy_from_slice(&of);
        published[ADDRESS..].copy_from_slice(&key);
        published
    });
    Ok(keys.collect())
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    let name = printable::line(&path.to_string_lossy());
    Failure::new(Code::Failed, format!("cannot read {name}: {error}"), "").about(path)
}

/// The capture is too large for a command that must keep all of it.
pub(crate) fn too_much() -> Failure {
    let what = format!("more than {} MiB of packets", KEPT_MAX >> 20);
    Failure::new(Code::Full, what, "give it the part of the capture that matters")
}
