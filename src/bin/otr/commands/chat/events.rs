//! What the screen hears from the threads around it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use otr::protocol::authentication::Authentication;
use otr::protocol::authentication::words::WORDS;
use otr::protocol::session::Session;
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::ui::keys::Key;

/// What has happened.
pub(super) enum Event {
    Key(Key),
    /// The terminal is gone.
    Gone,
    /// Everything is to be drawn again, perhaps in another size.
    Changed,
    /// A sentence for the person.
    Said(String),
    /// How things stand with the other side.
    Facts(Facts),
    /// Messages, which are shown when the sender hears of it.
    Came(Vec<Came>, Sender<()>),
    /// Something long or unreadable has come, and waits for a decision.
    Long(Long),
    /// It lies in this file.
    Saved(PathBuf),
    /// It does not: the decision is asked for again.
    NotSaved(Failure),
    /// A step of a check of a secret.
    Checked(String),
    /// The other side's question of this run is answered.
    Answered([u8; 32]),
    /// Whether the postbox is away, as the one or the other direction finds.
    Away(Direction, bool),
    /// What has become of a message of ours.
    Marked(u64, Mark),
    /// The person's answer to the words is stored.
    WordsSame,
    /// Nothing more will come.
    ReceivingEnded(Result<(), Failure>),
    /// Nothing more will go.
    SendingEnded(Result<(), Failure>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    In,
    Out,
}

/// One of the things that come, in their order.
pub(super) enum Came {
    Text(Zeroizing<Vec<u8>>),
    /// A message that was on its way ends here, with these words.
    CutShort(String),
}

/// A message that is not simply shown.
pub(super) struct Long {
    pub(super) message: u64,
    /// How many bytes of it are here.
    pub(super) bytes: u64,
    /// Whether that is all of it.
    pub(super) whole: bool,
    /// Whether an earlier run has taken its beginning.
    pub(super) goes_on: bool,
    pub(super) decide: Sender<Decision>,
}

/// What becomes of it.
pub(super) enum Decision {
    Save(PathBuf),
    Drop,
}

/// What has become of a message of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// It is not out yet.
    Waiting,
    /// So many bytes of a file are out.
    Sending(u64),
    Sent,
    NotSent(String),
}

/// What the screen shows of the session.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) is_open: bool,
    pub(super) may_write: bool,
    pub(super) is_closed: bool,
    /// The other side's question that waits for an answer.
    pub(super) asked: Option<Arc<Asked>>,
    pub(super) authentication: Authentication,
    pub(super) words: Option<[&'static str; WORDS]>,
}

impl Facts {
    pub(super) fn of(session: Option<&Session>) -> Self {
        let Some(session) = session else { return Self::default() };
        Self {
            is_open: true,
            may_write: session.may_send_text(),
            is_closed: session.peer_closed(),
            asked: asked(session),
            authentication: session.authentication(),
            words: session.words().ok(),
        }
    }
}

/// A question of the other side.
#[derive(PartialEq, Eq)]
pub(super) struct Asked {
    /// Its text; empty = none.
    pub(super) text: Zeroizing<String>,
    /// The run that the answer belongs to.
    pub(super) run: [u8; 32],
}

fn asked(session: &Session) -> Option<Arc<Asked>> {
    let (text, run) = session.question().zip(session.question_run())?;
    Some(Arc::new(Asked { text: text.to_owned().into(), run: *run }))
}
