//! One item, as a line for a person or an object for a program.

use std::fmt::Write;
use std::path::Path;

use otr::protocol::handshake::invite::{Invite, InviteError};
use otr::protocol::packet::size_class;
use serde_json::{Value, json};

use super::randomness::{Histogram, Measure};
use crate::ui::names;
use crate::ui::printable::line;
use crate::ui::units;
use otr::postbox::client::without_secret;

/// How many bytes of an address to show: enough to tell two apart by eye.
const SHOWN: usize = 4;

/// The heading of the rows from [`Seen::text`].
pub(super) const TABLE_HEAD: &str = "    #  kind        bytes  address     chi-square        p\n";

/// What is visible of one item.
pub(super) enum Seen {
    /// A packet, a reply or a published key.
    Sealed {
        kind: &'static str,
        bytes: usize,
        address: String,
        measure: Measure,
    },
    Invite {
        bytes: usize,
        measure: Measure,
        fields: Result<Fields, InviteError>,
    },
    Damaged(String),
}

/// What an invite says in clear.
pub(super) struct Fields {
    address: String,
    secret: bool,
    expires: Option<u64>,
    postbox: Option<String>,
}

impl Seen {
    pub(super) fn sealed(kind: &'static str, bytes: &[u8], histogram: &Histogram) -> Self {
        let measure = histogram.measure();
        Self::Sealed { kind, bytes: bytes.len(), address: prefix(bytes), measure }
    }

    pub(super) fn key(bytes: &[u8]) -> Self {
        Self::sealed("key", bytes, &Histogram::of(bytes))
    }

    pub(super) fn invite(bytes: &[u8]) -> Self {
        let fields = Invite::parse(bytes).map(|invite| Fields {
            address: prefix(&invite.reply_address),
            secret: invite.cpace_share.is_some(),
            expires: invite.expires,
            postbox: invite.postbox.map(|url| without_secret(&url).into_owned()),
        });
        Self::Invite { bytes: bytes.len(), measure: Histogram::of(bytes).measure(), fields }
    }

    /// A row of the table, with further details below it; at most 80 columns, unless a postbox has
    /// a long name.
    pub(super) fn text(&self, item: u64, now: u64) -> String {
        match self {
            Self::Sealed { kind, bytes, address, measure } => {
                row(item, kind, *bytes, address, &measure.cells())
            }
            // Only programs see its randomness, because an invite is readable, and the encoding of
            // its key is not uniform (FIPS 203: numbers below 3,329 in 12 bits).
            Self::Invite { bytes, fields: Ok(fields), .. } => {
                let row = row(item, "invite", *bytes, &fields.address, "   in clear");
                format!("{row}{}", fields.text(now))
            }
            Self::Invite { bytes, fields: Err(error), .. } => {
                row(item, "invite", *bytes, "", unreadable(*error).as_str())
            }
            Self::Damaged(reason) => format!("{item:>5}  damaged: {reason}\n"),
        }
    }

    /// The object that the long help describes, and a newline.
    pub(super) fn json(&self, item: u64, file: Option<&Path>) -> String {
        let mut object = match self {
            Self::Sealed { kind, bytes, address, measure } => {
                let mut object = measured(kind, *bytes, measure);
                object["address"] = json!(address);
                if *kind != "key" {
                    object["k"] = json!(size_class(*bytes));
                }
                object
            }
            Self::Invite { bytes, measure, fields } => {
                let mut object = measured("invite", *bytes, measure);
                let fields = fields.as_ref().ok();
                object["address"] = json!(fields.map(|fields| &fields.address));
                object["version"] = json!(fields.map(|_| 1));
                object["secret"] = json!(fields.map(|fields| fields.secret));
                object["expires"] = json!(fields.and_then(|fields| fields.expires));
                object["postbox"] = json!(fields.and_then(|fields| fields.postbox.as_ref()));
                object
            }
            Self::Damaged(reason) => json!({ "kind": "damaged", "file": null, "reason": reason }),
        };
        object["item"] = json!(item);
        if let Some(path) = file {
            names::put(&mut object, "file", path);
        }
        format!("{object}\n")
    }
}

fn measured(kind: &str, bytes: usize, measure: &Measure) -> Value {
    json!({
        "kind": kind, "file": null, "bytes": bytes,
        "chi_square": measure.chi_square(), "p": measure.p(),
    })
}

impl Fields {
    fn text(&self, now: u64) -> String {
        let secret = if self.secret { "asks for a secret" } else { "asks for no secret" };
        let expires = match self.expires {
            None => "never expires".to_owned(),
            Some(time) if time < now => format!("expired {} ago", units::age(now - time)),
            Some(time) => format!("expires in {}", units::age(time - now)),
        };
        // Somebody else's text.
        let postbox = self.postbox.as_deref().map_or("none".into(), line);
        format!("       version 1, {secret}, {expires}\n       postbox {postbox}\n")
    }
}

fn unreadable(error: InviteError) -> String {
    match error {
        InviteError::Version(version) => {
            format!("of version {version}, which this otr does not know")
        }
        InviteError::Flags => "with a flag that this otr does not know".to_owned(),
        InviteError::Malformed => "not well-formed".to_owned(),
    }
}

fn row(item: u64, kind: &str, bytes: usize, address: &str, cells: &str) -> String {
    let address = if address.is_empty() { String::new() } else { format!("{address}…") };
    let row = format!("{item:>5}  {kind:<6}  {bytes:>9}  {address:<9}  {cells}");
    format!("{}\n", row.trim_end())
}

/// The beginning of an address, hexadecimal.
pub(super) fn prefix(bytes: &[u8]) -> String {
    bytes.iter().take(SHOWN).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
