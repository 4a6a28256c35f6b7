#!/usr/bin/env python3
"""`otr chat` at a terminal of its own: how soon its prompt shows, how soon a key shows that was pressed, at
rest and while a hundred messages a second come in. Then the keys for ten lines of chat, from a program
that is installed and set up: beside simplex-chat's terminal and signal-cli by their documented steps
(docs/CLI.md of simplex-chat, man/signal-cli.1.adoc of signal-cli), which are counted, not run. Needs cargo,
a /dev/shm. `--runs N`, `--keys N`, `--no-save`."""

import argparse
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import threading
import time

import measure
from measure import Report, Sessions
from servers import Postbox

options = argparse.ArgumentParser()
options.add_argument("--runs", type=int, default=30)
options.add_argument("--keys", type=int, default=300)
options.add_argument("--no-save", action="store_true")
args = options.parse_args()

measure.need("cargo")
# The end of a frame: the cursor is shown again.
DRAWN = b"\x1b[?25h"
# What follows a row that is drawn.
END_OF_ROW = b"\x1b[m"


class Terminal:
    """A chat in a terminal of 100 columns."""

    def __init__(self, command):
        self.began = time.perf_counter()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "xterm-256color"
            os.execv(command[0], command)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))

    def until(self, text, limit=20):
        """Reads until this is written; how long that took, in seconds, from `began`."""
        shown, end = b"", time.perf_counter() + limit
        while text not in shown:
            if not select.select([self.fd], [], [], max(0, end - time.perf_counter()))[0]:
                sys.exit(f"{text} did not show: {shown[-500:]}")
            shown += os.read(self.fd, 1 << 16)
        return time.perf_counter() - self.began

    def press(self, key):
        self.began = time.perf_counter()
        os.write(self.fd, key)

    def read_all(self):
        while select.select([self.fd], [], [], 0.05)[0]:
            os.read(self.fd, 1 << 16)

    def end(self):
        os.write(self.fd, b"\x15/quit\r")
        try:
            while os.read(self.fd, 1 << 16):
                pass
        except OSError:  # the other end of the terminal was closed
            pass
        os.close(self.fd)
        os.waitpid(self.pid, 0)


def meet(sessions, url):
    invite = sessions.run("alice", "init", "--postbox", url).stdout
    sessions.run("bob", "respond", "--yes", given=invite)
    sessions.run("alice", "send", "--wait", "30s", given=b"hello")
    sessions.run("bob", "recv")


def milliseconds(times):
    times = sorted(times)
    of = lambda share: times[min(len(times) - 1, int(len(times) * share))] * 1000
    return of(0.5), of(0.99), times[-1] * 1000


def starts(sessions, report):
    times = []
    for _ in range(args.runs):
        terminal = Terminal(sessions.command("alice", "chat"))
        times.append(terminal.until(DRAWN))
        terminal.end()
    middle, _, most = milliseconds(times)
    report(f"prompt of a session that is there: median {middle:.1f} ms, at most {most:.1f} ms ({args.runs} runs)")
    report.check(f"prompt: {middle:.1f} ms (at most 80)", middle <= 80)


def presses(terminal):
    times = []
    for number in range(args.keys):
        # Each time another one is the last of its row; now and then the row is emptied.
        key, last = b"abcdefghij"[number % 10 :][:1], number % 50 == 49
        terminal.press(b"\x15" if last else key)
        times.append(terminal.until((b"> " if last else key) + END_OF_ROW))
        time.sleep(0.002)
    return times


def keys(sessions, report):
    terminal = Terminal(sessions.command("alice", "chat"))
    terminal.until(DRAWN)
    time.sleep(1)
    terminal.read_all()
    middle, late, most = milliseconds(presses(terminal))
    report(f"a key at rest: median {middle:.2f} ms, 99 % within {late:.2f} ms, at most {most:.2f} ms")
    report.check(f"key: {late:.2f} ms for 99 % (at most 5)", late <= 5)

    lines = subprocess.Popen(sessions.command("bob", "send", "--lines"), stdin=subprocess.PIPE)
    done = threading.Event()

    def flood():
        while not done.is_set():
            lines.stdin.write(b"0123456789 0123456789\n")
            lines.stdin.flush()
            time.sleep(0.01)
        lines.stdin.close()

    thread = threading.Thread(target=flood)
    thread.start()
    terminal.until(b"0123456789")
    middle, late, most = milliseconds(presses(terminal))
    done.set()
    thread.join()
    lines.wait()
    report(f"a key while 100 messages a second come: median {middle:.2f} ms, 99 % within {late:.2f} ms, at most {most:.2f} ms")
    report.check(f"key in a flood: {middle:.2f} ms, median (at most 5)", middle <= 5)
    terminal.end()


TEXTS = [
    "are you there?", "yes, here I am", "can we meet tomorrow?", "at ten, in the usual place", "I bring the papers",
    "all of them?", "all that I have", "then bring a bag", "see you there", "until tomorrow",
]
CODE = "417-guitar-vanish@box.example"
NUMBERS = "+491510000001", "+491510000002"


def typed(report):
    """Keys that two people press together; a link or code is pasted with one key, or typed."""
    lines = sum(len(text) + 1 for text in TEXTS)
    pasted = len("otr chat\n") + len("otr chat \n") + 1 + lines
    by_hand = pasted - 1 + len(CODE)
    ways = {
        "otr chat, the code pasted": pasted + 2 * len("/close\n"),
        "otr chat, the code typed": by_hand + 2 * len("/close\n"),
        # Its link has hundreds of characters, and is pasted. The last contact need not be named again.
        "simplex-chat": 2 * len("simplex-chat\n") + len("/c\n") + len("/c \n") + 1 + lines,
        # Each line a command, and another one to see it; both numbers are known.
        "signal-cli": sum(
            len(f'signal-cli -a {NUMBERS[0]} send -m "{text}" {NUMBERS[1]}\n')
            + len(f"signal-cli -a {NUMBERS[0]} receive\n")
            for text in TEXTS
        ),
    }
    report(f"keys for {len(TEXTS)} lines of chat, {lines} of them the text:")
    for way, count in ways.items():
        report(f"  {way}: {count}")
    report("  (otr: with '/close' on both sides, after which nothing is left; the others keep the conversation)")
    ours = ways["otr chat, the code pasted"]
    report.ratio("keys, otr / signal-cli", ours, ways["signal-cli"], 1)
    report.ratio("keys without the two '/close', otr / simplex-chat", pasted, ways["simplex-chat"], 1)


def main():
    otr = measure.build()
    with Report("chat", not args.no_save) as report, Sessions(otr) as sessions, Postbox(otr) as postbox:
        meet(sessions, postbox.url)
        starts(sessions, report)
        keys(sessions, report)
        typed(report)
    sys.exit(bool(report.missed))


if __name__ == "__main__":
    main()
