#!/usr/bin/env python3
"""What the tests ask: a short simulated log of the schedule, and of clients that do what must not come
back, each judged by both linkers. Prints a JSON object, of each log the bits above the floor that no
schedule removes: a post and the calls for its address are one conversation, whoever asks when."""

import json
import statistics
import tempfile

from judge import handshakes, judge
from link import Preset, link
from link_more import EVIDENCE, Evidence, link_more, link_more_each
from simulate import conduct_of, simulate
from view import load_both, of_relays, without_searches

PRESET = Preset(2, 1.2, 0.7, 0.15)
FLAW = "again=1,soon=1,later=1,discard=0"
# Conduct, pairs, seconds, whether talk is sparse, seeds, relays.
LOGS = {
    "schedule, dense": ("otr", 6, 420, False, (1,), 1),
    "at once, dense": ("at once", 6, 420, False, (1,), 1),
    "schedule, sparse": ("otr", 12, 5400, True, (1, 2), 1),
    "next number soon, sparse": (FLAW, 12, 5400, True, (1,), 1),
    "schedule, one of two": ("otr", 12, 5400, True, (4,), 2),
    "next number soon, one of two": (FLAW, 12, 5400, True, (4,), 2),
}
# Conversations that begin by a code and end: conducts.
HANDSHAKES = {"handshakes": "otr", "handshakes without pauses": f"{FLAW},pause=0"}


def bits(folder, conduct, pairs, seconds, sparse, seed, relays):
    simulate(folder, conduct_of(conduct), pairs, seconds, sparse, seed, relays=relays)
    connections, plates, truth = load_both(folder)
    connections, truth = without_searches(*of_relays(connections, truth, folder, [0]))
    ends, steps = len(set(truth.values())), {}
    old = judge(connections, link(connections, plates, ends, PRESET, steps=steps), truth)
    floor = judge(connections, steps["same address"], truth)
    new = [judge(connections, link_more(connections, ends, Evidence(parts, alive, -1.5)), truth)["bits"]
           for parts in EVIDENCE[:2] for alive in (4, 8)]
    return {"link": old["bits"] - floor["bits"], "same end": old["end_r"] - floor["end_r"],
            "link_more": max(new) - floor["bits"], "connections": len(connections)}


def mean(folder, conduct, pairs, seconds, sparse, seeds, relays):
    """Of logs that differ by chance alone."""
    some = [bits(folder, conduct, pairs, seconds, sparse, seed, relays) for seed in seeds]
    return {what: statistics.mean(each[what] for each in some) for what in some[0]}


def met(folder, conduct):
    """Of conversations that begin by codes, with a linker that is told which reply belongs to which invite: the share of
    handshakes after which it finds the first packet as what is posted at once; and the bits."""
    simulate(folder, conduct_of(conduct), 8, 4500, seed=1, codes=1)
    connections, plates, truth = load_both(folder)
    connections, truth = without_searches(connections, truth)
    ends = len(set(truth.values()))
    at_once, more = link_more_each(connections, ends, [Evidence(("greeting at once",), 8, -1.5),
                                                       Evidence(("succession", "death", "greeting"), 8, -1.5)], plates)
    first = handshakes(at_once.addresses)
    return {"first packet": first["first"] / first["of"], "handshakes": first["of"],
            "link_more": judge(connections, more, truth)["bits"]}


def main():
    with tempfile.TemporaryDirectory() as folder:
        found = {name: mean(folder, *log) for name, log in LOGS.items()}
        found.update({name: met(folder, conduct) for name, conduct in HANDSHAKES.items()})
        print(json.dumps(found))


if __name__ == "__main__":
    main()
