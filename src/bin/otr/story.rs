//! A conversation in six lines, for `--help` and the manual.

macro_rules! first_steps {
    () => {
        "\
A conversation over any channel:
  alice$ otr init > invite               bob$ otr respond < invite > reply
  alice$ otr recv < reply
  alice$ echo hello | otr send > packet  bob$ otr recv < packet
  alice$ otr words                       bob$ otr words       (compare by voice)
  alice$ otr close > last                bob$ otr recv < last
Both ends on one machine: -s alice, -s bob. The whole tour: otr demo"
    };
}

/// A conversation in six lines, for `--help` and the manual.
pub(crate) const FIRST_STEPS: &str = first_steps!();
pub(crate) use first_steps;
