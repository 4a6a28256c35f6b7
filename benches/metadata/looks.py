#!/usr/bin/env python3
"""What it costs to search for packets beyond lost ones, for people who look with `recv --all` now and then.

  looks.py [--looks SECONDS] [--habits HABIT,…] [--hours H] [--pairs N] [--seeds N …] -- CONDUCT …

A conduct is what it has otherwise than the schedule, such as searches=2,most=16,refill=1800, or "none". Of each log the
best preset of `link_more.py` is judged twice: over all connections, and over those that do not search, since most
searches are for addresses that are never named again, and hide the others in the count."""

import argparse
import json
import shutil
import statistics
import tempfile
from dataclasses import replace

import habits
from judge import judge
from link import link_each
from link_more import link_more_each
from simulate import SCHEDULE, simulate
from tune import PRESETS, evidence_presets
from view import load_both


def conduct_of(text):
    """`otr`'s, with these changes."""
    conduct = replace(SCHEDULE, ending="held")
    if text == "none":
        return conduct
    pairs = (each.split("=") for each in text.split(","))
    return replace(conduct, **{key: type(getattr(conduct, key))(value) for key, value in pairs})


def judged(folder, conduct, args, seed):
    """The bits over the connections that do not search and their floor, the same over all, connections a day."""
    cost = simulate(folder, conduct, args.pairs, args.hours * 3600, True, seed, habits=args.habits.split(","))
    connections, plates, truth = load_both(folder)
    searches = {one["c"] for one in map(json.loads, open(f"{folder}/truth.jsonl")) if one["search"]}
    others = {number: end for number, end in truth.items() if number not in searches}
    ends = len(set(truth.values()))
    answers = list(link_more_each(connections, ends, evidence_presets((8, 16))))
    same = next(link_each(connections, plates, ends, PRESETS[:1]))["same address"]
    bits = [figure for true in (others, truth) for figure in (
        max(judge(connections, answer, true)["bits"] for answer in answers), judge(connections, same, true)["bits"])]
    return (*bits, cost["connections_day"])


def main():
    options = argparse.ArgumentParser()
    options.add_argument("conducts", nargs="+")
    options.add_argument("--looks", type=float, default=600)
    options.add_argument("--habits", default="cron")
    options.add_argument("--hours", type=float, default=2)
    options.add_argument("--pairs", type=int, default=16)
    options.add_argument("--seeds", type=int, nargs="+", default=[5, 6, 7, 8])
    args = options.parse_args()
    habits.LOOKS = args.looks
    for text in args.conducts:
        folder = tempfile.mkdtemp(prefix="otr-metadata-")
        try:
            rows = [judged(folder, conduct_of(text), args, seed) for seed in args.seeds]
        finally:
            shutil.rmtree(folder)
        mean, floor, _, floor_of_all, connections = (statistics.mean(column) for column in zip(*rows))
        print(f"{text:<32} a look in {args.looks:.0f} s | " + " ".join(f"{row[0]:.2f}" for row in rows)
              + f", mean {mean:.2f}, floor {floor:.2f} | of all connections "
              + " ".join(f"{row[2]:.2f}" for row in rows) + f", floor {floor_of_all:.2f} | {connections:.0f} connections",
              flush=True)


if __name__ == "__main__":
    main()
