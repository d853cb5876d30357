"""What Python adds: fit over the engine's own steps, and one row through predict.

python -m benchmarks.overhead
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

from pylstm import Sequential, _core, layers

BATCH, STEPS, BATCHES = 4, 1, 2000


def _median(work: Callable[[], object], count: int) -> float:
    times = []
    for _ in range(count):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((BATCH * BATCHES, STEPS, 16)).astype(np.float32)
    y = rng.standard_normal((BATCH * BATCHES, 16)).astype(np.float32)
    model = Sequential([layers.Input((STEPS, 16)), layers.LSTM(16)])
    model.compile("adam", "mean_squared_error")
    data, order, network = _core.Data(x, y), np.arange(len(x)), model._network()

    def engine() -> None:
        fitting = network.start()
        network.run(data, "fit", order, BATCH, 0, BATCHES, 0.0)
        fitting.finish()

    def fit() -> None:
        model.fit(x, y, batch_size=BATCH, epochs=1, shuffle=False, verbose=0)

    fit()
    engine()
    fitted, bare = _median(fit, 20), _median(engine, 20)
    print(
        f"one engine step {1e6 * bare / BATCHES:.2f} µs; "
        f"fit adds {1e6 * (fitted - bare) / BATCHES:.2f} µs a step"
    )
    row = x[:1]
    calls = 2000
    one = _median(lambda: [model.predict_on_batch(row) for _ in range(calls)], 10) / calls
    full = _median(lambda: [model.predict(row, verbose=0) for _ in range(calls)], 10) / calls
    print(f"one row, H16, T1: predict_on_batch {1e6 * one:.2f} µs, predict {1e6 * full:.2f} µs")


if __name__ == "__main__":
    main()
