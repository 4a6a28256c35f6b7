#!/usr/bin/env python3
"""A gigabyte through a postbox on loopback that may hold 256 MiB of it:

    head -c 1G /dev/zero | otr send      while      otr recv > /dev/null

beside, in turns, the same gigabyte into nginx and out again, whole each time:

    head -c 1G /dev/zero | curl -T - URL      then      curl URL > /dev/null

nginx keeps it in a file in memory. Needs curl, nginx, cargo, a /dev/shm with room for it.
`--runs N`, `--size BYTES`, `--no-save`."""

import argparse
import os
import subprocess
import sys
import time

import measure
from measure import Report, Sessions, median, peak
from servers import Nginx, Postbox

MIB = 1 << 20
GIB = 1 << 30
CAP = 256
# What magic-wormhole's transit relay takes for 1 GiB on a machine of this kind.
WORMHOLE = 5.6

options = argparse.ArgumentParser()
options.add_argument("--runs", type=int, default=9)
options.add_argument("--size", type=int, default=GIB)
options.add_argument("--no-save", action="store_true")
args = options.parse_args()

measure.need("curl", "nginx", "head", "cargo")


def cpu(pid):
    """CPU seconds of a process that runs."""
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Run:
    """All processes of one way to move the bytes, to their end; those named are measured."""

    def __init__(self):
        self.begin, self.cpu, self.rss = time.monotonic(), {}, {}
        self.running = {}

    def fed(self, name, command):
        feeder = subprocess.Popen(["head", "-c", str(args.size), "/dev/zero"], stdout=subprocess.PIPE)
        self.running["head"] = feeder
        self.running[name] = subprocess.Popen(command, stdin=feeder.stdout, stdout=subprocess.DEVNULL)
        feeder.stdout.close()

    def taking(self, name, command):
        self.running[name] = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def wait(self):
        cpu, rss = measure.to_the_end([*self.running.values()])
        self.wall = time.monotonic() - self.begin
        self.cpu.update(zip(self.running, cpu))
        self.rss.update(zip(self.running, rss))
        self.running = {}


def through_postbox(sessions, postbox):
    before = cpu(postbox.pid)
    run = Run()
    run.taking("recv", sessions.command("bob", "recv"))
    run.fed("send", sessions.command("alice", "send"))
    run.wait()
    run.cpu["postbox"], run.rss["postbox"] = cpu(postbox.pid) - before, peak(postbox.pid)
    return run


def through_nginx(nginx):
    url = f"http://127.0.0.1:{nginx.port}/stream"
    run = Run()
    run.fed("curl -T", ["curl", "-sSf", "-T", "-", url])
    run.wait()
    run.taking("curl", ["curl", "-sSf", url])
    run.wait()
    os.remove(f"{nginx.folder}/files/stream")
    return run


def tell(report, name, run):
    parts = ", ".join(f"{part} {run.cpu[part]:.2f} s CPU {run.rss[part] / 1024:.1f} MiB"
                      for part in run.cpu if part != "head")
    report(f"{name:5} {run.wall:.3f} s ({args.size / MIB / run.wall:.0f} MiB/s): {parts}")


with Report("relay", save=not args.no_save) as report:
    otr = measure.build()
    report(f"# curl: {measure.said('curl', '--version')}")
    runs = {"otr": [], "nginx": []}
    with Sessions(otr) as sessions, Postbox(otr, "--memory", f"{CAP}M") as postbox, \
            Nginx("dav_methods PUT;") as nginx:
        invite = sessions.run("alice", "init", "--postbox", postbox.url).stdout
        sessions.run("bob", "respond", "--yes", given=invite)
        sessions.run("alice", "send", given=b"hi\n")
        sessions.run("bob", "recv")
        for _ in range(args.runs):
            runs["otr"].append(through_postbox(sessions, postbox))
            tell(report, "otr", runs["otr"][-1])
            runs["nginx"].append(through_nginx(nginx))
            tell(report, "nginx", runs["nginx"][-1])
    wall = {name: median(run.wall for run in each) for name, each in runs.items()}
    report()
    for name in runs:
        report(f"{name:5} median of {args.runs} runs, {args.size / GIB:g} GiB: {wall[name]:.3f} s")
    report.ratio("otr / nginx and curl, wall", wall["otr"], wall["nginx"], 2)
    report.ratio("otr / magic-wormhole's relay, wall", wall["otr"], WORMHOLE * args.size / GIB, 1)
    for name, most in [("send", 96), ("recv", 96), ("postbox", CAP + 32)]:
        largest = max(run.rss[name] for run in runs["otr"]) / 1024
        report.check(f"{name}: largest RSS {largest:.1f} MiB (under {most})", largest < most)
sys.exit(1 if report.missed else 0)
