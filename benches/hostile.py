#!/usr/bin/env python3
"""What a hostile client costs its neighbours: one attack after the other against `otr postbox --memory
256M`, and beside each an honest conversation (post, collect, discard of 4 KiB), by a connection that is
kept and by new ones in turns, with a proof of work where one is asked for. Of each attack: the postbox's
largest RSS, what it counts, what it refused, and how long the conversations took. Needs wrk, taskset,
cargo, and a hard limit of descriptors of 12,000 (`ulimit -Hn`). `--seconds S` (of each), `--only NAME`,
`--discards N`, `--no-save`.

The postbox runs on core 0. Attackers run on core 1 at the lowest priority, as fast as that is, and the
honest client there at the usual one: on two cores somebody has to share. Each attacker opens anew what
is closed or answered. An honest call that is told 503, 507 or 429, or whose connection is closed, is made
again for five seconds, as `otr` does (for a minute); later it has failed.

Not here, since they are walls and no loads: connections outwards (tests/postbox/injected.rs)."""

import argparse
import base64
import errno
import hashlib
import os
import re
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

import measure
from measure import Report, peak
from servers import Postbox

MIB = 1 << 20
CAP = 256 * MIB
DEAF, SLOW = 300, 1000

options = argparse.ArgumentParser()
options.add_argument("--seconds", type=float, default=5)
options.add_argument("--only", action="append")
options.add_argument("--discards", type=int, default=200_000, help="before the others begin to talk")
options.add_argument("--no-save", action="store_true")
options.add_argument("--attack", nargs=2, metavar=("NAME", "PORT"), help=argparse.SUPPRESS)
args = options.parse_args()


def sha(data):
    return hashlib.sha256(data).digest()


def token(name, number):
    return sha(b"%s %d" % (name, number))


def address(a_token):
    return sha(b"otr/1 address" + a_token)


def packet(a_token, size=4096):
    return address(a_token) + bytes([7]) * (size - 32)


def raw(a_packet):
    return bytes([0xE9 + len(a_packet).bit_length() - 1]) + a_packet


def head(path, length, kind="application/octet-stream"):
    return (f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: {kind}\r\n"
            f"content-length: {length}\r\n\r\n").encode()


def request(path, body):
    return head(path, len(body)) + body


# Attackers, each a process of its own: they open what they need, say so, and go on until they are ended.

PORT = int(args.attack[1]) if args.attack else 0


def connect(small=False):
    stream = socket.socket()
    if small:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    # Reset when it is closed, so that ports are free again.
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.connect(("127.0.0.1", PORT))
    stream.setblocking(False)
    return stream


def send(stream, data):
    """As much as it takes now."""
    try:
        return stream.send(data)
    except OSError as why:
        return 0 if why.errno in (errno.EAGAIN, errno.EPIPE, errno.ECONNRESET) else sys.exit(str(why))


def ready():
    print("ready", flush=True)


class Crowd:
    """Connections, each opened anew when it is closed, or answered where it `listens`."""

    def __init__(self, number, begin, listens=True, small=False):
        self.begin, self.small, self.poll, self.streams, self.rest = begin, small, select.epoll(), {}, {}
        self.events = select.EPOLLRDHUP | (select.EPOLLIN if listens else 0)
        for _ in range(number):
            self.open()

    def open(self):
        stream = connect(self.small)
        self.streams[stream.fileno()] = stream
        words = self.begin()
        rest = words[send(stream, words):]
        if rest:
            self.rest[stream.fileno()] = rest
        self.poll.register(stream, self.events | (select.EPOLLOUT if rest else 0))

    def turn(self, timeout=0.01):
        for fd, event in self.poll.poll(timeout, 256):
            stream = self.streams[fd]
            if event == select.EPOLLOUT:
                rest = self.rest[fd] = self.rest[fd][send(stream, self.rest[fd]):]
                if not rest:
                    self.poll.modify(stream, self.events)
                continue
            self.rest.pop(fd, None)
            del self.streams[fd]
            stream.close()
            self.open()

    def lasts(self, each=lambda: None):
        for _ in range(200):
            self.turn(0.001)
        ready()
        while True:
            self.turn()
            each()


class Calls:
    """One connection, whose answers are awaited."""

    def __init__(self):
        self.stream = socket.create_connection(("127.0.0.1", PORT))

    def __call__(self, path, body):
        self.stream.sendall(request(path, body))
        return read_answer(self.stream)


def read_answer(stream):
    """Status, head and body; chunks are not taken apart."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = stream.recv(65536)
        if not more:
            raise ConnectionResetError
        data += more
    first, body = data.split(b"\r\n\r\n", 1)
    length = re.search(rb"content-length: (\d+)", first)
    length = int(length.group(1)) if length else 0
    while len(body) < length:
        more = stream.recv(65536)
        if not more:
            raise ConnectionResetError
        body += more
    return int(first.split(b" ", 2)[1]), first, body


def store(tokens, size=4096):
    calls = Calls()
    for at in range(0, len(tokens), 100):
        calls("/v1/post", b"".join(raw(packet(one, size)) for one in tokens[at:at + 100]))


def spent(one, key=b"k" * 32):
    return one + sha(packet(one)) + key


def deaf_words(call):
    """What a deaf caller asks, several times, as far as it is taken."""
    some = [token(b"deaf", n) for n in range(2000)]
    if call == "collect":
        store([token(b"large", 0)], MIB)
        return request("/v1/collect", token(b"large", 0)) * 4
    if call == "post":
        return request("/v1/post", raw(packet(token(b"deaf post", 0)))) * 50
    if call == "discard":
        return request("/v1/discard", spent(token(b"nothing", 0))) * 1000
    if call == "revealed":
        store(some)
        calls = Calls()
        for at in range(0, len(some), 100):
            calls("/v1/discard", b"".join(map(spent, some[at:at + 100])))
    return request(f"/v1/{call}", b"".join(map(address, some))) * 10


def deaf(call):
    words = deaf_words(call)
    return Crowd(DEAF, lambda: words, listens=False, small=True)


def slowloris():
    return Crowd(SLOW, lambda: b"POST /v1/post HTTP/1.1\r\nhost: x\r\nx-a: ")


def a_byte(crowd):
    """To ten of them."""
    streams = list(crowd.streams.values())
    def go_on():
        for _ in range(10):
            stream = streams[0]
            streams.append(streams.pop(0))
            if stream.fileno() >= 0:
                send(stream, b"a")
    return go_on


FLOOD = r"""
local rest = string.rep("\165", 4096 - 32)
local count = 0
function request()
    count = count + 1
    local address = string.format("%016x%016x", count, (count * 2654435761) % 4294967296)
    return wrk.format("POST", "/v1/post", { ["Content-Type"] = "application/octet-stream",
        ["Connection"] = CLOSE }, "\245" .. address .. rest)
end
"""


def flood(closes=False):
    script = tempfile.NamedTemporaryFile("w", suffix=".lua")
    script.write(FLOOD.replace("CLOSE", '"close"' if closes else '"keep-alive"'))
    script.flush()
    subprocess.Popen(["wrk", "-t1", "-c32", "-d300s", "-s", script.name, f"http://127.0.0.1:{PORT}"],
                     stdout=subprocess.DEVNULL)
    time.sleep(1)
    return script


def only_flood(closes):
    script = flood(closes)
    ready()
    signal.pause()
    del script


def newlines():
    words = head("/v1/collect", 134 * MIB, "text/plain") + b"\n" * (2 * MIB)
    Crowd(32, lambda: words).lasts()


def waiting(number, tokens, path="collect"):
    count = iter(range(1 << 60))
    def begin():
        first = next(count) * tokens
        asked = (token(b"waits", first + n) for n in range(tokens))
        return request(f"/v1/{path}?wait=60", b"".join(asked))
    if tokens > 1:
        # Making them takes longer than sending them.
        ready_made = [begin() for _ in range(20)]
        begin = lambda: ready_made[next(count) % 20]
    Crowd(number, begin).lasts()


def discards():
    """200,000 and more: a third as many again as are remembered."""
    calls = Calls()
    def some(first):
        tokens = [token(b"spent", n) for n in range(first, first + 400)]
        calls("/v1/post", b"".join(raw(packet(one)) for one in tokens))
        calls("/v1/discard", b"".join(map(spent, tokens)))
    for first in range(0, args.discards, 400):
        some(first)
    ready()
    while True:
        first += 400
        some(first)


def watchers():
    """160 who watch 8,192 addresses, where something lies, and changes at one of them."""
    held = [token(b"held", n) for n in range(8192)]
    store(held)
    words = request("/v1/gone?wait=60", b"".join(map(address, held)))
    crowd, ring = Crowd(160, lambda: words), Calls()
    def change():
        ring("/v1/discard", spent(held[0]))
        # Other bytes: those that were discarded are not stored again.
        ring("/v1/post", raw(packet(held[0])[:-8] + os.urandom(8)))
    crowd.lasts(change)


def begun():
    words = request("/v1/post", raw(packet(token(b"begun", 0), MIB)))[:-1]
    Crowd(DEAF, lambda: words).lasts()


def slow_readers():
    """300 of 8 MiB, at 4 KB a second."""
    tokens = [token(b"slow", n) for n in range(8)]
    store(tokens, MIB)
    words = request("/v1/collect", b"".join(tokens))
    crowd = Crowd(DEAF, lambda: words, listens=False, small=True)
    def read():
        for stream in list(crowd.streams.values()):
            try:
                stream.recv(4096)
            except OSError:
                pass
        time.sleep(1)
    crowd.lasts(read)


def duplicates():
    one = token(b"twice", 0)
    store([one], MIB)
    Crowd(8, lambda: request("/v1/collect", one * 8192)).lasts()


def everything():
    crowds = [deaf(call) for call in ("post", "collect", "discard", "gone", "revealed")]
    slow = slowloris()
    script, byte = flood(), a_byte(slow)
    ready()
    while True:
        for crowd in [slow, *crowds]:
            crowd.turn(0.01)
        byte()
    del script


# Name: what the attacker does, by how many connections.
ATTACKS = {
    "nobody": (lambda: (ready(), signal.pause()), "no attack"),
    **{f"deaf {call}": (lambda call=call: deaf(call).lasts(), f"{DEAF} take no answer of {call}")
       for call in ("post", "collect", "discard", "gone", "revealed")},
    "slowloris": (lambda: (lambda crowd: crowd.lasts(a_byte(crowd)))(slowloris()), f"{SLOW} heads, a byte at a time"),
    "heads": (lambda: Crowd(10_299, lambda: b"POST /v1/post HTTP/1.1\r\nhost").lasts(), "10,299 heads that do not end"),
    "silent": (lambda: Crowd(10_299, lambda: b"").lasts(), "10,299 connections that say nothing"),
    "bodies": (begun, f"{DEAF} packets of 1 MiB but for a byte"),
    "flood": (lambda: only_flood(False), "4 KiB packets by wrk, 32 connections"),
    "flood anew": (lambda: only_flood(True), "the same, each by a new connection"),
    "newlines": (newlines, "32 bodies of 134 MB of newlines"),
    "wait much": (lambda: waiting(400, 8192), "400 wait for 8,192 tokens each"),
    "wait many": (lambda: waiting(10_750, 1), "10,750 wait for one token each"),
    "watchers": (watchers, "160 watch 8,192 addresses that change"),
    "discards": (discards, f"{args.discards:,} discards, and more"),
    "slow readers": (slow_readers, f"{DEAF} read 8 MiB at 4 KB/s"),
    "duplicates": (duplicates, "8 name one token 8,192 times, again and again"),
    "everything": (everything, f"{SLOW} slowloris, {DEAF} deaf of each call, the flood"),
}


def descriptors():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < 12_000:
        sys.exit(f"only {hard} descriptors may be had here: raise the hard limit (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if args.attack:
    descriptors()
    ATTACKS[args.attack[0]][0]()
    sys.exit()

measure.need("wrk", "taskset", "cargo")


class Attack:
    """An attacker that is ready."""

    def __init__(self, name, port):
        self.command = ["taskset", "-c", "1", "nice", "-n", "19", sys.executable, __file__, "--discards", str(args.discards), "--attack", name, str(port)]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, start_new_session=True)
        if self.process.stdout.readline() != b"ready\n":
            sys.exit(f"the attacker ended: {self.command}")

    def __exit__(self, *_):
        # With what it has started.
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Solver:
    """What pays for posts: benches/work.rs."""

    def __init__(self):
        command = ["cargo", "bench", "--locked", "--quiet", "--bench", "work", "--target-dir", str(measure.target("")), "--", "pay"]
        self.process = subprocess.Popen(command, cwd=measure.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self("8 " + "A" * 22, bytes(4096))

    def __call__(self, price, a_packet):
        hashed = base64.urlsafe_b64encode(sha(a_packet)).decode().rstrip("=")
        self.process.stdin.write(f"{price} {hashed}\n")
        self.process.stdin.flush()
        proof = self.process.stdout.readline().strip()
        return b"\xc1" + base64.urlsafe_b64decode(proof + "=" * (-len(proof) % 4))


class Honest:
    """One who talks while others attack."""

    def __init__(self, port, solver):
        self.port, self.solver, self.kept, self.price = port, solver, None, None
        self.again, self.paid, self.failed = 0, 0, []

    def stream(self, keep):
        if not keep or self.kept is None:
            stream = socket.create_connection(("127.0.0.1", self.port), timeout=5)
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if not keep:
                return stream
            self.kept = stream
        return self.kept

    def once(self, keep, path, body):
        stream = None
        try:
            stream = self.stream(keep)
            stream.sendall(request(path, body))
            return read_answer(stream)
        except OSError as why:
            if keep and self.kept:
                self.kept.close()
                self.kept = None
            return 0, str(why).encode(), b""
        finally:
            if not keep and stream:
                stream.close()

    def call(self, keep, path, body, wanted):
        end = time.monotonic() + 5
        while True:
            status, told, answer = self.once(keep, path, body)
            if status == wanted:
                return told, answer
            if time.monotonic() > end:
                raise TimeoutError(f"{path}: {status} {told[:60]}")
            if status == 402:
                return told, None
            self.again += 1
            # A connection that was closed while it was silent is opened anew at once.
            if status:
                time.sleep(0.02)

    def post(self, keep, a_packet):
        while True:
            proof = self.solver(self.price, a_packet) if self.price else b""
            self.paid += bool(proof)
            told, answer = self.call(keep, "/v1/post", proof + raw(a_packet), 201)
            price = re.search(rb"otr-work: (\d+ \S+)", told)
            self.price = price.group(1).decode() if price else None
            if answer is not None:
                return

    def conversation(self, keep, number):
        """Milliseconds."""
        one = token(b"honest %d" % os.getpid(), number)
        letter = address(one) + os.urandom(4096 - 32)
        start = time.perf_counter()
        self.post(keep, letter)
        _, got = self.call(keep, "/v1/collect", one, 200)
        if got != raw(letter):
            raise ValueError("another packet came")
        self.call(keep, "/v1/discard", one + sha(letter) + bytes(32), 204)
        return (time.perf_counter() - start) * 1000

    def talk(self, seconds):
        """Times of conversations by a kept connection and by new ones."""
        times, end, number = ([], []), time.monotonic() + seconds, 0
        while time.monotonic() < end:
            number += 1
            try:
                times[number % 2].append(self.conversation(number % 2 == 0, number))
            except (OSError, ValueError) as why:
                self.failed.append(str(why))
            time.sleep(0.002)
        return times


def metrics(path):
    with socket.socket(socket.AF_UNIX) as admin:
        admin.connect(path)
        admin.sendall(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
        _, _, body = read_answer(admin)
    return {name: int(value) for name, value in re.findall(rb"^otr_postbox_(\w+) (\d+)$", body, re.M)}


def quantile(times, part):
    return sorted(times)[min(len(times) - 1, int(len(times) * part))] if times else float("inf")


def measured(otr, name, solver, report):
    with tempfile.TemporaryDirectory() as folder:
        admin = os.path.join(folder, "admin")
        box = Postbox(otr, "--memory", "256M", "--admin", f"unix:{admin}")
        box.command = ["taskset", "-c", "0", *box.command]
        with box, Attack(name, box.port):
            honest = Honest(box.port, solver)
            times = honest.talk(args.seconds)
            told, most = metrics(admin), peak(box.pid) * 1024
    refused = ", ".join(f"{kind[8:-6].decode()} {count}" for kind, count in told.items()
                        if kind.startswith(b"refused_") and count)
    report(f"{name}: {ATTACKS[name][1]}")
    report(f"    RSS at most {most / MIB:.0f} MiB; charged {told[b'memory_used_bytes'] / MIB:.0f} MiB, packets "
           f"{told[b'packet_bytes'] / MIB:.0f} MiB, connections {told[b'connections']}, work {told[b'work_bits']} bits; "
           f"refused: {refused or 'nothing'}")
    for kind, some in zip(("kept", "new"), times):
        report(f"    {kind:4} connection: p50 {quantile(some, .5):.2f} ms, p99 {quantile(some, .99):.2f}, "
               f"max {quantile(some, 1):.2f}, of {len(some)} conversations")
    report(f"    made again {honest.again}, paid {honest.paid}, failed {len(honest.failed)} {honest.failed[:2] or ''}")
    report.check(f"{name}: RSS at most 288 MiB", most <= CAP + 32 * MIB)
    report.check(f"{name}: no conversation fails", not honest.failed and all(times))
    if name == "everything":
        for kind, some in zip(("kept", "new"), times):
            report.check(f"{name}, {kind}: p50 {quantile(some, .5):.2f} ms (under 3), p99 {quantile(some, .99):.2f} (under 20)",
                         quantile(some, .5) < 3 and quantile(some, .99) < 20)


with Report("hostile", save=not args.no_save) as report:
    otr = measure.build()
    descriptors()
    solver = Solver()
    os.sched_setaffinity(0, {1})
    report(f"# {args.seconds} s of each; postbox on core 0, attackers on core 1 (nice 19), honest client on core 1")
    start = time.monotonic()
    for name in args.only or ATTACKS:
        measured(otr, name, solver, report)
    report()
    report(f"all of it took {time.monotonic() - start:.0f} s; missed: {len(report.missed)}")
sys.exit(1 if report.missed else 0)
