"""The servers that the postbox's benchmarks need: the postbox itself, nginx and redis beside it, each
on a port of its own choice, in a directory in memory, ended on leaving."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def cpu_seconds(pid):
    """User and system time of a process and of those that it started, so far."""
    ticks = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[11:13]
    children = open(f"/proc/{pid}/task/{pid}/children").read().split()
    own = sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
    return own + sum(map(cpu_seconds, children))


def exact_cpu_seconds(pid):
    """The same for the process alone, in steps of a nanosecond: the clock of clock_getcpuclockid(3)."""
    return time.clock_gettime(~pid << 3 | 2)


def wait_for(port, host="127.0.0.1"):
    """Until somebody listens there."""
    for _ in range(200):
        with socket.socket() as caller:
            if caller.connect_ex((host, port)) == 0:
                return
        time.sleep(0.05)
    sys.exit(f"nobody listens on port {port}")


class Postbox:
    """`otr postbox` on loopback."""

    def __init__(self, otr, *options):
        self.command = [otr, "postbox", "--listen", "127.0.0.1:0", *options]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if line.startswith("OTR_POSTBOX="):
                self.url = line.strip().removeprefix("OTR_POSTBOX=")
                self.port = int(self.url.rsplit(":", 1)[1])
                self.pid = self.process.pid
                return self
        sys.exit("the postbox did not start")

    def cpu(self):
        return cpu_seconds(self.pid)

    def __exit__(self, *_):
        code = self.process.poll()
        if code is not None:
            # Whatever else went wrong came of it.
            sys.exit(f"the postbox ended unasked, with {ending(code)}; it said:\n{self.process.stderr.read()}")
        # What it holds need not be wiped for a benchmark.
        self.process.kill()
        self.process.wait()


def ending(code):
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"code {code}"


class Server:
    """A server in the foreground, in a directory of its own."""

    def __enter__(self):
        self.port, self.folder = free_port(), tempfile.mkdtemp(prefix="otr-bench-", dir="/dev/shm")
        self.process = subprocess.Popen(self.prepare(), stdout=subprocess.DEVNULL)
        wait_for(self.port)
        return self

    def cpu(self):
        return cpu_seconds(self.process.pid)

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Nginx(Server):
    """nginx with this in its `server { }`."""

    def __init__(self, location):
        self.location = location

    def prepare(self):
        # Its workers may be another user.
        os.chmod(self.folder, 0o755)
        os.mkdir(os.path.join(self.folder, "files"))
        os.chmod(os.path.join(self.folder, "files"), 0o777)
        path = os.path.join(self.folder, "nginx.conf")
        with open(path, "w") as conf:
            conf.write(f"""
                daemon off;
                worker_processes auto;
                pid {self.folder}/pid;
                error_log stderr crit;
                events {{ worker_connections 1024; }}
                http {{
                    access_log off;
                    client_body_temp_path {self.folder}/bodies;
                    client_body_buffer_size 64k;
                    client_max_body_size 0;
                    keepalive_requests 1000000000;
                    sendfile on;
                    server {{
                        listen 127.0.0.1:{self.port};
                        root {self.folder}/files;
                        location / {{ {self.location} }}
                    }}
                }}""")
        return ["nginx", "-c", path, "-p", self.folder]


def metric(admin, name):
    """One of the totals that a postbox tells its operator, at its --admin unix:PATH."""
    with socket.socket(socket.AF_UNIX) as operator:
        operator.connect(admin)
        operator.sendall(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        page = b"".join(iter(lambda: operator.recv(65536), b"")).decode()
    return int(re.search(rf"^otr_postbox_{name} (\d+)$", page, re.M).group(1))


# This end's address in the network that servers with networks of their own share.
HERE = "10.99.7.254"


class Shards:
    """So many redis-servers that keep nothing on a disk; more than one are a cluster, in which each master has
    so many of them as `replicas`. `apart`: each has a network of its own, and a cable to the switch that `kills.py` makes."""

    def __init__(self, count, maxmemory="8gb", replicas=0, apart=False):
        self.count, self.maxmemory, self.replicas, self.apart = count, maxmemory, replicas, apart

    def host(self, port):
        return f"10.99.7.{1 + self.ports.index(port)}" if self.apart else "127.0.0.1"

    def cable(self, port):
        """The end that is here of what leads to a server in a network of its own."""
        return f"cable{self.ports.index(port)}"

    def start_one(self, at):
        """Starts a server; where each has a network of its own, with a cable to the switch."""
        if not self.apart:
            return subprocess.Popen(self.commands[at], stdout=subprocess.DEVNULL)
        waiting = ["unshare", "-n", "sh", "-c", 'echo; read go; exec "$@"', "sh", *self.commands[at]]
        process = subprocess.Popen(waiting, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        # From then on it is in that network.
        process.stdout.readline()
        subprocess.run(["ip", "link", "del", self.cable(self.ports[at])], stderr=subprocess.DEVNULL)
        port, inside = self.ports[at], ["nsenter", "-t", str(process.pid), "-n"]
        for command in (
                ["ip", "link", "add", self.cable(port), "type", "veth", "peer", "name", "eth0", "netns", str(process.pid)],
                ["ip", "link", "set", self.cable(port), "master", "switch", "up"],
                [*inside, "ip", "addr", "add", f"{self.host(port)}/24", "dev", "eth0"],
                [*inside, "ip", "link", "set", "eth0", "up"],
                [*inside, "ip", "link", "set", "lo", "up"]):
            subprocess.run(command, check=True)
        process.stdin.write(b"\n")
        process.stdin.close()
        # Whoever reads no more of it must not hold it up.
        threading.Thread(target=process.stdout.read, daemon=True).start()
        return process

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="otr-bench-", dir="/dev/shm")
        self.processes, self.commands = [], []
        try:
            self.start()
        except BaseException:
            # Nobody calls __exit__ then.
            self.__exit__()
            raise
        return self

    def start(self):
        # A cluster's nodes have a second port each, for each other.
        ports = set()
        while len(ports) < 2 * self.count:
            ports.add(free_port())
        ports = list(ports)
        self.ports, buses = ports[:self.count], ports[self.count:]
        for port, bus in zip(self.ports, buses):
            place = os.path.join(self.folder, str(port))
            os.mkdir(place)
            options = ["--save", "", "--appendonly", "no", "--repl-diskless-load", "swapdb", "--dir", place,
                       "--maxmemory", self.maxmemory, "--maxmemory-policy", "noeviction",
                       "--latency-tracking", "no", "--enable-debug-command", "local",
                       "--bind", self.host(port), "--port", str(port)]
            if self.apart:
                options += ["--protected-mode", "no"]
            if self.count > 1:
                options += ["--cluster-enabled", "yes", "--cluster-port", str(bus),
                            "--cluster-node-timeout", "5000"]
            self.commands.append(["redis-server", *options])
            self.processes.append(self.start_one(len(self.commands) - 1))
            wait_for(port, self.host(port))
        self.pids = [process.pid for process in self.processes]
        hosts = [f"{self.host(port)}:{port}" for port in self.ports]
        if self.count > 1:
            nodes = [f"{host}@{bus}" for host, bus in zip(hosts, buses)]
            create = ["redis-cli", "--cluster", "create", *nodes, "--cluster-yes"]
            create += ["--cluster-replicas", str(self.replicas)]
            subprocess.run(create, check=True, stdout=subprocess.DEVNULL)
            while any(self.info(port)["cluster_enabled"] != "1" or "cluster_state:ok" not in
                      self.ask(port, "CLUSTER", "INFO") for port in self.ports):
                time.sleep(0.1)
        self.url = ("redis+cluster://" if self.count > 1 else "redis://") + ",".join(hosts)

    def begin_again(self, port):
        """Starts the one at this port once more, which has ended."""
        at = self.ports.index(port)
        self.processes[at] = self.start_one(at)
        self.pids[at] = self.processes[at].pid
        wait_for(port, self.host(port))

    def ask(self, port, *command):
        return subprocess.run(["redis-cli", "-h", self.host(port), "-p", str(port), *command], check=True,
                              capture_output=True, text=True).stdout

    def info(self, port):
        lines = self.ask(port, "INFO").splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def settle(self):
        """Until no table of keys is on its way to one of twice the size: each command moves a part of it."""
        while any("rehashing target" in self.ask(port, "DEBUG", "HTSTATS", "0") for port in self.ports):
            time.sleep(0.5)

    def total(self, name):
        """The sum of one of INFO's numbers over all of them."""
        return sum(int(self.info(port)[name]) for port in self.ports)

    def cpu(self):
        return sum(map(exact_cpu_seconds, self.pids))

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Redis(Server):
    """redis-server that keeps nothing on a disk."""

    def prepare(self):
        options = ["--save", "", "--appendonly", "no", "--repl-diskless-load", "swapdb", "--dir", self.folder]
        return ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), *options]
