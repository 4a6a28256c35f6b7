"""What the benchmark scripts share: builds, sessions, processes with their CPU and memory, and a
report that goes to the screen and to docs/measurements/."""

import datetime
import json
import os
import pathlib
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


def said(*command):
    """The first line of what a command says, or why there is none."""
    try:
        out = subprocess.run(command, capture_output=True, text=True, cwd=ROOT).stdout.strip()
        return out.splitlines()[0] if out else "?"
    except OSError:
        return "not here"


def processor():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


class Report:
    """Lines on the screen and, on leaving, in docs/measurements/DATE-NAME.txt."""

    def __init__(self, name, save=True):
        self.name, self.save, self.lines, self.missed = name, save, [], []
        now = datetime.datetime.now(datetime.timezone.utc)
        self.date = now.date().isoformat()
        self(f"# {name}, {now:%Y-%m-%d %H:%M} UTC")
        self(f"# processor: {processor()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}")
        self(f"# kernel: {platform.release()}")
        given = os.environ.get("OTR_BINARY")
        commit = said("git", "describe", "--always", "--dirty")
        self(f"# otr: {given}, given by OTR_BINARY" if given else f"# otr: commit {commit}")
        self(f"# rustc: {said('rustc', '--version')}")
        self(f"# age: {said('age', '--version')}, built with {go_version('age')}")
        self(f"# python: {platform.python_version()}")

    def __call__(self, line=""):
        print(line, flush=True)
        self.lines.append(line)

    def ratio(self, what, ours, theirs, most):
        """One target: ours / theirs is at most `most`."""
        ratio = ours / theirs
        self.check(f"{what}: {ratio:.3f} x (at most {most})", ratio <= most)

    def check(self, what, met):
        self(f"{'met   ' if met else 'MISSED'} {what}")
        if not met:
            self.missed.append(what)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None and self.save:
            folder = ROOT / "docs" / "measurements"
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"{self.date}-{self.name}.txt"
            path.write_text("\n".join(self.lines) + "\n")
            print(f"saved in {path.relative_to(ROOT)}")


def go_version(program):
    """Which Go a program was built with, read from the program: a Go toolchain is not needed."""
    path = shutil.which(program)
    found = path and re.search(rb"go1\.\d+(\.\d+)?", pathlib.Path(path).read_bytes())
    return found.group().decode() if found else "?"


# Program → the Debian package that has it, where the two differ.
PACKAGES = {"age-keygen": "age", "nginx": "nginx-light", "redis-benchmark": "redis-tools", "ip": "iproute2"}


def need(*programs):
    missing = [program for program in programs if not shutil.which(program)]
    if missing:
        packages = sorted({PACKAGES.get(program, program) for program in missing})
        sys.exit(f"needed and not here: {', '.join(missing)} (Debian: apt-get install {' '.join(packages)})")


def build(features=""):
    """Builds otr for release and installs it, as a user does; its path. Each set of features has a
    directory of its own.

    Installed, since that is what people run and what the peers are: the file that the linker has
    just written lies in the page cache in small pieces, and a process of it starts a fifth slower
    until that cache is dropped. With OTR_BINARY in the environment, that one is measured instead."""
    if given := os.environ.get("OTR_BINARY"):
        return given
    folder = target(features)
    command = ["cargo", "install", "--path", str(ROOT), "--root", str(folder / "installed"), "--locked"]
    command += ["--quiet", "--force", "--target-dir", str(folder)]
    if features:
        command += ["--features", features]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return str(folder / "installed" / "bin" / "otr")


def target(features):
    return ROOT / "target" / f"bench-{features}" if features else ROOT / "target"


def rust_bench(name, features=""):
    """Runs a benchmark of benches/NAME.rs; the JSON that it prints."""
    command = ["cargo", "bench", "--locked", "--quiet", "--bench", name]
    command += ["--target-dir", str(target(features))]
    if features:
        command += ["--features", features]
    out = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return json.loads(out.splitlines()[-1])


def load_generator():
    """Builds benches/load; its path. With OTR_LOAD in the environment, that one."""
    if given := os.environ.get("OTR_LOAD"):
        return given
    command = ["cargo", "bench", "--locked", "--quiet", "--no-run", "--bench", "load",
               "--message-format=json", "--target-dir", str(target(""))]
    out = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    messages = map(json.loads, filter(None, out.splitlines()))
    return next(message["executable"] for message in messages
                if message.get("target", {}).get("name") == "load" and message.get("executable"))


class Sessions:
    """Sessions of two ends in a directory of their own, in memory, removed on leaving."""

    def __init__(self, otr):
        self.otr = otr

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="otr-bench-", dir="/dev/shm")
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder, ignore_errors=True)

    def command(self, end, *args):
        return [self.otr, "--quiet", "--dir", self.folder, "-s", end, *args]

    def run(self, end, *args, given=b"", codes=(0,)):
        done = subprocess.run(self.command(end, *args), input=given, capture_output=True)
        if done.returncode not in codes:
            sys.exit(f"otr {' '.join(args)}: code {done.returncode}: {done.stderr.decode()}")
        return done

    def pair(self, one="alice", other="bob"):
        """A conversation in which each end has received a packet of the other's."""
        invite = self.run(one, "init").stdout
        reply = self.run(other, "respond", given=invite).stdout
        self.run(one, "recv", given=reply)
        for end, peer in [(one, other), (other, one)]:
            packet = self.run(end, "send", given=b"hi\n").stdout
            self.run(peer, "recv", given=packet)
        return one, other

    def state_size(self, end):
        return os.stat(os.path.join(self.folder, f"{end}.state")).st_size


class Pipeline:
    """`head -c BYTES /dev/zero | A | B > /dev/null`, measured: wall seconds, and of A and B the CPU
    seconds and the largest resident size in KiB; `feeder` is the CPU seconds of head."""

    def __init__(self, count, commands):
        start = time.monotonic()
        processes = [subprocess.Popen(["head", "-c", str(count), "/dev/zero"], stdout=subprocess.PIPE)]
        for command in commands:
            last = command is commands[-1]
            before = processes[-1]
            processes.append(subprocess.Popen(
                command, stdin=before.stdout,
                stdout=subprocess.DEVNULL if last else subprocess.PIPE))
            before.stdout.close()
        cpu, rss = to_the_end(processes)
        self.wall = time.monotonic() - start
        self.feeder, self.cpu, self.rss = cpu[0], cpu[1:], rss[1:]


def to_the_end(processes):
    """Waits for processes, which must succeed: the CPU seconds of each, and its peak in KiB."""
    rss, ended = [0] * len(processes), threading.Event()

    # The peak is asked of the kernel while the process lives: what wait4(2) says of it counts the
    # parent's pages, from before exec(2). Seldom: looking takes time of the measured.
    def look():
        while not ended.wait(0.02):
            for at, process in enumerate(processes):
                rss[at] = max(rss[at], peak(process.pid))

    looking = threading.Thread(target=look)
    looking.start()
    cpu = []
    for process in processes:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        cpu.append(usage.ru_utime + usage.ru_stime)
    ended.set()
    looking.join()
    for process in processes:
        if process.returncode:
            sys.exit(f"{process.args}: exit code {process.returncode}")
    return cpu, rss


def peak(pid):
    """VmHWM of a process in KiB; 0 once it is gone."""
    try:
        for line in open(f"/proc/{pid}/status"):
            if line.startswith("VmHWM"):
                return int(line.split()[1])
    except (FileNotFoundError, ProcessLookupError):
        pass
    return 0


def median(values):
    return statistics.median(values)
