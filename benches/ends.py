#!/usr/bin/env python3
"""Ends at one postbox, as they call it through Tor or a proxy: each has three calls that wait 60 s for one
token, on connections of their own that end with the answer, and asks again within 10 s; what came is
discarded within a minute, by a connection of its own. Beside it the pattern before: two calls of several
tokens, on connections that are kept, asked again and discarded at once. For a growing number of ends: memory
and CPU of each at rest, how long calls may wait, how soon a message comes; then messages at growing rates.
Needs cargo, and a hard limit of descriptors above three for each end (`ulimit -Hn`; root raises it).
What such messages take of memory until they are discarded needs a larger postbox for the latter.
`--memory SIZE`, `--ends N,N`, `--rates N,N`, `--rates-ends N`, `--rates-memory SIZE`, `--seconds S`, `--no-save`."""

import argparse
import errno
import hashlib
import heapq
import itertools
import os
import random
import resource
import select
import socket
import struct
import sys
import time

import measure
from measure import Report
from servers import Postbox, exact_cpu_seconds

# Seconds in which all ends begin.
BEGINNING = 20
# An end writes a message in ten minutes, while rates are not measured.
SELDOM = 1 / 600
# A message is in time, if 99 of 100 come sooner than this, in seconds.
IN_TIME = 0.1
# Where packets are posted by connections that are kept: so many.
POSTERS = 16

options = argparse.ArgumentParser()
options.add_argument("--memory", default="256M")
options.add_argument("--ends", default="1000,2000,2500")
options.add_argument("--rates", default="200,500,1000,2000")
options.add_argument("--rates-ends", type=int, default=2000)
options.add_argument("--rates-memory", default="1G")
options.add_argument("--seconds", type=float, default=60)
# How long calls come and go before memory is measured: what a call takes grows at first.
options.add_argument("--before", type=float, default=120)
options.add_argument("--rate-seconds", type=float, default=15)
options.add_argument("--no-save", action="store_true")


class Loop:
    """Sockets that are ready, and moments that have come."""

    def __init__(self):
        self.poll, self.handlers = select.epoll(), {}
        self.moments, self.order = [], itertools.count()

    def after(self, seconds, what, *given):
        heapq.heappush(self.moments, (time.monotonic() + seconds, next(self.order), what, given))

    def run(self, seconds):
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end:
            while self.moments and self.moments[0][0] <= now:
                _, _, what, given = heapq.heappop(self.moments)
                what(*given)
            until = min(end, self.moments[0][0]) if self.moments else end
            for descriptor, _ in self.poll.poll(max(0, until - time.monotonic()), 512):
                if handler := self.handlers.get(descriptor):
                    handler.ready()


class Line:
    """A connection, and one request at a time over it."""

    def __init__(self, loop, port):
        self.loop, self.port, self.socket = loop, port, None

    def open(self):
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Reset when it is closed: no ports are left that wait for their last packets.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.connect_ex(("127.0.0.1", self.port))
        self.loop.handlers[self.socket.fileno()] = self
        self.loop.poll.register(self.socket, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)

    def call(self, path, body, answered, *given, keep=False):
        """Asks; `answered` is given the status (0: the connection broke), the body and the rest."""
        self.answered, self.given, self.keep, self.come = answered, given, keep, b""
        connection = b"" if keep else b"connection: close\r\n"
        self.out = (b"POST %s HTTP/1.1\r\nhost: x\r\n%scontent-type: application/octet-stream\r\n"
                    b"content-length: %d\r\n\r\n" % (path, connection, len(body))) + body
        if self.socket is None:
            self.open()
        self.ready()

    def ready(self):
        try:
            while self.out:
                self.out = self.out[self.socket.send(self.out):]
            while True:
                part = self.socket.recv(65536)
                if not part:
                    return self.end(0, b"")
                self.come += part
                head, found, body = self.come.partition(b"\r\n\r\n")
                if not found:
                    continue
                lower = head.lower()
                at = lower.find(b"content-length:")
                length = int(lower[at + 15:].split(b"\r\n", 1)[0]) if at >= 0 else 0
                if len(body) >= length:
                    return self.end(int(head[9:12]), body)
        except BlockingIOError:
            pass
        except OSError as why:
            if why.errno != errno.ENOTCONN:
                self.end(0, b"")

    def end(self, status, body):
        if not self.keep or status == 0:
            self.close()
        answered, self.answered = self.answered, None
        if answered:
            answered(status, body, *self.given)

    def close(self):
        if self.socket:
            self.loop.handlers.pop(self.socket.fileno(), None)
            self.socket.close()
            self.socket = None


class Tally:
    """What was counted since the last time."""

    def __init__(self):
        self.posted, self.asked, self.times, self.waits, self.bad = 0, 0, [], [], {}

    def refused(self, what, status):
        self.bad[f"{what} {status}"] = self.bad.get(f"{what} {status}", 0) + 1


def token():
    return random.randbytes(32)


class World:
    """All ends at one postbox."""

    def __init__(self, port, ends, slots):
        self.loop, self.port, self.tally = Loop(), port, Tally()
        self.slots = [slots(self) for _ in range(ends * slots.EACH)]
        # Those that wait, to be chosen from: a list, and where each is in it.
        self.waiting, self.place, self.rates = [], {}, 0
        for slot in self.slots:
            self.loop.after(random.uniform(0, BEGINNING), slot.ask, random.uniform(1, slot.WAIT))

    def waits(self, slot):
        self.place[slot] = len(self.waiting)
        self.waiting.append(slot)

    def waits_no_more(self, slot):
        at = self.place.pop(slot, None)
        if at is not None:
            last = self.waiting.pop()
            if last is not slot:
                self.waiting[at], self.place[last] = last, at

    def messages(self, rate):
        """From now on so many are posted in a second."""
        self.rates += 1
        self.due = time.monotonic()
        self.post(rate, self.rates)

    def post(self, rate, nth):
        if nth != self.rates:
            return
        # From when it was due: what comes late slows nothing down.
        self.due += random.expovariate(rate)
        self.loop.after(self.due - time.monotonic(), self.post, rate, nth)
        if self.waiting:
            slot = random.choice(self.waiting)
            self.waits_no_more(slot)
            self.tally.posted += 1
            address = hashlib.sha256(b"otr/1 address" + slot.token).digest()
            packet = address + random.randbytes(4096 - 32)
            slot.packet, slot.posted = hashlib.sha256(packet).digest(), time.monotonic()
            slot.post(b"\xf5" + packet, self.was_posted)

    def was_posted(self, status, body):
        if status != 201:
            self.tally.refused("post", status)

    def once(self, path, body, answered):
        Line(self.loop, self.port).call(path, body, answered)

    def discarded(self, status, body):
        if status not in (200, 204):
            self.tally.refused("discard", status)


class Slot:
    """A call that waits, again and again."""

    def __init__(self, world):
        self.world, self.line, self.token, self.posted = world, Line(world.loop, world.port), token(), None

    def ask(self, wait=None):
        self.world.tally.asked += 1
        wait = round(wait or self.WAIT)
        self.begun = time.monotonic()
        path = b"/v1/collect?wait=%d" % wait
        self.line.call(path, self.tokens(), self.answered, wait, keep=self.KEEPS)
        if not self.posted:
            self.world.waits(self)

    def answered(self, status, body, wait):
        world, now = self.world, time.monotonic()
        world.waits_no_more(self)
        if status == 200 and self.posted:
            world.tally.times.append(now - self.posted)
            self.came()
        elif status == 204:
            world.tally.waits.append((now - self.begun) / wait)
            self.again()
        else:
            world.tally.refused("collect", status)
            # As a client does.
            world.loop.after(random.uniform(1, 5), self.ask)

    def record(self):
        record = self.token + self.packet + bytes(32)
        self.token, self.posted = token(), None
        return record


class Apart(Slot):
    """As `otr` calls through Tor or a proxy."""

    EACH, WAIT, KEEPS = 3, 60, False

    def tokens(self):
        return self.token

    def post(self, packet, answered):
        self.world.once(b"/v1/post", packet, answered)

    def came(self):
        world = self.world
        world.loop.after(random.uniform(0, 60), world.once, b"/v1/discard", self.record(), world.discarded)
        self.again()

    def again(self):
        self.world.loop.after(random.uniform(0, 10), self.ask)


class Together(Slot):
    """As it called before: each call at once after the last one, on the same connection."""

    EACH, WAIT, KEEPS = 2, 25, True

    def tokens(self):
        return self.token + random.randbytes(3 * 32)

    def post(self, packet, answered):
        posters = self.world.__dict__.setdefault("posters", [])
        line = posters.pop() if posters else Line(self.world.loop, self.world.port)

        def done(status, body):
            if len(posters) < POSTERS and line.socket:
                posters.append(line)
            else:
                line.close()
            if status:
                return answered(status, body)
            # It was kept too long.
            self.world.once(b"/v1/post", packet, answered)

        line.call(b"/v1/post", packet, done, keep=True)

    def came(self):
        self.line.call(b"/v1/discard", self.record(), self.discarded, keep=True)

    def discarded(self, status, body):
        self.world.discarded(status, body)
        self.ask()

    def again(self):
        self.ask()


def resident(pid):
    """VmRSS in bytes."""
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))


def queued(pid):
    """For how many seconds a process was ready to run and had no core."""
    with open(f"/proc/{pid}/schedstat") as schedstat:
        return int(schedstat.read().split()[1]) / 1e9


def part(times, share):
    times = sorted(times)
    return times[min(len(times) - 1, int(len(times) * share))] if times else float("nan")


class Phase:
    """A time in which is counted and measured."""

    def __init__(self, world, postbox, seconds):
        world.tally = self.tally = Tally()
        cpu, own, begun = exact_cpu_seconds(postbox.pid), time.process_time(), time.monotonic()
        pids = (postbox.pid, os.getpid())
        before = [queued(pid) for pid in pids]
        world.loop.run(seconds)
        self.seconds = time.monotonic() - begun
        self.cpu = (exact_cpu_seconds(postbox.pid) - cpu) / self.seconds
        self.own = (time.process_time() - own) / self.seconds
        # What other programs took: without a core nobody is in time.
        self.queued = max(queued(pid) - was for pid, was in zip(pids, before)) / self.seconds
        self.rate = len(self.tally.times) / self.seconds
        self.half, self.most = (part(self.tally.times, share) for share in (0.5, 0.99))

    def is_in_time(self):
        return self.most < IN_TIME and not self.tally.bad

    def told(self):
        bad = "".join(f"; {what}: {count}" for what, count in sorted(self.tally.bad.items()))
        return (f"{self.rate:.1f} messages a second, half in {self.half * 1000:.1f} ms, 99 % in "
                f"{self.most * 1000:.1f} ms; CPU {self.cpu * 100:.1f} %, of the ends' {self.own * 100:.0f} %, "
                f"waited for a core {self.queued * 100:.0f} %{bad}")


class Standing:
    """One postbox, and so many ends at it, all of which have begun."""

    def __init__(self, otr, memory, ends, kind, before):
        self.ends, self.kind, self.postbox = ends, kind, Postbox(otr, "--memory", memory)
        self.time = before

    def __enter__(self):
        self.postbox.__enter__()
        self.before = resident(self.postbox.pid)
        self.world = World(self.postbox.port, self.ends, self.kind)
        self.world.messages(self.ends * SELDOM)
        self.world.loop.run(self.time)
        return self

    def __exit__(self, *why):
        for slot in self.world.slots:
            slot.line.answered = None
            slot.line.close()
        self.postbox.__exit__(*why)

    def rest(self, seconds, report):
        phase = Phase(self.world, self.postbox, seconds)
        each = (resident(self.postbox.pid) - self.before) / self.ends
        waits = phase.tally.waits
        report(f"{self.kind.__name__.lower()}, {self.ends} ends: {len(self.world.place)} calls wait; for each end "
               f"{each / 1024:.1f} KiB and {phase.cpu / self.ends * 1e6:.0f} us of CPU a second; "
               f"{phase.tally.asked / phase.seconds:.0f} calls a second to ask; half of them may wait for "
               f"{part(waits, 0.5) * 100:.0f} % of their time, 99 of 100 for {part(waits, 0.01) * 100:.0f} %")
        report(f"    {phase.told()}")
        return phase

    def rates(self, args, report):
        """Of each rate: messages a second, CPU seconds of each, whether all were in time."""
        found, rest = [], self.rest(args.rate_seconds, report)
        for rate in map(float, args.rates.split(",")):
            self.world.messages(rate)
            self.world.loop.run(2)
            phase = Phase(self.world, self.postbox, args.rate_seconds)
            each = (phase.cpu - rest.cpu) / max(phase.rate, 1e-9)
            found.append((phase.rate, each, phase.is_in_time()))
            report(f"    asked for {rate:.0f}: {phase.told()}; {each * 1e6:.0f} us of CPU each")
        return found


def main():
    args = options.parse_args()
    measure.need("cargo")
    with Report("ends", save=not args.no_save) as report:
        otr = measure.build()
        levels = list(map(int, args.ends.split(",")))
        most = max(*levels, args.rates_ends) * Apart.EACH + 500
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        if os.geteuid() == 0:
            hard = max(hard, 2 * most)
        if hard < most:
            sys.exit(f"only {hard} descriptors may be had here: raise the hard limit (ulimit -Hn)")
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        report(f"\n--memory {args.memory}")
        for ends in levels:
            for kind in (Together, Apart):
                with Standing(otr, args.memory, ends, kind, args.before) as standing:
                    standing.rest(args.seconds, report)
        report(f"\n--memory {args.rates_memory}")
        found = {}
        for kind in (Together, Apart):
            with Standing(otr, args.rates_memory, args.rates_ends, kind, BEGINNING + 10) as standing:
                found[kind] = standing.rates(args, report)
        report()
        for kind, rates in found.items():
            best = max((rate for rate, _, good in rates if good), default=0)
            report(f"{kind.__name__.lower()}: {best:.0f} messages a second with 99 % of them within {IN_TIME * 1000:.0f} ms")
        # However busy the machine was: of one core's messages a second at least half are left.
        ratio = measure.median([apart[1] / together[1] for apart, together in zip(found[Apart], found[Together])])
        report.check(f"CPU of a message, apart / together at the same rate: median {ratio:.2f} (at most 2)", ratio <= 2)
    sys.exit(1 if report.missed else 0)


if __name__ == "__main__":
    main()
