"""Messages say what came, also where it may be large, and where the first bad value is."""

import numpy as np
import pytest
from models import IDS, X, Y, language, regression

from pylstm import Sequential, _checks, layers


def lstm():
    return layers.LSTM(4, return_sequences=True)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: lstm()(X, initial_state=X), ValueError, r"\[h, c\], two .*type ndarray"),
        (
            lambda: lstm()(X, initial_state=[X]),
            ValueError,
            r"\[h, c\].*; got a list of 1",
        ),
        (
            lambda: layers.Bidirectional(lstm())(X, initial_state=(X, X)),
            ValueError,
            r"\[h, c, h, c\].*got a tuple of 2",
        ),
        (
            lambda: layers.Bidirectional({"class_name": "GRU"}),
            ValueError,
            "layer: expected the configuration of an LSTM, got that of 'GRU'",
        ),
        (lambda: layers.LSTM(4, name=""), ValueError, "name: .*not empty, got ''"),
        (
            lambda: language().generate([1.0, 2.5], 3),
            ValueError,
            "prompt: expected integers, got 2.5, which is not whole",
        ),
        (
            lambda: Sequential.from_config({"layer": []}),
            TypeError,
            r"config: .*got a dict with the keys \['layer'\]",
        ),
        (
            lambda: setattr(regression().optimizer, "learning_rate", lambda step: 0.1),
            TypeError,
            "learning_rate: expected a number, got function; for a schedule",
        ),
        (
            lambda: regression().fit(iter([(X, Y)]), Y),
            ValueError,
            "y: expected None when x is an iterable of batches, got a value of type ndarray",
        ),
    ],
)
def test_a_message_says_what_came(call, error, match):
    with pytest.raises(error, match=match):
        call()


@pytest.mark.parametrize("value", [None, "text", 3, [1] * 3, (1,), {"b": 1, 2: 3}, np.zeros(9)])
def test_what_came_is_told_shortly(value):
    assert len(_checks.described(value)) < 40


def test_layers_without_states_take_a_mask():
    mask = np.arange(IDS.shape[1]) < 3
    for layer, x in ((layers.Dense(2), X), (layers.Dropout(0.5), X), (layers.Embedding(9, 2), IDS)):
        np.testing.assert_array_equal(layer(x, mask=mask), layer(x))


@pytest.mark.parametrize("bad", [4095, 4096, 4097, 9999])
def test_the_first_of_many_bad_rows_is_named(bad):
    x, y = np.zeros((10000, 1, 3)), np.zeros((10000, 2))
    x[bad:] = y[bad:] = np.nan
    with pytest.raises(ValueError, match=rf"x must .* row {bad}, step 0, feature 0"):
        regression().evaluate(x, y)
    with pytest.raises(ValueError, match=rf"y must .* row {bad}"):
        regression().evaluate(np.zeros_like(x), y)


def test_a_batch_of_0_is_refused():
    model = regression()
    for call in (model.evaluate, model.fit):
        with pytest.raises(ValueError, match=r"batch_size: .*at least 1, got 0"):
            call(X, Y, batch_size=0)
    with pytest.raises(ValueError, match=r"batch_size: .*at least 1, got 0"):
        model.predict(X, batch_size=0)
