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


def wait_for(port):
    """Until somebody listens there."""
    for _ in range(200):
        with socket.socket() as caller:
            if caller.connect_ex(("127.0.0.1", port)) == 0:
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


class Shards:
    """So many redis-servers that keep nothing on a disk; more than one are a cluster, in which each master has
    so many of them as `replicas`."""

    def __init__(self, count, maxmemory="8gb", replicas=0):
        self.count, self.maxmemory, self.replicas = count, maxmemory, replicas

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
                       "--bind", "127.0.0.1", "--port", str(port)]
            if self.count > 1:
                options += ["--cluster-enabled", "yes", "--cluster-port", str(bus),
                            "--cluster-node-timeout", "5000"]
            self.commands.append(["redis-server", *options])
            self.processes.append(subprocess.Popen(self.commands[-1], stdout=subprocess.DEVNULL))
            wait_for(port)
        self.pids = [process.pid for process in self.processes]
        hosts = [f"127.0.0.1:{port}" for port in self.ports]
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
        self.processes[at] = subprocess.Popen(self.commands[at], stdout=subprocess.DEVNULL)
        self.pids[at] = self.processes[at].pid
        wait_for(port)

    @staticmethod
    def ask(port, *command):
        return subprocess.run(["redis-cli", "-p", str(port), *command], check=True, capture_output=True,
                              text=True).stdout

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
