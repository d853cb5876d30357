"""Tables from stored results: python -m benchmarks.report FILE.json [--short] [--plot FILE.png]."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import readme
from benchmarks.rows import Row, fastest

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEADER = (
    "| problem | threads | time | GFLOP/s | % of peak | × floor "
    "| best peer | its time | ratio (95 %) | asked | |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|"
)
OURS = ("unmasked",)  # pylstm itself, in another mode


def best(row: Row) -> tuple[str, Row] | None:
    """The peer to show: `rival`, or else the fastest of the others; None without any."""
    return rival(row) or fastest(row["peers"])


def rival(row: Row) -> tuple[str, Row] | None:
    """The fastest peer of those that the row's figure speaks of; None if none was timed."""
    named = row["against"] or row["peers"]
    return fastest({name: entry for name, entry in row["peers"].items() if name in named})


def asked(row: Row) -> float:
    """The ratio asked for with the row's threads; 0: none."""
    return float(row["asked"][min(row["threads"], 2) - 1])


def verdict(row: Row) -> str:
    """ "reached", "short", or nothing: no figure is asked, or a peer that it names has no time."""
    if _reason(row):
        return "short"
    judged = not asked(row) or (rival(row) and not _missing(row))
    return "reached" if judged and (asked(row) or row["asked_percent"]) else ""


def line(row: Row) -> str:
    """The row in the main table."""
    cells = ["–", "–", "–"]
    if peer := best(row):
        name, found = peer
        low, high = found["interval"]
        cells = [name, _time(found["seconds"]), f"{found['ratio']:.2f} ({low:.2f}-{high:.2f})"]
    own = [_time(row["seconds"]), f"{row['gflops']:.1f}", f"{row['percent_of_peak']:.0f}"]
    own.append(f"{row['times_floor']:.2f}")
    where = [row["problem"], str(row["threads"])]
    return _cells(*where, *own, *cells, _wanted(row), verdict(row))


def failures(rows: list[Row]) -> list[str]:
    """What went wrong: peers that failed or gave another answer."""
    return [
        f"- {row['problem']}, {row['threads']} threads, {name}: {entry['error']}"
        for row in rows
        for name, entry in row["peers"].items()
        if "error" in entry
    ]


def shortfalls(rows: list[Row]) -> list[str]:
    """Rows below their figure, and what they would have at their floor."""
    return [
        f"- {row['problem']}, {row['threads']} threads: {_reason(row)}; "
        f"{row['times_floor']:.2f}× its floor{_quiet(row)}"
        for row in rows
        if verdict(row) == "short"
    ]


def too_fast(rows: list[Row]) -> list[str]:
    """Rows below their floor: a mistake, or a machine that changed since it was measured."""
    return [
        f"- {row['problem']}, {row['threads']} threads: {row['times_floor']:.2f}×"
        for row in rows
        if row["times_floor"] < 1.0
    ]


def losses(rows: list[Row]) -> list[str]:
    """Every peer that is faster than ours, the worst first."""
    found = [
        (entry["ratio"], f"- {row['problem']}, {row['threads']} threads: {name} {_ratio(entry)}")
        for row in rows
        for name, entry in row["peers"].items()
        if entry.get("ratio", 1.0) < 1.0
    ]
    return [text for _, text in sorted(found)]


def document(stored: Row) -> str:
    """All of it, as Markdown."""
    rows = stored["rows"]
    names = list(dict.fromkeys(n for row in rows for n in row["peers"] if n not in OURS))
    facts = {**stored["machine"], **stored["versions"]}
    parts = [f"# Measured on {stored['date']}", "\n".join(f"- {k}: {v}" for k, v in facts.items())]
    parts.append("\n".join(_limits(limits) for limits in stored["limits"]))
    parts += ["## Every row beside its best peer", "\n".join([HEADER, *map(line, rows)])]
    for title, lines in (
        ("Where we lose", losses(rows)),
        ("Short of the figure asked", shortfalls(rows)),
        ("Below its floor", too_fast(rows)),
        ("Not timed: failed, or another answer", failures(rows)),
    ):
        parts += [f"## {title}", "\n".join(lines) or "None."]
    parts += ["## Peer's time / ours", _table(rows, names, _ratio)]
    parts += ["## First call, seconds", _table(rows, names, _first, ours=True)]
    parts += ["## The peer's fastest way", _table(rows, names, lambda e: e.get("variant", "–"))]
    return "\n\n".join(parts) + "\n"


def plot(stored: Row) -> Figure:
    """Ratios of all peers, one panel a number of threads, of all rows without padding in which a
    peer was timed; needs matplotlib.

    Raises:
        ValueError: there is no such row.
    """
    rows = [row for row in stored["rows"] if best(row) and not row["padded"]]
    if not rows:
        raise ValueError("nothing to plot: no peer was timed in a row without padding")
    from matplotlib.figure import Figure

    threads = sorted({row["threads"] for row in rows})
    timed = [name for row in rows for name, entry in row["peers"].items() if "ratio" in entry]
    problems = list(dict.fromkeys(row["problem"] for row in rows))[::-1]
    size = (5 + 4 * len(threads), 2 + len(problems) / 4)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(1, len(threads), sharey=True, squeeze=False)[0]
    shown = {}  # what the legend tells, whichever panel has it
    for panel, count in zip(panels, threads, strict=True):
        here = [row for row in rows if row["threads"] == count]
        for i, name in enumerate(dict.fromkeys(timed)):
            points = [
                (row["peers"][name]["ratio"], problems.index(row["problem"]))
                for row in here
                if "ratio" in row["peers"].get(name, {})
            ]
            if points:
                style = {"color": f"C{i}", "label": name, "alpha": 0.7}
                (shown[name],) = panel.plot(*zip(*points, strict=True), "o", **style)
        wanted = [(asked(row), problems.index(row["problem"])) for row in here if asked(row)]
        if wanted:
            style = {"label": "asked", "markersize": 9}
            (shown["asked"],) = panel.plot(*zip(*wanted, strict=True), "k|", **style)
        panel.axvline(1.0, color="black", linewidth=0.8)
        panel.set(xscale="log", xlabel="peer's time / ours", title=f"{count} threads")
        panel.set_yticks(range(len(problems)), problems)
        panel.grid(axis="both", alpha=0.3)
    figure.legend(handles=list(shown.values()), loc="outside upper center", ncols=len(shown))
    return figure


def _missing(row: Row) -> list[str]:
    """Peers that the row's figure names, and that have neither a time nor a reason for none."""
    entries = {name: row["peers"].get(name, {}) for name in row["against"]}
    return [name for name, e in entries.items() if not {"ratio", "unsupported"} & set(e)]


def _wanted(row: Row) -> str:
    of = f" ({', '.join(row['against'])})" if row["against"] else ""
    wanted = [f"{asked(row):g}×{of}"] if asked(row) else []
    wanted += [f"{row['asked_percent']:g} %"] if row["asked_percent"] else []
    return ", ".join(wanted)


def _cells(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _table(rows: list[Row], names: list[str], show: Any, *, ours: bool = False) -> str:
    first = ["pylstm"] if ours else []
    lines = [_cells("problem", "threads", *first, *names), "|---" * (2 + len(first + names)) + "|"]
    for row in rows:
        own = [show(row)] if ours else []
        entries = (row["peers"].get(name, {}) for name in names)
        cells = (show(entry) for entry in entries)
        lines.append(_cells(row["problem"], str(row["threads"]), *own, *cells))
    return "\n".join(lines)


def _ratio(entry: Row) -> str:
    if "ratio" not in entry:
        return "failed" if "error" in entry else "–"
    low, high = entry["interval"]
    return f"{entry['ratio']:.2f} ({low:.2f}-{high:.2f}, {entry['pairs']} pairs)"


def _first(entry: Row) -> str:
    return f"{entry['first']:.3f}" if "first" in entry else "–"


def _reason(row: Row) -> str:
    parts, floor = [], row["times_floor"]
    if (peer := rival(row)) and asked(row) > (ratio := peer[1]["ratio"]):
        less = _below(ratio, asked(row), 2)
        parts.append(f"{less} of {asked(row):g}× {peer[0]} (at the floor {ratio * floor:.2f})")
    wanted, share = row["asked_percent"], row["percent_of_peak"]
    if wanted > share:
        less = _below(share, wanted, 0)
        parts.append(f"{less} of {wanted:g} % of the peak (at the floor {share * floor:.0f})")
    return ", ".join(parts)


def _below(value: float, limit: float, digits: int) -> str:
    """With as many digits, or more, as show that it is below the limit."""
    while float(text := f"{value:.{digits}f}") >= limit:
        digits += 1
    return text


def _quiet(row: Row) -> str:
    """How fast the cores started instructions, and what quiet turns gave; old results lack it."""
    told = ""
    if "percent_of_issue_rate" in row:
        told += f", {row['percent_of_issue_rate']:.0f} % of the issue rate"
    if row.get("quiet_turns"):
        told += (
            f" ({row['quiet_turns']} quiet turns of {row['turns']}: "
            f"{row['quiet_percent_of_peak']:.0f} % of the peak, {row['quiet_times_floor']:.2f}×)"
        )
    return told


def _limits(limits: Row) -> str:
    reads = " / ".join(f"{rate / 1e9:.0f}" for rate in limits["bandwidth"])
    return (
        f"- limits of {limits['isa']}, {limits['threads']} threads: {limits['peak'] / 1e9:.0f} "
        f"GFLOP/s; read 32 KiB / 512 KiB / 8 MiB / 256 MiB {reads} GB/s"
    )


def _time(seconds: float) -> str:
    return f"{1e6 * seconds:.1f} µs" if seconds < 1e-3 else f"{1e3 * seconds:.2f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--short", action="store_true", help="only README's table")
    parser.add_argument("--plot", type=Path, help="also draw the ratios; needs matplotlib")
    args = parser.parse_args()
    stored = json.loads(args.results.read_text())
    print(readme.table(stored) if args.short else document(stored), end="")
    if args.plot:
        try:
            plot(stored).savefig(args.plot, dpi=120)
        except ValueError as error:
            parser.exit(1, f"{parser.prog}: {error}\n")


if __name__ == "__main__":
    main()
