//! A SOCKS proxy that wants a user and a password, as Tor takes them: enough for `--tor`.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// The proxy; all it is asked for leads to one postbox, or to a port of this machine.
pub(crate) struct Socks {
    pub(crate) url: String,
    connections: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
}

impl Socks {
    pub(crate) fn before(postbox: &str) -> Self {
        Self::start(Some(postbox.to_owned()))
    }

    /// One that leads to whichever port of this machine is asked for.
    #[allow(dead_code, reason = "each test file uses its part of it")]
    pub(crate) fn to_this_machine() -> Self {
        Self::start(None)
    }

    fn start(behind: Option<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("socks5h://{}", listener.local_addr().unwrap());
        let connections = Arc::new(AtomicUsize::new(0));
        let open = Arc::new(AtomicUsize::new(0));
        let (behind, count, now) = (behind, Arc::clone(&connections), Arc::clone(&open));
        thread::spawn(move || {
            for stream in listener.incoming() {
                count.fetch_add(1, Ordering::SeqCst);
                let (behind, now) = (behind.clone(), Arc::clone(&now));
                thread::spawn(move || {
                    now.fetch_add(1, Ordering::SeqCst);
                    let _ = pass_on(stream.unwrap(), behind.as_deref());
                    now.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { url, connections, open }
    }

    /// Those that are open now.
    #[allow(dead_code, reason = "each test file uses its part of it")]
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn pass_on(mut caller: TcpStream, behind: Option<&str>) -> io::Result<()> {
    let methods = take(&mut caller, 2)?[1];
    take(&mut caller, methods)?;
    caller.write_all(&[5, 2])?;
    let user = take(&mut caller, 2)?[1];
    take(&mut caller, user)?;
    let word = take(&mut caller, 1)?[0];
    take(&mut caller, word)?;
    caller.write_all(&[1, 0])?;
    let head = take(&mut caller, 5)?;
    // An address of four bytes, or a name; and a port.
    let asked = take(&mut caller, if head[3] == 1 { 5 } else { head[4] + 2 })?;
    let [.., high, low] = asked[..] else { return Err(io::ErrorKind::InvalidData.into()) };
    let asked = format!("127.0.0.1:{}", u16::from_be_bytes([high, low]));
    caller.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
    let mut postbox = TcpStream::connect(behind.unwrap_or(&asked))?;
    let (mut from, mut to) = (caller.try_clone()?, postbox.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Write);
    });
    io::copy(&mut postbox, &mut caller)?;
    caller.shutdown(std::net::Shutdown::Both)
}

fn take(stream: &mut TcpStream, count: u8) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; count.into()];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}
