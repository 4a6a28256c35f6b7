//! `--serve`: a postbox of this transfer's own, as a process that ends with it.

use std::io::{BufReader, ErrorKind, Read as _};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use otr::postbox::client::{Client, Error, Why};
use rustix::process::{Pid, Signal, kill_process};

use crate::commands::postbox::url_said;
use crate::failure::{Code, Failure};
use crate::process;
use crate::worker;

/// A running postbox; it ends when this is dropped, and with this process, however that ends.
pub(super) struct Served {
    child: Child,
    /// Its address for the other person.
    pub(super) url: String,
}

impl Served {
    /// Starts one at `ADDRESS:PORT`, confined as `otr postbox` is. The calling thread has to live as
    /// long as it.
    pub(super) fn start(address: &str) -> Result<Self, Failure> {
        let failed = |error: &std::io::Error| {
            Failure::new(Code::Failed, format!("the postbox does not start: {error}"), "try again")
        };
        let mut command = Command::new(process::itself().map_err(|error| failed(&error))?);
        let us = std::process::id().to_string();
        command.args(["postbox", "--with-parent", &us, "--listen", address]);
        // Ctrl-C is for us, who tell the other side first.
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.env_remove("LISTEN_FDS").env_remove("LISTEN_PID");
        let mut child = command.spawn().map_err(|error| failed(&error))?;
        let said = child.stderr.take();
        let mut served = Self { child, url: String::new() };
        let Some(said) = said else { return Err(failed(&std::io::ErrorKind::BrokenPipe.into())) };
        let mut said = BufReader::new(said);
        let mut text = String::new();
        let Some(url) = url_said(&mut said, &mut text).map_err(|error| failed(&error))? else {
            let why = text.lines().next_back().unwrap_or_default().trim_start_matches("otr: ");
            // Its hint names an option of another command.
            let why = why.split(';').next().unwrap_or_default();
            let what = format!("no postbox could be opened at {address}: {why}");
            let hint = "give an address of this machine, as 'ip address' shows it, or 0.0.0.0:0";
            return Err(Failure::new(Code::Usage, what, hint));
        };
        // What it says at its end must find a reader.
        worker::start(move || drop(said.read_to_end(&mut Vec::new())))?;
        served.url = for_others(&url)?;
        Ok(served)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

/// Whether a postbox was at an address of this machine, where nothing listens any more.
pub(super) fn is_gone(client: &Client, url: &str) -> bool {
    let address = url.strip_prefix("http://").and_then(|at| at.parse::<SocketAddr>().ok());
    // Only an address of this machine can be taken.
    let is_ours = address.is_some_and(|at| UdpSocket::bind((at.ip(), 0)).is_ok());
    let refused =
        |error: &Error| matches!(error.why(), Why::Connection(ErrorKind::ConnectionRefused));
    is_ours && client.answers().is_err_and(|error| refused(&error))
}

/// The URL with an address that other machines can call, where it was opened on all of this machine's.
fn for_others(url: &str) -> Result<String, Failure> {
    let Some(address) = url.strip_prefix("http://") else { return Ok(url.to_owned()) };
    let Ok(address) = address.parse::<SocketAddr>() else { return Ok(url.to_owned()) };
    if !address.ip().is_unspecified() {
        return Ok(url.to_owned());
    }
    let Some(ours) = outward(address.ip()) else {
        let what = format!("{} is no address that the other person can call", address.ip());
        let hint = format!(
            "name this machine's own, as 'ip address' shows it: --serve ADDRESS:{}",
            address.port()
        );
        return Err(Failure::new(Code::Usage, what, hint));
    };
    Ok(format!("http://{}", SocketAddr::new(ours, address.port())))
}

/// The address of this machine from which it calls others. Nothing is sent for that.
fn outward(any: IpAddr) -> Option<IpAddr> {
    // Addresses for documentation: nobody has them, and the usual route leads there.
    let far = match any {
        IpAddr::V4(_) => IpAddr::from([192, 0, 2, 1]),
        IpAddr::V6(_) => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]),
    };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).ok()?;
    // As an address and not as text, which would link in the C library's lookup of names.
    socket.connect(SocketAddr::new(far, 9)).ok()?;
    let ours = socket.local_addr().ok()?.ip();
    (!ours.is_unspecified() && !ours.is_loopback()).then_some(ours)
}
