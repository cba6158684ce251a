#!/usr/bin/python3
"""bench: Basin beside redis-server on the same machine and disk. How: bench/README.md.

    bench/bench.py                  the whole matrix        (make bench)
    bench/bench.py --quick          a subset, a few minutes
    bench/bench.py --targets        the goals only, each with goal, figure, met or not
    bench/bench.py --strata         more data than memory: goals and tables of their own
    bench/bench.py --case 'mixed*'  what matches; --list names all

Writes report.md (targets.md, strata.md), the same as JSON, and plots into --out.
"""
import argparse
import fnmatch
import os
import pathlib
import resource
import shlex
import shutil
import signal
import statistics
import sys
import time

sys.dont_write_bytecode = True  # No __pycache__ in the tree.

import cases
import peers
import report
import resources
import strata

FIELDS = ("ops_s", "mean_us", "p50_us", "p99_us", "p999_us", "max_us")
NOFILE = 24000


def arm_figures(result):
    """What is shown of one run: the first role, and what concerns the whole server."""
    figures = {field: result["roles"][0][field] for field in FIELDS}
    figures.update(cpu_us_op=result["cpu_us_op"], rss=result["rss"],
                   nils=result["roles"][0]["nils"],
                   load_cpu=result["load_cpu_us"] / 1e6 / result["seconds"])
    if len(result["roles"]) > 1:
        figures["others_ops_s"] = sum(role["ops_s"] for role in result["roles"][1:])
        figures["others_p99_us"] = max(role["p99_us"] for role in result["roles"][1:])
    return figures


def medians(rounds):
    return {field: statistics.median(figures[field] for figures in rounds)
            for field in rounds[0]}


def rounds_run(case, servers, probe, options):
    """The arms in turn, in turning order, with the bare disk measured beside each round."""
    rounds = []
    persistent = any(arm.durability != "off" for arm in case.arms)
    for number in range(options.rounds):
        figures = {"busy": peers.busy_share()}
        if persistent:
            figures.update(probe.measure())
        arms = case.arms if number % 2 == 0 else case.arms[::-1]
        for arm in arms:
            if persistent:
                os.sync()  # What one server left to be written must not burden the next.
            result = peers.load_run(servers[arm.server()], arm.roles, size=case.size,
                                    keys=case.keys, seconds=options.seconds,
                                    warmup=options.warmup, seed=number)
            figures[arm.label] = arm_figures(result)
        rounds.append(figures)
    return rounds


def case_run(case, directory, options):
    servers = {}
    try:
        probe = peers.Probe(directory / "probe")
        for arm in case.arms:
            if arm.server() not in servers:
                name = "-".join(str(word) for word in arm.server())
                servers[arm.server()] = peers.Server(arm.kind, arm.durability, directory / name,
                                                     arm.workers)
        for server in servers.values():
            server.start()
            for command in case.fill:
                peers.load_run(server, [(command, 16, 16)], size=case.size, keys=case.keys,
                               fill=case.keys)
        rounds = rounds_run(case, servers, probe, options)
        result = {"case": case, "rounds": rounds,
                  "arms": {arm.label: medians([figures[arm.label] for figures in rounds])
                           for arm in case.arms}}
        for field in ("busy", "append_us", "direct_us", "raw_us"):
            values = [figures[field] for figures in rounds if figures.get(field) is not None]
            if values:
                result[field] = statistics.median(values)
        if case.overlap:
            result["overlap"] = probe.overlap()
        result["checks"] = [check_run(check, result) for check in case.checks]
        return result
    finally:
        for server in servers.values():
            server.remove()
        shutil.rmtree(directory, ignore_errors=True)


def check_run(check, result):
    """The figure from the medians, and how far it went from round to round."""
    def measure(source, arms):
        return check.measure({**arms, "raw_us": source.get("raw_us")})
    figure = measure(result, result["arms"])
    spread = [measure(figures, figures) for figures in result["rounds"]]
    return {"text": check.text, "order": check.order, "goal": check.goal, "figure": figure,
            "low": min(spread), "high": max(spread), "met": report.met(check.order, figure, check.goal)}


def resource_checks(name, rows):
    checks = []
    for of, index, order, goal in resources.GOALS:
        if of == name:
            figure = rows[index]["Basin"]
            text = f"{rows[index]['what']} ({rows[index]['unit']})"
            checks.append({"text": text, "order": order, "goal": goal, "figure": figure,
                           "low": figure, "high": figure, "met": report.met(order, figure, goal)})
    return checks


class Run:
    """One run of this program: its results, and the reports that grow with them."""

    def __init__(self, options):
        self.options = options
        self.slow = peers.SlowDisk(options.out / "slow-disk")
        self.results = {"machine": peers.machine(), "options": options, "cases": [],
                        "resources": [], "checks": [], "failures": []}
        self.begin = time.monotonic()

    def say(self, text):
        print(f"{time.monotonic() - self.begin:6.0f} s  {text}", flush=True)

    def case(self, case):
        directory = self.options.dir
        if case.disk == "slow":
            directory = None if self.options.no_slow else self.slow.up()
            if directory is None:
                why = self.slow.why_not or "--no-slow"
                self.failed(case.name, f"not measured, no slow disk: {why}")
                return
        try:
            result = case_run(case, directory / case.name, self.options)
        except (peers.Failure, OSError) as error:
            self.failed(case.name, error)
            return
        self.results["cases"].append(result)
        self.results["checks"] += result["checks"]
        arms = (f"{label} {report.number(figures['ops_s'])}/s p99 "
                f"{report.number(figures['p99_us'])} µs"
                for label, figures in result["arms"].items())
        self.say(f"{case.name}: {', '.join(arms)}")
        self.show(result["checks"])

    def resource(self, name):
        try:
            rows = resources.ALL[name](self.options.dir / name, self.options.quick)
        except (peers.Failure, OSError) as error:
            self.failed(name, error)
            return
        self.results["resources"] += rows
        checks = resource_checks(name, rows)
        self.results["checks"] += checks if self.options.targets else []
        for row in rows:
            self.say(report.resource_text(row))
        self.show(checks if self.options.targets else [])

    def failed(self, name, why):
        self.results["failures"].append(f"{name}: {why}")
        self.say(f"{name}: FAILED: {why}")
        self.write()

    def show(self, checks):
        for check in checks:
            self.say("    " + report.check_text(check))
        self.write()

    def write(self):
        report.write(self.results, self.options.out)

    def everything(self):
        chosen, names = selection(self.options)
        for case in chosen:
            self.case(case)
        self.slow.down()
        for name in names:
            self.resource(name)
        self.write()
        if not self.options.targets:
            report.plots(self.results, self.options.out)
        for check in self.results["checks"]:
            print(report.check_text(check))
        for failure in self.results["failures"]:
            print("FAILED " + failure)
        print(f"{self.options.out}/{'targets' if self.options.targets else 'report'}.md")
        return 1 if self.results["failures"] else 0


def selection(options):
    """The cases and the names of resources that the options ask for."""
    chosen = cases.goals() if options.targets else cases.matrix()
    names = list(resources.ALL)
    if options.targets:
        names = list(dict.fromkeys(goal[0] for goal in resources.GOALS))
    elif options.quick and not options.case:
        chosen = [case for case in chosen if case.name in cases.QUICK]
    if options.case:
        chosen = [case for case in chosen if wanted(case.name, options.case)]
        names = [name for name in names if wanted(name, options.case)]
    return chosen, names


def wanted(name, patterns):
    return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)


def options_read():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a subset, in less than five minutes")
    parser.add_argument("--targets", action="store_true", help="the goals only")
    parser.add_argument("--case", action="append", help="a pattern of names; may be given again")
    parser.add_argument("--list", action="store_true", help="names all that would be measured")
    parser.add_argument("--rounds", type=int, help="of each case (3; quick: 2)")
    parser.add_argument("--seconds", type=float, help="of each window (2; quick: 0.7)")
    parser.add_argument("--warmup", type=float, help="before each window (0.3; quick: 0.2)")
    parser.add_argument("--basin-args", type=shlex.split, default=[], metavar="WORDS",
                        help="what each Basin is started with besides, as one argument")
    strata.options_add(parser)
    parser.add_argument("--no-slow", action="store_true", help="leave the slow disk out")
    parser.add_argument("--out", type=pathlib.Path, default=peers.ROOT / "bench/out")
    parser.add_argument("--dir", type=pathlib.Path, help="on the disk to measure (OUT/data)")
    options = parser.parse_args()
    if options.strata:
        strata.options_complete(options)
    options.rounds = options.rounds or (2 if options.quick else 3)
    options.seconds = options.seconds or (0.7 if options.quick else 2)
    options.warmup = options.warmup or (0.2 if options.quick else 0.3)
    options.out = options.out.resolve()
    options.dir = (options.dir or options.out / "data").resolve()
    peers.basin_arguments += options.basin_args
    return options


def limits_raise():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(NOFILE, soft), max(NOFILE, hard)))
    except (ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main():
    options = options_read()
    if options.list and options.strata:
        print("\n".join(strata.PARTS))
        return 0
    if options.list:
        chosen, names = selection(options)
        print("\n".join([case.name for case in chosen] + names))
        return 0
    for program, target in ((peers.BASIN, "all"), (peers.LOAD, "bench")):
        if not program.exists():
            print(f"bench: {program} is missing: make {target}", file=sys.stderr)
            return 2
    if shutil.which(peers.REDIS) is None:
        print("bench: redis-server is missing: apt-get install redis-server", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    limits_raise()
    options.dir.mkdir(parents=True, exist_ok=True)
    options.out.mkdir(parents=True, exist_ok=True)
    return strata.everything(options) if options.strata else Run(options).everything()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
