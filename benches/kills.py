#!/usr/bin/env python3
"""A million packets through postboxes with one store while its servers die: a cluster of three masters with two
replicas each, two postboxes that ask for one replica (`--replicas 1`). Over and over a master is killed with
signal 9, a master is stopped for 15 seconds, a master is cut off from all others for as long, 200 slots move, a
postbox is killed with signal 9. All of it is in a network of its own, for which nobody has to be root. Every packet is
counted (benches/load): what was answered with 201 has to be collected, once. Needs cargo, redis-server,
redis-cli, ip. `--count N`, `--pause SECONDS` (after each of these), `--no-save`."""

import argparse
import contextlib
import ctypes
import itertools
import json
import os
import resource
import secrets
import signal
import subprocess
import sys
import tempfile
import time

import measure
from measure import Report
from servers import HERE, Postbox, Shards, free_port

CONVERSATIONS = 64
MASTERS, REPLICAS = 3, 2
# Longer than the cluster takes to see it (5 s) and to choose another master.
STOPPED = 15

options = argparse.ArgumentParser()
options.add_argument("--count", type=int, default=1_000_000)
options.add_argument("--pause", type=float, default=10)
options.add_argument("--no-save", action="store_true")
args = options.parse_args()

measure.need("cargo", "redis-server", "redis-cli", "ip", "unshare", "nsenter")


def ip(*command):
    subprocess.run(["ip", *command], check=True)


def own_network():
    """Leaves the machine's network for one of our own, with a switch for the servers, each of which has one of
    its own."""
    user, group, new_user, new_network = os.getuid(), os.getgid(), 0x10000000, 0x40000000
    if ctypes.CDLL(None).unshare(new_network | (new_user if user else 0)):
        sys.exit("the system gives us no network of our own")
    if user:
        for name, line in [("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")]:
            with open(f"/proc/self/{name}", "w") as file:
                file.write(line)
    ip("link", "set", "lo", "up")
    ip("link", "add", "switch", "type", "bridge")
    ip("addr", "add", f"{HERE}/24", "dev", "switch")
    ip("link", "set", "switch", "up")


class Cluster(Shards):
    """Three masters, with replicas."""

    def __init__(self):
        super().__init__(MASTERS * (1 + REPLICAS), "1gb", REPLICAS, apart=True)

    def masters(self):
        """The ports of those that have slots, with their names in the cluster."""
        for asked, process in zip(self.ports, self.processes):
            if process.poll() is None and not stopped(process.pid):
                lines = [line.split() for line in self.ask(asked, "CLUSTER", "NODES").splitlines()]
                return {int(fields[1].split("@")[0].rsplit(":", 1)[1]): fields[0] for fields in lines
                        if "master" in fields[2] and "fail" not in fields[2] and len(fields) > 8}
        return {}

    def process(self, port):
        return self.processes[self.ports.index(port)]

    def is_whole(self):
        """Each master has a replica with all that there is: only such a one can take its place."""
        masters = self.masters()
        said = [self.info(port) for port in masters]
        is_safe = ["state=online" in line.get("slave0", "") + line.get("slave1", "") for line in said]
        well = ["cluster_state:ok" in self.ask(port, "CLUSTER", "INFO") for port in masters]
        return len(masters) == MASTERS and all(is_safe + well)


def stopped(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0] == "T"


def until(condition, limit=60):
    deadline = time.monotonic() + limit
    while not condition():
        if time.monotonic() > deadline:
            sys.exit("the cluster does not become whole again")
        time.sleep(0.2)


def kill_master(cluster, _):
    port = next(iter(cluster.masters()))
    process = cluster.process(port)
    process.kill()
    process.wait()
    until(lambda: port not in cluster.masters() and len(cluster.masters()) == MASTERS)
    # Only now: one that is back before the others have chosen another master is an empty master.
    cluster.begin_again(port)


def stop_master(cluster, _):
    port = next(iter(cluster.masters()))
    process = cluster.process(port)
    process.send_signal(signal.SIGSTOP)
    time.sleep(STOPPED)
    process.send_signal(signal.SIGCONT)


def cut_master(cluster, _):
    port = next(iter(cluster.masters()))
    ip("link", "set", cluster.cable(port), "down")
    time.sleep(STOPPED)
    ip("link", "set", cluster.cable(port), "up")
    time.sleep(1)
    # The others have chosen another one meanwhile, and it hears of that.
    until(lambda: port not in cluster.masters())


def move_slots(cluster, _):
    (one, source), (_, target), *_ = cluster.masters().items()
    subprocess.run(["redis-cli", "--cluster", "reshard", f"{cluster.host(one)}:{one}", "--cluster-from", source, "--cluster-to",
                    target, "--cluster-slots", "200", "--cluster-yes"], check=True, stdout=subprocess.DEVNULL)


def kill_postbox(_, fronts):
    fronts.replace()


class Fronts(contextlib.ExitStack):
    """Two postboxes, each at a port that it keeps."""

    def __init__(self, cluster):
        super().__init__()
        self.cluster = cluster

    def __enter__(self):
        super().__enter__()
        folder = self.enter_context(tempfile.TemporaryDirectory(dir="/dev/shm"))
        self.secret = os.path.join(folder, "secret")
        with open(os.open(self.secret, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
            file.write(secrets.token_bytes(32))
        self.boxes = [self.start(free_port()) for _ in range(2)]
        self.callback(lambda: [box.__exit__() for box in self.boxes])
        return self

    def start(self, port):
        options = ["--store", self.cluster.url, "--store-secret", self.secret, "--replicas", "1", "--memory", "1G"]
        return Postbox(otr, *options, "--listen", f"127.0.0.1:{port}").__enter__()

    def replace(self):
        box = self.boxes.pop(0)
        box.process.kill()
        box.process.wait()
        self.boxes.append(self.start(box.port))


with Report("kills", save=not args.no_save) as report:
    otr, load = measure.build(), measure.load_generator()
    own_network()
    report(f"# {measure.said('redis-server', '--version')}")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with Cluster() as cluster, Fronts(cluster) as fronts:
        until(cluster.is_whole)
        command = [load, *(box.url for box in fronts.boxes), "--count", str(args.count), "--conversations",
                   str(CONVERSATIONS)]
        begin = time.monotonic()
        running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        done = {}
        for trouble in itertools.cycle([cut_master, kill_master, stop_master, move_slots, kill_postbox]):
            time.sleep(args.pause)
            if running.poll() is not None:
                break
            report(f"# {time.monotonic() - begin:.0f} s: {trouble.__name__}")
            trouble(cluster, fronts)
            done[trouble.__name__] = done.get(trouble.__name__, 0) + 1
            until(cluster.is_whole)
        told = json.loads(running.communicate()[0])
    report(", ".join(f"{name}: {count} times" for name, count in done.items()))
    for name in ["seconds", "posted", "collected", "discarded", "lost", "duplicates", "altered", "late", "unposted",
                 "undiscarded", "broken", "answers", "delivery_ms"]:
        report(f"{name}: {told[name]}")
    report.check("all that was answered with 201 was collected, once and unchanged",
                 told["posted"] == told["collected"] and not told["lost"] + told["duplicates"] + told["altered"])
sys.exit(1 if report.missed else 0)
