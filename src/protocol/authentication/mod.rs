//! Who the other side is: by a secret or a code in the handshake ([`password`] → [`pake`]), by words
//! that two people compare ([`words`]), by a secret that is checked later ([`verify`]).

pub mod nameplate;
pub mod pake;
pub mod password;
pub mod verify;
pub mod words;

/// How a session was authenticated. All three may hold, or none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Authentication {
    /// By a secret or a code that both sides had in the handshake.
    pub secret: bool,
    /// By words that the two people compared and found equal.
    pub words: bool,
    /// By a secret that was checked inside the session.
    pub verified: bool,
}

impl Authentication {
    /// Whether there is any proof that somebody in the middle could not have produced.
    pub fn any(self) -> bool {
        self.secret || self.words || self.verified
    }
}
