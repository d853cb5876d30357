"""What tests of whole models share: small models, data for them, comparisons."""

import numpy as np

import pylstm
from pylstm import Sequential, layers, optimizers

RNG = np.random.default_rng(0)
X = RNG.normal(size=(22, 6, 3)).astype("f4")
Y = RNG.normal(size=(22, 2)).astype("f4")
IDS = RNG.integers(0, 9, (22, 6))
NEXT = RNG.integers(0, 9, (22, 6))


def regression(dtype="float32", loss="mse", optimizer=None, **kwargs):
    pylstm.set_seed(3)
    model = Sequential([layers.Input((None, 3)), layers.LSTM(4), layers.Dense(2)], dtype=dtype)
    model.compile(optimizer or optimizers.SGD(0.1), loss, **kwargs)
    return model


def language(loss="sparse_categorical_crossentropy", optimizer="adam", mask_zero=False, **kwargs):
    pylstm.set_seed(3)
    model = Sequential(
        [
            layers.Embedding(9, 5, mask_zero=mask_zero),
            layers.LSTM(6, return_sequences=True),
            layers.Dense(9, activation="softmax"),
        ],
        dtype="float64",
    )
    model.compile(optimizer, loss, **kwargs)
    return model


def many_layers(optimizer="adam", **kwargs):
    """Most kinds of layer, for `IDS` and `NEXT`."""
    pylstm.set_seed(3)
    model = Sequential(
        [
            layers.Embedding(9, 5, mask_zero=True),
            layers.Bidirectional(layers.LSTM(3, return_sequences=True), merge_mode="sum"),
            layers.LSTM(4, return_sequences=True, dropout=0.3, recurrent_dropout=0.2),
            layers.Dropout(0.2),
            layers.Dense(9, activation="softmax"),
        ],
        **kwargs,
    )
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["acc", "perplexity"])
    return model


def token_model(**kwargs):
    model = Sequential(
        [
            layers.Embedding(11, 5),
            layers.LSTM(6, return_sequences=True),
            layers.Dense(11, activation="softmax"),
        ],
        **kwargs,
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def tokens(rows=8, steps=7, seed=0):
    return np.random.default_rng(seed).integers(0, 11, (rows, steps))


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a.get_weights(), b.get_weights(), strict=True))


def close(a, b, rtol):
    for x, y in zip(a.get_weights(), b.get_weights(), strict=True):
        np.testing.assert_allclose(x, y, rtol=rtol, atol=rtol)


def fit(model, x=X, y=Y, **kwargs):
    return model.fit(x, y, **{"verbose": 0, "batch_size": 5, **kwargs})
