"""`utils.check_gradient` tells a loss's right gradient from a wrong one."""

import re
from functools import partial

import numpy as np
import pytest

from pylstm.utils import check_gradient


def huber(y_true, y_pred, factor=1.0):
    error = y_pred - y_true
    slope = np.clip(error, -1, 1)
    return (slope * (error - slope / 2)).mean(), factor * slope / error.size


def weighted(y_true, y_pred, sample_weight):
    error = y_pred - y_true
    weights = sample_weight[:, None] / error.size
    return (weights * error**2).sum(), 2 * weights * error


def pinball(y_true, y_pred, wrong=0.5):
    quantiles, error = np.array([0.1, 0.5, 0.9]), y_true - y_pred
    told = np.array([0.1, wrong, 0.9])
    loss = np.maximum(quantiles * error, (quantiles - 1) * error).mean()
    return loss, np.where(error >= 0, -told, 1 - told) / error.size


def sparse(y_true, y_pred, factor=1.0):
    rows = np.arange(len(y_true))
    gradient = np.zeros_like(y_pred)
    gradient[rows, y_true] = -factor / y_pred[rows, y_true] / len(y_true)
    return -np.log(y_pred[rows, y_true]).mean(), gradient


def binary(y_true, y_pred):
    loss = -(y_true * np.log(y_pred) + (1 - y_true) * np.log(1 - y_pred)).mean()
    return loss, (y_pred - y_true) / (y_pred * (1 - y_pred)) / y_pred.size


@pytest.mark.parametrize("shape", [(1,), (40, 1), (16, 5, 3), (100, 96)])
def test_a_scale_and_a_sign_are_seen(shape):
    rng = np.random.default_rng(0)
    y_true, y_pred = rng.normal(size=shape), rng.normal(size=shape) * 3
    check_gradient(huber, y_true, y_pred)
    with pytest.raises(ValueError, match=r"huber returns the gradient .* but its value changes by"):
        check_gradient(partial(huber, factor=1.001), y_true, y_pred)
    check_gradient(partial(huber, factor=1.001), y_true, y_pred, tolerance=0.01)
    for factor in (0, -1):
        with pytest.raises(ValueError, match="returns the gradient"):
            check_gradient(partial(huber, factor=factor), y_true, y_pred)


def test_every_place_is_looked_at():
    y_true, y_pred = np.random.default_rng(0).normal(size=(2, 20, 2))
    y_pred[3, 1] *= 1e6  # one large number hides no other
    for place in np.ndindex(y_pred.shape):

        def wrong_there(y_true, y_pred, place=place):
            value, gradient = huber(y_true, y_pred)
            gradient[place] += 1e-3
            return value, gradient

        with pytest.raises(ValueError, match=re.escape(f"of y_pred, at {place}")):
            check_gradient(wrong_there, y_true, y_pred)


@pytest.mark.parametrize("rows", [5, 99, 198, 594, 2000])
def test_a_wrong_column_is_seen_in_any_number_of_rows(rows):
    rng = np.random.default_rng(0)
    y_true, y_pred = rng.normal(size=(rows, 1)), rng.normal(size=(rows, 3))
    check_gradient(pinball, y_true, y_pred)
    with pytest.raises(ValueError, match="pinball returns the gradient"):
        check_gradient(partial(pinball, wrong=0.501), y_true, y_pred)


@pytest.mark.parametrize("rows", [3, 32])
def test_few_gradients_among_many_zeros_are_looked_at(rows):
    rng = np.random.default_rng(0)
    y_true, y_pred = rng.integers(0, 1000, rows), rng.dirichlet(np.full(1000, 0.1), rows) + 1e-6
    check_gradient(sparse, y_true, y_pred)
    for factor in (-1, 2):
        with pytest.raises(ValueError, match="sparse returns the gradient"):
            check_gradient(partial(sparse, factor=factor), y_true, y_pred)


def test_one_wrong_number_of_many_is_seen():
    def wrong(y_true, y_pred):
        value, gradient = huber(y_true, y_pred)
        gradient[777, 7] = 99
        return value, gradient

    with pytest.raises(ValueError, match=r"returns the gradient 99, but .* at \(777, 7\)"):
        check_gradient(wrong, np.zeros((800, 16)), np.full((800, 16), 0.5))


@pytest.mark.parametrize("small", [1e-3, 1e-4, 1e-7, 1e-30])
def test_small_probabilities_are_no_fault(small):
    y_pred = np.array([[small], [0.5], [1 - max(small, 1e-7)]])
    check_gradient(binary, np.array([[1.0], [1.0], [1.0]]), y_pred)


def test_at_a_kink_any_slope_between_is_right():
    zeros = np.zeros((4, 3))
    check_gradient(pinball, zeros, zeros)
    check_gradient(pinball, zeros + 1e6, zeros + 1e6 - 3)
    with pytest.raises(ValueError, match=r"returns the gradient -0\.075, but"):
        check_gradient(lambda t, p: (pinball(t, p)[0], pinball(t, p)[1] * -1), zeros, zeros + 1)


def test_weights_reach_the_loss_and_arguments_stay():
    def rude(y_true, y_pred, sample_weight):
        found = weighted(y_true, y_pred, sample_weight)
        for array in (y_true, y_pred, sample_weight):
            array *= 0
        return found

    given = [np.random.default_rng(0).uniform(0.5, 2, shape) for shape in ((5, 1), (5, 1), 5)]
    before = [array.copy() for array in given]
    check_gradient(rude, *given)
    assert all(map(np.array_equal, given, before))
    check_gradient(weighted, given[0], given[1], [1, 2, 3, 4, 5])
    with pytest.raises(ValueError, match="sample_weight: the loss huber has no such parameter"):
        check_gradient(huber, *given)


def test_what_cannot_be_compared_is_refused():
    zeros = np.zeros(3)
    with pytest.raises(ValueError, match="gives a loss or a gradient that is not finite"):
        check_gradient(lambda t, p: (0.0, p * np.nan), zeros, zeros)
    with pytest.raises(ValueError, match=r"is not finite next to y_pred at \(0,\)"):
        check_gradient(lambda t, p: (0.0 if (p == 0).all() else np.inf, p), zeros, zeros)
    for bad in (np.zeros((0, 3)), np.array(1.0)):
        with pytest.raises(ValueError, match="y_pred: expected at least one row"):
            check_gradient(huber, bad, bad)
    with pytest.raises(TypeError, match=r"must return \(loss, gradient\)"):
        check_gradient(lambda t, p: 0.0, zeros, zeros)
