"""One call after a pause, in which the threads went to sleep, against calls in a row.

Not in pairs: calls in a row spread the threads over the cores, which helps the next single call.

python -m benchmarks.pauses [--pause SECONDS] [--calls N] [--only TEXT]
"""

from __future__ import annotations

import argparse
import statistics
import time

import pylstm
from pylstm._bench import ours, problems
from pylstm._bench.timing import stopwatch


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pauses", description=__doc__)
    parser.add_argument("--pause", type=float, default=0.03, help="seconds before the call")
    parser.add_argument("--calls", type=int, default=50, help="after a pause")
    parser.add_argument("--only", default="forward_backward H128", help="problems, by their names")
    args = parser.parse_args()
    for problem in problems.select([], args.only):
        (work,) = ours.prepare(problem)[0].values()
        seconds = stopwatch(work)
        single = []
        for _ in range(args.calls):
            time.sleep(args.pause)
            single.append(seconds(1))
        row = [seconds(1) for _ in range(args.calls)]
        print(
            f"{problem.name}, {pylstm.get_num_threads()} threads: "
            f"in a row {1e3 * statistics.median(row):.2f} ms, "
            f"after {1e3 * args.pause:.0f} ms {1e3 * statistics.median(single):.2f} ms"
        )


if __name__ == "__main__":
    main()
