"""The command of a client that asks for all addresses in the same moment, in rounds."""

from world import AWAY, Circuit

# Numbers asked for beyond the next one, once nothing has come.
BEYOND, FARTHER, LAST = 16, 8, 512
FIRST_WAIT, LONGEST_WAIT = 5, 60


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
            self.circuits[address] = Circuit(self.world, self.end, self.world.order(address)[0])
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
        if found and found != AWAY:
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
