//! The protocol's source of randomness. The caller hands it in, and the protocol asks for each
//! value by name, so that test vectors can name their contents and the order of draws is not part
//! of the protocol.

/// What random bytes are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Draw {
    /// X25519 private key, 32 bytes.
    X25519,
    /// ML-KEM seed d ‖ z, 64 bytes.
    KemSeed,
    /// The inviter's nonce, 32 bytes.
    Nonce,
    /// The token under which the reply is collected, 32 bytes.
    ReplyToken,
    /// The message m of an ML-KEM encapsulation, 32 bytes.
    KemMessage,
    /// A CPace scalar, 32 bytes before the bits from 252 on are cleared.
    CpaceScalar,
    /// What a reply holds in place of an absent CPace share, 32 bytes.
    Filler,
    /// The reply's salt, 32 bytes.
    ReplySalt,
    /// The fresh input to a packet's salt, 32 bytes (the salt itself if k > 16).
    PacketFresh,
    /// The number and the words of a code, 8 bytes.
    Code,
    /// The salt of an invite that is posted under a code's number, 32 bytes.
    NameplateSalt,
    /// The number of a pipe's run, 8 bytes.
    PipeRun,
}

impl Draw {
    /// Its name in the test vectors.
    pub fn name(self) -> &'static str {
        match self {
            Self::X25519 => "x25519",
            Self::KemSeed => "dz",
            Self::Nonce => "nonce_I",
            Self::ReplyToken => "reply_token",
            Self::KemMessage => "m",
            Self::CpaceScalar => "cpace_scalar",
            Self::Filler => "filler",
            Self::ReplySalt => "reply_salt",
            Self::PacketFresh => "fresh",
            Self::Code => "code",
            Self::NameplateSalt => "salt",
            Self::PipeRun => "run",
        }
    }
}

/// The source had no randomness to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRandomness;

/// A source of uniformly random bytes.
pub trait Randomness {
    /// Fills `out`.
    ///
    /// # Errors
    /// [`NoRandomness`] if the source fails; nothing may be sealed then.
    fn fill(&mut self, what: Draw, out: &mut [u8]) -> Result<(), NoRandomness>;
}
