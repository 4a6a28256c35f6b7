//! Runs a postbox as a process of its own: opens what it needs, shuts itself in, serves until a signal.

use std::io::{self, BufRead, Write as _};

use listenfd::ListenFd;
use otr::postbox::server::{Choices, Files, Listener, Relay, Side, Tls, TlsError, Unfit, confine};
#[cfg(feature = "redis")]
use otr::postbox::server::{Connected, SharedChoices};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Mutex;

use super::keeper::{self, Renewal};
use crate::failure::{Code, Failure};
use crate::process::not_ignored;
use crate::ui::speak::{self, Voice, warn};
use crate::ui::stdio;

/// The setting by which it says at which URL it serves.
const URL: &str = "OTR_POSTBOX";

/// Reads what a postbox says at its start, line by line into `all`, until it names its URL; `None` if it has
/// ended before.
pub(crate) fn url_said(said: &mut impl BufRead, all: &mut String) -> io::Result<Option<String>> {
    loop {
        let begin = all.len();
        if said.read_line(all)? == 0 {
            return Ok(None);
        }
        let value = all[begin..].trim_end().strip_prefix(URL);
        if let Some(url) = value.and_then(|value| value.strip_prefix('=')) {
            return Ok(Some(url.to_owned()));
        }
    }
}

/// How a postbox is run.
pub(super) struct Settings {
    /// Public addresses; none: what systemd hands over, or else the default.
    pub(super) listen: Vec<String>,
    /// The operator's address.
    pub(super) admin: Option<String>,
    /// Certificate and key, PEM.
    pub(super) tls: Option<Files>,
    /// To fail where the kernel lacks Landlock or seccomp.
    pub(super) require_confinement: bool,
    /// How much to say.
    pub(super) voice: Voice,
    /// The rest.
    pub(super) choices: Choices,
    /// Where packets lie, if not in this process.
    #[cfg(feature = "redis")]
    pub(super) store: Option<SharedChoices>,
}

/// The default address of a postbox.
pub(super) const DEFAULT_LISTEN: &str = "127.0.0.1:7363";

/// Serves until SIGTERM or SIGINT.
pub(super) fn run(settings: &Settings) -> Result<(), Failure> {
    let descriptors = prepare_process()?;
    let tls = settings.tls.as_ref().map(Tls::new).transpose()?;
    let listeners = listeners(settings)?;
    runtime()?.block_on(async {
        let (relay, ports) = relay(settings, descriptors).await?;
        serve(settings, relay, (listeners, &ports), tls).await
    })
}

fn runtime() -> Result<Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|why| failed("can't start", &why))
}

/// A postbox, and the ports to which it must be able to connect.
#[cfg_attr(not(feature = "redis"), expect(clippy::unused_async, reason = "memory is here"))]
async fn relay(settings: &Settings, descriptors: u64) -> Result<(Relay, Vec<u16>), Failure> {
    let started =
        |relay: io::Result<Relay>| relay.map_err(|why| failed("can't start a postbox", &why));
    #[cfg(feature = "redis")]
    if let Some(store) = &settings.store {
        let store = Connected::new(store).await?;
        let ports = store.ports();
        return Ok((started(Relay::over(store, settings.choices, descriptors))?, ports));
    }
    Ok((started(Relay::new(settings.choices, descriptors))?, Vec::new()))
}

/// Confines this process and shows that it is confined. Serves nothing.
pub(super) fn show_confinement(
    (voice, require, memory): (Voice, bool, usize),
    #[cfg(feature = "redis")] store: Option<&SharedChoices>,
) -> Result<(), Failure> {
    let mut out_to = stdio::output()?;
    prepare_process()?;
    #[cfg(feature = "redis")]
    let (ports, servers) = match store {
        Some(store) => {
            let connected = runtime()?.block_on(Connected::new(store))?;
            (connected.ports(), connected.servers())
        }
        None => (Vec::new(), Vec::new()),
    };
    #[cfg(not(feature = "redis"))]
    let (ports, servers) = (Vec::new(), Vec::new());
    let outside = confine::Outside::prepare(servers).map_err(|why| failed("can't try", &why))?;
    let directory = std::env::temp_dir();
    shut_in(voice, require, (memory, &ports))?;
    let mut out = Vec::new();
    let refused = outside.probe(&directory, &mut out).map_err(|why| failed("can't try", &why))?;
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

/// Forbids core dumps and debuggers, and takes as many descriptors as allowed; returns how many.
fn prepare_process() -> Result<u64, Failure> {
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .map_err(|why| failed("can't switch core dumps off", &why.into()))?;
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none)
        .map_err(|why| failed("can't switch core dumps off", &why.into()))?;
    let most = getrlimit(Resource::Nofile).maximum;
    let raised = Rlimit { current: most, maximum: most };
    // If it can't be raised, the current limit has to do.
    let _ = setrlimit(Resource::Nofile, raised);
    Ok(getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX))
}

fn listeners(settings: &Settings) -> Result<Vec<(Listener, Side)>, Failure> {
    let mut all = inherited()?;
    for address in &settings.listen {
        all.push(open(address, Side::Public)?);
    }
    if all.is_empty() {
        all.push(open(DEFAULT_LISTEN, Side::Public)?);
    }
    if let Some(address) = &settings.admin {
        all.push(open(address, Side::Admin)?);
    }
    Ok(all)
}

fn open(address: &str, side: Side) -> Result<(Listener, Side), Failure> {
    let listener = Listener::open(address).map_err(|why| {
        let wrong = why.kind() == io::ErrorKind::InvalidInput;
        let hint = match side {
            Side::Public => "give --listen another ADDRESS:PORT or unix:PATH",
            Side::Admin => "give --admin another ADDRESS:PORT or unix:PATH",
        };
        let code = if wrong { Code::Usage } else { Code::Failed };
        Failure::new(code, format!("can't listen on {address}: {why}"), hint)
    })?;
    Ok((listener, side))
}

/// What systemd handed over (`LISTEN_FDS`): all of it leads to the public side.
fn inherited() -> Result<Vec<(Listener, Side)>, Failure> {
    let mut handed = ListenFd::from_env();
    (0..handed.len())
        .map(|number| {
            let listener = match handed.take_tcp_listener(number) {
                Ok(tcp) => tcp.map(Listener::Tcp),
                Err(_) => handed.take_unix_listener(number).ok().flatten().map(Listener::Unix),
            };
            let unfit = |what, hint| Failure::new(Code::Failed, what, hint);
            let listener = listener.ok_or_else(|| {
                let what = "a socket that was handed over is neither TCP nor Unix";
                unfit(what, "use ListenStream= in the socket unit")
            })?;
            if !listener.listens() {
                let what = "a socket that was handed over is a connection: one process serves all";
                return Err(unfit(what, "use Accept=no in the socket unit"));
            }
            Ok((listener, Side::Public))
        })
        .collect()
}

/// Confines this process, and says how far.
fn shut_in(voice: Voice, require: bool, (memory, ports): (usize, &[u16])) -> Result<(), Failure> {
    let granted = confine::confine(memory, ports);
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
    settings: &Settings,
    mut relay: Relay,
    (listeners, ports): (Vec<(Listener, Side)>, &[u16]),
    tls: Option<Tls>,
) -> Result<(), Failure> {
    let voice = settings.voice;
    // Everything that asks the system for something new comes before the walls.
    let mut urls = Vec::new();
    for (listener, side) in listeners {
        if side == Side::Public {
            urls.push(listener.url(tls.is_some()));
        }
        relay.open(listener, side, tls.clone()).map_err(|why| failed("can't listen", &why))?;
    }
    let heard =
        Mutex::new((Heard::new(SignalKind::terminate())?, Heard::new(SignalKind::interrupt())?));
    // Even if it is ignored, as with nohup, since it ends nothing.
    let hang_up = signal(SignalKind::hangup()).map_err(|why| failed("can't hear signals", &why))?;
    let renewal = tls.zip(settings.tls.clone()).map(|(tls, files)| Renewal::new(tls, files));
    shut_in(voice, settings.require_confinement, (settings.choices.memory, ports))?;

    let renewing = tokio::spawn(keeper::at_hang_up(hang_up, renewal, voice));
    for url in urls {
        speak::setting(URL, &url);
    }
    // The first signal ends the postbox, a second one at once.
    let signalled = || async {
        let (terminate, interrupt) = &mut *heard.lock().await;
        tokio::select! {
            () = terminate.recv() => {}
            () = interrupt.recv() => {}
        }
    };
    let lost = relay.serve(signalled(), signalled()).await;
    renewing.abort();
    #[cfg(feature = "redis")]
    if settings.store.is_some() {
        voice.say("the postbox ends; its packets stay in the store");
        return Ok(());
    }
    match lost {
        0 => voice.say("the postbox ends; 0 packets are lost with it"),
        1 => warn("the postbox ends; 1 packet is lost with it"),
        lost => warn(format_args!("the postbox ends; {lost} packets are lost with it")),
    }
    Ok(())
}

/// A signal, or one that never comes if the starting process made us ignore it.
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

fn failed(what: &str, why: &io::Error) -> Failure {
    Failure::new(Code::Failed, format!("{what}: {why}"), "")
}

const CHAIN: &str = "it takes the certificate, and behind it those of its issuers, in PEM form";
const KEY: &str = "it takes a private key in PEM form, without a passphrase";

impl From<TlsError> for Failure {
    fn from(error: TlsError) -> Self {
        let option = if error.is_key { "--tls-key" } else { "--tls-cert" };
        let hint = match (&error.why, error.is_key) {
            (Unfit::Encrypted, _) => "openssl pkey -in FILE -out PLAIN makes one without",
            (Unfit::Mismatch, _) => "the first certificate in the file is meant",
            (_, true) => KEY,
            (_, false) => CHAIN,
        };
        Self::new(Code::Usage, format!("{option} {}: {error}", error.path.display()), hint)
    }
}
