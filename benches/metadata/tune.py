#!/usr/bin/env python3
"""Judges each conduct of a client fairly: both linkers are tuned for it on the log of one seed, in the
attacker's favour, and what the best preset then finds in logs of other seeds is what counts.

  tune.py [CONDUCT …] [--talk dense|sparse] [--delays] [--relays N] [--codes SHARE] [--seeds N …]

With --codes, conversations begin and end during the log, this share of them by a code; then it is also judged what is
linked with handshakes, and of codes what somebody finds who is told which reply belongs to which invite.

Saved in docs/measurements/ unless --no-save."""

import argparse
import pathlib
import shutil
import statistics
import sys
import tempfile

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))
import measure  # noqa: E402
from judge import handshakes, judge  # noqa: E402
from link import Preset, link_each  # noqa: E402
from link_more import EVIDENCE, LIVES_EVIDENCE, Evidence, link_more_each  # noqa: E402
from simulate import CONDUCTS, conduct_of, simulate  # noqa: E402
from view import load_both, of_relays, without_searches  # noqa: E402

PRESETS = [Preset(*each) for each in (
    (2, 1.2, .7, .15), (2, 2, .7, .15), (3, 2, .7, .15), (3, 3, .3, .15), (2, 2, .7, .05), (4, 3, 0, .1),
    (3, 2.5, 1.5, .3), (2, 2, 1.5, .3))]
# For real logs, beside those.
REAL_PRESETS = [Preset(1.5, 1.0, .7, .15), Preset(1, .5, .3, .1)]
# Talk → pairs, seconds.
SIZES = {"dense": (24, 420), "sparse": (16, 7200)}


def evidence_presets(alive=(4, 8, 16), some=EVIDENCE, margins=(-3, -1.5, 0)):
    return [Evidence(parts, most, margin) for parts in some for most in alive for margin in margins]


def presets_for(args):
    """With --quick a quarter of them: those that won most often."""
    some = EVIDENCE if args.codes is None else LIVES_EVIDENCE
    return evidence_presets((8,), some, (-3, -1.5)) if args.quick else evidence_presets(some=some)


class Log:
    """A simulated log of a conduct."""

    def __init__(self, folder, conduct, args, seed):
        pairs, seconds = SIZES[args.talk]
        self.cost = simulate(folder, conduct, args.pairs or pairs, args.seconds or seconds, args.talk == "sparse",
                             seed, args.delays, args.relays, codes=args.codes)
        connections, self.plates, truth = load_both(folder)
        some = of_relays(connections, truth, folder, range(args.watched))
        self.connections, self.truth = without_searches(*some)


class Judged:
    """A log, linked by both linkers with each of their presets; `told` about codes or not."""

    def __init__(self, log, told, presets, evidences):
        self.cost, plates, truth = log.cost, log.plates if told else [], log.truth
        ends = len(set(truth.values()))
        steps = list(link_each(log.connections, plates, ends, presets))
        self.old = [judge(log.connections, each["+ turns"], truth) for each in steps]
        self.floor = judge(log.connections, steps[0]["same address"], truth)["bits"]
        answers = list(link_more_each(log.connections, ends, evidences, plates))
        self.new = [judge(log.connections, each, truth) for each in answers]
        self.handshakes = [handshakes(each.addresses) for each in answers]


def best(results):
    return max(range(len(results)), key=lambda at: results[at]["bits"])


def compare(name, conduct, args, folder):
    """Lines of the table."""
    logs = (Log(folder, conduct, args, seed) for seed in args.seeds)
    tellings = [(False, "")] if not args.codes else [(False, ", not told"), (True, ", told")]
    presets, all_of = presets_for(args), {}
    for nth, log in enumerate(logs):
        for told, _ in tellings:
            some = all_of.setdefault(told, [])
            if nth == 0:
                some.append(Judged(log, told, PRESETS[:2] if args.quick else PRESETS, presets))
            else:
                old, new = best(some[0].old), best(some[0].new)
                some.append(Judged(log, told, [PRESETS[old]], [presets[new]]))
    for told, telling in tellings:
        yield row(name + telling, all_of[told], presets)
        if args.codes is not None:
            new = best(all_of[told][0].new)
            some = [each.handshakes[at] for each, at in zip(all_of[told], [new] + [0] * len(all_of[told][1:]))]
            yield ("    handshakes: the first packet found " + " ".join(f"{each['first']}/{each['of']}" for each in some)
                   + "; of the conversation's addresses found " + " ".join(f"{each['share']:.3f}" for each in some)
                   + ", of those found right " + " ".join(f"{each['right']:.2f}" for each in some))


def row(name, judged, presets):
    tuned, *others = judged
    costs = [each.cost for each in judged]
    delays = ", ".join(f"{habit} {statistics.mean(cost[habit][0] for cost in costs if habit in cost):.1f}/"
                       f"{statistics.mean(cost[habit][1] for cost in costs if habit in cost):.0f}"
                       for habit in ("follow", "loop", "turns", "cron") if any(habit in cost for cost in costs))
    bits = [f"{kind} {getattr(tuned, kind)[at]['bits']:.2f}, then "
            + " ".join(f"{getattr(each, kind)[0]['bits']:.2f}" for each in others)
            for kind, at in (("old", best(tuned.old)), ("new", best(tuned.new)))]
    return (f"{name:<22} of {tuned.old[0]['of']:.2f} | floor " + " ".join(f"{each.floor:.2f}" for each in judged)
            + f" | {' | '.join(bits)} ({presets[best(tuned.new)]}) | {statistics.mean(cost['mb_day'] for cost in costs):.1f} MB, "
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
    options.add_argument("--codes", type=float)
    options.add_argument("--seeds", type=int, nargs="+", default=[5, 6, 7])
    options.add_argument("--quick", action="store_true", help="fewer presets")
    options.add_argument("--no-save", action="store_true")
    args = options.parse_args()
    folder = tempfile.mkdtemp(prefix="otr-metadata-")
    name = f"metadata-simulated-{args.talk}{'-delays' if args.delays else ''}"
    name += f"-lives-{args.codes:.0%}".replace("%", "") if args.codes is not None else ""
    name += f"-{args.watched}-of-{args.relays}" if args.relays > 1 else ""
    try:
        with measure.Report(name, save=not args.no_save) as report:
            report(f"bits: the best of {'some presets' if args.quick else 'the presets'} on the first seed, then the same on the others; delays: median/95 % in s")
            for each in args.names or CONDUCTS:
                for line in compare(each, conduct_of(each), args, folder):
                    report(line)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
