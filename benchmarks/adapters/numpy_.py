"""NumPy: pylstm.reference, the executable specification."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.adapters import Prepared, Unsupported
from pylstm import reference
from pylstm._bench.problems import LAST_KINDS, Problem


def versions() -> dict[str, str]:
    return {"numpy": np.__version__}


def prepare(problem: Problem) -> Prepared:
    if problem.layers > 1 or problem.kind in ("predict", *LAST_KINDS):
        raise Unsupported("the specification has one layer, and no predict")
    return _train_step(problem) if problem.kind == "train_step" else _layer(problem)


def _train_step(problem: Problem) -> Prepared:
    weights, (x, y) = problem.weights(), problem.data()
    optimizer = reference.Adam(weights)

    def run(repeats: int) -> None:
        for _ in range(repeats):
            k = optimizer.iterations % len(x)
            reference.training_step(weights, optimizer, x[k], y[k])

    def answer() -> dict[str, Any]:
        loss, gradients, _ = reference.language_model_gradients(problem.weights(), x[0], y[0])
        return {"loss": loss, **dict(zip(problem.weight_names, gradients, strict=True))}

    return {"Adam": run}, answer


def _layer(problem: Problem) -> Prepared:
    (kernel, recurrent, bias), ((x,), (y,)) = problem.weights(), problem.data()

    def forward() -> Any:
        return reference.lstm_forward(x, kernel, recurrent, bias)

    def both() -> dict[str, Any]:
        out, _, cache = forward()
        found = reference.lstm_backward(2 * (out - y) / np.float32(y.size), cache)
        gradients = (found.kernel, found.recurrent_kernel, found.bias)
        loss = np.mean((out - y) ** 2)
        return {"loss": loss, **dict(zip(problem.weight_names, gradients, strict=True))}

    work = both if problem.kind == "forward_backward" else forward

    def run(repeats: int) -> None:
        for _ in range(repeats):
            work()

    def answer() -> dict[str, Any]:
        return both() if problem.kind == "forward_backward" else {"output": forward()[0]}

    return {"reference": run}, answer
