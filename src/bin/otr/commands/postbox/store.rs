//! The options that name a store for packets, and the store that they name.

use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use otr::postbox::server::{BadStore, SECRET, SharedChoices, StoreAlarm, StoreUrl};
use zeroize::Zeroizing;

use crate::commands::hidden;
use crate::failure::{Code, Failure};
use crate::ui::speak::warn;

/// A store for packets
#[derive(Args)]
pub(super) struct StoreArgs {
    /// Holds packets in this Redis or Valkey, which other postboxes may share, instead of its own
    /// memory: redis://HOST:PORT, redis+cluster://HOST:PORT,… or redis+sentinel://HOST:PORT,…/MASTER;
    /// rediss for TLS
    #[arg(long, value_name = "URL", env = "OTR_STORE", hide_env_values = true)]
    store: Option<String>,
    /// The secret of all postboxes with this store, 32 bytes that nobody else may read
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    store_secret: Option<PathBuf>,
    /// The store's password, if it is not in `OTR_STORE`
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    store_password_file: Option<PathBuf>,
    /// Certificates to trust for the store's TLS (PEM)
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    store_ca: Option<PathBuf>,
    /// Says that a packet is stored when this many of the store's replicas have it, too
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    replicas: u8,
    /// Takes a store that writes packets to a disk
    #[arg(long)]
    allow_persistence: bool,
}

impl StoreArgs {
    /// The store that was chosen; `typed` if the URL stands on the command line.
    pub(super) fn choices(self, typed: bool) -> Result<Option<SharedChoices>, Failure> {
        let usage = |what: &'static str, hint| Err(Failure::new(Code::Usage, what, hint));
        let Some(url) = self.store.filter(|url| !url.is_empty()).map(Zeroizing::new) else {
            let others = [&self.store_secret, &self.store_password_file, &self.store_ca];
            if others.iter().any(|other| other.is_some()) || self.replicas > 0 {
                return usage("there is no store", "name one with --store URL or OTR_STORE");
            }
            return Ok(None);
        };
        let url = StoreUrl::parse(&url).map_err(|why| Failure::new(Code::Usage, why, ""))?;
        if typed && url.has_password() {
            return usage(
                "a password in the arguments is seen by all on this machine",
                "give it with --store-password-file FILE, or the whole URL in OTR_STORE",
            );
        }
        let Some(secret) = &self.store_secret else {
            return usage(
                "a store needs the secret of its postboxes",
                "give it with --store-secret FILE; (umask 077; head -c 32 /dev/urandom > FILE) makes one",
            );
        };
        let authorities = match (&self.store_ca, url.is_tls()) {
            (Some(path), _) => Some(std::fs::read(path).map_err(|why| unread(path, &why))?),
            (None, true) => {
                return usage("TLS to a store needs its authority", "give it with --store-ca FILE");
            }
            (None, false) => None,
        };
        Ok(Some(SharedChoices {
            url,
            secret: read_secret(secret)?,
            password: self.store_password_file.as_deref().map(password).transpose()?,
            authorities,
            replicas: self.replicas,
            allow_persistence: self.allow_persistence,
            alarm: tell,
        }))
    }
}

fn unread(path: &Path, why: &std::io::Error) -> Failure {
    Failure::new(Code::Usage, format!("can't read {}: {why}", path.display()), "").about(path)
}

fn read_secret(path: &Path) -> Result<Zeroizing<[u8; SECRET]>, Failure> {
    let mode =
        File::open(path).and_then(|file| file.metadata()).map_err(|why| unread(path, &why))?;
    // A credential that systemd hands over may be read by a group of its own making.
    if mode.permissions().mode() & 0o037 != 0 {
        let what = format!("others may read the store's secret in {}", path.display());
        return Err(Failure::new(Code::Usage, what, "chmod 600 FILE").about(path));
    }
    let bytes = hidden::read("store's secret", Some(path), None)?.unwrap_or_default();
    let secret = <[u8; SECRET]>::try_from(&bytes[..]).map(Zeroizing::new);
    secret.map_err(|_| {
        let what = format!("the store's secret has {} bytes, not {SECRET}", bytes.len());
        let hint = "(umask 077; head -c 32 /dev/urandom > FILE) makes one";
        Failure::new(Code::Usage, what, hint).about(path)
    })
}

fn password(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let bytes = hidden::read("store's password", Some(path), None)?.unwrap_or_default();
    match str::from_utf8(bytes.trim_ascii_end()) {
        Ok(text) if !text.is_empty() => Ok(Zeroizing::new(text.to_owned())),
        _ => {
            let what = "the store's password is empty, or no text";
            Err(Failure::new(Code::Usage, what, "is it the right file?").about(path))
        }
    }
}

/// Says what is wrong with a store in use.
fn tell(alarm: &StoreAlarm) {
    let hint = match alarm {
        StoreAlarm::Unfit(why) => hint(why),
        StoreAlarm::Restarted(_) => "let a replica take over before a master is started again",
        StoreAlarm::Clock(_) => "set both by NTP",
        _ => "",
    };
    if hint.is_empty() {
        warn(alarm);
    } else {
        warn(format_args!("{alarm}; {hint}"));
    }
}

fn hint(why: &BadStore) -> &'static str {
    match why {
        BadStore::NoAddress(_) | BadStore::Name => "see --store",
        BadStore::Authorities => "--store-ca takes one certificate or more, in PEM form",
        BadStore::Unreachable => "is it running, and is the port right?",
        BadStore::Old(..) => "use Redis 7 or Valkey",
        BadStore::Unbounded(_) => "set maxmemory, to less than the machine has",
        BadStore::Evicts(..) => "set maxmemory-policy noeviction",
        BadStore::Persists(_, setting) => match *setting {
            "repl-diskless-sync" => {
                "set repl-diskless-sync yes, or take it as it is with --allow-persistence"
            }
            "repl-diskless-load" => {
                "set repl-diskless-load swapdb, or take it as it is with --allow-persistence"
            }
            _ => "set save \"\" and appendonly no, or take it as it is with --allow-persistence",
        },
        BadStore::Clock(..) => "set both by NTP",
        BadStore::Unknown(_) => {
            "let the postbox's user call CONFIG GET, or take it as it is with --allow-persistence"
        }
        _ => "",
    }
}

impl From<BadStore> for Failure {
    fn from(why: BadStore) -> Self {
        let hint = hint(&why);
        Self::new(Code::Failed, format!("can't use the store: {why}"), hint)
    }
}
