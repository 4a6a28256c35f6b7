//! Where `otr get` puts what comes: beside its place first, in a directory that nobody else can enter, and
//! into its place when it is whole. Nothing is ever replaced.
//!
//! The directory, `.otr-get-…`, holds what a run that was killed leaves for the next one: the offer, the
//! content so far, and where in which message that begins.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use otr::protocol::session::Identity;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::entries::Unfit;
use super::fault::shown;
use super::flushing::Flushing;
use super::message::{Have, Kind, Line, Offer, WHOLE, Why};
use super::scan::Scan;
use super::unpack::{self, sync, unpack};
use super::{name, talk::Ending};
use crate::commands::recv::rename_unless_there;
use crate::failure::{Code, Failure};
use crate::ui::speak::{warn, warn_of_file};

/// Why it was not taken: for the other side, and for the person here.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) why: Why,
    pub(super) failure: Failure,
}

impl Refusal {
    pub(super) fn new(
        why: Why,
        code: Code,
        what: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self { why, failure: Failure::new(code, what.into(), hint.into()) }
    }

    pub(super) fn cut(what: impl Into<String>) -> Self {
        Self::new(Why::Cut, Code::CutShort, what, "nothing of it was kept: ask for it again")
    }

    pub(super) fn too_much() -> Self {
        Self::cut("more has come than the other side had announced")
    }

    pub(super) fn too_little() -> Self {
        Self::cut("less has come than the other side had announced")
    }

    pub(super) fn interrupted() -> Self {
        Self::new(Why::Ended, Code::Failed, "interrupted", "")
    }

    /// Of a tree.
    pub(super) fn unfit(why: Unfit) -> Self {
        match why {
            Unfit::TooMuch => Self::too_much(),
            Unfit::Damaged => Self::cut("what came is no whole archive"),
            Unfit::Unsafe(what) => {
                let hint = "nothing of it was kept";
                Self::new(Why::Unsafe, Code::Refused, format!("not unpacked: {what}"), hint)
            }
        }
    }

    fn unwritable(path: &Path, error: &io::Error) -> Self {
        let what = format!("cannot write {}: {error}", shown(path));
        let full = matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
        );
        let (why, code) =
            if full { (Why::Full, Code::Full) } else { (Why::Unwritable, Code::Failed) };
        let hint = "nothing of it was kept, and the other side knows; choose another place with -o";
        let mut refusal = Self::new(why, code, what, hint);
        refusal.failure = refusal.failure.about(path);
        refusal
    }

    fn exists(path: &Path) -> Self {
        let what = format!("{} is there already", shown(path));
        let hint = "nothing was taken; choose another name or place with -o";
        let mut refusal = Self::new(Why::Exists, Code::Exists, what, hint);
        refusal.failure = refusal.failure.about(path);
        refusal
    }
}

/// The path at which an offer will appear: `output`, or in it if it is a directory.
pub(super) fn destination(
    output: Option<&Path>,
    offer: &Offer,
    number: u32,
) -> Result<PathBuf, Refusal> {
    let safe = name::safe(&offer.name);
    let safe = if safe.is_empty() { format!("otr-{number}") } else { safe };
    let path = match output {
        None => Path::new(".").join(safe),
        Some(output) if output.is_dir() => output.join(safe),
        Some(output) => {
            if is_directory_name(output) {
                let what = format!("{} is no directory", shown(output));
                return Err(Refusal::new(Why::Unwritable, Code::Usage, what, "make it first"));
            }
            output.to_owned()
        }
    };
    if fs::symlink_metadata(&path).is_ok() {
        return Err(Refusal::exists(&path));
    }
    Ok(path)
}

/// Refuses a path of `--output` that cannot be one, before anybody is called.
pub(super) fn check_output(output: &Path) -> Result<(), Failure> {
    if output.is_dir() || around(output).is_dir() && !is_directory_name(output) {
        return Ok(());
    }
    let place = if is_directory_name(output) { output } else { around(output) };
    let what = format!("{} is no directory", shown(place));
    Err(Failure::new(Code::Usage, what, "make it first").about(place))
}

/// Whether it can only be that of a directory.
fn is_directory_name(path: &Path) -> bool {
    path.file_name().is_none() || path.as_os_str().as_encoded_bytes().ends_with(b"/")
}

/// Refuses an offer for which there is no room there.
pub(super) fn check_room(path: &Path, offer: &Offer) -> Result<(), Refusal> {
    let around = around(path);
    let room = rustix::fs::statvfs(around)
        .map_err(|error| Refusal::unwritable(around, &io::Error::from(error)))?;
    // A tree is there twice for a moment: as it came, and unpacked.
    let times = if offer.kind == Kind::Tree { 2 } else { 1 };
    let heads = if offer.kind == Kind::Tree { offer.entries.saturating_mul(HEAD) } else { 0 };
    let needed = offer.size.unwrap_or(0).saturating_mul(times).saturating_add(heads);
    if needed <= room.f_bavail.saturating_mul(room.f_frsize) {
        return Ok(());
    }
    let what = format!("there is no room for it in {}", shown(around));
    let hint = "nothing was taken; choose another place with -o";
    Err(Refusal::new(Why::Full, Code::Full, what, hint))
}

/// What an entry of a tree takes in its stream beside its content, most often.
const HEAD: u64 = 1024;

/// The directory of a path.
fn around(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Where in a message its content begins, and which of the content's bytes that is.
#[derive(Clone, Copy)]
struct Begin {
    message: u64,
    head: u64,
    from: u64,
}

/// The place of one transfer.
pub(super) struct Place {
    pub(super) offer: Offer,
    pub(super) path: PathBuf,
    work: PathBuf,
    file: File,
    begin: Option<Begin>,
    /// Of a tree: what has come of it, judged.
    scan: Option<Scan>,
    flushing: Option<Flushing>,
}

impl Place {
    /// The directory of a session's transfer, beside its place.
    pub(super) fn work(path: &Path, of: &Identity) -> PathBuf {
        let tag = u64::from_be_bytes(of.tag(0));
        around(path).join(format!(".otr-get-{tag:016x}"))
    }

    /// A new one, for an offer that is taken.
    pub(super) fn make(offer: &Offer, path: PathBuf, of: &Identity) -> Result<Self, Refusal> {
        let work = Self::work(&path, of);
        let made = (|| {
            // Of a run that was killed before it noted the offer.
            match fs::remove_dir_all(&work) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            DirBuilder::new().mode(0o700).create(&work)?;
            fs::write(work.join(OFFER), Line::Offer(offer.clone()).to_bytes())?;
            let mut open = OpenOptions::new();
            open.read(true).write(true).create_new(true).mode(0o666).open(work.join(CONTENT))
        })();
        let file = made.map_err(|error| {
            drop(fs::remove_dir_all(&work));
            Refusal::unwritable(&path, &error)
        })?;
        Ok(Self { offer: offer.clone(), path, work, file, begin: None, scan: None, flushing: None })
    }

    /// The directory of an earlier run of this session.
    fn of_earlier(output: Option<&Path>, of: &Identity) -> PathBuf {
        let beside = match output {
            Some(output) if output.is_dir() => output.join("x"),
            Some(output) => output.to_owned(),
            None => PathBuf::from("./x"),
        };
        Self::work(&beside, of)
    }

    /// That directory, if that run had given up, and was killed before the session had ended.
    pub(super) fn given_up(output: Option<&Path>, of: &Identity) -> Option<PathBuf> {
        Some(Self::of_earlier(output, of)).filter(|work| work.join(OVER).exists())
    }

    /// What an earlier run of this session has left here, if there was one.
    pub(super) fn again(
        output: Option<&Path>,
        number: u32,
        of: &Identity,
    ) -> Result<Option<Self>, Refusal> {
        let work = Self::of_earlier(output, of);
        let line = fs::read(work.join(OFFER)).unwrap_or_default();
        let line = line.strip_suffix(b"\n").unwrap_or_default();
        let Some(Line::Offer(offer)) = Line::parse(line) else { return Ok(None) };
        let placed = work.join(PLACED).exists();
        let path = match destination(output, &offer, number) {
            // It is in its place already.
            Err(Refusal { why: Why::Exists, failure }) if placed => {
                failure.file.unwrap_or_default()
            }
            path => path?,
        };
        let mut open = OpenOptions::new();
        let file = open.read(true).write(true).open(work.join(CONTENT));
        let file = file.or_else(|_| File::open(work.join(OFFER)));
        let file = file.map_err(|error| Refusal::unwritable(&path, &error))?;
        let begin = fs::read_to_string(work.join(BEGIN)).ok().and_then(|text| {
            let mut numbers = text.split_whitespace().map(str::parse);
            let mut next = || numbers.next()?.ok();
            Some(Begin { message: next()?, head: next()?, from: next()? })
        });
        Ok(Some(Self { offer, path, work, file, begin, scan: None, flushing: None }))
    }

    /// How much of the content is here.
    pub(super) fn have(&mut self) -> io::Result<Have> {
        // Without the byte that says whether it is whole, which may be here.
        let here = self.file.metadata()?.len();
        let bytes =
            self.offer.size.filter(|_| self.has_exact_size()).map_or(here, |all| here.min(all));
        let mut hash = Sha256::new();
        let mut buffer = Zeroizing::new(vec![0; 1 << 18]);
        let mut left = (&self.file).take(bytes);
        io::Seek::rewind(&mut &self.file)?;
        loop {
            match left.read(&mut buffer)? {
                0 => break,
                count => hash.update(&buffer[..count]),
            }
        }
        Ok(Have { bytes, hash: hash.finalize().into() })
    }

    fn has_exact_size(&self) -> bool {
        self.offer.kind != Kind::Tree
    }

    /// The content comes in this message, after `head` bytes of it, and begins with its byte `from`.
    pub(super) fn begins(&mut self, message: u64, head: u64, from: u64) -> Result<(), Refusal> {
        let unwritable = |error: io::Error| Refusal::unwritable(&self.path, &error);
        if !self.is_placed() {
            if from > self.file.metadata().map_err(unwritable)?.len() {
                return Err(Refusal::cut("the other side goes on behind what is here"));
            }
            // What comes replaces it, and may be cut: the rest would not be its rest.
            self.file.set_len(from).map_err(unwritable)?;
        }
        let text = format!("{message} {head} {from}\n");
        fs::write(self.work.join(BEGIN), text).map_err(unwritable)?;
        self.begin = Some(Begin { message, head, from });
        Ok(())
    }

    /// Writes a part of the message, which begins at `offset`; returns how much of the content is here.
    pub(super) fn write(&mut self, message: u64, offset: u64, part: &[u8]) -> Result<u64, Refusal> {
        let begin = self.begin.filter(|begin| begin.message == message && offset >= begin.head);
        let Some(begin) = begin else {
            return Err(Refusal::cut("the beginning of the content is not here"));
        };
        let at = begin.from.saturating_add(offset - begin.head);
        let end = at.saturating_add(part.len() as u64);
        let most = self.offer.size.filter(|_| self.has_exact_size());
        if most.is_some_and(|most| end > most.saturating_add(1)) {
            return Err(Refusal::too_much());
        }
        if self.is_placed() {
            return Ok(end);
        }
        if self.offer.kind == Kind::Tree {
            self.judge(at, part)?;
        }
        let written = self.file.write_all_at(part, at);
        written.map_err(|error| Refusal::unwritable(&self.path, &error))?;
        self.flush_behind(part.len()).map_err(|error| Refusal::unwritable(&self.path, &error))?;
        Ok(end)
    }

    /// Looks at a part of a tree, which begins at this byte, before it is written.
    fn judge(&mut self, at: u64, part: &[u8]) -> Result<(), Refusal> {
        let mut scan = match self.scan.take().filter(|scan| scan.at() == at) {
            Some(scan) => scan,
            None => Scan::after(&self.offer, &self.file, at).map_err(Refusal::unfit)?,
        };
        scan.take(part).map_err(Refusal::unfit)?;
        self.scan = Some(scan);
        Ok(())
    }

    /// So many bytes more are in the file. What a tree is unpacked from does not stay.
    fn flush_behind(&mut self, bytes: usize) -> io::Result<()> {
        if self.offer.kind == Kind::Tree {
            return Ok(());
        }
        let flushing = match &mut self.flushing {
            Some(flushing) => flushing,
            none => none.insert(Flushing::start(&self.work.join(CONTENT))?),
        };
        flushing.written(bytes);
        Ok(())
    }

    /// Whether any of the content has come.
    pub(super) fn has_begun(&self) -> bool {
        self.begin.is_some()
    }

    /// Whether a run that was killed has put it into its place.
    pub(super) fn is_placed(&self) -> bool {
        let waits = if self.offer.kind == Kind::Tree { TREE } else { CONTENT };
        self.work.join(PLACED).exists() && !self.work.join(waits).exists()
    }

    /// All of it has come, `end` bytes with the last one, which says whether it is whole: it appears.
    pub(super) fn end(&mut self, end: u64, ending: &Ending) -> Result<(), Refusal> {
        if self.is_placed() {
            return Ok(());
        }
        let mut status = [0];
        let whole = end
            .checked_sub(1)
            .filter(|at| self.file.read_exact_at(&mut status, *at).is_ok() && status == [WHOLE]);
        let Some(length) = whole else {
            return Err(Refusal::cut("it changed while the other side read it"));
        };
        if self.has_exact_size() && self.offer.size.is_some_and(|size| size != length) {
            return Err(Refusal::too_little());
        }
        let unwritable = |error: io::Error| Refusal::unwritable(&self.path, &error);
        self.file.set_len(length).map_err(unwritable)?;
        let ready = if self.offer.kind == Kind::Tree {
            self.unpacked(ending)?
        } else {
            self.file.sync_all().map_err(unwritable)?;
            self.work.join(CONTENT)
        };
        // Made before the rename: if the content is then missing here, it is in its place.
        File::create(self.work.join(PLACED)).map_err(unwritable)?;
        rename_unless_there(&ready, &self.path).map_err(|error| {
            if error.kind() == io::ErrorKind::AlreadyExists {
                Refusal::exists(&self.path)
            } else {
                unwritable(error)
            }
        })?;
        // The name, too, is on the disk before the other side forgets what it names.
        let named = File::open(around(&self.path)).and_then(|directory| directory.sync_all());
        match named {
            Err(error)
                if !matches!(
                    error.kind(),
                    io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
                ) =>
            {
                // It is here, and the other side is told so.
                let what =
                    format_args!("{} may be gone after a power cut: {error}", shown(&self.path));
                warn_of_file(&self.path, what);
            }
            _ => {}
        }
        Ok(())
    }

    fn unpacked(&self, ending: &Ending) -> Result<PathBuf, Refusal> {
        let tree = self.work.join(TREE);
        let unwritable = |error: io::Error| Refusal::unwritable(&self.path, &error);
        match fs::remove_dir_all(&tree) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unwritable(error)),
            _ => {}
        }
        io::Seek::rewind(&mut &self.file).map_err(unwritable)?;
        let archive = io::BufReader::with_capacity(1 << 18, &self.file);
        let unpacked = unpack(archive, &self.offer, &tree, || ending.has_come());
        let renamed = unpacked.map_err(|error| match error {
            unpack::Error::Write(error) => unwritable(error),
            unpack::Error::Unfit(why) => Refusal::unfit(why),
            unpack::Error::Stopped => Refusal::interrupted(),
        })?;
        if renamed > 0 {
            warn(format_args!("{renamed} of the names in it have '_' for what could do harm"));
        }
        sync(&tree).map_err(unwritable)?;
        Ok(tree)
    }

    /// Takes away the content, and leaves a note for the next run that nothing goes on here.
    pub(super) fn give_up(work: &Path) {
        // What is left of them is cleared at the end, which says so if it fails.
        drop(fs::rename(work.join(OFFER), work.join(OVER)));
        drop(fs::remove_file(work.join(CONTENT)));
        drop(fs::remove_dir_all(work.join(TREE)));
    }

    /// Takes away what lies beside the place.
    pub(super) fn clear(work: &Path) {
        match fs::remove_dir_all(work) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                warn_of_file(work, format_args!("cannot remove {}: {error}", shown(work)));
            }
            _ => {}
        }
    }

    /// The directory beside the place.
    pub(super) fn beside(&self) -> &Path {
        &self.work
    }
}

const OFFER: &str = "offer";
const OVER: &str = "over";
const CONTENT: &str = "content";
const BEGIN: &str = "begin";
const TREE: &str = "tree";
const PLACED: &str = "placed";
