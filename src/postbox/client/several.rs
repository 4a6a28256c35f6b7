//! The calls of a session that has several postboxes: about each packet the one is called at which it lies,
//! or the next in order if that is away.

use std::thread;
use std::time::{Duration, Instant};

use super::error::{Error, Why, pause};
use super::one::One;
use super::patience::{Notice, Patience};
use super::spread::Spread;
use super::{Client, Found, address_of, front};
use crate::postbox::api::{Address, Discard, Key, PacketStatus, Token};

/// How often all are called where none answers: for some seconds, as a single one is.
const ROUNDS: u32 = 4;

/// Which postbox was asked for which tokens, and what came of it.
type Asked = (usize, Vec<Token>, Result<Vec<Found>, Error>);

/// How often none of the postboxes could be called.
struct Rounds {
    since: Instant,
    count: u32,
    is_told: bool,
}

impl Rounds {
    fn new() -> Self {
        Self { since: Instant::now(), count: 0, is_told: false }
    }

    /// This one answers.
    fn over(&self, one: &One) {
        if self.is_told {
            one.tell(Notice::Back(one.host()));
        }
    }
}

impl Client {
    /// Calls the first of these that answers, as long as this client has patience. Says which it was.
    fn anywhere<T>(
        &self,
        spread: &Spread,
        order: impl Fn() -> Vec<usize>,
        mut call: impl FnMut(&One) -> Result<T, Error>,
    ) -> Result<(usize, T), Error> {
        let mut rounds = Rounds::new();
        loop {
            let mut failed: Vec<(usize, Error)> = Vec::new();
            for at in order() {
                let Some(one) = self.all.get(at) else { continue };
                match call(&self.briefly(one)) {
                    Ok(done) => {
                        spread.called(at, true);
                        self.tell_of(spread, &failed);
                        rounds.over(&self.at(one));
                        return Ok((at, done));
                    }
                    Err(error) if error.is_of_one() && !self.is_stopped() => {
                        self.failed(spread, at, &error);
                        failed.push((at, error));
                    }
                    Err(error) => return Err(error),
                }
            }
            // Whoever may wait for room has to know that there is none; an outage may end.
            let weight = |error: &Error| match error.why() {
                Why::Full => 2,
                why => u8::from(why.may_end()),
            };
            let Some((_, error)) = failed.into_iter().max_by_key(|(_, error)| weight(error)) else {
                return Err(Error::new(self.host(), Why::Nonsense));
            };
            self.goes_on(&mut rounds, error)?;
        }
    }

    /// Notes that a postbox cannot be called, if that is what the error says.
    fn failed(&self, spread: &Spread, at: usize, error: &Error) {
        if error.why().may_end() && !self.is_stopped() {
            spread.called(at, false);
        }
    }

    /// Tells whom it concerns that these are away while another one is not.
    fn tell_of(&self, spread: &Spread, failed: &[(usize, Error)]) {
        for (at, error) in failed {
            if self.trying.listener.is_some()
                && spread.is_news(*at)
                && let Some(one) = self.all.get(*at)
            {
                self.at(one).tell(Notice::Instead(error));
            }
        }
    }

    /// Pauses before all are called once more, since none could be.
    ///
    /// # Errors
    /// This one, if the patience is at its end.
    fn goes_on(&self, rounds: &mut Rounds, error: Error) -> Result<(), Error> {
        let is_brief = rounds.count < ROUNDS && error.why().may_pass();
        let lasts = is_brief || self.trying.patience.lasts(rounds.since);
        let is_over = !lasts || self.is_stopped();
        let Some(one) = self.all.first().filter(|_| error.why().may_end() && !is_over) else {
            return Err(error);
        };
        rounds.count += 1;
        if rounds.count > 1 && !rounds.is_told {
            rounds.is_told = true;
            self.at(one).tell(Notice::Unreachable(&error));
        }
        self.pause(pause(rounds.count, error.why()).map_err(|why| one.error(why))?);
        Ok(())
    }

    /// One of the postboxes, where another one may be called instead.
    fn briefly(&self, one: &One) -> One {
        self.lasting(Patience::Short).at(one)
    }

    /// The same, if it was not away a moment ago.
    fn at_once_or_none(&self, spread: &Spread, at: usize) -> Option<One> {
        self.all.get(at).filter(|_| !spread.is_away(at)).map(|one| self.briefly(one))
    }

    pub(super) fn post_spread<P: AsRef<[u8]>>(
        &self,
        spread: &Spread,
        packets: &[P],
    ) -> Result<Vec<usize>, Error> {
        let (mut begin, mut refused) = (0, Vec::new());
        while let Some(first) = packets.get(begin) {
            let address = front(first.as_ref());
            let order = spread.order(&address);
            let goes_along = |packet: &&P| spread.order(&front(packet.as_ref())) == order;
            let count = 1 + packets[begin + 1..].iter().take_while(goes_along).count();
            let some = &packets[begin..begin + count];
            let (at, too_large) = self.anywhere(
                spread,
                || spread.order(&address),
                |one| {
                    let posted = one.post_fitting(some);
                    self.doubt(
                        spread,
                        one,
                        some.iter().map(|packet| front(packet.as_ref())),
                        &posted,
                    );
                    posted
                },
            )?;
            for packet in some {
                spread.note(&front(packet.as_ref()), at);
            }
            refused.extend(too_large.into_iter().map(|nth| begin + nth));
            begin += count;
        }
        Ok(refused)
    }

    pub(super) fn post_framed_spread(
        &self,
        spread: &Spread,
        framed: &mut [u8],
        may_wait: bool,
    ) -> Result<(), Error> {
        let address = front(framed.get(1..).unwrap_or_default());
        let order = || spread.order(&address);
        let (at, ()) = self.anywhere(spread, order, |one| {
            let posted = one.post_framed(framed, may_wait);
            self.doubt(spread, one, [address], &posted);
            posted
        })?;
        spread.note(&address, at);
        Ok(())
    }

    /// Notes which packets may lie at this postbox although it did not say so.
    fn doubt<T>(
        &self,
        spread: &Spread,
        one: &One,
        addresses: impl IntoIterator<Item = Address>,
        posted: &Result<T, Error>,
    ) {
        let at = self.all.iter().position(|other| other.is(one));
        if let (Some(at), Err(error)) = (at, posted)
            && error.is_doubtful()
        {
            addresses.into_iter().for_each(|address| spread.may_lie(&address, at));
        }
    }

    pub(super) fn collect_spread(
        &self,
        spread: &Spread,
        tokens: &[Token],
        wait: Duration,
    ) -> Result<Vec<Found>, Error> {
        if let ([token], true) = (tokens, self.isolates()) {
            let (begun, order) = (Instant::now(), || spread.order(&address_of(token)));
            let (at, found) = self.anywhere(spread, order, |one| {
                one.collect(tokens, wait.saturating_sub(begun.elapsed()))
            })?;
            return Ok(noted(spread, at, found));
        }
        if wait.is_zero() {
            return self.collect_anywhere(spread, tokens, Vec::new());
        }
        let found = self.collect_first(spread, tokens, wait)?;
        if self.is_stopped() {
            return Ok(found);
        }
        // What was posted before may lie elsewhere, where nothing waits for it.
        let place = |one: &Found| tokens.iter().position(|token| *token == one.token);
        let before = found.iter().filter_map(place).max().unwrap_or(tokens.len());
        self.collect_anywhere(spread, &tokens[..before], found)
    }

    /// What lies at any place of each token, with what was `found` already, in order.
    fn collect_anywhere(
        &self,
        spread: &Spread,
        tokens: &[Token],
        mut found: Vec<Found>,
    ) -> Result<Vec<Found>, Error> {
        let mut missing = tokens.to_vec();
        for nth in 0..self.all.len() {
            missing.retain(|token| found.iter().all(|one| one.token != *token));
            found.extend(self.collect_each(spread, &missing, nth)?);
        }
        found.sort_by_key(|one| {
            tokens.iter().position(|token| *token == one.token).unwrap_or(usize::MAX)
        });
        Ok(found)
    }

    /// What lies at the nth place of each token; at the first one's, until each was asked for somewhere.
    fn collect_each(
        &self,
        spread: &Spread,
        tokens: &[Token],
        nth: usize,
    ) -> Result<Vec<Found>, Error> {
        let (mut rounds, mut found) = (Rounds::new(), Vec::new());
        let mut left = tokens.to_vec();
        while !left.is_empty() {
            let (mut failed, mut why) = (Vec::new(), None);
            for (at, group, asked) in self.ask_all(spread, self.groups(spread, &left, nth), nth > 0)
            {
                match asked {
                    Ok(some) => {
                        spread.called(at, true);
                        found.extend(noted(spread, at, some));
                    }
                    Err(error) if error.is_of_one() && !self.is_stopped() => {
                        // Whatever it is: the next one is asked.
                        spread.called(at, false);
                        failed.extend(group);
                        why = Some((at, error));
                    }
                    Err(error) => return Err(error),
                }
            }
            left = failed;
            if nth > 0 {
                break;
            }
            if let Some((_, error)) = why.filter(|_| spread.all_away()) {
                self.goes_on(&mut rounds, error)?;
            }
        }
        Ok(found)
    }

    /// Asks all postboxes at the same time for these tokens, by postbox; if `spares`, those alone that were not
    /// away.
    fn ask_all(&self, spread: &Spread, groups: Vec<Vec<Token>>, spares: bool) -> Vec<Asked> {
        let asked = groups
            .into_iter()
            .enumerate()
            .filter(|(at, group)| !(group.is_empty() || spares && spread.is_away(*at)));
        thread::scope(|scope| {
            let calls: Vec<_> = asked
                .filter_map(|(at, group)| {
                    let one = self.briefly(self.all.get(at)?);
                    Some(scope.spawn(move || {
                        let found = if spares {
                            peek(&one, &group)
                        } else {
                            one.collect(&group, Duration::ZERO)
                        };
                        (at, group, found)
                    }))
                })
                .collect();
            calls.into_iter().filter_map(|call| call.join().ok()).collect()
        })
    }

    /// The first that comes at the first place of each token.
    fn collect_first(
        &self,
        spread: &Spread,
        tokens: &[Token],
        wait: Duration,
    ) -> Result<Vec<Found>, Error> {
        let mut rounds = Rounds::new();
        let until = rounds.since + wait.min(self.longest_wait());
        loop {
            let groups = self.groups(spread, tokens, 0);
            match spread.ears.wait(&groups, until, || self.is_stopped()) {
                Ok((at, found)) => {
                    if !found.is_empty() {
                        spread.called(at, true);
                    }
                    return Ok(noted(spread, at, found));
                }
                Err((at, error)) if error.is_of_one() && !self.is_stopped() => {
                    spread.called(at, false);
                    if spread.all_away() {
                        self.goes_on(&mut rounds, error)?;
                    } else {
                        self.tell_of(spread, &[(at, error)]);
                    }
                }
                Err((_, error)) => return Err(error),
            }
        }
    }

    /// The tokens by the postbox that is the nth of each.
    fn groups(&self, spread: &Spread, tokens: &[Token], nth: usize) -> Vec<Vec<Token>> {
        let mut groups = vec![Vec::new(); self.all.len()];
        for token in tokens {
            let order = spread.order(&address_of(token));
            if let Some(group) = order.get(nth).and_then(|at| groups.get_mut(*at)) {
                group.push(*token);
            }
        }
        groups
    }

    pub(super) fn collect_beside(
        &self,
        spread: &Spread,
        token: &Token,
        nth: usize,
    ) -> Result<Vec<Found>, Error> {
        let others = self.all.len().saturating_sub(1).max(1);
        // Mostly at the second in order.
        let place = if nth.is_multiple_of(2) { 1 } else { 1 + nth / 2 % others };
        let at = spread.order(&address_of(token)).get(place).copied().unwrap_or_default();
        let Some(one) = self.at_once_or_none(spread, at) else { return Ok(Vec::new()) };
        let found = peek(&one, &[*token]).inspect_err(|error| self.failed(spread, at, error))?;
        spread.called(at, true);
        Ok(noted(spread, at, found))
    }

    pub(super) fn discard_spread(
        &self,
        spread: &Spread,
        records: &[[u8; Discard::SIZE]],
    ) -> Result<Vec<[u8; Discard::SIZE]>, Error> {
        match self.discard_some(spread, records) {
            (done, Some(error)) if done.is_empty() && spread.all_away() => Err(error),
            (done, _) => Ok(done),
        }
    }

    pub(super) fn discard_all_spread(
        &self,
        spread: &Spread,
        records: &[[u8; Discard::SIZE]],
    ) -> Result<(), Error> {
        self.discard_some(spread, records).1.map_or(Ok(()), Err)
    }

    /// Which of them were discarded, and why not all.
    fn discard_some(
        &self,
        spread: &Spread,
        records: &[[u8; Discard::SIZE]],
    ) -> (Vec<[u8; Discard::SIZE]>, Option<Error>) {
        let (mut done, mut why) = (Vec::new(), None);
        for (at, one) in self.all.iter().enumerate() {
            let is_here =
                |record: &&[u8; Discard::SIZE]| spread.lies(&address_of(&front(*record))) == at;
            let some: Vec<_> = records.iter().filter(is_here).copied().collect();
            if some.is_empty() {
                continue;
            }
            let Some(called) = self.at_once_or_none(spread, at) else {
                why = why.or_else(|| Some(one.error(Why::Slow)));
                continue;
            };
            match called.discard(&some) {
                Ok(()) => {
                    spread.called(at, true);
                    for record in &some {
                        spread.forget(&address_of(&front(record)));
                    }
                    done.extend(some);
                }
                Err(error) => {
                    self.failed(spread, at, &error);
                    why = Some(error);
                }
            }
        }
        (done, why)
    }

    pub(super) fn gone_spread(
        &self,
        spread: &Spread,
        addresses: &[Address],
        wait: Duration,
    ) -> Result<Vec<PacketStatus>, Error> {
        let mut statuses = vec![PacketStatus::Unknown; addresses.len()];
        let mut why = None;
        for nth in 0..self.all.len() {
            for (at, one) in self.all.iter().enumerate() {
                let is_here = |address: &Address| spread.all_of(address).get(nth) == Some(&at);
                let some: Vec<usize> = (0..addresses.len())
                    .filter(|n| statuses[*n] == PacketStatus::Unknown && is_here(&addresses[*n]))
                    .collect();
                if some.is_empty() {
                    continue;
                }
                let asked: Vec<Address> = some.iter().map(|n| addresses[*n]).collect();
                let told = match nth {
                    0 => self.at(one).gone(
                        &asked,
                        if asked.len() == addresses.len() { wait } else { Duration::ZERO },
                    ),
                    _ => self.briefly(one).gone(&asked, Duration::ZERO),
                };
                match told {
                    Ok(told) => some.iter().zip(told).for_each(|(n, status)| statuses[*n] = status),
                    Err(error) => why = Some(error),
                }
            }
        }
        for (status, address) in statuses.iter_mut().zip(addresses) {
            // A copy may have been taken from where it was not known to lie.
            let elsewhere = spread.doubts(address).into_iter().filter_map(|at| self.all.get(at));
            let mut told = elsewhere.map(|one| self.briefly(one).gone(&[*address], Duration::ZERO));
            if *status == PacketStatus::Held
                && told.any(|told| told.is_ok_and(|told| told == [PacketStatus::Collected]))
            {
                *status = PacketStatus::Collected;
            }
        }
        match why {
            // It may lie where nobody answers.
            Some(error) if statuses.contains(&PacketStatus::Unknown) => Err(error),
            _ => Ok(statuses),
        }
    }

    pub(super) fn revealed_spread(
        &self,
        spread: &Spread,
        addresses: &[Address],
    ) -> Result<Vec<(Address, Key)>, Error> {
        let (mut keys, mut why, mut answered) = (Vec::<(Address, Key)>::new(), None, false);
        for nth in 0..self.all.len() {
            for (at, one) in self.all.iter().enumerate() {
                let is_missing = |address: &Address| keys.iter().all(|(of, _)| of != address);
                let of = |address: &&Address| {
                    spread.order(address).get(nth) == Some(&at) && is_missing(address)
                };
                let some: Vec<Address> = addresses.iter().filter(of).copied().collect();
                if some.is_empty() {
                    continue;
                }
                match self.briefly(one).revealed(&some) {
                    Ok(told) => {
                        answered = true;
                        keys.extend(told);
                    }
                    Err(error) => why = Some(error),
                }
            }
        }
        match why {
            Some(error) if !answered => Err(error),
            _ => Ok(keys),
        }
    }
}

/// What lies under these tokens at a postbox where nothing should lie: it learns the tokens of what is there, and of
/// others the addresses alone.
fn peek(one: &One, tokens: &[Token]) -> Result<Vec<Found>, Error> {
    let addresses: Vec<Address> = tokens.iter().map(address_of).collect();
    let statuses = one.gone(&addresses, Duration::ZERO);
    // The circuit ends with the answer.
    for address in &addresses {
        one.forget(address);
    }
    let statuses = statuses?;
    let held = tokens.iter().zip(statuses).filter(|(_, status)| *status == PacketStatus::Held);
    let held: Vec<Token> = held.map(|(token, _)| *token).collect();
    if held.is_empty() { Ok(Vec::new()) } else { one.collect(&held, Duration::ZERO) }
}

/// Remembers where these were found.
fn noted(spread: &Spread, at: usize, found: Vec<Found>) -> Vec<Found> {
    for one in &found {
        spread.note(&address_of(&one.token), at);
    }
    found
}
