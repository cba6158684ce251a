"""report: results → Markdown tables, results.json, and plots through gnuplot."""
import json
import pathlib
import shlex
import shutil
import subprocess

BASIN_COLOR, REDIS_COLOR = "#1f77b4", "#d62728"
BUSY_MAX = 0.1  # More than this used by others makes a case's figures doubtful.


def number(value):
    """Three digits that count: 0.004, 0.85, 12.3, 456, 12,345, 1.23 M."""
    if value is None:
        return "–"
    if value >= 1e6:
        return f"{value / 1e6:.2f} M"
    if value >= 100:
        return f"{value:,.0f}"
    if 0 < value < 0.1:
        return f"{value:.3f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def quotient(over, under):
    return f"{over / under:.2f}" if under else "–"


def met(order, figure, goal):
    return {">=": figure >= goal, "<=": figure <= goal, "=": None}[order]


def check_text(check):
    verdict = {True: "met", False: "NOT MET", None: "no goal"}[check["met"]]
    goal = {">=": "≥ ", "<=": "≤ ", "=": ""}[check["order"]]
    goal = goal + number(check["goal"]) if goal else "–"
    return (f"{check['text']}: {number(check['figure'])} (goal {goal}; rounds "
            f"{number(check['low'])} … {number(check['high'])}): {verdict}")


def resource_text(row):
    parts = [f"{name} {number(row[name])} {row['unit']}" for name in ("Basin", "Redis")
             if name in row]
    return f"{row['what']}: {', '.join(parts)}"


# -- Markdown --------------------------------------------------------------------------------------


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    return lines + ["| " + " | ".join(row) + " |" for row in rows] + [""]


def pair_row(result):
    basin, redis = result["arms"]["Basin"], result["arms"]["Redis"]

    def both(field, scale=1):
        return f"{number(basin[field] / scale)} / {number(redis[field] / scale)}"
    raw = result.get("raw_us")
    name = result["case"].name + (" (!)" if result["busy"] > BUSY_MAX else "")
    return [name, number(basin["ops_s"]), number(redis["ops_s"]),
            "**" + quotient(basin["ops_s"], redis["ops_s"]) + "**",
            both("p50_us"), both("p99_us"), both("p999_us"), both("max_us"), both("cpu_us_op"),
            quotient(basin["cpu_us_op"], redis["cpu_us_op"]), both("rss", 1 << 20), number(raw)]


PAIR_HEAD = ["case", "Basin ops/s", "Redis ops/s", "ratio", "p50 µs", "p99 µs", "p99.9 µs",
             "max µs", "CPU µs/op", "ratio", "RSS MiB", "raw write µs"]


def arms_rows(result):
    rows = []
    for label, figures in result["arms"].items():
        rows.append([f"{result['case'].name}: {label}", number(figures["ops_s"]),
                     number(figures["p50_us"]), number(figures["p99_us"]),
                     number(figures["p999_us"]), number(figures["max_us"]),
                     number(figures["cpu_us_op"]), number(figures["rss"] / (1 << 20)),
                     number(figures.get("others_ops_s")), number(figures.get("others_p99_us")),
                     number(result.get("raw_us"))])
    return rows


ARMS_HEAD = ["case: arm", "ops/s", "p50 µs", "p99 µs", "p99.9 µs", "max µs", "CPU µs/op", "RSS MiB",
             "writers' ops/s", "writers' p99 µs", "raw write µs"]


def disk_rows(results):
    """The bare disk as it was beside each slow case, and beside the first fast one."""
    rows, seen = [], set()
    for result in results:
        disk = result["case"].disk
        if "raw_us" not in result or (disk == "fast" and disk in seen):
            continue
        seen.add(disk)
        overlap = result.get("overlap") or {}
        rows.append([f"{disk}, beside {result['case'].name}", number(result["append_us"]),
                     number(result.get("direct_us")), number(overlap.get("2")),
                     number(overlap.get("4"))])
    return rows


def head_lines(results, kind):
    machine, options = results["machine"], results["options"]
    arguments = f" Basin with `{shlex.join(options.basin_args)}`." if options.basin_args else ""
    title = "Goals and figures" if kind == "targets" else "Basin beside redis-server"
    return [f"# {title}", "",
            f"{machine['time']}, {machine['processor']}, {machine['cores']} cores, Linux "
            f"{machine['kernel']}. {machine['basin']} ({machine['commit']}); "
            f"{machine['redis']}." + arguments, "",
            f"Medians of {options.rounds} interleaved rounds of {options.seconds:g} s; generator "
            "and server share the cores; pairs are Basin / Redis. How: bench/README.md.",
            ""]


def checks_lines(checks):
    if not checks:
        return []
    words = {True: "met", False: "**not met**", None: ""}
    signs = {">=": "≥ ", "<=": "≤ "}
    rows = [[check["text"],
             signs[check["order"]] + number(check["goal"]) if check["order"] in signs else "–",
             number(check["figure"]), f"{number(check['low'])} … {number(check['high'])}",
             words[check["met"]]] for check in checks]
    return table(["goal", "asked", "measured", "rounds", ""], rows)


def case_lines(cases):
    lines = []
    for group in dict.fromkeys(result["case"].group for result in cases):
        members = [result for result in cases if result["case"].group == group]
        pairs = [result for result in members if set(result["arms"]) == {"Basin", "Redis"}]
        others = [result for result in members if result not in pairs]
        lines += [f"## {group}", ""]
        if pairs:
            lines += table(PAIR_HEAD, [pair_row(result) for result in pairs])
        if others:
            lines += table(ARMS_HEAD, [row for result in others for row in arms_rows(result)])
    return lines


def markdown(results, kind):
    cases = results["cases"]
    lines = head_lines(results, kind) + checks_lines(results["checks"])
    lines += case_lines(cases)
    if results["resources"]:
        rows = [[row["what"] + ", " + row["unit"], number(row.get("Basin")),
                 number(row.get("Redis")), quotient(row.get("Basin", 0), row.get("Redis")),
                 row["better"]] for row in results["resources"]]
        lines += ["## Memory, start, idling", ""]
        lines += table(["", "Basin", "Redis", "ratio", "better is"], rows)
    disks = disk_rows(cases)
    if disks:
        lines += ["## The bare disk", "", "One durable write of 4 KiB, µs; and how many times as "
                  "many a second with two and four in flight.", ""]
        lines += table(["disk", "append + fdatasync", "O_DIRECT + O_DSYNC", "2 in flight",
                        "4 in flight"], disks)
    if any(result["busy"] > BUSY_MAX for result in cases):
        lines += [f"(!) Other processes used more than {BUSY_MAX:.0%} of the processors: measure "
                  "again on a quiet machine.", ""]
    if results["failures"]:
        lines += ["## Not measured", ""] + ["- " + text for text in results["failures"]] + [""]
    for name, title in results.get("plots", {}).items():
        lines.append(f"![{title}]({name})")
    return "\n".join(lines) + "\n"


def plain(value):
    """For json: what is no figure, text or container, by its fields or as text."""
    if hasattr(value, "__dict__"):
        return {key: part for key, part in vars(value).items() if key != "checks"}
    return str(value)


def write(results, out):
    kind = "targets" if results["options"].targets else "report"
    (out / f"{kind}.md").write_text(markdown(results, kind))
    (out / f"{kind}.json").write_text(
        json.dumps(results, default=plain, indent=1, ensure_ascii=False))


# -- Plots -----------------------------------------------------------------------------------------


def points(cases, axis, field, scale=1.0, **wanted):
    """Lines {label: [(x, y) …]} of the pairs whose case has the wanted attributes."""
    lines = {}
    for result in cases:
        case = result["case"]
        if set(result["arms"]) != {"Basin", "Redis"} or case.group == "Goals":
            continue
        if any(getattr(case, key) != value for key, value in wanted.items()):
            continue
        for label, figures in result["arms"].items():
            lines.setdefault(label, []).append((getattr(case, axis), figures[field] * scale))
    return {label: sorted(line) for label, line in lines.items()}


def gnuplot(path, title, script):
    head = (f'set terminal svg size 760,420 font "sans-serif,13" background "white"\n'
            f'set output "{path}"\nset title "{title}"\nset grid ytics lc rgb "#dddddd"\n'
            'set border 3\nset tics nomirror\n')
    done = subprocess.run(["gnuplot"], input=head + script, text=True, capture_output=True,
                          check=False)
    return done.returncode == 0


def line_plot(path, title, lines, xlabel, ylabel, logy=False):
    """A curve a label; Redis red, Basin blue, pipelines dashed."""
    if not lines or max(len(line) for line in lines.values()) < 2:
        return False
    blocks, curves = [], []
    ticks = sorted({x for line in lines.values() for x, _ in line})
    for index, (label, line) in enumerate(lines.items()):
        color = BASIN_COLOR if label.startswith("Basin") else REDIS_COLOR
        dash = 2 if "pipeline 16" in label or "GET" in label else 1
        blocks.append(f"$d{index} << EOD\n" + "\n".join(f"{x} {y}" for x, y in line) + "\nEOD\n")
        curves.append(f'$d{index} using 1:2 with linespoints lw 2 pt 7 ps 0.6 dt {dash} '
                      f'lc rgb "{color}" title "{label}"')
    # A zero at the foot makes lengths comparable; a logarithm has none.
    scale = "set logscale y\n" if logy else "set yrange [0:*]\n"
    return gnuplot(path, title, "".join(blocks) + "set logscale x\n" + scale +
                   "set xtics (" + ", ".join(f'"{x}" {x}' for x in ticks) + ")\n"
                   f'set xlabel "{xlabel}"\nset ylabel "{ylabel}"\nset key outside below\nplot ' +
                   ", ".join(curves) + "\n")


def both_pipelines(cases, field, scale, **wanted):
    lines = {}
    for pipeline in (1, 16):
        found = points(cases, "clients", field, scale, pipeline=pipeline, size=100, disk="fast",
                       **wanted)
        lines.update({f"{label}, pipeline {pipeline}": line for label, line in found.items()})
    return lines


def mixed_plot(path, title, result):
    rows = [f'"{label.replace(", ", "|")}" {figures["p99_us"] / 1e3} '
            f'{BASIN_COLOR if label.startswith("Basin") else REDIS_COLOR}'
            for label, figures in result["arms"].items()]
    rows = [row.replace("|", "\\n").replace(" #", " 0x") for row in rows]
    return gnuplot(path, title, "$d << EOD\n" + "\n".join(rows) + "\nEOD\n"
                   'set bmargin 4\nset ylabel "p99 of GET, ms"\nset yrange [0:*]\n'
                   "set boxwidth 0.6\n"
                   "set style fill solid\nunset key\nset xrange [-0.6:3.6]\n"
                   "plot $d using 0:2:(strcol(3)):xtic(1) with boxes lc rgb variable\n"
                   .replace("(strcol(3))", "(int(column(3)))"))


def plots(results, out):
    """Draws what the measured cases allow; names the files in the report."""
    if shutil.which("gnuplot") is None:
        results["failures"].append("plots: gnuplot is not installed")
        write(results, out)
        return
    cases = results["cases"]
    drawn = results["plots"] = {}

    def keep(name, title, draw, *rest, **named):
        if draw(pathlib.Path(out) / name, title, *rest, **named):
            drawn[name] = title
    for command, durability in (("set", "always"), ("set", "everysec"), ("set", "off"),
                                ("get", "off")):
        wanted = {"command": command, "durability": durability}
        name = f"{command}-{durability}"
        words = f"{command.upper()}, 100 bytes, " + (
            "no persistence" if durability == "off" else f"appendfsync {durability}")
        keep(f"throughput-{name}.svg", words, line_plot,
             both_pipelines(cases, "ops_s", 1e-3, **wanted), "clients",
             "thousand operations/s", logy=True)
        keep(f"p99-{name}.svg", words, line_plot, both_pipelines(cases, "p99_us", 1e-3, **wanted),
             "clients", "p99, ms", logy=True)
        keep(f"size-{name}.svg", words.replace("100 bytes", "50 clients"), line_plot,
             points(cases, "size", "ops_s", 1e-3, pipeline=1, clients=50, disk="fast", **wanted),
             "bytes a value", "thousand operations/s", logy=True)
    for result in cases:
        if result["case"].name.endswith(("mixed-fast", "mixed-slow")):
            disk = result["case"].disk
            keep(f"mixed-{disk}.svg", f"45 GET clients beside 5 that SET always, {disk} disk",
                 mixed_plot, result)
    write(results, out)
