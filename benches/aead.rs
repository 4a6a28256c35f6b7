//! How long the AEAD alone takes for a stream: every packet of 2^20 bytes sealed and opened, on one
//! core, through the same functions as the protocol. Prints JSON: the CPU seconds of each run.

use std::hint::black_box;

use otr::protocol::crypto::primitives::{open, seal};
use otr::protocol::packet::{BODY_START, K_MAX, size};
use rustix::time::{ClockId, clock_gettime};

const RUNS: usize = 5;
const PACKETS: usize = 1024;

fn main() -> Result<(), &'static str> {
    let key = [7; 32];
    let mut packet = vec![0; size(K_MAX)];
    let mut seconds = Vec::new();
    for _ in 0..RUNS {
        let start = cpu();
        for _ in 0..PACKETS {
            let (front, body) = packet.split_at_mut(BODY_START);
            seal(black_box(&key), front, body);
            open(black_box(&key), front, body).map_err(|_| "what was sealed does not open")?;
        }
        seconds.push(cpu() - start);
    }
    write(&format!("{{\"seconds\": {seconds:?}}}\n"))
}

/// CPU seconds of this process: what the machine does beside it does not count.
#[expect(clippy::cast_precision_loss, reason = "a run takes far below 2^52 ns")]
fn cpu() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn write(text: &str) -> Result<(), &'static str> {
    use std::io::Write;
    std::io::stdout().write_all(text.as_bytes()).map_err(|_| "stdout is closed")
}
