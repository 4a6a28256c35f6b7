//! Posts the packets of a long message while the next ones are sealed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, sync_channel};
use std::thread::JoinHandle;

use zeroize::Zeroizing;

use super::start;
use super::window::Window;
use crate::conversation::error::Error;
use crate::protocol::packet::receipt::Receipt;

/// How many sealed packets may wait while one is posted.
const WAITING: usize = 1;

/// A sealed packet on its way out.
pub struct Framed {
    /// One spare byte, then the packet, then the rest of the buffer.
    pub framed: Zeroizing<Vec<u8>>,
    /// Bytes of the room and the packet.
    pub length: usize,
    /// The receipt, if the receiver must prove that it opened the packet.
    pub receipt: Option<Receipt>,
}

/// Posts into a window, in order, on a separate thread.
pub struct Poster {
    packets: SyncSender<Framed>,
    thread: JoinHandle<Result<Window, Error>>,
    abandoned: Arc<AtomicBool>,
}

impl Poster {
    /// Starts posting. Buffers of posted packets go to `buffers`; if posting fails, `stop` is
    /// called.
    pub fn start(
        window: Window,
        buffers: Sender<Zeroizing<Vec<u8>>>,
        stop: impl FnOnce() + Send + 'static,
    ) -> Result<Self, Error> {
        let (packets, from_us) = sync_channel(WAITING);
        let abandoned = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&abandoned);
        let work = move || {
            let posted = post_all(window, &from_us, &buffers, &seen);
            // Closes the channel first, so that a sender that does not wait for a block notices it.
            drop(from_us);
            if posted.is_err() {
                stop();
            }
            posted
        };
        Ok(Self { packets, thread: start(work)?, abandoned })
    }

    /// Posts nothing more, except the packet that is on its way at this moment.
    pub fn abandon(&self) {
        self.abandoned.store(true, Ordering::Release);
    }

    /// Hands a packet over; refused if posting has failed, and [`Poster::end`] says why.
    pub fn post(&self, sealed: Framed) -> bool {
        self.packets.send(sealed).is_ok()
    }

    /// Waits until everything is posted.
    pub fn end(self) -> Result<Window, Error> {
        drop(self.packets);
        self.thread.join().map_err(|_| Error::WorkerEnded)?
    }
}

fn post_all(
    mut window: Window,
    packets: &Receiver<Framed>,
    buffers: &Sender<Zeroizing<Vec<u8>>>,
    abandoned: &AtomicBool,
) -> Result<Window, Error> {
    for mut sealed in packets {
        let framed = sealed.framed.get_mut(..sealed.length).unwrap_or_default();
        window.post(framed, sealed.receipt, abandoned)?;
        // The reading thread may have come to the end.
        drop(buffers.send(sealed.framed));
    }
    Ok(window)
}
