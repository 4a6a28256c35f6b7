//! A postbox that the caller's runtime serves until the caller stops it.

use super::accept::Entrance;
use super::connection::Side;
use super::gate::{Gate, Hours};
use super::limits::{self, GRACE_TIME, SPARE_DESCRIPTORS};
use super::listen::Listener;
use super::state::{Choices, Server};
use super::tls::Tls;
#[cfg(feature = "redis")]
use crate::postbox::storage::shared::Connected;
use crate::postbox::storage::{Store, blocks, budget::Budget};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

/// Time between two sweeps of expired packets: their memory is overwritten at most this much later.
/// (They are never given out after their time.)
const SWEEP_TIME: Duration = Duration::from_secs(10);

/// A postbox, in a tokio runtime of one thread.
pub struct Relay {
    server: Arc<Server>,
    entrances: Vec<Entrance>,
}

impl Relay {
    /// An empty postbox, which may use this many descriptors. Packets are overwritten when they are
    /// freed. The buffers of its libraries are not, unless the program's allocator does so, as that
    /// of `otr` does (the crate `zeroizing-alloc`). The first postbox in a process decides how much
    /// memory for packets is mapped in advance.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] if [`Choices::check`] fails; or if the system gives no
    /// randomness.
    pub fn new(choices: Choices, descriptors: u64) -> io::Result<Self> {
        checked(&choices)?;
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(io::Error::other)?;
        let budget = Budget::new(choices.memory);
        let gate = Gate::new(choices.work, secret, Hours::Own(Instant::now().into_std()));
        let store = Store::new(&budget, choices.ttl);
        blocks::prepare(choices.memory);
        Ok(Self::of(choices, descriptors, (&budget, store, gate)))
    }

    /// The same, with its packets in a store that other postboxes share: a proof of work for one of
    /// them is good at all. The memory cap is for connections and what they carry.
    ///
    /// # Errors
    /// As those of [`Self::new`].
    #[cfg(feature = "redis")]
    pub fn over(store: Connected, choices: Choices, descriptors: u64) -> io::Result<Self> {
        checked(&choices)?;
        let budget = Budget::new(choices.memory);
        let gate = Gate::new(choices.work, store.work_secret(), Hours::OfAll);
        let store = Store::shared(store, &budget, choices.ttl);
        Ok(Self::of(choices, descriptors, (&budget, store, gate)))
    }

    fn of(choices: Choices, descriptors: u64, parts: (&Arc<Budget>, Store, Gate)) -> Self {
        let connections = usize::try_from(descriptors.saturating_sub(SPARE_DESCRIPTORS))
            .unwrap_or(usize::MAX)
            .clamp(1, limits::connections_of(choices.memory));
        let server = Server::new(choices, connections, parts);
        Self { server, entrances: Vec::new() }
    }

    /// Opens it to callers of this listener; the operator's side never speaks TLS. Call it within
    /// the runtime.
    ///
    /// # Errors
    /// The system's error.
    ///
    /// # Panics
    /// Outside a runtime of tokio.
    pub fn open(&mut self, listener: Listener, side: Side, tls: Option<Tls>) -> io::Result<()> {
        self.entrances.push(Entrance::new(listener, side, tls)?);
        Ok(())
    }

    /// Serves until `stop`, then lets running calls go on for up to half a minute, or until
    /// `at_once`. Returns how many packets are lost with it. It asks the system only for memory.
    pub async fn serve(
        self,
        stop: impl Future<Output = ()>,
        at_once: impl Future<Output = ()>,
    ) -> u64 {
        let Self { server, entrances } = self;
        let mut serving: JoinSet<()> =
            entrances.into_iter().map(|entrance| entrance.serve(Arc::clone(&server))).collect();
        // These tasks end with this future, even if it is dropped.
        let mut sweeping = JoinSet::new();
        sweeping.spawn(sweep(Arc::clone(&server)));
        let looking = Arc::clone(&server);
        sweeping.spawn(async move { looking.store.looks_after().await });
        let tidying = Arc::clone(&server);
        sweeping.spawn(async move { tidying.tidies().await });
        stop.await;
        server.begin_to_stop();
        let ended = async { while serving.join_next().await.is_some() {} };
        tokio::select! {
            _ = timeout(GRACE_TIME, ended) => {}
            () = at_once => {}
        }
        server.store.totals().held
    }
}

fn checked(choices: &Choices) -> io::Result<()> {
    choices.check().map_err(|why| io::Error::new(io::ErrorKind::InvalidInput, why))
}

/// Frees expired packets, a few at a time, for ever.
async fn sweep(server: Arc<Server>) {
    let pause = SWEEP_TIME.min(server.choices.ttl);
    loop {
        let begin = Instant::now();
        let mut from = Some([0; 32]);
        while let Some(next) = from {
            from = server.store.sweep(next);
            tokio::task::yield_now().await;
        }
        sleep(pause.max(begin.elapsed())).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postbox::api::{COLLECT, DISCARD, GONE, MAX_RECORDS, REVEALED};
    use crate::postbox::server::lane::STEP;
    use std::future::pending;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    /// Names as many records as it may; the beginning of the answer.
    async fn call(port: u16, path: &str, size: usize) -> String {
        let length = MAX_RECORDS * size;
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/octet-stream\r\n\
             connection: close\r\ncontent-length: {length}\r\n\r\n"
        );
        let mut request = head.into_bytes();
        for n in 0..MAX_RECORDS {
            request.extend_from_slice(&n.to_be_bytes());
            request.extend(vec![0; size - size_of::<usize>()]);
        }
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(&request).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer[..12]).into_owned()
    }

    /// On the only thread, a call that named thousands of records held up all others until it had
    /// looked at all of them, and again when its wait was over.
    #[tokio::test]
    async fn others_get_their_turn_while_a_call_looks_at_thousands_of_records() {
        let mut relay = Relay::new(Choices::default(), 200).unwrap();
        let listener = Listener::open("127.0.0.1:0").unwrap();
        let port = listener.url(false).rsplit_once(':').unwrap().1.parse().unwrap();
        relay.open(listener, Side::Public, None).unwrap();
        let server = Arc::clone(&relay.server);
        let serving = tokio::spawn(relay.serve(pending(), pending()));
        let turns = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&turns);
        let counting = tokio::spawn(async move {
            loop {
                counted.fetch_add(1, Relaxed);
                tokio::task::yield_now().await;
            }
        });
        // How often each goes through its records, at least.
        for (path, size, times, status) in [
            (COLLECT, 32, 3, "204"),
            ("/v1/collect?wait=1", 32, 4, "204"),
            (DISCARD, 96, STEP, "204"),
            (GONE, 32, 1, "200"),
            (REVEALED, 32, 2, "200"),
        ] {
            let before = turns.load(Relaxed);
            assert_eq!(call(port, path, size).await, format!("HTTP/1.1 {status}"), "{path}");
            let turns = turns.load(Relaxed) - before;
            assert!(turns >= times * (MAX_RECORDS / STEP - 1), "{path}: {turns}");
        }
        // The watch that has ended is given up to its last address.
        while server.store.wait_list().is_watched() {
            tokio::task::yield_now().await;
        }
        counting.abort();
        serving.abort();
    }
}
