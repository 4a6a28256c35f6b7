//! One connection, and the little HTTP that it takes: a request, whole, and its answer.

use std::cell::Cell;
use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The largest head of an answer.
const MAX_HEAD: usize = 8 << 10;

/// A connection that is kept.
pub(crate) struct Line {
    stream: TcpStream,
    /// What was sent last, and what came.
    out: Vec<u8>,
    come: Vec<u8>,
    /// Whether anything has come since the last request.
    pub(crate) has_begun: bool,
}

/// An answer; its body lies in the line.
pub(crate) struct Answer {
    pub(crate) status: u16,
    body: std::ops::Range<usize>,
}

/// Bytes that went and came, by all lines.
#[derive(Default)]
pub(crate) struct Traffic {
    pub(crate) sent: Cell<u64>,
    pub(crate) received: Cell<u64>,
}

fn more(count: &Cell<u64>, by: usize) {
    count.set(count.get() + by as u64);
}

impl Line {
    pub(crate) async fn open(to: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, out: Vec::new(), come: Vec::new(), has_begun: false })
    }

    /// Sends a request of raw bytes, which come in parts, and waits for all of its answer.
    pub(crate) async fn call(
        &mut self,
        path: &str,
        parts: &[&[u8]],
        traffic: &Traffic,
    ) -> Result<Answer> {
        self.has_begun = false;
        let length: usize = parts.iter().map(|part| part.len()).sum();
        self.out.clear();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: load\r\ncontent-type: application/octet-stream\r\n\
             content-length: {length}\r\n\r\n"
        );
        self.out.extend_from_slice(head.as_bytes());
        for part in parts {
            self.out.extend_from_slice(part);
        }
        self.stream.write_all(&self.out).await?;
        more(&traffic.sent, self.out.len());
        self.come.clear();
        let head = loop {
            if let Some(end) = find(&self.come, b"\r\n\r\n") {
                break end;
            }
            if self.come.len() > MAX_HEAD {
                return Err(unfit());
            }
            self.read(traffic).await?;
        };
        let (status, length) = parse(&self.come[..head]).ok_or_else(unfit)?;
        let body = head + 4..head + 4 + length;
        while self.come.len() < body.end {
            self.read(traffic).await?;
        }
        Ok(Answer { status, body })
    }

    async fn read(&mut self, traffic: &Traffic) -> Result<()> {
        let count = self.stream.read_buf(&mut self.come).await?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        more(&traffic.received, count);
        self.has_begun = true;
        Ok(())
    }

    /// The body of the answer that came last.
    pub(crate) fn body(&self, answer: &Answer) -> &[u8] {
        self.come.get(answer.body.clone()).unwrap_or_default()
    }
}

fn unfit() -> Error {
    Error::new(ErrorKind::InvalidData, "not an answer of a postbox")
}

fn find(all: &[u8], what: &[u8]) -> Option<usize> {
    all.windows(what.len()).position(|window| window == what)
}

/// Status and length of an answer. All that is called here is answered in one piece.
fn parse(head: &[u8]) -> Option<(u16, usize)> {
    let head = str::from_utf8(head).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let mut length = 0;
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok()?;
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            return None;
        }
    }
    Some((status, length))
}
