"""gauges: what a server has read, written and used between two moments, by its own counters, the
kernel's of the process, and the kernel's of the whole device; the page cache; and fio.
"""
import dataclasses
import json
import mmap
import os
import pathlib
import shutil
import subprocess
import threading
import time

import peers

SECTOR = 512
QUIET_SECONDS = 0.5  # So long without a round or a pass counts as quiet.
DROP_SECONDS = 0.25
FIO_PIECE = 1 << 20
FIO_ENGINES = ("io_uring", "libaio")


# -- A server --------------------------------------------------------------------------------------


def process_file(server, name):
    """Lines 'name: number …' of /proc/PID/name."""
    with open(f"/proc/{server.process.pid}/{name}", encoding="ascii") as file:
        pairs = (line.split(":", 1) for line in file if ":" in line)
        return {key: rest.split()[0] for key, rest in pairs if rest.split()}


def device_sectors(directory):
    """Read and written by anybody, on the device of that directory; None: it has no such counts."""
    device = os.stat(directory).st_dev
    path = pathlib.Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat")
    try:
        words = path.read_text(encoding="ascii").split()
        return int(words[2]), int(words[6])
    except OSError:
        return None


@dataclasses.dataclass
class Moment:
    """All counters of a server at one time; `later - earlier` is what happened between."""
    time: float
    info: dict
    io: dict
    sectors: tuple
    cpu_us: float

    @staticmethod
    def of(server):
        return Moment(time.monotonic(), server.info(), process_file(server, "io"),
                      device_sectors(server.directory), server.cpu_us())

    def __sub__(self, earlier):
        return Change(earlier, self)


class Change:
    def __init__(self, earlier, later):
        self.earlier, self.later = earlier, later
        self.seconds = later.time - earlier.time
        self.cpu_us = later.cpu_us - earlier.cpu_us

    def count(self, *fields):
        """The sum of these counters of INFO."""
        return sum(int(self.later.info[field]) - int(self.earlier.info[field]) for field in fields)

    def calls(self, command):
        def read(info):
            words = info.get(f"cmdstat_{command}", "calls=0").split(",")
            return int(words[0].split("=")[1])
        return read(self.later.info) - read(self.earlier.info)

    def written(self):
        """Bytes written, as three tell it: the server, the kernel of its process, the device."""
        return {"server": self.count("log_flushed_bytes", "storage_settle_written_bytes",
                                     "storage_merge_written_bytes"),
                "process": self.process("write_bytes"), "device": self.device(1)}

    def process(self, field):
        return int(self.later.io[field]) - int(self.earlier.io[field])

    def device(self, index):
        if self.earlier.sectors is None or self.later.sectors is None:
            return None
        return (self.later.sectors[index] - self.earlier.sectors[index]) * SECTOR


def peak_reset(server):
    """From here on peak() is of what follows."""
    with open(f"/proc/{server.process.pid}/clear_refs", "w", encoding="ascii") as file:
        file.write("5")


def peak(server):
    """The most resident bytes since peak_reset, as the kernel kept it."""
    return int(process_file(server, "status")["VmHWM"]) * 1024


def resident(server):
    return int(process_file(server, "status")["VmRSS"]) * 1024


def quiet(server, timeout):
    """Waits until neither a round nor a pass has been seen for a while; False: that never came."""
    end = time.monotonic() + timeout
    since = None
    while time.monotonic() < end:
        info = server.info()
        busy = (info["storage_settle_in_progress"] == "1" or info["storage_merge_in_progress"] == "1")
        now = time.monotonic()
        since = None if busy else since or now
        if since is not None and now - since >= QUIET_SECONDS:
            return True
        time.sleep(0.05)
    return False


# -- The page cache --------------------------------------------------------------------------------


def cache_drop():
    """Makes the kernel forget what it has read of files. False: not allowed to."""
    os.sync()
    try:
        with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
            file.write("1")
        return True
    except OSError:
        return False


class ColdCache:
    """While the block runs the page cache is emptied again and again, so that what is not in the
    server's memory is read from the device, as where the data is far larger than all memory."""

    def __init__(self):
        self.end = threading.Event()
        self.thread = threading.Thread(target=self.work)

    def work(self):
        while not self.end.wait(DROP_SECONDS):
            with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
                file.write("1")

    def __enter__(self):
        if not cache_drop():
            raise peers.Failure("cold reads: dropping the page cache needs root")
        self.thread.start()

    def __exit__(self, *_):
        self.end.set()
        self.thread.join()


# -- fio -------------------------------------------------------------------------------------------


class Fio:
    """Random reads of 4 KiB past the page cache in a file of that size, as a measure of the disk."""

    def __init__(self, directory, size):
        if shutil.which("fio") is None:
            raise peers.Failure("fio is not installed")
        self.path = pathlib.Path(directory) / "fio.file"
        self.size = max(FIO_PIECE, size // FIO_PIECE * FIO_PIECE)
        piece = mmap.mmap(-1, FIO_PIECE)
        with open(self.path, "wb", buffering=0) as file:
            for _ in range(self.size // FIO_PIECE):  # Written, not reserved: holes are not read.
                piece[:] = os.urandom(FIO_PIECE)
                file.write(piece)
            os.fsync(file.fileno())

    def measure(self, seconds, depth):
        for engine in FIO_ENGINES:
            done = subprocess.run(
                ["fio", "--name=read", f"--filename={self.path}", f"--size={self.size}",
                 "--rw=randread", "--bs=4k", "--direct=1", f"--ioengine={engine}",
                 f"--iodepth={depth}", "--time_based", f"--runtime={seconds}", "--norandommap",
                 "--output-format=json"],
                capture_output=True, text=True, check=False, timeout=seconds + 60)
            if done.returncode == 0:
                job = json.loads(done.stdout[done.stdout.index("{"):])["jobs"][0]
                return {"engine": engine, "iops": job["read"]["iops"],
                        "mean_us": job["read"]["clat_ns"]["mean"] / 1e3}
        raise peers.Failure(f"fio: {done.stderr.strip() or done.stdout.strip()}")

    def remove(self):
        self.path.unlink(missing_ok=True)
