"""Masking: steps whose features all are one value are left out, as by a mask of the caller's."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from helpers import (
    Array,
    all_same_bits,
    dense,
    dropout,
    fit,
    lstm,
    network,
    predict,
    same_bits,
    state_of,
)

import pylstm
from pylstm import Sequential, layers, load_model

DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])
VALUES = pytest.mark.parametrize("value", [0.0, -1.5, 0.1])
ROWS, STEPS, FEATURES = 12, 7, 3


def ragged(rng: np.random.Generator, value: float) -> tuple[Array, Array]:
    """Sequences with padding anywhere, one of nothing else, and their mask.

    Single features of real steps are `value` too.
    """
    x = rng.uniform(1, 2, (ROWS, STEPS, FEATURES))
    x[:, :, 1] = value
    mask = rng.random((ROWS, STEPS)) < 0.6
    mask[0], mask[1] = False, True
    x[~mask] = value
    return x, mask


@DTYPES
@VALUES
def test_masking_is_the_mask_of_its_value(
    value: float, dtype: str, isa: str, rng: np.random.Generator
) -> None:
    body = [lstm(19, return_sequences=True), dense(4, "tanh"), lstm(6), dense(2)]
    shape = (-1, FEATURES)
    nets = [
        network(entries, shape, dtype, rng=np.random.default_rng(1), loss="mean_squared_error")
        for entries in ([("Masking", {"mask_value": value}), *body], body)
    ]
    x, mask = ragged(rng, value)
    y = rng.uniform(-1, 1, (ROWS, 2))
    totals = [
        fit(net, x, y, mask=given, batch_size=5)
        for net, given in zip(nets, (None, mask), strict=True)
    ]
    assert totals[0] == totals[1]
    assert totals[0]["tokens"][0] == mask.sum()
    assert all_same_bits(state_of(nets[0])[0], state_of(nets[1])[0])
    assert same_bits(predict(nets[0], x), predict(nets[1], x, mask))


@DTYPES
@VALUES
def test_a_mask_of_the_caller_is_joined(value: float, dtype: str, rng: np.random.Generator) -> None:
    masking = ("Masking", {"mask_value": value})
    nets = [
        network(entries, (-1, FEATURES), dtype, rng=np.random.default_rng(1))
        for entries in ([masking, lstm(6)], [lstm(6)], [masking, dense(2)], [dense(2)])
    ]
    x, mask = ragged(rng, value)
    other = rng.random((ROWS, STEPS)) < 0.5
    got = predict(nets[0], x, other)
    assert same_bits(got, predict(nets[1], x, mask & other))
    assert not same_bits(got, predict(nets[1], x, mask))
    zeroed = np.where(mask[..., None], x, 0)  # by the layer, not by the caller's mask
    assert same_bits(predict(nets[2], x, other), predict(nets[3], zeroed))
    dy = [rng.uniform(-1, 1, (ROWS, STEPS, 2))]
    got, plain = (
        net.call_gradients(given, None, other, dy)[1]
        for net, given in zip(nets[2:], (x, zeroed), strict=True)
    )
    assert same_bits(got, np.where(mask[..., None], plain, plain.dtype.type(0)))


@DTYPES
@VALUES
def test_a_masked_step_is_0_and_so_is_its_gradient(
    value: float, dtype: str, rng: np.random.Generator
) -> None:
    """To the layers that look at it, as Dense does."""
    nets = [
        network(entries, (-1, FEATURES), dtype, rng=np.random.default_rng(1))
        for entries in ([("Masking", {"mask_value": value}), dense(2)], [dense(2)])
    ]
    x, mask = ragged(rng, value)
    zeroed = np.where(mask[..., None], x, 0)
    assert same_bits(predict(nets[0], x), predict(nets[1], zeroed))
    dy = [rng.uniform(-1, 1, (ROWS, STEPS, 2))]
    got, plain = (
        net.call_gradients(given, None, None, dy)
        for net, given in zip(nets, (x, zeroed), strict=True)
    )
    assert all_same_bits(got[0], plain[0])
    assert same_bits(got[1], np.where(mask[..., None], plain[1], plain[1].dtype.type(0)))


def test_the_value_is_compared_in_the_dtype_of_the_model() -> None:
    """0.1 of float32 is not 0.1 of float64; 1e-60 is 0 to a network of floats."""
    third = np.full((1, 1, 2), np.float32(0.1))
    for dtype, masked in (("float32", True), ("float64", False)):
        layer = layers.Masking(0.1, dtype=dtype)
        assert layer.compute_mask(third)[0, 0] == (not masked)
        assert (layer(third) == 0).all() == masked
    for tiny, dtype, masked in (
        (1e-60, "float32", True),
        (1e-40, "float32", True),  # denormal
        (1e-60, "float64", False),
        (1e-310, "float64", True),  # denormal
    ):
        x = np.full((1, 1, 2), tiny)
        layer = layers.Masking(dtype=dtype)
        assert layer.compute_mask(x)[0, 0] == (not masked)
        row = np.concatenate([np.ones((1, 1, 2)), x], axis=1)
        after = layers.LSTM(3, dtype=dtype, return_sequences=True, zero_output_for_mask=True)
        assert (Sequential([layer, after], dtype=dtype).predict(row)[0, 1] == 0).all() == masked


@pytest.mark.parametrize(
    ("layer", "x"),
    [
        (layers.Masking(), np.ones((2, 3, 1))),
        (layers.Embedding(3, 2, mask_zero=True), np.ones((2, 3), int)),
        (layers.LSTM(3, return_sequences=True), np.ones((2, 3, 1))),
        (layers.Dense(3), np.ones((2, 3, 1))),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_layer_hands_a_mask_on(layer: layers.Layer, x: Array) -> None:
    mask = np.array([[1, 0, 1], [0, 1, 1]])
    assert np.array_equal(layer.compute_mask(x, mask), mask == 1)
    with pytest.raises(ValueError, match=r"mask: expected shape \(2, 3\), got \(1, 3\)"):
        layer.compute_mask(x, np.ones((1, 3)))


def tagged() -> Sequential:
    """A model that tags every step, compiled."""
    pylstm.set_seed(3)
    stack = [
        layers.Masking(-1.5),
        layers.Bidirectional(layers.LSTM(5, return_sequences=True)),
        layers.Dropout(0.2),
        layers.Dense(3, activation="softmax"),
    ]
    model = Sequential(stack)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def test_a_model_with_masking_is_saved_copied_and_called(
    tmp_path: object, rng: np.random.Generator
) -> None:
    x, mask = ragged(rng, -1.5)
    model = tagged()
    model.fit(x, np.where(mask, 1, -7), epochs=2, verbose=0)
    model.save(f"{tmp_path}/model")
    y = model.predict(x)
    for other in (load_model(f"{tmp_path}/model"), copy.deepcopy(model)):
        assert other.layers[0].mask_value == -1.5
        assert same_bits(other.predict(x), y)
    h, known = x, None
    for layer in model.layers:
        h, known = layer(h, mask=known), layer.compute_mask(h, known)
    assert same_bits(h, y)
    assert np.array_equal(known, mask)
    assert layers.LSTM(3).compute_mask(x, mask) is None
    assert np.isfinite(model(x, training=True)).all()


def test_metrics_and_losses_in_python_pass_over_padding(rng: np.random.Generator) -> None:
    x, mask = ragged(rng, -1.5)
    seen = []

    def loss(y_true, y_pred, sample_weight):
        seen.append(sample_weight)
        return 0.0, np.zeros_like(y_pred)

    def target(y_true, y_pred):
        return y_true[..., 0]

    y = np.where(mask, 2.0, 7.0)[..., None] * np.ones(3)
    model = tagged()
    model.compile("adam", loss, metrics=[target])
    history = model.fit(x, y, batch_size=ROWS, shuffle=False, verbose=0).history
    assert np.array_equal(seen[0], mask)
    assert history["target"] == [2.0]
    labels = np.where(mask, 0, 2)
    model = tagged()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    right = (model.predict(x).argmax(-1) == labels)[mask].mean()
    assert model.evaluate(x, labels, verbose=0)[1] == pytest.approx(right, abs=1e-12)


def test_windows_of_a_stream_are_masked_like_the_whole(rng: np.random.Generator) -> None:
    x, mask = ragged(rng, 0.0)
    stack = [layers.Masking(), layers.LSTM(5, return_sequences=True, stateful=True)]
    stream = Sequential(stack)
    whole = stream.predict(x)
    stream.reset_state()
    windows = [stream.predict(x[:, i : i + 2]) for i in range(0, STEPS, 2)]
    assert same_bits(np.concatenate(windows, axis=1)[mask], whole[mask])


def test_masking_is_first_and_needs_steps_and_a_number() -> None:
    with pytest.raises(ValueError, match="a Masking must be the first layer"):
        Sequential([layers.LSTM(3, return_sequences=True), layers.Masking()])
    with pytest.raises(ValueError, match=r"must be the first layer; .* mask_zero=True"):
        Sequential([layers.Masking(), layers.Embedding(3, 4)])
    with pytest.raises(ValueError, match="a Masking must be the first layer"):
        network([dropout(0.5), ("Masking", {})], (-1, 3))
    with pytest.raises(ValueError, match=r"expected an input of shape \(rows, steps, features\)"):
        Sequential([layers.Input((3,)), layers.Masking()])
    with pytest.raises(ValueError, match="Masking needs samples of shape"):
        network([("Masking", {})], (3,))
    with pytest.raises(ValueError, match=r"x: expected \(rows, steps, features\), got \(2, 3\)"):
        layers.Masking().compute_mask(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="mask_value: expected a finite number, got nan"):
        layers.Masking(float("nan"))
    with pytest.raises(TypeError, match="mask_value: expected a number, got None"):
        layers.Masking(None)
