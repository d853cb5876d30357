"""At steps that `mask_zero` or `Masking` leaves out, targets may be anything."""

import numpy as np
import pytest

import pylstm
from pylstm import Sequential, layers


@pytest.fixture(params=["mask_zero", "Masking"])
def fitted_to_padded(request):
    """A function that gives losses of some epochs and an evaluation, and the weights after them."""

    def fitted(y, loss, activation, **arguments):
        pylstm.set_seed(3)
        lstm = layers.LSTM(6, return_sequences=True)
        first, x = layers.Embedding(5, 4, mask_zero=True), TOKENS
        if request.param == "Masking":
            first, x = layers.Masking(-9), np.where(TOKENS == 0, -9, TOKENS)[..., None] * [1, 1]
        model = Sequential([first, lstm, layers.Dense(3, activation=activation)])
        model.compile("adam", loss)
        history = model.fit(x, y, epochs=3, verbose=0, **arguments).history
        return [*history["loss"], model.evaluate(x, y, verbose=0)], model.get_weights()

    return fitted


TOKENS = np.array([[1, 2, 0], [3, 0, 0], [4, 1, 2]])
LABELS = np.array([[1, 2, 0], [1, 0, 0], [0, 1, 2]])
SPARSE = ("sparse_categorical_crossentropy", "softmax")


@pytest.mark.parametrize("padding", [-1, -100, 99])
@pytest.mark.parametrize("dtype", [np.int64, np.int16, np.float32])
@pytest.mark.parametrize("arguments", [{}, {"class_weight": {1: 2.0}}, {"tbptt": 2}])
def test_labels_of_padding_may_be_any(fitted_to_padded, padding, dtype, arguments):
    expected, weights = fitted_to_padded(LABELS, *SPARSE, **arguments)
    labels = np.where(TOKENS == 0, padding, LABELS).astype(dtype)
    for y in (labels, labels[..., np.newaxis]):
        found, others = fitted_to_padded(y, *SPARSE, **arguments)
        assert found == expected
        assert all(map(np.array_equal, others, weights))


def test_targets_of_padding_may_be_nan(fitted_to_padded):
    y = np.random.default_rng(0).random((3, 3, 3))
    expected, weights = fitted_to_padded(y, "mse", None)
    y[TOKENS == 0] = np.nan
    found, others = fitted_to_padded(y, "mse", None)
    assert found == expected
    assert all(map(np.array_equal, others, weights))


def test_targets_of_real_steps_are_checked_beside_padding(fitted_to_padded):
    labels = np.where(TOKENS == 0, -1, LABELS)
    labels[2, 1] = 3
    with pytest.raises(IndexError, match="from 0 to 2, got 3 at row 2, step 1"):
        fitted_to_padded(labels, *SPARSE)
    y = np.where(TOKENS[..., np.newaxis] == 0, np.nan, np.ones((3, 3, 3)))
    y[1, 0, 2] = np.inf
    with pytest.raises(ValueError, match="got inf at row 1, step 0, feature 2"):
        fitted_to_padded(y, "mse", None)


def test_tags_of_padding_may_be_any(fitted_to_padded):
    expected, weights = fitted_to_padded(np.ones((3, 3, 3)), "binary_crossentropy", "sigmoid")
    y = np.where(TOKENS[..., np.newaxis] == 0, -1.0, np.ones((3, 3, 3)))
    found, others = fitted_to_padded(y, "binary_crossentropy", "sigmoid")
    assert found == expected
    assert all(map(np.array_equal, others, weights))
    y[2, 0, 1] = 2
    with pytest.raises(ValueError, match=r"numbers from 0 to 1, got 2\.0 at \(2, 0, 1\)"):
        fitted_to_padded(y, "binary_crossentropy", "sigmoid")
