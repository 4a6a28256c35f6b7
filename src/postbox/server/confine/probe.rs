//! Tries what must not succeed in a confined process.

use rustix::process::{Pid, getppid, test_kill_process};
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

/// Sockets opened before the walls, like a server's, for tries from inside.
pub struct Outside {
    listener: TcpListener,
    /// An address that could be called.
    elsewhere: TcpListener,
    address: SocketAddr,
    /// Servers that it may call.
    allowed: Vec<SocketAddr>,
    parent: Option<Pid>,
}

impl Outside {
    /// Opens it; `allowed` are servers that the process may call.
    pub fn prepare(allowed: Vec<SocketAddr>) -> io::Result<Self> {
        let open = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let elsewhere = open()?;
        elsewhere.set_nonblocking(true)?;
        let address = elsewhere.local_addr()?;
        Ok(Self { listener: open()?, elsewhere, address, allowed, parent: getppid() })
    }

    /// Makes each try, with files in `directory`, and writes the results. True if all were refused,
    /// but for calls to the servers that it may call.
    pub fn probe(&self, directory: &Path, out: &mut impl Write) -> io::Result<bool> {
        let target = directory.join(format!("otr-postbox-{}", std::process::id()));
        let tries: [(&str, io::Result<()>); 8] = [
            ("write a file", std::fs::write(&target, b"x")),
            ("read /etc/passwd", std::fs::read("/etc/passwd").map(drop)),
            ("run /bin/true", std::process::Command::new("/bin/true").status().map(drop)),
            ("connect elsewhere", connect(self.address)),
            ("connect by a socket that listened", self.connect_in_passing()),
            ("start a thread", std::thread::Builder::new().spawn(|| ()).map(drop)),
            ("signal another process", self.signal_another()),
            ("take capabilities", take_capabilities()),
        ];
        let mut all = true;
        for (what, came) in tries {
            match came {
                Err(why) if why.kind() == io::ErrorKind::PermissionDenied => {
                    writeln!(out, "{what}: refused ({why})")?;
                }
                Err(why) => {
                    all = false;
                    writeln!(out, "{what}: NOT REFUSED ({why})")?;
                }
                Ok(()) => {
                    all = false;
                    writeln!(out, "{what}: NOT REFUSED")?;
                }
            }
        }
        for server in &self.allowed {
            match connect(*server) {
                Ok(()) => writeln!(out, "connect to the store, {server}: allowed")?,
                Err(why) => {
                    all = false;
                    writeln!(out, "connect to the store, {server}: REFUSED ({why})")?;
                }
            }
        }
        Ok(all)
    }

    /// Signal 0 only asks for permission.
    fn signal_another(&self) -> io::Result<()> {
        Ok(test_kill_process(self.parent.ok_or(io::ErrorKind::NotFound)?)?)
    }

    /// TCP Fast Open: a listener that is shut down is an unused socket, and to send from one to an
    /// address connects it, without the call of that name.
    #[cfg(target_os = "linux")]
    fn connect_in_passing(&self) -> io::Result<()> {
        use rustix::net::{SendFlags, Shutdown, sendto, shutdown};
        let _ = shutdown(&self.listener, Shutdown::Both);
        let connecting = SendFlags::from_bits_retain(libc::MSG_FASTOPEN.unsigned_abs());
        let sent = sendto(&self.listener, b"x", connecting, &self.address);
        if self.elsewhere.accept().is_ok() { Ok(()) } else { Ok(sent.map(drop)?) }
    }

    #[cfg(not(target_os = "linux"))]
    fn connect_in_passing(&self) -> io::Result<()> {
        connect(self.address)
    }
}

/// Begins to connect, as the postbox does; it cannot wait for the end of it here.
fn connect(address: SocketAddr) -> io::Result<()> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    #[cfg(target_os = "linux")]
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    #[cfg(not(target_os = "linux"))]
    let flags = SocketFlags::empty();
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    match rustix::net::connect(&socket, &address) {
        Err(rustix::io::Errno::INPROGRESS) => Ok(()),
        came => Ok(came?),
    }
}

#[cfg(target_os = "linux")]
fn take_capabilities() -> io::Result<()> {
    use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
    let one = CapabilitySet::DAC_OVERRIDE;
    let inheritable = CapabilitySet::empty();
    Ok(set_capabilities(None, CapabilitySets { effective: one, permitted: one, inheritable })?)
}

#[cfg(not(target_os = "linux"))]
fn take_capabilities() -> io::Result<()> {
    Err(io::ErrorKind::PermissionDenied.into())
}
