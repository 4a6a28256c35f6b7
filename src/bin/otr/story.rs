//! What there is: a conversation in six lines, for `--help` and the manual; and a tour by purpose, for who
//! types `otr` alone.

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

/// What there is, by purpose.
pub(crate) const TOUR: &str = "\
otr: off the record, between two people who have a shell

  a file     otr put FILE                      otr get CODE
  a chat     otr chat                          otr chat CODE
  a message  otr init > invite                 otr respond < invite > reply
             otr recv < reply
             echo hello | otr send > packet    otr recv < packet
  a pipe     otr pipe --via 'ssh bob otr pipe --stdio --exec CMD'
  a script   otr send --lines                  otr recv --follow --exec CMD
  a program  otr rpc
  a relay    otr postbox
  the end    otr close

Who is it: otr words     What is open: otr status     See it happen: otr demo
One command: otr COMMAND --help     All of them: otr --help
";
