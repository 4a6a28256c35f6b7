//! Tries what must not succeed in a confined process.

use rustix::process::{Pid, getppid, test_kill_process};
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;

/// Sockets opened before the walls, like a server's, for tries from inside.
pub struct Outside {
    listener: TcpListener,
    /// An address that could be called.
    elsewhere: TcpListener,
    address: SocketAddr,
    parent: Option<Pid>,
}

impl Outside {
    /// Opens it.
    pub fn prepare() -> io::Result<Self> {
        let open = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let elsewhere = open()?;
        elsewhere.set_nonblocking(true)?;
        let address = elsewhere.local_addr()?;
        Ok(Self { listener: open()?, elsewhere, address, parent: getppid() })
    }

    /// Makes each try, with files in `directory`, and writes the results. True if all were refused.
    pub fn probe(&self, directory: &Path, out: &mut impl Write) -> io::Result<bool> {
        let target = directory.join(format!("otr-postbox-{}", std::process::id()));
        let tries: [(&str, io::Result<()>); 8] = [
            ("write a file", std::fs::write(&target, b"x")),
            ("read /etc/passwd", std::fs::read("/etc/passwd").map(drop)),
            ("run /bin/true", std::process::Command::new("/bin/true").status().map(drop)),
            ("connect elsewhere", TcpStream::connect(self.address).map(drop)),
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
        TcpStream::connect(self.address).map(drop)
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
