"""NumPy: pylstm.reference, the executable specification."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.problems import Problem
from pylstm import reference

Answer = list[Any]


def versions() -> dict[str, str]:
    return {"numpy": np.__version__}


def _train_step(problem: Problem) -> tuple[Callable[[int], None], Callable[[], Answer]]:
    weights, (x, y) = problem.weights(), problem.data()
    optimizer = reference.Adam(weights)

    def run(repeats: int) -> None:
        for _ in range(repeats):
            reference.training_step(weights, optimizer, x, y)

    def answer() -> Answer:
        loss, gradients, _ = reference.language_model_gradients(problem.weights(), x, y)
        return [loss, gradients[2]]

    return run, answer


def prepare(problem: Problem) -> tuple[Callable[[int], None], Callable[[], Answer]]:
    if problem.kind == "train_step":
        return _train_step(problem)
    (kernel, recurrent, bias), (x, y) = problem.weights(), problem.data()

    def forward() -> Any:
        return reference.lstm_forward(x, kernel, recurrent, bias)

    def both() -> Answer:
        out, _, cache = forward()
        gradients = reference.lstm_backward(2 * (out - y) / np.float32(y.size), cache)
        return [np.mean((out - y) ** 2), gradients.recurrent_kernel]

    def answer() -> Answer:
        return both() if problem.kind == "forward_backward" else [forward()[0]]

    def run(repeats: int) -> None:
        for _ in range(repeats):
            if problem.kind == "forward_backward":
                both()
            else:
                forward()

    return run, answer
