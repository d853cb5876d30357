"""Tokens that occur again in a batch are projected once, and nobody can tell.

A batch of 32 rows or more in which every token occurs twice on average repeats; a short one does
not, whatever it holds.
"""

from __future__ import annotations

import numpy as np
import pytest
from helpers import (
    EXACT,
    Array,
    Entry,
    all_same_bits,
    assert_loss_gradients,
    bidirectional,
    dense,
    embedding,
    fit,
    lstm,
    network,
    predict,
    same_bits,
    state_of,
)

import pylstm
from pylstm import _core

TOKENS = 7
LAYERS = pytest.mark.parametrize(
    "layers",
    [
        [embedding(TOKENS, 5), lstm(9, return_sequences=True), lstm(4)],
        [embedding(TOKENS, 17), lstm(16, go_backwards=True)],
        [embedding(TOKENS, 6, mask_zero=True), lstm(21, return_sequences=True), lstm(3)],
        [embedding(TOKENS, 6, mask_zero=True), bidirectional(lstm(8)), dense(5, "tanh")],
        [embedding(TOKENS, 3), lstm(6, use_bias=False), dense(4)],
    ],
    ids=["sequences", "backwards", "masked", "both directions", "no bias"],
)


def token_rows(rng: np.random.Generator, rows: int, steps: int) -> Array:
    return rng.integers(0, TOKENS, (rows, steps)).astype(np.int32)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@LAYERS
def test_a_row_is_what_it_is_alone(
    layers: list[Entry], dtype: str, isa: str, rng: np.random.Generator
) -> None:
    net = network(layers, (-1,), dtype, rng=rng)
    x = token_rows(rng, 13, 9)
    assert same_bits(predict(net, x, batch_size=13), predict(net, x, batch_size=1))


@LAYERS
def test_gradients_match_differences(layers: list[Entry], rng: np.random.Generator) -> None:
    net = network(layers, (-1,), rng=rng, loss="mean_squared_error")
    x = token_rows(rng, 6, 8)
    y = rng.uniform(-1, 1, (6, *net.output_shape()))
    assert_loss_gradients(net, _core.Data(x, y), rng)


@pytest.mark.parametrize("rates", [{"dropout": 0.5}, {"recurrent_dropout": 0.5}])
@pytest.mark.parametrize("dropping", ["forward", "backward"])
def test_dropout_in_one_direction_alone(
    dropping: str, rates: dict[str, float], isa: str, rng: np.random.Generator
) -> None:
    """Then neither direction may take what repeats."""
    pair = [lstm(4), lstm(4, go_backwards=True)]
    pair[dropping == "backward"][1].update(rates)
    entries = [embedding(TOKENS, 5), bidirectional(pair[0], backward=pair[1])]
    net = network(entries, (-1,), rng=rng, loss="mean_squared_error")
    x, y = token_rows(rng, 6, 8), rng.uniform(-1, 1, (6, 8))
    assert_loss_gradients(net, _core.Data(x, y), rng)
    plain = network(
        [embedding(TOKENS, 5), bidirectional(lstm(4))], (-1,), loss="mean_squared_error"
    )
    plain.set_weights(net.get_weights())
    assert net.gradients(_core.Data(x, y))[0] != plain.gradients(_core.Data(x, y))[0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_threads_change_nothing(dtype: str, isa: str, rng: np.random.Generator) -> None:
    """Layers large enough for threads to share their rows, and for one row, their units."""
    layers = [embedding(TOKENS, 130), lstm(260), dense(3)]
    x, y = token_rows(rng, 16, 40), rng.uniform(-1, 1, (16, 3))
    weights = network(layers, (-1,), dtype, rng=rng).get_weights()
    results = []
    for threads in (1, 2, 3, 5):
        _core.set_num_threads(threads)
        net = network(layers, (-1,), dtype, loss="mean_squared_error")
        net.set_weights(weights)
        fit(net, x, y, batch_size=16)
        fit(net, x, y, batch_size=1, last=2)
        kept, slots, _ = state_of(net)
        results.append([*kept, *slots, predict(net, x), predict(net, x, batch_size=1)])
    assert all(all_same_bits(result, results[0]) for result in results[1:])


def test_a_frozen_table_stays(rng: np.random.Generator) -> None:
    net = network([embedding(TOKENS, 4), lstm(5)], (-1,), rng=rng, loss="mean_squared_error")
    net.set_trainable([False, True, True, True])
    table, *others = net.get_weights()
    fit(net, token_rows(rng, 8, 8), rng.uniform(-1, 1, (8, 5)))
    assert same_bits(net.get_weights()[0], table)
    assert not any(same_bits(a, b) for a, b in zip(net.get_weights()[1:], others, strict=True))


# ---- beside a table in which every place of the data has a row of its own, so that nothing repeats


def one_row_a_place(ids: Array) -> Array:
    """Ids of equal vectors in a table that is repeated for every place."""
    return ids + TOKENS * np.arange(ids.size).reshape(ids.shape)


def twins(ids: Array) -> list[tuple[pylstm.Sequential, Array]]:
    """The same stateful model twice, its table frozen: of few tokens, and of one a place."""
    pairs = []
    for table, tokens in ((TOKENS, ids), (TOKENS * ids.size, one_row_a_place(ids))):
        pylstm.set_seed(5)
        body = [
            pylstm.layers.Embedding(table, 6, trainable=False),
            pylstm.layers.LSTM(9, return_sequences=True, stateful=True),
            pylstm.layers.LSTM(5, return_sequences=True, stateful=True),
            pylstm.layers.Dense(4),
        ]
        model = pylstm.Sequential(body, dtype="float64")
        model.build((None, None))
        pairs.append((model, tokens))
    (first, _), (second, _) = pairs
    weights = first.get_weights()
    second.set_weights([np.tile(weights[0], (ids.size, 1)), *weights[1:]])
    return pairs


def test_state_is_carried_to_the_bit(isa: str, rng: np.random.Generator) -> None:
    ids = token_rows(rng, 6, 24)
    found = [
        [model.predict_on_batch(x[:, i : i + 8]) for i in (0, 8, 16)] for model, x in twins(ids)
    ]
    assert all_same_bits(*found)
    assert not same_bits(found[0][1], twins(ids)[0][0].predict_on_batch(ids[:, 8:16]))


@pytest.mark.parametrize("weighted", [False, True])
def test_windows_and_weights_train_as_without_repeats(
    weighted: bool, isa: str, rng: np.random.Generator
) -> None:
    """Windows of 7, 7 and 6 steps of 6 rows; the sums are those of other terms in other order."""
    ids = token_rows(rng, 12, 20)
    y = rng.uniform(-1, 1, (12, 20, 4))
    weight = rng.uniform(0, 2, (12, 20)) if weighted else None
    trained = []
    for model, x in twins(ids):
        model.compile(pylstm.optimizers.SGD(0.1, momentum=0.9), "mse")
        model.fit(x, y, 6, epochs=2, shuffle=False, tbptt=7, sample_weight=weight, verbose=0)
        assert model.optimizer.iterations == 12
        trained.append(model.get_weights()[1:])
    for a, b in zip(*trained, strict=True):
        np.testing.assert_allclose(a, b, **EXACT)
    assert not all_same_bits(*trained)  # else nothing was summed first


def test_weighted_gradients_match_differences(rng: np.random.Generator) -> None:
    layers = [embedding(TOKENS, 5), lstm(8, return_sequences=True), dense(3)]
    net = network(layers, (-1,), rng=rng, loss="mean_squared_error")
    x, y = token_rows(rng, 6, 8), rng.uniform(-1, 1, (6, 8, 3))
    weight = rng.uniform(0, 2, (6, 8))
    weight[2, 3:] = 0
    assert_loss_gradients(net, _core.Data(x, y, weight), rng)
