"""How long a run takes."""

from __future__ import annotations

import time
from collections.abc import Callable

Seconds = Callable[[int], float]  # of that many repeats


def repeated(work: Callable[[], object]) -> Callable[[int], None]:
    """run(repeats) of `work`."""

    def run(repeats: int) -> None:
        for _ in range(repeats):
            work()

    return run


def stopwatch(run: Callable[[int], None]) -> Seconds:
    """Time `run(repeats)`."""

    def seconds(repeats: int) -> float:
        start = time.perf_counter()
        run(repeats)
        return time.perf_counter() - start

    return seconds


def repeats_for(seconds: Seconds, target: float) -> int:
    """Repeats that take about `target` seconds; finding out also warms the library up."""
    repeats = 1
    while (taken := seconds(repeats)) < target / 4 and repeats < 1 << 20:
        repeats = max(2 * repeats, min(1 << 20, int(repeats * target / 4 / max(taken, 1e-7))))
    return max(1, round(repeats * target / taken))
