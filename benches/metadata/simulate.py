#!/usr/bin/env python3
"""Makes logs such as `tap.py`'s, of conversations between simulated clients: the one of old, that asks for
all addresses at once, and the one that asks by a schedule, with habits, delays and several relays.

  simulate.py --out FOLDER [--conduct NAME] [--talk dense|sparse] [--pairs N] [--hours H] [--delays] …

Prints what it costs: megabytes and connections a day for each end, and delays of delivery by habit."""

import argparse
import json
import statistics

from client import AT_ONCE, Conduct
from habits import Talk
from world import World

CONDUCTS = {
    "at once": AT_ONCE,
    "schedule": Conduct(current=2, next=2, soon=10, later=60),
    "one number": Conduct(),
    "one number, 20 s": Conduct(again=20, soon=20, later=20),
    "closed": Conduct(current=2, next=2, soon=10, later=60, ending="closed"),
    "held": Conduct(current=2, next=2, soon=10, later=60, ending="held"),
    "discards at once": Conduct(current=2, next=2, soon=10, later=60, discard=0),
    "a post held 30 s": Conduct(current=2, next=2, soon=10, later=60, hold=30),
    "cover 60 s": Conduct(current=2, next=2, soon=10, later=60, cover=60),
    "cover 60 s, constant": Conduct(current=2, next=2, soon=10, later=60, cover=60, constant=True),
}


def simulate(folder, conduct, pairs=16, seconds=7200, sparse=True, seed=1, delays=False, relays=1, habits=None):
    """Writes log.jsonl and truth.jsonl into the folder; returns the cost."""
    world = World(seed, delays, relays)
    for number in range(pairs):
        Talk(world, number, conduct, sparse, habits)
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
    options.add_argument("--conduct", choices=CONDUCTS, default="schedule")
    options.add_argument("--talk", choices=("dense", "sparse"), default="sparse")
    options.add_argument("--pairs", type=int, default=16)
    options.add_argument("--hours", type=float, default=2)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--relays", type=int, default=1)
    options.add_argument("--delays", action="store_true", help="as through Tor")
    args = options.parse_args()
    cost = simulate(args.out, CONDUCTS[args.conduct], args.pairs, args.hours * 3600, args.talk == "sparse",
                    args.seed, args.delays, args.relays)
    print(json.dumps(cost))


if __name__ == "__main__":
    main()
