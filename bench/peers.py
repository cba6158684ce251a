"""peers: what the measurements start and ask: servers, the load generator, the bare disk.

A Server is Basin or redis-server in a directory of its own on a free port of 127.0.0.1. Both get
the same directives; whatever is started here is ended here, whichever way the program ends.
"""
import atexit
import json
import mmap
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BASIN = ROOT / "build/release/basin-server"
LOAD = ROOT / "build/release/bench/load"
REDIS = "redis-server"
START_TIMEOUT = 300
STOP_TIMEOUT = 300
BLOCK = 4096
PROBE_FILE_SIZE = 16 << 20

running = set()
basin_arguments = []  # What each Basin is started with besides: --basin-args.


class Failure(Exception):
    """Something that was to be measured did not run."""


def end_all():
    for server in list(running):
        server.kill()


atexit.register(end_all)


class Connection:
    """A client for the few requests that are not measured."""

    def __init__(self, port, timeout=60):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.file = self.socket.makefile("rb")

    def call(self, *words):
        request = b"*%d\r\n" % len(words)
        for word in words:
            data = str(word).encode()
            request += b"$%d\r\n%s\r\n" % (len(data), data)
        self.socket.sendall(request)
        return self.reply()

    def reply(self):
        line = self.file.readline()
        if not line:
            raise ConnectionError("end of stream")
        kind, text = line[:1], line[1:].strip().decode()
        if kind == b"*" and int(text) >= 0:
            return [self.reply() for _ in range(int(text))]
        if kind == b"$" and int(text) >= 0:
            return self.file.read(int(text) + 2)[:-2].decode()
        return "-" + text if kind == b"-" else text

    def close(self):
        self.file.close()
        self.socket.close()


class Server:
    """kind: basin or redis. durability: always, everysec, no (written, never synced) or off.
    more: further words of the command line, which may be changed between two starts."""

    def __init__(self, kind, durability, directory, workers=None, more=()):
        self.kind, self.durability, self.workers, self.more = kind, durability, workers, more
        self.directory = pathlib.Path(directory)
        self.process = None
        self.port = None

    def arguments(self):
        off = self.durability == "off"
        words = [REDIS if self.kind == "redis" else str(BASIN),
                 "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.directory),
                 "--save", "", "--appendonly", "no" if off else "yes",
                 "--appendfsync", "everysec" if off else self.durability,
                 # Redis would rewrite its file amid a round; Basin has no such work yet.
                 "--auto-aof-rewrite-percentage", "0", "--maxclients", "12000",
                 "--logfile", str(self.directory / "server.log")]
        if self.workers and self.kind == "basin":
            words += ["--workers", str(self.workers)]
        if self.kind == "basin":
            words += basin_arguments
        return words + [str(word) for word in self.more]

    def start(self):
        """Gives the seconds until the server answers."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        begin = time.monotonic()
        try:
            self.process = subprocess.Popen(self.arguments(), stdin=subprocess.DEVNULL,
                                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        except FileNotFoundError as error:
            raise Failure(f"cannot start {self.kind}: {error}") from error
        running.add(self)
        while True:
            try:
                connection = Connection(self.port)
                answer = connection.call("PING")
                connection.close()
                if answer == "PONG":
                    return time.monotonic() - begin
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() - begin > START_TIMEOUT:
                raise Failure(f"{self.kind} did not start: {self.log_tail()}")
            time.sleep(0.001)

    def log_tail(self):
        try:
            return " | ".join((self.directory / "server.log").read_text().splitlines()[-3:])
        except OSError:
            return "no log"

    def call(self, *words):
        connection = Connection(self.port)
        try:
            return connection.call(*words)
        finally:
            connection.close()

    def info(self):
        lines = self.call("INFO", "everything").splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def cpu_us(self):
        """Of all threads, in the kernel's nanoseconds where stat would round to ticks of 10 ms."""
        return time.clock_gettime(~self.process.pid << 3 | 2) * 1e6

    def rss(self):
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * mmap.PAGESIZE

    def stop(self):
        """A clean stop."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired as error:
            raise Failure(f"{self.kind} did not stop: {self.log_tail()}") from error
        self.process = None
        running.discard(self)

    def kill(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None
        running.discard(self)

    def remove(self):
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


def load_words(server, roles, *, size=100, keys=100000, seconds=2.0, warmup=0.3, fill=0, seed=0,
               first_key=0, zipf=0.0):
    """The command line of bench/load. roles: (command, clients, pipeline)."""
    words = [LOAD, "--json", "--port", server.port, "--pid", server.process.pid,
             "--value-size", size, "--keys", keys, "--first-key", first_key, "--zipf", zipf,
             "--seconds", seconds, "--warmup", warmup, "--fill", fill, "--seed", seed]
    for role in roles:
        words += ["--role", ":".join(str(word) for word in role)]
    return [str(word) for word in words]


def load_run(server, roles, *, seconds=2.0, warmup=0.3, fill=0, **named):
    """As load_words. Gives the object that bench/load prints."""
    words = load_words(server, roles, seconds=seconds, warmup=warmup, fill=fill, **named)
    done = subprocess.run(words, capture_output=True, text=True, check=False,
                          timeout=None if fill else seconds + warmup + 60)
    if done.returncode != 0:
        raise Failure(f"{server.kind}: {done.stderr.strip()} {server.log_tail()}")
    result = json.loads(done.stdout)
    for role in result["roles"]:
        if role["errors"] > 0:
            raise Failure(f"{server.kind} answered {role['command']}: {role['first_error']}")
    ops = sum(role["ops"] for role in result["roles"])
    result["cpu_us_op"] = result["server_cpu_us"] / ops if ops else 0
    result["rss"] = server.rss()
    return result


# -- The bare disk ---------------------------------------------------------------------------------


class Probe:
    """How long one durable write of 4 KiB takes on a directory's disk, without any server."""

    def __init__(self, directory):
        self.path = pathlib.Path(directory) / "probe"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.block = mmap.mmap(-1, BLOCK)
        self.block.write(b"x" * BLOCK)
        with open(self.path, "wb") as file:
            file.write(b"\0" * PROBE_FILE_SIZE)
            os.fsync(file.fileno())

    def append_us(self, seconds):
        """A file that grows, then fdatasync: what an append-only file does."""
        path = self.path.with_suffix(".append")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)

        def write(_):
            os.write(descriptor, self.block)
            os.fdatasync(descriptor)
        samples = self.repeat(write, seconds)
        os.close(descriptor)
        path.unlink()
        return statistics.median(samples)

    def direct_us(self, seconds, threads=1):
        """O_DIRECT and O_DSYNC into blocks written before: (median, writes a second)."""
        descriptor = os.open(self.path, os.O_WRONLY | os.O_DIRECT | os.O_DSYNC)
        samples = []
        blocks = PROBE_FILE_SIZE // BLOCK

        def work(first):
            def write(count):
                os.pwrite(descriptor, self.block, (count * threads + first) % blocks * BLOCK)
            samples.extend(self.repeat(write, seconds))
        workers = [threading.Thread(target=work, args=(i,)) for i in range(threads)]
        begin = time.monotonic()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        elapsed = time.monotonic() - begin
        os.close(descriptor)
        return statistics.median(samples), len(samples) / elapsed

    @staticmethod
    def repeat(write, seconds):
        samples = []
        begin = time.monotonic()
        while not samples or begin - first < seconds:
            if not samples:
                first = begin
            write(len(samples))
            end = time.monotonic()
            samples.append((end - begin) * 1e6)
            begin = end
        return samples

    def measure(self, seconds=0.3):
        try:
            direct = self.direct_us(seconds / 2)[0]
        except OSError:
            direct = None  # A file system without O_DIRECT.
        append = self.append_us(seconds / 2)
        return {"append_us": append, "direct_us": direct,
                "raw_us": min(append, direct or append)}

    def overlap(self, seconds=0.3):
        """How many times the writes a second of one are had with 2 and with 4 in flight."""
        try:
            one = self.direct_us(seconds)[1]
            return {str(n): self.direct_us(seconds, n)[1] / one for n in (2, 4)}
        except OSError:
            return {}


class SlowDisk:
    """bench/slow_disk, mounted while the block runs. Needs root, nbdkit and libnbd-bin."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.mounted = False
        self.why_not = None

    def up(self):
        """Gives the mounted directory; None: why_not says what is missing."""
        if self.mounted:
            return self.directory / "mnt"
        missing = [tool for tool in ("nbdkit", "nbdfuse") if shutil.which(tool) is None]
        if os.geteuid() != 0:
            self.why_not = "needs root"
        elif missing:
            self.why_not = "not installed: " + ", ".join(missing)
        if self.why_not:
            return None
        atexit.register(self.down)
        self.mounted = True
        done = subprocess.run([ROOT / "bench/slow_disk", "up", self.directory], check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
        if done.returncode != 0 or not os.path.ismount(self.directory / "mnt"):
            self.down()
            self.why_not = "bench/slow_disk up failed"
            return None
        return self.directory / "mnt"

    def down(self):
        if self.mounted:
            self.mounted = False
            end_all()
            subprocess.run([ROOT / "bench/slow_disk", "down", self.directory], check=False,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if not os.path.ismount(self.directory / "mnt"):
                shutil.rmtree(self.directory, ignore_errors=True)


# -- The machine -----------------------------------------------------------------------------------


def busy_share(seconds=0.1):
    """The share of all processors that others use just now."""
    def read():
        with open("/proc/stat", encoding="ascii") as file:
            ticks = [int(word) for word in file.readline().split()[1:9]]
        return sum(ticks), ticks[3] + ticks[4]
    total, idle = read()
    time.sleep(seconds)
    total_after, idle_after = read()
    return 1 - (idle_after - idle) / max(1, total_after - total)


def first_line(*words):
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT)
        return (done.stdout.splitlines() or [""])[0]
    except OSError:
        return ""


def machine():
    model = "unknown"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return {"time": time.strftime("%Y-%m-%d %H:%M:%S"), "processor": model,
            "cores": os.cpu_count(), "kernel": os.uname().release,
            "redis": first_line(REDIS, "--version"), "basin": first_line(str(BASIN), "--version"),
            "commit": first_line("git", "describe", "--always", "--dirty")}
