"""A training step while one foreign process is busy, against the same step on an idle machine.

python -m benchmarks.contention [--pairs N] [--only TEXT]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

import pylstm
from pylstm import _core
from pylstm._bench import ours, problems
from pylstm._bench.timing import repeats_for, stopwatch

BUSY = "print(flush=True)\nwhile True: pass"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.contention", description=__doc__)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=0.2, help="of one side of a pair")
    parser.add_argument("--only", default="train_step V65 E64", help="the problem, by its name")
    args = parser.parse_args()
    problem, *_ = problems.select([], args.only)
    (work,) = ours.prepare(problem)[0].values()
    seconds = stopwatch(work)
    repeats = repeats_for(seconds, args.seconds)
    idle, contended = [], []
    for _ in range(args.pairs):
        time.sleep(0.02)
        idle.append(seconds(repeats) / repeats)
        busy = subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE)
        try:
            assert busy.stdout is not None
            busy.stdout.readline()  # it has started
            contended.append(seconds(repeats) / repeats)
        finally:
            busy.kill()
            busy.communicate()
    ratio = statistics.median(b / a for a, b in zip(idle, contended, strict=True))
    backend = _core.build_info()["thread_backend"]
    print(f"{problem.name}, {pylstm.get_num_threads()} threads, back-end {backend}")
    print(f"idle {1e3 * statistics.median(idle):.2f} ms", end=", ")
    print(f"beside one busy process {1e3 * statistics.median(contended):.2f} ms", end=", ")
    print(f"ratio {ratio:.2f} ({args.pairs} pairs)")


if __name__ == "__main__":
    main()
