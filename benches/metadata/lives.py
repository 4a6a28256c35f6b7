"""Conversations of `simulate.py` that begin and end during the log: two people meet by a code, under whose number the
relay can open the invite, or by an invite that was handed over otherwise; they talk as in sparse talk, and close.

The relay sees, in order: of a code, the number's address looked at, posted to and looked at again by who invites,
collected by who answers; the reply posted, and the number's packet discarded; the reply collected and discarded, and
the first packet posted. What follows what by itself waits for a random time in between."""

from habits import Talk
from world import Circuit

# Sizes of an invite under a code's number, and of a reply.
PLATE, REPLY = 4096, 8192
# Seconds: how long a conversation lasts (median), until the next one begins, until the code or invite is used, until
# somebody closes who has read that the other end has.
LIFE, BETWEEN, SPOKEN, CLOSED = 2400, 600, (20, 120), (2, 120)
# Within how many seconds the last packets are discarded, and how long a call for the reply waits.
SPREAD, WAIT = 10, 60
FIRST_BURST = 60


class Lives:
    """A place at the relay that one conversation after another takes."""

    def __init__(self, world, conduct, codes, habits=None):
        self.world, self.conduct, self.codes, self.habits = world, conduct, codes, habits
        world.after(world.random.uniform(0, 3 * BETWEEN), self.begin)

    def begin(self):
        world = self.world
        world.talks += 1
        life = Life(world, world.talks - 1, self)
        world.start(life.invites())
        self.world.after(world.random.lognormvariate(0, 0.5) * LIFE, life.close, world.random.choice((0, 1)))

    def over(self):
        self.world.after(self.world.random.expovariate(1 / BETWEEN), self.begin)


class Life(Talk):
    """One conversation from invite to close. Side 1 invites, side 0 answers: the reply is the first packet of its
    first chain."""

    def __init__(self, world, number, place):
        self.place, self.by_code, self.begun, self.over = place, world.random.random() < place.codes, False, set()
        super().__init__(world, number, place.conduct, True, place.habits)
        self.online, self.closing = [False, False], None
        self.plate, self.reply_to = f"{number}.plate", f"{number}.reply"
        # Who answers has sent packet 0 with the reply.
        answers, invites = self.ends
        answers.chain, answers.sent, answers.turn, self.lengths[0] = 0, 1, False, 1
        invites.peer_chain, invites.peer_sent, invites.peer_next = 0, 1, 2

    def start(self):
        """The talk begins once the handshake is over."""

    def said(self, kind, address):
        """The invite under a code's number can be opened, and says where the reply goes."""
        return {"plate": self.number, "reply": self.reply_to} if kind == "post" and address == self.plate else {}

    def call(self, side, kind, address, wait=0, size=0):
        """For a process to yield: one call on a circuit of its own."""
        def wait_for(process):
            circuit = Circuit(self.world, self.ends[side])

            def done(found):
                circuit.close()
                self.world.resume(process, found)
            circuit.call(kind, address, done, wait, size)
        return wait_for

    def pause(self):
        return self.random.uniform(0, self.place.conduct.pause)

    def invites(self):
        """Who invites, up to the first packet."""
        if self.by_code:
            yield self.call(1, "collect", self.plate)
            yield self.call(1, "post", self.plate, size=PLATE)
            yield self.call(1, "collect", self.plate)
        self.world.after(self.random.uniform(*SPOKEN), self.world.start, self.answers())
        yield self.random.uniform(1, 20)
        found = None
        while not found:
            yield self.pause()
            found = yield self.call(1, "collect", self.reply_to, WAIT)
        yield self.pause()
        yield self.call(1, "discard", self.reply_to)
        yield self.pause()
        self.ends[1].post((None, 4096))
        self.goes_on(1)

    def answers(self):
        """Who answers."""
        if self.by_code:
            yield self.call(0, "collect", self.plate)
            yield self.pause()
        yield self.call(0, "post", self.reply_to, size=REPLY)
        if self.by_code:
            yield self.pause()
            yield self.call(0, "discard", self.plate)
        self.goes_on(0)

    def goes_on(self, side):
        if side in self.over:
            return
        self.world.start(self.receiver(side))
        self.world.start(self.sessions(side))
        if side == 1:
            self.world.start(self.bursts())

    def sessions(self, side):
        sessions = super().sessions(side)
        # It is there from now on, not after some minutes.
        next(sessions)
        yield 0
        while side not in self.over:
            yield next(sessions)

    def bursts(self):
        self.world.after(self.random.expovariate(1 / FIRST_BURST), self.first_words)
        yield from super().bursts()

    def first_words(self):
        self.turns = 3
        self.say(self.random.choice((0, 1)))

    def say(self, side):
        if side not in self.over:
            super().say(side)

    def heard_close(self, end):
        """The other end has closed, and this one does, a while later."""
        self.online[end.side] = False
        if end.command:
            end.command.stop()
        self.world.after(self.random.uniform(*CLOSED), self.close, end.side)

    def close(self, side):
        """Tells the other end, unless that has told it, and discards what is left within ten seconds, or a second
        each."""
        if side in self.over:
            return
        first, end = not self.over, self.ends[side]
        self.over.add(side)
        self.online[side] = False
        if end.command:
            end.command.stop()
        if first:
            end.post((None, 4096))
            self.closing = end.address(end.chain, end.sent - 1)
            self.place.over()
        spent = sorted(end.spent)
        for address in spent:
            self.world.after(self.random.uniform(0, max(SPREAD, len(spent))), end.discard, address)

    def took(self, end, address):
        if address == self.closing:
            self.world.after(0, self.heard_close, end)
