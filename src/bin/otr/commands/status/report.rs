//! What is known about one session.

use std::path::PathBuf;
use std::time::Duration;

use otr::protocol::handshake::Inviting;
use otr::protocol::session::stored::{Expired, Stage, Stored, StoredError};
use otr::protocol::session::verify::Ending;
use otr::protocol::session::{Posted, Role, Session};
use otr::store::{Directory, Name, Store, hazards};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::commands::authenticated;
use crate::commands::whom;
use crate::failure::{Code, Failure};
use crate::route::RouteArgs;
use crate::ui::names;
use otr::postbox::api::PacketStatus;
use otr::postbox::client::without_secret;

/// One session.
pub(super) struct Report {
    pub(super) name: Option<String>,
    pub(super) place: Option<Place>,
    pub(super) condition: Condition,
}

/// The facts about a directory that matter to the sessions in it.
pub(super) struct Place {
    pub(super) directory: PathBuf,
    pub(super) in_memory: bool,
    pub(super) swap: Vec<String>,
    pub(super) logout_erases: bool,
}

/// Whether the state could be read.
pub(super) enum Condition {
    Readable(Box<Facts>),
    /// The stage's name, and why.
    Unreadable(&'static str, String),
}

/// What the state says.
pub(super) struct Facts {
    pub(super) stage: &'static str,
    pub(super) role: &'static str,
    pub(super) authenticated: Vec<&'static str>,
    pub(super) check: Check,
    pub(super) created: u64,
    pub(super) age: u64,
    pub(super) expires: Option<u64>,
    pub(super) postbox: Option<String>,
    pub(super) counts: Counts,
    /// Packets that may lie in the postbox: address, and when they were posted.
    pub(super) posts: Vec<Posted>,
    /// What has happened to them, if the postbox was asked.
    pub(super) posted: Option<PostedCounts>,
}

/// What has happened to posted packets.
#[derive(Default)]
pub(super) struct PostedCounts {
    pub(super) collected: usize,
    pub(super) held: usize,
    pub(super) unknown: usize,
    /// When the oldest packet that is still held was posted.
    pub(super) since: Option<u64>,
}

/// How far a check of a secret has come.
#[derive(Default)]
pub(super) struct Check {
    /// The other side's question; may be empty.
    pub(super) asked: Option<Zeroizing<String>>,
    pub(super) waits: bool,
    pub(super) failures: u8,
}

/// Counts of messages and packets; all zero before the handshake.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) sent: u64,
    pub(super) received: u64,
    pub(super) missing: Vec<(u64, u64)>,
    pub(super) skipped: usize,
    pub(super) lost: u64,
    pub(super) waiting: usize,
    pub(super) fell_out: u64,
    pub(super) unposted: usize,
}

impl Report {
    /// Reads the state and examines its directory. An unusable state is reported; a missing one is
    /// an error with code 3.
    pub(super) fn of(
        store: &mut Store,
        name: Option<&Name>,
        wait: Duration,
        now: u64,
    ) -> Result<Self, Failure> {
        let condition = match read(store, wait, now) {
            Ok(Ok((stored, expired))) => {
                Condition::Readable(Box::new(Facts::of(&stored, expired, now)))
            }
            Ok(Err(StoredError::Damaged)) => Condition::Unreadable(
                "damaged",
                "its bytes are not the ones that were stored".into(),
            ),
            Ok(Err(StoredError::Version(version))) => {
                Condition::Unreadable("foreign", format!("it has version {version}"))
            }
            Err(failure) if failure.code == Code::NoSession => return Err(failure),
            Err(failure) if failure.code == Code::Busy => {
                Condition::Unreadable("busy", failure.what.into_owned())
            }
            Err(failure) => Condition::Unreadable("damaged", failure.what.into_owned()),
        };
        let place = store.directory().map(Place::of);
        Ok(Self { name: name.map(|name| name.as_str().to_owned()), place, condition })
    }

    /// Asks the session's postbox what has happened to our packets.
    pub(super) fn ask(&mut self, route: &RouteArgs) -> Result<(), Failure> {
        let Condition::Readable(facts) = &mut self.condition else { return Ok(()) };
        let Some(url) = &facts.postbox else { return Ok(()) };
        let client = whom::connect(url, route)?;
        let mut counts = PostedCounts::default();
        for posts in facts.posts.chunks(client.at_once()) {
            let addresses: Vec<_> = posts.iter().map(|posted| posted.address).collect();
            for (posted, status) in posts.iter().zip(client.gone(&addresses, Duration::ZERO)?) {
                match status {
                    PacketStatus::Collected => counts.collected += 1,
                    PacketStatus::Unknown => counts.unknown += 1,
                    PacketStatus::Held => {
                        counts.held += 1;
                        counts.since.get_or_insert(posted.at);
                    }
                }
            }
        }
        facts.posted = Some(counts);
        Ok(())
    }

    /// The object that the long help describes.
    pub(super) fn json(&self) -> Value {
        let place = self.place.as_ref();
        let mut object = json!({
            "name": self.name,
            "directory": null,
            "in_memory": place.map(|place| place.in_memory),
            "swap": place.map(|place| &place.swap),
            "logout_erases": place.map(|place| place.logout_erases),
        });
        if let Some(place) = place {
            names::put(&mut object, "directory", &place.directory);
        }
        let state = match &self.condition {
            Condition::Readable(facts) => facts.json(),
            Condition::Unreadable(stage, problem) => unreadable(stage, problem),
        };
        if let (Value::Object(all), Value::Object(state)) = (&mut object, state) {
            all.extend(state);
        }
        object
    }
}

/// The state, and what was dropped from it because it had expired. The result is stored, except
/// with --state-fd, which only shows a state.
fn read(
    store: &mut Store,
    wait: Duration,
    now: u64,
) -> Result<Result<(Stored, Expired), StoredError>, Failure> {
    let lock = store.lock_state(wait)?;
    let mut loaded = store.load(&lock)?;
    let mut stored = match Stored::from_bytes(&loaded.bytes) {
        Ok(stored) => stored,
        Err(error) => return Ok(Err(error)),
    };
    let expired = stored.stage.expire(now);
    match expired {
        _ if store.directory().is_none() => {}
        Expired::Nothing => {}
        Expired::Numbers => store.replace(&lock, &mut loaded.version, &stored.to_bytes())?,
        Expired::Invite => store.wipe(&lock)?,
    }
    Ok(Ok((stored, expired)))
}

impl Place {
    fn of(directory: &Directory) -> Self {
        Self {
            directory: directory.path().to_owned(),
            in_memory: directory.in_memory(),
            swap: hazards::swap_areas(directory),
            logout_erases: hazards::logout_erases(directory),
        }
    }
}

impl Facts {
    fn of(stored: &Stored, expired: Expired, now: u64) -> Self {
        let mut facts = match &stored.stage {
            Stage::Inviting(inviting) => Self::of_inviting(inviting, now),
            Stage::Session(session) => Self::of_session(session, now),
        };
        if expired == Expired::Invite {
            facts.stage = "expired";
        } else if stored.frozen {
            facts.stage = "frozen";
        }
        facts
    }

    fn of_inviting(inviting: &Inviting, now: u64) -> Self {
        Self {
            stage: "inviting",
            role: "inviter",
            authenticated: Vec::new(),
            check: Check::default(),
            created: inviting.created(),
            age: now.saturating_sub(inviting.created()),
            expires: inviting.expires(),
            postbox: inviting.postbox(),
            counts: Counts::default(),
            posts: Vec::new(),
            posted: None,
        }
    }

    fn of_session(session: &Session, now: u64) -> Self {
        Self {
            stage: stage(session),
            role: match session.role() {
                Role::Inviter => "inviter",
                Role::Responder => "responder",
            },
            authenticated: authenticated::names(session.authentication()),
            check: Check {
                asked: session.question().map(|question| Zeroizing::new(question.to_owned())),
                waits: session.awaits_answer() || session.awaits_last_step(),
                failures: session.verify_failures(),
            },
            created: session.created(),
            age: now.saturating_sub(session.created()),
            expires: None,
            postbox: session.postbox().map(str::to_owned),
            counts: Counts::of(session),
            posts: posts(session),
            posted: None,
        }
    }

    fn json(&self) -> Value {
        let counts = &self.counts;
        json!({
            "stage": self.stage,
            "problem": null,
            "role": self.role,
            "authenticated": self.authenticated,
            "verify": {
                "asked": self.check.asked.as_ref().map(|question| question.as_str()),
                "waits": self.check.waits,
                "failures": self.check.failures,
            },
            "created": self.created,
            "age": self.age,
            "expires": self.expires,
            "postbox": self.postbox.as_deref().map(without_secret),
            "unposted": counts.unposted,
            "posted": self.posted.as_ref().map(|posted| json!({
                "collected": posted.collected,
                "held": posted.held,
                "unknown": posted.unknown,
                "since": posted.since,
            })),
            "sent": counts.sent,
            "received": counts.received,
            "missing": counts.missing,
            "skipped": counts.skipped,
            "lost": counts.lost,
            "unpublished": { "waiting": counts.waiting, "fell_out": counts.fell_out },
        })
    }
}

/// The same fields as [`Facts::json`], all null.
fn unreadable(stage: &str, problem: &str) -> Value {
    json!({
        "stage": stage,
        "problem": problem,
        "role": null,
        "authenticated": null,
        "verify": null,
        "created": null,
        "age": null,
        "expires": null,
        "postbox": null,
        "unposted": null,
        "posted": null,
        "sent": null,
        "received": null,
        "missing": null,
        "skipped": null,
        "lost": null,
        "unpublished": null,
    })
}

impl Counts {
    fn of(session: &Session) -> Self {
        let (waiting, fell_out) = session.unpublished();
        Self {
            sent: session.sent(),
            received: session.received(),
            missing: session.missing(),
            skipped: session.skipped(),
            lost: session.lost(),
            waiting,
            fell_out,
            unposted: session.waiting().len(),
        }
    }
}

/// The reply, as long as it has not been answered, and the packets after it.
fn posts(session: &Session) -> Vec<Posted> {
    let reply = session.reply().and_then(|reply| reply.first_chunk());
    let reply = reply.map(|address| Posted { address: *address, at: session.created() });
    reply.into_iter().chain(session.posted()).collect()
}

fn stage(session: &Session) -> &'static str {
    if session.ending() != Ending::GoesOn {
        "ended"
    } else if session.peer_closed() {
        "closed"
    } else if session.is_confirmed() {
        "open"
    } else {
        "unconfirmed"
    }
}
