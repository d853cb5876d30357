"""pylstm through its public API: predict, and fit with as many epochs as repeats."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import pylstm
from benchmarks.problems import Problem
from pylstm import Sequential, _core, layers, optimizers

Answer = list[Any]


def versions() -> dict[str, str]:
    return {"pylstm": pylstm.__version__, **_core.build_info()}


def _model(problem: Problem) -> Sequential:
    lstm = layers.LSTM(problem.units, return_sequences=True)
    if problem.kind == "train_step":
        v = problem.vocabulary
        model = Sequential(
            [layers.Embedding(v, problem.inputs), lstm, layers.Dense(v, activation="softmax")]
        )
        model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    else:
        model = Sequential([layers.Input((problem.steps, problem.inputs)), lstm])
        # The rate of 0 keeps the answer; the update itself is part of the time.
        model.compile(optimizer=optimizers.SGD(0.0), loss="mean_squared_error")
    model.set_weights(problem.weights())
    return model


def prepare(problem: Problem) -> tuple[Callable[[int], None], Callable[[], Answer]]:
    model, (x, y) = _model(problem), problem.data()
    batch = problem.batch

    if problem.kind in ("forward", "step"):

        def predict(repeats: int) -> None:
            for _ in range(repeats):
                model.predict_on_batch(x)

        return predict, lambda: [model.predict_on_batch(x)]

    def fit(repeats: int) -> None:
        model.fit(x, y, batch_size=batch, epochs=repeats, shuffle=False, verbose=0)

    def answer() -> Answer:
        loss, gradients = model._network().gradients(_core.Data(x, y))
        return [np.float32(loss), gradients[2 if problem.kind == "train_step" else 1]]

    return fit, answer
