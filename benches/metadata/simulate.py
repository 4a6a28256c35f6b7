#!/usr/bin/env python3
"""Makes logs such as `tap.py`'s, of conversations between simulated clients: the one of old, that asks for
all addresses at once, and the one that asks by a schedule, with habits, delays and several relays.

  simulate.py --out FOLDER [--conduct NAME] [--talk dense|sparse] [--pairs N] [--hours H] [--delays] …

Prints what it costs: megabytes and connections a day for each end, and delays of delivery by habit."""

import argparse
import json
import statistics
from dataclasses import fields, replace

from client import AT_ONCE, Conduct
from habits import Talk
from lives import Lives
from world import World

# Two numbers of each chain, the next one soon and the others late, and what is dropped lingers.
SCHEDULE = Conduct(current=2, next=2, soon=10, later=300, linger=300)
# What `otr` does: it searches, too.
OTR = replace(SCHEDULE, ending="held", searches=2, refill=1800)
CONDUCTS = {
    "at once": AT_ONCE,
    "one number": Conduct(),
    "one number, 20 s": Conduct(again=20, soon=20, later=20),
    "two numbers": Conduct(current=2, next=2, soon=10, later=60),
    "schedule": SCHEDULE,
    "closed": replace(SCHEDULE, ending="closed"),
    "held": replace(SCHEDULE, ending="held"),
    "otr": OTR,
    "otr, skipped elsewhere": replace(OTR, skipped_beside=True),
    "discards at once": replace(SCHEDULE, discard=0),
    "posts held 30 s": replace(SCHEDULE, hold=30),
    "cover 60 s": replace(SCHEDULE, cover=60),
    "cover 60 s, constant": replace(SCHEDULE, cover=60, constant=True),
}


def conduct_of(text):
    """A conduct by its name, or by what it has otherwise than a Conduct: again=20,soon=20."""
    if text in CONDUCTS:
        return CONDUCTS[text]
    kinds = {field.name: field.type for field in fields(Conduct)}
    pairs = [each.split("=") for each in text.split(",")]
    return Conduct(**{key: kinds[key](value) for key, value in pairs})


def simulate(folder, conduct, pairs=16, seconds=7200, sparse=True, seed=1, delays=False, relays=1, habits=None,
             codes=None):
    """Writes log.jsonl and truth.jsonl into the folder; returns the cost. With `codes`, conversations begin and end in
    the log, this share of them by a code."""
    world = World(seed, delays, relays)
    for number in range(pairs):
        if codes is None:
            Talk(world, number, conduct, sparse, habits)
        else:
            Lives(world, conduct, codes, habits=habits)
    world.run(seconds)
    world.save(folder, seconds)
    a_day = 86400 / seconds / (2 * pairs)
    cost = {"mb_day": world.bytes / 1e6 * a_day, "connections_day": world.connections * a_day,
            "connections": world.connections, "messages": sum(map(len, world.latencies.values()))}
    for habit, times in sorted(world.latencies.items()):
        times.sort()
        cost[habit] = (statistics.median(times), times[int(0.95 * (len(times) - 1))])
    return cost


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--out", default="simulated")
    options.add_argument("--conduct", default="schedule", help=f"{', '.join(CONDUCTS)}, or such as soon=5,later=60")
    options.add_argument("--talk", choices=("dense", "sparse"), default="sparse")
    options.add_argument("--pairs", type=int, default=16)
    options.add_argument("--hours", type=float, default=2)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--relays", type=int, default=1)
    options.add_argument("--delays", action="store_true", help="as through Tor")
    options.add_argument("--codes", type=float, help="conversations begin and end, this share of them by a code")
    args = options.parse_args()
    cost = simulate(args.out, conduct_of(args.conduct), args.pairs, args.hours * 3600, args.talk == "sparse",
                    args.seed, args.delays, args.relays, codes=args.codes)
    print(json.dumps(cost))


if __name__ == "__main__":
    main()
