//! Numbers of messages, remembered as runs: what came, came mostly in order.

use std::collections::BTreeMap;

/// A set of numbers below the largest, as runs of which no two touch.
#[derive(Clone, Default)]
pub(crate) struct Runs(BTreeMap<u64, u64>);

impl Runs {
    /// How many runs there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// First and last of each run, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().map(|(&first, &last)| (first, last))
    }

    /// Whether any number from `first` to `last` is among them.
    pub(crate) fn overlaps(&self, first: u64, last: u64) -> bool {
        self.0.range(..=last).next_back().is_some_and(|(_, &end)| end >= first)
    }

    pub(crate) fn contains(&self, number: u64) -> bool {
        self.overlaps(number, number)
    }

    /// Adds all from `first` to `last`.
    pub(crate) fn insert(&mut self, mut first: u64, mut last: u64) {
        // Runs that it touches become one with it.
        while let Some((&start, &end)) = self.0.range(..=last.saturating_add(1)).next_back()
            && end.saturating_add(1) >= first
        {
            self.0.remove(&start);
            (first, last) = (first.min(start), last.max(end));
        }
        self.0.insert(first, last);
    }

    /// Forgets all below `floor`.
    pub(crate) fn remove_below(&mut self, floor: u64) {
        let above = self.0.split_off(&floor);
        let across = self.0.values().next_back().copied().filter(|&last| last >= floor);
        self.0 = above;
        if let Some(last) = across {
            self.0.insert(floor, last);
        }
    }

    /// The runs from `first` to `last` of what is not among them.
    pub(crate) fn gaps(&self, first: u64, last: u64) -> Vec<(u64, u64)> {
        let mut gaps = Vec::new();
        let mut next = first;
        for (start, end) in self.iter().filter(|&(start, end)| end >= first && start <= last) {
            if start > next {
                gaps.push((next, start - 1));
            }
            next = end.saturating_add(1);
        }
        if next <= last {
            gaps.push((next, last));
        }
        gaps
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::Runs;

    /// The runs of these numbers, found by looking at each.
    fn runs(numbers: impl Iterator<Item = u64>) -> Vec<(u64, u64)> {
        let mut runs: Vec<(u64, u64)> = Vec::new();
        for number in numbers {
            match runs.last_mut().filter(|(_, last)| *last + 1 == number) {
                Some((_, last)) => *last = number,
                None => runs.push((number, number)),
            }
        }
        runs
    }

    proptest! {
        #[test]
        fn runs_are_those_of_the_set(
            acts in proptest::collection::vec((0..30_u64, 0..8_u64, 0..5), 0..40),
            first in 0..35_u64,
            length in 0..20_u64,
        ) {
            let (mut ours, mut set) = (Runs::default(), BTreeSet::new());
            for (from, more, act) in acts {
                if act == 0 {
                    ours.remove_below(from / 2);
                    set.retain(|&number| number >= from / 2);
                } else {
                    ours.insert(from, from + more);
                    set.extend(from..=from + more);
                }
                prop_assert_eq!(ours.iter().collect::<Vec<_>>(), runs(set.iter().copied()));
                prop_assert_eq!(ours.len(), ours.iter().count());
            }
            let range = first..=first + length;
            prop_assert_eq!(ours.contains(first), set.contains(&first));
            prop_assert_eq!(
                ours.overlaps(first, first + length),
                range.clone().any(|number| set.contains(&number))
            );
            let missing = range.filter(|number| !set.contains(number));
            prop_assert_eq!(ours.gaps(first, first + length), runs(missing));
        }
    }
}
