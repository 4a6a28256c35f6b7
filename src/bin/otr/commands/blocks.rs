//! A long message as blocks of one large packet each, read by a thread while packets are sealed.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use otr::protocol::packet::{K_MAX, size};
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::worker;

/// How many blocks wait to be sealed; another one is being filled.
const AHEAD: usize = 1;

/// The size of a packet's buffer, with room for the lead byte of a raw stream in front.
pub(crate) const FRAMED: usize = 1 + size(K_MAX);

/// A part of the message, in the buffer of its future packet.
pub(crate) struct Block {
    /// One spare byte, then the packet.
    pub(crate) framed: Zeroizing<Vec<u8>>,
    /// Bytes of text, from the offset of the layout on.
    pub(crate) length: usize,
    /// Whether the message ends with this block.
    pub(crate) last: bool,
}

/// Where text goes in a packet: its offset and the room for it.
#[derive(Clone, Copy)]
pub(crate) struct Layout {
    pub(crate) start: usize,
    pub(crate) room: usize,
}

/// Splits an input into blocks. It returns a block only when it knows whether anything follows.
struct Cutter<R> {
    input: R,
    layout: Layout,
    begun: Option<Block>,
}

impl<R: Read> Cutter<R> {
    fn next(&mut self, spare: &mut dyn FnMut() -> Zeroizing<Vec<u8>>) -> io::Result<Block> {
        let mut block = match self.begun.take() {
            Some(block) if block.last => return Ok(block),
            Some(block) => block,
            None => Block { framed: spare(), length: 0, last: false },
        };
        self.fill(&mut block, self.layout.room)?;
        if block.length < self.layout.room {
            block.last = true;
            return Ok(block);
        }
        let mut following = Block { framed: spare(), length: 0, last: false };
        self.fill(&mut following, 1)?;
        block.last = following.length == 0;
        if !block.last {
            self.begun = Some(following);
        }
        Ok(block)
    }

    /// Reads until the block holds at least `enough` bytes, or the input ends.
    fn fill(&mut self, block: &mut Block, enough: usize) -> io::Result<()> {
        let start = 1 + self.layout.start;
        let room = &mut block.framed[start..start + self.layout.room];
        while block.length < enough {
            match self.input.read(&mut room[block.length..]) {
                Ok(0) => break,
                Ok(count) => block.length += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The blocks of one message.
pub(crate) struct Blocks {
    blocks: Receiver<Next>,
    buffers: Sender<Zeroizing<Vec<u8>>>,
}

/// The answer to a wait for a block; `None` if no more blocks are wanted.
type Next = io::Result<Option<Block>>;

/// Ends the wait for a block.
pub(crate) struct Stop(SyncSender<Next>);

impl Stop {
    /// A block that is already there comes first.
    pub(crate) fn tell(&self) {
        drop(self.0.try_send(Ok(None)));
    }
}

impl Blocks {
    /// Starts reading `input`; also returns what ends the wait for it.
    pub(crate) fn read(
        input: impl Read + Send + 'static,
        layout: Layout,
    ) -> Result<(Self, Stop), Failure> {
        let (to_us, blocks) = sync_channel(AHEAD);
        let stop = Stop(to_us.clone());
        let (buffers, from_us) = channel();
        worker::start(move || {
            let cutter = Cutter { input, layout, begun: None };
            read_all(cutter, &to_us, &from_us);
        })?;
        Ok((Self { blocks, buffers }, stop))
    }

    /// The next block; `None` after [`Stop::tell`].
    pub(crate) fn next(&mut self) -> io::Result<Option<Block>> {
        let gone = || Err(io::Error::other("the reading thread has ended"));
        self.blocks.recv().unwrap_or_else(|_| gone())
    }

    /// Takes back the buffers of blocks for later ones.
    pub(crate) fn buffers(&self) -> Sender<Zeroizing<Vec<u8>>> {
        self.buffers.clone()
    }
}

fn read_all<R: Read>(
    mut cutter: Cutter<R>,
    to_sealer: &SyncSender<Next>,
    buffers: &Receiver<Zeroizing<Vec<u8>>>,
) {
    let mut spare = || buffers.try_recv().unwrap_or_else(|_| Zeroizing::new(vec![0; FRAMED]));
    loop {
        let block = cutter.next(&mut spare);
        let ended = !matches!(&block, Ok(block) if !block.last);
        if to_sealer.send(block.map(Some)).is_err() || ended {
            return;
        }
    }
}

/// Bytes that are wiped after they have been read.
pub(crate) struct HeadBytes(pub(crate) Zeroizing<Vec<u8>>);

impl AsRef<[u8]> for HeadBytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}
