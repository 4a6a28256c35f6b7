# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_otr_global_optspecs
    string join \n s/session= dir= state-fd= allow-disk lock-wait= q/quiet v/verbose json h/help V/version
end

function __fish_otr_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_otr_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_otr_using_subcommand
    set -l cmd (__fish_otr_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c otr -s s -l session -d 'Session to use: letters, digits, \'.\', \'_\', \'-\'; at most 64' -r -f -a "(otr complete-sessions -- (commandline -opc) 2>/dev/null)"
complete -c otr -n "__fish_otr_needs_command" -l dir -d 'Directory of the sessions; by default the first safe one in memory' -r -f -a "(__fish_complete_directories)"
complete -c otr -n "__fish_otr_needs_command" -l state-fd -d 'Keep no file: read the state from descriptor IN, and write each new one to OUT' -r
complete -c otr -n "__fish_otr_needs_command" -l lock-wait -d 'How long to wait while another otr holds the session' -r
complete -c otr -n "__fish_otr_needs_command" -l allow-disk -d 'Allow sessions on a disk, where wiping does not work; warns each time'
complete -c otr -n "__fish_otr_needs_command" -s q -l quiet -d 'Report only what went wrong'
complete -c otr -n "__fish_otr_needs_command" -s v -l verbose -d 'Report more details, but never a secret'
complete -c otr -n "__fish_otr_needs_command" -l json -d 'Write for programs: JSON on stdout where a command reports something, and on stderr'
complete -c otr -n "__fish_otr_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c otr -n "__fish_otr_needs_command" -s V -l version -d 'Print version'
complete -c otr -n "__fish_otr_needs_command" -f -a "put" -d 'Hand over a file, a directory or a text: print a code, and wait for \'otr get\''
complete -c otr -n "__fish_otr_needs_command" -f -a "get" -d 'Take what somebody hands over with \'otr put\', by its code'
complete -c otr -n "__fish_otr_needs_command" -f -a "chat" -d 'Talk at a terminal: both of you at once, by a code or in a session that is there'
complete -c otr -n "__fish_otr_needs_command" -f -a "init" -d 'Begin a session: write an invite'
complete -c otr -n "__fish_otr_needs_command" -f -a "respond" -d 'Answer an invite: read it, write a reply'
complete -c otr -n "__fish_otr_needs_command" -f -a "send" -d 'Send stdin as one message: write packets'
complete -c otr -n "__fish_otr_needs_command" -f -a "recv" -d 'Take packets, or the reply, from stdin: write what they say'
complete -c otr -n "__fish_otr_needs_command" -f -a "pipe" -d 'Carry bytes both ways, as they come: between two programs, connections or commands'
complete -c otr -n "__fish_otr_needs_command" -f -a "close" -d 'End a session: tell the other side, publish the MAC keys, wipe everything'
complete -c otr -n "__fish_otr_needs_command" -f -a "words" -d 'Show the four words to compare by voice, and record what you found'
complete -c otr -n "__fish_otr_needs_command" -f -a "verify" -d 'Compare a secret inside the session: ask, or answer'
complete -c otr -n "__fish_otr_needs_command" -f -a "rpc" -d 'Serve another program: JSON-RPC 2.0 on stdin and stdout, or at a Unix socket'
complete -c otr -n "__fish_otr_needs_command" -f -a "postbox" -d 'Serve a blind postbox'
complete -c otr -n "__fish_otr_needs_command" -f -a "expect" -d 'Write the tokens under which the next packets can be collected from a postbox'
complete -c otr -n "__fish_otr_needs_command" -f -a "export" -d 'Move a session away: write it as one line, and freeze it here'
complete -c otr -n "__fish_otr_needs_command" -f -a "import" -d 'Take an exported session from stdin'
complete -c otr -n "__fish_otr_needs_command" -f -a "inspect" -d 'Show what a stranger sees of packets: size, address, randomness'
complete -c otr -n "__fish_otr_needs_command" -f -a "forge" -d 'Make a recorded packet say something else, with its published MAC key'
complete -c otr -n "__fish_otr_needs_command" -f -a "simulate" -d 'Make up a whole conversation, alone, that looks like a real one'
complete -c otr -n "__fish_otr_needs_command" -f -a "status" -d 'Show the sessions: how far they have come, what is missing, what endangers them'
complete -c otr -n "__fish_otr_needs_command" -f -a "completions" -d 'Write the completions for a shell'
complete -c otr -n "__fish_otr_needs_command" -f -a "man" -d 'Write the man pages'
complete -c otr -n "__fish_otr_needs_command" -f -a "demo" -d 'Take the whole tour: both ends run on this machine, and every step is shown'
complete -c otr -n "__fish_otr_needs_command" -f -a "help" -d 'Show the help of a command'
complete -c otr -n "__fish_otr_using_subcommand put" -l text -d 'Hand over a text: TEXT, which others on this machine can see, or what is typed or comes on stdin' -r
complete -c otr -n "__fish_otr_using_subcommand put" -l postbox -d 'The postbox through which it goes' -r -f
complete -c otr -n "__fish_otr_using_subcommand put" -l post-secret -d 'The postbox takes packets only with the secret in FILE' -r -F
complete -c otr -n "__fish_otr_using_subcommand put" -l serve -d 'Open a postbox here, at ADDRESS:PORT, which the other person\'s machine can reach, and which ends with the transfer; port 0 is any that is free' -r
complete -c otr -n "__fish_otr_using_subcommand put" -l resume -d 'Go on with a transfer that was killed, of the same files; NUMBER is that of its code, if there are several' -r
complete -c otr -n "__fish_otr_using_subcommand put" -l proxy -d 'Call the postbox through this proxy, which also resolves its name: socks5h://HOST:PORT; with --tor, where Tor listens [default there: port 9050 of this machine, or 9150]' -r
complete -c otr -n "__fish_otr_using_subcommand put" -l ca-file -d 'Trust the certificates in FILE (PEM) instead of the usual authorities' -r -F
complete -c otr -n "__fish_otr_using_subcommand put" -s s -l session -d 'Session to use: letters, digits, \'.\', \'_\', \'-\'; at most 64' -r -f -a "(otr complete-sessions -- (commandline -opc) 2>/dev/null)"
complete -c otr -n "__fish_otr_using_subcommand put" -l state-fd -d 'Keep no file: read the state from descriptor IN, and write each new one to OUT' -r
complete -c otr -n "__fish_otr_using_subcommand put" -l dir -d 'Directory of the sessions; by default the first safe one in memory' -r -f -a "(__fish_complete_directories)"
complete -c otr -n "__fish_otr_using_subcommand put" -l lock-wait -d 'How long to wait while another otr holds the session' -r
complete -c otr -n "__fish_otr_using_subcommand put" -l qr -d 'Show the code as a QR code, too, at a terminal'
complete -c otr -n "__fish_otr_using_subcommand put" -l tor -d 'Call the postbox through Tor, for each packet by a circuit of its own and at a moment of its own [an .onion is always called so]'
complete -c otr -n "__fish_otr_using_subcommand put" -l plain-http -d 'Call a postbox on another machine by http://, where all on the way see what it sees'
complete -c otr -n "__fish_otr_using_subcommand put" -l allow-disk -d 'Allow sessions on a disk, where wiping does not work; warns each time'
complete -c otr -n "__fish_otr_using_subcommand put" -s q -l quiet -d 'Report only what went wrong'
complete -c otr -n "__fish_otr_using_subcommand put" -s v -l verbose -d 'Report more details, but never a secret'
complete -c otr -n "__fish_otr_using_subcommand put" -l json -d 'Write for programs: JSON on stdout where a command reports something, and on stderr'
complete -c otr -n "__fish_otr_using_subcommand put" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c otr -n "__fish_otr_using_subcommand get" -s o -l output -d 'Put it at PATH, or into PATH if that is a directory; \'-\' is stdout' -r -F
complete -c otr -n "__fish_otr_using_subcommand get" -l postbox -d 'The postbox of a code that names none [default: the usual one]' -r -f
complete -c otr -n "__fish_otr_using_subcommand get" -l proxy -d 'Call the postbox through this proxy, which also resolves its name: socks5h://HOST:PORT; with --tor, where Tor listens [default there: port 9050 of this machine, or 9150]' -r
complete -c otr -n "__fish_otr_using_subcommand get" -l ca-file -d 'Trust the certificates in FILE (PEM) instead of the usual authorities' -r -F
complete -c otr -n "__fish_otr_using_subcommand get" -s s -l session -d 'Session to use: letters, digits, \'.\', \'_\', \'-\'; at most 64' -r -f -a "(otr complete-sessions -- (commandline -opc) 2>/dev/null)"
complete -c otr -n "__fish_otr_using_subcommand get" -l state-fd -d 'Keep no file: read the state from descriptor IN, and write each new one to OUT' -r
complete -c otr -n "__fish_otr_using_subcommand get" -l dir -d 'Directory of the sessions; by default the first safe one in memory' -r -f -a "(__fish_complete_directories)"
complete -c otr -n "__fish_otr_using_subcommand get" -l lock-wait -d 'How long to wait while another otr holds the session' -r
complete -c otr -n "__fish_otr_using_subcommand get" -s y -l yes -d 'Take it without asking'
complete -c otr -n "__fish_otr_using_subcommand get" -l to-stdout -d 'Write it to stdout, a directory as a tar stream'
complete -c otr -n "__fish_otr_using_subcommand get" -l tor -d 'Call the postbox through Tor, for each packet by a circuit of its own and at a moment of its own [an .onion is always called so]'
complete -c otr -n "__fish_otr_using_subcommand get" -l plain-http -d 'Call a postbox on another machine by http://, where all on the way see what it sees'
complete -c otr -n "__fish_otr_using_subcommand get" -l allow-disk -d 'Allow sessions on a disk, where wiping does not work; warns each time'
complete -c otr -n "__fish_otr_using_subcommand get" -s q -l quiet -d 'Report only what went wrong'
complete -c otr -n "__fish_otr_using_subcommand get" -s v -l verbose -d 'Report more details, but never a secret'
complete -c otr -n "__fish_otr_using_subcommand get" -l json -d 'Write for programs: JSON on stdout where a command reports something, and on stderr'
complete -c otr -n "__fish_otr_using_subcommand get" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c otr -n "__fish_otr_using_subcommand chat" -l postbox -d 'Begin through the postbox at this https:// address, or unix: and the path of a socket' -r -f
complete -c otr -n "__fish_otr_using_subcommand chat" -l hold -d 'Post each message at a random moment within this time, so that it does not follow what was just read; until then it waits in the session. At the end of the chat it is waited for; Ctrl-C leaves it to the next command' -r
complete -c otr -n "__fish_otr_using_subcommand chat" -l cover -d 'Through Tor or a proxy: post packets that say nothing, at random moments so far apart in the mean, or constant=TIME, each after that time. What you enter takes the place of the next one, and has to fit into one packet' -r
complete -c otr -n "__fish_otr_using_subcommand chat" -l proxy -d 'Call the postbox through this proxy, which also resolves its name: socks5h://HOST:PORT; with --tor, where Tor listens [default there: port 9050 of this machine, or 9150]' -r
complete -c otr -n "__fish_otr_using_subcommand chat" -l ca-file -d 'Trust the certificates in FILE (PEM) instead of the usual authorities' -r -F
complete -c otr -n "__fish_otr_using_subcommand chat" -l state-fd -d 'Keep no file: read the state from descriptor IN, and write each new one to OUT' -r
complete -c otr -n "__fish_otr_using_subcommand chat" -s s -l session -d 'Session to use: letters, digits, \'.\', \'_\', \'-\'; at most 64' -r -f -a "(otr complete-sessions -- (commandline -opc) 2>/dev/null)"
complete -c otr -n "__fish_otr_using_subcommand chat" -l dir -d 'Directory of the sessions; by default the first safe one in memory' -r -f -a "(__fish_complete_directories)"
complete -c otr -n "__fish_otr_using_subcommand chat" -l lock-wait -d 'How long to wait while another otr holds the session' -r
complete -c otr -n "__fish_otr_using_subcommand chat" -l inline -d 'Leave the conversation in the terminal\'s scrollback, instead of a screen of its own'
complete -c otr -n "__fish_otr_using_subcommand chat" -l tor -d 'Call the postbox through Tor, for each packet by a circuit of its own and at a moment of its own [an .onion is always called so]'
complete -c otr -n "__fish_otr_using_subcommand chat" -l plain-http -d 'Call a postbox on another machine by http://, where all on the way see what it sees'
complete -c otr -n "__fish_otr_using_subcommand chat" -l json -d 'Write for programs: JSON on stdout where a command reports something, and on stderr'
complete -c otr -n "__fish_otr_using_subcommand chat" -l allow-disk -d 'Allow sessions on a disk, where wiping does not work; warns each time'
complete -c otr -n "__fish_otr_using_subcommand chat" -s q -l quiet -d 'Report only what went wrong'
complete -c otr -n "__fish_otr_using_subcommand chat" -s v -l verbose -d 'Report more details, but never a secret'
complete -c otr -n "__fish_otr_using_subcommand chat" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c otr -n "__fish_otr_using_subcommand init" -l expires -d 'Refuse replies to an invite that the other side read later than this' -r
complete -c otr -n "__fish_otr_using_subcommand init" -l postbox -d 'Hold the conversation through the postbox at this https:// address, or unix: and the path of a socket; --anew keeps the postbox of the replaced session, and \'\' means none; given up to eight times, through all of them: each packet lies in one, the next one\'s if that is away' -r -f
complete -c otr -n "__fish_otr_using_subcommand init" -l post-secret -d 'The postbox takes packets only with the secret in FILE: put it into the invite, so that the other side can post, too' -r -F
complete -c otr -n "__fish_otr_using_subcommand init" -l secret-file -d 'Secret in FILE, without the newline at its end' -r -F
complete -c otr -n "__fish_otr_using_subcommand init" -l secret-fd -d 'Secret on descriptor N, to its end, without the newline there' -r
complete -c otr -n "__fish_otr_using_subcommand init" -l proxy -d 'Call the postbox through this proxy, which also resolves its name: socks5h://HOST:PORT; with --tor, where Tor listens [default there: port 9050 of this machine, or 9150]' -r
complete -c otr -n "__fish_otr_using_subcommand init" -l ca-file -d 'Trust the certificates in FILE (PEM) instead of the usual authorities' -r -F
complete -c otr -n "__fish_otr_using_subcommand init" -l wrap -d 'Break lines after this many columns, at least 32 (for mail: 76)' -r
complete -c otr -n "__fish_otr_using_subcommand init" -s s -l session -d 'Session to use: letters, digits, \'.\', \'_\', \'-\'; at most 64' -r -f -a "(otr complete-sessions -- (commandline -opc) 2>/dev/null)"
complete -c otr -n "__fish_otr_using_subcommand init" -l dir -d 'Directory of the sessions; by default the first safe one in memory' -r -f -a "(__fish_complete_directories)"
complete -c otr -n "__fish_otr_using_subcommand init" -l state-fd -d 'Keep no file: read the state from descriptor IN, and write each new one to OUT' -r
complete -c otr -n "__fish_otr_using_subcommand init" -l lock-wait -d 'How long to wait while another otr holds the session' -r
complete -c otr -n "__fish_otr_using_subcommand init" -l code -d 'Put the invite into the postbox, and write a short code for it, which works once'
complete -c otr -n "__fish_otr_using_subcommand init" -l again -d 'Write the same invite once more, until it is answered'
complete -c otr -n "__fish_otr_using_subcommand init" -l ask-secret -d 'Ask on the terminal for a secret that both people know'
complete -c otr -n "__fish_otr_using_subcommand init" -l tor -d 'Call the postbox through Tor, for each packet by a circuit of its own and at a moment of its own [an .onion is always called so]'
complete -c otr -n "__fish_otr_using_subcommand init" -l plain-http -d 'Call a postbox on another machine by http://, where all on the way see what it sees'
complete -c otr -n "__fish_otr_using_subcommand init" -l anew -d 'Replace a session of this name: it is wiped, and nobody is told'
complete -c otr -n "__fish_otr_using_subcommand init" -l allow-disk -d 'Allow sessions on a disk, where wiping does not work; warns each time'
complete -c otr -n "__fish_otr_using_subcommand init" -s q -l quiet -d 'Report only what went wrong'
complete -c otr -n "__fish_otr_using_subcommand init" -s v -l verbose -d 'Report more details, but never a secret'
complete -c otr -n "__fish_otr_using_subcommand init" -l json -d 'Write for programs: JSON on stdout where a command reports something, and on stderr'
complete -c otr -n "__fish_otr_using_subcommand init" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c otr -n "__fish_otr_using_subcommand respond" -l postbox -d 'Post the reply to this postbox, which must be the one that the invite names (repeated: those)' -r -f
complete -c otr -n "__fish_otr_using_subcommand respond" -l code -d 'Fetch the invite by its code, and post the reply there; without CODE ask for it, with \'-\' read it from stdin' -r
complete -c otr -n "__fish_otr_using_subcommand respond" -l secret-file -d 'Secret in FILE, without the newline at its end' -r -F
complete -c otr -n "__fish_otr_using_subcommand respond" -l secret-fd -d 'Secret on descriptor N, to its end, without the newline there' -r
complete -c otr -n "__fish_otr_using_subcommand respond" -l proxy -d 'Call the postbox through this proxy, which also resolves its name: socks5h://HOST:PORT; with --tor, where Tor listens [default there: port 9050 of this machine, or 9150]' -r
complete -c otr -n "__fish_otr_using_subcommand respond" -l ca-file -d 'Trust the certificates in FILE (PEM) instead of the usual authorities' -r -F
complete -c otr -n "__fish_otr_using_subcommand respond" -l wrap -d 'Break lines after this many columns, at least 32 (for mail: 72)' -r
complete -c otr -n "__fish_otr_using_subcommand respond" -s s -l session -d 'Session to use: letters, digits, \'.\', \'_\', \'-\'; at most 64' -r -f -a "(otr complete-sessions -- (commandline -opc) 2>/dev/null)"
complete -c otr -n "__fish_otr_using_subcommand respond" -l dir -d 'Directory of the sessions; by default the first safe one in memory' -r -f -a "(__fish_complete_directories)"
complete -c otr -n "__fish_otr_using_subcommand respond" -l state-fd -d 'Keep no file: read the state from descriptor IN, and write each new one to OUT' -r
complete -c otr -n "__fish_otr_using_subcommand respond" -l lock-wait -d 'How long to wait while another otr holds the session' -r
complete -c otr -n "__fish_otr_using_subcommand respond" -l again -d 'Write the same reply once more, until the other side\'s first packet has arrived'
complete -c otr -n "__fish_otr_using_subcommand respond" -l anew -d 'Replace a session of this name: it is wiped, and nobody is told'
complete -c otr -n "__fish_otr_using_subcommand respond" -l yes -d 'Post the reply to any postbox that the invite names, without asking'
complete -c otr -n "__fish_otr_using_subcommand respond" -l stdout -d 'Write the reply to stdout even if the invite names a postbox, without calling it yet'
complete -c otr -n "__fish_otr_using_subcommand respond" -l ask-secret -d 'Ask on the terminal for a secret that both people know'
complete -c otr -n "__fish_otr_using_subcommand respond" -l tor -d 'Call the postbox through Tor, for each packet by a circuit of its own and at a moment of its own [an .onion is always called so]'
complete -c otr -n "__fish_otr_using_subcommand respond" -l plain-http -d 'Call a postbox on another machine by http://, where all on the way see what it sees'
complete -c otr -n "__fish_otr_using_subcommand respond" -l raw -d 'Write packets as bytes instead of lines of text'
complete -c otr -n "__fish_otr_using_subcommand respond" -l allow-disk -d 'Allow sessions on a disk, where wiping does not work; warns each time'
complete -c otr -n "__fish_otr_using_subcommand respond" -s q -l quiet -d 'Report only what went wrong'
complete -c otr -n "__fish_otr_using_subcommand respond" -s v -l verbose -d 'Report more details, but never a secret'
complete -c otr -n "__fish_otr_using_subcommand respond" -l json -d 'Write for programs: JSON on stdout where a command reports something, and on stderr'
complete -c otr -n "__fish_otr_using_subcommand respond" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c otr -n "__fish_otr_using_subcommand send" -l exec -d 'Send what CMD writes, and only if CMD ends with 0; stdin is not read' -r -f -a "(__fish_complete_command)"
complete -c otr -n "__fish_otr_using_subcommand send" -l size -d 'Pad to packets of at least this size, 4K to 1M' -r
complete -c otr -n "__fish_otr_using_subcommand send" -l wait -d 'With a postbox: how long to wait for the reply to the invite [default: 30s], and with --confirm for the other side [default: as long as the postbox keeps the message]' -r
complete -c otr -n "__fish_otr_using_subcommand send" -l retry -d 'With a postbox: how long to go on trying while it cannot be reached; 0s: some seconds' -r
complete -c otr -n "__fish_otr_using_subcommand send" -l hold -d 'With a postbox: post the message at a random moment within this time, so that it does not follow what was just read. Until then it is not in the session, and a signal drops it' -r
complete -c otr -n "__fish_otr_using_subcommand send" -l proxy -d 'Call the postbox through this proxy, which also resolves its name: socks5h://HOST:PORT; with --tor, where Tor listens [default there: port 9050 of this machine, or 9150]' -r
complete -c otr -n "__fish_otr_using_subcommand send" -l ca-file -d 'Trust the certificates in FILE (PEM) instead of the usual authorities' -r -F
complete -c otr -n "__fish_otr_using_subcommand send" -l wrap -d 'Break lines after this many columns, at least 32 (for mail: 72)' -r
complete -c otr -n "__fish_otr_using_subcommand send" -s s -l session -d 'Session to use: letters, digits, \'.\', \'_\', \'-\'; at most 64' -r -f -a "(otr complete-sessions -- (commandline -opc) 2>/dev/null)"
complete -c otr -n "__fish_otr_using_subcommand send" -l dir -d 'Directory of the sessions; by default the first safe one in memory' -r -f -a "(__fish_complete_directories)"
complete -c otr -n "__fish_otr_using_subcommand send" -l state-fd -d 'Keep no file: read the state from descriptor IN, and write each new one to OUT' -r
complete -c otr -n "__fish_otr_using_subcommand send" -l lock-wait -d 'How long to wait while another otr holds the session' -r
complete -c otr -n "__fish_otr_using_subcommand send" -l lines -d 'Every line is a message of its own, sent as it comes'
complete -c otr -n "__fish_otr_using_subcommand send" -l last -d 'Write the last packets once more, the same bytes: of a short message, or of \'verify\''
complete -c otr -n "__fish_otr_using_subcommand send" -l no-keys -d 'Publish no MAC keys with these packets; they wait'
complete -c otr -n "__fish_otr_using_subcommand send" -l stdout -d 'Write the packets to stdout even if the session has a postbox; no call is made'
complete -c otr -n "__fish_otr_using_subcommand send" -l confirm -d 'With a postbox: end only when the other side has opened the message, which it shows with the MAC key that it publishes. Says 6 if the message was lost, 8 if --wait is over. Through Tor the other side then discards it within ten seconds instead of a minute, and its recv ends as much later: the postbox sees more closely when it was read, but not by whom'
complete -c otr -n "__fish_otr_using_subcommand send" -l later -d 'With a postbox: leave the message in the session, and call nobody: the next command posts it, or a \'recv --follow\' that runs through Tor or a proxy, at a moment of its own. It has to fit into one packet'
complete -c otr -n "__fish_otr_using_subcommand send" -l tor -d 'Call the postbox through Tor, for each packet by a circuit of its own and at a moment of its own [an .onion is always called so]'
complete -c otr -n "__fish_otr_using_subcommand send" -l plain-http -d 'Call a postbox on another machine by http://, where all on the way see what it sees'
complete -c otr -n "__fish_otr_using_subcommand send" -l raw -d 'Write packets as bytes instead of lines of text'
complete -c otr -n "__fish_otr_using_subcommand send" -l allow-disk -d 'Allow sessions on a disk, where wiping does not work; warns each time'
complete -c otr -n "__fish_otr_using_subcommand send" -s q -l quiet -d 'Report only what went wrong'
complete -c otr -n "__fish_otr_using_subcommand send" -s v -l verbose -d 'Report more details, but never a secret'
complete -c otr -n "__fish_otr_using_subcommand send" -l json -d 'Write for programs: JSON on stdout where a command reports something, and on stderr'
complete -c otr -n "__fish_otr_using_subcommand send" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c otr -n "__fish_otr_using_subcommand recv" -s o -l output -d 'Put the message into FILE, which appears only when the message is complete' -r -F
complete -c otr -n "__fish_otr_using_subcommand recv" -l exec -d 'Give each message to CMD on stdin; CMD\'s exit code says whether it is taken' -r -f -a "(__fish_complete_command)"
complete -c otr -n "__fish_otr_using_subcommand recv" -l reveal -d 'Put the MAC keys to be published into FILE, at its end, instead of keeping them for \'send\'' -r -F
complete -c otr -n "__fish_otr_using_subcommand recv" -l wait -d 'With a postbox: wait no longer than this for something to come' -r
complete -c otr -n "__fish_otr_using_subcommand recv" -l cover -d 'With --follow, through Tor or a proxy: also post packets that say nothing, at random moments so far apart in the mean, or constant=TIME, each after that time. What \'send --later\' leaves in the session takes the place of the next one' -r
complete -c otr -n "__fish_otr_using_subcommand recv" -l count -d 'With a postbox: take this many messages [default: 1]' -r
complete -c otr -n "__fish_otr_using_subcommand recv" -l proxy -d 'Call the postbox through this proxy, which also resolves its name: socks5h://HOST:PORT; with --tor, where Tor listens [default there: port 9050 of this machine, or 9150]' -r
complete -c otr -n "__fish_otr_using_subcommand recv" -l ca-file -d 'Trust the certificates in FILE (PEM) instead of the usual authorities' -r -F
complete -c otr -n "__fish_otr_using_subcommand recv" -l look-ahead -d 'Expect packets up to this many numbers ahead' -r
complete -c otr -n "__fish_otr_using_subcommand recv" -s s -l session -d 'Session to use: letters, digits, \'.\', \'_\', \'-\'; at most 64' -r -f -a "(otr complete-sessions -- (commandline -opc) 2>/dev/null)"
complete -c otr -n "__fish_otr_using_subcommand recv" -l dir -d 'Directory of the sessions; by default the first safe one in memory' -r -f -a "(__fish_complete_directories)"
complete -c otr -n "__fish_otr_using_subcommand recv" -l state-fd -d 'Keep no file: read the state from descriptor IN, and write each new one to OUT' -r
complete -c otr -n "__fish_otr_using_subcommand recv" -l lock-wait -d 'How long to wait while another otr holds the session' -r
complete -c otr -n "__fish_otr_using_subcommand recv" -l force -d 'Let --output replace a file that is there'
complete -c otr -n "__fish_otr_using_subcommand recv" -l null -d 'Write a NUL byte after each message'
complete -c otr -n "__fish_otr_using_subcommand recv" -l strict -d 'Refuse input with anything but our lines in it'
complete -c otr -n "__fish_otr_using_subcommand recv" -l stdin -d 'Read stdin even if the session has a postbox; no call is made'
complete -c otr -n "__fish_otr_using_subcommand recv" -l all -d 'With a postbox: take all that is there, and wait for nothing'
complete -c otr -n "__fish_otr_using_subcommand recv" -l follow -d 'With a postbox: take message after message, until the other side closes'
complete -c otr -n "__fish_otr_using_subcommand recv" -l tor -d 'Call the postbox through Tor, for each packet by a circuit of its own and at a moment of its own [an .onion is always called so]'
complete -c otr -n "__fish_otr_using_subcommand recv" -l plain-http -d 'Call a postbox on another machine by http://, where all on the way see what it sees'
complete -c otr -n "__fish_otr_using_subcommand recv" -l allow-disk -d 'Allow sessions on a disk, where wiping does not work; warns each time'
complete -c otr -n "__fish_otr_using_subcommand recv" -s q -l quiet -d 'Report only what went wrong'
complete -c otr -n "__fish_otr_using_subcommand recv" -s v -l verbose -d 'Report more details, but never a secret'
complete -c otr -n "__fish_otr_using_subcommand recv" -l json -d 'Write for programs: JSON on stdout where a command reports something, and on stderr'
complete -c otr -n "__fish_otr_using_subcommand recv" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c otr -n "__fish_otr_using_subcommand pipe" -l listen -d 'Accept connections at ADDR: each one becomes a stream of its own' -r
complete -c otr -n "__fish_otr_using_subcommand pipe" -l connect -d 'Connect to ADDR for each stream that the other side opens' -r
complete -c otr -n "__fish_otr_using_subcommand pipe" -l exec -d 'Run CMD (by sh -c) for each stream that the other side opens, with its stdin and stdout' -r -f -a "(__fish_complete_command)"
complete -c otr -n "__fish_otr_using_subcommand pipe" -l via -d 'Without any postbox: run CMD (by sh -c), which carries the packets from its stdin to an \'otr pipe --stdio\' and back; without a session, begin one' -r -f -a "(__fish_complete_command)"
complete -c otr -n "__fish_otr_using_subcommand pipe" -l wait -d 'Give up if the other side is not there within this time, or is silent for so long although something is on its way to it' -r
complete -c otr -n "__fish_otr_using_subcommand pipe" -l secret-file -d 'Secret in FILE, without the newline at its end' -r -F
complete -c otr -n "__fish_otr_using_subcommand pipe" -l secret-fd -d 'Secret on descriptor N, to its end, without the newline there' -r
complete -c otr -n "__fish_otr_using_subcommand pipe" -l proxy -d 'Call the postbox through this proxy, which also resolves its name: socks5h://HOST:PORT; with --tor, where Tor listens [default there: port 9050 of this machine, or 9150]' -r
complete -c otr -n "__fish_otr_using_subcommand pipe" -l ca-file -d 'Trust the certificates in FILE (PEM) instead of the usual authorities' -r -F
complete -c otr -n "__fish_otr_using_subcommand pipe" -l state-fd -d 'Keep no file: read the state from descriptor IN, and write each new one to OUT' -r
complete -c otr -n "__fish_otr_using_subcommand pipe" -s s -l session -d 'Session to use: letters, digits, \'.\', \'_\', \'-\'; at most 64' -r -f -a "(otr complete-sessions -- (commandline -opc) 2>/dev/null)"
complete -c otr -n "__fish_otr_using_subcommand pipe" -l dir -d 'Directory of the sessions; by default the first safe one in memory' -r -f -a "(__fish_complete_directories)"
complete -c otr -n "__fish_otr_using_subcommand pipe" -l lock-wait -d 'How long to wait while another otr holds the session' -r
complete -c otr -n "__fish_otr_using_subcommand pipe" -s k -l keep-open -d 'When the other side\'s pipe has ended, go on with its next one'
complete -c otr -n "__fish_otr_using_subcommand pipe" -l stdio -d 'Be the other end of --via: stdin and stdout carry packets'
complete -c otr -n "__fish_otr_using_subcommand pipe" -l ask-secret -d 'Ask on the terminal for a secret that both people know'
complete -c otr -n "__fish_otr_using_subcommand pipe" -l tor -d 'Call the postbox through Tor, for each packet by a circuit of its own and at a moment of its own [an .onion is always called so]'
complete -c otr -n "__fish_otr_using_subcommand pipe" -l plain-http -d 'Call a postbox on another machine by http://, where all on the way see what it sees'
complete -c otr -n "__fish_otr_using_subcommand pipe" -l allow-disk -d 'Allow sessions on a disk, where wiping does not work; warns each time'
complete -c otr -n "__fish_otr_using_subcommand pipe" -s q -l quiet -d 'Report only what went wrong'
complete -c otr -n "__fish_otr_using_subcommand pipe" -s v -l verbose -d 'Report more details, but never a secret'
complete -c otr -n "__fish_otr_using_subcommand pipe" -l json -d 'Write for programs: JSON on stdout where a command reports something, and on stderr'
complete -c otr -n "__fish_otr_using_subcommand pipe" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c otr -n "__fish_otr_using_subcommand close" -l proxy -d 'Call the postbox through this proxy, which also resolves its name: socks5h://HOST:PORT; with --tor, where Tor listens [default there: port 9050 of this machine, or 9150]' -r
complete -c otr -n "__fish_otr_using_subcommand close" -l ca-file -d 'Trust the certificates in FILE (PEM) instead of the usual authorities' -r -F
complete -c otr -n "__fish_otr_using_subcommand close" -l wrap -d 'Break lines after this many columns, at least 32 (for mail: 72)' -r
complete -c otr -n "__fish_otr_using_subcommand close" -s s -l session -d 'Session to use: letters, digits, \'.\', \'_\', \'-\'; at most 64' -r -f -a "(otr complete-sessions -- (commandline -opc) 2>/dev/null)"
complete -c otr -n "__fish_otr_using_subcommand close" -l dir -d 'Directory of the sessions; by default the first safe one in memory' -r -f -a "(__fish_complete_directories)"
complete -c otr -n "__fish_otr_using_subcommand close" -l state-fd -d 'Keep no file: read the state from descriptor IN, and write each new one to OUT' -r
complete -c otr -n "__fish_otr_using_subcommand close" -l lock-wait -d 'How long to wait while another otr holds the session' -r
complete -c otr -n "__fish_otr_using_subcommand close" -l silent -d 'Only wipe: tell nobody and publish nothing'
complete -c otr -n "__fish_otr_using_subcommand close" -l all -d 'Wipe every session at once, telling nobody'
complete -c otr -n "__fish_otr_using_subcommand close" -l stdout -d 'Write the last packets to stdout even if the session has a postbox, without calling it'
complete -c otr -n "__fish_otr_using_subcommand close" -l now -d 'Through Tor or a proxy, make the last calls all at once, which shows that they belong together'
complete -c otr -n "__fish_otr_using_subcommand close" -l tor -d 'Call the postbox through Tor, for each packet by a circuit of its own and at a moment of its own [an .onion is always called so]'
complete -c otr -n "__fish_otr_using_subcommand close" -l plain-http -d 'Call a postbox on another machine by http://, where all on the way see what it sees'
complete -c otr -n "__fish_otr_using_subcommand close" -l raw -d 'Write packets as bytes instead of lines of text'
complete -c otr -n "__fish_otr_using_subcommand close" -l allow-disk -d 'Allow sessions on a disk, where wiping does not work; warns each time'
complete -c otr -n "__fish_otr_using_subcommand close" -s q -l quiet -d 'Report only what went wrong'
complete -c otr -n "__fish_otr_using_subcommand close" -s v -l verbose -d 'Report more details, but never a secret'
complete -c otr -n "__fish_otr_using_subcommand close" -l json -d 'Write for programs: JSON on stdout where a command reports something, and on stderr'
complete -c otr -n "__fish_otr_using_subcommand close" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c otr -n "__fish_otr_using_subcommand words" -l proxy -d 'Call the postbox through this proxy, which also resolves its name: socks5h://HOST:PORT; with --tor, where Tor listens [default there: port 9050 of this machine, or 9150]' -r
complete -c otr -n "__fish_otr_using_subcommand words" -l ca-file -d 'Trust the certificates in FILE (PEM) instead of the usual authorities' -r -F
complete -c otr -n "__fish_otr_using_subcommand words" -l wrap -d 'Break lines after this many columns, at least 32 (for mail: 72)' -r
complete -c otr -n "__fish_otr_using_subcommand words" -s s -l session -d 'Session to use: letters, digits, \'.\', \'_\', \'-\'; at most 64' -r -f -a "(otr complete-sessions -- (commandline -opc) 2>/dev/null)"
complete -c otr -n "__fish_otr_using_subcommand words" -l dir -d 'Directory of the sessions; by default the first safe one in memory' -r -f -a "(__fish_complete_directories)"
complete -c otr -n "__fish_otr_using_subcommand words" -l state-fd -d 'Keep no file: read the state from descriptor IN, and write each new one to OUT' -r
complete -c otr -n "__fish_otr_using_subcommand words" -l lock-wait -d 'How long to wait while another otr holds the session' -r
complete -c otr -n "__fish_otr_using_subcommand words" -l same -d 'Record that the other person has the same words'
complete -c otr -n "__fish_otr_using_subcommand words" -l differ -d 'The other person has other words: end the session, tell the other side, wipe everything'
complete -c otr -n "__fish_otr_using_subcommand words" -l stdout -d 'Write the last packets to stdout even if the session has a postbox, without calling it'
complete -c otr -n "__fish_otr_using_subcommand words" -l now -d 'Through Tor or a proxy, make the last calls all at once, which shows that they belong together'
complete -c otr -n "__fish_otr_using_subcommand words" -l tor -d 'Call the postbox through Tor, for each packet by a circuit of its own and at a moment of its own [an .onion is always called so]'
complete -c otr -n "__fish_otr_using_subcommand words" -l plain-http -d 'Call a postbox on another machine by http://, where all on the way see what it sees'
complete -c otr -n "__fish_otr_using_subcommand words" -l raw -d 'Write packets as bytes instead of lines of text'
complete -c otr -n "__fish_otr_using_subcommand words" -l allow-disk -d 'Allow sessions on a disk, where wiping does not work; warns each time'
complete -c otr -n "__fish_otr_using_subcommand words" -s q -l quiet -d 'Report only what went wrong'
complete -c otr -n "__fish_otr_using_subcommand words" -s v -l verbose -d 'Report more details, but never a secret'
complete -c otr -n "__fish_otr_using_subcommand words" -l json -d 'Write for programs: JSON on stdout where a command reports something, and on stderr'
complete -c otr -n "__fish_otr_using_subcommand words" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c otr -n "__fish_otr_using_subcommand verify" -l question -d 'Show the other side this question, such as \'what did we eat in Rome\'; it is not secret' -r
complete -c otr -n "__fish_otr_using_subcommand verify" -l secret-file -d 'Secret in FILE, without the newline at its end' -r -F
complete -c otr -n "__fish_otr_using_subcommand verify" -l secret-fd -d 'Secret on descriptor N, to its end, without the newline there' -r
complete -c otr -n "__fish_otr_using_subcommand verify" -l proxy -d 'Call the postbox through this proxy, which also resolves its name: socks5h://HOST:PORT; with --tor, where Tor listens [default there: port 9050 of this machine, or 9150]' -r
complete -c otr -n "__fish_otr_using_subcommand verify" -l ca-file -d 'Trust the certificates in FILE (PEM) instead of the usual authorities' -r -F
complete -c otr -n "__fish_otr_using_subcommand verify" -l wrap -d 'Break lines after this many columns, at least 32 (for mail: 72)' -r
complete -c otr -n "__fish_otr_using_subcommand verify" -s s -l session -d 'Session to use: letters, digits, \'.\', \'_\', \'-\'; at most 64' -r -f -a "(otr complete-sessions -- (commandline -opc) 2>/dev/null)"
complete -c otr -n "__fish_otr_using_subcommand verify" -l dir -d 'Directory of the sessions; by default the first safe one in memory' -r -f -a "(__fish_complete_directories)"
complete -c otr -n "__fish_otr_using_subcommand verify" -l state-fd -d 'Keep no file: read the state from descriptor IN, and write each new one to OUT' -r
complete -c otr -n "__fish_otr_using_subcommand verify" -l lock-wait -d 'How long to wait while another otr holds the session' -r
complete -c otr -n "__fish_otr_using_subcommand verify" -l stdout -d 'Write the packet to stdout even if the session has a postbox, without calling it'
complete -c otr -n "__fish_otr_using_subcommand verify" -l tor -d 'Call the postbox through Tor, for each packet by a circuit of its own and at a moment of its own [an .onion is always called so]'
complete -c otr -n "__fish_otr_using_subcommand verify" -l plain-http -d 'Call a postbox on another machine by http://, where all on the way see what it sees'
complete -c otr -n "__fish_otr_using_subcommand verify" -l raw -d 'Write packets as bytes instead of lines of text'
complete -c otr -n "__fish_otr_using_subcommand verify" -l allow-disk -d 'Allow sessions on a disk, where wiping does not work; warns each time'
complete -c otr -n "__fish_otr_using_subcommand verify" -s q -l quiet -d 'Report only what went wrong'
complete -c otr -n "__fish_otr_using_subcommand verify" -s v -l verbose -d 'Report more details, but never a secret'
complete -c otr -n "__fish_otr_using_subcommand verify" -l json -d 'Write for programs: JSON on stdout where a command reports something, and on stderr'
complete -c otr -n "__fish_otr_using_subcommand verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c otr -n "__fish_otr_using_subcommand rpc" -l socket -d 'Listen at a Unix socket instead, which only you can use; several programs at once' -r -F
complete -c otr -n "__fish_otr_using_subcommand rpc" -l proxy -d 'Call the postbox through this proxy, which also resolves its name: socks5h://HOST:PORT; with --tor, where Tor listens [default there: port 9050 of this machine, or 9150]' -r
complete -c otr -n "__fish_otr_using_subcommand rpc" -l ca-file -d 'Trust the certificates in FILE (PEM) instead of the usual authorities' -r -F
complete -c otr -n "__fish_otr_using_subcommand rpc" -l state-fd -d 'Keep no file: read the state from descriptor IN, and write each new one to OUT' -r
complete -c otr -n "__fish_otr_using_subcommand rpc" -s s -l session -d 'Session to use: letters, digits, \'.\', \'_\', \'-\'; at most 64' -r -f -a "(otr complete-sessions -- (commandline -opc) 2>/dev/null)"
complete -c otr -n "__fish_otr_using_subcommand rpc" -l dir -d 'Directory of the sessions; by default the first safe one in memory' -r -f -a "(__fish_complete_directories)"
complete -c otr -n "__fish_otr_using_subcommand rpc" -l lock-wait -d 'How long to wait while another otr holds the session' -r
complete -c otr -n "__fish_otr_using_subcommand rpc" -l tor -d 'Call the postbox through Tor, for each packet by a circuit of its own and at a moment of its own [an .onion is always called so]'
complete -c otr -n "__fish_otr_using_subcommand rpc" -l plain-http -d 'Call a postbox on another machine by http://, where all on the way see what it sees'
complete -c otr -n "__fish_otr_using_subcommand rpc" -l allow-disk -d 'Allow sessions on a disk, where wiping does not work; warns each time'
complete -c otr -n "__fish_otr_using_subcommand rpc" -s q -l quiet -d 'Report only what went wrong'
complete -c otr -n "__fish_otr_using_subcommand rpc" -s v -l verbose -d 'Report more details, but never a secret'
complete -c otr -n "__fish_otr_using_subcommand rpc" -l json -d 'Write for programs: JSON on stdout where a command reports something, and on stderr'
complete -c otr -n "__fish_otr_using_subcommand rpc" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c otr -n "__fish_otr_using_subcommand postbox" -l listen -d 'Where to listen: ADDRESS:PORT or unix:PATH; again for more [default: 127.0.0.1:7363, or what systemd hands over]' -r
complete -c otr -n "__fish_otr_using_subcommand postbox" -l ttl -d 'How long a packet that nobody discards is kept' -r
complete -c otr -n "__fish_otr_using_subcommand postbox" -l memory -d 'The memory cap, for packets, calls and connections together; what would pass it is refused' -r
complete -c otr -n "__fish_otr_using_subcommand postbox" -l max-packet -d 'The largest packet that is taken' -r
complete -c otr -n "__fish_otr_using_subcommand postbox" -l work -d 'The most work that a post has to show where the postbox is crowded, in zero bits; each doubles it, and 0 asks for none' -r
complete -c otr -n "__fish_otr_using_subcommand postbox" -l post-secret -d 'Takes packets from those alone who have the secret in FILE, which \'otr init --post-secret\' puts into the invite; anyone with a packet\'s token collects it without' -r -F
complete -c otr -n "__fish_otr_using_subcommand postbox" -l tls-cert -d 'Certificate chain for TLS (PEM); read again at SIGHUP, with the key' -r -F
complete -c otr -n "__fish_otr_using_subcommand postbox" -l tls-key -d 'Private key for TLS (PEM)' -r -F
complete -c otr -n "__fish_otr_using_subcommand postbox" -l admin -d 'Serves /healthz and /metrics (totals only) here and nowhere else: ADDRESS:PORT or unix:PATH' -r
complete -c otr -n "__fish_otr_using_subcommand postbox" -l store -d 'Holds packets in this Redis or Valkey, which other postboxes may share, instead of its own memory: redis://HOST:PORT, redis+cluster://HOST:PORT,… or redis+sentinel://HOST:PORT,…/MASTER; rediss for TLS' -r
complete -c otr -n "__fish_otr_using_subcommand postbox" -l store-secret -d 'The secret of all postboxes with this store, 32 bytes that nobody else may read' -r -F
complete -c otr -n "__fish_otr_using_subcommand postbox" -l store-password-file -d 'The store\'s password, if it is not in `OTR_STORE`' -r -F
complete -c otr -n "__fish_otr_using_subcommand postbox" -l store-ca -d 'Certificates to trust for the store\'s TLS (PEM)' -r -F
complete -c otr -n "__fish_otr_using_subcommand postbox" -l replicas -d 'Says that a packet is stored when this many of the store\'s replicas have it, too' -r
complete -c otr -n "__fish_otr_using_subcommand postbox" -l with-parent -d 'End with the process of this number, which started this one' -r
complete -c otr -n "__fish_otr_using_subcommand postbox" -s s -l session -d 'Session to use: letters, digits, \'.\', \'_\', \'-\'; at most 64' -r -f -a "(otr complete-sessions -- (commandline -opc) 2>/dev/null)"
complete -c otr -n "__fish_otr_using_subcommand postbox" -l dir -d 'Directory of the sessions; by default the first safe one in memory' -r -f -a "(__fish_complete_directories)"
complete -c otr -n "__fish_otr_using_subcommand postbox" -l state-fd -d 'Keep no file: read the state from descriptor IN, and write each new one to OUT' -r
complete -c otr -n "__fish_otr_using_subcommand postbox" -l lock-wait -d 'How long to wait while another otr holds the session' -r
complete -c otr -n "__fish_otr_using_subcommand postbox" -l allow-persistence -d 'Takes a store that writes packets to a disk'
complete -c otr -n "__fish_otr_using_subcommand postbox" -l require-confinement -d 'Fails where the kernel has no Landlock or no seccomp'
complete -c otr -n "__fish_otr_using_subcommand postbox" -l show-confinement -d 'Shuts itself in, tries to write, read, run and connect, prints what came of it, and exits'
complete -c otr -n "__fish_otr_using_subcommand postbox" -l allow-disk -d 'Allow sessions on a disk, where wiping does not work; warns each time'
complete -c otr -n "__fish_otr_using_subcommand postbox" -s v -l verbose -d 'Report more details, but never a secret'
complete -c otr -n "__fish_otr_using_subcommand postbox" -s q -l quiet -d 'Report only what went wrong'
complete -c otr -n "__fish_otr_using_subcommand postbox" -l json -d 'Write for programs: JSON on stdout where a command reports something, and on stderr'
complete -c otr -n "__fish_otr_using_subcommand postbox" -s h -l help -d 'Print help'
complete -c otr -n "__fish_otr_using_subcommand expect" -l count -d 'Write tokens for this many packets ahead' -r
complete -c otr -n "__fish_otr_using_subcommand expect" -s s -l session -d 'Session to use: letters, digits, \'.\', \'_\', \'-\'; at most 64' -r -f -a "(otr complete-sessions -- (commandline -opc) 2>/dev/null)"
complete -c otr -n "__fish_otr_using_subcommand expect" -l dir -d 'Directory of the sessions; by default the first safe one in memory' -r -f -a "(__fish_complete_directories)"
complete -c otr -n "__fish_otr_using_subcommand expect" -l state-fd -d 'Keep no file: read the state from descriptor IN, and write each new one to OUT' -r
complete -c otr -n "__fish_otr_using_subcommand expect" -l lock-wait -d 'How long to wait while another otr holds the session' -r
complete -c otr -n "__fish_otr_using_subcommand expect" -l spent -d 'Write what may be discarded by now, with the MAC keys to be published: token, packet hash and key, 96 bytes each'
complete -c otr -n "__fish_otr_using_subcommand expect" -l raw -d 'Write bytes instead of lines of base64url'
complete -c otr -n "__fish_otr_using_subcommand expect" -l allow-disk -d 'Allow sessions on a disk, where wiping does not work; warns each time'
complete -c otr -n "__fish_otr_using_subcommand expect" -s q -l quiet -d 'Report only what went wrong'
complete -c otr -n "__fish_otr_using_subcommand expect" -s v -l verbose -d 'Report more details, but never a secret'
complete -c otr -n "__fish_otr_using_subcommand expect" -l json -d 'Write for programs: JSON on stdout where a command reports something, and on stderr'
complete -c otr -n "__fish_otr_using_subcommand expect" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c otr -n "__fish_otr_using_subcommand export" -l passphrase-file -d 'Passphrase in FILE, without the newline at its end' -r -F
complete -c otr -n "__fish_otr_using_subcommand export" -l passphrase-fd -d 'Passphrase on descriptor N, to its end, without the newline there' -r
complete -c otr -n "__fish_otr_using_subcommand export" -s s -l session -d 'Session to use: letters, digits, \'.\', \'_\', \'-\'; at most 64' -r -f -a "(otr complete-sessions -- (commandline -opc) 2>/dev/null)"
complete -c otr -n "__fish_otr_using_subcommand export" -l dir -d 'Directory of the sessions; by default the first safe one in memory' -r -f -a "(__fish_complete_directories)"
complete -c otr -n "__fish_otr_using_subcommand export" -l state-fd -d 'Keep no file: read the state from descriptor IN, and write each new one to OUT' -r
complete -c otr -n "__fish_otr_using_subcommand export" -l lock-wait -d 'How long to wait while another otr holds the session' -r
complete -c otr -n "__fish_otr_using_subcommand export" -l forget -d 'Wipe the session here, after the import has worked'
complete -c otr -n "__fish_otr_using_subcommand export" -l undo -d 'Use the session here again; then the exported copy must never be used'
complete -c otr -n "__fish_otr_using_subcommand export" -l ask-passphrase -d 'Ask for the passphrase on the terminal'
complete -c otr -n "__fish_otr_using_subcommand export" -l allow-disk -d 'Allow sessions on a disk, where wiping does not work; warns each time'
complete -c otr -n "__fish_otr_using_subcommand export" -s q -l quiet -d 'Report only what went wrong'
complete -c otr -n "__fish_otr_using_subcommand export" -s v -l verbose -d 'Report more details, but never a secret'
complete -c otr -n "__fish_otr_using_subcommand export" -l json -d 'Write for programs: JSON on stdout where a command reports something, and on stderr'
complete -c otr -n "__fish_otr_using_subcommand export" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c otr -n "__fish_otr_using_subcommand import" -l passphrase-file -d 'Passphrase in FILE, without the newline at its end' -r -F
complete -c otr -n "__fish_otr_using_subcommand import" -l passphrase-fd -d 'Passphrase on descriptor N, to its end, without the newline there' -r
complete -c otr -n "__fish_otr_using_subcommand import" -s s -l session -d 'Session to use: letters, digits, \'.\', \'_\', \'-\'; at most 64' -r -f -a "(otr complete-sessions -- (commandline -opc) 2>/dev/null)"
complete -c otr -n "__fish_otr_using_subcommand import" -l dir -d 'Directory of the sessions; by default the first safe one in memory' -r -f -a "(__fish_complete_directories)"
complete -c otr -n "__fish_otr_using_subcommand import" -l state-fd -d 'Keep no file: read the state from descriptor IN, and write each new one to OUT' -r
complete -c otr -n "__fish_otr_using_subcommand import" -l lock-wait -d 'How long to wait while another otr holds the session' -r
complete -c otr -n "__fish_otr_using_subcommand import" -l ask-passphrase -d 'Ask for the passphrase on the terminal'
complete -c otr -n "__fish_otr_using_subcommand import" -l allow-disk -d 'Allow sessions on a disk, where wiping does not work; warns each time'
complete -c otr -n "__fish_otr_using_subcommand import" -s q -l quiet -d 'Report only what went wrong'
complete -c otr -n "__fish_otr_using_subcommand import" -s v -l verbose -d 'Report more details, but never a secret'
complete -c otr -n "__fish_otr_using_subcommand import" -l json -d 'Write for programs: JSON on stdout where a command reports something, and on stderr'
complete -c otr -n "__fish_otr_using_subcommand import" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c otr -n "__fish_otr_using_subcommand inspect" -l keys -d 'Show which packets are verified by published MAC keys, those of the capture and of KEYS' -r -F
complete -c otr -n "__fish_otr_using_subcommand inspect" -l postbox -d 'Like --keys, also with the keys that the postbox at this address has for these packets' -r -f
complete -c otr -n "__fish_otr_using_subcommand inspect" -l proxy -d 'Call the postbox through this proxy, which also resolves its name: socks5h://HOST:PORT; with --tor, where Tor listens [default there: port 9050 of this machine, or 9150]' -r
complete -c otr -n "__fish_otr_using_subcommand inspect" -l ca-file -d 'Trust the certificates in FILE (PEM) instead of the usual authorities' -r -F
complete -c otr -n "__fish_otr_using_subcommand inspect" -s s -l session -d 'Session to use: letters, digits, \'.\', \'_\', \'-\'; at most 64' -r -f -a "(otr complete-sessions -- (commandline -opc) 2>/dev/null)"
complete -c otr -n "__fish_otr_using_subcommand inspect" -l dir -d 'Directory of the sessions; by default the first safe one in memory' -r -f -a "(__fish_complete_directories)"
complete -c otr -n "__fish_otr_using_subcommand inspect" -l state-fd -d 'Keep no file: read the state from descriptor IN, and write each new one to OUT' -r
complete -c otr -n "__fish_otr_using_subcommand inspect" -l lock-wait -d 'How long to wait while another otr holds the session' -r
complete -c otr -n "__fish_otr_using_subcommand inspect" -l tor -d 'Call the postbox through Tor, for each packet by a circuit of its own and at a moment of its own [an .onion is always called so]'
complete -c otr -n "__fish_otr_using_subcommand inspect" -l plain-http -d 'Call a postbox on another machine by http://, where all on the way see what it sees'
complete -c otr -n "__fish_otr_using_subcommand inspect" -l allow-disk -d 'Allow sessions on a disk, where wiping does not work; warns each time'
complete -c otr -n "__fish_otr_using_subcommand inspect" -s v -l verbose -d 'Report more details, but never a secret'
complete -c otr -n "__fish_otr_using_subcommand inspect" -s q -l quiet -d 'Report only what went wrong'
complete -c otr -n "__fish_otr_using_subcommand inspect" -l json -d 'Write for programs: JSON on stdout where a command reports something, and on stderr'
complete -c otr -n "__fish_otr_using_subcommand inspect" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c otr -n "__fish_otr_using_subcommand forge" -l was -d 'What the packet said: all of its text, or the beginning' -r
complete -c otr -n "__fish_otr_using_subcommand forge" -l was-file -d 'The same, from a file' -r -F
complete -c otr -n "__fish_otr_using_subcommand forge" -l says -d 'What it should say: equally long, or shorter, to be filled with spaces' -r
complete -c otr -n "__fish_otr_using_subcommand forge" -l says-file -d 'The same, from a file' -r -F
complete -c otr -n "__fish_otr_using_subcommand forge" -l at -d 'Where in the packet\'s text that was, in bytes' -r
complete -c otr -n "__fish_otr_using_subcommand forge" -l packet -d 'Which packet: its number in the capture, or its address, as \'otr inspect\' shows them' -r
complete -c otr -n "__fish_otr_using_subcommand forge" -l keys -d 'Also take published keys from this file' -r -F
complete -c otr -n "__fish_otr_using_subcommand forge" -l postbox -d 'Ask the postbox at this address for published keys' -r -f
complete -c otr -n "__fish_otr_using_subcommand forge" -l first-turn -d 'Whether the packet belongs to the inviting side\'s first turn: yes, no or guess; no packet shows it' -r -f -a "guess\t''
yes\t''
no\t''"
complete -c otr -n "__fish_otr_using_subcommand forge" -l proxy -d 'Call the postbox through this proxy, which also resolves its name: socks5h://HOST:PORT; with --tor, where Tor listens [default there: port 9050 of this machine, or 9150]' -r
complete -c otr -n "__fish_otr_using_subcommand forge" -l ca-file -d 'Trust the certificates in FILE (PEM) instead of the usual authorities' -r -F
complete -c otr -n "__fish_otr_using_subcommand forge" -l wrap -d 'Break lines after this many columns, at least 32 (for mail: 72)' -r
complete -c otr -n "__fish_otr_using_subcommand forge" -s s -l session -d 'Session to use: letters, digits, \'.\', \'_\', \'-\'; at most 64' -r -f -a "(otr complete-sessions -- (commandline -opc) 2>/dev/null)"
complete -c otr -n "__fish_otr_using_subcommand forge" -l dir -d 'Directory of the sessions; by default the first safe one in memory' -r -f -a "(__fish_complete_directories)"
complete -c otr -n "__fish_otr_using_subcommand forge" -l state-fd -d 'Keep no file: read the state from descriptor IN, and write each new one to OUT' -r
complete -c otr -n "__fish_otr_using_subcommand forge" -l lock-wait -d 'How long to wait while another otr holds the session' -r
complete -c otr -n "__fish_otr_using_subcommand forge" -l tor -d 'Call the postbox through Tor, for each packet by a circuit of its own and at a moment of its own [an .onion is always called so]'
complete -c otr -n "__fish_otr_using_subcommand forge" -l plain-http -d 'Call a postbox on another machine by http://, where all on the way see what it sees'
complete -c otr -n "__fish_otr_using_subcommand forge" -l raw -d 'Write packets as bytes instead of lines of text'
complete -c otr -n "__fish_otr_using_subcommand forge" -l allow-disk -d 'Allow sessions on a disk, where wiping does not work; warns each time'
complete -c otr -n "__fish_otr_using_subcommand forge" -s v -l verbose -d 'Report more details, but never a secret'
complete -c otr -n "__fish_otr_using_subcommand forge" -s q -l quiet -d 'Report only what went wrong'
complete -c otr -n "__fish_otr_using_subcommand forge" -l json -d 'Write for programs: JSON on stdout where a command reports something, and on stderr'
complete -c otr -n "__fish_otr_using_subcommand forge" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c otr -n "__fish_otr_using_subcommand simulate" -l seed -d 'Make the same bytes for the same script each time; anyone who knows or guesses TEXT can tell' -r
complete -c otr -n "__fish_otr_using_subcommand simulate" -l size -d 'Pad to packets of at least this size, 4K to 1M' -r
complete -c otr -n "__fish_otr_using_subcommand simulate" -l wrap -d 'Break lines after this many columns, at least 32 (for mail: 72)' -r
complete -c otr -n "__fish_otr_using_subcommand simulate" -s s -l session -d 'Session to use: letters, digits, \'.\', \'_\', \'-\'; at most 64' -r -f -a "(otr complete-sessions -- (commandline -opc) 2>/dev/null)"
complete -c otr -n "__fish_otr_using_subcommand simulate" -l dir -d 'Directory of the sessions; by default the first safe one in memory' -r -f -a "(__fish_complete_directories)"
complete -c otr -n "__fish_otr_using_subcommand simulate" -l state-fd -d 'Keep no file: read the state from descriptor IN, and write each new one to OUT' -r
complete -c otr -n "__fish_otr_using_subcommand simulate" -l lock-wait -d 'How long to wait while another otr holds the session' -r
complete -c otr -n "__fish_otr_using_subcommand simulate" -l raw -d 'Write reply, packets and keys as bytes instead of lines of text'
complete -c otr -n "__fish_otr_using_subcommand simulate" -l allow-disk -d 'Allow sessions on a disk, where wiping does not work; warns each time'
complete -c otr -n "__fish_otr_using_subcommand simulate" -s q -l quiet -d 'Report only what went wrong'
complete -c otr -n "__fish_otr_using_subcommand simulate" -s v -l verbose -d 'Report more details, but never a secret'
complete -c otr -n "__fish_otr_using_subcommand simulate" -l json -d 'Write for programs: JSON on stdout where a command reports something, and on stderr'
complete -c otr -n "__fish_otr_using_subcommand simulate" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c otr -n "__fish_otr_using_subcommand status" -l proxy -d 'Call the postbox through this proxy, which also resolves its name: socks5h://HOST:PORT; with --tor, where Tor listens [default there: port 9050 of this machine, or 9150]' -r
complete -c otr -n "__fish_otr_using_subcommand status" -l ca-file -d 'Trust the certificates in FILE (PEM) instead of the usual authorities' -r -F
complete -c otr -n "__fish_otr_using_subcommand status" -s s -l session -d 'Session to use: letters, digits, \'.\', \'_\', \'-\'; at most 64' -r -f -a "(otr complete-sessions -- (commandline -opc) 2>/dev/null)"
complete -c otr -n "__fish_otr_using_subcommand status" -l dir -d 'Directory of the sessions; by default the first safe one in memory' -r -f -a "(__fish_complete_directories)"
complete -c otr -n "__fish_otr_using_subcommand status" -l state-fd -d 'Keep no file: read the state from descriptor IN, and write each new one to OUT' -r
complete -c otr -n "__fish_otr_using_subcommand status" -l lock-wait -d 'How long to wait while another otr holds the session' -r
complete -c otr -n "__fish_otr_using_subcommand status" -l ask -d 'Also ask the postbox of each session whether the other side still collects: what has happened to the packets that were posted last'
complete -c otr -n "__fish_otr_using_subcommand status" -l tor -d 'Call the postbox through Tor, for each packet by a circuit of its own and at a moment of its own [an .onion is always called so]'
complete -c otr -n "__fish_otr_using_subcommand status" -l plain-http -d 'Call a postbox on another machine by http://, where all on the way see what it sees'
complete -c otr -n "__fish_otr_using_subcommand status" -l allow-disk -d 'Allow sessions on a disk, where wiping does not work; warns each time'
complete -c otr -n "__fish_otr_using_subcommand status" -s q -l quiet -d 'Report only what went wrong'
complete -c otr -n "__fish_otr_using_subcommand status" -s v -l verbose -d 'Report more details, but never a secret'
complete -c otr -n "__fish_otr_using_subcommand status" -l json -d 'Write for programs: JSON on stdout where a command reports something, and on stderr'
complete -c otr -n "__fish_otr_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c otr -n "__fish_otr_using_subcommand completions" -s s -l session -d 'Session to use: letters, digits, \'.\', \'_\', \'-\'; at most 64' -r -f -a "(otr complete-sessions -- (commandline -opc) 2>/dev/null)"
complete -c otr -n "__fish_otr_using_subcommand completions" -l dir -d 'Directory of the sessions; by default the first safe one in memory' -r -f -a "(__fish_complete_directories)"
complete -c otr -n "__fish_otr_using_subcommand completions" -l state-fd -d 'Keep no file: read the state from descriptor IN, and write each new one to OUT' -r
complete -c otr -n "__fish_otr_using_subcommand completions" -l lock-wait -d 'How long to wait while another otr holds the session' -r
complete -c otr -n "__fish_otr_using_subcommand completions" -l allow-disk -d 'Allow sessions on a disk, where wiping does not work; warns each time'
complete -c otr -n "__fish_otr_using_subcommand completions" -s v -l verbose -d 'Report more details, but never a secret'
complete -c otr -n "__fish_otr_using_subcommand completions" -s q -l quiet -d 'Report only what went wrong'
complete -c otr -n "__fish_otr_using_subcommand completions" -l json -d 'Write for programs: JSON on stdout where a command reports something, and on stderr'
complete -c otr -n "__fish_otr_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c otr -n "__fish_otr_using_subcommand man" -s s -l session -d 'Session to use: letters, digits, \'.\', \'_\', \'-\'; at most 64' -r -f -a "(otr complete-sessions -- (commandline -opc) 2>/dev/null)"
complete -c otr -n "__fish_otr_using_subcommand man" -l dir -d 'Directory of the sessions; by default the first safe one in memory' -r -f -a "(__fish_complete_directories)"
complete -c otr -n "__fish_otr_using_subcommand man" -l state-fd -d 'Keep no file: read the state from descriptor IN, and write each new one to OUT' -r
complete -c otr -n "__fish_otr_using_subcommand man" -l lock-wait -d 'How long to wait while another otr holds the session' -r
complete -c otr -n "__fish_otr_using_subcommand man" -l allow-disk -d 'Allow sessions on a disk, where wiping does not work; warns each time'
complete -c otr -n "__fish_otr_using_subcommand man" -s v -l verbose -d 'Report more details, but never a secret'
complete -c otr -n "__fish_otr_using_subcommand man" -s q -l quiet -d 'Report only what went wrong'
complete -c otr -n "__fish_otr_using_subcommand man" -l json -d 'Write for programs: JSON on stdout where a command reports something, and on stderr'
complete -c otr -n "__fish_otr_using_subcommand man" -s h -l help -d 'Print help'
complete -c otr -n "__fish_otr_using_subcommand demo" -s s -l session -d 'Session to use: letters, digits, \'.\', \'_\', \'-\'; at most 64' -r -f -a "(otr complete-sessions -- (commandline -opc) 2>/dev/null)"
complete -c otr -n "__fish_otr_using_subcommand demo" -l state-fd -d 'Keep no file: read the state from descriptor IN, and write each new one to OUT' -r
complete -c otr -n "__fish_otr_using_subcommand demo" -l lock-wait -d 'How long to wait while another otr holds the session' -r
complete -c otr -n "__fish_otr_using_subcommand demo" -l dir -d 'Directory of the sessions; by default the first safe one in memory' -r -f -a "(__fish_complete_directories)"
complete -c otr -n "__fish_otr_using_subcommand demo" -s v -l verbose -d 'Report more details, but never a secret'
complete -c otr -n "__fish_otr_using_subcommand demo" -l allow-disk -d 'Allow sessions on a disk, where wiping does not work; warns each time'
complete -c otr -n "__fish_otr_using_subcommand demo" -s q -l quiet -d 'Report only what went wrong'
complete -c otr -n "__fish_otr_using_subcommand demo" -l json -d 'Write for programs: JSON on stdout where a command reports something, and on stderr'
complete -c otr -n "__fish_otr_using_subcommand demo" -s h -l help -d 'Print help'
complete -c otr -n "__fish_otr_using_subcommand help" -s s -l session -d 'Session to use: letters, digits, \'.\', \'_\', \'-\'; at most 64' -r -f -a "(otr complete-sessions -- (commandline -opc) 2>/dev/null)"
complete -c otr -n "__fish_otr_using_subcommand help" -l dir -d 'Directory of the sessions; by default the first safe one in memory' -r -f -a "(__fish_complete_directories)"
complete -c otr -n "__fish_otr_using_subcommand help" -l state-fd -d 'Keep no file: read the state from descriptor IN, and write each new one to OUT' -r
complete -c otr -n "__fish_otr_using_subcommand help" -l lock-wait -d 'How long to wait while another otr holds the session' -r
complete -c otr -n "__fish_otr_using_subcommand help" -l allow-disk -d 'Allow sessions on a disk, where wiping does not work; warns each time'
complete -c otr -n "__fish_otr_using_subcommand help" -s q -l quiet -d 'Report only what went wrong'
complete -c otr -n "__fish_otr_using_subcommand help" -s v -l verbose -d 'Report more details, but never a secret'
complete -c otr -n "__fish_otr_using_subcommand help" -l json -d 'Write for programs: JSON on stdout where a command reports something, and on stderr'
complete -c otr -n "__fish_otr_using_subcommand help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c otr -n "__fish_otr_using_subcommand completions" -f -a "bash zsh fish"
complete -c otr -n "__fish_otr_using_subcommand help" -f -a "put get chat init respond send recv pipe close words verify rpc postbox expect export import inspect forge simulate status completions man demo"
