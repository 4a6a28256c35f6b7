//! `--cover`: how it is typed, where it is of use, and the thread that posts.

use std::thread::JoinHandle;
use std::time::Duration;

use otr::conversation::{Conversation, Cover, Files, block_on};
use otr::postbox::client::{Client, Patience, Stop};

use crate::failure::{Code, Failure};
use crate::ui::units;
use crate::worker;

/// More often each packet would have to overtake the last one.
pub(crate) const LEAST: Duration = Duration::from_secs(1);

/// The value of the option.
pub(super) fn parse(text: &str) -> Result<Cover, String> {
    let (time, of): (_, fn(Duration) -> Cover) = match text.strip_prefix("constant=") {
        Some(time) => (time, Cover::Constant),
        None => (text, Cover::Mean),
    };
    match units::duration(time)? {
        time if time < LEAST => Err("at least 1s".to_owned()),
        time => Ok(of(time)),
    }
}

/// Refuses it where the postbox sees who calls.
pub(super) fn check(client: &Client, cover: Option<Cover>) -> Result<(), Failure> {
    if cover.is_none() || client.isolates() {
        return Ok(());
    }
    let hint = "without --tor or --proxy the postbox sees who calls: leave --cover out";
    Err(Failure::new(Code::Usage, "--cover would hide nothing", hint))
}

/// A thread that posts, until this is dropped.
pub(super) struct Covering {
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

impl Covering {
    /// Begins it beside what receives, of the session in `files`.
    pub(super) fn start(
        files: &Files,
        lock_wait: Duration,
        client: &Client,
        cover: Cover,
    ) -> Result<Self, Failure> {
        let another = files.another(lock_wait).ok_or_else(|| {
            let what =
                "--cover sends and receives at the same time, and --state-fd is for one of them";
            Failure::new(Code::Usage, what, "keep the session in a file")
        })?;
        let stop = Stop::default();
        let client = client.until_at_once(&stop).lasting(Patience::Brief);
        let thread = worker::start(move || {
            // Who receives finds that the session is over, too, and says so.
            drop(block_on(Conversation::open(another).cover(&client, cover)));
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Covering {
    fn drop(&mut self) {
        self.stop.stop();
        // Without a result; what it was posting goes out with the next command.
        drop(self.thread.take().map(JoinHandle::join));
    }
}
