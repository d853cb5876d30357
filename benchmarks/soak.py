"""Does memory grow? Trains small and padded batches for many steps and watches what is held.

    python -m benchmarks.soak [--steps N]

The batches have different numbers of steps, and half of the rows are padded to it. Between them
the model predicts and evaluates. The first tenth of the steps sees every batch in each of these
ways. Prints the resident memory of the process and what the engine holds; exit status 1 if either
is larger at the end than after that tenth.
"""

from __future__ import annotations

import argparse
import os
import sys

import numpy as np

import pylstm
from pylstm import layers

STEPS = 10_000
ROWS, LONGEST, TOKENS = 16, 24, 50
REPORTS = 10
SLACK = 2 << 20  # bytes: a heap returns pages when it likes
TURN = 10  # training steps for each evaluation and prediction


def make_model() -> pylstm.Sequential:
    """A small language model over padded rows."""
    both = layers.LSTM(24, return_sequences=True)
    model = pylstm.Sequential(
        [
            layers.Embedding(TOKENS, 16, mask_zero=True),
            layers.Bidirectional(both),
            layers.LSTM(32, return_sequences=True, dropout=0.1),
            layers.Dense(TOKENS, "softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def make_batch(rng: np.random.Generator, steps: int) -> np.ndarray:
    """Token ids (ROWS, steps + 1); every other row ends early, in zeros."""
    ids = rng.integers(1, TOKENS, (ROWS, steps + 1))
    for row in range(0, ROWS, 2):
        ids[row, 1 + rng.integers(steps) :] = 0
    return ids


def resident() -> int:
    """Bytes of the process in memory."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def held(model: pylstm.Sequential) -> int:
    """Bytes that the engine holds for the model."""
    return sum(model._network().memory_use().values())


def watch(steps: int) -> bool:
    """Run, print, and tell whether memory stayed the same."""
    pylstm.set_seed(0)
    rng, model = np.random.default_rng(0), make_model()
    every, reports = steps // REPORTS, []
    batches = [make_batch(rng, 1 + i % LONGEST) for i in range(every // TURN)]
    print(f"{'steps':>8}{'resident MiB':>15}{'engine KiB':>13}")
    for step in range(1, steps + 1):
        ids = batches[step % len(batches)]
        model.train_on_batch(ids[:, :-1], ids[:, 1:])
        if step % TURN == 0:
            ids = batches[step // TURN % len(batches)]
            model.evaluate(ids[:, :-1], ids[:, 1:], verbose=0)
            model.predict(ids[:, :-1])
        if step % every == 0:
            reports.append((resident(), held(model)))
            process, engine = reports[-1]
            print(f"{step:>8}{process / 2**20:>15.2f}{engine / 2**10:>13.1f}", flush=True)
    process, engine = (last - first for first, last in zip(reports[0], reports[-1], strict=True))
    print(f"grown by {process / 2**20:.2f} MiB resident, {engine} bytes in the engine")
    return process <= SLACK and engine <= 0


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--steps", type=int, default=STEPS, help=f"training steps ({STEPS})")
    steps = parser.parse_args().steps
    if steps < REPORTS * TURN:
        parser.error(f"--steps: expected at least {REPORTS * TURN}, got {steps}")
    return 0 if watch(steps) else 1


if __name__ == "__main__":
    sys.exit(main())
