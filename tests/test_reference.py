"""The NumPy specification: gradients against central differences, and the laws of a masked LSTM."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import pylstm
from pylstm import layers, optimizers, reference

Array = npt.NDArray[Any]

# Central differences in float64: truncation error STEP**2 * f''' / 6 and rounding error
# eps * |f| / STEP are both below 1e-9 for functions and derivatives of order 1 to 10.
STEP = 1e-5
TOLERANCE = 1e-8


def numerical_gradient(function: Callable[[], float], array: Array) -> Array:
    """Central differences of ``function``; ``array`` is changed and restored."""
    gradient = np.empty_like(array)
    for index in np.ndindex(array.shape):
        kept = array[index]
        array[index] = kept + STEP
        above = function()
        array[index] = kept - STEP
        below = function()
        array[index] = kept
        gradient[index] = (above - below) / (2 * STEP)
    return gradient


def random_lstm(
    batch: int, steps: int, features: int, units: int, dtype: str = "float64"
) -> dict[str, Array]:
    rng = np.random.default_rng([batch, steps, features, units])
    shapes = {
        "x": (batch, steps, features),
        "kernel": (features, 4 * units),
        "recurrent_kernel": (units, 4 * units),
        "bias": (4 * units,),
        "h0": (batch, units),
        "c0": (batch, units),
    }
    return {name: rng.normal(0, 0.7, shape).astype(dtype) for name, shape in shapes.items()}


def run(arrays: dict[str, Array], mask: Array | None = None, **options: bool) -> Any:
    x, kernel, recurrent, bias, h0, c0 = arrays.values()
    return reference.lstm_forward(x, kernel, recurrent, bias, (h0, c0), mask, **options)


def masks(batch: int, steps: int) -> list[Any]:
    lengths = np.arange(batch)[:, None] % (steps + 1)
    return [
        pytest.param(None, id="no_mask"),
        pytest.param(np.arange(steps) < lengths, id="right_padded_one_row_empty"),
        pytest.param(np.arange(steps) >= lengths, id="left_padded"),
        pytest.param(np.random.default_rng(0).random((batch, steps)) < 0.5, id="holes"),
    ]


@pytest.mark.parametrize("zero_output_for_mask", [False, True])
@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("mask", masks(3, 4))
def test_lstm_gradients_match_central_differences(
    mask: Array | None, go_backwards: bool, zero_output_for_mask: bool
) -> None:
    arrays = random_lstm(3, 4, 2, 3)
    options = {"go_backwards": go_backwards, "zero_output_for_mask": zero_output_for_mask}
    y, (h, c), cache = run(arrays, mask, **options)
    rng = np.random.default_rng(1)
    dy, dh, dc = (rng.normal(size=a.shape) for a in (y, h, c))

    def scalar() -> float:
        y, (h, c), _ = run(arrays, mask, **options)
        return float((y * dy).sum() + (h * dh).sum() + (c * dc).sum())

    gradients = reference.lstm_backward(dy, cache, (dh, dc))
    for (name, array), gradient in zip(arrays.items(), gradients, strict=True):
        expected = numerical_gradient(scalar, array)
        np.testing.assert_allclose(gradient, expected, 0, TOLERANCE, err_msg=name)


def test_language_model_gradients_match_central_differences() -> None:
    rng = np.random.default_rng(2)
    shapes = [(5, 3), (3, 16), (4, 16), (16,), (4, 5), (5,)]
    weights = [rng.normal(0, 0.7, shape) for shape in shapes]
    tokens, targets = rng.integers(0, 5, (2, 2, 6))  # tokens repeat, so dE has to add
    state = (rng.normal(size=(2, 4)), rng.normal(size=(2, 4)))

    def loss() -> float:
        return float(reference.language_model_gradients(weights, tokens, targets, state)[0])

    gradients = reference.language_model_gradients(weights, tokens, targets, state)[1]
    for position, (array, gradient) in enumerate(zip(weights, gradients, strict=True)):
        expected = numerical_gradient(loss, array)
        np.testing.assert_allclose(gradient, expected, 0, TOLERANCE, err_msg=str(position))


def test_one_step_is_the_textbook_equation() -> None:
    arrays = random_lstm(1, 1, 1, 1)
    x, kernel, recurrent, bias, h0, c0 = (a.ravel() for a in arrays.values())
    zi, zf, zg, zo = x[0] * kernel + h0[0] * recurrent + bias
    c = c0[0] / (1 + np.exp(-zf)) + np.tanh(zg) / (1 + np.exp(-zi))
    h = np.tanh(c) / (1 + np.exp(-zo))
    y, state, _ = run(arrays)
    np.testing.assert_allclose([y[0, 0, 0], state[0][0, 0], state[1][0, 0]], [h, h, c], rtol=1e-14)


@pytest.mark.parametrize("go_backwards", [False, True])
def test_masked_row_equals_the_shorter_sequence(go_backwards: bool) -> None:
    arrays = random_lstm(1, 6, 2, 3)
    mask = np.array([[True, False, True, True, False, False]])
    y, state, cache = run(arrays, mask, go_backwards=go_backwards)
    short = dict(arrays, x=arrays["x"][:, mask[0]])
    short_y, short_state, short_cache = run(short, go_backwards=go_backwards)
    order = mask[:, ::-1] if go_backwards else mask
    np.testing.assert_array_equal(y[order], short_y[0])
    np.testing.assert_array_equal(state, short_state)
    dy = np.random.default_rng(3).normal(size=short_y.shape)
    full_dy = np.zeros_like(y)
    full_dy[order] = dy[0]
    gradients = reference.lstm_backward(full_dy, cache)
    expected = reference.lstm_backward(dy, short_cache)
    # the same terms and some zeros, summed by BLAS in another order: 6 terms of order 1
    for name in ("kernel", "recurrent_kernel", "bias", "h0", "c0"):
        np.testing.assert_allclose(
            getattr(gradients, name), getattr(expected, name), rtol=1e-13, atol=1e-14
        )
    np.testing.assert_allclose(gradients.x[mask], expected.x[0], rtol=1e-13, atol=1e-14)
    assert not gradients.x[~mask].any()


def test_values_at_masked_steps_are_never_used() -> None:
    arrays = random_lstm(2, 5, 2, 3)
    mask = np.array([[True, True, False, False, False], [False, True, True, True, False]])
    y, state, cache = run(arrays, mask)
    gradients = reference.lstm_backward(np.ones_like(y), cache)
    arrays["x"][~mask] = np.nan
    y_nan, state_nan, cache_nan = run(arrays, mask)
    np.testing.assert_array_equal(y, y_nan)
    np.testing.assert_array_equal(state, state_nan)
    for a, b in zip(gradients, reference.lstm_backward(np.ones_like(y), cache_nan), strict=True):
        np.testing.assert_array_equal(a, b)


def test_masked_step_puts_out_the_last_output_or_zero() -> None:
    arrays = random_lstm(1, 4, 2, 2)
    mask = np.array([[False, True, False, True]])
    held, (h, c), _ = run(arrays, mask)
    first, last = held[0, 1], held[0, 3]
    np.testing.assert_array_equal(held[0], [np.zeros(2), first, first, last])  # not h0
    zeroed, states, _ = run(arrays, mask, zero_output_for_mask=True)
    np.testing.assert_array_equal(zeroed[0], [np.zeros(2), first, np.zeros(2), last])
    np.testing.assert_array_equal(states, (h, c))
    np.testing.assert_array_equal(h[0], last)


def test_row_that_is_all_masked_returns_its_initial_state_and_zeros() -> None:
    arrays = random_lstm(2, 3, 2, 2)
    mask = np.array([[True, True, True], [False, False, False]])
    y, (h, c), _ = run(arrays, mask)
    assert not y[1].any()
    np.testing.assert_array_equal((h[1], c[1]), (arrays["h0"][1], arrays["c0"][1]))


def test_going_backwards_is_running_the_reversed_input() -> None:
    arrays = random_lstm(2, 5, 3, 4)
    y, state, _ = run(arrays, go_backwards=True)
    reversed_y, reversed_state, _ = run(dict(arrays, x=arrays["x"][:, ::-1]))
    np.testing.assert_array_equal(y, reversed_y)
    np.testing.assert_array_equal(state, reversed_state)


def test_state_carried_between_windows_gives_the_whole_run() -> None:
    arrays = random_lstm(2, 7, 3, 4)
    whole, final, _ = run(arrays)
    first, (h, c), _ = run(dict(arrays, x=arrays["x"][:, :3]))
    rest, last, _ = run(dict(arrays, x=arrays["x"][:, 3:], h0=h, c0=c))
    # one step is the same product whatever the window; only the input product has other rows
    np.testing.assert_allclose(np.concatenate([first, rest], 1), whole, rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(last, final, rtol=1e-14, atol=1e-15)


def test_zero_steps_return_the_initial_state() -> None:
    arrays = random_lstm(2, 0, 3, 4)
    y, (h, c), cache = run(arrays)
    assert y.shape == (2, 0, 4)
    np.testing.assert_array_equal((h, c), (arrays["h0"], arrays["c0"]))
    assert reference.lstm_backward(y, cache).kernel.shape == (3, 16)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtype_follows_the_inputs(dtype: str) -> None:
    arrays = random_lstm(2, 3, 2, 3, dtype)
    y, (h, c), cache = run(arrays, np.ones((2, 3), bool))
    assert {a.dtype for a in (y, h, c, *reference.lstm_backward(y, cache))} == {np.dtype(dtype)}
    weights = [np.ones(s, dtype) for s in [(5, 3), (3, 16), (4, 16), (16,), (4, 5), (5,)]]
    tokens = np.zeros((1, 2), np.int64)
    loss, gradients, _ = reference.language_model_gradients(weights, tokens, tokens)
    assert {a.dtype for a in (loss, *gradients)} == {np.dtype(dtype)}


def test_sigmoid_is_accurate_far_from_zero_and_silent() -> None:
    z = np.array([-1000.0, -40.0, 0.0, 40.0, 1000.0])
    with np.errstate(all="raise", under="ignore"):
        result = reference.sigmoid(z)
    np.testing.assert_allclose(result, [0.0, 4.248354255291589e-18, 0.5, 1.0, 1.0], rtol=1e-15)


def test_cross_entropy_of_huge_logits_is_finite() -> None:
    loss, dlogits = reference.softmax_cross_entropy(np.array([[1e4, -1e4]]), np.array([1]))
    assert loss == 2e4
    np.testing.assert_array_equal(dlogits, [[1.0, -1.0]])


def test_adam_follows_its_equation() -> None:
    gradients = [np.array([0.5, -2.0]), np.array([1e-9, 3.0]), np.array([0.0, 1.0])]
    weight = np.array([1.0, -1.0])
    adam = reference.Adam([weight], learning_rate=0.1, beta_1=0.8, beta_2=0.9, epsilon=1e-4)
    for gradient in gradients:
        adam.update([weight], [gradient])
    expected, m, v = np.array([1.0, -1.0]), np.zeros(2), np.zeros(2)
    for t, g in enumerate(gradients, start=1):
        m, v = 0.8 * m + 0.2 * g, 0.9 * v + 0.1 * g * g
        rate = 0.1 * np.sqrt(1 - 0.9**t) / (1 - 0.8**t)
        expected = expected - rate * m / (np.sqrt(v) + 1e-4)
    assert adam.iterations == 3
    np.testing.assert_allclose(weight, expected, rtol=1e-14)


def test_training_steps_learn_a_small_text() -> None:
    rng = np.random.default_rng(4)
    text = np.tile([0, 1, 2, 3, 2, 1], 20)
    tokens, targets = text[None, :-1], text[None, 1:]
    shapes = [(4, 8), (8, 32), (8, 32), (32,), (8, 4), (4,)]
    weights = [rng.normal(0, 0.3, shape).astype(np.float32) for shape in shapes]
    adam = reference.Adam(weights, learning_rate=0.02)
    losses = [float(reference.training_step(weights, adam, tokens, targets)) for _ in range(150)]
    assert losses[0] > 1.0  # about log(4) nats
    assert losses[-1] < 0.1


@pytest.mark.parametrize("isa", pylstm.available_isas())
def test_engine_takes_the_same_training_steps(isa: str) -> None:
    before = pylstm.active_isa()
    pylstm.use_isa(isa)
    try:
        pylstm.set_seed(5)
        lstm = layers.LSTM(9, return_sequences=True)
        dense = layers.Dense(11, activation="softmax")
        model = pylstm.Sequential([layers.Embedding(11, 7), lstm, dense], dtype="float64")
        model.compile(optimizers.Adam(0.001), "sparse_categorical_crossentropy")
        weights = model.get_weights()
        adam = reference.Adam(weights, learning_rate=0.001)
        for seed in range(5):
            tokens, targets = np.random.default_rng(seed).integers(0, 11, (2, 3, 6))
            loss = model.train_on_batch(tokens, targets)
            expected = reference.training_step(weights, adam, tokens, targets)
            assert loss == pytest.approx(expected, rel=1e-12)
        # gradients agree to 1e-15; Adam divides them by no less than epsilon: 5 * 1e-3 * 1e-8
        for got, wanted in zip(model.get_weights(), weights, strict=True):
            np.testing.assert_allclose(got, wanted, rtol=0, atol=5e-11)
    finally:
        pylstm.use_isa(before)
