"""Golden cases from public test suites, with weights that would show a wrong gate order.

Each case runs on `pylstm.reference` and, for every instruction set and dtype, on the engine. The
file is not part of the project: `golden/golden_dev.json` in the folder that PYLSTM_DATA names.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pylstm import _core, layers, reference

Array = npt.NDArray[Any]
Case = dict[str, Any]
GATES = ("i", "f", "g", "o")  # Keras' order of the gate blocks

# A result is a chain of at most six steps, each a few roundings and activations of at most 4 ulp,
# and a gradient sums at most a dozen such terms: 128 roundings cover both with room.
ROUNDINGS = 128
# The derivatives in the file come from complex steps in float64, exact to about 1e-15.
EXACT = 1e-12


def golden_cases() -> list[Any]:
    folder = os.environ.get("PYLSTM_DATA")
    if not folder:
        reason = "PYLSTM_DATA does not name the folder with golden/golden_dev.json"
        return [pytest.param({}, marks=pytest.mark.skip(reason=reason), id="golden")]
    cases = json.loads((Path(folder) / "golden" / "golden_dev.json").read_text())
    return [pytest.param(case, marks=unsupported(case), id=case["name"]) for case in cases]


def unsupported(case: Case) -> list[pytest.MarkDecorator]:
    """Marks that skip a case which is not an LSTM as pylstm has it, and say why."""
    extras = {
        "peepholes": any("p" in d for d in case["dirs"]),
        "a projection": any("proj" in d for d in case["dirs"]),
        "layer normalisation": any("ln" in d for d in case["dirs"]),
        "clipped cells": case["clip"] is not None,
        "a coupled input gate": case["input_forget"],
        "other activations": case["activations"] != ["sigmoid", "tanh", "tanh"],
    }
    found = [name for name, present in extras.items() if present]
    return [pytest.mark.skip(reason=f"pylstm has no LSTM with {' or '.join(found)}")] * bool(found)


@dataclass
class Problem:
    """A case in Keras' layout: rows first, weights (I, 4U), (U, 4U), (4U,) for each direction."""

    x: Array  # (B, T, I)
    weights: list[list[Array]]  # per direction kernel, recurrent kernel and, if any, bias
    states: list[tuple[Array, Array]]  # per direction h0, c0, each (B, U)
    mask: Array | None  # (B, T)
    reversed: list[bool]  # per direction: does it read the last step first?

    @classmethod
    def of(cls, case: Case, dtype: str) -> Problem:
        def blocks(gates: dict[str, Any]) -> Array:
            return np.concatenate([np.array(gates[g], dtype).T for g in GATES], axis=-1)

        x = np.array(case["x"], dtype).swapaxes(0, 1)
        weights = [[blocks(d[key]) for key in ("W", "R", "b") if key in d] for d in case["dirs"]]
        zeros = np.zeros((len(weights), len(x), len(weights[0][1])), dtype)
        given = [case["h0"], case["c0"]]
        h0, c0 = (zeros if state is None else np.array(state, dtype) for state in given)
        lengths, mask = case["seq_lens"], None
        if lengths is not None:
            mask = np.arange(x.shape[1]) < np.array(lengths)[:, None]
        backwards = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}
        return cls(x, weights, list(zip(h0, c0, strict=True)), mask, backwards[case["direction"]])

    def output_gradients(self) -> tuple[Array, Array, Array]:
        """Derivatives of the file's scalar with respect to y (T, D, B, U), h and c (D, B, U)."""
        batch, steps, _ = self.x.shape
        directions, units = len(self.weights), len(self.weights[0][1])
        shapes = [(steps, directions, batch, units), *[(directions, batch, units)] * 2]
        return tuple(
            np.cos(k + np.arange(np.prod(s))).reshape(s).astype(self.x.dtype)
            for k, s in enumerate(shapes)
        )


@dataclass
class Outcome:
    """Results in the layout of the file, y (T, D, B, U); gradients in Keras' layout."""

    y: Array
    h: Array  # (D, B, U)
    c: Array
    dx: Array  # (B, T, I)
    dweights: list[list[Array]]
    dstates: list[tuple[Array, Array]]


def run_reference(problem: Problem) -> Outcome:
    dy, dh, dc = problem.output_gradients()
    ys, states, gradients = [], [], []
    for d, (weights, backwards) in enumerate(zip(problem.weights, problem.reversed, strict=True)):
        bias = weights[2] if len(weights) == 3 else None
        y, state, cache = reference.lstm_forward(
            problem.x,
            *weights[:2],
            bias,
            problem.states[d],
            problem.mask,
            go_backwards=backwards,
            zero_output_for_mask=True,
        )
        order = slice(None, None, -1 if backwards else 1)
        ys.append(y.swapaxes(0, 1)[order])
        states.append(state)
        upstream = dy[order, d].swapaxes(0, 1)
        gradients.append(reference.lstm_backward(upstream, cache, (dh[d], dc[d])))
    h, c = (np.stack(s) for s in zip(*states, strict=True))
    return Outcome(
        np.stack(ys, axis=1),
        h,
        c,
        np.sum([g.x for g in gradients], axis=0),
        [
            [g.kernel, g.recurrent_kernel, g.bias][: len(w)]
            for g, w in zip(gradients, problem.weights, strict=True)
        ],
        [(g.h0, g.c0) for g in gradients],
    )


def make_layer(problem: Problem) -> layers.LSTM | layers.Bidirectional:
    units, dtype = len(problem.weights[0][1]), problem.x.dtype.name
    lstm = layers.LSTM(
        units,
        use_bias=len(problem.weights[0]) == 3,
        return_sequences=True,
        return_state=True,
        go_backwards=problem.reversed == [True],
        zero_output_for_mask=True,
        dtype=dtype,
    )
    return (
        lstm
        if len(problem.weights) == 1
        else layers.Bidirectional(lstm, merge_mode="concat", dtype=dtype)
    )


def unpack(problem: Problem, outputs: list[Array]) -> tuple[Array, Array, Array]:
    """y, h, c in the layout of the file from a layer's [y, h, c] or [y, fh, fc, bh, bc]."""
    directions = len(problem.weights)
    y = np.stack(np.split(outputs[0].swapaxes(0, 1), directions, axis=-1), axis=1)
    if problem.reversed == [True]:  # Keras puts out the order of processing
        y = y[::-1]
    return y, np.stack(outputs[1::2]), np.stack(outputs[2::2])


def run_engine(problem: Problem) -> Outcome:
    layer = make_layer(problem)
    entry = {"class_name": type(layer).__name__, "config": layer.get_config()}
    config = json.dumps({"name": "golden", "layers": [entry]})
    network = _core.Network(config, (-1, problem.x.shape[2]), problem.x.dtype.name)
    network.set_weights([w for weights in problem.weights for w in weights])
    states = [s for state in problem.states for s in state]
    y, h, c = unpack(problem, network.call(problem.x, states, problem.mask, False))

    dy, dh, dc = problem.output_gradients()
    order = slice(None, None, -1 if problem.reversed == [True] else 1)
    upstream = [np.concatenate(dy[order].swapaxes(0, 1), axis=-1).swapaxes(0, 1)]
    for d in range(len(dh)):
        upstream += [dh[d], dc[d]]
    gradients, dx, dstates = network.call_gradients(problem.x, states, problem.mask, upstream)
    per_direction = len(problem.weights[0])
    dweights = [gradients[:per_direction], gradients[per_direction:]][: len(dh)]
    return Outcome(y, h, c, dx, dweights, list(zip(dstates[::2], dstates[1::2], strict=True)))


def assert_close(got: Array, expected: Array, tolerance: float, name: str) -> None:
    scale = np.maximum(1.0, np.abs(expected))
    assert got.shape == expected.shape, name
    np.testing.assert_allclose(got / scale, expected / scale, 0, tolerance, err_msg=name)


def assert_golden(case: Case, outcome: Outcome, dtype: str) -> None:
    rounding = ROUNDINGS * float(np.finfo(dtype).eps)
    tolerance = max(case["tol"], rounding)
    for name, expected in case["expect"].items():
        assert_close(getattr(outcome, name), np.array(expected), tolerance, name)
    if "derived_gradients" not in case:
        return
    golden = case["derived_gradients"]["grads"]
    tolerance = max(EXACT, rounding)
    assert_close(outcome.dx.swapaxes(0, 1), np.array(golden["x"]), tolerance, "dx")
    for d, expected in enumerate(golden["dirs"]):
        assert_close(outcome.dstates[d][0], np.array(golden["h0"][d]), tolerance, f"dh0[{d}]")
        assert_close(outcome.dstates[d][1], np.array(golden["c0"][d]), tolerance, f"dc0[{d}]")
        for key, got in zip(("W", "R", "b"), outcome.dweights[d], strict=False):
            blocks = [np.array(expected[key][g]).T for g in GATES]
            assert_close(got, np.concatenate(blocks, axis=-1), tolerance, f"d{key}[{d}]")


@pytest.fixture(params=_core.available_isas())
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    before = _core.active_isa()
    _core.use_isa(request.param)
    yield request.param
    _core.use_isa(before)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", golden_cases())
def test_reference_gives_the_golden_numbers(case: Case, dtype: str) -> None:
    assert_golden(case, run_reference(Problem.of(case, dtype)), dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", golden_cases())
def test_engine_gives_the_golden_numbers(case: Case, dtype: str, isa: str) -> None:
    assert_golden(case, run_engine(Problem.of(case, dtype)), dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", golden_cases())
def test_layer_called_on_arrays_gives_the_golden_numbers(case: Case, dtype: str, isa: str) -> None:
    problem = Problem.of(case, dtype)
    layer = make_layer(problem)
    layer.build((None, None, problem.x.shape[2]))
    layer.set_weights([w for weights in problem.weights for w in weights])
    states = [s for state in problem.states for s in state]
    outputs = layer(problem.x, initial_state=states, mask=problem.mask)
    results = dict(zip("yhc", unpack(problem, list(outputs)), strict=True))
    tolerance = max(case["tol"], ROUNDINGS * float(np.finfo(dtype).eps))
    for name, expected in case["expect"].items():
        assert_close(results[name], np.array(expected), tolerance, name)
