//! The packets of a long message, posted beside the sealing of the next ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, sync_channel};
use std::thread::JoinHandle;

use otr::protocol::packet::receipt::Receipt;
use zeroize::Zeroizing;

use super::blocks::Stop;
use super::window::Window;
use crate::beside;
use crate::failure::{Code, Failure};

/// How many sealed packets wait while one is posted.
const WAITING: usize = 1;

/// A sealed packet on its way out.
pub(super) struct Sealed {
    /// One byte of room, then the packet, then what else the buffer has.
    pub(super) framed: Zeroizing<Vec<u8>>,
    /// Bytes of the room and the packet.
    pub(super) length: usize,
    /// Where it has to be shown that the packet was opened.
    pub(super) receipt: Option<Receipt>,
}

/// Posts into a window, in order, by a thread of its own.
pub(super) struct Poster {
    packets: SyncSender<Sealed>,
    thread: JoinHandle<Result<Window, Failure>>,
    abandoned: Arc<AtomicBool>,
}

impl Poster {
    /// Starts. The buffers of what is posted go to `buffers`; where posting fails, `stop` is told.
    pub(super) fn start(
        window: Window,
        buffers: Sender<Zeroizing<Vec<u8>>>,
        stop: Stop,
    ) -> Result<Self, Failure> {
        let (packets, from_us) = sync_channel(WAITING);
        let abandoned = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&abandoned);
        let work = move || {
            let posted = post_all(window, &from_us, &buffers, &seen);
            // First nothing more can be handed over; so whoever does not wait for a block sees it.
            drop(from_us);
            if posted.is_err() {
                stop.tell();
            }
            posted
        };
        Ok(Self { packets, thread: beside::start(work)?, abandoned })
    }

    /// Posts nothing more but what is on its way out this moment.
    pub(super) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Release);
    }

    /// Hands a packet over; not where posting has failed, and [`Poster::end`] says why.
    pub(super) fn post(&self, sealed: Sealed) -> bool {
        self.packets.send(sealed).is_ok()
    }

    /// Waits until all is posted.
    pub(super) fn end(self) -> Result<Window, Failure> {
        drop(self.packets);
        self.thread.join().unwrap_or_else(|_| {
            let what = "the thread that posts has ended";
            Err(Failure::new(Code::Failed, what, "this is a fault of otr"))
        })
    }
}

fn post_all(
    mut window: Window,
    packets: &Receiver<Sealed>,
    buffers: &Sender<Zeroizing<Vec<u8>>>,
    abandoned: &AtomicBool,
) -> Result<Window, Failure> {
    for mut sealed in packets {
        window.post(&mut sealed.framed[..sealed.length], sealed.receipt, abandoned)?;
        // The reading thread may have come to the end.
        drop(buffers.send(sealed.framed));
    }
    Ok(window)
}
