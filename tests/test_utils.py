"""Helpers for data."""

import inspect

import numpy as np
import pytest

import pylstm
from pylstm.utils import pad_sequences


def test_pad_sequences_has_keras_arguments():
    names = "sequences maxlen dtype padding truncating value"
    assert list(inspect.signature(pad_sequences).parameters) == names.split()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, [[0, 0, 0], [0, 0, 1], [2, 3, 4]]),
        ({"padding": "post"}, [[0, 0, 0], [1, 0, 0], [2, 3, 4]]),
        ({"maxlen": 2}, [[0, 0], [0, 1], [3, 4]]),
        ({"maxlen": 2, "truncating": "post"}, [[0, 0], [0, 1], [2, 3]]),
        ({"maxlen": 4, "value": 9}, [[9, 9, 9, 9], [9, 9, 9, 1], [9, 2, 3, 4]]),
        ({"maxlen": 1, "padding": "post"}, [[0], [1], [4]]),
    ],
)
def test_rows_are_padded_and_cut_as_in_keras(arguments, expected):
    found = pad_sequences([[], [1], [2, 3, 4]], **arguments)
    assert found.dtype == np.int32
    assert np.array_equal(found, expected)


def test_rows_of_features_are_padded_whole():
    rows = [np.ones((2, 3)), np.full((1, 3), 0.5), []]
    found = pad_sequences(rows, dtype="float32", padding="post", value=-1.0)
    assert found.dtype == np.float32
    assert found.shape == (3, 2, 3)
    assert np.array_equal(found[0], np.ones((2, 3)))
    assert np.array_equal(found[1], [[0.5] * 3, [-1] * 3])
    assert np.array_equal(found[2], np.full((2, 3), -1))


def test_rows_of_several_dtypes_and_kinds():
    rows = [[1, 2], [0.5], np.array([3], np.int8), range(3), (True,), np.array([4], ">i4")]
    found = pad_sequences(rows, dtype="float64", padding="post")
    expected = [[1, 2, 0], [0.5, 0, 0], [3, 0, 0], [0, 1, 2], [1, 0, 0], [4, 0, 0]]
    assert found.dtype == np.float64
    assert np.array_equal(found, expected)


def test_no_rows_are_an_empty_array():
    assert pad_sequences([]).shape == (0, 0)
    assert pad_sequences([], maxlen=3).shape == (0, 3)


@pytest.mark.parametrize(
    ("error", "match", "arguments"),
    [
        (
            TypeError,
            "sequences: expected a list of rows, got a value of type generator",
            [(i for i in ())],
        ),
        (TypeError, "sequences: expected a list of rows, got a value of type str", ["abc"]),
        (TypeError, r"sequences\[1\]: expected an array, got int", [[[1], 3]]),
        (TypeError, r"sequences\[1\]: expected a list or an array of steps", [[[1], np.int32(3)]]),
        (TypeError, r"sequences\[0\]: expected an array, got str", [["abc"]]),
        (ValueError, r"sequences\[0\]: its steps differ in shape", [[[[1, 2], [3]]]]),
        (ValueError, r"sequences\[1\]: 0.5 is no int32; give another dtype", [[[1], [2, 0.5]]]),
        (ValueError, r"sequences\[0\]: 5000000000 is no int32", [[[5_000_000_000]]]),
        (ValueError, r"sequences\[0\]: nan is no int32", [[[float("nan")]]]),
        (
            ValueError,
            r"sequences\[1\]: 16777217 is no float32; give another dtype$",
            [[[1], [2, 16777217]], None, "float32"],
        ),
        (ValueError, "value: 0.5 is no int32", [[[1]], None, "int32", "pre", "pre", 0.5]),
        (ValueError, r"sequences\[0\]: 1e\+39 is no float32", [[[1e39]], None, "float32"]),
        (
            ValueError,
            r"\[2\]: expected steps of shape \(2,\), as in sequences\[1\], got \(3,\)",
            [[[], np.ones((1, 2)), np.ones((1, 3))]],
        ),
        (ValueError, "maxlen: expected an integer of at least 1, got 0", [[[1]], 0]),
        (ValueError, "dtype: expected one of real numbers", [[[1]], None, "object"]),
        (ValueError, "dtype: expected one of real numbers", [[[1]], None, "numbers"]),
        (ValueError, "padding", [[[1]], None, "int32", "left"]),
        (ValueError, "truncating", [[[1]], None, "int32", "pre", "left"]),
    ],
)
def test_bad_rows_and_settings_are_named(error, match, arguments):
    with pytest.raises(error, match=match):
        pad_sequences(*arguments)


def test_what_else_keras_has_there_is_told_what_to_do():
    with pytest.raises(AttributeError, match="SparseCategoricalCrossentropy takes integer labels"):
        _ = pylstm.utils.to_categorical
    with pytest.raises(AttributeError, match=r"pylstm\.set_seed"):
        _ = pylstm.utils.set_random_seed
