"""resources: what is measured without a race: memory, start, replay of the log, idling.

Each function starts Basin and Redis one after the other and gives rows: what, unit, which way is
better, and a figure for each.
"""
import os
import socket
import statistics
import time

import peers

KEY_SIZE = 16
VALUE_SIZE = 100
SERVERS = (("Basin", "basin"), ("Redis", "redis"))


def row(what, unit, better, figures):
    return {"what": what, "unit": unit, "better": better, **figures}


def memory(directory, quick):
    """Resident bytes a key over key and value, nothing else but a started server counted."""
    keys = 500_000 if quick else 2_000_000
    figures = {}
    for name, kind in SERVERS:
        server = peers.Server(kind, "off", directory / kind)
        try:
            server.start()
            time.sleep(0.3)
            before = server.rss()
            peers.load_run(server, [("set", 8, 32)], size=VALUE_SIZE, keys=keys, fill=keys)
            time.sleep(1)
            expect(server, keys)
            figures[name] = (server.rss() - before) / keys - KEY_SIZE - VALUE_SIZE
        finally:
            server.remove()
    return [row(f"memory a key over key and value, {keys / 1e6:g} M keys", "B", "lower", figures)]


def replay(directory, quick):
    """kill -9 and a start over a log of small SETs, which the page cache still holds."""
    records, keys = (1_000_000, 200_000) if quick else (5_000_000, 1_000_000)
    wall, rate = {}, {}
    # A store that settles is given a log so long that no round takes away what is to be replayed.
    settles = "--settle-log-size" in peers.basin_arguments
    for name, kind in SERVERS:
        more = ("--settle-log-size", "16gb") if settles and kind == "basin" else ()
        server = peers.Server(kind, "everysec", directory / kind, more=more)
        try:
            server.start()
            peers.load_run(server, [("set", 16, 64)], size=VALUE_SIZE, keys=keys, fill=records)
            time.sleep(2.5)  # Two rounds of everysec: all is written.
            server.kill()
            os.sync()
            wall[name] = server.start()
            expect(server, keys)
            rate[name] = records / wall[name]
            if kind == "basin":
                info = server.info()
                if int(info["replayed_records"]) != records:
                    raise peers.Failure(f"{info['replayed_records']} of {records} were replayed")
                own = records / (int(info["replay_us"]) / 1e6)
        finally:
            server.remove()
    return [row(f"start over a log of {records / 1e6:g} M SETs, to the first answer", "s", "lower",
                wall),
            row("the same, records a second of that time", "/s", "higher", rate),
            row("replay alone, as INFO tells", "/s", "higher", {"Basin": own})]


def expect(server, keys):
    found = int(server.call("DBSIZE"))
    if found != keys:
        raise peers.Failure(f"{server.kind} has {found} keys instead of {keys}")


def start(directory, quick):
    empty, again = {}, {}
    for name, kind in SERVERS:
        samples = ([], [])
        for _ in range(3 if quick else 7):
            server = peers.Server(kind, "always", directory / kind)
            try:
                samples[0].append(server.start())
                server.call("SET", "key", "value")
                server.kill()
                samples[1].append(server.start())
            finally:
                server.remove()
        empty[name], again[name] = (statistics.median(part) * 1e3 for part in samples)
    return [row("start in an empty directory, to the first answer", "ms", "lower", empty),
            row("start after kill -9, one key", "ms", "lower", again)]


def idle(directory, quick):
    """Processor time of a server that nobody asks, then with 10,000 silent connections."""
    count = 1000 if quick else 10_000
    seconds = 2 if quick else 5
    alone, held, each = {}, {}, {}
    for name, kind in SERVERS:
        server = peers.Server(kind, "always", directory / kind)
        sockets = []
        try:
            server.start()
            time.sleep(1)
            alone[name] = cpu_share(server, seconds)
            before = server.rss()
            for _ in range(count):
                sockets.append(socket.create_connection(("127.0.0.1", server.port), 10))
                sockets[-1].sendall(b"PING\r\n")
            for connection in sockets:
                connection.recv(64)
            time.sleep(3)  # Long enough for buffers to be given back.
            each[name] = (server.rss() - before) / count
            held[name] = cpu_share(server, seconds)
        finally:
            for connection in sockets:
                connection.close()
            server.remove()
    return [row("CPU of an idle server", "ms/s", "lower", alone),
            row(f"CPU of an idle server with {count:,} connections", "ms/s", "lower", held),
            row(f"memory a connection, {count:,} idle ones", "B", "lower", each)]


def cpu_share(server, seconds):
    before = server.cpu_us()
    time.sleep(seconds)
    return (server.cpu_us() - before) / 1e3 / seconds


ALL = {"memory": memory, "replay": replay, "start": start, "idle": idle}
# Goals on rows above: which function, row, order, goal.
GOALS = (("memory", 0, "<=", 56), ("replay", 2, ">=", 1.5e6))
