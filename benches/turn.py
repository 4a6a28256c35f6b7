#!/usr/bin/env python3
"""A turn of the ratchet (one packet out and back, both ends' work) beside vodozemac's Olm, in the
same run. Ours has an ML-KEM-768 in each step and theirs none. Needs cargo, and once the network for
benches/vodozemac. `--runs N`, `--no-save`."""

import argparse
import subprocess
import sys

import json

import measure
from measure import ROOT, Report, median

options = argparse.ArgumentParser()
options.add_argument("--runs", type=int, default=5)
options.add_argument("--no-save", action="store_true")
args = options.parse_args()

measure.need("cargo")


def vodozemac():
    manifest = ROOT / "benches" / "vodozemac" / "Cargo.toml"
    command = ["cargo", "run", "--release", "--locked", "--quiet", "--manifest-path", str(manifest)]
    command += ["--target-dir", str(ROOT / "target" / "bench-vodozemac")]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(out.splitlines()[-1])


with Report("turn", save=not args.no_save) as report:
    measure.rust_bench("turn"), vodozemac()
    ours, theirs = [], []
    for _ in range(args.runs):
        for name, run, all_runs in [("otr", lambda: measure.rust_bench("turn"), ours),
                                    ("vodozemac", vodozemac, theirs)]:
            result = run()
            all_runs.append(result)
            report(f"{name:10} " + ", ".join(
                f"{part} {median(result[part]):.1f}" for part in ("turn", "seal", "open"))
                + " microseconds, rounds of the turn: "
                + " ".join(f"{value:.1f}" for value in result["turn"]))
    report()
    turn = [median(median(run["turn"]) for run in runs) for runs in (ours, theirs)]
    report(f"median of {args.runs} runs: otr {turn[0]:.1f}, vodozemac {turn[1]:.1f} microseconds")
    report.ratio("otr / vodozemac, a turn", *turn, 1.5)
sys.exit(1 if report.missed else 0)
