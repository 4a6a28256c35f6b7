"""The clock and the relay of `simulate.py`: connections with their delays, packets that lie at one of
several relays, and the log that `tap.py` would write."""

import functools
import hashlib
import heapq
import json
import os
import random

# What a call costs beside its packet, in bytes, as tap.py counts them.
COLLECT, DISCARD, POST = 163, 208, 112
NOTHING, STORED, FOUND = 52, 111, 107
# What a call comes to if its relay is away, and how long a client tries.
AWAY, TRIES = "away", 2.0
# How long the client of old keeps a connection that nobody uses.
IDLE = 12


@functools.lru_cache(1 << 16)
def order(address, relays):
    first = hashlib.sha256(f"a key of the ends {address}".encode()).digest()[0]
    return [(first + step) % relays for step in range(relays)]


class World:
    """Runs what is due, in order. `delays`: as through Tor, else as over a fast proxy."""

    def __init__(self, seed=1, delays=False, relays=1):
        self.random, self.delays, self.relays = random.Random(seed), delays, relays
        self.now, self.due, self.count = 0.0, [], 0
        self.log, self.truth, self.connections, self.talks = [], [], 0, 0
        # By relay and address.
        self.stored, self.waiting = {}, {}
        # Address → when a message was typed, when it was read, who sent it.
        self.bytes, self.latencies, self.messages = 0, {}, {}
        # Relays that are away: (relay, from, until, side, or none for both).
        self.outages = []

    def at(self, when, do, *args):
        self.count += 1
        heapq.heappush(self.due, (when, self.count, do, args))

    def after(self, seconds, do, *args):
        self.at(self.now + seconds, do, *args)

    def exponential(self, mean):
        return self.random.expovariate(1 / mean) if mean else 0.0

    def run(self, seconds):
        while self.due and self.due[0][0] < seconds:
            self.now, _, do, args = heapq.heappop(self.due)
            do(*args)

    def start(self, process):
        """A generator that yields seconds to sleep, or what `Box.get` returns."""
        self.resume(process, None)

    def resume(self, process, value):
        try:
            request = process.send(value)
        except StopIteration:
            return
        if isinstance(request, (int, float)):
            self.after(request, self.resume, process, None)
        else:
            request(process)

    def note(self, when, connection, event, **more):
        self.log.append((when, len(self.log), {"t": round(when, 4), "c": connection, "e": event, **more}))

    def order(self, address):
        """The relays for an address: the first by a hash that only the two ends can compute, and the next ones."""
        return order(address, self.relays)

    def away(self, relay, begin, end, side=None):
        """A relay cannot be reached for a time, by nobody or by the ends of one side; what waits there is cut off."""
        self.outages.append((relay, begin, end, side))

        def cut():
            for (at, _), waiting in list(self.waiting.items()):
                for answer in list(waiting) if at == relay else ():
                    answer()
        self.at(begin, cut)

    def is_away(self, relay, side):
        return any(at == relay and begin <= self.now < end and of in (None, side)
                   for at, begin, end, of in self.outages)

    def lose(self, relay):
        """A relay loses all that lies there; which messages of it nobody has read."""
        lost = [address for at, address in self.stored if at == relay and self.is_unread(address)]
        self.stored = {place: size for place, size in self.stored.items() if place[0] != relay}
        return lost

    def is_unread(self, address):
        return address in self.messages and self.messages[address][1] is None

    def save(self, folder, seconds):
        os.makedirs(folder, exist_ok=True)
        with open(f"{folder}/log.jsonl", "w") as out:
            out.writelines(json.dumps(event) + "\n" for when, _, event in sorted(self.log, key=lambda one: one[:2])
                           if when < seconds)
        with open(f"{folder}/truth.jsonl", "w") as out:
            out.writelines(json.dumps(one) + "\n" for one in self.truth)


class Box:
    """What one process of the world hands to another."""

    def __init__(self, world):
        self.world, self.things, self.taker = world, [], None

    def put(self, thing):
        if self.taker:
            taker, self.taker = self.taker, None
            self.world.after(0, taker, thing)
        else:
            self.things.append(thing)

    def get(self, timeout=None):
        """For a process to yield; none after `timeout`."""
        def wait(process):
            if self.things:
                return self.world.after(0, self.world.resume, process, self.things.pop(0))

            def take(thing):
                if self.taker is take:
                    self.taker = None
                if not taken:
                    taken.append(True)
                    self.world.resume(process, thing)
            taken = []
            self.taker = take
            if timeout is not None:
                self.world.after(timeout, lambda: taken or take(None))
        return wait


class Circuit:
    """A way to a relay that a client uses for one address: a delay of its own, and one connection at a
    time, opened with its first call."""

    def __init__(self, world, end, relay=0, searches=False):
        random = world.random
        self.world, self.end, self.relay, self.searches = world, end, relay, searches
        self.build = random.lognormvariate(0.4, 0.5) if world.delays else 0.0
        self.latency = random.lognormvariate(-1.3, 0.4) if world.delays else 0.0003
        self.connection, self.used, self.open_calls, self.gone = None, 0.0, 0, False

    def delay(self):
        return self.latency + self.world.exponential(0.015 if self.world.delays else 0.0004)

    def call(self, kind, address, done, wait=0, size=0):
        """`done(found)` at the client, once the answer is there."""
        build, self.build = self.build, 0.0
        self.world.after(build + self.delay(), self.arrive, kind, address, done, wait, size)

    def arrive(self, kind, address, done, wait, size):
        world = self.world
        if self.gone:
            return
        if self.is_away():
            return world.after(TRIES, lambda: None if self.gone else done(AWAY))
        if self.connection is not None and not self.open_calls and world.now - self.used > IDLE:
            world.note(self.used + IDLE, self.connection, "shut")
            self.connection = None
        if self.connection is None:
            world.connections += 1
            self.connection = world.connections
            world.truth.append({"c": self.connection, "conv": self.end.talk.number, "end": self.end.number,
                                "relay": self.relay, "search": self.searches})
            world.note(world.now - self.latency * 0.9, self.connection, "open")
        up = {"collect": COLLECT, "discard": DISCARD, "post": POST}[kind] + size
        self.used, self.open_calls = world.now, self.open_calls + 1
        world.note(world.now, self.connection, "call", k=kind, w=wait, a=[address], s=[size] if size else [], up=up,
                   **self.end.talk.said(kind, address))
        world.bytes += up
        place = (self.relay, address)
        if kind == "post":
            world.stored[place] = size
            self.answer(kind, 201, STORED, done, None)
            for wake in world.waiting.pop(place, ()):
                wake()
        elif kind == "discard":
            world.stored.pop(place, None)
            self.answer(kind, 204, NOTHING, done, None)
        elif place in world.stored:
            self.answer(kind, 200, FOUND + world.stored[place], done, address)
        elif not wait:
            self.answer(kind, 204, NOTHING, done, None)
        else:
            self.long_poll(place, done, wait)

    def is_away(self):
        return bool(self.world.outages) and self.world.is_away(self.relay, self.end.side)

    def long_poll(self, place, done, wait):
        answered = []

        def end():
            if answered or self.gone:
                return
            answered.append(True)
            if self.is_away():
                self.world.note(self.world.now, self.connection, "shut")
                self.world.after(TRIES, lambda: None if self.gone else done(AWAY))
                self.connection, self.open_calls = None, 0
            elif place in self.world.stored:
                self.answer("collect", 200, FOUND + self.world.stored[place], done, place[1])
            else:
                self.answer("collect", 204, NOTHING, done, None)
        self.world.waiting.setdefault(place, []).append(end)
        self.world.after(wait, end)

    def answer(self, kind, status, down, done, found):
        world = self.world
        self.used, self.open_calls = world.now, self.open_calls - 1
        world.bytes += down
        packet = {"a": [found], "s": [world.stored[self.relay, found]]} if found else {}
        world.note(world.now, self.connection, "ans", k=kind, st=status, dn=down, **packet)
        world.after(self.delay(), lambda: None if self.gone else done(found))

    def close(self):
        """An idle connection had ended by itself."""
        if self.connection is not None and not self.gone:
            now = self.world.now + self.delay()
            self.world.note(now if self.open_calls else min(now, self.used + IDLE), self.connection, "shut")
        self.gone, self.connection = True, None
