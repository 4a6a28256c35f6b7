//! The sessions as a page for a person.

use std::fmt::Write;

use otr::protocol::authentication::verify::FAILURES_MAX;
use otr::protocol::handshake::INVITE_GRACE;

use super::report::{Check, Condition, Counts, Facts, Place, PostedCounts, Report};
use crate::commands::authenticated;
use crate::ui::logout::LOGOUT;
use crate::ui::printable::line;
use crate::ui::units;
use otr::postbox::client::{Url, Urls, without_secret};

/// One block per session, and then facts about the machine that concern all of them.
pub(super) fn page(reports: &[Report], lock_limit: Option<u64>) -> String {
    let mut page = String::new();
    for report in reports {
        block(&mut page, report);
    }
    if let (Some(limit), false) = (lock_limit, reports.is_empty()) {
        let words = "bytes may be locked in memory, too few for the keys; raise 'ulimit -l'";
        put(&mut page, format_args!("only {limit} {words}"));
    }
    page
}

fn block(page: &mut String, report: &Report) {
    let name = report.name.as_deref().unwrap_or("--state-fd");
    match &report.condition {
        Condition::Readable(facts) => {
            put(page, format_args!("{name}: {}", headline(facts)));
            conversation(page, facts);
        }
        Condition::Unreadable(stage, why) => {
            let hint = match *stage {
                "busy" => "try again",
                "foreign" => "use the otr that made it",
                _ => "'otr close --silent' wipes it",
            };
            put(page, format_args!("{name}: {stage}: {why}; {hint}"));
        }
    }
    if let Some(place) = &report.place {
        surroundings(page, place);
    }
}

fn headline(facts: &Facts) -> &'static str {
    match facts.stage {
        "inviting" => "waits for the reply to its invite",
        "unconfirmed" => "waits for the other side's first packet",
        "closed" => "closed by the other side; end it here too with 'otr close'",
        "ended" => "ended by three failed checks of a secret; 'otr close' tells and wipes",
        "expired" => "nobody answered the invite before it expired; its keys are wiped now",
        "frozen" => "frozen by export; then 'otr export --forget', or '--undo'",
        _ => "open",
    }
}

fn conversation(page: &mut String, facts: &Facts) {
    let role = if facts.role == "inviter" { "inviting" } else { "answering" };
    let age = units::age(facts.age);
    let checked = authenticated::phrase(&facts.authenticated);
    put(page, format_args!("  role      {role} side, for {age}; who the other is: {checked}"));
    check(page, &facts.check);
    if let Some(expires) = facts.expires.filter(|_| facts.stage != "expired") {
        invite(page, expires, facts.created + facts.age);
    }
    let counts = &facts.counts;
    let missing = missing(&counts.missing);
    put(
        page,
        format_args!("  messages  {} sent, {} received{missing}", counts.sent, counts.received),
    );
    packets(page, counts);
    let postbox = facts.postbox.as_deref().map_or("none".into(), without_secret);
    put(page, format_args!("  postbox   {postbox}"));
    if facts
        .postbox
        .as_deref()
        .is_some_and(|urls| Urls::parse(urls).is_ok_and(|urls| urls.iter().any(Url::sees_callers)))
    {
        put(
            page,
            format_args!("            sees who talks with whom, unless both sides use --tor"),
        );
    }
    posted(page, facts);
}

/// For how long the invite can be answered, or for how long its keys still wait for an answer.
fn invite(page: &mut String, expires: u64, now: u64) {
    match expires.saturating_sub(now) {
        0 => {
            let left = units::age(expires.saturating_add(INVITE_GRACE).saturating_sub(now));
            put(page, format_args!("  invite    has expired; its keys are wiped in {left}"));
        }
        left => put(page, format_args!("  invite    for another {}", units::age(left))),
    }
}

/// Whether the other side still collects, if the postbox was asked.
fn posted(page: &mut String, facts: &Facts) {
    let unposted = facts.counts.unposted;
    if unposted > 0 {
        let way = if facts.postbox.is_some() {
            "posted, by the next send or recv"
        } else {
            "written out, by the next send or verify"
        };
        put(page, format_args!("  posts     {unposted} to be {way}"));
    }
    let Some(posted) = &facts.posted else { return };
    let since = posted.since.map(|since| (facts.created + facts.age).saturating_sub(since));
    let since = since.map_or(String::new(), |age| format!(", the oldest for {}", units::age(age)));
    let PostedCounts { collected, held, unknown, .. } = posted;
    let last = "of the last packets there";
    put(page, format_args!("  posts     {last} {collected} collected, {held} not yet{since}"));
    if *unknown > 0 {
        let words = "lost with a restart, or not collected in time";
        put(page, format_args!("  warning   {unknown} of them {words}"));
    }
}

fn check(page: &mut String, check: &Check) {
    if let Some(question) = &check.asked {
        let asks = if question.is_empty() { "a secret" } else { question.as_str() };
        put(page, format_args!("  verify    the other side asks for {asks}; answer: otr verify"));
    } else if check.waits {
        put(page, "  verify    waits for the other side's packet");
    }
    if check.failures > 0 {
        put(page, format_args!("  verify    {} of {FAILURES_MAX} failures", check.failures));
    }
}

/// Adds a line only if there is something to say.
fn packets(page: &mut String, counts: &Counts) {
    if counts.skipped > 0 || counts.lost > 0 {
        let Counts { skipped, lost, .. } = counts;
        put(page, format_args!("  packets   {skipped} not here but expected, {lost} lost"));
    }
    if counts.waiting > 0 || counts.fell_out > 0 {
        let Counts { waiting, fell_out, .. } = counts;
        put(page, format_args!("  MAC keys  {waiting} to be published, {fell_out} never will be"));
    }
}

fn missing(runs: &[(u64, u64)]) -> String {
    /// The most ranges to list; further ones are only counted.
    const LISTED: usize = 8;
    if runs.is_empty() {
        return String::new();
    }
    let listed = runs.iter().take(LISTED).map(|(first, last)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    });
    let listed = listed.collect::<Vec<_>>().join(", ");
    let more = runs.len().saturating_sub(LISTED);
    let more = if more > 0 { format!(" and {more} more ranges") } else { String::new() };
    format!("; not here: {listed}{more}")
}

fn surroundings(page: &mut String, place: &Place) {
    put(page, format_args!("  lies in   {}", place.directory.display()));
    if !place.in_memory {
        put(page, "  warning   on a disk, where wiping does not work");
    }
    if !place.swap.is_empty() {
        let areas = place.swap.join(", ");
        put(page, format_args!("  warning   may be written to swap: {areas}"));
    }
    if place.logout_erases {
        let words = LOGOUT;
        put(page, format_args!("  warning   {words}"));
    }
}

/// Adds one line; a postbox's URL is somebody else's text, and a path may contain anything.
fn put(page: &mut String, words: impl std::fmt::Display) {
    // Writing to a String cannot fail.
    let _ = writeln!(page, "{}", line(&words.to_string()));
}
