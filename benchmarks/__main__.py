"""Run the grid beside its peers and store every row: python -m benchmarks [--help]."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import peers, report
from benchmarks.grid import Bench, Plan, check_plan
from pylstm import _core
from pylstm._bench import machine, problems


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = [*peers.PACKAGES, "numpy"]
    parser.add_argument("--peers", nargs="*", choices=names, help="default: those set up, numpy")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--isa", choices=_core.available_isas(), default=_core.active_isa())
    parser.add_argument("--group", nargs="+", choices=problems.GROUPS, default=[])
    parser.add_argument("--only", default="", help="problems whose name contains this text")
    parser.add_argument("--pairs", type=int, default=20, help="of each peer")
    parser.add_argument("--seconds", type=float, default=0.05, help="of one side of a pair")
    parser.add_argument("-o", "--output", type=Path, help="write the results here after every row")
    args = parser.parse_args()
    check_plan(parser, args)
    return args


def _revision() -> str:
    """The commit of this clone, "-dirty" if files differ from it; empty without git."""
    command = ["git", "-C", str(peers.ROOT), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""


def main() -> int:
    args = _arguments()
    try:
        chosen = problems.select(args.group, args.only)
    except ValueError as error:
        sys.exit(f"benchmarks: {error}")
    if args.output:
        if args.output.exists():
            sys.exit(f"benchmarks: {args.output}: expected a new file, got one that is there")
        args.output.parent.mkdir(parents=True, exist_ok=True)
    if stale := peers.newer_source():
        sys.exit(f"benchmarks: {stale} is newer than the installed pylstm: install it again")
    plan = Plan(args.pairs, args.seconds)
    names = peers.installed() if args.peers is None else args.peers
    stored: dict[str, Any] = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": {**machine.record(), "benchmarks revision": _revision()},
        "plan": vars(plan),
        "versions": {},
        "limits": [],
        "rows": [],
    }
    print(report.HEADER)
    for threads in args.threads:
        bench = Bench(names, threads, args.isa, plan)
        try:
            for problem in chosen:
                if problem.isa and problem.isa not in _core.available_isas():
                    continue
                stored["rows"].append(bench.row(problem))
                print(report.line(stored["rows"][-1]), flush=True)
                stored["versions"].update(bench.versions)
                if args.output:
                    limits = [*stored["limits"], *bench.limits().values()]
                    text = json.dumps({**stored, "limits": limits}, indent=1)
                    part = args.output.with_name(args.output.name + ".part")
                    part.write_text(text + "\n")
                    part.replace(args.output)
        finally:
            bench.close()
        stored["limits"] += bench.limits().values()
    failed = report.failures(stored["rows"])
    print("\n".join(failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
