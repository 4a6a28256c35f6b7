//! The command line: the one definition behind parsing, `--help`, man pages and completions.

use clap::{Parser, Subcommand};

use crate::commands::{
    chat, close, complete_sessions, completions, expect, export, forge, handover, import, init,
    inspect, man, pipe, postbox, recv, respond, rpc, send, simulate, status, verify, words,
};
use crate::options::{Common, no_session, unused};
use crate::story::{FIRST_STEPS, first_steps};

const LONG_HELP: &str = concat!(
    first_steps!(),
    "

Exit status:
   0  ok                 4  refused            8  nothing_yet       12  expired
   1  failed             5  not_authentic      9  postbox           13  exists
   2  usage              6  cut_short         10  full              14  not_ready
   3  no_session         7  closed            11  unsafe_state      15  busy"
);

/// Off-the-record conversations for the Unix pipe
#[derive(Parser)]
#[command(
    name = "otr",
    version,
    about,
    max_term_width = 100,
    after_help = FIRST_STEPS,
    after_long_help = LONG_HELP,
    subcommand_required = true,
    arg_required_else_help = false
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// One file in `commands/` each.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Hand over a file, a directory or a text: print a code, and wait for 'otr get'
    #[command(args = unused(&["session", "state_fd"]))]
    Put(handover::PutArgs),
    /// Take what somebody hands over with 'otr put', by its code
    #[command(args = unused(&["session", "state_fd"]))]
    Get(handover::GetArgs),
    /// Talk at a terminal: both of you at once, by a code or in a session that is there
    #[command(args = unused(&["state_fd", "json"]))]
    Chat(chat::Args),
    /// Begin a session: write an invite
    Init(init::Args),
    /// Answer an invite: read it, write a reply
    Respond(respond::Args),
    /// Send stdin as one message: write packets
    Send(send::Args),
    /// Take packets, or the reply, from stdin: write what they say
    Recv(recv::Args),
    /// Carry bytes both ways, as they come: between two programs, connections or commands
    #[command(args = unused(&["state_fd"]))]
    Pipe(pipe::Args),
    /// End a session: tell the other side, publish the MAC keys, wipe everything
    Close(close::Args),
    /// Show the four words to compare by voice, and record what you found
    Words(words::Args),
    /// Compare a secret inside the session: ask, or answer
    Verify(verify::Args),
    /// Serve another program: JSON-RPC 2.0 on stdin and stdout, or at a Unix socket
    #[command(args = unused(&["state_fd"]))]
    Rpc(rpc::Args),
    /// Serve a blind postbox
    #[command(args = no_session())]
    Postbox(postbox::Postbox),
    /// Write the tokens under which the next packets can be collected from a postbox
    Expect(expect::Args),
    /// Move a session away: write it as one line, and freeze it here
    Export(export::Args),
    /// Take an exported session from stdin
    Import(import::Args),
    /// Show what a stranger sees of packets: size, address, randomness
    #[command(args = no_session())]
    Inspect(inspect::Args),
    /// Make a recorded packet say something else, with its published MAC key
    #[command(args = no_session())]
    Forge(forge::Args),
    /// Make up a whole conversation, alone, that looks like a real one
    #[command(args = unused(&["session", "dir", "state_fd", "allow_disk", "lock_wait"]))]
    Simulate(simulate::Args),
    /// Show the sessions: how far they have come, what is missing, what endangers them
    Status(status::Args),
    /// Write the completions for a shell
    #[command(args = no_session())]
    Completions(completions::Args),
    /// Write the man pages
    #[command(args = no_session())]
    Man(man::Args),
    /// Take the whole tour: both ends run on this machine, and every step is shown
    #[command(args = unused(&["session", "state_fd", "lock_wait", "verbose"]))]
    Demo,
    /// Read a certificate for the postbox that started this process
    #[command(hide = true)]
    KeepCertificate(postbox::KeepCertificate),
    /// Hold the stdin of a command of 'recv --exec' open
    #[command(hide = true)]
    KeepHook(recv::KeepHook),
    /// Hold the calls of 'recv' that still wait when it ends
    #[command(hide = true)]
    KeepCalls(recv::KeepCalls),
    /// Write the names of the sessions, for the completions
    #[command(hide = true)]
    CompleteSessions(complete_sessions::Args),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::failure::Code;

    #[test]
    fn the_help_and_the_manual_list_the_same_codes() {
        let mut command = Cli::command();
        let help = command.render_long_help().to_string();
        for code in Code::ALL {
            assert!(help.contains(&format!("{:>2}  {}", code as u8, code.name())), "{code:?}");
        }
    }

    #[test]
    fn help_shows_the_options_that_a_command_uses() {
        let mut all = Cli::command();
        all.build();
        let help = |name: &str| {
            let command = all.find_subcommand(name).cloned();
            command.map(|mut command| command.render_long_help().to_string()).unwrap_or_default()
        };
        for (name, shown, hidden) in [
            ("recv", &["--session", "--dir", "--state-fd", "--lock-wait"][..], &[][..]),
            ("pipe", &["--session", "--dir"], &["--state-fd"]),
            (
                "postbox",
                &["--quiet", "--json"],
                &["--session", "--dir", "--state-fd", "--lock-wait"],
            ),
            ("inspect", &["--json"], &["--session", "--verbose"]),
            ("man", &["--quiet"], &["--session", "--dir"]),
        ] {
            let help = help(name);
            assert!(shown.iter().all(|option| help.contains(option)), "{help}");
            assert!(!hidden.iter().any(|option| help.contains(option)), "{help}");
        }
        // They are accepted nevertheless: an alias with -s serves for every command.
        let typed = ["otr", "-s", "alice", "man", "--lock-wait", "1s"];
        assert_eq!(Cli::parse_from(typed).common.session.as_str(), "alice");
    }

    #[test]
    fn codes_count_up_from_one() {
        let numbers: Vec<u8> = Code::ALL.iter().map(|&code| code as u8).collect();
        assert_eq!(numbers, (1..=15).collect::<Vec<u8>>());
    }
}
