//! The certificate's keeper: a process beside the postbox that stays outside its walls and talks to
//! no other program. It only reads two files and hands over their contents. So a postbox that can
//! open no file can take a renewed certificate at SIGHUP.

use crate::failure::{Code, Failure};
use crate::process;
use crate::ui::speak::{Voice, warn};
use otr::postbox::server::{Files, Pems, Tls, confine};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::signal::unix::Signal;
use tokio::time::timeout;
use zeroize::Zeroizing;

/// The command that runs a keeper; not for people.
const COMMAND: &str = "keep-certificate";
/// The time for it to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most bytes of a file that it hands over.
const MOST: u32 = 1 << 20;
/// Before the two files, and before a reason why not.
const FILES: u8 = b'+';
const REASON: u8 = b'-';

/// A certificate that can be renewed.
pub(crate) struct Renewal {
    tls: Tls,
    files: Files,
    /// `None` if it is gone.
    line: Option<tokio::net::UnixStream>,
}

impl Renewal {
    /// Starts a keeper of these files, within the current runtime. If the system refuses to start a
    /// process, the certificate stays as it is.
    pub(crate) fn new(tls: Tls, files: Files) -> Self {
        let line = start(&files).and_then(tokio::net::UnixStream::from_std).ok();
        Self { tls, files, line }
    }

    /// Reads the certificate again.
    async fn renew(&mut self) -> Result<(), Failure> {
        let lost = || {
            let what = "the process that reads it is gone";
            Failure::new(Code::Failed, what, "a restart reads it, and loses what lies here")
        };
        // After one failure, requests and answers no longer match.
        let mut line = self.line.take().ok_or_else(lost)?;
        let Ok(Ok(answer)) = timeout(PATIENCE, ask(&mut line)).await else {
            return Err(lost());
        };
        self.line = Some(line);
        let pems = answer.map_err(|why| Failure::new(Code::Failed, why, ""))?;
        Ok(self.tls.renew(&self.files, &pems)?)
    }
}

/// Reads the certificate again at each SIGHUP, if there is one. So a closed terminal does not end
/// the postbox, either.
pub(crate) async fn at_hang_up(mut signal: Signal, renewal: Option<Renewal>, voice: Voice) {
    let Some(mut renewal) = renewal else {
        // The signal is received and ignored.
        while signal.recv().await.is_some() {}
        return;
    };
    while signal.recv().await.is_some() {
        match renewal.renew().await {
            Ok(()) => voice.say("the certificate was read again"),
            Err(why) => warn(format_args!("the certificate stays the old one: {}", why.what)),
        }
    }
}

/// Runs this same program, out of reach of a terminal's signals. It ends when our end of the
/// connection closes.
fn start(files: &Files) -> io::Result<UnixStream> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    Command::new(process::itself()?)
        .arg0("otr")
        .args([COMMAND, "--"])
        .args([&files.certificate, &files.key])
        .stdin(OwnedFd::from(theirs))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()?;
    Ok(ours)
}

async fn ask(line: &mut tokio::net::UnixStream) -> io::Result<Result<Pems, String>> {
    line.write_all(b"?").await?;
    match line.read_u8().await? {
        FILES => {
            let chain = part(line).await?.to_vec();
            Ok(Ok(Pems { chain, key: part(line).await? }))
        }
        _ => Ok(Err(String::from_utf8_lossy(&part(line).await?).into_owned())),
    }
}

async fn part(line: &mut tokio::net::UnixStream) -> io::Result<Zeroizing<Vec<u8>>> {
    let length = line.read_u32().await?;
    if length > MOST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut part = Zeroizing::new(vec![0; length as usize]);
    line.read_exact(&mut part).await?;
    Ok(part)
}

/// Runs the keeper: it answers until no more requests come.
pub(crate) fn keep(files: &Files) -> Result<(), Failure> {
    confine::only_read();
    let line = io::stdin().as_fd().try_clone_to_owned();
    let failed = |why: io::Error| Failure::new(Code::Failed, format!("no line: {why}"), "");
    let mut line = UnixStream::from(line.map_err(failed)?);
    while line.read_exact(&mut [0]).is_ok() {
        line.write_all(&answer(files)).map_err(failed)?;
    }
    Ok(())
}

fn answer(files: &Files) -> Zeroizing<Vec<u8>> {
    let mut answer = Zeroizing::new(Vec::new());
    let mut put = |part: &[u8]| {
        let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
        answer.extend_from_slice(&length.to_be_bytes());
        answer.extend_from_slice(part);
    };
    let kind = match files.read() {
        Ok(pems) => {
            put(&pems.chain);
            put(&pems.key);
            FILES
        }
        Err(why) => {
            put(Failure::from(why).what.as_bytes());
            REASON
        }
    };
    answer.insert(0, kind);
    answer
}
