#!/usr/bin/env python3
"""Links the connections that a relay, or a watcher at its door, has seen of otr conversations, by what
happens at the same moment or soon after something else. It was written for a client that asks for
several addresses at once; `link_more.py` is for the one that asks by a schedule.

  link.py FOLDER [--view relay|door] [--steps] [--loose] [--pairs N] [--more]

FOLDER has `log.jsonl` and `truth.jsonl` of `talk.py` or `simulate.py`. The linker never reads the truth;
it is told only how many ends there are. How much a lag between two events says is learnt from the log
(`lags.py`). `judge.py` says what the columns mean."""

import argparse
import bisect
import collections
import math
import random

from groups import Groups, join_by_evidence, ordered
from judge import HEAD, Answer, judge, row
from lags import Lags
from view import at_the_door, load_both

REPLY_SIZE = 8192
# Two events that are farther apart than this have not one cause.
SOON = 30.0
# An end that has been asking for two addresses for this long, never together, has not both of them.
FENCE = 12.0
# What a contradiction weighs.
AGAINST = 6.0


class Preset:
    """What the linker is tuned by. `floor`: of an occasion at which two addresses were asked for together,
    what it must be worth to count; `off`: what is taken off it; `margin`: what evidence must exceed beside
    the prior; `share`: see `join_by_evidence`; `turn`: what two directions must have in common."""

    def __init__(self, floor=3.0, off=2.5, margin=1.5, share=0.3, turn=3.0):
        self.floor, self.off, self.margin, self.share, self.turn = floor, off, margin, share, turn


# For delays of hundreds of milliseconds and dense traffic.
LOOSE = Preset(1.5, 1.0, 0.7, 0.15)


def link(connections, plates, ends, preset=None, view="relay", steps=None):
    """The answer for these connections; `steps` gets that of each step by name."""
    for marks in link_each(connections, plates, ends, [preset or Preset()], view):
        if steps is not None:
            steps.update(marks)
        return marks["+ turns"]


def link_each(connections, plates, ends, presets, view="relay"):
    """The answers of all steps by name, for each preset; the evidence is gathered once."""
    if view == "door":
        connections, plates = at_the_door(connections), []
    linker = Linker(connections, plates, ends)
    linker.same_address()
    linker.codes()
    same_address = linker.so_far()
    linker.greetings()
    greeting = linker.so_far()
    linker.same_moment()
    for preset in presets:
        linker.preset = preset
        linker.weigh()
        linker.accept()
        yield {"same address": same_address, "+ greeting": greeting, "+ same moment": linker.conversations(),
               "+ turns": linker.turns()}


class Linker:
    def __init__(self, connections, plates, ends):
        self.connections, self.plates, self.ends, self.preset = connections, plates, ends, Preset()
        self.random = random.Random(1)
        self.groups = Groups()
        self.posted, self.collected = collections.defaultdict(list), collections.defaultdict(list)
        self.events = events_of(connections)

    # What is certain.

    def same_address(self):
        """Connections that name one address on one side of it are of one end."""
        of_codes = {plate.address for plate in self.plates}
        for connection in self.connections.values():
            self.groups.find(("c", connection.number))
            for call in connection.calls:
                side = "from" if call.kind in ("post", "gone", "revealed") else "to"
                for address in call.addresses:
                    if address not in of_codes:
                        (self.posted if side == "from" else self.collected)[address].append(connection.number)
                        self.groups.force(("c", connection.number), (side, address))
        for address in set(self.posted) & set(self.collected):
            self.groups.keep_apart(("from", address), ("to", address))

    def codes(self):
        """A code's number opens the invite: the inviter's connection, and the reply's address."""
        for plate in self.plates:
            if not plate.reply:
                continue
            self.groups.force(("c", plate.connection), ("to", plate.reply))
            for other in self.connections.values():
                if other.number != plate.connection and other.opened > plate.at and any(
                        call.kind == "discard" and plate.address in call.addresses for call in other.calls):
                    self.groups.force(("c", other.number), ("from", plate.reply))

    def so_far(self):
        """The answer by what is joined, and by each packet between two groups."""
        both = Groups()
        for number in self.connections:
            both.force(("e", self.group(number)), ("c", number))
        for address in self.addresses():
            for some in (self.posted.get(address), self.collected.get(address)):
                if some:
                    both.force(("a", address), ("e", self.group(some[0])))
        return Answer({number: self.group(number) for number in self.connections},
                      {number: both.find(("c", number)) for number in self.connections},
                      {address: both.find(("a", address)) for address in self.addresses()})

    def group(self, number):
        return self.groups.find(("c", number))

    def addresses(self):
        return set(self.posted) | set(self.collected)

    # Between its collection of the reply and the discard, an inviter posts a greeting.

    def greetings(self):
        posts = sorted((call.answered, one.number, call.at) for one in self.connections.values() if one.posts()
                       for call in one.calls if call.kind == "post" and call.answered and call.addresses)
        times = [post[0] for post in posts]
        for connection in self.connections.values():
            if connection.posts():
                continue
            got = None
            for call in connection.calls:
                if call.has_found() and call.found_sizes == [REPLY_SIZE]:
                    got = call.answered
                elif call.kind == "discard" and got is not None:
                    self.greeting(connection, posts, times, got, call.at)
                    got = None

    def greeting(self, connection, posts, times, got, discarded):
        at = bisect.bisect_left(times, discarded) - 1
        while at >= 0 and times[at] > got:
            _, number, begun = posts[at]
            if begun > got and self.connections[number].opened >= got:
                self.groups.join(("c", connection.number), ("c", number))
                return
            at -= 1

    # Connections of one process, and of one that follows another.

    def same_moment(self):
        self.roots = {number: self.group(number) for number in self.connections}
        self.occasions = collections.defaultdict(dict)
        self.followed = {}
        events = self.events
        for key in list(events):
            if isinstance(key, tuple) and key[0] == "asked for so long":
                self.together(events[key], events[key])
        again, first = ("asked", False), ("asked", True)
        self.together(events[again], events[first])
        self.together(events[first], events[again])
        self.together(events["shut"], events["shut"], "shut")
        self.together(events["nothing"], events["nothing"])
        self.asked = collections.defaultdict(list)
        for key in (first, again):
            for at, number in events[key]:
                self.asked[self.roots[number]].append(at)
        for times in self.asked.values():
            times.sort()
        self.follows(events["found"], events["opened"], SOON)
        self.follows(events["discarded"], events["opened"], SOON)
        self.follows(events["ended"], events["opened"], SOON)
        quiet = self.quiet_posts()
        self.follows([one for one in events["posted"] if quiet(*one)], events["opened"], SOON)
        self.follows([one for one in events["post shut"] if quiet(*one)], events["opened"], SOON)
        self.follows(events["found"], events["post opened"], 5.0)

    def together(self, some, others, what="start"):
        """Two addresses are named at the same moment: each occasion counts."""
        if not some or not others:
            return
        for one, other, weight, at in Lags(some, others, 5.0, self.ends, self.random).evidence(0.7):
            one, other = self.roots[one], self.roots[other]
            if one != other:
                occasions, when = self.occasions[ordered(one, other)], (what, int(at / 4))
                occasions[when] = max(weight, occasions.get(when, 0))

    def follows(self, some, others, window):
        """One event follows another: the best of each pair of groups."""
        if not some or not others:
            return
        least = math.log(self.ends) + 0.8
        for one, other, weight, _ in Lags(some, others, window, self.ends, self.random).evidence(least):
            one, other = self.roots[one], self.roots[other]
            if one != other:
                key = ordered(one, other)
                self.followed[key] = max(weight, self.followed.get(key, 0))

    def weigh(self):
        """What all that says of each two groups."""
        self.score = collections.defaultdict(float)
        for (one, other), occasions in self.occasions.items():
            some, others = self.asked[one], self.asked[other]
            if not some or not others:
                continue
            begin, end = max(some[0], others[0]) - 1, min(some[-1], others[-1]) + 1
            chances = min(count_between(some, begin, end), count_between(others, begin, end))
            # An occasion has to be worth something. Who is in step stays so for some rounds.
            preset = self.preset
            weight = sum(each - preset.off for each in occasions.values() if each > preset.floor)
            weight -= 0.5 * max(0, chances - len(occasions))
            if weight > 0:
                self.score[one, other] += weight
        for key, weight in self.followed.items():
            self.score[key] += weight - 1.5

    def quiet_posts(self):
        """What a post sets off at the other end is no sign of one process: says of a post at a time
        whether its packets were collected by nobody meanwhile."""
        got = collections.defaultdict(list)
        for connection in self.connections.values():
            for call in connection.calls:
                if call.kind == "collect" and call.status == 200:
                    for address in call.found or call.addresses:
                        got[address].append(call.answered)
        posted = {one.number: [address for call in one.calls if call.kind == "post" for address in call.addresses]
                  for one in self.connections.values()}
        return lambda at, number: not any(at - 3 <= when <= at + 30 for address in posted[number]
                                          for when in got.get(address, ()))

    # Ends.

    def accept(self):
        """Joins what the log odds speak for. Two addresses that are asked for again and again, and never
        together, are of two ends."""
        least = math.log(self.ends) + self.preset.margin
        weights = collections.defaultdict(float)
        nodes = {self.group(number) for number in self.connections}
        for (one, other), weight in self.score.items():
            one, other = self.groups.find(one), self.groups.find(other)
            if one != other:
                weights[ordered(one, other)] += min(8, weight - least) if weight > least else 0
        for key in self.never_together():
            weights[key] -= AGAINST
        for one, others in self.groups.others.items():
            for other in others:
                if one in nodes and other in nodes:
                    weights[ordered(one, other)] -= AGAINST
        self.label = join_by_evidence(nodes, weights, self.preset.share)

    def never_together(self):
        active = sorted((times[0], times[-1], self.groups.find(one), times) for one, times in self.asked.items()
                        if len(times) >= 2 and times[-1] - times[0] > FENCE)
        alive = []
        for begin, end, one, times in active:
            alive = [each for each in alive if each[0] > begin + FENCE]
            for other_end, other, other_times in alive:
                until = min(end, other_end)
                if one == other or until - begin < FENCE:
                    continue
                least = min(count_between(times, begin, until), count_between(other_times, begin, until))
                key = ordered(one, other)
                if least >= 2 and len(self.occasions.get(key, ())) * 3 < least:
                    yield key
            alive.append((end, one, times))

    # Conversations.

    def conversations(self):
        """Ends that packets go between."""
        weights = collections.defaultdict(float)
        for address in set(self.posted) & set(self.collected):
            one = self.label[self.groups.find(("from", address))]
            other = self.label[self.groups.find(("to", address))]
            if one != other:
                weights[ordered(one, other)] += AGAINST
        self.direction = join_by_evidence(set(self.label.values()), weights, self.preset.share)
        return self.answer(self.direction)

    def turns(self):
        """The two directions, by who answers whom when."""
        def direction(number):
            return self.direction[self.label[self.group(number)]]
        rank, pairs = collections.defaultdict(list), Groups()
        for (one, other), weight in turn_taking(direction, self.events).items():
            rank[one].append((weight, other))
            rank[other].append((weight, one))
        for one, some in rank.items():
            some.sort(reverse=True)
            turn = self.preset.turn
            clear = len(some) < 2 or some[0][0] - some[1][0] > 1.0 or some[1][0] < turn / 2
            if some[0][0] > turn and clear:
                pairs.join(one, some[0][1])
        two = {one: pairs.find(one) for one in rank}
        return self.answer({label: two.get(group, group) if label not in two else two[label]
                            for label, group in self.direction.items()})

    def answer(self, conversation):
        ends = {number: self.label[self.group(number)] for number in self.connections}
        conversations = {number: conversation[end] for number, end in ends.items()}
        return Answer(ends, conversations, {
            address: conversations[(self.posted.get(address) or self.collected[address])[0]]
            for address in self.addresses()})


def count_between(times, begin, end):
    return bisect.bisect_right(times, end) - bisect.bisect_left(times, begin)


def events_of(connections):
    """What happens when, by kind: (time, connection)."""
    events = collections.defaultdict(list)
    for one in connections.values():
        number = one.number
        if one.posts():
            posts = [call for call in one.calls if call.kind == "post" and call.answered]
            if posts:
                events["post opened"].append((one.opened, number))
                events["posted"].append((posts[-1].answered, number))
            if one.shut:
                events["post shut"].append((one.shut, number))
            continue
        events["opened"].append((one.opened, number))
        if one.shut:
            events["shut"].append((one.shut, number))
            last = one.calls[-1]
            if last.answered is None or one.shut - last.answered < 1.5:
                events["ended"].append((one.shut, number))
        first = True
        for call in one.calls:
            if call.kind == "collect":
                events["asked for so long", call.wait, first].append((call.at, number))
                events["asked", first].append((call.at, number))
                first = False
                if call.answered and call.status == 204 and call.wait > 0:
                    events["nothing"].append((call.answered, number))
                if call.answered and call.status == 200:
                    events["found"].append((call.answered, number))
            elif call.kind == "discard" and call.answered:
                events["discarded"].append((call.answered, number))
    return events


def turn_taking(direction, events):
    """For each two directions: whether the posts of one come when something was read in the other."""
    reads, posts = collections.defaultdict(list), collections.defaultdict(list)
    for at, number in events["found"]:
        reads[direction(number)].append(at)
    for at, number in events["post opened"]:
        posts[direction(number)].append(at)
    for times in (*reads.values(), *posts.values()):
        times.sort()
    some = [one for one in reads if len(reads[one]) >= 3 and len(posts[one]) >= 3]
    weights = {}
    for at, one in enumerate(some):
        for other in some[:at]:
            both = (reads[one], reads[other], posts[one], posts[other])
            begin = max(times[0] for times in both) - 60
            end = min(reads[one][-1], reads[other][-1]) + 60
            if end - begin >= 60:
                weight = answers(reads[one], posts[other]) + answers(reads[other], posts[one])
                # Both live as long as each other.
                weight -= 0.02 * (abs(reads[one][0] - reads[other][0]) + abs(reads[one][-1] - reads[other][-1]))
                weights[ordered(one, other)] = weight
    return weights


def answers(reads, posts):
    """How much more often than by chance a post follows a read as an answer does."""
    rate = max(len(reads) / max(reads[-1] - reads[0], 30), 1e-3)
    weight, last = 0.0, None
    for at in posts:
        place = bisect.bisect_left(reads, at)
        # A second post after the same reading says little.
        if place == 0 or place == last:
            continue
        last, lag = place, at - reads[place - 1]
        chance = rate * math.exp(-min(rate * lag, 30)) + 2e-4
        weight += max(-1.5, min(1.5, math.log(thinking(lag)) - math.log(chance)))
    return weight


def thinking(lag):
    """Density of the time that somebody takes to answer: nine seconds, or minutes."""
    lag_or_so = max(lag, 0.05)
    spread = math.exp(-(math.log(lag_or_so / 9)) ** 2 / (2 * 1.2 ** 2))
    return 0.75 * spread / (lag_or_so * 1.2 * 2.507) + 0.25 / 200 * math.exp(-lag / 200)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("folder")
    options.add_argument("--view", choices=("relay", "door"), default="relay")
    options.add_argument("--steps", action="store_true", help="what each step found")
    options.add_argument("--loose", action="store_true", help="for delays of hundreds of ms and dense traffic")
    options.add_argument("--pairs", type=int, help="as if only so many conversations had been there")
    args = options.parse_args()
    connections, plates, truth = load_both(args.folder, args.pairs)
    steps = {}
    link(connections, plates, len(set(truth.values())), LOOSE if args.loose else None, args.view, steps)
    print(HEAD)
    for step in steps if args.steps else ["+ turns"]:
        print(row(f"{args.folder} {args.view} {step}"[-34:], judge(connections, steps[step], truth)))


if __name__ == "__main__":
    main()
