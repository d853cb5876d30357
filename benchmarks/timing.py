"""Interleaved pairs: A B A B, so that a drifting machine disturbs both alike."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

import numpy as np

from benchmarks.worker import Worker


@dataclass(frozen=True)
class Pair:
    """Medians in seconds of one repeat; ratio = peer / ours, with a 95 % bootstrap interval."""

    ours: float
    peer: float
    best: float
    ratio: float
    low: float
    high: float


def repeats_for(worker: Worker, seconds: float) -> int:
    """Repeats that take about `seconds`; the first runs also warm the worker up."""
    repeats = 1
    while (taken := worker.seconds(repeats)) < seconds / 4 and repeats < 1 << 20:
        repeats = max(2 * repeats, min(1 << 20, int(repeats * seconds / 4 / max(taken, 1e-7))))
    return max(1, round(repeats * seconds / taken))


def pairs(ours: Worker, peer: Worker, count: int, seconds: float) -> Pair:
    n_ours, n_peer = repeats_for(ours, seconds), repeats_for(peer, seconds)
    times = [(ours.seconds(n_ours) / n_ours, peer.seconds(n_peer) / n_peer) for _ in range(count)]
    a, b = np.array(times).T
    draws = np.random.default_rng(0).integers(0, count, (2000, count))
    low, high = np.percentile(np.median((b / a)[draws], axis=1), [2.5, 97.5])
    return Pair(
        statistics.median(a),
        statistics.median(b),
        float(a.min()),
        statistics.median(b / a),
        float(low),
        float(high),
    )
