#!/usr/bin/env python3
"""What several postboxes cost and save, simulated: delays and connections without an outage; delays when one is away
for an hour, for both ends or for one; how many messages are lost when one loses all that lies there.

  places.py [--relays N …] [--seeds N …] [CONDUCT …]

Sparse talk, 16 conversations, three hours. Saved in docs/measurements/ unless --no-save."""

import argparse
import pathlib
import statistics
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))
import measure  # noqa: E402
from habits import Talk  # noqa: E402
from simulate import conduct_of  # noqa: E402
from world import World  # noqa: E402

PAIRS, SECONDS, HOUR = 16, 3 * 3600, 3600
# One relay loses everything this often, and what lies unread is counted this often.
LOSSES, COUNTS = 600, 20
# What is read later than this is said to be late.
LATE = 60


def world_of(conduct, relays, seed):
    world = World(seed, relays=relays)
    for number in range(PAIRS):
        Talk(world, number, conduct, True)
    return world


def delays(world, begin=0, end=SECONDS - HOUR / 2):
    """Of the messages that were typed in this time: median, 95 %, share that is late, how many were not read."""
    some = [(typed, read) for typed, read, _ in world.messages.values() if begin <= typed < end]
    times = sorted(read - typed for typed, read in some if read is not None)
    late = sum(1 for time in times if time > LATE) + len(some) - len(times)
    return {"median": statistics.median(times), "95 %": times[int(0.95 * (len(times) - 1))], "most": times[-1],
            "late": late / len(some), "unread": len(some) - len(times), "of": len(some)}


def quiet(conduct, relays, seed):
    world = world_of(conduct, relays, seed)
    world.run(SECONDS)
    a_day = 86400 / SECONDS / (2 * PAIRS)
    return {**delays(world), "connections": world.connections * a_day, "MB": world.bytes / 1e6 * a_day}


def outage(conduct, relays, seed, side):
    """The first relay is away in the second hour."""
    world = world_of(conduct, relays, seed)
    world.away(0, HOUR, 2 * HOUR, side)
    world.run(SECONDS)
    return delays(world, HOUR, 2 * HOUR)


def losses(conduct, relays, seed):
    """The first relay loses everything again and again: messages that lay there unread, that nobody has read in the
    end, and the share of all that lay unread anywhere, which is counted in between."""
    world = world_of(conduct, relays, seed)
    lost, lying = [], [0, 0]

    def lose():
        lost.extend(world.lose(0))
        world.after(LOSSES, lose)

    def count():
        unread = [relay for relay, address in world.stored if world.is_unread(address)]
        lying[0] += sum(1 for relay in unread if relay == 0)
        lying[1] += len(unread)
        world.after(COUNTS, count)
    world.after(LOSSES, lose)
    world.after(COUNTS, count)
    world.run(SECONDS)
    typed = [read for at, read, _ in world.messages.values() if at < SECONDS - HOUR / 2]
    early = [address for address in lost if world.messages[address][0] < SECONDS - HOUR / 2]
    return {"lay there": len(early), "unread": sum(1 for read in typed if read is None), "of": len(typed),
            "share": lying[0] / max(lying[1], 1)}


def mean(some):
    return {what: statistics.mean(each[what] for each in some) for what in some[0]}


def lines(conduct, relays, seeds):
    if relays <= 2:
        # More than two make no difference to that.
        one = mean([quiet(conduct, relays, seed) for seed in seeds])
        yield (f"no outage: {told(one)}; a day for each end {one['connections']:.0f} connections, {one['MB']:.1f} MB")
    for name, side in (("for both ends", None), ("for the ends of one side", 0)):
        yield f"one away for an hour {name}: {told(mean([outage(conduct, relays, seed, side) for seed in seeds]))}"
    one = mean([losses(conduct, relays, seed) for seed in seeds])
    yield (f"one loses everything every {LOSSES} s: {one['lay there']:.1f} messages lay there unread, {one['unread']:.1f} of "
           f"{one['of']:.0f} were not read; of what lies unread {one['share']:.2f} lie there")


def told(one):
    return (f"half of the messages are read within {one['median']:.1f} s, 95 % within {one['95 %']:.0f} s, the last after "
            f"{one['most']:.0f} s; {one['late']:.1%} later than {LATE} s; {one['unread']:.1f} of {one['of']:.0f} not read")


def main():
    options = argparse.ArgumentParser()
    options.add_argument("names", nargs="*", default=["otr"])
    options.add_argument("--relays", type=int, nargs="+", default=[1, 2, 4, 8])
    options.add_argument("--seeds", type=int, nargs="+", default=[5, 6, 7, 8])
    options.add_argument("--no-save", action="store_true")
    args = options.parse_args()
    with measure.Report("metadata-simulated-places", save=not args.no_save) as report:
        report(f"sparse talk, {PAIRS} conversations, {SECONDS // 3600} hours; means of {len(args.seeds)} logs")
        for name in args.names:
            for relays in args.relays:
                for line in lines(conduct_of(name), relays, args.seeds):
                    report(f"{name}, {relays} relays, {line}")


if __name__ == "__main__":
    main()
