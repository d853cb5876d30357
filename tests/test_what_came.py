"""Messages say what came, also where it may be large, and where the first bad value is."""

import numpy as np
import pytest
from models import X, Y, language, regression

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
            "layer: .*of an LSTM, got class_name 'GRU', config None",
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
            "config: .*got a dict with the keys 'layer'",
        ),
        (
            lambda: setattr(regression().optimizer, "learning_rate", lambda step: 0.1),
            TypeError,
            "learning_rate: expected a number, got function; for a schedule",
        ),
        (
            lambda: regression().fit(lambda: iter([(X, Y)])),
            ValueError,
            "y: expected targets, got None; x is a function: call it",
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


@pytest.mark.parametrize(
    "value",
    [None, "text", 3, [1] * 3, (1,), {"b": 1, 2: 3}, {i: i for i in range(1000)}, np.zeros(9)],
)
def test_what_came_is_told_shortly(value):
    assert len(_checks.described(value)) < 40


@pytest.mark.parametrize("bad", [4095, 4096, 4097, 9999])
def test_the_first_of_many_bad_rows_is_named(bad):
    x, y = np.zeros((10000, 1, 3)), np.zeros((10000, 2))
    x[bad:] = y[bad:] = np.nan
    with pytest.raises(ValueError, match=rf"x must .* row {bad}, step 0, feature 0"):
        regression().evaluate(x, y)
    with pytest.raises(ValueError, match=rf"y must .* row {bad}"):
        regression().evaluate(np.zeros_like(x), y)


def test_the_first_of_bad_numbers_is_named_wherever_it_is():
    good = np.zeros((100_000, 3))
    for values in (good, good[:0], np.float64(1), good[0], good.astype("i4"), good.reshape(1, -1)):
        _checks.finite("y", np.asarray(values))
    for bad in [(0, 0), (21_845, 0), (21_846, 1), (70_000, 2), (99_999, 2)]:
        values = good.copy()
        values[bad] = values[-1, -1] = np.inf
        with pytest.raises(ValueError, match=rf"y: .* got inf at \({bad[0]}, {bad[1]}\)"):
            _checks.finite("y", values)
    with pytest.raises(ValueError, match=r"y: .*float32 can hold, got 1e\+39 at \(1, 0, 2\)"):
        _checks.finite("y", np.array([[[0.0] * 3], [[0, 0, 1e39]]]), "float32")
    with pytest.raises(ValueError, match=r"y: .* got nan at \(\)"):
        _checks.finite("y", np.array(np.nan))
