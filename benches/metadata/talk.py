#!/usr/bin/env python3
"""Real conversations through one real postbox, or several, behind `tap.py`, with habits: what one relay sees of
them, and what two see together, is then linked with each preset. `OTR_BINARY` is measured if it is set.

  talk.py [--pairs N] [--mode direct|circuits] [--postboxes N] [--delays] [--seconds S] [--keep FOLDER] [--quick] [--no-save]

direct: no proxy. circuits: `--tor`, so each address
has a circuit of its own; with --delays they are as slow as Tor's. Ends 2n and 2n+1 talk. They receive by
`recv --follow`, by `recv` again and again, by `recv` only while an answer is expected, or by `recv --all`
every so often (`habits.py`)."""

import argparse
import asyncio
import itertools
import os
import pathlib
import random
import shutil
import sys
import tempfile
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))
import measure  # noqa: E402
from habits import HABITS  # noqa: E402
from judge import judge  # noqa: E402
from link import link, link_each  # noqa: E402
from link_more import link_more_each  # noqa: E402
from tune import PRESETS, REAL_PRESETS, evidence_presets  # noqa: E402
from view import load_both, of_relays, without_searches  # noqa: E402

# The end of a run: what dies there dies at once.
LAST_SECONDS = 4
# Median seconds to think, and how many conversations begin with a code.
THINK, CODES = 8.0, 0.25
FINE = (0, 7, 8)


class Run:
    def __init__(self, otr, args, folder, sessions):
        self.otr, self.args, self.folder, self.sessions = otr, args, folder, sessions
        self.stop_at = time.time() + args.seconds
        self.sockets = f"{sessions}/tap"
        self.urls = [f"http://127.0.0.1:{args.port + relay}" if args.mode == "circuits" else f"unix:{self.sockets}{relay}"
                     for relay in range(args.postboxes)]
        self.processes, self.errors, self.sent, self.got = set(), [], 0, 0
        # By habit, seconds from the moment of typing.
        self.delays = {habit: [] for habit in HABITS}
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith("OTR")}

    def command(self, end, *args):
        reach = []
        if self.args.mode == "circuits" and (args[0] != "init" or "--code" in args):
            reach = ["--tor", "--proxy", f"socks5h://127.0.0.1:{self.args.base + end}"]
        return [self.otr, "--dir", self.sessions, "-s", f"e{end}", *args, *reach]

    async def start(self, end, *args, **pipes):
        process = await asyncio.create_subprocess_exec(
            *self.command(end, *args), env=self.environment, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE, limit=1 << 22, **pipes)
        self.processes.add(process)
        return process

    async def otr_says(self, end, *args, given=b""):
        """Exit code and output of a command."""
        process = await self.start(end, *args, stdin=asyncio.subprocess.PIPE)
        out, error = await process.communicate(given)
        self.processes.discard(process)
        if process.returncode not in FINE and time.time() < self.stop_at:
            self.errors.append(f"{' '.join(args)}: {process.returncode}: {error[-200:].decode(errors='replace')}")
        return process.returncode, out

    async def pair(self, number):
        choose = random.Random(f"{self.args.seed}/{number}")
        one, other = 2 * number, 2 * number + 1
        await asyncio.sleep(choose.uniform(0, self.args.seconds * 0.15))
        init = ["init", *(word for url in self.urls for word in ("--postbox", url))]
        if choose.random() < CODES:
            code, out = await self.otr_says(one, *init, "--code")
            await asyncio.sleep(choose.uniform(5, 20))
            answer = ("respond", "--code", "-")
        else:
            code, out = await self.otr_says(one, *init)
            await asyncio.sleep(choose.uniform(2, 15))
            answer = ("respond", "--yes")
        if code == 0:
            code, _ = await self.otr_says(other, *answer, given=out)
        if code == 0:
            await asyncio.gather(Person(self, one, choose, True).live(),
                                 Person(self, other, random.Random(f"{self.args.seed}/{number}b"), False).live())

    async def all(self):
        here = os.path.dirname(os.path.abspath(__file__))
        postboxes = [await asyncio.create_subprocess_exec(
            self.otr, "postbox", "--listen", f"127.0.0.1:{self.args.port + relay}", stderr=asyncio.subprocess.DEVNULL)
            for relay in range(self.args.postboxes)]
        ends = (["--base", str(self.args.base), "--count", str(2 * self.args.pairs)] if self.args.mode == "circuits"
                else ["--sockets", self.sockets])
        tap = await asyncio.create_subprocess_exec(
            sys.executable, f"{here}/tap.py", "--port", str(self.args.port), *ends,
            "--postboxes", str(self.args.postboxes), "--log", f"{self.folder}/log.jsonl",
            "--truth", f"{self.folder}/truth.jsonl", *(["--delays"] if self.args.delays else []),
            stdout=asyncio.subprocess.PIPE)
        await tap.stdout.readline()
        await asyncio.sleep(0.3)
        pairs = [asyncio.create_task(self.pair(number)) for number in range(self.args.pairs)]
        await asyncio.sleep(max(0, self.stop_at - time.time()))
        for each in pairs:
            each.cancel()
        for process in list(self.processes):
            if process.returncode is None:
                process.kill()
        for process in (tap, *postboxes):
            process.terminate()
            await process.wait()


class Person:
    """One end, with its habit."""

    def __init__(self, run, end, choose, first):
        self.run, self.end, self.random, self.first = run, end, choose, first
        self.habit = choose.choice(HABITS)
        self.got, self.waiting = asyncio.Queue(), asyncio.Event()
        if not first:
            self.waiting.set()

    async def live(self):
        receiving = asyncio.create_task(self.receive())
        if self.first:
            await asyncio.sleep(self.think())
            await self.say()
            self.waiting.set()
        while time.time() < self.run.stop_at:
            try:
                await asyncio.wait_for(self.got.get(), self.random.expovariate(1 / 60))
            except asyncio.TimeoutError:
                if self.habit != "turns":
                    await self.say()
                continue
            self.run.got += 1
            if self.random.random() < 0.8:
                await asyncio.sleep(self.think())
                await self.say()
            self.waiting.set()
        await receiving

    def reads(self, message):
        self.run.delays[self.habit].append(time.time() - float(message.split()[0]))
        self.got.put_nowait(True)

    def think(self):
        return min(self.random.lognormvariate(0, 1.0) * THINK, 120)

    async def say(self):
        for _ in range(1 + (self.random.random() < 0.3) + (self.random.random() < 0.1)):
            size = int(min(60 * self.random.paretovariate(1.1), 300_000))
            code, _ = await self.run.otr_says(self.end, "send", given=f"{time.time():.2f} {os.urandom(size // 2).hex()}\n".encode())
            self.run.sent += code == 0
            await asyncio.sleep(self.random.uniform(0.5, 4))

    async def receive(self):
        if self.habit == "follow":
            return await self.follow()
        while time.time() < self.run.stop_at:
            if self.habit == "cron":
                await asyncio.sleep(self.random.uniform(8, 30))
                _, out = await self.run.otr_says(self.end, "recv", "--all", "--null")
                for message in out.split(b"\0")[:-1]:
                    self.reads(message)
                continue
            if self.habit == "turns":
                await self.waiting.wait()
            code, out = await self.run.otr_says(self.end, "recv", *(["--wait", "2m"] if self.habit == "turns" else []))
            if code == 7:
                return
            if code == 0:
                if self.habit == "turns":
                    self.waiting.clear()
                self.reads(out)
            elif self.habit == "loop":
                await asyncio.sleep(2)

    async def follow(self):
        process = await self.run.start(self.end, "recv", "--follow", "--null", stdin=asyncio.subprocess.DEVNULL)
        try:
            while True:
                self.reads(await process.stdout.readuntil(b"\0"))
        except asyncio.IncompleteReadError:
            return


def costs(folder, args, run):
    """Of an end, as if it talked like this all day; and how late messages are read."""
    connections, _, truth = load_both(folder, None, args.seconds - LAST_SECONDS)
    day = 86400 / args.seconds / len(set(truth.values()))
    size = sum(call.up + call.down for one in connections.values() for call in one.calls)
    asked = sum(1 for one in connections.values() if any(call.kind == "collect" for call in one.calls))
    yield (f"a day for each end: {len(connections) * day:.0f} connections, {asked * day:.0f} of them to ask; "
           f"{size * day / 1e6:.1f} MB")
    for habit, delays in run.delays.items():
        if delays:
            delays.sort()
            yield (f"{habit}: half of {len(delays)} messages are read within {delays[len(delays) // 2]:.1f} s, "
                   f"95 % within {delays[int(len(delays) * 0.95)]:.1f} s")


def bits(folder, args):
    """What one relay sees, and two see together; of each number of pairs."""
    for watched in (1, 2)[:args.postboxes]:
        for pairs in sorted({min(count, args.pairs) for count in (4, 8, 24)}):
            connections, plates, truth = load_both(folder, pairs, args.seconds - LAST_SECONDS)
            connections, truth = without_searches(*of_relays(connections, truth, folder, range(watched)))
            plates = [plate for plate in plates if plate.connection in truth]
            where = f", {watched} of {args.postboxes} postboxes" if args.postboxes > 1 else ""
            for line in bits_of(connections, plates, truth, args.quick):
                yield f"{pairs} pairs{where}{line}"


def bits_of(connections, plates, truth, quick=False):
    """The original linker's range over its presets, and the other one's."""
    ends = len(set(truth.values()))
    presets, evidences = PRESETS + REAL_PRESETS, evidence_presets()
    if quick:
        presets, evidences = [PRESETS[0], REAL_PRESETS[0]], evidence_presets((8,), margins=(-3, -1.5))
    steps = list(link_each(connections, plates, ends, presets))
    old = [judge(connections, each["+ turns"], truth) for each in steps]
    new = [judge(connections, each, truth) for each in link_more_each(connections, ends, evidences)]
    door = judge(connections, link(connections, plates, ends, view="door"), truth)
    yield f": the floor is {judge(connections, steps[0]['same address'], truth)['bits']:.2f} bits"
    for name, some in (("link.py", old), ("link_more.py", new), ("link.py at the door", [door])):
        found = sorted(each["bits"] for each in some)
        best = max(some, key=lambda each: each["bits"])
        yield (f", {name}: {found[0]:.2f} to {found[-1]:.2f} of {best['of']:.2f} bits; of one conversation: "
               f"precision {best['addr_p']:.2f}, recall {best['addr_r']:.2f}; partner right {best['right']:.0%}")


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--pairs", type=int, default=24)
    options.add_argument("--mode", choices=("direct", "circuits"), default="circuits")
    options.add_argument("--postboxes", type=int, default=1, help="of each conversation")
    options.add_argument("--delays", action="store_true")
    options.add_argument("--seconds", type=int, default=420)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--base", type=int, default=21000, help="the first of the ports of the ends")
    options.add_argument("--port", type=int, default=17363, help="of the first postbox")
    options.add_argument("--keep", help="a folder for the log and the truth")
    options.add_argument("--quick", action="store_true", help="fewer presets")
    options.add_argument("--no-save", action="store_true")
    args = options.parse_args()
    name = f"metadata-{args.mode}{'-delays' if args.delays else ''}"
    name += f"-{args.postboxes}-postboxes" if args.postboxes > 1 else ""
    with measure.Report(name, save=not args.no_save) as report:
        otr = measure.build()
        folder = args.keep or tempfile.mkdtemp(prefix="otr-metadata-")
        sessions = tempfile.mkdtemp(prefix="otr-metadata-", dir="/dev/shm")
        os.makedirs(folder, exist_ok=True)
        try:
            run = Run(otr, args, folder, sessions)
            asyncio.run(run.all())
            report(f"{args.pairs} pairs, {args.seconds} s, {args.mode}{', delays' if args.delays else ''}"
                   f"{f', {args.postboxes} postboxes' if args.postboxes > 1 else ''}: "
                   f"{run.sent} messages sent, {run.got} read; {len(run.errors)} commands failed")
            for error in run.errors[:3]:
                report(error)
            for line in itertools.chain(costs(folder, args, run), bits(folder, args)):
                report(line)
        finally:
            shutil.rmtree(sessions)
            if not args.keep:
                shutil.rmtree(folder)


if __name__ == "__main__":
    main()
