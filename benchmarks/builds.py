"""Two revisions of pylstm against each other: python -m benchmarks.builds BEFORE AFTER [--help].

A revision is what git calls one; "." is the working tree without untracked files. What it holds is
built once, in build/builds. A ratio is the time before over the time after. Both run in processes
that are started anew some times, in turn the one and the other first: what memory a process gets,
and when, makes one build differ from itself. The interval counts that too; of few starts it is
still too narrow.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import itertools
import os
import shutil
import subprocess
import sys
import tarfile
import venv
from pathlib import Path

import numpy as np

from benchmarks import grid, peers
from benchmarks.adapters import Unsupported
from benchmarks.remote import Worker, WorkerError
from benchmarks.timing import Duel
from pylstm import _core
from pylstm._bench import problems
from pylstm._bench.problems import Problem

# of the environment; two builds that are compared have the same
OPTIONS = ("CC", "CXX", "CFLAGS", "CXXFLAGS", "LDFLAGS", "CMAKE_ARGS", "SKBUILD_CMAKE_ARGS")
HEADER = """\
| problem | threads | before | after | ratio | bits |
| --- | --- | --- | --- | --- | --- |"""


def _git(*arguments: str) -> bytes:
    return subprocess.run(
        ["git", "-C", peers.ROOT, *arguments], check=True, stdout=subprocess.PIPE
    ).stdout


def _python(revision: str) -> Path:
    """The interpreter of an environment that has this revision, and needs it for nothing else."""
    named = _git("stash", "create").decode().strip() if revision == "." else revision
    commit = _git("rev-parse", "--verify", f"{named or 'HEAD'}^{{commit}}").decode().strip()
    tree = _git("rev-parse", f"{commit}^{{tree}}").decode().strip()
    built_with = "\0".join([sys.version, *(os.environ.get(name, "") for name in OPTIONS)])
    key = hashlib.sha256(f"{tree}\0{built_with}".encode()).hexdigest()
    target = peers.ROOT / "build" / "builds" / key[:12]
    python = peers.interpreter(target)
    if not (target / "ready").exists():
        print(f"building {revision}, {commit[:12]}", flush=True)
        shutil.rmtree(target, ignore_errors=True)
        venv.create(target, with_pip=True)
        with tarfile.open(fileobj=io.BytesIO(_git("archive", commit))) as source:
            source.extractall(target / "source", filter="data")
        pip: list[str | Path] = [python, "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, peers.NUMPY, target / "source"], check=True)
        (target / "ready").touch()
    return python


def line(problem: Problem, threads: int, pythons: list[Path], plan: argparse.Namespace) -> str:
    """A row of the table, of the builds before and after; their answers are compared first."""
    times: list[tuple[float, float]] = []
    starts: list[int] = []
    same = True
    for start in range(plan.starts):
        with contextlib.ExitStack() as stack:
            workers: dict[int, Worker] = {}
            for side in (0, 1) if start % 2 == 0 else (1, 0):
                workers[side] = Worker("pylstm", threads, problem.isa, pythons[side])
                stack.callback(workers[side].close)
            before, after = (workers[side].prepare(problem).answer for side in (0, 1))
            grid.compare(after, before)
            same = same and all(np.array_equal(after[name], before[name]) for name in after)
            duel = Duel(ours=workers[1], peer=workers[0], seconds=plan.seconds, times=times)
            pairs = max(1, plan.pairs * (start + 1) // plan.starts)
            if pairs > len(times):
                starts.append(len(times))
            duel.fight(pairs)
    result, ours = duel.result(starts), np.median([ours for ours, _ in times])
    low, high = result["interval"]
    return (
        f"| {problem.name} | {threads} | {1e3 * result['seconds']:.3f} ms | {1e3 * ours:.3f} ms "
        f"| {result['ratio']:.3f} ({low:.3f}-{high:.3f}) | {'the same' if same else 'other'} |"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.builds", description=__doc__)
    parser.add_argument("before")
    parser.add_argument("after", nargs="?", default=".")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--group", nargs="+", choices=problems.GROUPS, default=[])
    parser.add_argument("--only", nargs="+", default=[""], help="problems, by their names")
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=0.05, help="of one side of a pair")
    parser.add_argument("--starts", type=int, default=4, help="how often processes are started")
    args = parser.parse_args()
    grid.check_plan(parser, args)
    if args.starts < 1:
        parser.error(f"--starts: expected a positive number, got {args.starts}")
    try:
        chosen = [p for text in args.only for p in problems.select(args.group, text)]
    except ValueError as error:
        sys.exit(f"benchmarks.builds: {error}")
    pythons = [_python(args.before), _python(args.after)]
    print(HEADER)
    failed = False
    for threads, problem in itertools.product(args.threads, dict.fromkeys(chosen)):
        if problem.isa and problem.isa not in _core.available_isas():
            continue
        try:
            row = line(problem, threads, pythons, args)
        except (ArithmeticError, Unsupported, WorkerError) as error:
            failed, row = True, f"| {problem.name} | {threads} | {error} |"
        print(row, flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
