"""Judges a linker's answer by the truth: pairs that it put together, and the bits that it takes from
what hides an end's partner."""

import collections
import math
import random

# Choices of one connection for each end, over which the bits are taken.
ROUNDS = 40


class Answer:
    """What a linker says: labels of ends and conversations by connection, of conversations by address."""

    def __init__(self, ends, conversations, addresses):
        self.ends, self.conversations, self.addresses = ends, conversations, addresses


def judge(connections, answer, truth):
    """Precision and recall of pairs (end_p, end_r, conv_p, …, addr_r), bits of partner anonymity that
    are lost, of how many, and how often the best guess is right."""
    of = {number: one for number, one in truth.items() if number in connections}
    addresses = {address: of[one.number][0] for one in connections.values() if one.number in of
                 for call in one.calls if call.kind == "post" for address in call.addresses}
    result = {"ends": len(set(of.values())), "conns": len(of), "addrs": len(addresses)}
    conversation_of = {number: conversation for number, (conversation, _) in of.items()}
    for name, labels, true in (("end", answer.ends, of), ("conv", answer.conversations, conversation_of),
                               ("addr", answer.addresses, addresses)):
        result[name + "_p"], result[name + "_r"] = precision_and_recall(labels, true)
    result["bits"], result["of"], result["right"] = partner(answer.conversations, of)
    return result


def precision_and_recall(labels, truth):
    """Of the pairs with one label, the share of true ones; of the true ones, the share with one label."""
    both, labelled, true = collections.Counter(), collections.Counter(), collections.Counter()
    for one in truth:
        if one in labels:
            both[labels[one], truth[one]] += 1
            labelled[labels[one]] += 1
            true[truth[one]] += 1
    return pairs(both) / max(pairs(labelled), 1), pairs(both) / max(pairs(true), 1)


def pairs(counter):
    return sum(count * (count - 1) // 2 for count in counter.values())


def partner(labels, truth, seed=1):
    """Somebody can name one connection of each end; which of the other ends is this one's partner?
    Mutual information between the answer and the truth in bits, of how many, and the share of right
    guesses."""
    choose = random.Random(seed)
    connections = collections.defaultdict(list)
    for number, end in truth.items():
        if number in labels:
            connections[end].append(number)
    ends = [end for end in connections
            if any(other[0] == end[0] and other != end for other in connections)]
    others = len(connections) - 1
    # Of the times that so many others have the label: how often, and how often the partner is there.
    times = collections.defaultdict(lambda: [0, 0])
    right = count = 0
    for _ in range(ROUNDS):
        named = {end: choose.choice(some) for end, some in connections.items()}
        together = collections.defaultdict(list)
        for end, number in named.items():
            together[labels[number]].append(end)
        for end in ends:
            suspects = [other for other in together[labels[named[end]]] if other != end]
            hit = any(other[0] == end[0] for other in suspects)
            times[len(suspects)][0] += 1
            times[len(suspects)][1] += hit
            count += 1
            right += 1 / len(suspects) if hit else 0 if suspects else 1 / others
    left = sum(each * entropy(hits / each, suspects, others) for suspects, (each, hits) in times.items())
    return max(0.0, math.log2(others) - left / count), math.log2(others), right / count


def entropy(hit, suspects, others):
    """Of the partner, who is among the suspects with this probability."""
    bits = 0.0
    if 0 < hit < 1:
        bits -= hit * math.log2(hit) + (1 - hit) * math.log2(1 - hit)
    if hit > 0:
        bits += hit * math.log2(max(suspects, 1))
    if hit < 1:
        bits += (1 - hit) * math.log2(max(others - suspects, 1))
    return bits


def handshakes(label):
    """Of a simulated log, whose addresses name their conversation. Of the replies to invites: how often the first packet after it has the same label; of a conversation's other
    addresses, the share that has, and of all other addresses that have, the share of its own."""
    own, all_own, labelled, first, count = 0, 0, 0, 0, 0
    of = collections.Counter(address.split(".")[0] for address in label)
    groups = collections.Counter(label.values())
    both = collections.Counter((label[address], address.split(".")[0]) for address in label)
    for address in label:
        number, kind = address.split(".")[:2]
        if kind == "reply" and f"{number}.1.0" in label:
            known = 1 + (label.get(f"{number}.plate") == label[address])
            own += both[label[address], number] - known
            labelled += groups[label[address]] - known
            all_own += of[number] - known
            first += label[f"{number}.1.0"] == label[address]
            count += 1
    return {"first": first, "of": count, "share": own / max(all_own, 1), "right": own / max(labelled, 1)}


HEAD = (f"{'what':<34}{'ends':>5}{'conns':>7}  {'same-end P/R':>14}  {'same-conv P/R':>14}  "
        f"{'addr-conv P/R':>14}  {'partner bits':>14} {'right':>6}")


def row(name, result):
    """One line under HEAD."""
    cells = [f"{result[what + '_p']:6.2f} /{result[what + '_r']:5.2f} ".rjust(14) for what in ("end", "conv", "addr")]
    return (f"{name:<34}{result['ends']:>5}{result['conns']:>7}  {'  '.join(cells)}  "
            f"{result['bits']:6.2f} of{result['of']:5.2f} {result['right'] * 100:5.0f}%")
