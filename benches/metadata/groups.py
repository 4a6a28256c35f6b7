"""Groups of things that belong together: a union-find that knows what cannot be one, and the joining of
what the evidence speaks for."""

import collections
import heapq


class Groups:
    """Union-find with pairs that must stay apart."""

    def __init__(self):
        self.parents, self.others = {}, collections.defaultdict(set)

    def find(self, one):
        parent = self.parents.setdefault(one, one)
        while parent != self.parents[parent]:
            self.parents[parent] = self.parents[self.parents[parent]]
            parent = self.parents[parent]
        self.parents[one] = parent
        return parent

    def keep_apart(self, one, other):
        one, other = self.find(one), self.find(other)
        if one != other:
            self.others[one].add(other)
            self.others[other].add(one)

    def join(self, one, other):
        """Makes them one group, unless they must stay apart."""
        one, other = self.find(one), self.find(other)
        if one == other or other in self.others[one]:
            return
        self.parents[other] = one
        for third in self.others.pop(other, ()):
            self.others[third].discard(other)
            self.others[third].add(one)
            self.others[one].add(third)

    def force(self, one, other):
        """Makes them one group, whatever was said before."""
        one, other = self.find(one), self.find(other)
        if one != other:
            self.others[one].discard(other)
            self.others[other].discard(one)
            self.join(one, other)


def ordered(one, other):
    return (one, other) if one < other else (other, one)


def join_by_evidence(nodes, weights, share):
    """Joins what the evidence for outweighs the evidence against, best first. Evidence adds up, but
    where both parts speak for it only `share` of the weaker counts: two groups that met once by chance
    met in many pairs. Returns the group of each node."""
    near = {node: {} for node in nodes}
    for (one, other), weight in weights.items():
        if one != other:
            near[one][other] = near[other][one] = near[one].get(other, 0) + weight
    members = {node: [node] for node in nodes}
    heap = [(-weight, one, other) for one in near for other, weight in near[one].items()
            if one < other and weight > 0]
    heapq.heapify(heap)
    while heap:
        weight, one, other = heapq.heappop(heap)
        if one not in near or other not in near or near[one].get(other) != -weight:
            continue
        if len(near[one]) < len(near[other]):
            one, other = other, one
        del near[one][other], near[other][one]
        for third, more in near.pop(other).items():
            del near[third][other]
            total = both(near[one].get(third, 0), more, share)
            near[one][third] = near[third][one] = total
            if total > 0:
                heapq.heappush(heap, (-total, *ordered(one, third)))
        members[one] += members.pop(other)
    return {node: group for group, some in members.items() for node in some}


def both(one, other, share):
    return max(one, other) + share * min(one, other) if one > 0 and other > 0 else one + other
