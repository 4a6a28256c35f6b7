#!/usr/bin/env python3
"""Packets that come out of order or not at all: 4,000 of them in one `otr recv`, whether the cost
grows with their number alone, what the state then weighs, and that of 10,000 the oldest fall out with
a notice. Needs cargo and a /dev/shm. `--runs N`, `--no-save`."""

import argparse
import random
import subprocess
import sys
import time

import measure
from measure import Report, Sessions, median

COUNTS = (500, 1000, 2000, 4000)
KEPT = 4096

options = argparse.ArgumentParser()
options.add_argument("--runs", type=int, default=5)
options.add_argument("--no-save", action="store_true")
args = options.parse_args()

measure.need("cargo")


def recv(sessions, end, packets):
    """Wall seconds of one `recv`, and what it did."""
    command = [word for word in sessions.command(end, "recv") if word != "--quiet"]
    given = b"".join(packets)
    start = time.perf_counter()
    done = subprocess.run(command, input=given, capture_output=True)
    return time.perf_counter() - start, done


def packets(sessions, count):
    """`count` messages of one line each, as packets in text."""
    lines = b"".join(b"message %d\n" % number for number in range(count))
    out = sessions.run("alice", "send", "--lines", given=lines).stdout
    return [line for line in out.splitlines(keepends=True) if line.startswith(b"otr1p:")]


def orders(all_packets):
    """In order, shuffled, and the last one alone (all others skipped)."""
    shuffled = all_packets[:]
    random.Random(1).shuffle(shuffled)
    return {"ordered": all_packets, "shuffled": shuffled, "reversed": all_packets[::-1],
            "skipped": all_packets[-1:]}


with Report("skipped", save=not args.no_save) as report:
    otr = measure.build()
    seconds = {}
    for _ in range(args.runs):
        for count in COUNTS:
            for order in orders([]):
                with Sessions(otr) as sessions:
                    sessions.pair()
                    some = orders(packets(sessions, count))[order]
                    wall, done = recv(sessions, "bob", some)
                    size = sessions.state_size("bob")
                    whole = done.stdout.count(b"\n")
                    if whole != len(some) or done.returncode not in (0, 6):
                        sys.exit(f"{order}: {whole} of {len(some)} messages: {done}")
                seconds.setdefault((order, count), []).append(wall)
                report(f"{order:9} {count:5} packets: {wall:.4f} s, state {size} bytes")
                if order == "skipped" and count == COUNTS[-1]:
                    weight = size
    report()
    for order in orders([]):
        report(f"{order:9} medians: " + ", ".join(
            f"{count}: {median(seconds[order, count]):.4f} s" for count in COUNTS))
    for order in ("ordered", "shuffled", "reversed"):
        per = [median(seconds[order, count]) / count for count in COUNTS]
        # Twice the packets in little more than twice the time, from the second count on: the
        # first has the start of the process in it.
        report.check(f"{order}: a packet of {COUNTS[-1]} takes {per[-1] / per[1]:.2f} x one of "
                     f"{COUNTS[1]} (linear: at most 1.5)", per[-1] / per[1] <= 1.5)
    report.check(f"state with {COUNTS[-1] - 1} skipped: {weight} bytes (under 1 MiB)",
                 weight < 1 << 20)

    with Sessions(otr) as sessions:
        sessions.pair()
        many = packets(sessions, 10_000)
        wall, done = recv(sessions, "bob", many[-1:])
        notice = [line for line in done.stderr.decode().splitlines() if "can no longer be accepted" in line]
        size = sessions.state_size("bob")
        report(f"the last of 10,000: {wall:.4f} s, state {size} bytes, said: {notice}")
        report.check("a notice that the oldest fell out", bool(notice))
        report.check("state under 1 MiB", size < 1 << 20)
        wall, done = recv(sessions, "bob", many[:-1])
        came = done.stdout.decode().splitlines()
        report(f"the others: {wall:.4f} s, {len(came)} came, the first of them '{came[0]}'")
        report.check(f"the newest {KEPT} are kept", len(came) == KEPT
                     and came[0] == f"message {len(many) - 1 - KEPT}")
sys.exit(1 if report.missed else 0)
