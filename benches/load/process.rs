//! CPU time of processes.

use std::fs;

/// Microseconds of user and system time of a process with all its threads, or of those of its threads that
/// are left. 0 once it is gone.
pub(crate) fn cpu(pid: &str) -> u64 {
    // Nanoseconds on the processor, where the kernel counts them, by thread; else ticks of a hundredth of a
    // second.
    let each = |path: &std::path::Path| {
        let text = fs::read_to_string(path.join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    };
    let threads = fs::read_dir(format!("/proc/{pid}/task"));
    let exact = threads.ok().and_then(|threads| {
        threads.map_while(Result::ok).map(|thread| each(&thread.path())).sum::<Option<u64>>()
    });
    match exact {
        Some(nanoseconds) => nanoseconds / 1000,
        None => ticks(pid).unwrap_or(0) * 10_000,
    }
}

fn ticks(pid: &str) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut field = || fields.next()?.parse::<u64>().ok();
    Some(field()? + field()?)
}
