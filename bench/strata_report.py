"""strata_report: the rows of strata.py → Markdown and JSON."""
import json
import shlex

import report

MIB = 1 << 20
WRITERS = ("server", "process", "device")


def mib(size):
    return "–" if size is None else report.number(size / MIB)


def whole(count):
    return "–" if count is None else f"{count:,.0f}"


def limit_text(row):
    return "none" if row["limit"] is None else f"{row['limit'] / MIB:.0f}"


def three(figures):
    return " / ".join(report.number(figures[who]) for who in WRITERS)


def row_text(table, row):
    """One line for the terminal."""
    number = report.number
    if table == "writes":
        return (f"{row['what']}, {row['size']} B, {row['keys'] / 1e6:g} M keys, maxmemory "
                f"{limit_text(row)} MiB, pipeline {row['pipeline']}: {number(row['ops_s'])}/s, p50 "
                f"{number(row['p50_us'])} p99.9 {number(row['p999_us'])} µs, written "
                f"{three(row['quiet'])}, RSS {mib(row['rss'])} MiB")
    if table == "starts":
        return (f"start after {row['end']}{', cold' if row['cold'] else ''}: "
                f"{row['answer_s']:.3f} s (PING {row['ping_s']:.3f})")
    if table == "reads":
        return (f"GET {row['what']}: {number(row['ops_s'])}/s, index {number(row['index_get'])} "
                f"data {number(row['data_get'])} reads a GET, fio {number(row.get('fio_iops'))}/s")
    if "ops_s" in row:
        return f"list: {row['what']}: {number(row['ops_s'])}/s, RSS {mib(row['rss'])} MiB"
    return (f"list: {row['what']}: {number(row['parts'])} part reads (at most {row['parts_most']:.0f}), "
            f"RSS {mib(row['rss'])} MiB")


# -- Tables ----------------------------------------------------------------------------------------


def write_lines(rows):
    number = report.number
    head = ["", "keys", "maxmemory MiB", "pipeline", "SET/s", "over in memory", "p50 µs", "p99 µs",
            "p99.9 µs", "max µs", "p99.9 / p50", "written × (server / process / device)",
            "… until quiet", "quiet after s", "CPU µs/op", "RSS MiB", "fdatasync / raw write µs"]
    lines = []
    for row in rows:
        name = f"{row['what']}, {row['size']} B" + (" (!)" if row["busy"] > report.BUSY_MAX else "")
        lines.append([
            name, whole(row["keys"]), limit_text(row), str(row["pipeline"]), number(row["ops_s"]),
            number(row.get("ratio")), number(row["p50_us"]), number(row["p99_us"]),
            number(row["p999_us"]), number(row["max_us"]), number(row["tail"]),
            three(row["loaded"]), three(row["quiet"]),
            number(row["quiet_s"]) if row["was_quiet"] else "never", number(row["cpu_us_op"]),
            mib(row["rss"]), f"{number(row['append_us'])} / {number(row['raw_us'])}"])
    return ["## Writing", ""] + report.table(head, lines)


def start_lines(rows):
    head = ["after", "page cache", "PING s", "GET of a key s", "at most s", "log not settled MiB",
            "records replayed", "replay s", "RSS MiB", "raw write µs"]
    lines = [[row["end"], "empty" if row["cold"] else "as it was", f"{row['ping_s']:.3f}",
              f"{row['answer_s']:.3f}", f"{row['answer_most_s']:.3f}", mib(row["unsettled"]),
              whole(row["replayed"]), f"{row['replay_s']:.3f}", mib(row["rss"]),
              report.number(row["raw_us"])] for row in rows]
    return ["## Start to first answer", ""] + report.table(head, lines)


def read_lines(rows, cold):
    number = report.number
    head = ["GET", "GET/s", "p50 µs", "p99 µs", "p99.9 µs", "max µs", "index / data reads a GET",
            "… a cold key", "cold keys a GET", "reads/s", "bytes a read", "device bytes a GET",
            "fio reads/s", "reads/s over fio", "CPU µs/op", "RSS MiB"]
    lines = [[row["what"], number(row["ops_s"]), number(row["p50_us"]), number(row["p99_us"]),
              number(row["p999_us"]), number(row["max_us"]),
              f"{row['index_get']:.3f} / {row['data_get']:.3f}",
              "–" if row["index_load"] is None
              else f"{row['index_load']:.3f} / {row['data_load']:.3f}",
              f"{row['loaded_get']:.3f}", number(row["reads_s"]), number(row["read_size"]),
              number(row["device_get"]), number(row.get("fio_iops")), number(row.get("fio_ratio")),
              number(row["cpu_us_op"]), mib(row["rss"])] for row in rows]
    text = (f"50 clients, no pipeline. {mib(cold['data'])} MiB of keys and values, "
            f"{mib(cold['disk'])} MiB of strata in {cold['runs']} runs, maxmemory "
            f"{mib(cold['memory'])} MiB.")
    return ["## Reading cold keys", "", text, ""] + report.table(head, lines)


def list_lines(rows):
    number = report.number
    head = ["list", "calls", "part reads, mean", "at most", "pages", "grains", "first µs",
            "median µs", "a second", "written ×", "maxmemory MiB", "RSS MiB"]
    lines = [[row["what"], whole(row.get("calls")), number(row.get("parts")),
              whole(row.get("parts_most")), number(row.get("pages")), number(row.get("grains")),
              number(row.get("first_us")), number(row.get("median_us")), number(row.get("ops_s")),
              number(row.get("written")), mib(row["memory"]), mib(row["rss"])] for row in rows]
    return ["## A list larger than memory", ""] + report.table(head, lines)


def markdown(results):
    machine, options = results["machine"], results["options"]
    sizes = options.sizes
    lines = ["# More data than memory", "",
             f"{machine['time']}, {machine['processor']}, {machine['cores']} cores, Linux "
             f"{machine['kernel']}. {machine['basin']} ({machine['commit']}).", "",
             f"Scale {options.scale:g}: {sizes.keys:,} keys of 100 B, {sizes.large_keys:,} of "
             f"4 KiB, a list of {sizes.elements:,} of {sizes.element_size} B; settle-log-size {sizes.settle_log / MIB:g} MiB; "
             f"windows of {sizes.seconds:g} s (reading: {sizes.read_seconds:g} s)."
             + (f" Basin with `{shlex.join(options.basin_args)}`." if options.basin_args else "")
             + " How: bench/README.md.", ""]
    if options.scale < 1:
        lines += ["The goals are those of the full size.", ""]
    lines += report.checks_lines(results["checks"])
    if results["writes"]:
        lines += write_lines(results["writes"])
    if results["starts"]:
        lines += start_lines(results["starts"])
    if results["reads"]:
        lines += read_lines(results["reads"], results["cold"])
    if results["list"]:
        lines += list_lines(results["list"])
    if results["failures"]:
        lines += ["## Not measured", ""] + ["- " + text for text in results["failures"]] + [""]
    return "\n".join(lines) + "\n"


def write(results, out):
    (out / "strata.md").write_text(markdown(results), encoding="utf-8")
    (out / "strata.json").write_text(
        json.dumps(results, default=report.plain, indent=1, ensure_ascii=False), encoding="utf-8")
