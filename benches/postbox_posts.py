#!/usr/bin/env python3
"""Posts of 4 KiB packets to `otr postbox` over 32 kept-alive connections, made by wrk on the same
machine; beside it, in turns, nginx that answers an empty 204 to the same bodies, and redis-server that
stores the same bytes by SETEX without pipelining (made by redis-benchmark). Of each the posts a second,
the server's CPU time for one (user and system, of all its processes) and how long half of the callers
wait at most. Needs wrk, nginx, redis-server, cargo. `--runs N`, `--seconds S` (of each), `--memory SIZE`,
`--no-save`.

Every packet lies under an address of its own, so each post takes the whole way: parsed, compared with
what is there, stored. A postbox that has taken a run's packets is replaced by an empty one. Its memory is
large enough that no work is asked for, which wrk could not do; that none is, is looked at for each."""

import argparse
import os
import re
import socket
import subprocess
import sys
import tempfile
import time

import measure
from measure import Report, median, peak
from servers import Nginx, Postbox, Redis

PACKET = 4096
CONNECTIONS = 32

options = argparse.ArgumentParser()
options.add_argument("--runs", type=int, default=9)
options.add_argument("--seconds", type=int, default=5)
options.add_argument("--memory", default="32G",
                     help="the postbox's cap: room for all packets of a run, three times")
options.add_argument("--no-save", action="store_true")
args = options.parse_args()

measure.need("wrk", "nginx", "redis-server", "redis-benchmark", "cargo")

# The 32 bytes of an address count up; nobody can tell the rest of one packet from another's.
POST = r"""
local rest = string.rep("\165", PACKET - 32)
local count = 0
function request()
    count = count + 1
    local address = string.format("%016x%016x", count, (count * 2654435761) % 4294967296)
    return wrk.format("POST", "/v1/post",
        { ["Content-Type"] = "application/octet-stream" }, "\245" .. address .. rest)
end
function done(summary, latency)
    io.write(string.format("posts: %d, in %d us, refused: %d, half in %d us\n", summary.requests,
        summary.duration, summary.errors.status, latency:percentile(50)))
end
""".replace("PACKET", str(PACKET))


def run(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{command}: {done.stderr}")
    return done.stdout


class Posts:
    """What wrk makes of a server: posts a second, by wrk's clock; CPU microseconds of the server for
    each; how many microseconds half of them take at most. One thread: with two, packets would come
    twice."""

    def __init__(self, script, server):
        before = server.cpu()
        out = run(["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{args.seconds}s", "-s", script,
                   f"http://127.0.0.1:{server.port}"])
        cpu = server.cpu() - before
        told = re.search(r"posts: (\d+), in (\d+) us, refused: (\d+), half in (\d+) us", out)
        if not told or int(told.group(3)) or "Socket errors" in out:
            sys.exit(f"not every post was taken: {out}")
        count, took, _, self.half = map(int, told.groups())
        self.rate, self.cpu = count * 1e6 / took, cpu * 1e6 / count

    def __str__(self):
        return f"{self.rate:.0f} posts/s, {self.cpu:.1f} us of CPU each, half in {self.half} us"


def setex(port, count):
    out = run(["redis-benchmark", "-q", "-p", str(port), "-c", str(CONNECTIONS), "-n", str(count),
               "-r", "1000000000", "SETEX", "address-of-thirty-two-bytes:__rand_int__", "86400",
               "x" * PACKET])
    return float(re.findall(r"([\d.]+) requests per second", out)[-1])


def held(admin):
    """Packets that lie in a postbox."""
    with socket.socket(socket.AF_UNIX) as operator:
        operator.connect(admin)
        operator.sendall(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        page = b"".join(iter(lambda: operator.recv(65536), b""))
    return int(re.search(rb"^otr_postbox_packets (\d+)$", page, re.M).group(1))


def postbox(otr, script, report):
    """New, and again."""
    with tempfile.TemporaryDirectory() as folder:
        admin = os.path.join(folder, "admin")
        # They expire behind the run, not in it.
        options = ["--memory", args.memory, "--ttl", f"{args.seconds + 2}s", "--admin", f"unix:{admin}"]
        with Postbox(otr, *options) as box:
            new = Posts(script, box)
            report(f"otr    {new} (largest RSS {peak(box.pid) / 1024:.0f} MiB)")
            while held(admin):
                time.sleep(0.2)
            again = Posts(script, box)
            report(f"again  {again}")
            return new, again


with Report("postbox-posts", save=not args.no_save) as report:
    otr = measure.build()
    for program in ["nginx", "redis-server", "wrk"]:
        report(f"# Debian package of {program}: " + measure.said(
            "dpkg-query", "-W", "-f", "${Package} ${Version}", measure.PACKAGES.get(program, program)))
    report(f"# {args.seconds} s of each, {CONNECTIONS} connections, packets of {PACKET} bytes")
    taken, setexes = {"otr": [], "again": [], "nginx": []}, []
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script, Nginx("return 204;") as nginx:
        script.write(POST)
        script.flush()
        for _ in range(args.runs):
            taken["nginx"].append(Posts(script.name, nginx))
            report(f"nginx  {taken['nginx'][-1]}, answered and dropped")
            for name, posts in zip(["otr", "again"], postbox(otr, script.name, report)):
                taken[name].append(posts)
            with Redis() as redis:
                setexes.append(setex(redis.port, int(args.seconds * taken["otr"][-1].rate)))
            report(f"redis  {setexes[-1]:.0f} SETEX/s")
    report()
    report(f"medians of {args.runs} runs:")
    rate, cpu, half = ({name: median(getattr(posts, what) for posts in all_of)
                        for name, all_of in taken.items()} for what in ["rate", "cpu", "half"])
    report("       " + ", ".join(f"{name} {rate[name]:.0f}/s" for name in rate) + f", redis {median(setexes):.0f}/s")
    for name, what in {"otr": "new", "again": "again"}.items():
        report.check(f"{what}: rate: {rate[name] / rate['nginx']:.3f} of nginx's (at least 0.9)",
                     rate[name] >= 0.9 * rate["nginx"])
        report.ratio(f"{what}: CPU a post: {cpu[name]:.1f} us, nginx {cpu['nginx']:.1f}: otr / nginx",
                     cpu[name], cpu["nginx"], 1.5)
        report.ratio(f"{what}: half of the posts in {half[name]:.0f} us, nginx {half['nginx']:.0f}: otr / nginx",
                     half[name], half["nginx"], 1.5)
sys.exit(1 if report.missed else 0)
