"""What a second thread gains where work is small: one LSTM, predicted and trained.

Ratios are medians over rounds of the time on one thread / the time on two; below 1 the second one
costs time. python -m benchmarks.small_work [--units N…] [--steps N…] [--batch N…] [--rounds N]
"""

from __future__ import annotations

import argparse
import itertools
import statistics
from collections.abc import Callable

import numpy as np

import pylstm
from pylstm import layers
from pylstm._bench.timing import repeated, repeats_for, stopwatch

TURN = 0.01  # seconds


def ratio(work: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Seconds on one thread, and what a second one makes of them."""
    seconds = stopwatch(repeated(work))
    repeats = repeats_for(seconds, TURN)
    pairs = []
    for _ in range(rounds):
        times = []
        for threads in (1, 2):
            pylstm.set_num_threads(threads)
            seconds(2)
            times.append(seconds(repeats) / repeats)
        pairs.append(times)
    return statistics.median(one for one, _ in pairs), statistics.median(a / b for a, b in pairs)


def line(units: int, steps: int, batch: int, rounds: int) -> str:
    """A row of the table."""
    lstm = layers.LSTM(units, return_sequences=True)
    model = pylstm.Sequential([layers.Input((steps, units)), lstm])
    model.compile(optimizer="sgd", loss="mse")
    x = np.random.default_rng(0).normal(size=(batch, steps, units)).astype(np.float32)
    predict, gain = ratio(lambda: model.predict_on_batch(x), rounds)
    train, gain_of_training = ratio(lambda: model.train_on_batch(x, x), rounds)
    return (
        f"| {units} | {steps} | {batch} | {1e6 * predict:.0f} µs | {gain:.2f} "
        f"| {1e6 * train:.0f} µs | {gain_of_training:.2f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.small_work", description=__doc__)
    parser.add_argument("--units", type=int, nargs="+", default=[8, 17, 32, 34, 64, 100])
    parser.add_argument("--steps", type=int, nargs="+", default=[10, 50, 150])
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32])
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    print("| units | steps | batch | predict | 2 threads | train | 2 threads |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for shape in itertools.product(args.units, args.steps, args.batch):
        print(line(*shape, args.rounds), flush=True)


if __name__ == "__main__":
    main()
