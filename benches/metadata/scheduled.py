"""The commands of a client that asks by a schedule: each address by itself, at moments that depend on nothing."""

from world import AWAY, Circuit

# A relay that could not be called is called last for this long, then for twice as long, up to this.
AWAY_FIRST, AWAY_MOST = 30, 600
# How many of the numbers that were skipped are asked for at a time, how often each in one run, and within which time
# in the mean.
BEHIND, BEHIND_TIMES, BEHIND_MEAN = 4, 3, 60
# Within which time it searches for one address more, at first, for so long, and then.
SEARCHES, CATCHING_UP = (10, 100), 300


class Outages:
    """What one process knows of which relays are away."""

    def __init__(self, world):
        self.world, self.until, self.failures = world, {}, {}

    def is_away(self, relay):
        return self.until.get(relay, 0) > self.world.now

    def called(self, relay, answered):
        if answered:
            self.until.pop(relay, None)
            self.failures.pop(relay, None)
        else:
            failures = self.failures.get(relay, 0)
            self.until[relay] = self.world.now + min(AWAY_FIRST << min(failures, 8), AWAY_MOST)
            self.failures[relay] = failures + 1

    def order(self, address):
        return sorted(self.world.order(address), key=self.is_away)


class Asking:
    """What both commands do."""

    def __init__(self, end, ended):
        self.end, self.ended = end, ended
        self.world, self.conduct, self.outages = end.world, end.conduct, Outages(end.world)

    def call(self, address, order, wait, done, opened=None, searches=False):
        """Asks at the first of these relays, or the next if that is away. `done(found)`."""
        relay, rest = order[0], order[1:]
        circuit = Circuit(self.world, self.end, relay, searches)
        if opened:
            opened(circuit)

        def answered(found):
            circuit.close()
            self.outages.called(relay, found != AWAY)
            if found == AWAY and rest:
                return self.call(address, rest, wait, done, opened, searches)
            if found and found != AWAY and relay != self.world.order(address)[0]:
                self.end.elsewhere[address] = relay
            done(found if found != AWAY else None)
        circuit.call("collect", address, answered, wait)

    def search(self, done):
        address = self.end.search()
        order = self.outages.order(address)
        if self.conduct.skipped_beside and self.world.random.random() < 0.5:
            order = order[1:] + order[:1]
        self.call(address, order, 0, lambda found: done(address, found), searches=True)


class Scheduled(Asking):
    """A command that waits."""

    def __init__(self, end, messages, ended):
        super().__init__(end, ended)
        self.messages, self.alive, self.open, self.due, self.hurried = messages, True, {}, {}, set()
        # The same of what is asked for at the second relay in order, and of what was skipped.
        self.beside, self.beside_hurried, self.behind, self.times = {}, set(), set(), {}
        self.plan()
        for address in sorted(end.spent):
            self.discard_later(address)
        self.take_kept()
        since = min(self.world.now - end.searched, CATCHING_UP) if messages is None else 0
        self.catches_up = self.world.now + since
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
            if ahead == 0 and self.world.relays > 1:
                self.plan_beside(address)
        for address in list(self.end.skipped)[-BEHIND:]:
            if address not in self.behind and self.times.get(address, 0) < BEHIND_TIMES:
                self.behind.add(address)
                self.world.after(self.world.exponential(BEHIND_MEAN), self.ask_behind, address)

    def plan_one(self, address, mean):
        self.draw(self.due, address, mean, self.ask)

    def draw(self, due, address, mean, do):
        """A moment, in the place of one that was drawn before."""
        moment = due[address] = object()
        self.world.after(self.world.exponential(mean), lambda: due.get(address) is moment and do(address))

    def plan_beside(self, address):
        hurries = self.outages.is_away(self.world.order(address)[0])
        if hurries and address not in self.beside_hurried:
            self.beside_hurried.add(address)
        elif address in self.beside:
            return
        elif not hurries:
            self.beside_hurried.discard(address)
        self.draw(self.beside, address, self.conduct.again if hurries else self.conduct.beside, self.ask_beside)

    def ask(self, address):
        del self.due[address]
        if not self.alive or address not in self.end.wanted():
            return
        self.end.asked.add(address)
        self.call(address, self.outages.order(address), self.conduct.wait,
                  lambda found: self.answered(address, found), lambda circuit: self.open.update({address: circuit}))

    def ask_beside(self, address):
        """Where it lies if its sender could not reach the first relay."""
        del self.beside[address]
        if self.alive and self.end.wanted().get(address) == 0:
            self.call(address, self.world.order(address)[1:2], 0, lambda found: self.found(address, found))

    def ask_behind(self, address):
        if not self.alive or address not in self.end.skipped:
            return
        self.behind.discard(address)
        times = self.times[address] = self.times.get(address, 0) + 1
        order = self.outages.order(address)
        if self.conduct.skipped_beside and times % 2 == 0:
            order = order[1:] + order[:1]
        self.call(address, order, 0, lambda found: self.found(address, found))

    def search_later(self):
        if self.conduct.searches:
            within = SEARCHES[self.world.now >= self.catches_up]
            self.world.after(self.world.random.uniform(0, within), self.search_next)

    def search_next(self):
        if self.alive:
            self.search(self.found)
            self.search_later()

    def answered(self, address, found):
        if not self.alive:
            if found and self.conduct.ending == "kept":
                self.end.kept.append(address)
                if self.end.command:
                    self.end.command.take_kept()
            return
        self.open.pop(address, None)
        self.found(address, found)

    def found(self, address, found):
        if not self.alive:
            return
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
        delay = self.world.exponential(self.conduct.again if address in self.end.elsewhere else self.conduct.discard)
        self.world.after(delay, lambda: self.alive and self.end.discard(address))

    def stop(self, enough=False):
        if not self.alive:
            return
        self.alive = False
        self.end.command = None
        if self.conduct.ending == "closed":
            for circuit in self.open.values():
                circuit.close()
        # A later command does not know where it lies.
        for address in sorted(self.end.spent & set(self.end.elsewhere)):
            self.world.after(self.world.random.uniform(0, self.conduct.within), self.end.discard, address)
        self.ended(enough)


class ScheduledLook(Asking):
    """A command that does not wait: the next number of each chain once, at a moment of its own."""

    def __init__(self, end, _messages, ended):
        super().__init__(end, ended)
        self.asked, self.open = set(), 0
        self.ask_for([one for one, ahead in end.wanted().items() if ahead == 0 or self.conduct.looks_far])
        for address in sorted(end.spent):
            delay = self.world.exponential(self.conduct.discard)
            if delay < self.conduct.within:
                self.world.after(delay, end.discard, address)
        for _ in range(end.credit()):
            self.open += 1
            self.world.after(self.world.random.uniform(0, self.conduct.within), self.search, self.answered)

    def ask_for(self, addresses):
        for address in addresses:
            if address not in self.asked:
                self.asked.add(address)
                self.ask_at(address, None)
                if self.world.relays > 1:
                    self.ask_at(address, self.world.order(address)[1:2])

    def ask_at(self, address, order):
        self.open += 1
        self.world.after(self.world.random.uniform(0, self.conduct.within), self.ask, address, order)

    def ask(self, address, order):
        self.call(address, order or self.outages.order(address), 0, lambda found: self.answered(address, found))

    def answered(self, address, found):
        self.open -= 1
        if found and address not in self.end.read:
            self.end.take(address)
            # What has become wanted, too, but not next, waits for another run.
            self.ask_for([one for one, ahead in self.end.wanted().items() if ahead == 0])
        if not self.open:
            self.ended(True)
