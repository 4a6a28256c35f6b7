#!/usr/bin/env python3
"""10,000 collectors that wait at a postbox: resident memory for each, its connection included, and how
long after a post the one whose packet came has it. Needs cargo, and a hard limit of descriptors above
the number of collectors (`ulimit -Hn`). `--runs N`, `--collectors N`, `--no-save`."""

import argparse
import hashlib
import os
import resource
import socket
import struct
import sys
import time

import measure
from measure import Report, median
from servers import Postbox

# Wake-ups that are timed, spread over all who wait.
WAKES = 500

options = argparse.ArgumentParser()
options.add_argument("--runs", type=int, default=5)
options.add_argument("--collectors", type=int, default=10_000)
options.add_argument("--no-save", action="store_true")
args = options.parse_args()

measure.need("cargo")


def resident(pid):
    """VmRSS in bytes."""
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))


def connect(port):
    stream = socket.create_connection(("127.0.0.1", port))
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # Reset when it is closed: ports that wait for their last packets slow down the next run.
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return stream


def request(path, body):
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/octet-stream\r\n"
    return head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body


def token(number):
    return hashlib.sha256(b"bench %d" % number).digest()


def packet(number):
    address = hashlib.sha256(b"otr/1 address" + token(number)).digest()
    return b"\xf5" + address + os.urandom(4096 - 32)


def until_idle(pid):
    """Until the postbox has used no processor for a while; on a busy machine, for some seconds."""
    def ticks():
        return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[11:13]
    before = None
    for _ in range(20):
        if before == (before := ticks()):
            return
        time.sleep(0.25)


def wait_and_wake(postbox):
    """Bytes for each collector, and milliseconds of each wake-up."""
    until_idle(postbox.pid)
    before = resident(postbox.pid)
    waiting = []
    for number in range(args.collectors):
        stream = connect(postbox.port)
        stream.sendall(request("/v1/collect?wait=60", token(number)))
        waiting.append(stream)
    until_idle(postbox.pid)
    each = (resident(postbox.pid) - before) / args.collectors
    # Not before: the postbox closes what is silent for 20 s.
    poster = connect(postbox.port)
    times = []
    for number in range(0, args.collectors, max(1, args.collectors // WAKES)):
        body = request("/v1/post", packet(number))
        begin = time.perf_counter()
        poster.sendall(body)
        first = waiting[number].recv(65536)
        times.append((time.perf_counter() - begin) * 1000)
        if not first.startswith(b"HTTP/1.1 200"):
            sys.exit(f"a collector was answered {first[:40]}")
        poster.recv(65536)
    for stream in waiting:
        stream.close()
    return each, times


with Report("waiters", save=not args.no_save) as report:
    otr = measure.build()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < args.collectors + 200:
        sys.exit(f"only {hard} descriptors may be had here: raise the hard limit (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    memory, wakes = [], []
    for _ in range(args.runs):
        # Half of it is for connections: room for more than 10,000 that wait.
        with Postbox(otr, "--memory", "512M") as postbox:
            each, times = wait_and_wake(postbox)
        memory.append(each)
        wakes.append(median(times))
        times.sort()
        report(f"{args.collectors} collectors: {each:.0f} bytes of RSS each; post to wake-up, of "
               f"{len(times)}: median {wakes[-1]:.3f} ms, 95 % {times[len(times) * 95 // 100]:.3f} ms, "
               f"longest {times[-1]:.3f} ms")
    report()
    report.check(f"RSS of each collector: median {median(memory) / 1024:.2f} KiB (at most 16)",
                 median(memory) <= 16 * 1024)
    report.check(f"wake-up: median {median(wakes):.3f} ms (under 5)", median(wakes) < 5)
sys.exit(1 if report.missed else 0)
