"""What people do in `simulate.py`: how they receive, and when they talk. Dense talk is that of `talk.py`;
in sparse talk an end is online for an hour or so and away for some minutes, and conversations come in
bursts."""

from client import End
from world import Box

# How an end receives: all the time, one command after another, only while an answer is expected, or a
# look now and then.
HABITS = ("follow", "follow", "loop", "turns", "cron")
# Of sparse talk.
SPARSE_HABITS = ("follow", "follow", "loop", "cron")
# From one burst to the next, in the mean, and from one look to the next.
BURSTS, LOOKS = 1500, 60
# What a message takes beside its text before it is padded.
FRAME = 2426


class Talk:
    """One conversation."""

    def __init__(self, world, number, conduct, sparse, habits=None):
        self.world, self.number, self.random = world, number, world.random
        # Address → when its message was typed, none for a packet of cover.
        self.typed = {}
        # Chain → how many packets it has.
        self.lengths = {}
        self.ends = [End(world, self, side, conduct) for side in (0, 1)]
        self.habits = [self.random.choice(habits or (SPARSE_HABITS if sparse else HABITS)) for _ in self.ends]
        self.inbox, self.waiting, self.woken, self.ended = [[Box(world) for _ in range(2)] for _ in range(4)]
        self.online, self.turns = [not sparse, not sparse], 0
        self.sparse = sparse
        self.start()

    def start(self):
        world = self.world
        if self.sparse:
            for side in (0, 1):
                world.start(self.sessions(side))
                world.start(self.receiver(side))
            world.start(self.bursts())
        else:
            self.waiting[1].put(True)
            begin = self.random.uniform(0, 60)
            for side in (0, 1):
                world.after(begin + self.random.uniform(0, 8), world.start, self.receiver(side))
                world.after(begin + self.random.uniform(0, 8), world.start, self.talker(side))

    def took(self, end, address):
        """An end has read a packet."""

    def said(self, _kind, _address):
        """What a call's line in the log has besides."""
        return {}

    def message(self):
        """Bytes of a packet; most messages are short."""
        size, packet = min(60 * self.random.paretovariate(1.1), 300_000) + FRAME, 4096
        while packet < size:
            packet *= 2
        return packet

    def receiver(self, side):
        """Runs one command after another."""
        end, habit, ended = self.ends[side], self.habits[side], self.ended[side]
        while True:
            if not self.online[side]:
                yield self.woken[side].get()
            elif habit == "follow":
                end.receive(None, ended.put)
                yield ended.get()
            elif habit == "cron":
                yield self.random.uniform(0.9, 1.1) * LOOKS if self.sparse else self.random.uniform(8, 30)
                if self.online[side]:
                    end.look(ended.put)
                    yield ended.get()
            elif habit == "loop":
                end.receive(1, ended.put)
                yield ended.get()
                yield 0.05
            else:
                yield self.waiting[side].get()
                come = False
                while not come:
                    end.receive(1, ended.put)
                    command = end.command
                    self.world.after(120, command.stop)
                    come = yield ended.get()
                self.waiting[side].things.clear()

    def heard(self, end):
        """A message has been read."""
        if not self.sparse:
            return self.inbox[end.side].put(True)
        self.turns -= 1
        if self.turns > 0:
            self.world.after(min(self.random.lognormvariate(3.0, 1.0), 600), self.reply, end.side)

    # Dense talk.

    def talker(self, side):
        random, say = self.random, self.ends[side].send
        if side == 0:
            yield self.think()
            say(self.message())
            self.waiting[side].put(True)
        while True:
            come = yield self.inbox[side].get(random.expovariate(1 / 60))
            if come and random.random() >= 0.8:
                self.waiting[side].put(True)
                continue
            if not come and self.habits[side] == "turns":
                continue
            if come:
                yield self.think()
            for _ in range(1 + (random.random() < 0.3) + (random.random() < 0.1)):
                say(self.message())
                yield random.uniform(0.5, 4)
            if come:
                self.waiting[side].put(True)

    def think(self):
        return min(self.random.lognormvariate(0, 1.0) * 8, 120)

    # Sparse talk.

    def sessions(self, side):
        yield self.random.uniform(0, 600)
        while True:
            self.online[side] = True
            self.woken[side].put(True)
            yield self.random.lognormvariate(8.2, 0.6)
            self.online[side] = False
            if self.ends[side].command:
                self.ends[side].command.stop()
            yield self.random.lognormvariate(5.7, 0.8)

    def bursts(self):
        yield self.random.expovariate(1 / 900)
        while True:
            side = self.random.choice((0, 1))
            self.turns = 1 + int(self.random.expovariate(0.12))
            self.say(side)
            yield self.random.expovariate(1 / BURSTS)

    def reply(self, side):
        self.say(side)
        if self.random.random() < 0.3:
            self.world.after(self.random.uniform(2, 15), self.say, side)

    def say(self, side):
        if self.online[side]:
            self.ends[side].send(self.message())
