//! What can be asked for.

use std::time::Duration;

use clap::Parser;

/// For how long it runs where nothing else is said.
const TIME: Duration = Duration::from_secs(10);

/// Conversations with think time at one postbox or several with one store
#[derive(Clone, Debug, Parser)]
#[command(name = "load")]
pub(crate) struct Options {
    /// Postboxes: http://HOST:PORT; with several, a packet is posted at another one than where it is
    /// waited for
    #[arg(required = true)]
    pub(crate) urls: Vec<String>,
    /// Conversations at the same time; each has one who waits
    #[arg(long, default_value_t = 32)]
    pub(crate) conversations: usize,
    /// For how long: 10, or with --count and --leave as long as it takes
    #[arg(long)]
    pub(crate) seconds: Option<f64>,
    /// Ends when this many packets are through, all counted
    #[arg(long)]
    pub(crate) count: Option<u64>,
    /// Posts this many packets and leaves them there, for nobody waits
    #[arg(long, conflicts_with = "count")]
    pub(crate) leave: Option<u64>,
    /// Seconds before each answer, on average; exponentially distributed
    #[arg(long, default_value_t = 0.0)]
    pub(crate) think: f64,
    /// Sizes of packets with their shares, such as 4096:90,16384:10
    #[arg(long, default_value = "4096", value_parser = sizes)]
    pub(crate) sizes: Sizes,
    /// Seconds that a call to collect waits
    #[arg(long, default_value_t = 25)]
    pub(crate) wait: u64,
    /// Seconds after which the status of a packet is asked that was posted and has not come
    #[arg(long, default_value_t = 5.0)]
    pub(crate) patience: f64,
    /// Seconds for which a call is tried again, before it is given up
    #[arg(long, default_value_t = 60.0)]
    pub(crate) give_up: f64,
    /// Posts a packet again that is unknown, as its sender can; it is counted as lost all the same
    #[arg(long)]
    pub(crate) repost: bool,
    /// Processes whose CPU time is measured
    #[arg(long = "pid", value_name = "NAME=PID,…", value_parser = pids)]
    pub(crate) pids: Vec<Pids>,
    /// What cargo bench adds
    #[arg(long, hide = true)]
    pub(crate) bench: bool,
}

impl Options {
    /// For how long.
    pub(crate) fn duration(&self) -> Duration {
        let is_counted = self.count.or(self.leave).is_some();
        self.seconds.map_or(if is_counted { Duration::MAX } else { TIME }, Self::time)
    }

    /// A time that was given in seconds.
    pub(crate) fn time(seconds: f64) -> Duration {
        Duration::try_from_secs_f64(seconds).unwrap_or_default()
    }
}

/// Sizes of packets, each as often as its share says.
#[derive(Clone, Debug)]
pub(crate) struct Sizes(Vec<(usize, u64)>);

impl Sizes {
    /// The size that a random number stands for.
    pub(crate) fn choose(&self, random: u64) -> usize {
        let mut at = random % self.0.iter().map(|(_, share)| share).sum::<u64>();
        for &(size, share) in &self.0 {
            if at < share {
                return size;
            }
            at -= share;
        }
        otr::postbox::api::MIN_PACKET
    }
}

fn sizes(text: &str) -> Result<Sizes, String> {
    let one = |part: &str| {
        let (size, share) = part.split_once(':').unwrap_or((part, "1"));
        let (size, share) = (size.parse::<usize>().ok()?, share.parse().ok()?);
        let fits = size.is_power_of_two()
            && (otr::postbox::api::MIN_PACKET..=otr::postbox::api::MAX_PACKET).contains(&size);
        (fits && share > 0).then_some((size, share))
    };
    let all: Option<Vec<_>> = text.split(',').map(one).collect();
    all.map(Sizes)
        .ok_or_else(|| "a packet has a power of two from 4096 to 1048576 bytes".to_owned())
}

/// Processes with one name.
#[derive(Clone, Debug)]
pub(crate) struct Pids {
    pub(crate) name: String,
    pub(crate) ids: Vec<u32>,
}

fn pids(text: &str) -> Result<Pids, String> {
    let (name, ids) = text.split_once('=').ok_or("NAME=PID,PID")?;
    let ids: Result<_, _> = ids.split(',').map(str::parse).collect();
    Ok(Pids { name: name.to_owned(), ids: ids.map_err(|_| "NAME=PID,PID")? })
}
