//! The packets of a long message, posted beside the sealing of the next ones.

use std::sync::mpsc::{Receiver, Sender, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use otr::protocol::reveal::Receipt;
use zeroize::Zeroizing;

use super::window::Window;
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
}

impl Poster {
    /// Starts. The buffers of what is posted go to `buffers`.
    pub(super) fn start(
        window: Window,
        buffers: Sender<Zeroizing<Vec<u8>>>,
    ) -> Result<Self, Failure> {
        let (packets, from_us) = sync_channel(WAITING);
        let work = move || post_all(window, &from_us, &buffers);
        let thread =
            thread::Builder::new().spawn(work).map_err(|error| Failure::no_thread(&error))?;
        Ok(Self { packets, thread })
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
) -> Result<Window, Failure> {
    for mut sealed in packets {
        window.post(&mut sealed.framed[..sealed.length], sealed.receipt)?;
        // The reading thread may have come to the end.
        drop(buffers.send(sealed.framed));
    }
    Ok(window)
}
