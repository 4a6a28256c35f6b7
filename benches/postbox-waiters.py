#!/usr/bin/env python3
"""10,000 waiting collectors: resident memory for each, and how fast one among them is woken.

Usage: benches/postbox-waiters.py [COLLECTORS]; OTR names the binary. Prints raw figures."""

import hashlib, os, resource, socket, statistics, subprocess, sys, time

OTR = os.environ.get("OTR", "otr")
COLLECTORS = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
ROUNDS = 200


def resident(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))


def connect(port):
    stream = socket.create_connection(("127.0.0.1", port))
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return stream


def request(path, body):
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/octet-stream\r\n"
    return head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body


def token(n):
    return hashlib.sha256(b"bench %d" % n).digest()


def packet(n):
    address = hashlib.sha256(b"otr/1 address" + token(n)).digest()
    return b"\xf5" + address + os.urandom(4096 - 32)


hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
postbox = subprocess.Popen(
    [OTR, "postbox", "--listen", "127.0.0.1:0"], stderr=subprocess.PIPE, text=True)
port = next(int(line.rsplit(":", 1)[1]) for line in postbox.stderr if line.startswith("OTR_POSTBOX"))
try:
    poster = connect(port)
    before = resident(postbox.pid)
    waiting = []
    for n in range(COLLECTORS):
        stream = connect(port)
        stream.sendall(request("/v1/collect?wait=60", token(n)))
        waiting.append(stream)
    time.sleep(1)
    after = resident(postbox.pid)
    print(f"collectors: {COLLECTORS}")
    print(f"resident before: {before} bytes, with all waiting: {after} bytes")
    print(f"resident for each: {(after - before) / COLLECTORS:.0f} bytes")
    times = []
    for n in range(0, COLLECTORS, max(1, COLLECTORS // ROUNDS)):
        body = request("/v1/post", packet(n))
        begin = time.perf_counter()
        poster.sendall(body)
        first = waiting[n].recv(65536)
        times.append((time.perf_counter() - begin) * 1000)
        assert first.startswith(b"HTTP/1.1 200"), first[:40]
        poster.recv(65536)
    times.sort()
    print(f"post to wake-up, of {len(times)}: median {statistics.median(times):.3f} ms, "
          f"95 % {times[len(times) * 95 // 100]:.3f} ms, longest {times[-1]:.3f} ms")
finally:
    postbox.terminate()
    postbox.wait()
