//! `otr put`: hands a file, a directory, a text or stdin over to another person.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::Duration;

use otr::conversation::{Conversation, Files, Until};
use otr::postbox::api::Token;
use otr::postbox::client::{Client, Patience, Stop, Url, first_url};
use otr::protocol::session::stored::Stage;
use otr::store::Search;
use zeroize::Zeroizing;

use super::fault::Fault;
use super::message::{Have, Line, Why};
use super::qr;
use super::serve::{self, Served};
use super::source::{Source, paths};
use super::talk::{self, Ending, Heard, Last};
use crate::commands::guide::{Guide, Step};
use crate::commands::{code, meeting, send, stored, whom};
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::process;
use crate::route::RouteArgs;
use crate::ui::speak::warn;
use crate::ui::stdio;
use crate::worker;

/// `otr put`
#[derive(clap::Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// Files, or a directory, or '-' for what comes on stdin
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::AnyPath)]
    files: Vec<OsString>,

    /// Hand over a text: TEXT, which others on this machine can see, or what is typed or comes on stdin
    #[arg(
        long,
        value_name = "TEXT",
        num_args = 0..=1,
        default_missing_value = "",
        conflicts_with = "files"
    )]
    text: Option<String>,

    /// Show the code as a QR code, too, at a terminal
    #[arg(long)]
    qr: bool,

    /// The postbox through which it goes
    #[arg(
        long,
        value_name = "URL",
        env = "OTR_POSTBOX",
        hide_env_values = true,
        value_hint = clap::ValueHint::Url
    )]
    postbox: Option<String>,

    /// The postbox takes packets only with the secret in FILE
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    post_secret: Option<PathBuf>,

    /// Open a postbox here, at ADDRESS:PORT, which the other person's machine can reach, and which ends
    /// with the transfer; port 0 is any that is free
    #[arg(long, value_name = "ADDRESS", conflicts_with = "post_secret")]
    serve: Option<String>,

    /// Go on with a transfer that was killed, of the same files; NUMBER is that of its code, if there
    /// are several
    #[arg(
        long,
        value_name = "NUMBER",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "",
        conflicts_with = "post_secret"
    )]
    resume: Option<String>,

    #[command(flatten)]
    route: RouteArgs,
}

const HELP: &str = "\
  otr put letter.pdf                          prints 417-guitar-vanish@box.example
  otr get 417-guitar-vanish@box.example       at the other person's
  otr put photos/                             a directory
  otr put --serve 192.168.1.5:7363 big.iso    through no other machine
  tar c src | otr put -                       what comes on stdin
  otr put --text                              a text, which is typed

The code works once: tell it to the other person, and to nobody else. Whoever guesses has one try, and
you are told. It ends with 0 when the other side has all of it on its disk. stdout gets the code, and
nothing else. If the network fails, it goes on when that is back. Links in a directory are handed over
as links. Ctrl-C ends it at both ends; a second one ends it here at once, and may leave something.
Exit status: 4 they did not take it; 10 they have no room; 7 they ended it; 6 it changed or was cut; 5
somebody tried a wrong code: begin anew.";

/// How many codes to try, if the number of one is in use here.
const TRIES: u32 = 5;
/// For a wait without a limit.
const LONG: Duration = Duration::from_hours(24 * 365);
/// How long to wait for the other side's last packet, once it has confirmed.
const LAST: Duration = Duration::from_secs(5);

pub(crate) fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    talk::names_itself(context, "put")?;
    let source = source(context, args)?;
    // Ends after all else.
    let mut served = None;
    // Before anything lies in the postbox.
    let (ending, guard) = Ending::begin()?;
    let meeting = match &args.resume {
        Some(number) => resumed(context, args, &source, number, (&ending, &mut served)),
        None => begun(context, args, &ending, &mut served),
    };
    let put = meeting.and_then(|meeting| meeting.run(&source, &ending));
    ending.left();
    drop(guard);
    put?;
    context.voice.say("handed over: the other side has all of it");
    Ok(())
}

fn source(context: &Context, args: &Args) -> Result<Source, Failure> {
    let hint = "type the text, then Ctrl-D on a line of its own";
    match &args.text {
        Some(text) => Source::text(text, || context.voice.say(hint)),
        None => Source::of(&paths(&args.files)),
    }
}

/// The two ends' session at this end, before the other one is here.
struct Meeting {
    context: Context,
    files: Files,
    client: Client,
    number: u32,
    /// Whether an earlier run has begun it.
    again: bool,
}

/// Begins one, and shows its code.
fn begun(
    context: &Context,
    args: &Args,
    ending: &Ending,
    served: &mut Option<Served>,
) -> Result<Meeting, Failure> {
    let (url, route) = match serve(context, args, served)? {
        Some(url) => (url, RouteArgs::to_own()),
        None => (named_postbox(context, args)?, args.route.clone()),
    };
    let client = talk::postbox(context, &route, &url)?.lasting(Patience::Endless);
    let client = client.until(&ending.stop);
    for _ in 0..TRIES {
        let begun = meeting::begin(&client.lasting(Patience::Brief), &url, None)?;
        let (number, shown) = (begun.code.number(), begun.shown());
        let invite = begun.invite().to_vec();
        let here = talk::session(context, "put", number)?;
        let mut files = match kept(&here, begun, &client, ending) {
            Ok(files) => files,
            Err(failure) => {
                let taken_back = talk::take_back(&client, number, &invite);
                if failure.code == Code::Exists {
                    // The number is that of a transfer that was killed.
                    taken_back?;
                    continue;
                }
                return Err(failure);
            }
        };
        show(context, args, &shown).inspect_err(|_| {
            // Nobody has seen the code, or not all of it.
            drop(ending.leave(&mut files, &client, number, Last::default(), || {}));
        })?;
        return Ok(Meeting { context: here, files, client, number, again: false });
    }
    let what = "transfers that were killed have the numbers of all these codes";
    Err(Failure::new(Code::Exists, what, "'otr status' shows them, 'otr -s NAME close' ends one"))
}

/// Opens the postbox of `--serve`; its URL.
fn serve(
    context: &Context,
    args: &Args,
    served: &mut Option<Served>,
) -> Result<Option<String>, Failure> {
    let Some(address) = &args.serve else { return Ok(None) };
    for (option, what) in
        [("postbox", "names another"), ("tor", "leads away"), ("proxy", "leads away")]
    {
        if context.origins.was_typed(option) {
            let what = format!("--serve opens a postbox here, and --{option} {what}");
            return Err(Failure::new(Code::Usage, what, "leave one of them out"));
        }
    }
    Ok(Some(served.insert(Served::start(address)?).url.clone()))
}

/// Stores the session of an invite that lies in the postbox.
fn kept(
    here: &Context,
    begun: meeting::Begun,
    client: &Client,
    ending: &Ending,
) -> Result<Files, Failure> {
    let mut files = here.prepare()?;
    ending.alone_in(&files)?;
    if ending.has_come() {
        return Err(talk::interrupted());
    }
    ending.instead(&files, client, begun.code.number(), || {});
    begun.keep(&mut files, false)?;
    Ok(files)
}

fn named_postbox(context: &Context, args: &Args) -> Result<String, Failure> {
    // A transfer has one, the first if there are several.
    let given = args.postbox.as_deref().map(|urls| first_url(urls).to_owned());
    let given = given.filter(|url| !url.is_empty());
    let secret = args.post_secret.as_deref();
    let route = talk::route_to(&args.route, given.as_deref().unwrap_or_default());
    meeting::postbox(&context.origins, given, secret, &route)?.ok_or_else(|| {
        let hint = "name one with --postbox URL or OTR_POSTBOX, or open one with --serve ADDRESS:PORT, \
                    at this machine's address";
        Failure::new(Code::Usage, "it has to go through a postbox", hint)
    })
}

fn show(context: &Context, args: &Args, code: &str) -> Result<(), Failure> {
    let line = Zeroizing::new(format!("{code}\n"));
    stdio::output()?.write_all(line.as_bytes()).map_err(|error| Failure::output(&error))?;
    if args.qr && io::stderr().is_terminal() {
        match qr::square(code) {
            Some(square) => stdio::say(Zeroizing::new(format!("{}\n", square.as_str())).as_bytes()),
            None => warn("the code is too long for a QR code"),
        }
    }
    Guide::new(context).ends(step(code));
    Ok(())
}

/// What the other person types: whoever calls a postbox by `http://` through other networks has to want that.
fn step(code: &str) -> Step {
    let url = code.split_once('@').and_then(|(_, url)| Url::parse(url).ok());
    let is_refused = |url: &Url| RouteArgs::default().in_one_room(url).check(url).is_err();
    if url.is_some_and(|url| is_refused(&url)) { Step::CodeToGetOpenly } else { Step::CodeToGet }
}

/// Goes on with one that was killed.
fn resumed(
    context: &Context,
    args: &Args,
    source: &Source,
    number: &str,
    (ending, served): (&Ending, &mut Option<Served>),
) -> Result<Meeting, Failure> {
    if !source.is_lasting() {
        let what = "what came on stdin is gone, and cannot go on";
        return Err(Failure::new(Code::Usage, what, "end it with 'otr -s put-NUMBER close'"));
    }
    let number = match number.split(['-', '@']).next().unwrap_or_default() {
        "" => only_one(context)?,
        number => number.parse().map_err(|_| {
            Failure::new(Code::Usage, "--resume takes the number of a code", "such as --resume=417")
        })?,
    };
    let here = talk::session(context, "put", number)?;
    let mut files = here.open()?;
    ending.alone_in(&files)?;
    let stage = stored::take(&mut files)?.into_snapshot().stage;
    let Some(url) = whom::postbox_of_stage(&stage) else {
        return Err(Failure::new(Code::Refused, "this session has no postbox", ""));
    };
    let at = url.strip_prefix("http://").unwrap_or(&url);
    let route = match serve(context, args, served)? {
        Some(again) if again == url => RouteArgs::to_own(),
        Some(_) => {
            let what = "the postbox of this transfer was at another address";
            return Err(Failure::new(Code::Usage, what, format!("give --serve {at}")));
        }
        None => args.route.clone(),
    };
    let client = talk::postbox(context, &route, &url)?;
    if served.is_none() && serve::is_gone(&client, &url) {
        let what = "the postbox of this transfer was on this machine, and is not running";
        let hint = format!(
            "if --serve had opened it, go on with --serve {at}, or end it with 'otr -s put-{number} close'"
        );
        return Err(Failure::new(Code::Postbox, what, hint));
    }
    let client = client.lasting(Patience::Endless).until(&ending.stop);
    ending.instead(&files, &client, number, || {});
    if let Stage::Inviting(inviting) = &stage {
        if served.is_some() {
            // It was lost with the postbox.
            code::place_again(&client.lasting(Patience::Brief), number, inviting.invite())?;
        }
        context.voice.say("waiting for the other person: the code that was shown is still good");
    }
    Ok(Meeting { context: here, files, client, number, again: true })
}

/// The number of the one transfer that was killed here.
fn only_one(context: &Context) -> Result<u32, Failure> {
    let mut numbers = Vec::new();
    for directory in Search::new(&context.options).all()? {
        let names = directory.sessions()?;
        let of_put = names.iter().filter_map(|name| name.as_str().strip_prefix("put-"));
        numbers.extend(of_put.filter_map(|number| number.parse::<u32>().ok()));
    }
    match numbers[..] {
        [number] => Ok(number),
        [] => {
            let what = "no transfer was stopped here";
            Err(Failure::new(Code::NoSession, what, "begin one without --resume"))
        }
        _ => {
            let all: Vec<_> = numbers.iter().map(|number| format!("--resume={number}")).collect();
            let what = "several transfers were stopped here";
            Err(Failure::new(Code::Usage, what, format!("say which: {}", all.join(", "))))
        }
    }
}

impl Meeting {
    /// Hands it over, and ends the session, unless it may go on later.
    fn run(self, source: &Source, ending: &Ending) -> Result<(), Failure> {
        let Self { context, files, client, number, again } = self;
        process::lock_pages();
        let other = files.another(context.lock_wait);
        let mut putting = Putting {
            context: &context,
            client: &client,
            source,
            offered: again,
            ending,
            reply: None,
        };
        let put = putting.run(files);
        let may_go_on = |failure: &Failure| {
            let passes = matches!(failure.code, Code::Postbox | Code::Busy | Code::NotReady);
            // What came on stdin cannot be read again.
            passes && source.is_lasting() && !ending.has_come()
        };
        match put {
            Err(failure) if may_go_on(&failure) => {
                let hint = format!("go on with: otr put --resume={number} …");
                Err(Failure { hint: hint.into(), ..failure })
            }
            put => {
                if let Some(mut files) = other {
                    let last = Last { reply: putting.reply, ..Last::default() };
                    // A session that has ended by itself has nothing to tell.
                    drop(ending.leave(&mut files, &client, number, last, || {}));
                }
                put
            }
        }
    }
}

/// A transfer at this end.
struct Putting<'a> {
    context: &'a Context,
    client: &'a Client,
    source: &'a Source,
    ending: &'a Ending,
    /// Whether an earlier run has offered it, perhaps.
    offered: bool,
    /// The token under which the reply came, if that was in this run.
    reply: Option<Token>,
}

impl Putting<'_> {
    fn run(&mut self, files: Files) -> Result<(), Failure> {
        let files = self.met(files)?;
        let other = files
            .another(self.context.lock_wait)
            .ok_or_else(|| Failure::new(Code::Failed, "the session cannot be opened twice", ""))?;
        let mut conversation = Conversation::open(files);
        if self.offered {
            // What the other side has said since then.
            let heard = talk::hear(&mut conversation, self.client, Until::Empty, None)?;
            if let Some(verdict) = verdict(&heard) {
                return verdict;
            }
        }
        talk::say(&mut conversation, self.client, &Line::Offer(self.source.offer()))?;
        let Some(have) = self.taken(&mut conversation)? else { return Ok(()) };
        if let Some(token) = self.reply {
            // Who has answered a moment later learns it now; if that fails, at the end.
            drop(talk::turn_away(&self.client.lasting(Patience::Brief), token));
        }
        let fault = Fault::default();
        let stop = self.ending.stop.clone();
        let (from, content) = self.source.content(have, &fault, &stop)?;
        let head = io::Cursor::new(Line::Content(from).to_bytes());
        let input = io::Read::chain(head, content);
        let left = self.source.offer().size.map(|size| size.saturating_sub(from));
        let verdict = listen(Conversation::open(other), self.client.clone(), stop.clone())?;
        let files = conversation.into_host();
        let sent = send::message(self.context, files, self.client.clone(), input, left);
        let why = fault.take();
        let was_cut = sent.is_err() && !stop.is_asked();
        if was_cut {
            // Nobody listens any more before the session ends.
            stop.stop();
        }
        let ended = || Failure::new(Code::Failed, "a part of otr has panicked", "");
        let verdict = verdict.join().map_err(|_| ended())?;
        if was_cut {
            sent?;
        }
        if let Some(why) = why {
            // The other side says that it came incomplete, but not why.
            let what = format!("not handed over: {why}");
            let hint = "the other side keeps nothing of it: put it again when nobody changes it";
            return Err(Failure::new(Code::CutShort, what, hint));
        }
        if verdict.is_ok() && !fault.has_ended() {
            return Err(unsent());
        }
        verdict
    }

    /// The session, once the other person has answered.
    fn met(&mut self, mut files: Files) -> Result<Files, Failure> {
        let stage = stored::take(&mut files)?.into_snapshot().stage;
        match stage {
            Stage::Session(_) => return Ok(files),
            Stage::Inviting(inviting) => self.reply = Some(*inviting.reply_token()),
        }
        meeting::await_reply(self.context, files, self.client, LONG)
    }

    /// Waits until the other side takes it; what it has already, or nothing if it has all.
    fn taken(&self, conversation: &mut Conversation<Files>) -> Result<Option<Have>, Failure> {
        loop {
            let heard = talk::hear(conversation, self.client, Until::Messages(1), None)?;
            if let Some(verdict) = verdict(&heard) {
                // Only an earlier run can have sent all of it.
                let verdict =
                    verdict.and_then(|()| if self.offered { Ok(()) } else { Err(unsent()) });
                return verdict.map(|()| None);
            }
            let have = heard.lines.iter().rev().find_map(|line| match line {
                Line::Take(have) => Some(*have),
                _ => None,
            });
            if have.is_some() {
                return Ok(have);
            }
        }
    }
}

/// Hears, on a thread of its own, what the other side says while the content goes out; then the content
/// need not go on.
fn listen(
    mut conversation: Conversation<Files>,
    client: Client,
    stop: Stop,
) -> Result<JoinHandle<Result<(), Failure>>, Failure> {
    worker::start(move || {
        let told = (|| {
            loop {
                let heard = talk::hear(&mut conversation, &client, Until::Messages(1), None)?;
                if let Some(verdict) = verdict(&heard) {
                    if verdict.is_ok() && !heard.closed {
                        // Its last word, which comes at once, is taken out of the postbox, too.
                        drop(talk::hear(&mut conversation, &client, Until::Closed, Some(LAST)));
                    }
                    return verdict;
                }
            }
        })();
        stop.stop();
        told
    })
}

/// What the other side has decided, if it has.
fn verdict(heard: &Heard) -> Option<Result<(), Failure>> {
    if heard.lines.contains(&Line::Done) {
        return Some(Ok(()));
    }
    let refused = heard.lines.iter().find_map(|line| match line {
        Line::Refuse(why) => Some(*why),
        _ => None,
    });
    if let Some(why) = refused {
        return Some(Err(not_taken(why)));
    }
    heard.closed.then(|| Err(not_taken(Why::Ended)))
}

/// The other side calls it done while it cannot be.
fn unsent() -> Failure {
    let what = "the other side says that it has all, before all was sent";
    Failure::new(
        Code::CutShort,
        what,
        "its otr is another program, or of another version: put it again",
    )
}

fn not_taken(why: Why) -> Failure {
    let (code, what, hint) = match why {
        Why::Declined => (Code::Refused, "the other person did not want it", ""),
        Why::Unasked => (
            Code::Refused,
            "nobody could be asked at the other side",
            "there, 'otr get --yes' takes it without asking",
        ),
        Why::Exists => (
            Code::Refused,
            "the other side has something of that name already",
            "there, 'otr get -o PATH' puts it at another place",
        ),
        Why::Full => (Code::Full, "the other side has no room for it", ""),
        Why::Unwritable => (Code::Failed, "the other side could not write it", ""),
        Why::Unsafe => (
            Code::Refused,
            "the other side does not unpack it: a name or a link in it leads out of it, or it holds what \
             is no file",
            "",
        ),
        Why::Cut => (Code::CutShort, "it came incomplete to the other side", "put it again"),
        Why::Another => (
            Code::Refused,
            "it is not what was offered before",
            "put the same files, or begin without --resume",
        ),
        Why::Ended => (
            Code::Closed,
            "the other side has ended it before it had all",
            "put it again, with another code",
        ),
        Why::Other => (Code::Refused, "the other side did not take it", ""),
    };
    Failure::new(code, what, hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_other_person_types_is_said_with_the_option_that_it_needs() {
        for (place, openly) in [
            ("box.example", false),
            ("https://198.51.100.7", false),
            ("http://10.7.0.1:7000", false),
            ("http://[fd00::1]:7000", false),
            ("http://127.0.0.1:7000", false),
            ("http://198.51.100.7:7000", true),
        ] {
            let step = step(&format!("417-guitar-vanish@{place}"));
            assert_eq!(matches!(step, Step::CodeToGetOpenly), openly, "{place}");
        }
    }
}
