//! The room for waiting calls. When it is full, the call that takes the most memory ends as if its
//! time were over, and among equals the one that has waited longest; its caller may ask again. So a
//! caller that asks for little always gets in, however many others wait and for however much.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The call that takes the most is first, then the one that came first.
type Order = (Reverse<usize>, u64);

/// All seats.
pub(crate) struct Room {
    seats: usize,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    next: u64,
    seated: BTreeMap<Order, Arc<Notify>>,
}

/// The seat of a waiting call.
pub(crate) struct Seat<'a> {
    room: &'a Room,
    order: Order,
    notify: Arc<Notify>,
}

impl Room {
    pub(crate) fn new(seats: usize) -> Self {
        Self { seats, inner: Mutex::default() }
    }

    /// A seat for a call that takes `bytes`, while `left` bytes are free; `None` if all waiting
    /// calls take less. A call that is asked to go frees its memory a moment later.
    pub(crate) fn enter(&self, bytes: usize, mut left: usize) -> Option<Seat<'_>> {
        let mut inner = self.lock();
        while inner.seated.len() >= self.seats || bytes > left {
            let most = inner.seated.first_entry().filter(|entry| entry.key().0.0 >= bytes)?;
            let ((Reverse(freed), _), notify) = most.remove_entry();
            left += freed;
            notify.notify_one();
        }
        let (order, notify) = ((Reverse(bytes), inner.next), Arc::new(Notify::new()));
        inner.next += 1;
        inner.seated.insert(order, Arc::clone(&notify));
        Some(Seat { room: self, order, notify })
    }

    /// If most of the seats are taken, asks one call in sixteen to go; says whether any does.
    pub(crate) fn thin(&self) -> bool {
        let mut inner = self.lock();
        let go = inner.seated.len().div_ceil(16);
        if inner.seated.len() < self.seats * 3 / 4 {
            return false;
        }
        for _ in 0..go {
            if let Some((_, notify)) = inner.seated.pop_first() {
                notify.notify_one();
            }
        }
        true
    }

    /// How many calls wait.
    pub(crate) fn len(&self) -> usize {
        self.lock().seated.len()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat<'_> {
    /// Waits until another call needs the seat.
    pub(crate) async fn needed(&self) {
        self.notify.notified().await;
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.room.lock().seated.remove(&self.order);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future as _;
    use std::pin::pin;
    use std::task::{Context, Waker};

    fn goes(seat: &Seat<'_>) -> bool {
        pin!(seat.needed()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn who_takes_most_makes_room_and_then_who_waited_longest() {
        let room = Room::new(3);
        let enter = |bytes, left| room.enter(bytes, left);
        let (much, little, more) =
            (enter(400, 1000).unwrap(), enter(10, 600).unwrap(), enter(500, 590).unwrap());
        let last = enter(10, 90).unwrap();
        assert!(goes(&more) && !goes(&much) && !goes(&little));
        drop(more);
        assert_eq!(room.len(), 3);
        assert!(enter(500, 1000).is_none(), "no call takes as much");
        let _again = (enter(10, 1000).unwrap(), enter(10, 1000).unwrap());
        assert!(goes(&much) && goes(&little) && !goes(&last), "in this order");
        drop((much, little));
        assert!(enter(11, 10).is_none() && enter(9, 8).is_some(), "for memory, too");
        assert!(goes(&last));
        drop(last);
        assert_eq!(room.len(), 2);
    }

    #[test]
    fn some_go_where_most_seats_are_taken() {
        let room = Room::new(32);
        let mut seats: Vec<_> = (0..23).map(|_| room.enter(10, 1000)).collect();
        assert!(!room.thin());
        seats.push(room.enter(10, 1000));
        assert!(room.thin());
        let gone: Vec<bool> = seats.iter().flatten().map(goes).collect();
        assert!(gone.iter().zip(0..).all(|(gone, nth)| *gone == (nth < 2)), "{gone:?}");
    }
}
