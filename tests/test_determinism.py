"""What must give the same bits: a run again, a row alone, inference and training, a run resumed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from helpers import (
    Array,
    Entry,
    all_same_bits,
    bidirectional,
    dense,
    dropout,
    embedding,
    fit,
    lstm,
    make_mask,
    network,
    predict,
    same_bits,
    state_of,
)

from pylstm import _core

DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])

Model = tuple[list[Entry], tuple[int, ...]]


def sequences() -> Model:
    return [lstm(37, return_sequences=True), dense(11, "softmax")], (-1, 5)


def last_step() -> Model:
    return [lstm(16), dense(33, "relu"), dense(3, "sigmoid")], (-1, 5)


def both_directions() -> Model:
    inner = lstm(9, return_sequences=True)
    return [bidirectional(inner), lstm(70, go_backwards=True), dense(2, "tanh")], (-1, 5)


def tokens() -> Model:
    return [embedding(7, 20, mask_zero=True), lstm(20), dense(7, "softmax")], (-1,)


def many_classes() -> Model:
    return [lstm(16, return_sequences=True), dense(150, "softmax")], (-1, 5)


def vectors() -> Model:
    return [dense(65, "tanh"), dense(130)], (5,)


MODELS = pytest.mark.parametrize(
    "model",
    [sequences, last_step, both_directions, tokens, many_classes, vectors],
    ids=lambda f: f.__name__,
)


def inputs(model: Callable[[], Model], rows: int, rng: np.random.Generator) -> Array:
    entries, shape = model()
    if entries[0][0] == "Embedding":
        return rng.integers(0, 7, (rows, 6))
    return rng.uniform(-2, 2, (rows, 5) if len(shape) == 1 else (rows, 6, 5))


# ---- rows


@DTYPES
@MODELS
def test_a_row_is_what_it_is_alone(
    model: Callable[[], Model], dtype: str, isa: str, rng: np.random.Generator
) -> None:
    """In batches of every size about the tiles, at every place."""
    net = network(*model(), dtype, rng=rng)
    x = inputs(model, 27, rng)
    alone = predict(net, x, batch_size=1)
    for batch_size in (2, 3, 4, 5, 6, 7, 8, 11, 13, 27):
        assert same_bits(predict(net, x, batch_size=batch_size), alone), batch_size
    order = rng.permutation(len(x))
    assert same_bits(predict(net, x[order], batch_size=27), alone[order])


@DTYPES
def test_a_masked_row_is_what_it_is_alone(dtype: str, isa: str, rng: np.random.Generator) -> None:
    net = network(
        [bidirectional(lstm(19, return_sequences=True)), lstm(6)], (-1, 4), dtype, rng=rng
    )
    x = rng.uniform(-2, 2, (13, 7, 4))
    mask = make_mask("scattered_one_row_empty", 13, 7, rng)
    assert mask is not None
    assert same_bits(predict(net, x, mask, 13), predict(net, x, mask, 1))


@DTYPES
@pytest.mark.parametrize("lengths", [[20, 20, 20, 3, 2], [9] * 7 + [4] * 7, [2] * 16 + [1] * 3])
def test_a_padded_row_is_what_it_is_alone(
    lengths: list[int], dtype: str, isa: str, rng: np.random.Generator
) -> None:
    """Of few rows that share steps, and of more, whose number changes between two steps."""
    net = network([lstm(19, return_sequences=True), lstm(6)], (-1, 4), dtype, rng=rng)
    x = rng.uniform(-2, 2, (len(lengths), 20, 4))
    mask = np.arange(20) < np.reshape(lengths, (-1, 1))
    assert same_bits(predict(net, x, mask, len(x)), predict(net, x, mask, 1))


VIEWS: dict[str, Callable[[Array], Array]] = {
    "time reversed": lambda x: x[:, ::-1],
    "one step at all times": lambda x: np.broadcast_to(x[:, :1], x.shape),
    "one row": lambda x: np.broadcast_to(x[:1], x.shape),
    "overlapping windows": lambda x: np.lib.stride_tricks.as_strided(
        x, (len(x), 6, 5), (5 * x.itemsize, 5 * x.itemsize, x.itemsize)
    ),
    "time in front": lambda x: np.ascontiguousarray(x.swapaxes(0, 1)).swapaxes(0, 1),
    "every other step": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
}


@DTYPES
@pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS.keys())
def test_arrays_read_where_they_stand_are_their_copies(
    view: Callable[[Array], Array], backwards: bool, dtype: str, isa: str, rng: np.random.Generator
) -> None:
    net = network([lstm(19, go_backwards=backwards), dense(2)], (6, 5), dtype, rng=rng)
    x = view(rng.uniform(-2, 2, (27, 6, 5)).astype(dtype))
    for batch_size in (1, 5, 13, 27):
        assert same_bits(predict(net, x, batch_size=batch_size), predict(net, x.copy(), None, 27))


@DTYPES
@MODELS
def test_inference_is_training_without_dropout(
    model: Callable[[], Model], dtype: str, isa: str, rng: np.random.Generator
) -> None:
    net = network(*model(), dtype, rng=rng, loss="external")
    x = inputs(model, 9, rng)
    data, order = _core.Data(x), np.arange(9)
    fitting = net.start()
    try:
        trained = net.forward(data, order, 9, 0, True)
        inferred = net.forward(data, order, 9, 0, False)
    finally:
        fitting.finish()
    assert same_bits(trained, inferred)
    assert same_bits(trained, predict(net, x, batch_size=9))
    assert same_bits(trained, net.call(x, None, None, False)[0])
    assert same_bits(trained, net.call(x, None, None, True)[0])


@DTYPES
def test_stored_dtype_and_layout_of_the_input_change_nothing(
    dtype: str, isa: str, rng: np.random.Generator
) -> None:
    net = network([lstm(8), dense(2)], (-1, 4), dtype, rng=rng)
    x = rng.integers(-3, 4, (10, 5, 4)).astype("float32")
    expected = predict(net, x)
    for other in ("int8", "int64", "float16", "float64", ">f4", ">i2"):
        assert same_bits(predict(net, x.astype(other)), expected), other
    frozen = np.asfortranarray(x)
    frozen.flags.writeable = False
    wide = np.full((20, 10, 8), np.nan, "float32")
    wide[::2, ::2, ::2] = x
    for layout in (frozen, wide[::2, ::2, ::2], x[::-1].copy()[::-1]):
        assert same_bits(predict(net, layout), expected)


# ---- runs

OPTIMIZERS = {
    "sgd": {"name": "sgd", "learning_rate": 0.1},
    "nesterov": {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9, "nesterov": True},
    "rmsprop": {"name": "rmsprop", "momentum": 0.5, "centered": True, "clipvalue": 0.1},
    "adam": {"name": "adam", "learning_rate": 0.01, "clipnorm": 0.5},
    "adamw": {"name": "adamw", "learning_rate": 0.01, "global_clipnorm": 0.5},
}


def trainee(dtype: str, optimizer: str, seed: int) -> _core.Network:
    entries = [
        embedding(12, 6),
        lstm(13, return_sequences=True, dropout=0.2, recurrent_dropout=0.1),
        dropout(0.3),
        dense(12, "softmax"),
    ]
    net = network(
        entries,
        (-1,),
        dtype,
        rng=np.random.default_rng(0),
        loss="sparse_categorical_crossentropy",
        optimizer=OPTIMIZERS[optimizer],
    )
    net.set_seed(seed)
    return net


@DTYPES
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_resumed_run_goes_on_as_if_it_had_not_stopped(
    optimizer: str, dtype: str, isa: str, rng: np.random.Generator
) -> None:
    """Weights, slots, the step and the seed are all there is."""
    x = rng.integers(0, 12, (40, 9))
    whole, first = trainee(dtype, optimizer, 3), trainee(dtype, optimizer, 3)
    fit(whole, x[:, :-1], x[:, 1:], batch_size=6)
    fit(first, x[:, :-1], x[:, 1:], batch_size=6, last=3)
    weights, slots, iterations = state_of(first)
    second = trainee(dtype, optimizer, 3)
    second.set_weights(weights)
    second.set_slots(slots)
    second.iterations = iterations
    fit(second, x[:, :-1], x[:, 1:], batch_size=6, first=3)
    for resumed, expected in zip(state_of(second)[:2], state_of(whole)[:2], strict=True):
        assert all_same_bits(resumed, expected)
    assert second.iterations == whole.iterations == 7


@DTYPES
def test_a_seed_names_a_run(dtype: str, isa: str, rng: np.random.Generator) -> None:
    x = rng.integers(0, 12, (20, 9))

    def weights(seed: int) -> list[Array]:
        net = trainee(dtype, "adam", seed)
        fit(net, x[:, :-1], x[:, 1:], batch_size=6)
        return net.get_weights()

    assert all_same_bits(weights(1), weights(1))
    assert not all_same_bits(weights(1), weights(2))


def test_slicing_a_run_into_calls_changes_nothing(isa: str, rng: np.random.Generator) -> None:
    """The facade returns to Python every 50 ms; where that happens must not matter."""
    x = rng.integers(0, 12, (40, 9))
    whole, sliced = trainee("float32", "adam", 3), trainee("float32", "adam", 3)
    fit(whole, x[:, :-1], x[:, 1:], batch_size=6)
    data, order = _core.Data(x[:, :-1], x[:, 1:]), np.arange(40)
    fitting = sliced.start()
    batch = 0
    while batch < 7:
        step = sliced.run(data, "fit", order, 6, batch, 7, 1e-9)  # a budget for one batch
        assert step == batch + 1
        batch = step
    fitting.finish()
    assert all_same_bits(state_of(whole)[0], state_of(sliced)[0])


def test_random_numbers_are_functions_of_seed_and_stream() -> None:
    for kind, a, b in [("uniform", -1, 1), ("normal", 0, 1), ("orthogonal", 1, 0)]:
        one = _core.initialize(kind, (5, 4), a, b, 7, 2)
        assert same_bits(one, _core.initialize(kind, (5, 4), a, b, 7, 2))
        assert not same_bits(one, _core.initialize(kind, (5, 4), a, b, 7, 3))
        assert not same_bits(one, _core.initialize(kind, (5, 4), a, b, 8, 2))
    order = _core.permutation(100, 1, 2)
    assert same_bits(order, _core.permutation(100, 1, 2))
    assert sorted(order) == list(range(100))
    assert not same_bits(order, _core.permutation(100, 1, 3))


def test_a_fit_ends_on_the_instruction_set_that_it_began_on(
    isa: str, rng: np.random.Generator
) -> None:
    """Another thread, or a callback, may choose another one for calls that start from then on."""
    x, y = rng.uniform(-1, 1, (12, 5, 3)), rng.uniform(-1, 1, (12, 4))
    found = []
    for others in ([], _core.available_isas()[::-1]):  # the one without fused multiply-adds first
        _core.use_isa(isa)
        net = network(
            [lstm(9), dense(4)], (-1, 3), "float32",
            rng=np.random.default_rng(3), loss="mean_squared_error",
        )  # fmt: skip
        data, order = _core.Data(x, y), np.arange(12)
        with net.start():
            for batch in range(4):
                net.run(data, "fit", order, 3, batch, batch + 1, 0.0)
                for other in others[batch : batch + 1]:
                    _core.use_isa(other)
        found.append(net.get_weights())
    assert all_same_bits(*found)


def test_a_frozen_body_gives_the_head_the_same_gradients(rng: np.random.Generator) -> None:
    """Nothing below is trained, so the fused loss computes no dx."""
    entries = [embedding(40, 6), lstm(7, return_sequences=True), dense(40, "softmax")]
    net = network(entries, (-1,), "float32", rng=rng, loss="sparse_categorical_crossentropy")
    data = _core.Data(rng.integers(0, 40, (8, 9)), rng.integers(0, 40, (8, 9)))
    whole = net.gradients(data)[1]
    net.set_trainable([False] * 4 + [True] * 2)
    assert all_same_bits(net.gradients(data)[1][4:], whole[4:])
