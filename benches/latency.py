#!/usr/bin/env python3
"""From `otr send` to the text on the other side's stdout, through a postbox on loopback where
`otr recv --follow` waits; beside it, in turns, `curl` that posts a packet of the same size to `curl`
that waits for it, at the same postbox. Needs curl, cargo, a /dev/shm. `--runs N`, `--no-save`.

The clock starts before the sending process does, and stops at the last byte that the waiting one has
written. The waiting process is there, and has asked, before the clock starts."""

import argparse
import hashlib
import os
import subprocess
import sys
import time

import measure
from measure import Report, Sessions, median
from servers import Postbox

RAW = "Content-Type: application/octet-stream"
# For the waiting side to ask the postbox (again): what happens in it is not measured.
ASKING = 0.05

options = argparse.ArgumentParser()
options.add_argument("--runs", type=int, default=200)
options.add_argument("--no-save", action="store_true")
args = options.parse_args()

measure.need("curl", "cargo")


def start(command, given):
    """Starts a process with the file `given` as stdin and nothing as stdout; its id."""
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, given, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
    ]
    return os.posix_spawnp(command[0], command, os.environ, file_actions=actions)


def read(stream, count):
    while count:
        piece = os.read(stream.fileno(), count)
        if not piece:
            sys.exit("the waiting side ended too early")
        count -= len(piece)


def timed(command, given, waiting, count):
    """Milliseconds until the waiting process has written so many bytes, and until the sender is gone."""
    begin = time.perf_counter()
    sender = start(command, given)
    read(waiting.stdout, count)
    there = time.perf_counter()
    _, status = os.waitpid(sender, 0)
    if status:
        sys.exit(f"{command}: status {status}")
    return (there - begin) * 1000, (time.perf_counter() - begin) * 1000


def write(path, content):
    with open(path, "wb") as file:
        file.write(content)
    return path


def by_curl(folder, url, number):
    token = hashlib.sha256(b"bench %d" % number).digest()
    address = hashlib.sha256(b"otr/1 address" + token).digest()
    asked = write(f"{folder}/token", token)
    packet = write(f"{folder}/packet", b"\xf5" + address + os.urandom(4096 - 32))
    curl = ["curl", "-sSf", "-H", RAW, "--data-binary"]
    waiting = subprocess.Popen([*curl, "@" + asked, f"{url}/v1/collect?wait=60"], stdout=subprocess.PIPE)
    time.sleep(ASKING)
    taken = timed([*curl, "@-", f"{url}/v1/post"], packet, waiting, 4097)
    waiting.wait()
    return taken


with Report("latency", save=not args.no_save) as report:
    otr = measure.build()
    with Sessions(otr) as sessions, Postbox(otr) as postbox:
        report(f"# curl: {measure.said('curl', '--version')}")
        invite = sessions.run("alice", "init", "--postbox", postbox.url).stdout
        sessions.run("bob", "respond", "--yes", given=invite)
        sessions.run("alice", "send", given=b"hi\n")
        sessions.run("bob", "recv")
        text = write(f"{sessions.folder}/text", b"hello\n")
        follow = subprocess.Popen(sessions.command("bob", "recv", "--follow"), stdout=subprocess.PIPE)
        runs = {"otr": [], "curl": []}
        for number in range(args.runs + 5):
            time.sleep(ASKING)
            ours = timed(sessions.command("alice", "send"), text, follow, 6)
            theirs = by_curl(sessions.folder, postbox.url, number)
            # The first ones warm the caches.
            if number >= 5:
                runs["otr"].append(ours)
                runs["curl"].append(theirs)
        follow.terminate()
        follow.wait()
    medians = {}
    for name, each in runs.items():
        there = sorted(run[0] for run in each)
        medians[name] = median(there)
        report(f"{name:5} until the text is there: median {medians[name]:.3f} ms, 95 % "
               f"{there[len(there) * 95 // 100]:.3f} ms, longest {there[-1]:.3f} ms; until the sender "
               f"has ended: median {median(run[1] for run in each):.3f} ms ({len(each)} runs)")
    report.ratio("otr / curl, median", medians["otr"], medians["curl"], 2)
sys.exit(1 if report.missed else 0)
