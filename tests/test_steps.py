"""What one training step may and may not change."""

from __future__ import annotations

import json
import threading
from typing import Any

import numpy as np
import pytest

from pylstm import _core

LSTM = ("LSTM", {"name": "lstm", "units": 3, "return_sequences": True})
DENSE = ("Dense", {"name": "dense", "units": 2})


def network(
    *layers: tuple[str, dict[str, Any]],
    shape: tuple[int, ...] = (-1, 2),
    loss: str = "mean_squared_error",
    optimizer: dict[str, Any] | None = None,
) -> _core.Network:
    config = {"layers": [{"class_name": name, "config": settings} for name, settings in layers]}
    made = _core.Network(json.dumps(config), shape, "float64")
    rng = np.random.default_rng(3)
    made.set_weights([rng.normal(size=shape) for _, shape, _ in made.variables()])
    made.compile(loss, json.dumps(optimizer or {"name": "sgd", "learning_rate": 0.1}))
    made.set_seed(7)
    return made


def fit(made: _core.Network, data: _core.Data, rows: int, tbptt: int = 0) -> None:
    fitting = made.start()
    try:
        made.run(data, "fit", np.arange(rows), rows, 0, 1, 0.0, tbptt)
    finally:
        fitting.finish()


def test_dropout_masks_go_on_from_window_to_window() -> None:
    """With a rate of 0 for the optimizer, windows see the very masks of the whole sequence."""
    x, y = np.ones((2, 6, 2)), np.zeros((2, 6, 2))
    dropout = ("Dropout", {"name": "dropout", "rate": 0.5})
    still = {"name": "sgd", "learning_rate": 0.0}
    losses = []
    for window in (0, 2):
        made = network(dropout, DENSE, optimizer=still)
        data = _core.Data(x, y)
        fit(made, data, 2, window)
        total, weight = data.totals()["loss"]
        losses.append(total / weight)
    assert losses[0] == pytest.approx(losses[1], rel=1e-12)


def test_a_window_of_padding_takes_no_step() -> None:
    x, y = np.ones((1, 12, 2)), np.ones((1, 12, 2))
    mask = np.arange(12)[np.newaxis] < 4
    made = network(LSTM, DENSE, optimizer={"name": "adam", "weight_decay": 0.1})
    fit(made, _core.Data(x, y, None, mask), 1, tbptt=4)
    assert made.iterations == 1


def test_centered_rmsprop_keeps_weights_finite() -> None:
    """A constant gradient makes mean square and squared mean equal but for rounding."""
    made = network(
        ("Dense", {"name": "dense", "units": 1, "use_bias": False}),
        shape=(1,),
        optimizer={"name": "rmsprop", "centered": True, "learning_rate": 1e-9},
    )
    x, y = np.ones((1, 1)), np.full((1, 1), -5.0)
    data = _core.Data(x, y)
    fitting = made.start()
    for _ in range(2000):
        made.run(data, "fit", np.arange(1), 1, 0, 1, 0.0)
    fitting.finish()
    assert np.isfinite(made.get_weights()[0]).all()


def test_abandoned_outside_loss_leaves_the_carried_state() -> None:
    made = network(("LSTM", {**LSTM[1], "stateful": True}), loss="external")
    data = _core.Data(np.ones((2, 4, 2)))
    fitting = made.start()
    out = made.forward(data, np.arange(2), 2, 0, True)
    assert made.get_state("fit")[0].shape[0] == 0
    assert not made.backward(np.full_like(out, np.inf))
    assert made.get_state("fit")[0].shape[0] == 0
    out = made.forward(data, np.arange(2), 2, 0, True)
    assert made.backward(np.ones_like(out))
    assert made.get_state("fit")[0].shape[0] == 2
    fitting.finish()


def test_backward_belongs_to_a_fit() -> None:
    made = network(DENSE, loss="external")
    data = _core.Data(np.ones((2, 4, 2)))
    fitting = made.start()
    out = made.forward(data, np.arange(2), 2, 0, True)
    fitting.finish()
    weights = made.get_weights()
    with pytest.raises(ValueError, match="call start for a fit first"):
        made.backward(np.ones_like(out))
    assert all(map(np.array_equal, made.get_weights(), weights))


def test_backward_needs_a_forward_of_its_own() -> None:
    made = network(DENSE)
    data = _core.Data(np.ones((2, 4, 2)), np.ones((2, 4, 2)))
    rows = np.arange(2)

    def refused() -> None:
        before = made.get_weights(), made.iterations
        with pytest.raises(ValueError, match="call forward with training=True first"):
            made.backward(np.ones((2, 4, 2)))
        assert all(map(np.array_equal, made.get_weights(), before[0]))
        assert made.iterations == before[1]

    def forward(training: bool = True) -> None:
        made.forward(data, rows, 2, 0, training)

    fitting = made.start()
    refused()
    forward(training=False)
    refused()
    made.run(data, "fit", rows, 2, 0, 1, 0.0)
    refused()
    forward()
    made.run(data, "fit", rows, 2, 0, 1, 0.0)
    refused()
    forward()
    assert made.backward(np.ones((2, 4, 2)))
    refused()
    forward()
    with pytest.raises(ValueError, match="batches"):
        made.forward(data, rows, 2, 1, True)
    refused()
    forward()
    fitting.finish()
    fitting = made.start()
    refused()
    fitting.finish()
    made.gradients(data)
    fitting = made.start()
    refused()
    fitting.finish()


def test_backward_sees_the_rows_that_forward_saw() -> None:
    """Also if the caller's array changes in between."""
    made = [network(LSTM, loss="external") for _ in range(2)]
    for net, later in zip(made, (1.0, 5.0), strict=True):
        x = np.ones((2, 4, 2))
        fitting = net.start()
        out = net.forward(_core.Data(x), np.arange(2), 2, 0, True)
        x[:] = later
        assert net.backward(np.ones_like(out))
        fitting.finish()
    assert all(map(np.array_equal, made[0].get_weights(), made[1].get_weights()))


def test_a_call_that_fails_gives_its_work_space_back() -> None:
    made = network(LSTM, DENSE)
    x = np.ones((2, 4, 2))
    held = []
    for _ in range(3):
        with pytest.raises(ValueError, match="dy must be a list"):
            made.call_gradients(x, None, None, [])
        held.append(made.memory())
    assert held[0] > 0
    assert held == held[:1] * 3


def test_indices_that_change_after_the_check_are_caught() -> None:
    embedding = ("Embedding", {"name": "embedding", "input_dim": 5, "output_dim": 2})
    softmax = ("Dense", {"name": "dense", "units": 4, "activation": "softmax"})
    made = network(embedding, softmax, shape=(-1,), loss="sparse_categorical_crossentropy")
    for name in ("x", "y"):
        x, y = np.zeros((2, 3), np.int64), np.zeros((2, 3), np.int64)
        data = _core.Data(x, y)
        made.check(data, "fit")
        (x if name == "x" else y)[1, 1] = 10**6
        before = made.get_weights()
        with pytest.raises(IndexError, match=f"^{name} changed while it was in use"):
            fit(made, data, 2)
        assert all(np.array_equal(a, b) for a, b in zip(before, made.get_weights(), strict=True))


def test_what_float32_cannot_hold_is_named() -> None:
    config = {"layers": [{"class_name": DENSE[0], "config": DENSE[1]}]}
    made = _core.Network(json.dumps(config), (2,), "float32")
    made.compile("mean_squared_error", json.dumps({"name": "sgd"}))
    x = np.ones((3, 2))
    x[2, 1] = 1e39
    with pytest.raises(ValueError, match=r"finite as float32, got 1e\+39 at row 2, column 1"):
        made.check(_core.Data(x, np.ones((3, 2))), "fit")


def test_settings_wait_for_running_calls() -> None:
    """compile in one thread while others evaluate: no crash, and every total is a number."""
    made = network(LSTM, DENSE)
    x, y = np.ones((8, 20, 2)), np.ones((8, 20, 2))
    stop = threading.Event()

    def evaluate() -> None:
        while not stop.is_set():
            data = _core.Data(x, y)
            made.run(data, "evaluate", np.arange(8), 4, 0, 2, 0.0)
            assert np.isfinite(data.totals()["loss"][0])

    threads = [threading.Thread(target=evaluate) for _ in range(3)]
    for thread in threads:
        thread.start()
    for i in range(200):
        made.compile(("mean_squared_error", "mean_absolute_error")[i % 2], '{"name": "adam"}')
        made.set_metrics(["categorical_accuracy"] if i % 3 else [])
    stop.set()
    for thread in threads:
        thread.join()
