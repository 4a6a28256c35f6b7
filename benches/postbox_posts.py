#!/usr/bin/env python3
"""Posts of 4 KiB packets to `otr postbox` over 32 kept-alive connections, made by wrk on the same
machine; beside it, in turns, nginx that answers an empty 204 to the same bodies, and redis-server that
stores the same bytes by SETEX without pipelining (made by redis-benchmark). Needs wrk, nginx,
redis-server, cargo. `--runs N`, `--seconds S` (of each), `--memory SIZE`, `--no-save`.

Every packet lies under an address of its own, so each post takes the whole way: parsed, compared with
what is there, stored. A postbox that has taken a run's packets is replaced by an empty one."""

import argparse
import re
import subprocess
import sys
import tempfile

import measure
from measure import Report, median, peak
from servers import Nginx, Postbox, Redis

PACKET = 4096
CONNECTIONS = 32

options = argparse.ArgumentParser()
options.add_argument("--runs", type=int, default=9)
options.add_argument("--seconds", type=int, default=5)
options.add_argument("--memory", default="8G", help="the postbox's cap: room for all packets of a run")
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
function done(summary)
    io.write(string.format("refused: %d\n", summary.errors.status))
end
""".replace("PACKET", str(PACKET))


def run(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{command}: {done.stderr}")
    return done.stdout


def wrk(script, port):
    """Posts a second; the clock is wrk's. One thread: with two, packets would come twice."""
    out = run(["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{args.seconds}s", "-s", script,
               f"http://127.0.0.1:{port}"])
    refused = re.search(r"refused: (\d+)", out)
    if not refused or int(refused.group(1)) or "Socket errors" in out:
        sys.exit(f"not every post was taken: {out}")
    return float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1))


def setex(port, count):
    out = run(["redis-benchmark", "-q", "-p", str(port), "-c", str(CONNECTIONS), "-n", str(count),
               "-r", "1000000000", "SETEX", "address-of-thirty-two-bytes:__rand_int__", "86400",
               "x" * PACKET])
    return float(re.findall(r"([\d.]+) requests per second", out)[-1])


def postbox(otr, script, report):
    with Postbox(otr, "--memory", args.memory) as box:
        rate = wrk(script, box.port)
        report(f"otr    {rate:.0f} posts/s (largest RSS {peak(box.pid) / 1024:.0f} MiB)")
        return rate


with Report("postbox-posts", save=not args.no_save) as report:
    otr = measure.build()
    for program in ["nginx", "redis-server", "wrk"]:
        report(f"# Debian package of {program}: " + measure.said(
            "dpkg-query", "-W", "-f", "${Package} ${Version}", measure.PACKAGES.get(program, program)))
    report(f"# {args.seconds} s of each, {CONNECTIONS} connections, packets of {PACKET} bytes")
    rates = {"otr": [], "nginx": [], "redis": []}
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script, Nginx("return 204;") as nginx:
        script.write(POST)
        script.flush()
        for _ in range(args.runs):
            rates["nginx"].append(wrk(script.name, nginx.port))
            report(f"nginx  {rates['nginx'][-1]:.0f} posts/s, answered and dropped")
            rates["otr"].append(postbox(otr, script.name, report))
            with Redis() as redis:
                rates["redis"].append(setex(redis.port, int(args.seconds * median(rates["otr"]))))
            report(f"redis  {rates['redis'][-1]:.0f} SETEX/s")
    medians = {name: median(each) for name, each in rates.items()}
    report()
    report(f"medians of {args.runs} runs: " + ", ".join(f"{n} {r:.0f}/s" for n, r in medians.items()))
    report.ratio("nginx / otr", medians["nginx"], medians["otr"], 2)
    report(f"       redis / otr: {medians['redis'] / medians['otr']:.3f} x (no target)")
sys.exit(1 if report.missed else 0)
