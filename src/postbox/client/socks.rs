//! The client's side of SOCKS 5 (RFC 1928, 1929).
//!
//! Tor gives each user name a circuit of its own. So to keep circuits apart, we demand the name of Tor
//! instead of offering it: a proxy that takes none, or prefers none, would join them silently. To
//! another proxy we offer it, and tell if it is not taken.

use std::io::{self, Read, Write};
use std::net::IpAddr;

const VERSION: u8 = 5;
const NO_LOGIN: u8 = 0;
const LOGIN: u8 = 2;
/// The version of the login's own exchange.
const LOGIN_VERSION: u8 = 1;
const CONNECT: u8 = 1;

/// The user name and password of the caller.
pub(super) struct Login<'a> {
    pub(super) user: &'a str,
    pub(super) password: &'a str,
    /// Whether the proxy must take it.
    pub(super) demanded: bool,
}

/// The proxy takes no user name, and one was demanded.
#[derive(Debug)]
pub(super) struct NoIsolation;

impl std::fmt::Display for NoIsolation {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("the proxy takes no user name")
    }
}

impl std::error::Error for NoIsolation {}

/// Asks for a connection to a host, which the proxy looks up. Says whether the proxy took the user name.
pub(super) fn connect(
    proxy: &mut (impl Read + Write),
    login: Option<&Login<'_>>,
    host: &str,
    port: u16,
) -> io::Result<bool> {
    let methods: &[u8] = match login {
        Some(login) if login.demanded => &[LOGIN],
        Some(_) => &[LOGIN, NO_LOGIN],
        None => &[NO_LOGIN],
    };
    proxy.write_all(&[&[VERSION, short(methods)?], methods].concat())?;
    let [version, method] = take(proxy)?;
    if version != VERSION {
        return Err(wrong());
    }
    match (method, login) {
        (LOGIN, Some(login)) => log_in(proxy, login)?,
        (_, Some(login)) if login.demanded => return Err(io::Error::other(NoIsolation)),
        (NO_LOGIN, _) => {}
        _ => return Err(io::ErrorKind::PermissionDenied.into()),
    }
    proxy.write_all(&[&[VERSION, CONNECT, 0], &target(host)?[..], &port.to_be_bytes()].concat())?;
    let [version, reply, _, kind] = take(proxy)?;
    if version != VERSION {
        return Err(wrong());
    }
    if reply != 0 {
        return Err(refusal(reply).into());
    }
    // The address from which the proxy calls does not matter.
    let length = match kind {
        1 => 4,
        4 => 16,
        3 => usize::from(take::<1>(proxy)?[0]),
        _ => return Err(wrong()),
    };
    proxy.read_exact(&mut vec![0; length + 2])?;
    Ok(method == LOGIN)
}

fn log_in(proxy: &mut (impl Read + Write), login: &Login<'_>) -> io::Result<()> {
    let [user, password] = [login.user, login.password].map(str::as_bytes);
    let head = [LOGIN_VERSION, short(user)?];
    proxy.write_all(&[&head, user, &[short(password)?], password].concat())?;
    match take(proxy)? {
        [LOGIN_VERSION, 0] => Ok(()),
        [LOGIN_VERSION, _] if login.demanded => Err(io::Error::other(NoIsolation)),
        [LOGIN_VERSION, _] => Err(io::ErrorKind::PermissionDenied.into()),
        _ => Err(wrong()),
    }
}

/// Sends an address as an address, anything else as a name.
fn target(host: &str) -> io::Result<Vec<u8>> {
    Ok(match host.trim_matches(['[', ']']).parse() {
        Ok(IpAddr::V4(ip)) => [&[1][..], &ip.octets()].concat(),
        Ok(IpAddr::V6(ip)) => [&[4][..], &ip.octets()].concat(),
        Err(_) => [&[3, short(host.as_bytes())?], host.as_bytes()].concat(),
    })
}

fn take<const N: usize>(proxy: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    proxy.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn short(bytes: &[u8]) -> io::Result<u8> {
    u8::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidInput.into())
}

fn wrong() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

fn refusal(reply: u8) -> io::ErrorKind {
    match reply {
        2 => io::ErrorKind::PermissionDenied,
        3 => io::ErrorKind::NetworkUnreachable,
        4 => io::ErrorKind::HostUnreachable,
        5 => io::ErrorKind::ConnectionRefused,
        _ => io::ErrorKind::NotConnected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a proxy says, and what it was told.
    struct Proxy(io::Cursor<Vec<u8>>, Vec<u8>);

    impl Read for Proxy {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl Write for Proxy {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const DONE: &[u8] = &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0];

    fn talk(demanded: bool, host: &str, says: &[&[u8]]) -> (io::Result<bool>, Vec<u8>) {
        let mut proxy = Proxy(io::Cursor::new(says.concat()), Vec::new());
        let login = Login { user: "u", password: "pw", demanded };
        let done = connect(&mut proxy, Some(&login), host, 258);
        (done, proxy.1)
    }

    #[test]
    fn a_name_an_address_and_a_login_are_told_as_they_are() {
        let login: &[u8] = &[1, 1, b'u', 2, b'p', b'w'];
        let to_b: &[u8] = b"\x05\x01\x00\x03\x01b\x01\x02";
        let offered: &[u8] = &[5, 2, 2, 0];
        for (demanded, host, says, told, took) in [
            (
                false,
                "box",
                &[&[5, 0], DONE][..],
                [offered, b"\x05\x01\x00\x03\x03box\x01\x02"].concat(),
                false,
            ),
            (
                false,
                "10.0.0.1",
                &[&[5, 0], DONE],
                [offered, &[5, 1, 0, 1, 10, 0, 0, 1, 1, 2]].concat(),
                false,
            ),
            (true, "b", &[&[5, 2, 1, 0], DONE], [&[5, 1, 2], login, to_b].concat(), true),
            (false, "b", &[&[5, 2, 1, 0], DONE], [offered, login, to_b].concat(), true),
            (false, "b", &[&[5, 0, 5, 0, 0, 3, 2, 9, 9, 0, 0]], [offered, to_b].concat(), false),
        ] {
            let (done, was_told) = talk(demanded, host, says);
            assert_eq!(done.unwrap(), took, "{host}");
            assert_eq!(was_told, told, "{host}");
        }
        let (done, told) = talk(false, "[::1]", &[&[5, 0], &[5, 0, 0, 4], &[0; 18]]);
        done.unwrap();
        assert_eq!(told[7], 4);
    }

    #[test]
    fn where_circuits_are_apart_no_call_is_made_without_a_name() {
        for says in [&[5, 0][..], &[5, 0xFF], &[5, 1], &[5, 2, 1, 1]] {
            let (done, told) = talk(true, "box", &[says, DONE]);
            let error = done.unwrap_err();
            assert!(error.get_ref().unwrap().is::<NoIsolation>(), "{says:?}");
            assert!(!told.windows(3).any(|three| three == b"box"), "{says:?}");
        }
    }

    #[test]
    fn what_is_refused_or_cut_is_an_error() {
        use io::ErrorKind as Kind;
        for (says, kind) in [
            (&[5, 0, 5, 5, 0, 1][..], Kind::ConnectionRefused),
            (&[5, 0, 5, 4, 0, 1], Kind::HostUnreachable),
            (&[5, 0, 5, 1, 0, 1], Kind::NotConnected),
            (&[5, 2, 1, 1], Kind::PermissionDenied),
            (&[5, 0xFF], Kind::PermissionDenied),
            (&[4, 0], Kind::InvalidData),
            (b"HTTP/1.1 400 Bad Request", Kind::InvalidData),
            (&[5, 0, 4, 0, 0, 1], Kind::InvalidData),
            (&[5, 0, 5, 0, 0, 9], Kind::InvalidData),
            (&[5, 0, 5, 0, 0, 1, 0], Kind::UnexpectedEof),
            (&[], Kind::UnexpectedEof),
        ] {
            assert_eq!(talk(false, "box", &[says]).0.unwrap_err().kind(), kind, "{says:?}");
        }
        let (done, _) = talk(false, &"x".repeat(256), &[&[5, 0]]);
        assert_eq!(done.unwrap_err().kind(), Kind::InvalidInput);
    }
}
