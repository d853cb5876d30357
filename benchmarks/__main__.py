"""Run the grid and print one table: python -m benchmarks [--help]."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from benchmarks import machine, report
from benchmarks.problems import GRID
from benchmarks.timing import pairs
from benchmarks.worker import Worker
from pylstm import _core

TOLERANCE = 1e-4  # relative to the largest value of the peer's answer


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--peers", nargs="+", default=["numpy"], help="adapters to compare with")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--isas", nargs="+", default=[_core.active_isa()])
    parser.add_argument("--only", default="", help="problems whose name contains this text")
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=0.1, help="of one measurement")
    parser.add_argument("-o", "--output", type=Path, help="store the results as JSON")
    return parser.parse_args()


def _check(ours: list[np.ndarray], peer: list[np.ndarray], name: str) -> None:
    for a, b in zip(ours, peer, strict=True):
        error = float(np.max(np.abs(a - b)) / np.max(np.abs(b)))
        if not error <= TOLERANCE:
            sys.exit(f"{name}: answers differ by {error:.1e} relative; nothing was timed")


def _measure(
    args: argparse.Namespace, isa: str, threads: int, peer: str
) -> list[dict[str, object]]:
    peak = machine.peak(isa, threads)
    ours, other = Worker("pylstm_", threads, isa), Worker(f"{peer}_", threads)
    versions = {**other.ask("versions"), **ours.ask("versions")}
    rows = []
    for problem in GRID:
        if args.only not in problem.name:
            continue
        _check(ours.prepare(problem), other.prepare(problem), problem.name)
        result = pairs(ours, other, args.pairs, args.seconds)
        rows.append(
            {
                "problem": problem.name,
                "peer": peer,
                "isa": isa,
                "threads": threads,
                "microseconds": result.ours * 1e6,
                "peer_microseconds": result.peer * 1e6,
                "ratio": result.ratio,
                "interval": [result.low, result.high],
                "gflops": problem.flops / result.ours / 1e9,
                "percent_of_peak": 100 * problem.flops / result.ours / peak,
                "percent_of_peak_best": 100 * problem.flops / result.best / peak,
                "peak_gflops": peak / 1e9,
                "versions": versions,
            }
        )
        print(report.line(rows[-1]), flush=True)
    ours.close()
    other.close()
    return rows


def main() -> None:
    args = _arguments()
    before = machine.steal()
    rows: list[dict[str, object]] = []
    print(report.HEADER)
    for isa in args.isas:
        for threads in args.threads:
            for peer in args.peers:
                rows += _measure(args, isa, threads, peer)
    result = {"machine": machine.record(), "steal_ticks": machine.steal() - before, "rows": rows}
    if args.output:
        args.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
