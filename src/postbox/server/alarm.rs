//! One timer for each connection, whatever it waits for. A wait that begins or ends costs nothing:
//! the timer is set to an earlier time where it has to be, and to a later one only when it has
//! fired.

use hyper::rt::{Sleep as HyperSleep, Timer};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

/// Wakes the task that serves a connection. Tasks that wait at the same time need one each.
#[derive(Clone, Default)]
pub(crate) struct Alarm(Arc<Mutex<Option<Pin<Box<Sleep>>>>>);

impl Alarm {
    /// Ready when `when` has come; until then the task is woken at that time, or earlier.
    pub(crate) fn poll_until(&self, cx: &mut Context<'_>, when: Instant) -> Poll<()> {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sleep = guard.get_or_insert_with(|| Box::pin(sleep_until(when)));
        if sleep.deadline() > when {
            sleep.as_mut().reset(when);
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if Instant::now() >= when {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(when);
        }
        Poll::Pending
    }
}

impl Timer for Alarm {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn HyperSleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: std::time::Instant) -> Pin<Box<dyn HyperSleep>> {
        Box::pin(Until { alarm: self.clone(), when: deadline.into() })
    }
}

/// A sleep that hyper asked for.
struct Until {
    alarm: Alarm,
    when: Instant,
}

impl Future for Until {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.alarm.poll_until(cx, self.when)
    }
}

impl HyperSleep for Until {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    #[tokio::test]
    async fn each_wait_ends_at_its_time_whatever_was_waited_for_before() {
        let (alarm, begin) = (Alarm::default(), Instant::now());
        let after = |milliseconds| begin + Duration::from_millis(milliseconds);
        let look = |when| {
            let alarm = &alarm;
            async move { poll_fn(|cx| Poll::Ready(alarm.poll_until(cx, when).is_ready())).await }
        };
        assert!(!look(after(60_000)).await);
        assert!(!look(after(30_000)).await, "earlier");
        for wait in [20, 40, 10] {
            poll_fn(|cx| alarm.poll_until(cx, after(wait))).await;
            assert!(Instant::now() >= after(wait));
        }
        assert!(!look(after(60_000)).await, "later, after it fired");
        alarm.sleep(Duration::from_millis(5)).await;
        assert!(Instant::now() < after(30_000));
    }
}
