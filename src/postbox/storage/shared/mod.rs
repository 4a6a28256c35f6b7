//! The store that many postboxes share: Redis or Valkey, one server, with Sentinel, or a cluster.
//! docs/postbox.md says what it may be, and who sees what of it.
//!
//! Everything about an address lies under two keys on one node, what lies there and what was
//! discarded, and each change of it is one script there (`put.lua`, `discard.lua`); `entry` says how
//! it is written, `cipher` how it is masked.

mod alarms;
mod care;
mod check;
mod choices;
mod cipher;
mod connect;
mod dial;
mod entry;
mod node;
mod scripts;
mod shards;
mod slots;
mod store;
mod trouble;
mod url;
mod wakes;

pub use choices::{Alarm, BadStore, SharedChoices};
pub use cipher::SECRET;
pub use connect::Connected;
pub(crate) use store::{Shared, SharedWatch};
pub use url::StoreUrl;
