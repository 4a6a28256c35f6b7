#!/usr/bin/env python3
"""What a packet costs where several postboxes ("fronts") have one store of several redis-servers
("shards"): CPU time of front, store and load, memory, network; how that grows with what is stored; what a
collector costs that waits; how soon it has a packet that was posted at another front. Beside it, what
the same redis-server takes for SET and GETDEL of the same bytes (redis-benchmark without pipelining) and how soon
redis-cli has what is published. Needs cargo, redis-server, redis-cli, redis-benchmark. `--runs N`,
`--seconds S` (of each), `--stored N` (the larger number of stored packets), `--collectors N`, `--no-save`;
`--row 1x1` (one row of the table, beside redis-benchmark) or `--growth` for that alone, unsaved. Figures go to
docs/measurements/DATE-scale.json, too, from which scale_arithmetic.py makes a sheet.

On a machine of two cores there is no curve of throughput: what is told is CPU time."""

import argparse
import contextlib
import json
import os
import resource
import secrets
import socket
import subprocess
import sys
import tempfile
import time

import measure
from measure import Report, median
from servers import Postbox, Shards, exact_cpu_seconds, metric

PACKET = 4096
CONVERSATIONS = 64
FEW = 10_000

options = argparse.ArgumentParser()
options.add_argument("--runs", type=int, default=3)
options.add_argument("--seconds", type=float, default=5)
options.add_argument("--stored", type=int, default=1_000_000)
options.add_argument("--collectors", type=int, default=5_000)
options.add_argument("--no-save", action="store_true")
options.add_argument("--row", metavar="FRONTSxSHARDS")
options.add_argument("--growth", action="store_true")
args = options.parse_args()
part = bool(args.row or args.growth)

measure.need("cargo", "redis-server", "redis-cli", "redis-benchmark")


def resident(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))


class Fronts(contextlib.ExitStack):
    """So many postboxes with one store."""

    def __init__(self, count, shards):
        super().__init__()
        self.count, self.shards = count, shards

    def __enter__(self):
        super().__enter__()
        self.folder = self.enter_context(tempfile.TemporaryDirectory(dir="/dev/shm"))
        secret = os.path.join(self.folder, "secret")
        with open(os.open(secret, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
            file.write(secrets.token_bytes(32))
        self.admins = [os.path.join(self.folder, f"admin-{number}") for number in range(self.count)]
        self.boxes = [
            self.enter_context(Postbox(otr, "--store", self.shards.url, "--store-secret", secret,
                                       "--memory", "1G", "--admin", f"unix:{admin}"))
            for admin in self.admins]
        self.pids = [box.pid for box in self.boxes]
        return self

    def command(self, *options):
        watched = [f"front={','.join(map(str, self.pids))}", f"store={','.join(map(str, self.shards.pids))}"]
        return [load, *(box.url for box in self.boxes), "--pid", watched[0], "--pid", watched[1], *options]

    def run(self, *options):
        done = subprocess.run(self.command(*options), capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"load: code {done.returncode}: {done.stderr}{done.stdout}")
        told = json.loads(done.stdout)
        if told["unposted"] or set(told["answers"]) - {"200", "201", "204"}:
            sys.exit(f"not every packet went through at once: {done.stdout}")
        return told

    def talk(self):
        return self.run("--conversations", str(CONVERSATIONS), "--seconds", str(args.seconds))


def middle(runs):
    """Medians of the CPU microseconds of each part."""
    return {part: median([run["cpu_us_each"][part] for run in runs]) for part in ["front", "store", "load"]}


def benchmark(port, count, *command):
    subprocess.run(["redis-benchmark", "-q", "-p", str(port), "-c", "32", "-n", str(count), "-r", "100000",
                    *command], check=True, capture_output=True)


def peer(redis):
    """CPU microseconds of redis-server for a SET and a GETDEL of the same bytes."""
    count = 200_000

    def cost(*command):
        before = exact_cpu_seconds(redis.pids[0])
        benchmark(redis.ports[0], count, *command)
        return (exact_cpu_seconds(redis.pids[0]) - before) * 1e6 / count

    # Of keys that are chosen by chance some are gone already.
    missed = cost("GETDEL", "address-of-thirty-two-bytes:__rand_int__")
    put = cost("SET", "address-of-thirty-two-bytes:__rand_int__", "x" * PACKET)
    before = redis.total("keyspace_hits")
    both = cost("GETDEL", "address-of-thirty-two-bytes:__rand_int__")
    hits = (redis.total("keyspace_hits") - before) / count
    return put, (both - (1 - hits) * missed) / hits


def keys(shards):
    return sum(int(shards.ask(port, "DBSIZE")) for port in shards.ports)


def doubles_soon(shards):
    """Whether so few keys more would make redis-server double the table of its keys as the runs to come may add.
    While it does, each command moves a part of the table, for twice the CPU time. That comes once for each
    doubling of what is stored, and a run of some seconds shall not meet it by chance."""
    count = keys(shards)
    return count > 0.75 * (1 << (count - 1).bit_length())


def peer_growth(report, figures):
    """What SET and GETDEL cost beside as many keys of the same size."""
    with Shards(1, "64gb") as redis:
        for count in [FEW, args.stored]:
            while keys(redis) < count or count > FEW and doubles_soon(redis):
                more = max(count, keys(redis) + count // 10)
                redis.ask(redis.ports[0], "DEBUG", "POPULATE", str(more), "stored", str(PACKET))
            redis.settle()
            put, taken = peer(redis)
            figures["stored"][str(count)]["redis_benchmark_us"] = {"SET": put, "GETDEL": taken}
            report(f"redis-server alone beside {keys(redis)} keys of {PACKET} bytes: SET {put:.1f}, GETDEL "
                   f"{taken:.1f} us of CPU")


def subscribed():
    """Milliseconds from PUBLISH to what redis-cli says of it."""
    times = []
    with Shards(1) as redis, socket.create_connection(("127.0.0.1", redis.ports[0])) as publisher:
        publisher.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        command = ["redis-cli", "-p", str(redis.ports[0]), "SUBSCRIBE", "here"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as listener:
            for _ in range(3):
                listener.stdout.readline()
            for _ in range(1000):
                time.sleep(0.005)
                begin = time.perf_counter()
                publisher.sendall(b"PUBLISH here now\r\n")
                for _ in range(3):
                    listener.stdout.readline()
                times.append((time.perf_counter() - begin) * 1000)
                publisher.recv(100)
            listener.kill()
    return median(times)


def loopback():
    """Bytes that went over loopback so far, each once."""
    line = next(line for line in open("/proc/net/dev") if line.strip().startswith("lo:"))
    return int(line.split()[1])


def cpu_table(report, figures):
    report(f"CPU microseconds for a packet of {PACKET} bytes (post, collect, discard), "
           f"{CONVERSATIONS} conversations, medians of {args.runs} runs of {args.seconds} s:")
    for row in [args.row] if args.row else [f"{fronts}x{shards}" for fronts in [1, 2, 4] for shards in [1, 3, 6]]:
        fronts_count, shards_count = map(int, row.split("x"))
        runs = []
        with Shards(shards_count, "2gb") as shards, Fronts(fronts_count, shards) as fronts:
            for _ in range(args.runs):
                runs.append(fronts.talk())
        cost = middle(runs)
        figures["cpu_us"][row] = cost
        report(f"{fronts_count} fronts, {shards_count} shards: front {cost['front']:.1f}, store "
               f"{cost['store']:.1f}, load {cost['load']:.1f}; "
               f"{median([run['posts_per_second'] for run in runs]):.0f} packets/s; post "
               f"{median([run['post_ms']['p50'] for run in runs]):.2f} ms, discard "
               f"{median([run['discard_ms']['p50'] for run in runs]):.2f} ms (half of them)")


def beside_redis(report, figures):
    with Shards(1) as redis:
        put, taken = peer(redis)
    figures["redis_benchmark_us"] = {"SET": put, "GETDEL": taken}
    report(f"redis-server for redis-benchmark: SET {put:.1f}, GETDEL {taken:.1f} us of CPU")
    if cost := figures["cpu_us"].get("1x1"):
        report.ratio("front and store / SET and GETDEL", cost["front"] + cost["store"], put + taken, 4)


def network(report, figures):
    with Shards(1, "2gb") as shards, Fronts(2, shards) as fronts:
        names = ["total_net_input_bytes", "total_net_output_bytes"]
        before, all_before = [shards.total(name) for name in names], loopback()
        told = fronts.talk()
        after, all_after = [shards.total(name) for name in names], loopback()
    count = told["collected"]
    inner = [(now - then) / count for now, then in zip(after, before)]
    outer = told["wire_bytes_each"]
    figures["network"] = {"caller_to_front": outer["sent"], "front_to_caller": outer["received"],
                          "front_to_store": inner[0], "store_to_front": inner[1]}
    report(f"bytes of network for a packet: to the front {outer['sent']:.0f}, back {outer['received']:.0f}; front "
           f"to store {inner[0]:.0f}, back {inner[1]:.0f}; over loopback, with heads of TCP and all else, "
           f"{(all_after - all_before) / count:.0f}")


def growth(report, figures):
    """Memory of each stored packet, and what another one costs beside them."""
    # A cap far above what comes, and above what the machine has: nobody shall ask for work.
    with Shards(1, "64gb") as shards, Fronts(1, shards) as fronts:
        base, front_base = shards.total("used_memory"), resident(fronts.pids[0])
        costs, stored = {}, 0
        for count in [FEW, args.stored]:
            more = count - stored
            while more:
                fronts.run("--leave", str(more), "--conversations", str(CONVERSATIONS))
                stored += more
                more = count // 10 if count > FEW and doubles_soon(shards) else 0
            shards.settle()
            used = shards.total("used_memory") - base
            real = sum(map(resident, shards.pids))
            figures["stored"][str(count)] = {"used_memory_each": used / stored}
            costs[count] = middle([fronts.talk() for _ in range(args.runs)])
            figures["stored"][str(count)]["cpu_us"] = costs[count]
            report(f"{stored} stored packets: {used / stored:.0f} bytes of used_memory each, RSS of the store "
                   f"{real >> 20} MiB; front's RSS {resident(fronts.pids[0]) >> 20} MiB (empty: {front_base >> 20}); "
                   f"another packet costs front {costs[count]['front']:.1f}, store {costs[count]['store']:.1f} us")
        few, many = (sum(costs[count][part] for part in ["front", "store"]) for count in [FEW, args.stored])
        report.check(f"front and store: {few:.1f} us beside {FEW}, {many:.1f} us beside {args.stored}: "
                     f"{100 * (many / few - 1):+.1f} % (less than 10)", many < 1.1 * few)


def collectors(report, figures):
    with Shards(1, "2gb") as shards, Fronts(1, shards) as fronts:
        fronts.talk()
        pid, count = fronts.pids[0], args.collectors
        before, store_before = resident(pid), shards.total("used_memory")
        command = fronts.command("--conversations", str(count), "--think", "100000", "--seconds", "20")
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as waiting:
            while metric(fronts.admins[0], "waiting") < count:
                time.sleep(0.1)
            time.sleep(1)
            each = (resident(pid) - before) / count
            store_each = (shards.total("used_memory") - store_before) / count
            waiting.kill()
    figures["collector_bytes"] = {"front": each, "store": store_each}
    report(f"{count} collectors that wait: {each:.0f} bytes of the front's RSS each, {store_each:.0f} of the store")


def wake_up(report, figures):
    theirs = subscribed()
    with Shards(1, "2gb") as shards, Fronts(2, shards) as fronts:
        told = fronts.run("--conversations", "1", "--think", "0.005", "--seconds", str(args.seconds))
    whole, wake = told["delivery_ms"]["p50"], told["wake_ms"]["p50"]
    figures["wake_ms"] = {"post_to_collected": whole, "answer_to_collected": wake, "redis_cli": theirs}
    report(f"across fronts, half of {told['collected']}: from the post's first byte to the packet at the other end "
           f"{whole:.3f} ms, from its answer {wake:.3f} ms; redis-cli, from PUBLISH: {theirs:.3f} ms")
    report.ratio("wake-up across fronts, from the post's first byte: otr / redis-cli", whole, theirs, 3)


with Report("scale", save=not args.no_save and not part) as report:
    otr, load = measure.build(), measure.load_generator()
    report(f"# {measure.said('redis-server', '--version')}")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    figures = {"packet": PACKET, "cpu_us": {}, "stored": {}}
    if args.row or not part:
        cpu_table(report, figures)
        beside_redis(report, figures)
    if not part:
        network(report, figures)
        wake_up(report, figures)
        collectors(report, figures)
    if args.growth or not part:
        growth(report, figures)
        peer_growth(report, figures)
    if not args.no_save and not part:
        path = measure.ROOT / "docs" / "measurements" / f"{report.date}-scale.json"
        path.write_text(json.dumps(figures, indent=1) + "\n")
sys.exit(1 if report.missed else 0)
