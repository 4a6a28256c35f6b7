//! The serving side of the postbox: opens its doors, shuts itself in, serves, and ends.
//!
//! One thread. It does nothing but move bytes between sockets and memory; one heap keeps the
//! resident memory at what is counted, and one thread is what can be shut in on every kernel.

mod accept;
mod admin;
mod alarm;
mod body;
mod caller;
mod callers;
mod calls;
mod confine;
mod connection;
mod gate;
mod guests;
mod http;
mod intake;
mod keeper;
mod keys;
mod limits;
mod listen;
mod outgoing;
mod pace;
mod page;
mod reply;
mod state;
mod tls;
mod waiting;

use crate::failure::{Code, Failure};
use crate::postbox::store::blocks;
use crate::process::not_ignored;
use crate::ui::speak::{self, Voice, warn};
use crate::ui::stdio;
use accept::Entrance;
use confine::Outside;
use connection::Side;
use keeper::Renewal;
use limits::{GRACE_TIME, SPARE_DESCRIPTORS};
use listen::Door;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use state::Server;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;
use tls::Tls;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep, timeout};

pub(crate) use keeper::keep;
pub(crate) use state::Choices;
pub(crate) use tls::Files;

/// How a postbox is run.
pub(crate) struct Settings {
    /// Public addresses; none: what systemd hands over, or else the default.
    pub(crate) listen: Vec<String>,
    /// The operator's address.
    pub(crate) admin: Option<String>,
    /// Certificate and key, PEM.
    pub(crate) tls: Option<Files>,
    /// To fail where the kernel lacks Landlock or seccomp.
    pub(crate) require_confinement: bool,
    /// How much to say.
    pub(crate) voice: Voice,
    /// The rest.
    pub(crate) choices: Choices,
}

/// Where a postbox listens that was told nothing.
pub(crate) const DEFAULT_LISTEN: &str = "127.0.0.1:7363";

/// Time between two sweeps of what has expired: its memory is overwritten that much later at
/// most. (It is not given out for a moment longer than its time.)
const SWEEP_TIME: Duration = Duration::from_secs(10);

/// Serves until SIGTERM or SIGINT.
pub(crate) fn run(settings: &Settings) -> Result<(), Failure> {
    let descriptors = prepare_process()?;
    let tls = match &settings.tls {
        Some(files) => Some((Tls::new(files.acceptor(&files.read()?)?), files.clone())),
        None => None,
    };
    let doors = open_doors(settings)?;
    let connections = usize::try_from(descriptors.saturating_sub(SPARE_DESCRIPTORS))
        .unwrap_or(usize::MAX)
        .clamp(1, limits::connections_of(settings.choices.memory));
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(|_| Failure::no_randomness())?;
    blocks::prepare(settings.choices.memory);
    let server = Server::new(settings.choices, connections, secret);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|why| failed("can't start", &why))?;
    runtime.block_on(serve(&server, doors, tls, settings.require_confinement, settings.voice))
}

/// Shuts this process in and shows that it is. Serves nothing.
pub(crate) fn show_confinement(voice: Voice, require: bool, memory: usize) -> Result<(), Failure> {
    let mut out_to = stdio::output()?;
    prepare_process()?;
    let outside = Outside::prepare().map_err(|why| failed("can't try", &why))?;
    shut_in(voice, require, memory)?;
    let mut out = Vec::new();
    let refused = outside.probe(&mut out).map_err(|why| failed("can't try", &why))?;
    out_to.write_all(&out).map_err(|why| Failure::output(&why))?;
    if refused {
        return Ok(());
    }
    Err(Failure::new(
        Code::Failed,
        "this process is not shut in",
        "use a Linux with Landlock (5.13) and seccomp",
    ))
}

/// No core dump, no debugger, as many descriptors as may be had; says how many.
fn prepare_process() -> Result<u64, Failure> {
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .map_err(|why| failed("can't switch core dumps off", &why.into()))?;
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none)
        .map_err(|why| failed("can't switch core dumps off", &why.into()))?;
    let most = getrlimit(Resource::Nofile).maximum;
    let raised = Rlimit { current: most, maximum: most };
    // Where it can't be raised, what there is must do.
    let _ = setrlimit(Resource::Nofile, raised);
    Ok(getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX))
}

fn open_doors(settings: &Settings) -> Result<Vec<Door>, Failure> {
    let mut doors = Door::inherited()?;
    for address in &settings.listen {
        doors.push(Door::open(address, Side::Public)?);
    }
    if doors.is_empty() {
        doors.push(Door::open(DEFAULT_LISTEN, Side::Public)?);
    }
    if let Some(address) = &settings.admin {
        doors.push(Door::open(address, Side::Admin)?);
    }
    Ok(doors)
}

/// Shuts this process in, and says how far.
fn shut_in(voice: Voice, require: bool, memory: usize) -> Result<(), Failure> {
    let granted = confine::confine(memory);
    if require && !granted.whole() {
        return Err(Failure::new(
            Code::Failed,
            format!("this process can't be shut in: {granted}"),
            "run it on a Linux with both, in no container that refuses them, or without --require-confinement",
        ));
    }
    voice.say(format_args!("shut in: {granted}"));
    voice.say(granted.memory);
    Ok(())
}

async fn serve(
    server: &Arc<Server>,
    doors: Vec<Door>,
    tls: Option<(Tls, Files)>,
    require_confinement: bool,
    voice: Voice,
) -> Result<(), Failure> {
    // All that asks the system for something new comes before the walls.
    let urls: Vec<String> =
        doors.iter().filter(|d| d.side == Side::Public).map(|d| d.url(tls.is_some())).collect();
    let entrances = doors
        .into_iter()
        .map(|door| Entrance::new(door, tls.as_ref().map(|(tls, _)| tls.clone())))
        .collect::<io::Result<Vec<_>>>()
        .map_err(|why| failed("can't listen", &why))?;
    let mut terminate = Heard::new(SignalKind::terminate())?;
    let mut interrupt = Heard::new(SignalKind::interrupt())?;
    // Also where it is ignored, as by nohup: it ends nothing.
    let hang_up = signal(SignalKind::hangup()).map_err(|why| failed("can't hear signals", &why))?;
    let renewal = tls.map(|(tls, files)| Renewal::new(tls, files));
    shut_in(voice, require_confinement, server.choices.memory)?;

    let mut serving: tokio::task::JoinSet<()> =
        entrances.into_iter().map(|entrance| entrance.serve(Arc::clone(server))).collect();
    let sweeping = tokio::spawn(sweep(Arc::clone(server)));
    let renewing = tokio::spawn(keeper::at_hang_up(hang_up, renewal, voice));
    for url in urls {
        speak::setting("OTR_POSTBOX", &url);
    }
    tokio::select! {
        () = terminate.recv() => {}
        () = interrupt.recv() => {}
    }
    server.begin_to_stop();
    let ended = async { while serving.join_next().await.is_some() {} };
    tokio::select! {
        _ = timeout(GRACE_TIME, ended) => {}
        () = terminate.recv() => {}
        () = interrupt.recv() => {}
    }
    sweeping.abort();
    renewing.abort();
    match server.store.totals().held {
        0 => voice.say("the postbox ends; 0 packets are lost with it"),
        1 => warn("the postbox ends; 1 packet is lost with it"),
        held => warn(format_args!("the postbox ends; {held} packets are lost with it")),
    }
    Ok(())
}

/// A signal, or none that ever comes where whoever started us has it ignored.
struct Heard(Option<Signal>);

impl Heard {
    fn new(kind: SignalKind) -> Result<Self, Failure> {
        if not_ignored(&[kind.as_raw_value()]).is_empty() {
            return Ok(Self(None));
        }
        let signal = signal(kind).map_err(|why| failed("can't hear signals", &why))?;
        Ok(Self(Some(signal)))
    }

    async fn recv(&mut self) {
        match &mut self.0 {
            Some(signal) => {
                signal.recv().await;
            }
            None => std::future::pending().await,
        }
    }
}

/// Frees what has expired, a little at a time, for ever.
async fn sweep(server: Arc<Server>) {
    let pause = SWEEP_TIME.min(server.choices.ttl);
    loop {
        let begin = Instant::now();
        let mut from = Some([0; 32]);
        while let Some(next) = from {
            from = server.store.sweep(next);
            tokio::task::yield_now().await;
        }
        sleep(pause.max(begin.elapsed())).await;
    }
}

fn failed(what: &str, why: &io::Error) -> Failure {
    Failure::new(Code::Failed, format!("{what}: {why}"), "")
}
