#!/usr/bin/env python3
"""values: what large values of each type cost, Basin beside redis-server in one run.

    bench/values.py                 everything, about 15 minutes; a table to bench/out/values.md
    bench/values.py memory cpu      only these parts: memory, cpu, algebra, delete, redis-benchmark

Both servers hold the same 1 M entries (16-byte members, 16-byte values unless named) without
persistence; figures are medians of the rounds, taken in turn. CPU is that of the server process, all
threads, an operation of 50 clients without a pipeline.
"""
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time

import peers

COUNT = 1_000_000
ROUNDS = 3
SECONDS = 1.0
OUT = peers.ROOT / "bench/out"
KINDS = (("Basin", "basin"), ("Redis", "redis"))
rows = []


def say(what, basin, redis, unit, goal=None):
    ratio = basin / redis if redis else float("inf")
    better = goal[0] == ">=" if goal else False
    met = "" if goal is None else ("yes" if (ratio >= goal[1] if better else ratio <= goal[1]) else "NO")
    row = (what, f"{basin:.4g}", f"{redis:.4g}", unit, f"{ratio:.3f}",
           "" if goal is None else f"{goal[0]} {goal[1]}", met)
    rows.append(row)
    print(" | ".join(row), flush=True)


class Pair:
    """Both servers, started fresh in directories of their own."""

    def __init__(self, name, durability="off"):
        self.directory = OUT / "data" / name
        shutil.rmtree(self.directory, ignore_errors=True)
        self.servers = {label: peers.Server(kind, durability, self.directory / kind)
                        for label, kind in KINDS}

    def __enter__(self):
        for server in self.servers.values():
            server.start()
        time.sleep(0.3)
        return self

    def __exit__(self, *_):
        for server in self.servers.values():
            server.remove()

    def each(self, function):
        return {label: function(server) for label, server in self.servers.items()}


def raw(server, requests):
    """Sends many requests at once and waits until all are answered, by one ECHO at the end."""
    with socket.create_connection(("127.0.0.1", server.port), 600) as connection:
        def send():
            for request in requests:
                connection.sendall(request)
            connection.sendall(b"*2\r\n$4\r\nECHO\r\n$12\r\nall-is-done!\r\n")
        sender = threading.Thread(target=send)
        sender.start()
        tail = b""
        while not tail.endswith(b"all-is-done!\r\n"):
            data = connection.recv(1 << 20)
            if not data:
                raise peers.Failure("the server closed the connection")
            tail = (tail + data)[-64:]
        sender.join()


def command(*words):
    out = b"*%d\r\n" % len(words)
    for word in words:
        data = word if isinstance(word, bytes) else str(word).encode()
        out += b"$%d\r\n%s\r\n" % (len(data), data)
    return out


def batches(make, count, each=1000):
    for start in range(0, count, each):
        yield b"".join(make(i) for i in range(start, min(count, start + each)))


def fill(server, role, count=COUNT, size=16):
    peers.load_run(server, [(role, 8, 32)], size=size, keys=count, fill=count)


FILLS = {
    "hash of 1 M fields": ("hset", 0.45),
    "set of 1 M members": ("sadd", 0.45),
    "sorted set of 1 M members": ("zadd", 0.45),
    "list of 1 M elements": ("list-push", 1.0),
    "1 M hashes of 8 fields": ("small-hash", 0.8),
}


def memory():
    for what, (role, goal) in FILLS.items():
        with Pair("memory") as pair:
            def measure(server, role=role):
                before = server.rss()
                fill(server, role)
                time.sleep(1)
                return (server.rss() - before) / COUNT
            figures = pair.each(measure)
        say(f"memory: {what}", figures["Basin"], figures["Redis"], "B an entry", ("<=", goal))


def fill_stream(server):
    raw(server, batches(lambda i: command("XADD", "stream", f"{i + 1}-1", "field", "a" * 16), COUNT))


def fill_list(server):
    half = COUNT // 2
    fill(server, "list-push", half)
    raw(server, [command("RPUSH", "list", "middle")])
    fill(server, "list-push", half)


CPU = (
    ("hash", lambda server: fill(server, "hset"),
     (("hset", 1.0), ("hget", 1.0), ("hrandfield", 1.0))),
    ("set", lambda server: fill(server, "sadd"),
     (("sadd", 1.0), ("sismember", 1.0), ("srandmember", 1.0), ("spop", 1.0))),
    ("zset", lambda server: fill(server, "zadd"),
     (("zadd", 1.0), ("zscore", 1.0), ("zrank", 1.0), ("zrange", 1.0), ("zrandmember", 1.0))),
    ("list", fill_list, (("lindex", 0.1), ("lset", 0.1))),
    ("insert", fill_list, (("linsert", 0.1),)),
    ("stream", fill_stream, (("xrange", 1.0), ("xadd", 1.0))),
)


def cpu():
    for name, prepare, roles in CPU:
        with Pair("cpu") as pair:
            pair.each(prepare)
            for role, goal in roles:
                samples = {label: [] for label, _ in KINDS}
                speeds = {label: [] for label, _ in KINDS}
                for round_number in range(ROUNDS):
                    labels = [label for label, _ in KINDS]
                    for label in labels if round_number % 2 == 0 else labels[::-1]:
                        result = peers.load_run(pair.servers[label], [(role, 50, 1)], size=16,
                                                keys=COUNT, seconds=SECONDS)
                        samples[label].append(result["cpu_us_op"])
                        speeds[label].append(result["roles"][0]["ops_s"])
                middle = {label: statistics.median(each) for label, each in samples.items()}
                say(f"{name}: {role}", middle["Basin"], middle["Redis"], "CPU us/op", ("<=", goal))


def cpu_of(server, *words):
    """Server CPU of one command, its whole reply read."""
    before = server.cpu_us()
    raw(server, [command(*words)])
    return (server.cpu_us() - before) / 1e3


ALGEBRA = (("SINTER", "a", "b"), ("SUNION", "a", "b"), ("SDIFF", "a", "b"),
           ("SINTERSTORE", "c", "a", "b"), ("SUNIONSTORE", "c", "a", "b"),
           ("ZUNIONSTORE", "z", 2, "x", "y"), ("ZINTERSTORE", "z", 2, "x", "y"))


def algebra():
    with Pair("algebra") as pair:
        def prepare(server):
            for key, shift in (("a", 0), ("b", COUNT // 2)):
                raw(server, batches(lambda i, key=key, shift=shift: command(
                    "SADD", key, f"mbr:{i + shift:012d}"), COUNT))
            for key, shift in (("x", 0), ("y", COUNT // 2)):
                raw(server, batches(lambda i, key=key, shift=shift: command(
                    "ZADD", key, i * 7919 % COUNT, f"mbr:{i + shift:012d}"), COUNT))
        pair.each(prepare)
        for words in ALGEBRA:
            samples = {label: [] for label, _ in KINDS}
            for _ in range(ROUNDS):
                for label, server in pair.servers.items():
                    samples[label].append(cpu_of(server, *words))
            middle = {label: statistics.median(each) for label, each in samples.items()}
            say(f"{words[0]} of two of 1 M", middle["Basin"], middle["Redis"], "CPU ms", ("<=", 1.0))


def delete():
    """The longest wait of another client while a value of 5 M elements goes, beside that without."""
    fills = {
        "hash": lambda i: command("HSET", "big", f"fld:{i:012d}", "v" * 16),
        "sorted set": lambda i: command("ZADD", "big", i, f"mbr:{i:012d}"),
        "list": lambda i: command("RPUSH", "big", "v" * 16),
        "set": lambda i: command("SADD", "big", f"mbr:{i:012d}"),
    }
    for what, make in fills.items():
        with Pair("delete") as pair:
            def measure(server, make=make):
                raw(server, batches(make, 5_000_000))
                time.sleep(0.5)
                quiet = longest_wait(server, None)
                return quiet, longest_wait(server, command("DEL", "big"))
            figures = pair.each(measure)
        for label in figures:
            print(f"  {label}: longest wait without {figures[label][0]:.0f} us, "
                  f"with DEL {figures[label][1]:.0f} us", flush=True)
        say(f"DEL of a {what} of 5 M: longest wait of another", figures["Basin"][1] / 1e3,
            figures["Redis"][1] / 1e3, "ms (goal: 1)")


def longest_wait(server, request):
    with socket.create_connection(("127.0.0.1", server.port), 60) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        longest = 0.0
        begin = time.monotonic()
        sent = request is None
        while (now := time.monotonic()) - begin < 3.0:
            if not sent and now - begin > 0.5:
                sent = True
                threading.Thread(target=raw, args=(server, [request])).start()
            connection.sendall(b"*1\r\n$4\r\nPING\r\n")
            connection.recv(64)
            longest = max(longest, time.monotonic() - now)
        return longest * 1e6


def benchmark():
    """redis-benchmark's own default tests, requests a second."""
    for durability, count in (("off", 100000), ("always", 20000)):
        for pipeline in (1, 16):
            with Pair("benchmark", durability) as pair:
                results = {label: {} for label, _ in KINDS}
                for _ in range(ROUNDS):
                    for label, server in pair.servers.items():
                        for name, value in benchmark_run(server, pipeline, count).items():
                            results[label].setdefault(name, []).append(value)
                for name in results["Redis"]:
                    say(f"redis-benchmark {name}, {durability}, -P {pipeline}",
                        statistics.median(results["Basin"][name]),
                        statistics.median(results["Redis"][name]), "1/s", (">=", 1.0))


def benchmark_run(server, pipeline, count):
    server.call("FLUSHALL")
    done = subprocess.run(["redis-benchmark", "-p", str(server.port), "--csv", "-r", "100000",
                           "-n", str(count), "-P", str(pipeline)],
                          capture_output=True, text=True, check=True, timeout=900)
    result = {}
    for line in done.stdout.splitlines()[1:]:
        cells = [cell.strip('"') for cell in line.split('","')]
        result[cells[0].split(" (")[0]] = float(cells[1])
    return result


PARTS = {"memory": memory, "cpu": cpu, "algebra": algebra, "delete": delete,
         "redis-benchmark": benchmark}


def main():
    names = sys.argv[1:] or list(PARTS)
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        sys.exit(__doc__)
    OUT.mkdir(parents=True, exist_ok=True)
    failed = 0
    for name in names:
        try:
            PARTS[name]()
        except (peers.Failure, OSError, subprocess.SubprocessError) as error:
            failed += 1
            print(f"not measured: {name}: {error}", flush=True)
    machine = peers.machine()
    lines = [f"{machine['time']}, {machine['processor']}, {machine['cores']} cores, "
             f"{machine['kernel']}, {machine['redis']}, commit {machine['commit']}", "",
             "| what | Basin | Redis | unit | ratio | goal | met |", "|---|---|---|---|---|---|---|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    pathlib.Path(OUT / "values.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
