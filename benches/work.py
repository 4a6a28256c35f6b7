#!/usr/bin/env python3
"""What the work buys that a crowded postbox asks for: packets of 4 KiB a second that two cores of an
attacker can pay for at the full price (by `otr`'s own solver in two threads, benches/work.rs, and by
`otr send --lines` into a postbox), what an honest `otr send` of a line takes at an idle postbox and at
the full price, and the CPU of a post with a proof beside one without. Needs cargo. `--sends N`,
`--no-save`.

A solver for graphics cards is not measured: it would be some hundred times faster."""

import argparse
import base64
import hashlib
import http.client
import json
import os
import subprocess
import sys
import time

import measure
from measure import Report, Sessions, median
from servers import Postbox

POSTS, ROUNDS = 4000, 5

options = argparse.ArgumentParser()
options.add_argument("--sends", type=int, default=40)
options.add_argument("--no-save", action="store_true")
args = options.parse_args()

measure.need("cargo")


def sha(data):
    return hashlib.sha256(data).digest()


def told(port):
    """Zero bits that it asks for, and the salt."""
    call = http.client.HTTPConnection("127.0.0.1", port)
    call.request("GET", "/", headers={"Accept": "application/json"})
    page = json.load(call.getresponse())
    text = page["work_salt"]
    return page["work_bits"], base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def paid(packet, bits, salt):
    """A packet of 4 KiB behind its proof, as docs/postbox.md has it."""
    seed, proof = sha(b"otr/1 work" + salt + sha(packet)), b""
    for part in range(16):
        start, nonce = seed + bytes([part]), 0
        while int.from_bytes(sha(start + nonce.to_bytes(8, "big")), "big") >> (256 - bits):
            nonce += 1
        proof += nonce.to_bytes(8, "big")
    return b"\xc1" + proof


def packet(number):
    return sha(b"place %d" % number) + os.urandom(4096 - 32)


class Posts:
    """One kept connection."""

    def __init__(self, port):
        self.call = http.client.HTTPConnection("127.0.0.1", port)

    def __call__(self, body):
        self.call.request("POST", "/v1/post", body, {"Content-Type": "application/octet-stream"})
        answer = self.call.getresponse()
        answer.read()
        return answer.status


def cpu(pid):
    """Seconds of all its threads."""
    tasks = os.listdir(f"/proc/{pid}/task")
    return sum(int(open(f"/proc/{pid}/task/{task}/schedstat").read().split()[0]) for task in tasks) / 1e9


def post_cost(otr, report):
    """CPU microseconds of a post of the same 4 KiB again and again, at a postbox that is half full: with
    a proof where one is asked for, and where none ever is."""
    costs = {}
    with Postbox(otr, "--memory", "16M", "--work", "8") as asks, \
            Postbox(otr, "--memory", "16M", "--work", "0") as never:
        one = packet(0)
        bodies = {}
        for name, box in [("with a proof", asks), ("without", never)]:
            # Everybody may place a part only: of what is left.
            for share in range(8):
                posts = Posts(box.port)
                if any(posts(b"\xf5" + packet(share * 200 + n + 1)) != 201 for n in range(200)):
                    break
            body = b"\xf5" + one
            if box is asks:
                bits, salt = told(box.port)
                body = paid(one, bits, salt) + body
            bodies[name] = (box, body)
        for _ in range(ROUNDS):
            for name, (box, body) in bodies.items():
                posts, before = Posts(box.port), cpu(box.pid)
                for _ in range(POSTS):
                    if posts(body) != 201:
                        sys.exit("a post was refused")
                costs.setdefault(name, []).append((cpu(box.pid) - before) * 1e6 / POSTS)
    return {name: median(each) for name, each in costs.items()}


def begin(sessions, url, one, other):
    invite = sessions.run(one, "init", "--postbox", url).stdout
    sessions.run(other, "respond", "--yes", given=invite)
    sessions.run(one, "send", given=b"hi\n")
    sessions.run(other, "recv")


def send_times(sessions):
    """Seconds of each `send` of a line, which is collected before the next one."""
    times = []
    for _ in range(args.sends):
        start = time.monotonic()
        sessions.run("alice", "send", given=b"a line\n")
        times.append(time.monotonic() - start)
        sessions.run("bob", "recv")
    return sorted(times)


def flood(sessions, lines):
    """Packets that nobody collects, paid for, by a process and a connection of its own; seconds."""
    start = time.monotonic()
    sessions.run("mallory", "send", "--lines", given=b"x\n" * lines)
    return time.monotonic() - start


def shown(times):
    return (f"median {median(times):.3f} s, 95 % {times[len(times) * 95 // 100]:.3f} s, "
            f"longest {times[-1]:.3f} s, of {len(times)}")


with Report("work", save=not args.no_save) as report:
    otr = measure.build()
    solver = measure.rust_bench("work")
    report(f"solver of {solver['bits']} bits, threads that do nothing else: "
           + "; ".join(f"{n}: {tries / 1e6:.1f} million tries a second, {proofs:.2f} packets of 4 KiB"
                       for n, tries, proofs in zip((1, 2), solver["tries"], solver["proofs"])))
    report(f"to check: a good proof {solver['good']:.2f} microseconds, junk {solver['junk']:.2f}, and the "
           f"packet's hash {solver['hash']:.2f}")
    costs = post_cost(otr, report)
    report(f"CPU of a post of 4 KiB, medians of {ROUNDS} x {POSTS}, microseconds: "
           + ", ".join(f"{name} {cost:.1f}" for name, cost in costs.items()))
    with Postbox(otr, "--memory", "8M") as box, Sessions(otr) as sessions:
        begin(sessions, box.url, "alice", "bob")
        begin(sessions, box.url, "mallory", "nobody")
        idle = send_times(sessions)
        report(f"`otr send` of a line, idle postbox:    {shown(idle)}")
        start, count = time.monotonic(), 0
        while told(box.port)[0] < solver["bits"]:
            flood(sessions, 16)
            count += 16
        flood(sessions, 4)
        report(f"filled to the full price with {count} packets of 4 KiB in {time.monotonic() - start:.1f} s of "
               "`otr send --lines`")
        full = send_times(sessions)
        report(f"`otr send` of a line, at {told(box.port)[0]} bits:      {shown(full)}")
        seconds = [flood(sessions, 4) for _ in range(4)]
        report(f"`otr send --lines` places {16 / sum(seconds):.2f} packets of 4 KiB a second at "
               f"{told(box.port)[0]} bits")
    report()
    day = 86400 * solver["proofs"][1] * 4096 / 2**20
    report(f"       two cores pay for {day:.0f} MiB a day at the full price")
    report.check(f"`otr send` at the full price: median {median(full):.2f} s (at most 2)", median(full) <= 2)
sys.exit(1 if report.missed else 0)
