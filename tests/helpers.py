"""What the laws share: networks from a few words, whole fits and predictions, gradient checks.

Everything goes through `pylstm._core`, so that a law holds for the engine whatever its facade does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pylstm import _core

Array = npt.NDArray[Any]
Entry = tuple[str, dict[str, Any]]  # class_name and config of a layer

ADAM = {"name": "adam", "learning_rate": 0.01}
EXACT = {"rtol": 1e-12, "atol": 1e-13}  # float64: a few hundred operations of 1e-16 each


def run_python(*arguments: str, timeout: float = 120) -> str:
    """What a fresh Python prints that finds the modules which this one finds."""
    path = os.pathsep.join([os.path.dirname(__file__), *filter(None, sys.path)])
    result = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def lstm(units: int, **config: Any) -> Entry:
    return "LSTM", {"units": units, **config}


def bidirectional(inner: Entry, merge_mode: str = "concat", backward: Entry | None = None) -> Entry:
    both = {"layer": inner, "backward_layer": backward}
    layers = {
        key: {"class_name": entry[0], "config": {"name": "inner", **entry[1]}}
        for key, entry in both.items()
        if entry is not None
    }
    return "Bidirectional", {**layers, "merge_mode": merge_mode}


def dense(units: int, activation: str | None = None, **config: Any) -> Entry:
    return "Dense", {"units": units, "activation": activation, **config}


def embedding(entries: int, width: int, **config: Any) -> Entry:
    return "Embedding", {"input_dim": entries, "output_dim": width, **config}


def dropout(rate: float, **config: Any) -> Entry:
    return "Dropout", {"rate": rate, **config}


def network(
    entries: Sequence[Entry],
    input_shape: tuple[int, ...],
    dtype: str = "float64",
    *,
    rng: np.random.Generator | None = None,
    loss: str | dict[str, Any] | None = None,
    optimizer: dict[str, Any] = ADAM,
) -> _core.Network:
    """A network, its weights drawn in (-0.5, 0.5) by ``rng``, compiled if there is a loss."""
    layers = [
        {"class_name": class_name, "config": {"name": f"{class_name.lower()}_{i}", **config}}
        for i, (class_name, config) in enumerate(entries)
    ]
    net = _core.Network(json.dumps({"layers": layers}), input_shape, dtype)
    if rng is not None:
        net.set_weights([rng.uniform(-0.5, 0.5, shape) for _, shape, _ in net.variables()])
    if loss is not None:
        net.compile(loss if isinstance(loss, str) else json.dumps(loss), json.dumps(optimizer))
    return net


def fit(
    net: _core.Network,
    x: Array,
    y: Array,
    *,
    sample_weight: Array | None = None,
    mask: Array | None = None,
    batch_size: int = 32,
    first: int = 0,
    last: int | None = None,
    tbptt: int = 0,
) -> dict[str, tuple[float, float]]:
    """One pass over batches [first, last) in natural order; returns the totals."""
    data = _core.Data(x, y, sample_weight, mask)
    net.check(data, "fit")
    fitting = net.start()
    try:
        order = np.arange(len(x))
        end = -(-len(x) // batch_size) if last is None else last
        while first < end:
            first = net.run(data, "fit", order, batch_size, first, end, 50.0, tbptt)
    finally:
        fitting.finish()
    return data.totals()


def predict(net: _core.Network, x: Array, mask: Array | None = None, batch_size: int = 32) -> Array:
    data = _core.Data(x, mask=mask)
    net.check(data, "predict")
    shape = (len(x), *(x.shape[1] if n == -1 else n for n in net.output_shape()))
    out = np.full(shape, np.nan, net.get_weights()[0].dtype)
    batches = -(-len(x) // batch_size)
    assert net.predict(data, batch_size, 0, batches, 0.0, out) == batches
    return out


def state_of(net: _core.Network) -> tuple[list[Array], list[Array], int]:
    """Everything that an optimizer step may change."""
    return net.get_weights(), [slot for _, slot in net.get_slots()], net.iterations


def same_bits(a: Array, b: Array) -> bool:
    """Equal to the bit: NaN is itself and 0 is not -0."""
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def all_same_bits(a: Sequence[Array], b: Sequence[Array]) -> bool:
    return len(a) == len(b) and all(map(same_bits, a, b))


# ---- masks


MASKS = ["none", "whole", "right_padded", "left_padded", "scattered", "scattered_one_row_empty"]


def make_mask(kind: str, batch: int, steps: int, rng: np.random.Generator) -> Array | None:
    """A (batch, steps) mask, or None for "none"; only the last kind has an empty row."""
    if kind == "none":
        return None
    lengths = rng.integers(1, steps + 1, (batch, 1))
    if kind == "whole":
        return np.ones((batch, steps), bool)
    if kind == "right_padded":
        return np.arange(steps) < lengths
    if kind == "left_padded":
        return np.arange(steps)[::-1] < lengths
    mask = rng.random((batch, steps)) < 0.6
    mask[np.arange(batch), rng.integers(0, steps, batch)] = True
    if kind == "scattered_one_row_empty":
        mask[rng.integers(batch)] = False
    return mask


# ---- gradients

# The law: 1e-6 of each derivative. Central differences with Richardson's extrapolation leave
# 4/30 STEP**4 f''''' = 1e-13 f''''' of truncation and eps |f| / STEP = 2e-13 |f| of rounding, so
# derivatives below a thousandth of the variable's largest are held to 1e-6 of that thousandth.
RELATIVE = 1e-6
SMALL = 1e-3
STEP = 1e-3
NOISE = 1e-11  # of max(1, |f|): the differences' own error with a factor for f'''''
COORDINATES = 4  # of each variable, besides one direction through all of them


def derivative(f: Callable[[Array], float], at: Array, direction: Array) -> float:
    """d f(at + s direction) / ds at s = 0."""

    def central(step: float) -> float:
        return (f(at + step * direction) - f(at - step * direction)) / (2 * step)

    return (4 * central(STEP) - central(2 * STEP)) / 3


def assert_gradient(
    f: Callable[[Array], float],
    at: Array,
    gradient: Array,
    rng: np.random.Generator,
    name: str = "gradient",
) -> None:
    """Some coordinates of ``gradient`` and a random direction against differences of ``f``."""
    assert gradient.shape == at.shape, name
    assert np.isfinite(gradient).all(), name
    if at.size == 0:
        return
    noise = NOISE * max(1.0, abs(f(at)))
    scale = SMALL * np.abs(gradient).max()
    count = min(COORDINATES, at.size)
    for i in rng.choice(at.size, count, replace=False):
        unit = np.zeros(at.size)
        unit[i] = 1
        expected = derivative(f, at, unit.reshape(at.shape))
        tolerance = RELATIVE * max(abs(expected), scale) + noise
        assert abs(gradient.flat[i] - expected) <= tolerance, (name, i, gradient.flat[i], expected)
    direction = rng.choice([-1.0, 1.0], at.shape) / np.sqrt(at.size)
    expected = derivative(f, at, direction)
    got = float((gradient * direction).sum())
    tolerance = RELATIVE * max(abs(expected), np.linalg.norm(gradient) * SMALL) + noise
    assert abs(got - expected) <= tolerance, (name, "direction", got, expected)


def assert_loss_gradients(net: _core.Network, data: _core.Data, rng: np.random.Generator) -> None:
    """`Network.gradients` of every variable against the loss that it returns."""
    weights = net.get_weights()
    _, gradients = net.gradients(data)
    for i, (name, _, _) in enumerate(net.variables()):

        def loss(value: Array, i: int = i) -> float:
            net.set_weights([*weights[:i], value, *weights[i + 1 :]])
            return net.gradients(data)[0]

        assert_gradient(loss, weights[i], gradients[i], rng, name)
    net.set_weights(weights)


def assert_call_gradients(
    net: _core.Network,
    x: Array,
    states: list[Array],
    mask: Array | None,
    rng: np.random.Generator,
    *,
    training: bool = False,
    state_gradients: bool = True,
) -> None:
    """`call_gradients` with respect to variables, inputs and initial states, through outputs and
    final states, against `call`."""
    weights = net.get_weights()
    outputs = net.call(x, states, mask, training)
    if not state_gradients:
        outputs = outputs[:1]
    dy = [rng.uniform(-1, 1, out.shape) for out in outputs]

    def scalar(x: Array, states: list[Array]) -> float:
        results = net.call(x, states, mask, training)
        return float(sum((a * b).sum() for a, b in zip(results, dy, strict=False)))

    dvariables, dx, dstates = net.call_gradients(x, states, mask, dy, training)
    for i, (name, _, _) in enumerate(net.variables()):

        def of_weight(value: Array, i: int = i) -> float:
            net.set_weights([*weights[:i], value, *weights[i + 1 :]])
            return scalar(x, states)

        assert_gradient(of_weight, weights[i], dvariables[i], rng, name)
    net.set_weights(weights)
    assert dx is not None
    assert_gradient(lambda value: scalar(value, states), x, dx, rng, "x")
    if mask is not None:
        assert (dx[~mask] == 0).all()
    assert len(dstates) == len(states)
    for i in range(len(states)):

        def of_state(value: Array, i: int = i) -> float:
            return scalar(x, [*states[:i], value, *states[i + 1 :]])

        assert_gradient(of_state, states[i], dstates[i], rng, f"states[{i}]")
