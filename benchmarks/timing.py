"""Interleaved pairs: A B A B, so that a drifting machine disturbs both alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.remote import Moment, Worker
from pylstm._bench.timing import repeats_for

if TYPE_CHECKING:
    from numpy.typing import NDArray

DRAWS = 2000  # of the bootstrap


def interval(ratios: NDArray[np.float64], starts: Sequence[int] = (0,)) -> list[float]:
    """The 95 % bootstrap interval of the median.

    `starts`: the first pair of each start of the processes. What one start differs from another
    counts too: starts are drawn, and of each drawn one its pairs.
    """
    of_starts = np.split(ratios, starts[1:])
    random = np.random.default_rng(0)
    medians = []
    for _ in range(DRAWS):
        drawn = random.integers(0, len(of_starts), len(of_starts))
        pairs = [random.choice(of_starts[i], len(of_starts[i])) for i in drawn]
        medians.append(np.median(np.concatenate(pairs)))
    return [float(bound) for bound in np.percentile(medians, [2.5, 97.5])]


@dataclass
class Duel:
    """Ours and a peer, each warm, each with a number of repeats that takes about `seconds`."""

    ours: Worker
    peer: Worker
    seconds: float
    times: list[tuple[float, float]] = field(default_factory=list)  # of one repeat
    moments: list[Moment] | None = None  # right after each of our turns; None: not measured

    def __post_init__(self) -> None:
        self._repeats = (self._warm(self.ours, self.peer), self._warm(self.peer, self.ours))

    def fight(self, pairs: int) -> None:
        """Measure until there are so many pairs; nothing is dropped."""
        while len(self.times) < pairs:
            ours = self._turn(self.ours, self.peer, self._repeats[0])
            if self.moments is not None:
                self.moments.append(self.ours.moment())
            self.times.append((ours, self._turn(self.peer, self.ours, self._repeats[1])))

    @property
    def ratio(self) -> float:
        """Median of peer / ours."""
        a, b = np.array(self.times).T
        return float(np.median(b / a))

    def result(self, starts: Sequence[int] = (0,)) -> dict[str, Any]:
        """Medians in seconds, the median ratio and its interval; `starts` as in `interval`."""
        a, b = np.array(self.times).T
        return {
            "seconds": float(np.median(b)),
            "ratio": self.ratio,
            "interval": interval(b / a, starts),
            "pairs": len(a),
        }

    def _warm(self, worker: Worker, other: Worker) -> int:
        other.settle()
        return repeats_for(worker.seconds, self.seconds)

    @staticmethod
    def _turn(worker: Worker, other: Worker, repeats: int) -> float:
        other.settle()
        return worker.seconds(repeats) / repeats
