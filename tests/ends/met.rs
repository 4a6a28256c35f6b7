//! Two who have met through a postbox, with something in between that can fail.

use crate::faulty::Faulty;
use crate::people::ok;
use crate::place::Place;
use crate::postbox::Postbox;

/// alice and bob, and what stands between them and their postbox.
pub(crate) fn met() -> (Place, Postbox, Faulty) {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    let faulty = Faulty::before(&postbox);
    let invite = ok(&place, "alice", &["init", "--postbox", &faulty.url], b"");
    ok(&place, "bob", &["respond", "--yes"], &invite);
    ok(&place, "alice", &["send"], b"0\n");
    assert_eq!(ok(&place, "bob", &["recv"], b""), b"0\n");
    (place, postbox, faulty)
}
