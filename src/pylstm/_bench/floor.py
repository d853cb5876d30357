"""The floor: the least time that a problem can take, from what this machine was measured to do.

Every product runs at the FMA peak P; a step of the recurrence takes no less than its products and
activations, than one sweep over its recurrent weights, and than its chain of dependent operations.
The first step, whose state is zero, has no recurrent product: Σ_t are T - 1 steps, N' = B·(T - 1).

    forward    input + Σ_t max(8BH²/P + BH·c_f/pf, sweep(16H²) + BH·c_f/pf, l) + BH·c_f/pf
    input      8NIH/P, with as many rows as there are different tokens if x comes from an embedding
    backward   Σ_t max(8BH²/P, sweep(16H²), l) + NH·c_b/pf + (8N'H² + 8NIH [+ 8NIH for dx])/P
    softmax    max(2, 6 with gradients)·NHV/P, or the sweeps over its weights, + NV·c_e/pf
    Adam       24 bytes a parameter; of the embedding only the rows that were read

B batch, T steps, N = B·T, I inputs, H units, V classes, p threads, f clock. `sweep` of bytes
is what reading them takes when each cache level holds the part that the last sweep left there:
walking forwards and backwards in turn gets that. Threads split the rows (each reads all weights)
or the columns (each reads its share, and they meet at every step): the floor is the faster.

The constants below are nominal, not measured: cycles, the meeting of threads, what of two caches
is held. A time below the floor means that one of them, or the measurement, is wrong.
"""

from __future__ import annotations

import numpy as np

from pylstm._bench.machine import Limits
from pylstm._bench.problems import TOKEN_KINDS, Problem

CELL_CYCLES = {16: (2.6, 1.5), 8: (6.2, 2.7), 4: (16.0, 7.0)}  # by lanes: forward, backward
EXP_CYCLES = {16: 0.37, 8: 0.9, 4: 2.4}
STEP_CYCLES = 200  # last multiply-add → two dependent activations → store → load of the next step
MEETING = 60e-9  # seconds of one barrier
# Of weights: bytes that stay in a core's first cache, and the part of its second one that they
# fill. Of the one that cores share they can have all.
FIRST_HELD, SECOND_SHARE = 40 << 10, 0.78
CHUNK = 8 << 20  # bytes of logits that stay in the cache; what ops/softmax_rows.hpp takes
CHUNK_ROWS = 48  # and as many rows at least


def seconds(problem: Problem, limits: Limits) -> float:
    """The floor of one run of the problem."""
    return _Floor(problem, limits).total()


class _Floor:
    def __init__(self, problem: Problem, limits: Limits) -> None:
        self.problem, self.limits = problem, limits
        self.cell, self.exp = CELL_CYCLES[limits.lanes], EXP_CYCLES[limits.lanes]
        self.cycle = 1 / (limits.threads * limits.clock)  # of all threads together
        self.real = problem.real_steps

    def total(self) -> float:
        p = self.problem
        layers = sum(self._layer(width, k == 0) for k, width in enumerate(p.widths))
        return layers + self._softmax() + (self._adam() if p.is_training else 0.0)

    def _product(self, flops: float) -> float:
        return flops / self.limits.peak

    def _sweep(self, size: float) -> float:
        """Each thread reads `size` bytes of its own, again and again."""
        threads = self.limits.threads
        second, third = self.limits.second_level, self.limits.third_level
        held = (FIRST_HELD, SECOND_SHARE * second, third / threads, float("inf"))
        time, reached = 0.0, 0.0
        for holds, rate in zip(held, self.limits.bandwidth, strict=True):
            share = max(0.0, min(size, holds) - reached)
            time += share * threads / rate
            reached += share
        return time

    def _step(self, rows: float, cycles: float) -> float:
        """One step of the recurrence, forward or backward."""
        h, threads = self.problem.units, self.limits.threads
        own = rows * h * cycles * self.cycle
        weights = 16.0 * h * h
        latency = STEP_CYCLES / self.limits.clock
        product = self._product(8.0 * rows * h * h)

        def split(sweep: float, meeting: float) -> float:
            return max(product + own, sweep + own, latency) + meeting

        by_columns = split(self._sweep(weights / threads), MEETING if threads > 1 else 0.0)
        by_rows = split(self._sweep(weights), 0.0)
        return min(by_columns, by_rows) if rows >= threads else by_columns

    def _layer(self, width: int, is_first: bool) -> float:
        p, h = self.problem, self.problem.units
        n = float(self.real)
        rows, steps = n / p.steps, p.steps
        tokens = self._tokens() if is_first and p.kind in TOKEN_KINDS else n
        project = max(
            self._product(8.0 * tokens * width * h),
            self._sweep(16.0 * width * h / self.limits.threads),
        )
        recurrent = steps - 1
        time = project + recurrent * self._step(rows, self.cell[0])
        time += rows * h * self.cell[0] * self.cycle
        if not p.is_training:
            return time
        time += recurrent * self._step(rows, 0.0) + n * h * self.cell[1] * self.cycle
        below = not is_first or p.kind in TOKEN_KINDS
        sums = 8.0 * recurrent * rows * h * h + (8.0 + 8.0 * below) * tokens * width * h
        return time + self._product(sums)

    def _softmax(self) -> float:
        p = self.problem
        if not p.dense_rows:
            return 0.0
        n, v = p.dense_rows, p.outputs
        memory = self.limits.bandwidth[-1]
        chunk = min(n, max(CHUNK_ROWS, CHUNK // (4 * v)))
        products = self._product((6.0 if p.is_training else 2.0) * n * p.units * v)
        moved = 4.0 * p.units * v * (n / chunk) * (4 if p.is_training else 1)
        in_cache = 4.0 * p.units * v <= self.limits.third_level
        time = max(products, moved / self.limits.bandwidth[-2 if in_cache else -1])
        time += n * v * self.exp * self.cycle
        return time if p.is_training else time + 4.0 * n * v / memory

    def _adam(self) -> float:
        p = self.problem
        if p.kind == "forward_backward":
            return 0.0
        lstm = sum(4 * p.units * (width + p.units + 1) for width in p.widths)
        count = float(lstm + (p.units + 1) * p.outputs)
        count += self._tokens() * p.inputs if p.kind in TOKEN_KINDS else 0
        in_cache = 12 * count <= self.limits.third_level
        return 24.0 * count / self.limits.bandwidth[-2 if in_cache else -1]

    def _tokens(self) -> float:
        """Different tokens in one batch, expected of independent uniform draws."""
        v = self.problem.vocabulary
        return float(v * -np.expm1(self.real * np.log1p(-1.0 / v)))
