//! The methods: one table, from which calls are checked and run, and the interface is described.

mod about;
mod begin;
mod check;
mod close;
mod expect;
mod moving;
mod receive;
mod send;
mod status;

use super::call::{Method, Run, Together};
use super::subscribe;
use super::table::Kind::{Base64, Flag, Object, Objects, Text, Texts, Whole};
use super::table::{Field, may, must};

const SESSION: Field = may(
    "session",
    Text,
    "its name; without one that of -s or OTR_SESSION where 'otr rpc' was started, or 'default'",
);
const BY_HAND: Field = may(
    "by_hand",
    Flag,
    "give the packets in the answer, even if the session has a postbox; nobody is called",
);
const RETRY: Field = may(
    "retry",
    Whole(0, SECONDS),
    "seconds for which to go on calling a postbox that is away; 60 without it",
);
const POSTED: Field = must("posted", Flag, "whether the packets lie in the session's postbox");
const PACKETS: Field = must(
    "packets",
    Texts,
    "otherwise the packets for the other side, a line otr1p:… each, in order",
);
const KEYS: Field = must("keys", Texts, "published MAC keys, a line otr1k:… each, for anybody");
const SUBSCRIPTION: Field = must("subscription", Whole(1, u64::MAX), "its number");
const FILES: Field = may(
    "files",
    Text,
    "a directory: a message of more than one part becomes a new file there, with mode 0600, and is told \
     when it is complete, by its name",
);
const TAG: Field = may("tag", Text, "comes back in all that is told of this");
const PASSPHRASE: Field = may("passphrase", Text, "the passphrase of the line");

/// A year, the longest time that a parameter may say.
const SECONDS: u64 = 366 * 24 * 60 * 60;

/// All methods, in the order in which they are described.
pub(super) const METHODS: &[Method] = &[
    Method {
        name: "init",
        about: "Begin a session: make an invite, or a code, for the other person.",
        takes: &[
            SESSION,
            may(
                "postbox",
                Text,
                "the URL of the postbox through which both ends talk; several, up to eight, separated by blanks",
            ),
            may("code", Flag, "put the invite into the postbox, under a code that works once"),
            may("secret", Text, "a text that the other side has to give, too"),
            may("expires", Whole(1, SECONDS), "seconds after which the invite is too old"),
            may("anew", Flag, "replace a session of this name: it is wiped, and nobody is told"),
        ],
        gives: &[
            may("invite", Text, "the invite, a line otr1i:…"),
            may("code", Text, "with 'code', the code, as in 417-guitar-vanish@box.example"),
        ],
        run: Run::InTurn(begin::init),
    },
    Method {
        name: "init.again",
        about: "The same invite once more, until it is answered.",
        takes: &[SESSION],
        gives: &[must("invite", Text, "the invite, a line otr1i:…")],
        run: Run::InTurn(begin::init_again),
    },
    Method {
        name: "respond",
        about: "Answer an invite, or a code. If the invite names a postbox, nobody is called unless \
                'postbox' or 'yes' agrees to it: calling it tells its host who answers.",
        takes: &[
            SESSION,
            may("invite", Text, "the invite, a line otr1i:…, whatever stands around it"),
            may("code", Text, "or a code, which agrees to its postbox"),
            may("secret", Text, "the text that the invite asks for"),
            may(
                "postbox",
                Text,
                "post the reply to this postbox, which the invite must name (several: separated by blanks)",
            ),
            may("yes", Flag, "post the reply to any postbox that the invite names"),
            may("anew", Flag, "replace a session of this name: it is wiped, and nobody is told"),
        ],
        gives: &[
            must("posted", Flag, "whether the reply lies in the postbox"),
            may("reply", Text, "otherwise the reply, a line otr1r:…, for the one who invites"),
        ],
        run: Run::InTurn(begin::respond),
    },
    Method {
        name: "respond.again",
        about: "The same reply once more, until the other side's first packet has arrived.",
        takes: &[
            SESSION,
            may("postbox", Text, "post it to this postbox, which the invite must have named"),
            may("yes", Flag, "post it to the postbox that the invite has named"),
        ],
        gives: &[
            must("posted", Flag, "whether the reply lies in the postbox"),
            may("reply", Text, "otherwise the reply, a line otr1r:…"),
        ],
        run: Run::InTurn(begin::respond_again),
    },
    Method {
        name: "accept",
        about: "Take the reply to the invite: from 'reply', or out of the postbox. A subscription does \
                that by itself.",
        takes: &[
            SESSION,
            may("reply", Text, "the reply, a line otr1r:…, whatever stands around it"),
            may("wait", Whole(0, SECONDS), "seconds to wait for it in the postbox; 30 without it"),
        ],
        gives: &[must("secret", Flag, "whether both sides have shown that they know a secret")],
        run: Run::InTurn(begin::accept),
    },
    Method {
        name: "send",
        about: "Send one message: 'text', 'base64', 'file' or 'fd'. An error with \"taken\": true tells \
                that it is stored and goes out with the next call; it must not be sent again.",
        takes: &[
            SESSION,
            may("text", Text, "the message"),
            may("base64", Base64, "or its bytes"),
            may("file", Text, "or the path of a file that 'otr rpc' can read, of any length"),
            may("fd", Whole(3, 65_535), "or a descriptor that 'otr rpc' has inherited, to its end"),
            may(
                "confirm",
                Flag,
                "with a postbox: answer when the other side has opened the message; an error with 6 \
                 tells that it was lost, with 8 that 'wait' is over. Later calls go on meanwhile",
            ),
            may(
                "wait",
                Whole(0, SECONDS),
                "seconds to wait for that; without it, while the postbox keeps it",
            ),
            may(
                "hold",
                Whole(0, SECONDS),
                "with a postbox: post it at a random moment within so many seconds, and answer then. Until then it \
                 is not in the session, and later calls go on",
            ),
            may(
                "later",
                Flag,
                "with a postbox: leave it in the session, which the next call or command posts, or a subscription \
                 with 'cover'. It has to fit into one packet (4)",
            ),
            BY_HAND,
            RETRY,
        ],
        gives: &[POSTED, PACKETS, KEYS],
        run: Run::Together(Together { joins: send::joins, run: send::send }),
    },
    Method {
        name: "flush",
        about: "Hand out the packets that wait in the session.",
        takes: &[SESSION, BY_HAND, RETRY],
        gives: &[POSTED, PACKETS, KEYS],
        run: Run::InTurn(send::flush),
    },
    Method {
        name: "resend",
        about: "Hand out the last short message once more, the same bytes. Fails with 4 if there is none.",
        takes: &[SESSION, BY_HAND, RETRY],
        gives: &[POSTED, PACKETS, KEYS],
        run: Run::InTurn(send::resend),
    },
    Method {
        name: "subscribe",
        about: "Take what comes through the session's postbox, and be told of it: see Messages. One \
                receiver at a time has a session: beside another one this fails with 15.",
        takes: &[
            SESSION,
            may(
                "credit",
                Whole(1, 4_096),
                "how many parts may be out that were not acknowledged; 16",
            ),
            may("count", Whole(1, u64::MAX), "end after this many messages"),
            may(
                "until",
                Text,
                "\"closed\": go on until the other side closes, which is usual; \
                 \"empty\": take what is there, and wait for nothing",
            ),
            may("wait", Whole(0, SECONDS), "end when nothing has come for this many seconds"),
            may(
                "cover",
                Whole(1, SECONDS),
                "through Tor or a proxy, and until the other side closes: post packets that say nothing, at random \
                 moments so many seconds apart in the mean, as long as it goes on. What 'send' with 'later' has left \
                 takes the place of the next one",
            ),
            may(
                "constant",
                Flag,
                "with 'cover': not in the mean, but each time after so many seconds",
            ),
            FILES,
            TAG,
        ],
        gives: &[SUBSCRIPTION],
        run: Run::Telling(subscribe::subscribe),
    },
    Method {
        name: "ack",
        about: "Acknowledge a part of a message: its key is forgotten, and it never comes again. The \
                answer comes when that is stored.",
        takes: &[
            SUBSCRIPTION,
            must("message", Whole(0, u64::MAX), "the number of the message"),
            may("offset", Whole(0, u64::MAX), "where the part begins; 0 without it"),
        ],
        gives: &[must(
            "stored",
            Flag,
            "false if an earlier part has to be acknowledged before: then it is stored with that",
        )],
        run: Run::AtOnce(subscribe::acknowledge),
    },
    Method {
        name: "unsubscribe",
        about: "End a subscription, and wait until its session is free for another receiver.",
        takes: &[SUBSCRIPTION],
        gives: &[],
        run: Run::Beside(subscribe::unsubscribe),
    },
    Method {
        name: "receive",
        about: "Take packets that the client carries itself, and the reply. What they say comes as it \
                does for a subscription, and has to be acknowledged before this is answered. Keep the \
                packets until then.",
        takes: &[
            SESSION,
            must("packets", Text, "lines otr1p:… and otr1r:…, whatever stands around them"),
            may("credit", Whole(1, 4_096), "as for a subscription"),
            FILES,
            TAG,
            may("end", Flag, "nothing more will come: give up messages that are not complete"),
        ],
        gives: &[
            must("messages", Whole(0, u64::MAX), "how many messages came out whole"),
            must("refused", Whole(0, u64::MAX), "how many items were not accepted"),
            must(
                "held",
                Whole(0, u64::MAX),
                "how many packets wait for an earlier one: give them again",
            ),
            must("opened", Flag, "whether the reply was accepted"),
            must("closed", Flag, "whether the other side has closed"),
        ],
        run: Run::InTurn(receive::receive),
    },
    Method {
        name: "expect",
        about: "For a client that calls a postbox itself: the tokens under which it can collect the packets \
                that come next, for 'receive'. Before the reply has come, its token. From then on published \
                keys leave only by 'expect.spent'.",
        takes: &[
            SESSION,
            may("count", Whole(1, 65_536), "for so many packets ahead; 1 without it"),
        ],
        gives: &[must(
            "tokens",
            Texts,
            "each as a line of a call of the postbox, in base64url without padding; those of the next \
             chain come after those of the current one",
        )],
        run: Run::InTurn(expect::expect),
    },
    Method {
        name: "expect.spent",
        about: "For the same: the records of packets that were received, for its call 'discard', with the \
                MAC keys to be published. They come again until 'discarded' names them.",
        takes: &[
            SESSION,
            may("discarded", Texts, "records that the postbox has discarded: they are forgotten"),
        ],
        gives: &[must(
            "records",
            Texts,
            "token, packet hash and key, each as a line of a call of the postbox, in base64url without padding",
        )],
        run: Run::InTurn(expect::spent),
    },
    Method {
        name: "words",
        about: "The four words that the two people compare by voice. 14 until the other side's first packet \
                has arrived.",
        takes: &[SESSION],
        gives: &[must("words", Texts, "the words")],
        run: Run::Beside(check::words),
    },
    Method {
        name: "words.same",
        about: "Record that the other person has these words.",
        takes: &[SESSION],
        gives: &[],
        run: Run::InTurn(check::same),
    },
    Method {
        name: "words.differ",
        about: "The other person has other words: somebody is in between. Ends the session, as 'close' does.",
        takes: &[SESSION, BY_HAND, RETRY],
        gives: &[POSTED, PACKETS, KEYS],
        run: Run::InTurn(close::close),
    },
    Method {
        name: "verify.ask",
        about: "Ask whether the other side knows a secret. The result comes as an event.",
        takes: &[
            SESSION,
            must("secret", Text, "the secret; it is never sent"),
            may("question", Text, "what the other side is shown; it is not secret"),
            BY_HAND,
            RETRY,
        ],
        gives: &[POSTED, PACKETS, KEYS],
        run: Run::InTurn(check::ask),
    },
    Method {
        name: "verify.answer",
        about: "Answer the other side's question, which 'status' tells.",
        takes: &[SESSION, must("secret", Text, "the secret; it is never sent"), BY_HAND, RETRY],
        gives: &[POSTED, PACKETS, KEYS],
        run: Run::InTurn(check::answer),
    },
    Method {
        name: "status",
        about: "How far a session has come, or all of them: the object of 'otr status --json'.",
        takes: &[
            may("session", Text, "its name; without one, all"),
            may("ask", Flag, "also ask the postbox what has happened to the packets posted last"),
        ],
        gives: &[
            must("version", Whole(1, 1), "of this object"),
            must("sessions", Objects, "an object for each session"),
            must("machine", Object, "what concerns all of them"),
        ],
        run: Run::Beside(status::status),
    },
    Method {
        name: "sessions",
        about: "The names of the sessions.",
        takes: &[],
        gives: &[must("sessions", Texts, "the names")],
        run: Run::Beside(status::sessions),
    },
    Method {
        name: "close",
        about: "End a session: wipe it, whatever happens, and tell the other side.",
        takes: &[
            SESSION,
            may("silent", Flag, "only wipe it: tell nobody, and publish nothing"),
            BY_HAND,
            RETRY,
        ],
        gives: &[POSTED, PACKETS, KEYS],
        run: Run::InTurn(close::close),
    },
    Method {
        name: "export",
        about: "Move a session away: its line for 'import', which holds every secret of it. It is frozen \
                here.",
        takes: &[SESSION, PASSPHRASE],
        gives: &[must("line", Text, "the session")],
        run: Run::InTurn(moving::export),
    },
    Method {
        name: "export.forget",
        about: "Wipe an exported session here, after the import has worked.",
        takes: &[SESSION],
        gives: &[],
        run: Run::InTurn(moving::forget),
    },
    Method {
        name: "export.undo",
        about: "Use an exported session here again; then the exported line must never be used.",
        takes: &[SESSION],
        gives: &[],
        run: Run::InTurn(moving::undo),
    },
    Method {
        name: "import",
        about: "Go on here with a session that was exported elsewhere.",
        takes: &[SESSION, must("line", Text, "the session"), PASSPHRASE],
        gives: &[],
        run: Run::InTurn(moving::import),
    },
    Method {
        name: "inspect",
        about: "What a stranger sees of packets, replies and invites: nothing but this.",
        takes: &[must("packets", Text, "lines otr1…, whatever stands around them")],
        gives: &[must(
            "items",
            Objects,
            "for each its `kind` (packet, reply, invite, key, damaged), and unless it is damaged its \
             `bytes` and the beginning of its `address`, hexadecimal, or null",
        )],
        run: Run::Beside(receive::inspect),
    },
    Method {
        name: "rpc.version",
        about: "The version of otr, and of this interface. A new method, parameter or member is no break.",
        takes: &[],
        gives: &[
            must("otr", Text, "the version of the program"),
            must("rpc", Whole(1, u64::MAX), "1; more after a break"),
        ],
        run: Run::Beside(about::version),
    },
    Method {
        name: "rpc.discover",
        about: "The description of this interface, an OpenRPC document.",
        takes: &[],
        gives: &[
            must("openrpc", Text, "the version of OpenRPC"),
            must("info", Object, "what it describes"),
            must("methods", Objects, "the methods"),
        ],
        run: Run::Describe,
    },
];
