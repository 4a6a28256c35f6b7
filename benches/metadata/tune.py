#!/usr/bin/env python3
"""Judges each conduct of a client fairly: both linkers are tuned for it on the log of one seed, in the
attacker's favour, and what the best preset then finds in logs of other seeds is what counts.

  tune.py [--talk dense|sparse] [--delays] [--relays N] [--seeds N …] [CONDUCT …]

Saved in docs/measurements/ unless --no-save."""

import argparse
import pathlib
import shutil
import statistics
import sys
import tempfile

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))
import measure  # noqa: E402
from judge import judge  # noqa: E402
from link import Preset, link_each  # noqa: E402
from link_more import EVIDENCE, Evidence, link_more_each  # noqa: E402
from simulate import CONDUCTS, conduct_of, simulate  # noqa: E402
from view import load_both, of_relays  # noqa: E402

PRESETS = [Preset(*each) for each in (
    (2, 1.2, .7, .15), (2, 2, .7, .15), (3, 2, .7, .15), (3, 3, .3, .15), (2, 2, .7, .05), (4, 3, 0, .1),
    (3, 2.5, 1.5, .3), (2, 2, 1.5, .3))]
# For real logs, beside those.
REAL_PRESETS = [Preset(1.5, 1.0, .7, .15), Preset(1, .5, .3, .1)]
# Talk → pairs, seconds.
SIZES = {"dense": (24, 420), "sparse": (16, 7200)}


def evidence_presets(alive=(4, 8, 16)):
    return [Evidence(parts, most, margin) for parts in EVIDENCE for most in alive for margin in (-3, -1.5, 0)]


class Judged:
    """A conduct's log, linked by both linkers with each of their presets."""

    def __init__(self, folder, conduct, args, seed, presets=None, evidences=None):
        pairs, seconds = SIZES[args.talk]
        self.cost = simulate(folder, conduct, args.pairs or pairs, args.seconds or seconds, args.talk == "sparse",
                             seed, args.delays, args.relays)
        connections, plates, truth = load_both(folder)
        connections, truth = of_relays(connections, truth, folder, range(args.watched))
        ends = len(set(truth.values()))
        steps = list(link_each(connections, plates, ends, presets or PRESETS))
        self.old = [judge(connections, each["+ turns"], truth) for each in steps]
        self.floor = judge(connections, steps[0]["same address"], truth)["bits"]
        self.new = [judge(connections, each, truth)
                    for each in link_more_each(connections, ends, evidences or evidence_presets())]


def best(results):
    return max(range(len(results)), key=lambda at: results[at]["bits"])


def compare(name, conduct, args, folder):
    """One line of the table."""
    tuned = Judged(folder, conduct, args, args.seeds[0])
    old, new = best(tuned.old), best(tuned.new)
    evidence = evidence_presets()[new]
    others = [Judged(folder, conduct, args, seed, [PRESETS[old]], [evidence]) for seed in args.seeds[1:]]
    costs = [each.cost for each in (tuned, *others)]
    delays = ", ".join(f"{habit} {statistics.mean(cost[habit][0] for cost in costs if habit in cost):.1f}/"
                       f"{statistics.mean(cost[habit][1] for cost in costs if habit in cost):.0f}"
                       for habit in ("follow", "loop", "turns", "cron") if any(habit in cost for cost in costs))
    bits = [f"{kind} {getattr(tuned, kind)[at]['bits']:.2f}, then "
            + " ".join(f"{getattr(each, kind)[0]['bits']:.2f}" for each in others)
            for kind, at in (("old", old), ("new", new))]
    return (f"{name:<22} of {tuned.old[0]['of']:.2f} | floor " + " ".join(f"{each.floor:.2f}" for each in (tuned, *others))
            + f" | {' | '.join(bits)} ({evidence}) | {statistics.mean(cost['mb_day'] for cost in costs):.1f} MB, "
            f"{statistics.mean(cost['connections_day'] for cost in costs):.0f} connections | {delays}")


def main():
    options = argparse.ArgumentParser()
    options.add_argument("names", nargs="*", default=[])
    options.add_argument("--talk", choices=SIZES, default="sparse")
    options.add_argument("--pairs", type=int)
    options.add_argument("--seconds", type=int)
    options.add_argument("--delays", action="store_true")
    options.add_argument("--relays", type=int, default=1)
    options.add_argument("--watched", type=int, default=1, help="how many of the relays work together")
    options.add_argument("--seeds", type=int, nargs="+", default=[5, 6, 7])
    options.add_argument("--no-save", action="store_true")
    args = options.parse_args()
    folder = tempfile.mkdtemp(prefix="otr-metadata-")
    name = f"metadata-simulated-{args.talk}{'-delays' if args.delays else ''}"
    name += f"-{args.watched}-of-{args.relays}" if args.relays > 1 else ""
    try:
        with measure.Report(name, save=not args.no_save) as report:
            report("bits: the best preset on the first seed, then the same on the others; delays: median/95 % in s")
            for each in args.names or CONDUCTS:
                report(compare(each, conduct_of(each), args, folder))
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
