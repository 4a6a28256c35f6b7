//! Keeps the calls that still wait when `recv` ends. They would all end in one moment, when its message
//! came, and the postbox would see that they belong together. So a process that has nothing but their
//! connections holds each until its answer comes, or a minute is over. It reads nothing of it: what lies
//! in the postbox stays there for the next command.

use std::fs;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use otr::postbox::client::Client;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

use crate::process;

/// The most connections: a message of the system carries 253.
const MOST: usize = 64;
/// The descriptor of stderr.
const LAST: u32 = 2;
/// Longer than the postbox lets a call wait.
const LONGEST: Duration = Duration::from_secs(75);

/// Hands the connections that are open to a process of their own, if calls are kept apart. That is the
/// last thing that a command does. Without it nothing is lost: the connections end with this process.
pub(crate) fn hand_over(client: &Client) {
    // What the shell has opened for us would stay open with it, and whoever reads from it would wait.
    if client.isolates() && has_no_more().unwrap_or(false) {
        let _ = try_to(client);
    }
}

/// Whether another program that we start gets no descriptor but the first three.
fn has_no_more() -> io::Result<bool> {
    for entry in fs::read_dir("/proc/self/fdinfo")? {
        let name = entry?.file_name();
        let number: u32 = name.to_str().and_then(|name| name.parse().ok()).unwrap_or_default();
        if number > LAST {
            // The list itself is among them, and is closed by now.
            let Ok(info) = fs::read_to_string(format!("/proc/self/fdinfo/{number}")) else {
                continue;
            };
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
            let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
            if flags.is_none_or(|flags| flags & OFlags::CLOEXEC.bits() == 0) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

fn try_to(client: &Client) -> io::Result<()> {
    let mut open = client.connections()?;
    open.truncate(MOST);
    if open.is_empty() {
        return Ok(());
    }
    let flags = SocketFlags::CLOEXEC;
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    let mut keeper = Command::new(process::itself()?);
    // For whoever looks at the list of processes.
    keeper
        .arg0("otr")
        .arg("keep-calls")
        .env_clear()
        .stdin(theirs)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // It outlives us.
    drop(keeper.spawn()?);
    let open: Vec<BorrowedFd<'_>> = open.iter().map(OwnedFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut message = SendAncillaryBuffer::new(&mut space);
    if !message.push(SendAncillaryMessage::ScmRights(&open)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    sendmsg(&ours, &[IoSlice::new(&[0])], &mut message, SendFlags::empty())?;
    Ok(())
}

/// `otr keep-calls`: the connections come on stdin
#[derive(clap::Args)]
pub(crate) struct KeepCalls {}

impl KeepCalls {
    /// Runs until all of them have ended.
    pub(crate) fn run() -> io::Result<()> {
        // Nobody waits for it, and no terminal ends it.
        let _ = rustix::process::setsid();
        rustix::process::chdir("/")?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
        let mut message = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        recvmsg(
            io::stdin(),
            &mut [IoSliceMut::new(&mut byte)],
            &mut message,
            RecvFlags::CMSG_CLOEXEC,
        )?;
        let mut open: Vec<OwnedFd> = Vec::new();
        for one in message.drain() {
            if let RecvAncillaryMessage::ScmRights(some) = one {
                open.extend(some);
            }
        }
        let until = Instant::now() + LONGEST;
        while !open.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let left = Timespec::try_from(left).map_err(io::Error::other)?;
            let mut polled: Vec<PollFd<'_>> =
                open.iter().map(|one| PollFd::new(one, PollFlags::IN)).collect();
            rustix::io::retry_on_intr(|| poll(&mut polled, Some(&left)))?;
            let mut answered =
                polled.iter().map(|one| !one.revents().is_empty()).collect::<Vec<_>>().into_iter();
            open.retain(|_| answered.next() == Some(false));
        }
        Ok(())
    }
}
