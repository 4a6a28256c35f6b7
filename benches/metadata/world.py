"""The clock and the relay of `simulate.py`: connections with their delays, packets that lie at one of
several relays, and the log that `tap.py` would write."""

import hashlib
import heapq
import json
import os
import random

# What a call costs beside its packet, in bytes, as tap.py counts them.
COLLECT, DISCARD, POST = 163, 208, 112
NOTHING, STORED, FOUND = 52, 111, 107
# How long the client of old keeps a connection that nobody uses.
IDLE = 12


class World:
    """Runs what is due, in order. `delays`: as through Tor, else as over a fast proxy."""

    def __init__(self, seed=1, delays=False, relays=1):
        self.random, self.delays, self.relays = random.Random(seed), delays, relays
        self.now, self.due, self.count = 0.0, [], 0
        self.log, self.truth, self.connections = [], [], 0
        self.stored, self.waiting = {}, {}
        self.bytes, self.latencies = 0, {}

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

    def relay_of(self, address):
        """The relay that the hash of an address picks."""
        return hashlib.sha256(address.encode()).digest()[0] % self.relays

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
    """A way to the relay that a client uses for one address: a delay of its own, and one connection at a
    time, opened with its first call."""

    def __init__(self, world, end, searches=False):
        random = world.random
        self.world, self.end, self.searches = world, end, searches
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
        if self.connection is not None and not self.open_calls and world.now - self.used > IDLE:
            world.note(self.used + IDLE, self.connection, "shut")
            self.connection = None
        if self.connection is None:
            world.connections += 1
            self.connection = world.connections
            world.truth.append({"c": self.connection, "conv": self.end.talk.number, "end": self.end.number,
                                "relay": world.relay_of(address), "search": self.searches})
            world.note(world.now - self.latency * 0.9, self.connection, "open")
        up = {"collect": COLLECT, "discard": DISCARD, "post": POST}[kind] + size
        self.used, self.open_calls = world.now, self.open_calls + 1
        world.note(world.now, self.connection, "call", k=kind, w=wait, a=[address], s=[size] if size else [], up=up)
        world.bytes += up
        if kind == "post":
            world.stored[address] = size
            self.answer(kind, 201, STORED, done, None)
            for wake in world.waiting.pop(address, ()):
                wake()
        elif kind == "discard":
            world.stored.pop(address, None)
            self.answer(kind, 204, NOTHING, done, None)
        elif address in world.stored:
            self.answer(kind, 200, FOUND + world.stored[address], done, address)
        elif not wait:
            self.answer(kind, 204, NOTHING, done, None)
        else:
            self.long_poll(address, done, wait)

    def long_poll(self, address, done, wait):
        answered = []

        def end():
            if not answered and not self.gone:
                answered.append(True)
                if address in self.world.stored:
                    self.answer("collect", 200, FOUND + self.world.stored[address], done, address)
                else:
                    self.answer("collect", 204, NOTHING, done, None)
        self.world.waiting.setdefault(address, []).append(end)
        self.world.after(wait, end)

    def answer(self, kind, status, down, done, found):
        world = self.world
        self.used, self.open_calls = world.now, self.open_calls - 1
        world.bytes += down
        packet = {"a": [found], "s": [world.stored[found]]} if found else {}
        world.note(world.now, self.connection, "ans", k=kind, st=status, dn=down, **packet)
        world.after(self.delay(), lambda: None if self.gone else done(found))

    def close(self):
        """An idle connection had ended by itself."""
        if self.connection is not None and not self.gone:
            now = self.world.now + self.delay()
            self.world.note(now if self.open_calls else min(now, self.used + IDLE), self.connection, "shut")
        self.gone, self.connection = True, None
