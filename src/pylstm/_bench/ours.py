"""pylstm's side of a problem, through its public API: `predict_on_batch`, and `fit`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pylstm import Sequential, _core, layers, optimizers
from pylstm._bench.problems import LAST_KINDS, TOKEN_KINDS, Problem

Run = Callable[[int], None]
Answer = Callable[[], dict[str, NDArray[Any]]]


def prepare(problem: Problem, masked: bool = True) -> tuple[dict[str, Run], Answer]:
    """The ways to run the problem, and what it gives.

    Args:
        problem: what to solve.
        masked: False: compute the padding of a padded problem too.

    Returns:
        `run(repeats)` by name, and `answer()`: the output, or the loss and all gradients, at the
        problem's weights and its first batch; of a padded problem the output at real steps.
    """
    model, (x, y) = _model(problem, masked), problem.data()
    position = 0

    def predict(repeats: int) -> None:
        for k in range(repeats):
            model.predict_on_batch(x[k % len(x)])

    def fit(repeats: int) -> None:
        nonlocal position
        if len(x) == 1:
            _fit(model, x[0], y[0], problem.batch, repeats)
            return
        batches = np.arange(position, position + repeats) % len(x)
        position += repeats
        _fit(model, np.concatenate(x[batches]), np.concatenate(y[batches]), problem.batch, 1)

    def answer() -> dict[str, NDArray[Any]]:
        model.set_weights(problem.weights())
        if problem.padded:
            return {"output": model.predict_on_batch(x[0])[x[0] != 0]}
        if not problem.is_training:
            return {"output": model.predict_on_batch(x[0])}
        loss, gradients = model._network().gradients(_core.Data(x[0], y[0]))
        return {"loss": np.asarray(loss), **dict(zip(problem.weight_names, gradients, strict=True))}

    if problem.is_training:
        return {"fit": fit}, answer
    return {"predict_on_batch": predict}, answer


def _fit(model: Sequential, x: NDArray[Any], y: NDArray[Any], batch_size: int, epochs: int) -> None:
    model.fit(x, y, batch_size=batch_size, epochs=epochs, shuffle=False, verbose=0)


def _model(problem: Problem, masked: bool) -> Sequential:
    v, many = problem.vocabulary, problem.kind not in LAST_KINDS
    stack: list[Any] = [layers.Input((problem.steps, problem.inputs))]
    if problem.kind in TOKEN_KINDS:
        stack = [layers.Embedding(v, problem.inputs, mask_zero=problem.padded and masked)]
    stack += [layers.LSTM(problem.units, return_sequences=many) for _ in range(problem.layers)]
    if v:
        stack.append(layers.Dense(problem.outputs, activation="softmax"))
    model = Sequential(stack)
    if v:
        model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    else:  # a rate of 0 keeps the problem what it was; the update is part of the time all the same
        model.compile(optimizer=optimizers.SGD(0.0), loss="mean_squared_error")
    model.set_weights(problem.weights())
    return model
