"""The table, from a run or from stored results: python -m benchmarks.report results/FILE.json."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HEADER = (
    "| problem | ISA | threads | time | GFLOP/s | % of peak (best) "
    "| peer | peer's time | ratio (95 %) |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


def _time(microseconds: float) -> str:
    return f"{microseconds:.1f} µs" if microseconds < 1000 else f"{microseconds / 1000:.2f} ms"


def line(row: dict[str, Any]) -> str:
    low, high = row["interval"]
    return (
        f"| {row['problem']} | {row['isa']} | {row['threads']} | {_time(row['microseconds'])} "
        f"| {row['gflops']:.1f} | {row['percent_of_peak']:.0f} ({row['percent_of_peak_best']:.0f}) "
        f"| {row['peer']} | {_time(row['peer_microseconds'])} "
        f"| {row['ratio']:.2f} ({low:.2f}-{high:.2f}) |"
    )


def main() -> None:
    stored = json.loads(Path(sys.argv[1]).read_text())
    for key, value in stored["machine"].items():
        print(f"- {key}: {value}")
    print(f"- steal ticks: {stored['steal_ticks']}\n\n{HEADER}")
    for row in stored["rows"]:
        print(line(row))


if __name__ == "__main__":
    main()
