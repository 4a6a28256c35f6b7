#!/usr/bin/env python3
"""A long stream through both ends, beside age in the same run, and against what the machine allows.

    head -c 1G /dev/zero | otr send --raw | otr recv > /dev/null
    head -c 1G /dev/zero | age -e -r KEY  | age -d -i FILE > /dev/null

Needs age, cargo, and a /dev/shm. `--runs N` (of each, in turns), `--size BYTES`, `--long BYTES`
(for the memory of a long stream; 0: not), `--no-fast`, `--no-save`."""

import argparse
import os
import subprocess
import sys
import tempfile

import measure
from measure import Pipeline, Report, Sessions, median

MIB = 1 << 20
GIB = 1 << 30

options = argparse.ArgumentParser()
options.add_argument("--runs", type=int, default=9)
options.add_argument("--size", type=int, default=GIB)
options.add_argument("--long", type=int, default=16 * GIB)
options.add_argument("--no-fast", action="store_true")
options.add_argument("--no-save", action="store_true")
args = options.parse_args()

measure.need("age", "age-keygen", "head", "cat", "cargo")


def age_commands(folder):
    path = os.path.join(folder, "key")
    subprocess.run(["age-keygen", "-o", path], check=True, capture_output=True)
    key = subprocess.run(["age-keygen", "-y", path], check=True, capture_output=True, text=True)
    return [["age", "-e", "-r", key.stdout.strip()], ["age", "-d", "-i", path]]


def otr_commands(sessions):
    sessions.pair()
    return [sessions.command("alice", "send", "--raw"), sessions.command("bob", "recv")]


def tell(report, name, run):
    ends = " + ".join(f"{cpu:.3f}" for cpu in run.cpu)
    rss = ", ".join(f"{kib / 1024:.1f}" for kib in run.rss)
    report(f"{name:14} wall {run.wall:.3f} s, CPU {sum(run.cpu):.3f} s ({ends}), RSS {rss} MiB")


with Report("stream", save=not args.no_save) as report:
    builds = {"otr": measure.build()}
    bench = {"otr": measure.rust_bench("aead")}
    if not args.no_fast:
        builds["otr fast-aead"] = measure.build("fast-aead")
        bench["otr fast-aead"] = measure.rust_bench("aead", "fast-aead")
    for name, result in bench.items():
        report(f"AEAD alone, {name}: 1 GiB sealed and opened on one core: "
               + ", ".join(f"{s:.3f}" for s in result["seconds"]) + " s")

    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        pairs = {name: Sessions(otr) for name, otr in builds.items()}
        try:
            commands = {name: otr_commands(pair.__enter__()) for name, pair in pairs.items()}
            commands["age"] = age_commands(folder)
            commands["cat"] = [["cat"], ["cat"]]
            for each in commands.values():
                Pipeline(64 * MIB, each)
            runs = {name: [] for name in commands}
            for _ in range(args.runs):
                for name, each in commands.items():
                    runs[name].append(Pipeline(args.size, each))
                    tell(report, name, runs[name][-1])
            report()
            report(f"medians of {args.runs} runs, {args.size / GIB:g} GiB")
            wall = {name: median(run.wall for run in each) for name, each in runs.items()}
            cpu = {name: median(sum(run.cpu) for run in each) for name, each in runs.items()}
            rss = {name: max(max(run.rss) for run in each) for name, each in runs.items()}
            for name in runs:
                report(f"{name:14} wall {wall[name]:.3f} s, CPU {cpu[name]:.3f} s, "
                       f"largest RSS {rss[name] / 1024:.1f} MiB")
            for name in builds:
                fast = name != "otr"
                report.ratio(f"{name} / age, wall", wall[name], wall["age"], 0.7 if fast else 0.9)
                report.ratio(f"{name} / age, CPU", cpu[name], cpu["age"], 0.7 if fast else 1.1)
                aead = median(bench[name]["seconds"]) * args.size / GIB
                # What two cores must do at least. head is one of those who share them.
                head = median(run.feeder for run in runs["cat"])
                for what, must in [("cat", cpu["cat"]), ("head and cat", head + cpu["cat"])]:
                    limit = (aead + must) / 2
                    report(f"       limit on two cores: ({aead:.3f} AEAD + {must:.3f} {what}) / 2"
                           f" = {limit:.3f} s")
                    report.ratio(f"{name} / limit, wall", wall[name], limit, 1.25)
                report.check(f"{name}: RSS {rss[name] / 1024:.1f} MiB (under 24)",
                             rss[name] < 24 * 1024)
            if args.long:
                for name in [*builds, "age"]:
                    run = Pipeline(args.long, commands[name])
                    tell(report, name, run)
                    if name != "age":
                        report.check(f"{name}: RSS at {args.long / GIB:g} GiB (under 24 MiB)",
                                     max(run.rss) < 24 * 1024)
        finally:
            for pair in pairs.values():
                pair.__exit__()
sys.exit(1 if report.missed else 0)
