//! `otr postbox`: serves a blind postbox.

mod keeper;
mod serve;
#[cfg(feature = "redis")]
mod store;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use otr::postbox::secret;
use otr::postbox::server::{BadChoice, Choices, FULL_BITS, Files, MAX_BITS};

use super::hidden;
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::process;
use crate::ui::units;
use serve::Settings;
pub(super) use serve::url_said;

/// Serves a postbox: holds sealed packets in memory until they are collected, knows nothing of
/// what they say, and keeps no record of who or when.
#[derive(Args)]
pub(crate) struct Postbox {
    /// Where to listen: ADDRESS:PORT or unix:PATH; again for more [default: 127.0.0.1:7363, or
    /// what systemd hands over]
    #[arg(long, value_name = "ADDRESS")]
    listen: Vec<String>,
    /// How long a packet that nobody discards is kept
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = units::duration)]
    ttl: Duration,
    /// The memory cap, for packets, calls and connections together; what would pass it is refused
    #[arg(long, value_name = "SIZE", default_value = "256M", value_parser = units::length)]
    memory: usize,
    /// The largest packet that is taken
    #[arg(long, value_name = "SIZE", default_value = "1M", value_parser = units::length)]
    max_packet: usize,
    /// The most work that a post has to show where the postbox is crowded, in zero bits; each doubles
    /// it, and 0 asks for none
    #[arg(
        long,
        value_name = "BITS",
        default_value_t = FULL_BITS,
        value_parser = clap::value_parser!(u8).range(..=i64::from(MAX_BITS))
    )]
    work: u8,
    /// Takes packets from those alone who have the secret in FILE, which 'otr init --post-secret'
    /// puts into the invite; anyone with a packet's token collects it without
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    post_secret: Option<PathBuf>,
    /// Certificate chain for TLS (PEM); read again at SIGHUP, with the key
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Private key for TLS (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Serves /healthz and /metrics (totals only) here and nowhere else: ADDRESS:PORT or unix:PATH
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<String>,
    #[cfg(feature = "redis")]
    #[command(flatten)]
    store: store::StoreArgs,
    /// Fails where the kernel has no Landlock or no seccomp
    #[arg(long)]
    require_confinement: bool,
    /// End with the process of this number, which started this one
    #[arg(long, hide = true, value_name = "PID")]
    with_parent: Option<u32>,
    /// Shuts itself in, tries to write, read, run and connect, prints what came of it, and exits
    #[arg(long)]
    show_confinement: bool,
}

impl Postbox {
    /// Serves until SIGTERM or SIGINT.
    pub(crate) fn run(self, context: &Context) -> Result<(), Failure> {
        let voice = context.voice;
        #[cfg(feature = "redis")]
        let store = self.store.choices(context.origins.was_typed("store"))?;
        if self.show_confinement {
            return serve::show_confinement(
                (voice, self.require_confinement, self.memory),
                #[cfg(feature = "redis")]
                store.as_ref(),
            );
        }
        if let Some(parent) = self.with_parent {
            process::end_with_parent(parent);
        }
        let mut choices = Choices {
            ttl: self.ttl,
            memory: self.memory,
            max_packet: self.max_packet,
            work: self.work,
            post_secret: None,
        };
        choices.check().map_err(unserved)?;
        let secret = self.post_secret.as_deref().map(hidden::post_secret).transpose()?;
        choices.post_secret = secret.map(|secret| secret::hash(&secret));
        serve::run(&Settings {
            listen: self.listen,
            admin: self.admin,
            tls: (self.tls_cert.zip(self.tls_key))
                .map(|(certificate, key)| Files { certificate, key }),
            require_confinement: self.require_confinement,
            voice,
            choices,
            #[cfg(feature = "redis")]
            store,
        })
    }
}

/// `otr keep-certificate`, hidden: reads the two files for the postbox that started it.
#[derive(Args)]
pub(crate) struct KeepCertificate {
    certificate: PathBuf,
    key: PathBuf,
}

impl KeepCertificate {
    /// Answers until the postbox ends.
    pub(crate) fn run(self) -> Result<(), Failure> {
        keeper::keep(&Files { certificate: self.certificate, key: self.key })
    }
}

/// The option that is out of its bounds.
fn unserved(bad: BadChoice) -> Failure {
    let what = match bad {
        BadChoice::Ttl => "--ttl is at least 1s".into(),
        BadChoice::Memory => "--memory is at least 8M".into(),
        BadChoice::MaxPacket => "--max-packet is between 4K and 1M".into(),
        // clap has checked --work.
        other => other.to_string(),
    };
    Failure::new(Code::Usage, what, "see 'otr postbox --help'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_that_help_names_is_the_one_that_is_used() {
        use super::serve::DEFAULT_LISTEN;
        let command = Postbox::augment_args(clap::Command::new("postbox"));
        let help = { command }.render_long_help().to_string();
        assert!(help.contains(DEFAULT_LISTEN), "{help}");
    }
}
