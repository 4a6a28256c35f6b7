#!/usr/bin/env python3
"""`otr put` and `otr get` beside magic-wormhole with its own mailbox server and transit relay, all on loopback,
in turns: 10 MB and 1 GiB, from the start of the first command to the end of both, all start-up
included; the file is written on a disk, synced by otr and not by wormhole. Then what two people type.
Needs cargo, python3-venv, the package index for Python, a /dev/shm. `--runs N`, `--size BYTES`,
`--wormhole DIRECTORY` (a venv that has it), `--no-save`."""

import argparse
import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

import measure
from measure import Report, median
from servers import Postbox, free_port, wait_for

options = argparse.ArgumentParser()
options.add_argument("--runs", type=int, default=3)
options.add_argument("--size", type=int, default=1 << 30)
options.add_argument("--wormhole")
options.add_argument("--no-save", action="store_true")
args = options.parse_args()

PACKAGES = ["magic-wormhole", "magic-wormhole-mailbox-server", "magic-wormhole-transit-relay"]


def installed(folder):
    """The programs of magic-wormhole."""
    if args.wormhole:
        return pathlib.Path(args.wormhole) / "bin"
    venv = pathlib.Path(folder) / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    subprocess.run([venv / "bin" / "pip", "install", "--quiet", *PACKAGES], check=True)
    return venv / "bin"


@contextlib.contextmanager
def wormhole_servers(programs, folder):
    """The mailbox server and the relay; the options that name them."""
    mailbox, relay = free_port(), free_port()
    lines = [["wormhole-mailbox", f"--port=tcp:{mailbox}:interface=127.0.0.1"],
             ["transitrelay", f"--port=tcp:{relay}:interface=127.0.0.1"]]
    running = [subprocess.Popen([programs / "twist", *line], cwd=folder, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL) for line in lines]
    try:
        wait_for(mailbox)
        wait_for(relay)
        yield ["--relay-url", f"ws://127.0.0.1:{mailbox}/v1", "--transit-helper", f"tcp:127.0.0.1:{relay}"]
    finally:
        for process in running:
            process.kill()
            process.wait()


def handed_over(put, get, read_code, where):
    """Seconds until both have ended; `read_code` finds the code in what the first one says."""
    begin = time.monotonic()
    putting = subprocess.Popen(put, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    code = None
    while code is None:
        line = putting.stdout.readline()
        if not line:
            sys.exit(f"{put[0]} has ended without a code")
        code = read_code(line)
    getting = subprocess.run([*get, code], cwd=where, capture_output=True, text=True)
    said = putting.stdout.read()
    if putting.wait() or getting.returncode:
        sys.exit(f"{put[0]}: {said}{getting.stderr}")
    return time.monotonic() - begin


def otr_code(line):
    found = re.match(r"\d+-\w+-\w+@\S+", line)
    return found and found[0]


def wormhole_code(line):
    found = re.search(r"Wormhole code is: (\S+)", line)
    return found and found[1]


def keystrokes(report):
    """With codes as both make them by default, without TAB, Enter counted; croc as its README says."""
    mine = ["otr put letter.pdf", "otr get 417-guitar-vanish@box.example", "y"]
    peers = {
        "wormhole": ["wormhole send letter.pdf", "wormhole receive 7-crossover-clockwork", "y"],
        "croc": ["croc send letter.pdf", "CROC_SECRET=1234-code-phrase-here croc", "y"],
    }
    count = lambda lines: sum(len(line) + 1 for line in lines)
    report(f"typed by both, otr      : {len(mine) - 1} commands, {count(mine)} keys")
    for name, lines in peers.items():
        report(f"typed by both, {name:9}: {len(lines) - 1} commands, {count(lines)} keys")
        report.check(f"keys, otr / {name}: {count(mine)} / {count(lines)} (at most as many)",
                     count(mine) <= count(lines))


otr = measure.build()
with tempfile.TemporaryDirectory(prefix="otr-bench-", dir="/dev/shm") as sessions, \
        tempfile.TemporaryDirectory(prefix="otr-bench-", dir="/var/tmp") as folder, \
        Report("handover", not args.no_save) as report:
    programs = installed(folder)
    version = subprocess.run([programs / "wormhole", "--version"], capture_output=True, text=True).stdout
    report(f"# {version.strip()}")
    file, where = pathlib.Path(folder) / "file", pathlib.Path(folder) / "in"
    with wormhole_servers(programs, folder) as reached, Postbox(otr) as postbox:
        for size in (10_000_000, args.size):
            with open(file, "wb") as out:
                for _ in range(0, size, 1 << 20):
                    out.write(os.urandom(1 << 20))
                out.truncate(size)
            times = {"otr": [], "wormhole": []}
            for _ in range(args.runs):
                for name in times:
                    where.mkdir()
                    if name == "otr":
                        put = [otr, "--dir", f"{sessions}/a", "put", "--postbox", postbox.url, file]
                        get = [otr, "--dir", f"{sessions}/b", "get", "--yes"]
                        took = handed_over(put, get, otr_code, where)
                    else:
                        wormhole = [programs / "wormhole", *reached]
                        send = [*wormhole, "send", "--hide-progress", "--no-qr", file]
                        receive = [*wormhole, "receive", "--accept-file", "--hide-progress"]
                        took = handed_over(send, receive, wormhole_code, where)
                    if (where / "file").stat().st_size != size:
                        sys.exit(f"{name}: not whole")
                    shutil.rmtree(where)
                    times[name].append(took)
            for name, took in times.items():
                report(f"{size / 1e6:7.0f} MB, {name:9}: median {median(took):.2f} s of {args.runs}")
            report.ratio(f"{size / 1e6:.0f} MB, otr / wormhole, time", median(times["otr"]),
                         median(times["wormhole"]), 0.334)
    keystrokes(report)
