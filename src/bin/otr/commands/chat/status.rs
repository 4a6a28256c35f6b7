//! The status line: who this is, and what matters now.

use super::events::Facts;
use crate::commands::authenticated;
use crate::ui::rows::columns;

/// What it is about.
pub(super) struct Status<'a> {
    /// The session's name.
    pub(super) name: &'a str,
    pub(super) facts: &'a Facts,
    /// Whether the postbox is away.
    pub(super) is_away: bool,
    /// How many messages of ours are not out.
    pub(super) waiting: usize,
    /// Whether something long waits for the person's decision.
    pub(super) has_to_decide: bool,
    /// Whether a file is on its way in.
    pub(super) is_saving: bool,
    /// How many messages have come below the lines that are looked at, if these are not the last.
    pub(super) below: Option<usize>,
}

impl Status<'_> {
    /// The line, in so many columns: where not all fits, the session's name is left out first, and then how
    /// the other side was checked; never that it was not.
    pub(super) fn line(&self, width: usize) -> String {
        let (checked, rest) = (self.checked(), self.rest());
        let is_checked = self.facts.is_open && self.facts.authentication.any();
        let short = if is_checked { "checked" } else { checked.as_str() };
        let closed = self.facts.is_closed.then_some("CLOSED by the other side");
        let line = |(name, checked): (Option<&str>, &str)| {
            let parts = name.into_iter().chain(closed).chain([checked]);
            let parts = parts.chain(rest.iter().map(String::as_str));
            format!(" {}", parts.collect::<Vec<_>>().join(" | "))
        };
        let ways = [(Some(self.name), checked.as_str()), (None, checked.as_str()), (None, short)];
        let shortest = line((None, short));
        ways.into_iter().map(line).find(|line| columns(line) <= width).unwrap_or(shortest)
    }

    /// How far it is known who the other side is.
    fn checked(&self) -> String {
        let Facts { is_open, authentication, .. } = *self.facts;
        if !is_open {
            "waiting for the other side".to_owned()
        } else if authentication.any() {
            authenticated::phrase(&authenticated::names(authentication))
        } else {
            "NOT CHECKED: /words".to_owned()
        }
    }

    /// What else matters, the most urgent first.
    fn rest(&self) -> Vec<String> {
        let mut parts = Vec::new();
        let Facts { is_closed, authentication, .. } = *self.facts;
        if authentication.any() && !authentication.words && !authentication.verified && !is_closed {
            parts.push("/words".to_owned());
        }
        if self.is_away {
            parts.push("postbox away".to_owned());
        }
        if self.waiting > 0 {
            parts.push(format!("{} waiting", self.waiting));
        }
        if self.has_to_decide {
            parts.push("/save or /drop".to_owned());
        } else if self.is_saving {
            parts.push("saving".to_owned());
        }
        if self.facts.asked.is_some() && !is_closed {
            parts.push("/verify".to_owned());
        }
        match self.below {
            Some(0) => parts.push("earlier lines: PgDn".to_owned()),
            Some(new) => parts.push(format!("{new} new below: PgDn")),
            None => {}
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use otr::protocol::authentication::Authentication;

    use super::*;

    fn line(facts: &Facts, width: usize) -> String {
        let status = Status {
            name: "default",
            facts,
            is_away: false,
            waiting: 0,
            has_to_decide: true,
            is_saving: false,
            below: None,
        };
        status.line(width)
    }

    #[test]
    fn what_has_to_be_done_fits_a_narrow_terminal() {
        let authentication =
            Authentication { secret: true, words: true, ..Authentication::default() };
        let mut facts = Facts { is_open: true, authentication, ..Facts::default() };
        let whole = " default | checked by secret and words | /save or /drop";
        assert_eq!(line(&facts, 80), whole);
        assert_eq!(line(&facts, 50), " checked by secret and words | /save or /drop");
        assert_eq!(line(&facts, 40), " checked | /save or /drop");
        facts.authentication = Authentication::default();
        assert_eq!(line(&facts, 40), " NOT CHECKED: /words | /save or /drop");
        assert_eq!(line(&facts, 20), " NOT CHECKED: /words | /save or /drop");
        facts.is_open = false;
        assert_eq!(line(&facts, 30), " waiting for the other side | /save or /drop");
    }
}
