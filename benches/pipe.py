#!/usr/bin/env python3
"""`otr pipe` beside its peers, in turns: the round trip of one byte over a forwarded connection (beside
`ssh -L`), and bulk in one direction (beside `otr send | otr recv` on the same way, and `dumbpipe` if it is
here: cargo install dumbpipe). Through a postbox on loopback, and over a command (`--via`). Then the CPU
time of a pipe that is idle, and the memory of one that carries a million small writes. Needs cargo, ssh and
sshd (Debian: openssh-client, openssh-server), a /dev/shm. `--runs N`, `--size BYTES`, `--trips N`,
`--no-save`."""

import argparse
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import measure
from measure import Report, Sessions, median
from servers import Postbox, cpu_seconds

options = argparse.ArgumentParser()
options.add_argument("--runs", type=int, default=5)
options.add_argument("--size", type=int, default=1 << 30)
options.add_argument("--trips", type=int, default=2000)
options.add_argument("--idle", type=int, default=30)
options.add_argument("--no-save", action="store_true")
args = options.parse_args()

measure.need("cargo", "ssh", "ssh-keygen")
SSHD = shutil.which("sshd") or "/usr/sbin/sshd"


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def echo_server():
    """Sends back what comes, on a thread for each connection; its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while piece := connection.recv(1 << 16):
            connection.sendall(piece)
        connection.close()

    def accept():
        while True:
            threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


def connected(port):
    """A connection, as soon as somebody listens there."""
    until = time.monotonic() + 20
    while True:
        try:
            connection = socket.create_connection(("127.0.0.1", port))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connection
        except OSError:
            if time.monotonic() > until:
                sys.exit(f"nobody listens at port {port}")
            time.sleep(0.05)


def trips(connection, count):
    """Milliseconds of each round trip of one byte."""
    taken = []
    for _ in range(count):
        begin = time.perf_counter()
        connection.sendall(b"x")
        connection.recv(1)
        taken.append((time.perf_counter() - begin) * 1000)
    return taken


@contextlib.contextmanager
def running(*commands):
    processes = [subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) for command in commands]
    try:
        yield processes
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


def ssh_tunnel(folder, port, to):
    """`ssh -L` to an sshd of our own on loopback: the commands that serve it."""
    for name in ["host", "user"]:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{folder}/{name}"], check=True)
    os.makedirs("/run/sshd", exist_ok=True)
    at = free_port()
    with open(f"{folder}/sshd_config", "w") as file:
        file.write(f"HostKey {folder}/host\nAuthorizedKeysFile {folder}/user.pub\nStrictModes no\nUsePAM no\n"
                   f"ListenAddress 127.0.0.1\nPort {at}\nPidFile none\n")
    serve = [SSHD, "-D", "-e", "-f", f"{folder}/sshd_config", "-E", f"{folder}/sshd.log"]
    call = ["ssh", "-N", "-F", "/dev/null", "-i", f"{folder}/user", "-o", "StrictHostKeyChecking=no",
            "-o", f"UserKnownHostsFile={folder}/known", "-o", "LogLevel=ERROR", "-o", "ConnectionAttempts=9",
            "-p", str(at), "-L", f"127.0.0.1:{port}:127.0.0.1:{to}", "127.0.0.1"]
    return serve, call


def carried(command, count):
    """Seconds until `head -c COUNT /dev/zero | COMMAND` has ended, by the shell."""
    begin = time.monotonic()
    done = subprocess.run(["bash", "-c", f"set -o pipefail; head -c {count} /dev/zero | {command}"],
                          stdout=subprocess.DEVNULL)
    if done.returncode:
        sys.exit(f"{command}: code {done.returncode}")
    return time.monotonic() - begin


def dumbpipe(program, count, folder):
    """Seconds until `dumbpipe connect` has sent so many bytes to a `dumbpipe listen`."""
    log = f"{folder}/dumb"
    listening = subprocess.Popen([program, "listen"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                 stderr=open(log, "w"))
    while "dumbpipe connect " not in open(log).read():
        time.sleep(0.05)
    ticket = open(log).read().split("dumbpipe connect ")[1].split()[0]
    taken = carried(f"{program} connect {ticket} 2>/dev/null", count)
    listening.send_signal(signal.SIGTERM)
    listening.wait()
    return taken


def said(values):
    values = sorted(values)
    return f"median {median(values):.3f}, 95 % {values[len(values) * 95 // 100]:.3f}"


with Report("pipe", save=not args.no_save) as report:
    otr = measure.build()
    report(f"# ssh: {subprocess.run(['ssh', '-V'], capture_output=True, text=True).stderr.strip()}")
    with Sessions(otr) as sessions, Postbox(otr) as postbox:
        invite = sessions.run("alice", "init", "--postbox", postbox.url).stdout
        sessions.run("bob", "respond", "--yes", given=invite)
        sessions.run("alice", "recv", "--all")
        sessions.pair("ann", "ben")
        line = lambda end, *rest: " ".join(sessions.command(end, *rest))
        stdio = line("ben", "pipe", "--stdio")

        # Round trips.
        echo = echo_server()
        ports = {"ssh -L": free_port(), "postbox": free_port(), "via": free_port()}
        serve, call = ssh_tunnel(sessions.folder, ports["ssh -L"], echo)
        near = lambda end, name, *rest: sessions.command(end, "pipe", "--listen", f"127.0.0.1:{ports[name]}", *rest)
        with running(serve, sessions.command("bob", "pipe", "--connect", f"127.0.0.1:{echo}"),
                     near("alice", "postbox"), near("ann", "via", "--via", f"{stdio} --connect 127.0.0.1:{echo}"),
                     ) as processes:
            time.sleep(0.5)
            with running(call):
                ways = {name: connected(port) for name, port in ports.items()}
                for way in ways.values():
                    trips(way, 200)
                taken = {name: [] for name in ways}
                for _ in range(10):
                    for name, way in ways.items():
                        taken[name] += trips(way, args.trips // 10)
            for name, each in taken.items():
                report(f"one byte there and back, {name:8}: {said(each)} ms ({len(each)} trips)")
            report.ratio("by a postbox / ssh -L, median", median(taken["postbox"]), median(taken["ssh -L"]), 10)
            report.ratio("over a command / ssh -L, median", median(taken["via"]), median(taken["ssh -L"]), 2)
            # Nothing happens now.
            pids = [processes[1].pid, processes[2].pid]
            time.sleep(3)
            before = [cpu_seconds(pid) for pid in pids]
            time.sleep(args.idle)
            spent = sum(cpu_seconds(pid) for pid in pids) - sum(before)
            report.check(f"idle: {spent * 1000:.0f} ms of CPU in {args.idle} s, both ends (at most 20)", spent <= 0.02)

        # Bulk.
        mib = args.size >> 20
        dumb = shutil.which("dumbpipe") or os.environ.get("OTR_DUMBPIPE")
        bulk = {"send | recv by postbox": [], "pipe by postbox": [], "send --raw | recv": [], "pipe --via": []}
        for _ in range(args.runs):
            bob = line("bob", "recv")
            bulk["send | recv by postbox"].append(carried(
                f"{line('alice', 'send')} & {bob} > /dev/null; wait $!", args.size))
            bulk["pipe by postbox"].append(carried(
                f"{line('alice', 'pipe')} & {line('bob', 'pipe')} < /dev/null > /dev/null; wait $!", args.size))
            bulk["send --raw | recv"].append(carried(
                f"{line('ann', 'send', '--raw')} | {line('ben', 'recv')} > /dev/null", args.size))
            # As many processes as there: what is sent comes from the far end's command.
            far = f'{stdio} --exec "head -c {args.size} /dev/zero"'
            bulk["pipe --via"].append(carried(f"{line('ann', 'pipe', '--via')} '{far}' < /dev/null", 0))
        for name, each in bulk.items():
            report(f"{mib} MiB, {name:23}: median {median(each):.2f} s, {mib / median(each):.0f} MiB/s")
        middle = {name: median(each) for name, each in bulk.items()}
        report.ratio("pipe by postbox / send | recv, time", middle["pipe by postbox"], middle["send | recv by postbox"], 2)
        report.ratio("pipe --via / send --raw | recv, time", middle["pipe --via"], middle["send --raw | recv"], 1.25)
        if dumb:
            # Without what it takes to begin: it looks for its relays first.
            each = [dumbpipe(dumb, args.size, sessions.folder) - dumbpipe(dumb, 0, sessions.folder)
                    for _ in range(args.runs)]
            version = subprocess.run([dumb, "--version"], capture_output=True, text=True).stdout.strip()
            report(f"{mib} MiB, {version:23}: median {median(each):.2f} s, {mib / median(each):.0f} MiB/s")
            for name in ["pipe by postbox", "pipe --via"]:
                report.ratio(f"{name} / dumbpipe, time", middle[name], median(each), 1)
        else:
            report("LEFT OUT: dumbpipe is not here (cargo install dumbpipe)")

        # Small writes.
        code = "import os\nfor _ in range(1000000): os.write(1, b'x')"
        writer = subprocess.Popen(["python3", "-c", code], stdout=subprocess.PIPE)
        far = subprocess.Popen(sessions.command("bob", "pipe"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        near_end = subprocess.Popen(sessions.command("alice", "pipe"), stdin=writer.stdout, stdout=subprocess.DEVNULL)
        writer.stdout.close()
        begin = time.monotonic()
        _, rss = measure.to_the_end([writer, near_end, far])
        report(f"a million writes of one byte: {time.monotonic() - begin:.1f} s; peaks {rss[1]} and {rss[2]} KiB")
        report.check("memory of either end (at most 40 MiB)", max(rss[1:]) <= 40 << 10)
sys.exit(1 if report.missed else 0)
