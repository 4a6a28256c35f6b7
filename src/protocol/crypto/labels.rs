//! Every domain-separation label of the protocol, in one place, so that two uses cannot collide.
//!
//! Labels are ASCII without a terminator. If more input follows a label, it consists of fields of
//! fixed length, so no label is a prefix of another one's input. (As channel identifiers, `CPACE`
//! and `VERIFY` are preceded by their length.)

/// Hashes the inviter's nonce into its commitment.
pub const COMMITMENT: &[u8] = b"otr/1 commitment";
/// Hashes a token into its address.
pub const ADDRESS: &[u8] = b"otr/1 address";
/// Hashes invite and reply into the transcript hash.
pub const TRANSCRIPT: &[u8] = b"otr/1 transcript";
/// Expands the handshake's secrets into the first keys.
pub const HANDSHAKE: &[u8] = b"otr/1 handshake";
/// Hashes the invite into the input of the reply's key.
pub const REPLY: &[u8] = b"otr/1 reply";
/// Expands the key under which the reply travels.
pub const REPLY_KEY: &[u8] = b"otr/1 reply key";
/// Expands a turn of the ratchet; followed by the turn hash.
pub const TURN: &[u8] = b"otr/1 turn";
/// Hashes a chain's transcript and a turn into the next chain's transcript.
pub const TURNS: &[u8] = b"otr/1 turns";
/// Expands a chain key into the next one and a packet key.
pub const CHAIN: &[u8] = b"otr/1 chain";
/// Expands a header chain key into the next one, a header key and a token.
pub const HEADER_CHAIN: &[u8] = b"otr/1 header chain";
/// Derives the AEAD key of one header.
pub const HEADER: &[u8] = b"otr/1 header";
/// Derives the AEAD key of one body.
pub const BODY: &[u8] = b"otr/1 body";
/// Derives the key that makes a packet's salt.
pub const SALT: &[u8] = b"otr/1 salt";
/// Names CPace in the handshake (its channel identifier).
pub const CPACE: &[u8] = b"otr/1";
/// Names CPace inside a session; also derives the session identifier of a run, followed by starter
/// and attempt.
pub const VERIFY: &[u8] = b"otr/1 verify";
/// Derives the key with which both sides of a run show that they arrived at the same key.
pub const VERIFY_MAC: &[u8] = b"otr/1 verify mac";
/// What the side that answers a run authenticates.
pub const ANSWERER: &[u8] = b"otr/1 answerer";
/// What the side that started a run authenticates.
pub const STARTER: &[u8] = b"otr/1 starter";
/// Expands the four words to compare.
pub const WORDS: &[u8] = b"otr/1 words";
/// Derives the token under which a code's invite lies.
pub const NAMEPLATE: &[u8] = b"otr/1 nameplate";
/// Derives the key under which a code's invite is sealed.
pub const NAMEPLATE_KEY: &[u8] = b"otr/1 nameplate key";
/// Precedes the head of a state that is sealed with a passphrase.
pub const EXPORT: &[u8] = b"otr/1 export";
/// Guards the stored state against damage.
pub const STATE: &[u8] = b"otr/1 state";
/// Hashes what distinguishes a session from any other; never leaves this machine.
pub const IDENTITY: &[u8] = b"otr/1 identity";
/// Hashes the key of several postboxes and an address into the place of its packet.
pub const POSTBOXES: &[u8] = b"otr/1 postboxes";
/// Hashes a postbox's salt into the seed of a puzzle (docs/postbox.md).
pub const WORK: &[u8] = b"otr/1 work";
/// Hashes a postbox's secret and the hour into such a salt; stays with the postbox.
pub const WORK_SALT: &[u8] = b"otr/1 work salt";
/// Hashes a post secret into what a private postbox keeps of it.
pub const POST_SECRET: &[u8] = b"otr/1 post secret";
/// Derives the key that names addresses in a store that postboxes share (docs/postbox.md).
pub const STORE_NAME: &[u8] = b"otr/1 store name";
/// Derives the key that marks packets there.
pub const STORE_MARK: &[u8] = b"otr/1 store mark";
/// Derives the key from which the keys follow that mask packets there.
pub const STORE_PACKET: &[u8] = b"otr/1 store packet";
/// Derives the key from which the masks of published keys follow.
pub const STORE_REVEALED: &[u8] = b"otr/1 store revealed";
/// Derives the secret from which postboxes with one store take their salts.
pub const STORE_WORK: &[u8] = b"otr/1 store work";
/// Derives what is drawn in a simulated conversation, which is the same for the same seed.
pub const SIMULATION: &[u8] = b"otr/1 simulate";
/// Names a session's message in the name of an unfinished file; never leaves this machine.
pub const MESSAGE: &[u8] = b"otr/1 message";
