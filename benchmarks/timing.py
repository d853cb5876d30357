"""Interleaved pairs: A B A B, so that a drifting machine disturbs both alike."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.remote import Moment, Worker
from pylstm._bench.timing import repeats_for

DRAWS = 2000  # of the bootstrap


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

    def result(self) -> dict[str, Any]:
        """Medians in seconds, the median ratio and its 95 % bootstrap interval."""
        a, b = np.array(self.times).T
        draws = np.random.default_rng(0).integers(0, len(a), (DRAWS, len(a)))
        low, high = np.percentile(np.median((b / a)[draws], axis=1), [2.5, 97.5])
        return {
            "seconds": float(np.median(b)),
            "ratio": self.ratio,
            "interval": [float(low), float(high)],
            "pairs": len(a),
        }

    def _warm(self, worker: Worker, other: Worker) -> int:
        other.settle()
        return repeats_for(worker.seconds, self.seconds)

    @staticmethod
    def _turn(worker: Worker, other: Worker, repeats: int) -> float:
        other.settle()
        return worker.seconds(repeats) / repeats
