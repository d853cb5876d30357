"""The gradient of an embedding lives on from step to step and is read only at rows that a batch
touched: what a network has done before makes no difference, to the bit."""

from __future__ import annotations

import json

import numpy as np
import pytest
from helpers import Array, dense, embedding, lstm, network, same_bits, state_of

from pylstm import _core

OPTIMIZERS = {
    "sgd": {"name": "sgd", "learning_rate": 1.0},
    "momentum": {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9, "nesterov": True},
    "rmsprop": {"name": "rmsprop", "learning_rate": 0.01, "centered": True, "momentum": 0.5},
    "adam": {"name": "adam", "learning_rate": 0.01, "global_clipnorm": 0.05},
    "adamw": {"name": "adamw", "learning_rate": 0.01},
}
TABLES = [(7, 3), (300, 17), (3001, 64)]  # the last one of many blocks of the optimizer


def make(table: tuple[int, int], optimizer: str, dtype: str) -> _core.Network:
    entries = [embedding(*table), lstm(5), dense(3)]
    rng = np.random.default_rng(1)
    chosen = OPTIMIZERS[optimizer]
    return network(entries, (-1,), dtype, rng=rng, loss="mean_squared_error", optimizer=chosen)


def twin(net: _core.Network, table: tuple[int, int], optimizer: str, dtype: str) -> _core.Network:
    """A network that has done nothing yet, in the same state."""
    fresh = make(table, optimizer, dtype)
    fresh.set_weights(net.get_weights())
    fresh.set_slots([slot for _, slot in net.get_slots()])
    fresh.iterations = net.iterations
    return fresh


def step(net: _core.Network, x: Array, y: Array, weight: float = 1.0) -> float:
    """One optimizer step; returns how many were skipped."""
    data = _core.Data(x, y, np.full(len(x), weight))
    net.check(data, "fit")
    fitting = net.start()
    try:
        net.run(data, "fit", np.arange(len(x)), len(x), 0, 1, 0.0, 0)
    finally:
        fitting.finish()
    return data.totals()["skipped"][0]


def some_batch(rng: np.random.Generator, entries: int) -> tuple[Array, Array]:
    rows, steps = rng.integers(1, 12), rng.integers(1, 14)
    few = min(entries, 3)
    x = rng.integers(0, few if rng.integers(2) else entries, (rows, steps))
    return x, rng.uniform(-1, 1, (rows, 3))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_step_of_sgd_is_the_gradient_also_far_into_the_table(dtype: str) -> None:
    net = make((3000, 17), "sgd", dtype)
    rng = np.random.default_rng(2)
    for _ in range(3):
        x, y = rng.integers(1500, 3000, (4, 9)), rng.uniform(-1, 1, (4, 3))
        before, (_, gradients) = net.get_weights(), net.gradients(_core.Data(x, y))
        step(net, x, y)
        assert np.count_nonzero(np.any(gradients[0] != 0, axis=1)) == len(np.unique(x))
        expected = [w - g for w, g in zip(before, gradients, strict=True)]
        assert all(map(same_bits, net.get_weights(), expected))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("table", TABLES, ids=str)
def test_a_network_that_was_used_steps_as_a_fresh_one(
    table: tuple[int, int], optimizer: str, dtype: str
) -> None:
    """Among other calls that write gradients, freezing, and steps that are not applied."""
    rng = np.random.default_rng(3)
    net = make(table, optimizer, dtype)
    frozen = [False] + [True] * (len(net.variables()) - 1)
    huge = np.finfo(dtype).max / 2  # beyond the type times its weight
    for turn in range(18):
        x, y = some_batch(rng, table[0])
        fresh = twin(net, table, optimizer, dtype)
        if turn % 6 == 1:
            found, expected = (n.gradients(_core.Data(x, y))[1] for n in (net, fresh))
            assert all(map(same_bits, found, expected))
        elif turn % 6 == 2:
            assert step(net, x, np.full_like(y, huge), weight=1e10) == 1
            assert all(map(same_bits, net.get_weights(), fresh.get_weights()))
        elif turn % 6 == 3:
            net.call_gradients(x, [], None, [y], False)
        elif turn % 6 == 4:
            net.set_trainable(frozen)
            step(net, x, y)
            net.set_trainable([True] * len(frozen))
        elif turn == 11:
            net.compile("mean_squared_error", json.dumps(OPTIMIZERS[optimizer]))
        else:
            step(net, x, y)
            step(fresh, x, y)
            for kind in (0, 1):
                assert all(map(same_bits, state_of(net)[kind], state_of(fresh)[kind]))
