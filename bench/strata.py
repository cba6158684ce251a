"""strata: what more data than memory costs: writing, starting, reading cold keys, a huge list.

bench.py --strata [--scale 0.05]. The goals are those of the full size; a smaller one shows that all of
it runs, not what it reaches: pages and segments do not shrink with the data. bench/README.md says how
to read the figures.
"""
import dataclasses
import fnmatch
import random
import shutil
import signal
import statistics
import subprocess
import sys
import time

import gauges
import peers
import report
import strata_report

MIB = 1 << 20
KEY_SIZE = 16
SMALL, LARGE = 100, 4096
CLIENTS = 50
FILL_PIPELINE = 16
PIPELINES = (16, 1)
MEMORY_LEAST = 16 * MIB
LOG_LEAST = MIB
RSS_GOAL = 350 * MIB
ZIPF = 0.99
ZIPF_WINDOWS_MAX = 12
ZIPF_GAIN = 1.03  # While a window has so much more than the one before, the memory still fills.
QUIET_TIMEOUT = 900
ROUNDS = 3
RANGE = 100
LIST_SAMPLES = 50
# Room for each byte of user data: what is live with its index, as much half dead, and the log.
ROOM = 3


@dataclasses.dataclass
class Sizes:
    keys: int
    large_keys: int
    elements: int
    element_size: int
    memory: int
    small_memory: int
    settle_log: int
    seconds: float
    read_seconds: float

    @staticmethod
    def of(options):
        scale = options.scale
        seconds = options.seconds or max(3.0, 120 * min(scale, 1))
        return Sizes(keys=options.keys or int(20e6 * scale),
                     large_keys=options.large_keys or int(4e6 * scale),
                     elements=options.elements or int(50e6 * scale),
                     element_size=options.element_size,
                     memory=max(MEMORY_LEAST, int(1024 * MIB * scale)),
                     small_memory=max(MEMORY_LEAST, int(256 * MIB * scale)),
                     settle_log=max(LOG_LEAST, int(64 * MIB * scale)),
                     seconds=seconds, read_seconds=max(2.0, seconds / 6))

    def many(self, size):
        return self.keys if size == SMALL else self.large_keys


def options_add(parser):
    group = parser.add_argument_group("--strata")
    group.add_argument("--strata", action="store_true",
                       help="more data than memory; --case, --seconds, --out, --dir apply too")
    group.add_argument("--scale", type=float, default=1.0, help="of all sizes (1)")
    group.add_argument("--keys", type=int, help="with values of 100 B (20 M)")
    group.add_argument("--large-keys", type=int, help="with values of 4 KiB (4 M)")
    group.add_argument("--elements", type=int, help="of the list (50 M)")
    group.add_argument("--element-size", type=int, default=16, help="in bytes (16)")


def options_complete(options):
    if options.scale <= 0:
        sys.exit("bench: --scale must be above 0")
    options.sizes = Sizes.of(options)


class Run:
    """One run: its servers, one at a time, its rows, and the report that grows with them."""

    def __init__(self, options):
        self.options, self.sizes = options, options.sizes
        self.directory = options.dir / "strata"
        self.results = {"machine": peers.machine(), "options": options, "writes": [], "starts": [],
                        "reads": [], "list": [], "checks": [], "failures": []}
        self.begin = time.monotonic()
        self.store = None
        self.directory.mkdir(parents=True, exist_ok=True)
        self.probe = peers.Probe(self.directory / "probe")

    def say(self, text):
        print(f"{time.monotonic() - self.begin:6.0f} s  {text}", flush=True)

    def add(self, table, row):
        self.results[table].append(row)
        self.say(strata_report.row_text(table, row))
        self.write()

    def check(self, text, order, goal, figure, low=None, high=None):
        check = {"text": text, "order": order, "goal": goal, "figure": figure,
                 "low": figure if low is None else low, "high": figure if high is None else high,
                 "met": report.met(order, figure, goal)}
        self.results["checks"].append(check)
        self.say("    " + report.check_text(check))
        self.write()

    def write(self):
        strata_report.write(self.results, self.options.out)

    def settings(self, memory):
        return ("--settle-log-size", self.sizes.settle_log, "--maxmemory", memory)

    def server(self, name, memory):
        return peers.Server("basin", "always", self.directory / name, more=self.settings(memory))

    def room(self, user_bytes):
        """A disk that fills up would end a measurement after an hour, and harm others."""
        needed = user_bytes * ROOM + (4 << 30) * min(1, self.options.scale)
        free = shutil.disk_usage(self.directory).free
        if free < needed:
            raise peers.Failure(f"needs {needed / 1e9:.0f} GB of disk, {free / 1e9:.0f} are free; "
                                "fewer with --scale, --large-keys, --elements")

    def small_store(self):
        """The store of many small values, filled once and used by several parts."""
        if self.store is None:
            self.room(self.sizes.keys * (KEY_SIZE + SMALL))
            self.store = self.server("small", self.sizes.memory)
            self.store.start()
            fill(self, self.store, SMALL)
        return self.store

    def restart(self, server, memory):
        server.stop()
        server.more = self.settings(memory)
        server.start()


def rounds_merge(rows):
    """Medians of what is a figure; the rest is the same in all."""
    return {field: statistics.median(row[field] for row in rows)
            if isinstance(rows[0][field], (int, float)) and not isinstance(rows[0][field], bool)
            else rows[0][field] for field in rows[0]}


# -- Writing ---------------------------------------------------------------------------------------


def write_row(run, server, what, size, keys, pipeline, seconds, limit):
    """One load of SETs, from quiet to quiet. What is left to be settled and merged when it ends is
    waited for and counted too: otherwise it would be written at somebody else's cost."""
    settles = limit is not None
    was_quiet = gauges.quiet(server, QUIET_TIMEOUT) if settles else True
    raw = run.probe.measure()
    busy = peers.busy_share()
    gauges.peak_reset(server)
    before = gauges.Moment.of(server)
    result = peers.load_run(server, [("set", CLIENTS, pipeline)], size=size, keys=keys,
                            seconds=seconds, warmup=min(2, seconds / 4),
                            fill=keys if what == "fill" else 0)
    middle = gauges.Moment.of(server)
    is_quiet = gauges.quiet(server, QUIET_TIMEOUT) if settles else True
    after = gauges.Moment.of(server)
    user = (after - before).calls("set") * (KEY_SIZE + size)
    role = result["roles"][0]
    return {"what": what, "size": size, "keys": keys, "pipeline": pipeline, "limit": limit,
            "ops_s": role["ops_s"], "p50_us": role["p50_us"], "p99_us": role["p99_us"],
            "p999_us": role["p999_us"], "max_us": role["max_us"],
            "tail": role["p999_us"] / role["p50_us"], "cpu_us_op": result["cpu_us_op"],
            "user_bytes": user, "loaded": amplification(middle - before, user),
            "quiet": amplification(after - before, user), "was_quiet": was_quiet and is_quiet,
            "quiet_s": after.time - middle.time, "rss": gauges.peak(server),
            "raw_us": raw["raw_us"], "append_us": raw["append_us"], "busy": busy}


def amplification(change, user):
    return {who: None if size is None else size / user for who, size in change.written().items()}


def fill(run, server, size):
    row = write_row(run, server, "fill", size, run.sizes.many(size), FILL_PIPELINE, 1,
                    run.sizes.memory)
    run.add("writes", row)


def memory_only(run, size):
    """SETs a second where all is in memory and nothing settles, by pipeline."""
    keys = run.sizes.many(size)
    with open("/proc/meminfo", encoding="ascii") as file:
        available = next(int(line.split()[1]) for line in file if line.startswith("MemAvail")) * 1024
    # A third: the rest is for what is copied and for the page cache of the log.
    keys = min(keys, available // 3 // (KEY_SIZE + size + 64))
    server = peers.Server("basin", "always", run.directory / "memory",
                          more=("--settle-log-size", 0, "--maxmemory", 0))
    figures = {}
    try:
        server.start()
        peers.load_run(server, [("set", CLIENTS, FILL_PIPELINE)], size=size, keys=keys, fill=keys)
        for pipeline in PIPELINES:
            # The log is never cut here: not for long, or the disk is full of it.
            row = write_row(run, server, "in memory", size, keys, pipeline,
                            min(15, run.sizes.seconds), None)
            figures[pipeline] = row["ops_s"]
            run.add("writes", row)
    finally:
        server.remove()
    return figures


def sustained(run, server, size, memory, alone):
    rows = []
    for pipeline in PIPELINES:
        row = write_row(run, server, "random SET", size, run.sizes.many(size), pipeline,
                        run.sizes.seconds, memory)
        row["ratio"] = row["ops_s"] / alone[pipeline]
        run.add("writes", row)
        rows.append(row)
    return rows


def write_checks(run, rows, size):
    """The goals are those of maxmemory 1gb; the smaller limit is tabulated."""
    what = f"random SET always of {size} B, maxmemory {rows[0]['limit'] / MIB:.0f}mb"
    goal = 8 if size == SMALL else 3
    for row in rows:
        where = f"{what}, pipeline {row['pipeline']}: "
        # By the process as the kernel counts it: log, strata, and what is prepared for the log.
        run.check(where + "bytes written over bytes of user data", "<=", goal,
                  row["quiet"]["process"])
        run.check(where + "throughput over that in memory", ">=", 0.5, row["ratio"])
        run.check(where + "p99.9 over p50", "<=", 10, row["tail"])


def rss_checks(run, rows, memory):
    most = max(row["rss"] for row in rows)
    run.check(f"RSS over 1.1 × maxmemory {memory / MIB:.0f}mb, MiB, "
              f"writing {rows[0]['size']} B", "<=", 64, (most - 1.1 * memory) / MIB)
    return most


def part_set(run, size):
    alone = memory_only(run, size)
    if size == SMALL:
        server = run.small_store()
    else:
        run.room(run.sizes.large_keys * (KEY_SIZE + size))
        server = run.server("large", run.sizes.memory)
    try:
        if size != SMALL:
            server.start()
            fill(run, server, size)
        for memory in (run.sizes.memory, run.sizes.small_memory):
            run.restart(server, memory)
            rows = sustained(run, server, size, memory, alone)
            if memory == run.sizes.memory:
                write_checks(run, rows, size)
            most = rss_checks(run, rows, memory)
        if size == SMALL:
            run.check(f"RSS with {run.sizes.keys / 1e6:g} M keys on disk, maxmemory "
                      f"{memory / MIB:.0f}mb, MiB", "<=", RSS_GOAL / MIB, most / MIB)
    finally:
        if size != SMALL:
            server.remove()


# -- Starting --------------------------------------------------------------------------------------


def start_row(run, server, end, cold):
    """end: how the server ended before. To the first PONG, and to the first value of a key."""
    if cold and not gauges.cache_drop():
        raise peers.Failure("a cold start: dropping the page cache needs root")
    raw = run.probe.measure()
    ping = server.start()
    begin = time.monotonic()
    value_expect(server, random.randrange(run.sizes.keys))
    answer = ping + time.monotonic() - begin
    info = server.info()
    for _ in range(100):
        value_expect(server, random.randrange(run.sizes.keys))
    return {"end": end, "cold": cold, "ping_s": ping, "answer_s": answer,
            "replayed": int(info["replayed_records"]), "replay_s": int(info["replay_us"]) / 1e6,
            "raw_us": raw["raw_us"], "rss": gauges.resident(server)}


def value_expect(server, number):
    value = server.call("GET", f"key:{number:012d}")
    if len(value) != SMALL:
        raise peers.Failure(f"GET of key {number} gave {value[:40]!r}")


def killed_under_load(run, server):
    """Gives the bytes of log that were in no stratum shortly before."""
    words = peers.load_words(server, [("set", CLIENTS, FILL_PIPELINE)], size=SMALL,
                             keys=run.sizes.keys, seconds=3600)
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as load:
        try:
            # Any moment between two rounds may be the one.
            time.sleep(min(10, run.sizes.seconds / 2) * random.uniform(0.5, 1))
            unsettled = int(server.info()["storage_unsettled_bytes"])
            if load.poll() is not None:
                raise peers.Failure("the load before kill -9 ended by itself")
            server.kill()
        finally:
            load.send_signal(signal.SIGKILL)
    return unsettled


def part_start(run):
    server = run.small_store()
    run.restart(server, run.sizes.memory)
    starts = {}
    for end, goal in (("clean stop", 1.0), ("kill -9 under load", 3.0)):
        for number in range(2 * ROUNDS):
            cold = number % 2 == 1
            unsettled = None
            if end == "clean stop":
                server.stop()
            else:
                unsettled = killed_under_load(run, server)
            row = start_row(run, server, end, cold)
            row["unsettled"] = unsettled
            starts.setdefault((end, cold), []).append(row)
        for cold in (False, True):
            rows = starts[end, cold]
            merged = rounds_merge(rows)
            seconds = [row["answer_s"] for row in rows]
            merged["answer_most_s"] = max(seconds)
            run.add("starts", merged)
            run.check(f"start to first answer after {end}, "
                      f"{'page cache empty' if cold else 'page cache as it was'}, s", "<=", goal,
                      merged["answer_s"], min(seconds), max(seconds))


# -- Reading ---------------------------------------------------------------------------------------


def read_row(run, server, what, cold, **named):
    """One window of GETs: how many, and what was read for each of them."""
    gauges.peak_reset(server)
    before = gauges.Moment.of(server)
    load = {"size": SMALL, "keys": run.sizes.keys, "seconds": run.sizes.read_seconds, **named}
    roles = [("get", CLIENTS, 1)]
    if cold:
        with gauges.ColdCache():
            result = peers.load_run(server, roles, **load)
    else:
        result = peers.load_run(server, roles, **load)
    change = gauges.Moment.of(server) - before
    role = result["roles"][0]
    gets = change.calls("get")
    loaded = change.count("storage_loaded_keys")
    index, data = change.count("storage_page_reads"), change.count("storage_grain_reads")
    absent = load.get("first_key", 0) > 0
    if (role["nils"] < role["ops"]) if absent else (role["nils"] > 0):
        raise peers.Failure(f"{what}: {role['nils']} of {role['ops']} keys were absent")
    return {"what": what, "cold": cold, "ops_s": role["ops_s"], "p50_us": role["p50_us"],
            "p99_us": role["p99_us"], "p999_us": role["p999_us"], "max_us": role["max_us"],
            "index_get": index / gets, "data_get": data / gets,
            "index_load": index / loaded if loaded else None,
            "data_load": data / loaded if loaded else None, "loaded_get": loaded / gets,
            "reads_s": (index + data) / gets * role["ops_s"],
            "read_size": change.count("storage_read_bytes") / (index + data) if index + data else None,
            "device_get": change.process("read_bytes") / gets, "cpu_us_op": result["cpu_us_op"],
            "rss": gauges.peak(server)}


def uniform(run, server, fio):
    """fio and the server in turns; the ratio is of neighbours."""
    rows = []
    for number in range(ROUNDS):
        disk = fio.measure(max(2, int(run.sizes.read_seconds / 2)), CLIENTS)
        row = read_row(run, server, "uniform", True, seed=number)
        row.update(fio_iops=disk["iops"], fio_us=disk["mean_us"], fio_engine=disk["engine"],
                   fio_ratio=row["reads_s"] / disk["iops"])
        rows.append(row)
    row = rounds_merge(rows)
    run.add("reads", row)
    ratios = [row["fio_ratio"] for row in rows]
    run.check(f"uniform GET: index and data reads a second over fio ({row['fio_engine']})", ">=",
              0.8, row["fio_ratio"], min(ratios), max(ratios))
    run.check("uniform GET: data reads", "<=", 1.05, row["data_get"])
    run.check("uniform GET: index reads", "<=", 1, row["index_get"])
    # Without those that were in memory, which flatter.
    run.check("uniform GET: data reads a key that was not in memory", "=", 0, row["data_load"] or 0)
    run.check("uniform GET: index reads of such a key", "=", 0, row["index_load"] or 0)
    return row


def zipfian(run, server):
    """Windows until memory holds what is asked for most, then one that counts."""
    rates = [0.0]
    for number in range(ZIPF_WINDOWS_MAX):
        row = read_row(run, server, "Zipfian 0.99", True, zipf=ZIPF, seed=100 + number)
        rates.append(row["ops_s"])
        if rates[-1] < ZIPF_GAIN * rates[-2]:
            break
    row["windows"] = len(rates) - 1
    run.add("reads", row)
    return row


def part_get(run):
    server = run.small_store()
    data = run.sizes.keys * (KEY_SIZE + SMALL)
    memory = max(MEMORY_LEAST, data // 10)
    gauges.quiet(server, QUIET_TIMEOUT)
    run.restart(server, memory)
    info = server.info()
    run.results["cold"] = {"memory": memory, "data": data, "disk": int(info["storage_disk_bytes"]),
                           "runs": int(info["storage_runs"])}
    fio = gauges.Fio(run.directory, int(info["storage_disk_bytes"]))
    try:
        even = uniform(run, server, fio)
        run.add("reads", read_row(run, server, "uniform, page cache left alone", False, seed=50))
        absent = read_row(run, server, "absent keys", True, first_key=run.sizes.keys)
        run.add("reads", absent)
        run.check("GET of absent keys: reads", "<=", 0.02, absent["index_get"] + absent["data_get"])
        skewed = zipfian(run, server)
        run.check("Zipfian 0.99 over uniform GET", ">=", 3, skewed["ops_s"] / even["ops_s"])
    finally:
        fio.remove()


# -- A list larger than memory ---------------------------------------------------------------------


def list_reads(server, words):
    """(reply, parts, pages, grains, microseconds) of one command."""
    before = gauges.Moment.of(server)
    begin = time.monotonic()
    reply = server.call(*words)
    elapsed = (time.monotonic() - begin) * 1e6
    change = gauges.Moment.of(server) - before
    return (reply, change.count("storage_loaded_parts"), change.count("storage_page_reads"),
            change.count("storage_grain_reads"), elapsed)


def list_row(run, server, what, calls, memory, expect):
    gauges.peak_reset(server)
    samples = [list_reads(server, words) for words in calls]
    for reply, *_ in samples:
        expect(reply, run.sizes.element_size)
    parts = [sample[1] for sample in samples]
    row = {"what": what, "calls": len(samples), "parts": statistics.mean(parts),
           "parts_most": max(parts), "pages": statistics.mean(sample[2] for sample in samples),
           "grains": statistics.mean(sample[3] for sample in samples),
           "first_us": samples[0][4], "median_us": statistics.median(s[4] for s in samples),
           "rss": gauges.peak(server), "memory": memory}
    run.add("list", row)
    return row


def range_expect(reply, size):
    if not isinstance(reply, list) or [len(element) for element in reply] != [size] * RANGE:
        raise peers.Failure(f"LRANGE gave {str(reply)[:60]!r}")


def length_expect(reply, _):
    if reply.startswith("-"):
        raise peers.Failure(f"RPUSH gave {reply}")


def part_list(run):
    elements, size = run.sizes.elements, run.sizes.element_size
    memory = max(MEMORY_LEAST, elements * size // 5)
    run.room(elements * size)
    server = run.server("list", memory)
    try:
        server.start()
        gauges.peak_reset(server)
        before = gauges.Moment.of(server)
        result = peers.load_run(server, [("list-push", CLIENTS, FILL_PIPELINE)], size=size,
                                fill=elements)
        change = gauges.Moment.of(server) - before
        filled = {"what": f"RPUSH of {elements / 1e6:g} M × {size} B, pipeline 16",
                  "ops_s": result["roles"][0]["ops_s"], "rss": gauges.peak(server),
                  "memory": memory,
                  "written": amplification(change, elements * size)["process"]}
        run.add("list", filled)
        gauges.quiet(server, QUIET_TIMEOUT)
        run.restart(server, memory)
        if int(server.call("LLEN", "list")) != elements:
            raise peers.Failure("the list has lost elements")
        run.restart(server, memory)  # Nothing of the list is in memory.
        rows = [filled] + list_asks(run, server, elements, memory)
        run.check("list: part reads of an RPUSH or LRANGE of 100 in the middle, at most", "<=", 5,
                  max(row["parts_most"] for row in rows[1:]))
        run.check(f"list: RSS over 1.1 × maxmemory {memory / MIB:.0f}mb, MiB", "<=", 64,
                  (max(row["rss"] for row in rows) - 1.1 * memory) / MIB)
    finally:
        server.remove()


def list_asks(run, server, elements, memory):
    middle = elements // 2

    def ranges(starts):
        return [("LRANGE", "list", start, start + RANGE - 1) for start in starts]
    value = "v" * run.sizes.element_size
    chosen = random.Random(1)
    spread = [chosen.randrange(elements // 4, 3 * elements // 4) for _ in range(LIST_SAMPLES)]
    return [
        list_row(run, server, "RPUSH, the first after a start", [("RPUSH", "list", value)], memory,
                 length_expect),
        list_row(run, server, "LRANGE of 100 in the middle, the first after a start",
                 ranges([middle]), memory, range_expect),
        list_row(run, server, "LRANGE of 100, anywhere in the middle half", ranges(spread), memory,
                 range_expect),
        list_row(run, server, "RPUSH", [("RPUSH", "list", value)] * LIST_SAMPLES, memory,
                 length_expect),
    ]


# -- All of it -------------------------------------------------------------------------------------


PARTS = {f"set-{SMALL}": lambda run: part_set(run, SMALL), "start": part_start, "get": part_get,
         f"set-{LARGE}": lambda run: part_set(run, LARGE), "list": part_list}


def everything(options):
    run = Run(options)
    try:
        for name, part in PARTS.items():
            if options.case and not any(fnmatch.fnmatch(name, each) for each in options.case):
                continue
            if name == f"set-{LARGE}" and run.store is not None:
                run.store.remove()  # Its room is needed.
                run.store = None
            try:
                part(run)
            except (peers.Failure, OSError, KeyError, subprocess.SubprocessError) as error:
                run.results["failures"].append(f"{name}: {error!r}")
                run.say(f"{name}: FAILED: {error!r}")
                run.write()
                if run.store is not None:
                    run.store.remove()
                    run.store = None
    finally:
        if run.store is not None:
            run.store.remove()
        shutil.rmtree(run.directory, ignore_errors=True)
    run.write()
    for check in run.results["checks"]:
        print(report.check_text(check))
    for failure in run.results["failures"]:
        print("FAILED " + failure)
    print(f"{options.out}/strata.md")
    return 1 if run.results["failures"] else 0
