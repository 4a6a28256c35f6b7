//! Turns for work that must not hold up others: large bodies, calls that name thousands of records,
//! refusals.
//!
//! One thread serves all, and serves in order what is ready. So a crowd that always has something
//! ready would make each small call wait for all of the crowd, again and again. What may wait takes
//! turns instead: one of it between two looks at the sockets, and everything else in between.

use std::ops::Range;
use tokio::sync::Semaphore;
use tokio::task::yield_now;

/// Records of a call that are looked up at a time: a few dozen microseconds.
pub(crate) const STEP: usize = 128;

/// The queue of those that may wait.
pub(crate) struct Lane(Semaphore);

impl Default for Lane {
    fn default() -> Self {
        Self(Semaphore::new(1))
    }
}

impl Lane {
    /// Waits for the next turn, which is over when the task waits again.
    pub(crate) async fn turn(&self) {
        let first = self.0.acquire().await;
        // The runtime looks at the sockets and serves what is ready before it comes back here.
        yield_now().await;
        drop(first);
    }
}

/// `0..count` in steps; other tasks get their turn at [`between`], which comes before each.
pub(crate) fn steps(count: usize) -> impl Iterator<Item = Range<usize>> {
    (0..count).step_by(STEP).map(move |from| from..count.min(from + STEP))
}

/// Other tasks get their turn before this step, if it isn't the first.
pub(crate) async fn between(step: &Range<usize>) {
    if step.start > 0 {
        yield_now().await;
    }
}

/// Does `work` for `0..count`, in steps between which other tasks get their turn.
pub(crate) async fn in_steps(count: usize, mut work: impl FnMut(Range<usize>)) {
    let mut from = 0;
    while count - from > STEP {
        work(from..from + STEP);
        from += STEP;
        yield_now().await;
    }
    work(from..count);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::rc::Rc;
    use tokio::task::{LocalSet, spawn_local};

    #[tokio::test]
    async fn others_are_served_between_two_turns() {
        let (lane, order) = (Rc::new(Lane::default()), Rc::new(RefCell::new(Vec::new())));
        let tasks = LocalSet::new();
        for n in 0..20 {
            let (lane, order) = (Rc::clone(&lane), Rc::clone(&order));
            tasks.spawn_local(async move {
                lane.turn().await;
                order.borrow_mut().push(n);
                let order = Rc::clone(&order);
                spawn_local(async move { order.borrow_mut().push(100 + n) });
            });
        }
        tasks.await;
        let expected: Vec<i32> = (0..20).flat_map(|n| [n, 100 + n]).collect();
        assert_eq!(*order.borrow(), expected);
    }

    #[tokio::test]
    async fn steps_cover_everything_once() {
        for count in [0, 1, STEP, STEP + 1, 3 * STEP, 3 * STEP + 7] {
            let mut seen = Vec::new();
            in_steps(count, |some| {
                assert!(some.len() <= STEP);
                seen.extend(some);
            })
            .await;
            assert!(seen.into_iter().eq(0..count));
        }
    }
}
