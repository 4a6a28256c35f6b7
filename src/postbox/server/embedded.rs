//! A postbox in another program, on a thread of its own: for a test, or for two people in one room.

use super::connection::Side;
use super::listen::Listener;
use super::relay::Relay;
use super::state::Choices;
use std::future::pending;
use std::io;
use std::sync::mpsc::channel;
use std::thread::{Builder, JoinHandle};
use tokio::runtime;
use tokio::sync::oneshot;

/// The most descriptors that it takes of the program's.
const DESCRIPTORS: u64 = 512;

/// A postbox that runs until it is stopped, or dropped. It is not confined
/// ([`confine`](super::confine)): that would confine the whole program.
pub struct Embedded {
    url: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<u64>>,
}

impl Embedded {
    /// Starts one at `ADDRESS:PORT` (port 0: any) or `unix:PATH`.
    ///
    /// # Errors
    /// What the system says about the address, the thread or its randomness.
    pub fn start(address: &str, choices: Choices) -> io::Result<Self> {
        let listener = Listener::open(address)?;
        let url = listener.url(false);
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = channel();
        let work = move || {
            let opened = (|| -> io::Result<_> {
                let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
                let mut relay = Relay::new(choices, DESCRIPTORS)?;
                let _inside = runtime.enter();
                relay.open(listener, Side::Public, None)?;
                Ok((runtime, relay))
            })();
            let (runtime, relay) = match opened {
                Ok(opened) => opened,
                Err(error) => {
                    // The starting thread waits for this.
                    let _ = tell.send(Err(error));
                    return 0;
                }
            };
            let _ = tell.send(Ok(()));
            let stop = async { drop(stopped.await) };
            runtime.block_on(relay.serve(stop, pending()))
        };
        let thread = Builder::new().name("otr-postbox".to_owned()).spawn(work)?;
        told.recv().map_err(io::Error::other)??;
        Ok(Self { url, stop: Some(stop), thread: Some(thread) })
    }

    /// The URL at which it can be called.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Stops it, and returns how many packets were lost with it. Running calls may take half a
    /// minute more, as they may when it is dropped.
    pub fn stop(mut self) -> u64 {
        self.end()
    }

    fn end(&mut self) -> u64 {
        drop(self.stop.take());
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.end();
    }
}
