#!/usr/bin/env python3
"""A linker for a client that asks for each address by itself, by a schedule. Its units are addresses,
since all that names one address is linked anyway, and it puts together those of one conversation.

  link_more.py FOLDER [--alive N] [--margin M] [--parts]

Each kind of evidence is a lag between two events of two addresses, which `lags.py` learns from the log,
shared out among all that could be meant:

  succession   an address is answered, and another one is asked for the first time
  death        an address is answered, and another one is not asked for any more
  reply        an address is answered, and a packet is posted under another one
  burst        packets are posted under two addresses
  restart      an address is asked for while it is still being asked for: a command has begun again
  shut         two calls without an answer end at once: a command has ended
  discard      two are discarded together, or one when another one is asked for or posted
  birth        two are asked for the first time together: a new chain
  greeting     the reply to an invite is discarded, and a packet is posted under another address, which is asked for
               since the reply was posted
  ending       two are not asked for any more at the same time, or discarded when one is not: a conversation is closed

And tiling: a conversation has so many addresses alive at a time, and no more."""

import argparse
import bisect
import collections
import heapq
import math
import random

from groups import ordered
from judge import HEAD, Answer, judge, row
from lags import Lags
from view import load_both

# Of the evidence, what is tried together.
EVIDENCE = (("succession",), ("succession", "death"), ("succession", "reply"),
            ("succession", "death", "reply", "burst", "restart", "shut", "discard", "birth"))
# The same of logs in which conversations begin and end.
LIVES_EVIDENCE = (*EVIDENCE, ("greeting",), ("succession", "death", "greeting"),
                  ("succession", "death", "greeting", "ending"), (*EVIDENCE[-1], "greeting", "ending"))
# Bytes of a reply; within which time after its discard the first packet is posted, and after its post asked for.
REPLY_SIZE, GREETED, EXPECTED = 8192, 12, 60
# The same of a client that does not pause.
AT_ONCE = 1
# Slots of seconds in which addresses that are alive are counted, and how many may be too full.
SLOT, TOO_FULL = 15, 2
# What one piece of evidence weighs at most, and how many of the likeliest share one event.
MOST, SHARED = 6.0, 12
CERTAIN = 0.995
# What it weighs that one connection names two addresses.
KNOWN = 1000.0
# An address that was last heard of so long before the end of the log is dead.
DEAD = 90


class Evidence:
    """A preset: which evidence, how many addresses a conversation may have alive, and by how much the
    evidence must exceed the prior."""

    def __init__(self, parts=EVIDENCE[1], alive=8, margin=-1.5):
        self.parts, self.alive, self.margin = parts, alive, margin

    def __str__(self):
        return f"{' + '.join(self.parts)}, {self.alive} alive, {self.margin}"


class Address:
    """What the relay saw of one."""

    def __init__(self, name):
        self.name, self.connections, self.calls, self.waits = name, set(), [], []
        self.posted, self.answered, self.discarded, self.end, self.size = None, None, None, None, None

    def note(self, connection, call):
        self.connections.add(connection)
        if call.kind == "post":
            self.posted = call.at if self.posted is None else min(self.posted, call.at)
            self.size = call.sizes[0] if len(call.sizes) == 1 else None
        elif call.kind == "discard":
            self.discarded = call.at
        elif call.kind == "collect":
            self.calls.append((call.at, call.answered))
            if call.wait:
                self.waits.append(call.at)
            self.end = max(self.end or 0, call.answered or call.at)
            if call.has_found() and (self.answered is None or call.answered < self.answered):
                self.answered = call.answered

    def asked(self):
        """The first time, but for a search, which does not wait, long before its turn."""
        return min(self.waits) if self.waits else min(self.calls)[0] if self.calls else None

    def alive(self):
        """The slots in which it is."""
        if not self.calls:
            return collections.Counter()
        end = self.answered if self.answered is not None else self.end
        first, last = int((self.asked() + SLOT / 2) // SLOT), int((end - SLOT / 2) // SLOT)
        return collections.Counter(range(first, last + 1))


def addresses_of(connections):
    out = {}
    for connection in connections.values():
        for call in connection.calls:
            for name in call.addresses:
                out.setdefault(name, Address(name)).note(connection.number, call)
    return out


class Weights:
    """Pairs of addresses → log of how much more probable it has become that they are of one
    conversation."""

    def __init__(self, conversations):
        self.conversations, self.random = conversations, random.Random(1)
        self.of = collections.defaultdict(float)

    def follows(self, before, after, window):
        """An event of `after` has one of `before` as its cause: which one?"""
        if len(before) < 5 or len(after) < 5:
            return
        lags = Lags(before, after, window, 2 * self.conversations, self.random)
        causes = collections.defaultdict(list)
        for _, lag, one, other in lags.pairs():
            ratio = lags.ratio_of(lag)
            if ratio > 1:
                causes[other].append((ratio, one))
        for other, some in causes.items():
            some.sort(reverse=True)
            whole = sum(ratio for ratio, _ in some) + max(1, self.conversations - len(some))
            for ratio, one in some[:SHARED]:
                probable = min(ratio / whole, CERTAIN)
                weight = math.log(probable / (1 - probable)) + math.log(max(self.conversations - 1, 2))
                if weight > 0:
                    self.of[ordered(one, other)] += min(weight, MOST)

    def greets(self, replies, addresses, within):
        """Handshakes are too few to learn from, but the schedule is known: within ten seconds after a reply is discarded
        the first packet is posted, for which the other end has mostly asked since soon after it posted the reply."""
        posts = sorted((one.posted, name) for name, one in addresses.items() if one.posted)
        for reply in replies:
            begin, end = (bisect.bisect_left(posts, (reply.discarded + after, "")) for after in (0, within))
            near = [addresses[name] for _, name in posts[begin:end]]
            asked = [one for one in near if one.calls and 0 <= one.asked() - reply.posted <= EXPECTED]
            for one in asked or near:
                probable = (0.9 if asked else 0.5) / len(asked or near)
                weight = math.log(probable / (1 - probable)) + math.log(max(self.conversations - 1, 2))
                self.of[ordered(reply.name, one.name)] += min(weight, MOST)


def weigh(connections, addresses, conversations, parts, plates=()):
    weights = Weights(conversations)
    def events(when):
        return [(at, name) for name, at in ((name, when(one)) for name, one in addresses.items()) if at is not None]

    last = max(one.opened for one in connections.values())
    asked, posted = events(Address.asked), events(lambda one: one.posted)
    answered, discarded = events(lambda one: one.answered), events(lambda one: one.discarded)
    shut = [(one.shut, call.addresses[0]) for one in connections.values() for call in one.calls[-1:]
            if one.shut and call.kind == "collect" and call.answered is None and call.addresses]
    dead = events(lambda one: one.end if one.answered is None and one.end and one.end < last - DEAD else None)
    kinds = {
        "succession": [(answered, asked, 60)],
        "death": [(answered, dead, 90)],
        "reply": [(answered, posted, 60)],
        "burst": [(posted, posted, 10)],
        "restart": [(answered, restarts(addresses), 60),
                    (answered, [(at, name) for name, one in addresses.items() for at, _ in sorted(one.calls)[1:]], 30)],
        "shut": [(shut, shut, 1), (answered, shut, 1)],
        "discard": [(discarded, discarded, 30), (discarded, posted, 10), (answered, discarded, 60),
                    (discarded, asked, 30), (asked, discarded, 30)],
        "birth": [(asked, asked, 30)],
        "greeting": [], "greeting at once": [],
        "ending": [(dead, dead, 60), (dead, discarded, 90), (discarded, dead, 90)],
    }
    for part in parts:
        for before, after, window in kinds[part]:
            weights.follows(before, after, window)
    for part in {"greeting", "greeting at once"} & set(parts):
        told = {plate.reply for plate in plates}
        weights.greets([one for name, one in addresses.items()
                        if one.posted and one.discarded and (name in told if told else one.size == REPLY_SIZE)], addresses,
                       AT_ONCE if part == "greeting at once" else GREETED)
    return weights.of


def restarts(addresses):
    """Calls for an address that was still being asked for."""
    out = []
    for name, one in addresses.items():
        calls = sorted(one.calls, key=lambda call: call[0])
        out += [(at, name) for (_, end), (at, _) in zip(calls, calls[1:]) if end is None or at < end]
    return out


def tile(addresses, weights, alive, least):
    """Puts together what the evidence speaks for, best first, where the conversation has room at all
    times. Returns the group of each address."""
    near = {name: {} for name in addresses}
    for (one, other), weight in weights.items():
        if one in near and other in near:
            near[one][other] = near[other][one] = weight
    slots = {name: one.alive() for name, one in addresses.items()}
    members = {name: [name] for name in addresses}
    heap = [(-weight, *ordered(one, other)) for (one, other), weight in weights.items() if weight > least]
    heapq.heapify(heap)
    while heap:
        weight, one, other = heapq.heappop(heap)
        if one not in near or other not in near or near[one].get(other) != -weight:
            continue
        if -weight < KNOWN / 2 and too_full(slots[one], slots[other], alive):
            del near[one][other], near[other][one]
            continue
        if len(near[one]) + len(members[one]) < len(near[other]) + len(members[other]):
            one, other = other, one
        slots[one].update(slots.pop(other))
        members[one] += members.pop(other)
        del near[one][other], near[other][one]
        for third, more in near.pop(other).items():
            del near[third][other]
            total = near[one].get(third, 0) + more
            near[one][third] = near[third][one] = total
            if total > least:
                heapq.heappush(heap, (-total, *ordered(one, third)))
    return {name: group for group, some in members.items() for name in some}


def too_full(some, others, alive):
    if len(some) < len(others):
        some, others = others, some
    return sum(1 for slot, count in others.items() if count + some.get(slot, 0) > alive) > TOO_FULL


def link_more(connections, ends, evidence=None, plates=()):
    """The answer for these connections."""
    return next(link_more_each(connections, ends, [evidence or Evidence()], plates))


def link_more_each(connections, ends, evidences, plates=()):
    """The same for each preset; what they have in common is gathered once. Of codes that are told, it is known which
    reply belongs to which invite."""
    addresses, conversations = addresses_of(connections), max(ends // 2, 1)
    weights = {}
    for evidence in evidences:
        if evidence.parts not in weights:
            weights[evidence.parts] = weigh(connections, addresses, conversations, evidence.parts, plates)
            for pair in (*known_pairs(connections), *(ordered(plate.address, plate.reply) for plate in plates)):
                weights[evidence.parts][pair] += KNOWN
        least = math.log(max(conversations - 1, 2)) + evidence.margin
        yield answer(connections, addresses, tile(addresses, weights[evidence.parts], evidence.alive, least))


def known_pairs(connections):
    """Addresses that one connection names, each with the next."""
    for connection in connections.values():
        named = list(dict.fromkeys(name for call in connection.calls for name in call.addresses))
        yield from (ordered(one, other) for one, other in zip(named, named[1:]))


def answer(connections, addresses, group):
    label = {number: ("alone", number) for number in connections}
    label.update({number: group[name] for name, one in addresses.items() for number in one.connections})
    ends_of = {number: (label[number], one.posts()) for number, one in connections.items()}
    return Answer(ends_of, label, group)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("folder")
    options.add_argument("--alive", type=int, default=8)
    options.add_argument("--margin", type=float, default=-1.5)
    options.add_argument("--parts", action="store_true", help="what each kind of evidence finds")
    args = options.parse_args()
    connections, _, truth = load_both(args.folder)
    print(HEAD)
    for parts in [(part,) for part in EVIDENCE[-1]] + list(EVIDENCE[1:]) if args.parts else [EVIDENCE[1]]:
        answer = link_more(connections, len(set(truth.values())), Evidence(parts, args.alive, args.margin))
        print(row(" + ".join(parts)[:34], judge(connections, answer, truth)))


if __name__ == "__main__":
    main()
