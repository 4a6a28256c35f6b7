"""The client of `simulate.py`, as the relay sees it: the one that asks for everything at once, each
address on a circuit of its own, and the one that asks by a schedule."""

import math
from dataclasses import dataclass

from at_once import AtOnce
from scheduled import Scheduled, ScheduledLook
from world import AWAY, Circuit


@dataclass
class Conduct:
    """How a client asks. All times in seconds, means of exponential distributions unless said otherwise."""

    # Whether it asks by a schedule; all below is about that.
    schedule: bool = True
    # From one ask for an address to the next.
    again: float = 5
    # The first ask for the number that comes next, and for those after it.
    soon: float = 5
    later: float = 5
    # How many numbers of the current chain are asked for, and of the next.
    current: int = 1
    next: int = 1
    # An address that was asked for and is not wanted any more is asked for this much longer.
    linger: float = 0
    # How long the relay holds a call to which it has no answer (constant).
    wait: int = 60
    # From reading to discarding; 0: at once.
    discard: float = 60
    # A command that does not wait asks within so many seconds of its start (uniform).
    within: float = 10
    # When a command ends, its open calls are "closed", "held" to their end, or held and their answer
    # "kept" for the next command.
    ending: str = "kept"
    # A post waits up to this long (uniform).
    hold: float = 0
    # A packet of cover after this long, in its place a message if there is one; always exactly so long.
    cover: float = 0
    constant: bool = False
    # Between the steps of a handshake it pauses up to this long (uniform).
    pause: float = 10
    # A command that does not wait searches for so many numbers more, and for one more after each so many seconds
    # since the last search, up to so many; one that waits, for one within 100 s.
    searches: int = 0
    refill: float = 600
    most: int = 16
    # Of several relays: from one ask for a next number at the second in order to the next.
    beside: float = 300
    # Whether what was skipped is asked for there, too.
    skipped_beside: bool = False
    # Whether a command that does not wait asks for numbers after the next one, too.
    looks_far: bool = False


AT_ONCE = Conduct(schedule=False)
# Of several relays, when all were away: the next try.
ALL_AWAY = 10


class End:
    """One end of a conversation: which packets it has posted and read, so which addresses it may ask for."""

    def __init__(self, world, talk, side, conduct):
        self.world, self.talk, self.side, self.conduct = world, talk, side, conduct
        self.number = 2 * talk.number + side
        # Chains of two ends take turns; the first packet after one of the peer's begins a new chain.
        self.chain, self.sent, self.turn = side - 2, 0, True
        self.peer_chain, self.peer_sent, self.peer_next = None, 0, 1 - side
        self.asked, self.read, self.spent, self.kept = set(), set(), set(), []
        # Numbers that may still come, though later ones are here; and where packets lie, if not at the first relay.
        self.skipped, self.elsewhere = {}, {}
        # Address → until when it lingers.
        self.lingering = {}
        # How many searches there were since something came, and when the last one was.
        self.searches, self.searched = 0, -math.inf
        self.command, self.queue = None, []
        if conduct.cover:
            world.after(world.random.uniform(0, conduct.cover), self.cover)

    def address(self, chain, number):
        return f"{self.talk.number}.{chain}.{number}"

    def awaited(self, current, following):
        """Address → how many numbers ahead it is."""
        out = {}
        if self.peer_chain is not None:
            for ahead in current:
                out[self.address(self.peer_chain, self.peer_sent + ahead)] = ahead
        for ahead in following:
            out[self.address(self.peer_next, ahead)] = ahead
        return out

    def search(self):
        """An address that may be used later: of each eight five are numbers of the current chain, in order, two of
        the next chain, and one by chance, which every second time is one that was skipped."""
        random = self.world.random
        eight, place = divmod(self.searches, 8)
        self.searches, self.searched = self.searches + 1, self.world.now
        following = place % 3 == 2
        if place == 7:
            first = 1 << min(int(random.expovariate(0.69)), 8)
            number, following = first + random.randrange(first), eight % 2 == 1
            if following and self.skipped:
                return random.choice(list(self.skipped))
        else:
            number = 1 + (2 * eight + place // 3 if following else 5 * eight + place - place // 3)
        if following or self.peer_chain is None:
            return self.address(self.peer_next, number)
        return self.address(self.peer_chain, self.peer_sent + number)

    def credit(self):
        """How many searches a command makes that does not wait."""
        if not self.conduct.searches:
            return 0
        since = min(self.world.now - self.searched, self.conduct.most * self.conduct.refill)
        return min(self.conduct.searches + int(since / self.conduct.refill), self.conduct.most)

    def wanted(self):
        wanted = self.awaited(range(self.conduct.current), range(self.conduct.next))
        for address, until in list(self.lingering.items()):
            if until < self.world.now:
                del self.lingering[address]
            else:
                wanted[address] = -1
        return wanted

    def send(self, size):
        """A message was typed."""
        message = (self.world.now, size)
        if self.conduct.cover:
            self.queue.append(message)
        else:
            self.world.after(self.world.random.uniform(0, self.conduct.hold), self.post, message)

    def cover(self):
        if self.queue:
            self.post(self.queue.pop(0))
        elif self.command:
            self.post((None, 4096))
        cover = self.conduct.cover
        self.world.after(cover if self.conduct.constant else self.world.exponential(cover), self.cover)

    def post(self, message):
        if self.turn:
            self.chain, self.sent, self.turn = self.chain + 2, 0, False
        address = self.address(self.chain, self.sent)
        self.sent += 1
        self.talk.lengths[self.chain] = self.sent
        self.talk.typed[address] = message[0]
        if message[0] is not None:
            self.world.messages[address] = [message[0], None, self]
        self.post_at(address, message[1], self.world.order(address))

    def post_at(self, address, size, order):
        """At the first of these relays, or the next if that is away."""
        circuit = Circuit(self.world, self, order[0])

        def done(answer):
            circuit.close()
            if answer == AWAY and order[1:]:
                self.post_at(address, size, order[1:])
            elif answer == AWAY:
                self.world.after(ALL_AWAY, self.post_at, address, size, self.world.order(address))
        circuit.call("post", address, done, size=size)

    def take(self, address):
        """A packet has come; whether it is a message."""
        _, chain, number = map(int, address.split("."))
        wanted = self.wanted() if self.conduct.linger else ()
        self.read.add(address)
        self.spent.add(address)
        self.searches = 0
        if self.peer_chain is None or chain > self.peer_chain:
            if self.peer_chain is not None:
                # A header tells how many there were.
                self.skip(self.peer_chain, self.talk.lengths[self.peer_chain])
            self.peer_chain, self.peer_sent, self.peer_next, self.turn = chain, 0, chain + 2, True
        self.skipped.pop(address, None)
        if chain == self.peer_chain:
            self.skip(chain, number)
            self.peer_sent = max(self.peer_sent, number + 1)
        for dropped in sorted(set(wanted) & self.asked - set(self.wanted()) - {address}):
            self.lingering[dropped] = self.world.now + self.world.exponential(self.conduct.linger)
        self.talk.took(self, address)
        typed = self.talk.typed[address]
        if typed is not None:
            self.world.messages[address][1] = self.world.now
            self.world.latencies.setdefault(self.talk.habits[self.side], []).append(self.world.now - typed)
            self.talk.heard(self)
        return typed is not None

    def skip(self, chain, until):
        for number in range(self.peer_sent, until):
            self.skipped[self.address(chain, number)] = True

    def discard(self, address):
        if address in self.spent:
            self.spent.discard(address)
            circuit = Circuit(self.world, self, self.elsewhere.get(address, self.world.order(address)[0]))

            def done(answer):
                circuit.close()
                if answer == AWAY:
                    self.spent.add(address)
                    if self.command and self.conduct.schedule:
                        self.command.discard_later(address)
            circuit.call("discard", address, done)

    def receive(self, messages, ended):
        """Begins a command that waits for so many messages, or for ever (None)."""
        kind = Scheduled if self.conduct.schedule else AtOnce
        self.command = kind(self, messages, ended)

    def look(self, ended):
        """Begins a command that takes what is there."""
        (ScheduledLook if self.conduct.schedule else AtOnce)(self, 0, ended)
