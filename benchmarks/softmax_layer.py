"""Where a dense softmax layer's time goes, by calls that do more and more of the work.

python -m benchmarks.softmax_layer [--rows N] [--units H] [--vocabulary V]
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
from collections.abc import Callable

import numpy as np

import pylstm
from pylstm import Sequential, _core, layers
from pylstm._bench.timing import repeated, repeats_for, stopwatch

RUNS = 15


def _median(work: Callable[[], object]) -> float:
    seconds = stopwatch(repeated(work))
    repeats = repeats_for(seconds, 0.1)
    return statistics.median(seconds(repeats) / repeats for _ in range(RUNS))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.softmax_layer", description=__doc__)
    parser.add_argument("--rows", type=int, default=1600)
    parser.add_argument("--units", type=int, default=128)
    parser.add_argument("--vocabulary", type=int, default=10000)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, args.rows, args.units)).astype(np.float32)
    y = rng.integers(0, args.vocabulary, (1, args.rows))
    input_layer = layers.Input((args.rows, args.units))
    model = Sequential([input_layer, layers.Dense(args.vocabulary, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    data, order, network = _core.Data(x, y), np.arange(1), model._network()

    def step(mode: str) -> Callable[[], None]:
        def run() -> None:
            with network.start() if mode == "fit" else contextlib.nullcontext():
                network.run(data, mode, order, 1, 0, 1, 0.0)

        return run

    times = {
        "logits, sum of exponentials, loss (evaluate)": _median(step("evaluate")),
        "logits, probabilities stored (predict)": _median(lambda: model.predict_on_batch(x)),
        "loss, dW and db (gradients; copies them out)": _median(lambda: network.gradients(data)),
        "loss, dW, db and Adam (a step of fit)": _median(step("fit")),
    }
    one = 2.0 * args.rows * args.units * args.vocabulary  # of one product
    peak = _core.measure_peak(pylstm.get_num_threads(), 0.3)
    print(f"{pylstm.active_isa()}, threads: {pylstm.get_num_threads()}")
    print(f"one product at the peak: {1e3 * one / peak:.2f} ms")
    for name, seconds in times.items():
        print(f"{name:<48}{1e3 * seconds:8.2f} ms")


if __name__ == "__main__":
    main()
