#!/usr/bin/env python3
"""What a whole process costs: `echo hi | otr send` and `otr recv` of that packet, in the middle of a
chain, beside `age -e -r KEY` for the same input and `true`, in turns. Needs age, cargo, a /dev/shm.
`--runs N`, `--no-save`.

A process is started with posix_spawn(3), which on Linux does not copy this script's page tables, and
measured from there until it was waited for. Input is a file in memory, output goes to one."""

import argparse
import os
import subprocess
import sys
import tempfile
import time

import measure
from measure import Report, Sessions, median

options = argparse.ArgumentParser()
options.add_argument("--runs", type=int, default=400)
options.add_argument("--no-save", action="store_true")
args = options.parse_args()

measure.need("age", "age-keygen", "true", "cargo")


def timed(command, path, given, taken):
    """Wall and CPU seconds of one process, stdin from the file `given`, stdout to `taken`."""
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, given, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, taken, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
    ]
    start = time.perf_counter()
    pid = os.posix_spawn(path, command, os.environ, file_actions=actions)
    _, status, usage = os.wait4(pid, 0)
    wall = time.perf_counter() - start
    if status:
        sys.exit(f"{command}: status {status}")
    return wall, usage.ru_utime + usage.ru_stime


with Report("startup", save=not args.no_save) as report, \
        tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
    otr = measure.build()
    with Sessions(otr) as sessions:
        sessions.pair()
        key = os.path.join(folder, "key")
        subprocess.run(["age-keygen", "-o", key], check=True, capture_output=True)
        recipient = subprocess.run(["age-keygen", "-y", key], check=True, capture_output=True,
                                   text=True).stdout.strip()
        hi, packet, out = (os.path.join(folder, name) for name in ("hi", "packet", "out"))
        with open(hi, "w") as file:
            file.write("hi\n")
        commands = {
            "true": (["true"], hi, out),
            "age -e -r": (["age", "-e", "-r", recipient], hi, out),
            "otr send": (sessions.command("alice", "send"), hi, packet),
            "otr recv": (sessions.command("bob", "recv"), packet, out),
        }
        paths = {name: measure.shutil.which(command[0]) for name, (command, *_) in commands.items()}
        # A conversation that goes one way alone would have its queue of keys to publish grow: let
        # bob send one now and then, which is not measured.
        walls, cpus = {name: [] for name in commands}, {name: [] for name in commands}
        for run in range(args.runs + 10):
            if run % 8 == 0:
                back = sessions.run("bob", "send", given=b"hi\n").stdout
                sessions.run("alice", "recv", given=back)
                first = sessions.run("alice", "send", given=b"hi\n").stdout
                sessions.run("bob", "recv", given=first)
            for name, (command, given, taken) in commands.items():
                wall, cpu = timed(command, paths[name], given, taken)
                if run >= 10:
                    walls[name].append(wall * 1e3)
                    cpus[name].append(cpu * 1e3)
            if open(out).read() != "hi\n":
                sys.exit("recv did not write what send read")
        report("milliseconds of wall, each run in turn: " + ", ".join(commands))
        for row in zip(*walls.values()):
            report(" ".join(f"{value:.3f}" for value in row))
        report()
        report(f"medians of {args.runs} runs")
        for name in commands:
            ordered = sorted(walls[name])
            report(f"{name:10} wall {median(ordered):.3f} ms (quartiles "
                   f"{ordered[len(ordered) // 4]:.3f} {ordered[len(ordered) * 3 // 4]:.3f}), "
                   f"CPU {median(cpus[name]):.3f} ms")
        for name in ("otr send", "otr recv"):
            report.ratio(f"{name} / age -e, wall", median(walls[name]),
                         median(walls["age -e -r"]), 0.5)
sys.exit(1 if report.missed else 0)
