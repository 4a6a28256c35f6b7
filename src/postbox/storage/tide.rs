//! How long a packet that arrives now is kept: the whole time while half of the room is free, and
//! above that no longer than it would take to fill the rest at the rate of recent arrivals. So a
//! flood leaves as quickly as it came, while earlier packets stay their whole time, and packets
//! that come after a flood are kept long again.

/// What arrived this many seconds ago counts e times less than what arrives now.
const LATELY: f64 = 600.0;
/// The shortest time: enough for a waiting receiver to collect it through Tor.
const LEAST: f64 = 60.0;

/// How much has arrived lately.
#[derive(Default)]
pub(crate) struct Tide {
    bytes: f64,
    at: f64,
}

impl Tide {
    /// For how many seconds, `ttl` at most, a packet of `bytes` is kept that arrives at `now` when
    /// `left` of the room is free.
    #[expect(clippy::cast_precision_loss, reason = "a rate need not be exact")]
    pub(crate) fn life(
        &mut self,
        now: f64,
        bytes: usize,
        (left, room): (usize, usize),
        ttl: f64,
    ) -> f64 {
        let passed = (now - self.at).max(0.0);
        self.bytes = self.bytes * (-passed / LATELY).exp() + bytes as f64;
        self.at = now;
        if left >= room / 2 {
            return ttl;
        }
        (left as f64 * LATELY / self.bytes.max(1.0)).max(LEAST).min(ttl)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: f64 = 86_400.0;

    #[test]
    fn a_flood_is_short_lived_and_what_comes_slowly_is_not() {
        let mut tide = Tide::default();
        let mut life = |now, bytes, left| tide.life(now, bytes, (left, 1000), DAY);
        assert!(life(0.0, 500, 500) >= DAY);
        assert!((100.0..400.0).contains(&life(1.0, 250, 250)));
        assert!(life(1.0, 240, 10) <= LEAST);
        // Two hours later, from a room that is still more than half full.
        assert!(life(7_200.0, 1, 400) >= DAY);
        assert!(Tide::default().life(0.0, 900, (1, 1000), 5.0) <= 5.0, "never more than all");
    }
}
