#!/usr/bin/env python3
"""1,000 short messages through a postbox on loopback: by `otr rpc` on both sides, each message
acknowledged, beside `otr send --lines | otr recv --follow`, in turns. Then the memory of both `otr rpc`
over many small messages, and the CPU time of one that waits. Needs cargo, a /dev/shm. `--runs N`,
`--many N`, `--no-save`.

A run begins with the first line or call, and ends when the other side has all messages: written out by
`recv`, or acknowledged, the answer included, by `rpc`."""

import argparse
import json
import subprocess
import sys
import threading
import time

import measure
from measure import Report, Sessions, median
from servers import Postbox, exact_cpu_seconds

options = argparse.ArgumentParser()
options.add_argument("--runs", type=int, default=7)
options.add_argument("--messages", type=int, default=1000)
options.add_argument("--many", type=int, default=100_000)
options.add_argument("--no-save", action="store_true")
args = options.parse_args()

measure.need("cargo")
TEXT = "a short line, as a person or a program writes it"


class Rpc:
    """A client that makes many calls before it reads their answers."""

    def __init__(self, sessions, end):
        command = sessions.command(end, "rpc")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.out, self.lines, self.last = self.process.stdin, self.process.stdout, 0

    def begin(self, method, **params):
        self.last += 1
        call = {"jsonrpc": "2.0", "id": self.last, "method": method, "params": params}
        self.out.write(json.dumps(call).encode() + b"\n")

    def line(self):
        told = json.loads(self.lines.readline())
        if "error" in told:
            sys.exit(told)
        return told

    def send(self, count):
        """Sends messages, without waiting for one before the next."""
        def write():
            for _ in range(count):
                self.begin("send", text=TEXT)
            self.out.flush()

        writing = threading.Thread(target=write)
        writing.start()
        for _ in range(count):
            self.line()
        writing.join()

    def take(self, count):
        """Takes messages, and acknowledges each; until the last acknowledgement is stored."""
        came = stored = 0
        while stored < count:
            told = self.line()
            if told.get("method") == "message":
                came += 1
                params = told["params"]
                self.begin("ack", subscription=params["subscription"], message=params["message"])
                self.out.flush()
            elif "result" in told:
                stored += 1

    def subscribe(self, **more):
        self.begin("subscribe", **more)
        self.out.flush()
        assert "subscription" in self.line()["result"]

    def end(self):
        self.out.close()
        self.lines.read()
        self.process.wait()


def by_rpc(alice, bob, count):
    begin = time.perf_counter()
    sending = threading.Thread(target=alice.send, args=(count,))
    sending.start()
    bob.take(count)
    sending.join()
    return time.perf_counter() - begin


def by_lines(sessions, follow, count):
    line = (TEXT + "\n").encode()
    begin = time.perf_counter()
    sender = subprocess.Popen(sessions.command("alice", "send", "--lines"), stdin=subprocess.PIPE)
    sender.stdin.write(line * count)
    sender.stdin.close()
    left = len(line) * count
    while left:
        left -= len(follow.stdout.read1(left))
    if sender.wait():
        sys.exit(f"send: code {sender.returncode}")
    return time.perf_counter() - begin


def resident(process):
    for line in open(f"/proc/{process.pid}/status"):
        if line.startswith("VmRSS"):
            return int(line.split()[1])


def meet(sessions, postbox):
    invite = sessions.run("alice", "init", "--postbox", postbox.url).stdout
    sessions.run("bob", "respond", "--yes", given=invite)
    sessions.run("alice", "send", given=b"hi\n")
    sessions.run("bob", "recv")


with Report("rpc", save=not args.no_save) as report:
    otr = measure.build()
    runs = {"rpc": [], "lines": []}
    with Sessions(otr) as one, Sessions(otr) as other, Postbox(otr) as postbox:
        meet(one, postbox)
        meet(other, postbox)
        alice, bob = Rpc(one, "alice"), Rpc(one, "bob")
        bob.subscribe(credit=64)
        follow = subprocess.Popen(other.command("bob", "recv", "--follow"), stdout=subprocess.PIPE)
        for number in range(args.runs + 1):
            rpc, lines = by_rpc(alice, bob, args.messages), by_lines(other, follow, args.messages)
            # The first warms the caches.
            if number:
                runs["rpc"].append(rpc)
                runs["lines"].append(lines)
        follow.kill()
        follow.wait()
        for name, each in runs.items():
            report(f"{name:5} {args.messages} messages: median {median(each) * 1000:.0f} ms, from "
                   f"{min(each) * 1000:.0f} to {max(each) * 1000:.0f} ms ({len(each)} runs); "
                   f"{args.messages / median(each):.0f} a second")
        report.ratio("rpc / lines, median", median(runs["rpc"]), median(runs["lines"]), 1)

        before = resident(alice.process), resident(bob.process)
        for _ in range(args.many // args.messages):
            by_rpc(alice, bob, args.messages)
        after = resident(alice.process), resident(bob.process)
        report(f"resident after {args.messages * (args.runs + 1)} messages: sender {before[0]} KiB, "
               f"receiver {before[1]} KiB; after {args.many} more: {after[0]} KiB, {after[1]} KiB")
        grown = max(now - then for now, then in zip(after, before))
        report.check(f"grown by {grown} KiB (at most 1024)", grown <= 1024)

        time.sleep(1)
        spent = exact_cpu_seconds(bob.process.pid)
        time.sleep(30)
        spent = exact_cpu_seconds(bob.process.pid) - spent
        report.check(f"CPU of a subscription in 30 idle seconds: {spent * 1000:.1f} ms (at most 20)",
                     spent <= 0.02)
        alice.end()
        bob.end()
sys.exit(1 if report.missed else 0)
