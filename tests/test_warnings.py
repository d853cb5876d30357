"""A warning names the program that called pylstm, not a file of the package."""

from __future__ import annotations

import contextlib
import warnings

import numpy as np
import pytest

import pylstm
from pylstm import callbacks, layers

X, Y = np.ones((4, 3, 2), np.float32), np.ones((4, 1), np.float32)


def model(loss="mse", metrics=(), activation=None):
    made = pylstm.Sequential([layers.LSTM(2), layers.Dense(1, activation=activation)])
    made.compile("sgd", loss, metrics=list(metrics))
    return made


def own_metric(y_true, y_pred):
    return 0.0


def fit_with(callback, **arguments):
    model().fit(X, Y, verbose=0, callbacks=[callback], **arguments)


def load_without_its_loss(folder):
    made = model(loss=lambda y, p: (0.0, np.zeros_like(p)))
    made.fit(X, Y, verbose=0)
    made.save(folder / "m.safetensors")
    pylstm.load_model(folder / "m.safetensors")


def fit_with_masked_steps():
    made = pylstm.Sequential(
        [
            layers.Embedding(5, 2, mask_zero=True),
            layers.LSTM(2, return_sequences=True),
            layers.Dense(1),
        ]
    )
    made.compile("sgd", "mse", metrics=[own_metric])
    made.fit(np.array([[1, 0], [2, 3]]), np.ones((2, 2, 1)), verbose=0)


CASES = {
    "no probabilities": lambda _: model("binary_crossentropy").fit(X, Y, verbose=0),
    "evaluate": lambda _: model("binary_crossentropy").evaluate(X, Y, verbose=0),
    "train_on_batch": lambda _: model("binary_crossentropy").train_on_batch(X, Y),
    "no such value": lambda _: fit_with(callbacks.EarlyStopping("val_loss")),
    "which is better": lambda _: fit_with(callbacks.EarlyStopping("r2"), validation_data=(X, Y)),
    "name of a checkpoint": lambda folder: fit_with(
        callbacks.ModelCheckpoint(folder / "{strange}.safetensors", save_best_only=False)
    ),
    "iterable that ends": lambda _: model().fit(iter([(X, Y)]), epochs=2, verbose=0),
    "steps that are skipped": lambda _: model().fit(
        X, np.full_like(Y, 1e38), sample_weight=np.full(4, 1e10), verbose=0
    ),
    "a loss that is not loaded": load_without_its_loss,
    "padding": lambda _: fit_with_masked_steps(),
}


@pytest.mark.parametrize("case", CASES)
def test_a_warning_names_the_callers_file(case, tmp_path):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        with contextlib.suppress(ValueError):  # of a file's name that nothing fills
            CASES[case](tmp_path)
    assert {warning.filename for warning in found} == {__file__}
