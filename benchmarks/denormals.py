"""Inputs that are denormal, against normal ones: python -m benchmarks.denormals."""

from __future__ import annotations

import statistics
import time

import numpy as np

from pylstm import Sequential, layers


def main() -> None:
    rng = np.random.default_rng(0)
    model = Sequential([layers.Input((100, 128)), layers.LSTM(128, return_sequences=True)])
    normal = rng.standard_normal((32, 100, 128)).astype(np.float32)
    denormal = (normal * 1e-40).astype(np.float32)
    ratios = []
    for _ in range(20):
        times = []
        for x in (normal, denormal):
            start = time.perf_counter()
            for _ in range(5):
                model.predict_on_batch(x)
            times.append(time.perf_counter() - start)
        ratios.append(times[1] / times[0])
    print(f"denormal / normal inputs: {statistics.median(ratios):.2f} (20 pairs)")


if __name__ == "__main__":
    main()
