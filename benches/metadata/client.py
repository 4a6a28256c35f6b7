"""The client of `simulate.py`, as the relay sees it: the one that asks for everything at once, each
address on a circuit of its own, and the one that asks by a schedule."""

import math
from dataclasses import dataclass

from world import Circuit


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
    # A command that does not wait searches for so many numbers more, and for one more after each so many seconds
    # since the last search, up to so many; one that waits, for one within 100 s.
    searches: int = 0
    refill: float = 600
    most: int = 16


AT_ONCE = Conduct(schedule=False)
# What the client of old does: numbers asked for beyond the next one, once nothing has come.
BEYOND, FARTHER, LAST = 16, 8, 512
FIRST_WAIT, LONGEST_WAIT = 5, 60


class End:
    """One end of a conversation: which packets it has posted and read, so which addresses it may ask for."""

    def __init__(self, world, talk, side, conduct):
        self.world, self.talk, self.side, self.conduct = world, talk, side, conduct
        self.number = 2 * talk.number + side
        # Chains of two ends take turns; the first packet after one of the peer's begins a new chain.
        self.chain, self.sent, self.turn = side - 2, 0, True
        self.peer_chain, self.peer_sent, self.peer_next = None, 0, 1 - side
        self.asked, self.read, self.spent, self.kept = set(), set(), set(), []
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
        the next chain, and one by chance."""
        eight, place = divmod(self.searches, 8)
        self.searches, self.searched = self.searches + 1, self.world.now
        if place == 7:
            first = 1 << min(int(self.world.random.expovariate(0.69)), 8)
            number, following = first + self.world.random.randrange(first), False
        else:
            following = place % 3 == 2
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
        self.talk.typed[address] = message[0]
        circuit = Circuit(self.world, self)
        circuit.call("post", address, lambda _: circuit.close(), size=message[1])

    def take(self, address):
        """A packet has come; whether it is a message."""
        _, chain, number = map(int, address.split("."))
        wanted = self.wanted() if self.conduct.linger else ()
        self.read.add(address)
        self.spent.add(address)
        self.searches = 0
        if self.peer_chain is None or chain > self.peer_chain:
            self.peer_chain, self.peer_sent, self.peer_next, self.turn = chain, 0, chain + 2, True
        if chain == self.peer_chain:
            self.peer_sent = max(self.peer_sent, number + 1)
        for dropped in sorted(set(wanted) & self.asked - set(self.wanted()) - {address}):
            self.lingering[dropped] = self.world.now + self.world.exponential(self.conduct.linger)
        typed = self.talk.typed[address]
        if typed is not None:
            self.world.latencies.setdefault(self.talk.habits[self.side], []).append(self.world.now - typed)
            self.talk.heard(self)
        return typed is not None

    def discard(self, address):
        if address in self.spent:
            self.spent.discard(address)
            circuit = Circuit(self.world, self)
            circuit.call("discard", address, lambda _: circuit.close())

    def receive(self, messages, ended):
        """Begins a command that waits for so many messages, or for ever (None)."""
        kind = Scheduled if self.conduct.schedule else AtOnce
        self.command = kind(self, messages, ended)

    def look(self, ended):
        """Begins a command that takes what is there."""
        (ScheduledLook if self.conduct.schedule else AtOnce)(self, 0, ended)


class Scheduled:
    """A command that waits: each address by itself, at moments that depend on nothing."""

    def __init__(self, end, messages, ended):
        self.end, self.messages, self.ended = end, messages, ended
        self.world, self.conduct = end.world, end.conduct
        self.alive, self.open, self.due, self.hurried = True, {}, set(), set()
        self.plan()
        for address in sorted(end.spent):
            self.discard_later(address)
        self.take_kept()
        if self.conduct.searches:
            self.search_later()

    def search_later(self):
        self.world.after(self.world.random.uniform(0, 100), self.search)

    def search(self):
        if self.alive:
            circuit = Circuit(self.world, self.end, True)
            circuit.call("collect", self.end.search(), lambda _: circuit.close())
            self.search_later()

    def plan(self):
        for address, ahead in self.end.wanted().items():
            new = address not in self.end.asked
            if new and ahead == 0 and address not in self.hurried:
                # Its turn has come: what was to be asked for some time is asked for soon.
                self.hurried.add(address)
                self.plan_one(address, self.conduct.soon)
            elif address not in self.due and address not in self.open:
                self.plan_one(address, self.conduct.later if new else self.conduct.again)

    def plan_one(self, address, mean):
        self.due.add(address)
        self.world.after(self.world.exponential(mean), self.ask, address)

    def ask(self, address):
        if not self.alive or address not in self.due:
            return
        self.due.discard(address)
        if address not in self.end.wanted():
            return
        self.end.asked.add(address)
        circuit = self.open[address] = Circuit(self.world, self.end)
        circuit.call("collect", address, lambda found: self.answered(address, circuit, found), self.conduct.wait)

    def answered(self, address, circuit, found):
        circuit.close()
        if not self.alive:
            if found and self.conduct.ending == "kept":
                self.end.kept.append(address)
                if self.end.command:
                    self.end.command.take_kept()
            return
        self.open.pop(address, None)
        if found and address not in self.end.read:
            self.take(address)
        else:
            self.plan()

    def take_kept(self):
        while self.end.kept and self.alive:
            address = self.end.kept.pop(0)
            if address not in self.end.read:
                self.take(address)

    def take(self, address):
        message = self.end.take(address)
        self.discard_later(address)
        if message and self.messages is not None:
            self.messages -= 1
        if self.messages == 0:
            self.stop(True)
        else:
            self.plan()

    def discard_later(self, address):
        delay = self.world.exponential(self.conduct.discard)
        self.world.after(delay, lambda: self.alive and self.end.discard(address))

    def stop(self, enough=False):
        if not self.alive:
            return
        self.alive = False
        self.end.command = None
        if self.conduct.ending == "closed":
            for circuit in self.open.values():
                circuit.close()
        self.ended(enough)


class ScheduledLook:
    """A command that does not wait: each address once, at a moment of its own."""

    def __init__(self, end, _messages, ended):
        self.end, self.ended, self.world, self.conduct = end, ended, end.world, end.conduct
        self.asked, self.open = set(), 0
        self.ask_for(end.wanted())
        for _ in range(end.credit()):
            self.open += 1
            self.world.after(self.world.random.uniform(0, self.conduct.within), self.search)
        for address in sorted(end.spent):
            delay = self.world.exponential(self.conduct.discard)
            if delay < self.conduct.within:
                self.world.after(delay, end.discard, address)

    def ask_for(self, addresses):
        for address in addresses:
            if address not in self.asked:
                self.asked.add(address)
                self.open += 1
                self.world.after(self.world.random.uniform(0, self.conduct.within), self.ask, address)

    def search(self):
        circuit, address = Circuit(self.world, self.end, True), self.end.search()
        circuit.call("collect", address, lambda _: self.answered(address, circuit, None))

    def ask(self, address):
        circuit = Circuit(self.world, self.end)
        circuit.call("collect", address, lambda found: self.answered(address, circuit, found))

    def answered(self, address, circuit, found):
        circuit.close()
        self.open -= 1
        if found and address not in self.end.read:
            self.end.take(address)
            # What has become wanted, too, but not next, waits for another run.
            self.ask_for([one for one, ahead in self.end.wanted().items() if ahead == 0])
        if not self.open:
            self.ended(True)


class AtOnce:
    """The client of old: rounds in which all addresses are asked for in the same moment, waits that become
    longer, and numbers farther ahead after a wait without an answer."""

    def __init__(self, end, messages, ended):
        self.end, self.messages, self.ended, self.world = end, messages, ended, end.world
        self.circuits, self.asked = {}, set()
        self.alive, self.number = True, 0
        self.round(0)

    def circuit(self, address):
        if address not in self.circuits:
            self.circuits[address] = Circuit(self.world, self.end)
        return self.circuits[address]

    def round(self, number):
        self.number, self.looks_beyond = number, False
        wait = min(FIRST_WAIT * 2 ** min(number, 4), LONGEST_WAIT) if self.messages != 0 else 0
        self.ask_all(self.end.awaited([0], [0]), wait)

    def beyond(self):
        first, number = 1 + BEYOND, self.number
        begin = 1 if number == 0 else first + (number - 1) * FARTHER % (LAST - first)
        numbers = range(begin, first if number == 0 else begin + FARTHER)
        self.looks_beyond = True
        self.ask_all(self.end.awaited(numbers, numbers), 0)

    def ask_all(self, addresses, wait):
        self.deadline, self.open = self.world.now + wait, set(addresses)
        for address in addresses:
            self.ask(address, wait)

    def ask(self, address, wait):
        if address not in self.asked:
            self.asked.add(address)
            self.circuit(address).call("collect", address, lambda found: self.answered(address, found), round(wait))

    def answered(self, address, found):
        if not self.alive:
            return
        self.asked.discard(address)
        if found:
            return self.take(address)
        left = self.deadline - self.world.now
        if address in self.open and left >= 1:
            # An older call, which ended before this round does.
            self.ask(address, left)
        else:
            self.open.discard(address)
        if not self.open:
            if not self.looks_beyond:
                self.beyond()
            elif self.messages == 0:
                self.stop(True)
            else:
                self.round(self.number + 1)

    def take(self, address):
        if address in self.end.read:
            return self.round(0)
        message = self.end.take(address)
        circuit = self.circuits.pop(address)
        self.end.spent.discard(address)

        def discarded(_):
            circuit.close()
            if self.alive:
                if message and self.messages:
                    self.messages -= 1
                    if self.messages == 0:
                        return self.stop(True)
                self.round(0)
        self.open = set()
        circuit.call("discard", address, discarded)

    def stop(self, enough=False):
        if self.alive:
            self.alive = False
            self.end.command = None
            for circuit in self.circuits.values():
                circuit.close()
            self.ended(enough)
