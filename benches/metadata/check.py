#!/usr/bin/env python3
"""What the tests ask: a short simulated log of the schedule, and of clients that do what must not come
back, each judged by both linkers. Prints a JSON object, of each log the bits above the floor that no
schedule removes: a post and the calls for its address are one conversation, whoever asks when."""

import json
import statistics
import tempfile

from judge import judge
from link import Preset, link
from link_more import EVIDENCE, Evidence, link_more
from simulate import conduct_of, simulate
from view import load_both

PRESET = Preset(2, 1.2, 0.7, 0.15)
# Conduct, pairs, seconds, whether talk is sparse, seeds.
LOGS = {
    "schedule, dense": ("schedule", 6, 420, False, (1,)),
    "at once, dense": ("at once", 6, 420, False, (1,)),
    "schedule, sparse": ("schedule", 12, 5400, True, (1, 2, 3)),
    "next number soon, sparse": ("again=1,soon=1,later=1,discard=0", 12, 5400, True, (1,)),
}


def bits(folder, conduct, pairs, seconds, sparse, seed):
    simulate(folder, conduct_of(conduct), pairs, seconds, sparse, seed)
    connections, plates, truth = load_both(folder)
    steps = {}
    old = judge(connections, link(connections, plates, 2 * pairs, PRESET, steps=steps), truth)
    floor = judge(connections, steps["same address"], truth)
    new = [judge(connections, link_more(connections, 2 * pairs, Evidence(parts, alive, -1.5)), truth)["bits"]
           for parts in EVIDENCE[:2] for alive in (4, 8)]
    return {"link": old["bits"] - floor["bits"], "same end": old["end_r"] - floor["end_r"],
            "link_more": max(new) - floor["bits"], "connections": len(connections)}


def mean(folder, conduct, pairs, seconds, sparse, seeds):
    """Of logs that differ by chance alone."""
    some = [bits(folder, conduct, pairs, seconds, sparse, seed) for seed in seeds]
    return {what: statistics.mean(each[what] for each in some) for what in some[0]}


def main():
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps({name: mean(folder, *log) for name, log in LOGS.items()}))


if __name__ == "__main__":
    main()
