#!/usr/bin/env python3
"""From what a packet costs (docs/measurements/DATE-scale.json, by scale.py) to the machines that so many daily
users need: the arithmetic, each step printed, as a table for docs/scale.md. What is not measured is a habit
or a machine, stands below with its name, and can be given otherwise: `--messages 60`. Without a file, the newest."""

import argparse
import json
import math
import pathlib

MEASUREMENTS = pathlib.Path(__file__).resolve().parent.parent / "docs" / "measurements"

# Name, value, what it is.
ASSUMED = [
    ("messages", 40, "packets that a user posts a day"),
    ("busiest", 0.1, "part of a day's packets that come in its busiest hour"),
    ("burst", 2, "the busiest second, as a multiple of that hour's average"),
    ("online", 0.3, "part of the users who wait for a packet in the busiest hour"),
    ("hours", 2, "hours for which a packet lies there, on average"),
    ("replicas", 1, "replicas of each shard"),
    ("cores", 8, "cores of a machine"),
    ("ram", 32, "GiB of RAM of a machine"),
    ("network", 10, "Gbit/s of a machine's network, each way"),
    ("load", 0.5, "part of cores, RAM and network that is used in the busiest second"),
]

options = argparse.ArgumentParser()
options.add_argument("file", nargs="?", type=pathlib.Path)
options.add_argument("--users", type=float, nargs="+", default=[1e6, 1e8])
for name, value, what in ASSUMED:
    options.add_argument(f"--{name}", type=float, default=value, help=what)
args = options.parse_args()
path = args.file or max(MEASUREMENTS.glob("*-scale.json"))
costs = json.loads(path.read_text())
most_stored = max(costs["stored"], key=int)
# The dearest of what was measured: many fronts and many shards.
front_us = max(cost["front"] for cost in costs["cpu_us"].values())
store_us = max(cost["store"] for cost in costs["cpu_us"].values())
stored_bytes = costs["stored"][most_stored]["used_memory_each"]
net = costs["network"]


def needed(amount, of_one):
    return amount / (of_one * args.load)


def sheet(users):
    packets = users * args.messages
    peak = packets * args.busiest / 3600 * args.burst
    lying = packets / 24 * args.hours
    waiting = users * args.online
    gib = 1 << 30
    copies = 1 + args.replicas
    front = {
        "cores": needed(peak * front_us / 1e6, args.cores),
        "RAM": needed(waiting * costs["collector_bytes"]["front"] / gib, args.ram),
        "network": needed(peak * 8 * max(net["caller_to_front"] + net["store_to_front"],
                                         net["front_to_caller"] + net["front_to_store"]) / 1e9, args.network),
    }
    store = {
        "cores": needed(peak * store_us * copies / 1e6, args.cores),
        "RAM": needed((lying * stored_bytes * copies + waiting * costs["collector_bytes"]["store"]) / gib, args.ram),
        "network": needed(peak * 8 * net["front_to_store"] * copies / 1e9, args.network),
    }
    return peak, lying, waiting, front, store


def number(value):
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


print(f"From {path.name}: a packet takes {front_us:.0f} us of a front's CPU and {store_us:.0f} us of the store's, "
      f"{stored_bytes:.0f} bytes of the store's memory; a collector that waits "
      f"{costs['collector_bytes']['front'] / 1024:.1f} KiB of a front's.\n")
print("Assumed: " + "; ".join(f"{what}: {getattr(args, name):g}" for name, _, what in ASSUMED) + ".\n")
columns = [sheet(users) for users in args.users]
print("| | " + " | ".join(f"{users:,.0f} daily users" for users in args.users) + " |")
print("|---|" + "---|" * len(columns))
rows = {
    "packets in the busiest second": lambda peak, *_: number(peak),
    "packets that lie there": lambda _, lying, *__: number(lying),
    "collectors that wait": lambda _, __, waiting, *___: number(waiting),
}
for what, of in rows.items():
    print(f"| {what} | " + " | ".join(of(*column) for column in columns) + " |")
for side, place in [("fronts", 3), ("store", 4)]:
    for part in ["cores", "RAM", "network"]:
        print(f"| machines for {side}, by {part} | "
              + " | ".join(number(column[place][part]) for column in columns) + " |")
    print(f"| **machines for {side}**, bends first by | " + " | ".join(
        f"**{max(2, math.ceil(max(column[place].values()))):,}**, {max(column[place], key=column[place].get)}"
        for column in columns) + " |")
