"""How much the time between two events says about their being of one end, learnt from the log itself:
how much more often a lag occurs than between events of which one kind was shifted in time."""

import bisect
import math

# Lags from 1 ms to 430 s, each bin half as long again.
EDGES = [0.001 * 1.5 ** step for step in range(33)]
# How often events are shifted to learn what chance does.
SHIFTS = 3


def bin_of(lag):
    return bisect.bisect_left(EDGES, lag)


class Lags:
    """Likelihood ratio of a lag between an event of `before` and one of `after`, which are lists of
    (time, unit); a unit is whatever the events are of."""

    def __init__(self, before, after, window, ends, random):
        self.window, self.before, self.after = window, sorted(before), sorted(after)
        self.times = [at for at, _ in self.after]
        bins = bin_of(window) + 1
        seen = self.count(0.0, bins)
        span = self.times[-1] - self.times[0] if after else 0
        self.ratios = [1.0] * bins
        if before and after and span > 0:
            chance = [0.0] * bins
            for _ in range(SHIFTS):
                shift = random.uniform(1.2 * window + 5, 1.2 * window + 65) * random.choice((-1, 1))
                for at, count in enumerate(self.count(shift, bins)):
                    chance[at] += count / SHIFTS
            self.ratios = [ratio(x, y, ends) for x, y in zip(smooth(seen), smooth(chance))]

    def pairs(self, shift=0.0):
        """(time, lag, unit before, unit after) of each two events within the window."""
        for at, unit in self.before:
            at += shift
            place = bisect.bisect_left(self.times, at)
            while place < len(self.after) and self.times[place] - at <= self.window:
                other = self.after[place][1]
                if other != unit:
                    yield at, self.times[place] - at, unit, other
                place += 1

    def count(self, shift, bins):
        counts = [0.0] * bins
        for _, lag, _, _ in self.pairs(shift):
            counts[min(bin_of(lag), bins - 1)] += 1
        return counts

    def ratio_of(self, lag):
        return self.ratios[min(bin_of(lag), len(self.ratios) - 1)]

    def evidence(self, least):
        """(unit, unit, log of the ratio, time) of the pairs whose lag says more than `least`."""
        logs = [math.log(one) for one in self.ratios]
        telling = [EDGES[min(at, len(EDGES) - 1)] for at, one in enumerate(logs) if one > least]
        if not telling:
            return
        self.window = min(self.window, max(telling))
        for at, lag, unit, other in self.pairs():
            one = logs[min(bin_of(lag), len(logs) - 1)]
            if one > least:
                yield unit, other, one, at


def smooth(counts):
    """Each bin with its neighbours."""
    around = [counts[max(0, at - 1):at + 2] for at in range(len(counts))]
    return [sum(some) / len(some) for some in around]


def ratio(seen, chance, ends):
    """With half a count of doubt, and two standard deviations in favour of chance."""
    if seen <= chance:
        return 1.0
    over = (max(seen - 2.0 * math.sqrt(seen + 1), 0) + 0.5) / (chance + 0.5)
    return 1 + max(0.0, over - 1) * ends
