"""A masked step only holds the state: any mask is a shorter sequence, to the bit."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import (
    MASKS,
    Array,
    Entry,
    all_same_bits,
    bidirectional,
    dense,
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
KINDS = pytest.mark.parametrize("kind", [kind for kind in MASKS if kind != "none"])
DIRECTIONS = pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])

ROWS, STEPS, FEATURES, UNITS = 7, 8, 5, 19


def problem(
    kind: str, rng: np.random.Generator, dtype: str, **config: bool
) -> tuple[_core.Network, Array, Array, list[Array]]:
    """A layer, inputs with NaN at every masked step, their mask, and initial states."""
    net = network([lstm(UNITS, **config)], (-1, FEATURES), dtype, rng=rng)
    x = rng.uniform(-2, 2, (ROWS, STEPS, FEATURES)).astype(dtype)
    mask = make_mask(kind, ROWS, STEPS, rng)
    assert mask is not None
    x[~mask] = np.nan
    states = [rng.uniform(-1, 1, (ROWS, UNITS)).astype(dtype) for _ in range(2)]
    return net, x, mask, states


@DTYPES
@KINDS
@DIRECTIONS
def test_a_masked_row_equals_its_real_steps_alone(
    backwards: bool, kind: str, dtype: str, isa: str, rng: np.random.Generator
) -> None:
    config = {"return_sequences": True, "go_backwards": backwards}
    net, x, mask, states = problem(kind, rng, dtype, **config)
    y, h, c = net.call(x, states, mask, False)
    for row in range(ROWS):
        real = mask[row]
        mine = [state[row : row + 1] for state in states]
        in_time = real[::-1] if backwards else real  # of the outputs
        if not real.any():
            assert same_bits(h[row : row + 1], mine[0])
            assert same_bits(c[row : row + 1], mine[1])
            assert (y[row] == 0).all()
            continue
        alone, h_alone, c_alone = net.call(x[row : row + 1, real], mine, None, False)
        assert same_bits(y[row][in_time], alone[0])
        assert same_bits(h[row : row + 1], h_alone)
        assert same_bits(c[row : row + 1], c_alone)


@DTYPES
@KINDS
@DIRECTIONS
@pytest.mark.parametrize("zero", [False, True], ids=["held", "zero"])
def test_the_output_of_a_masked_step_is_held_or_zero(
    zero: bool, backwards: bool, kind: str, dtype: str, isa: str, rng: np.random.Generator
) -> None:
    """Held from the last real step, and zero before the first one (Keras)."""
    config = {"return_sequences": True, "go_backwards": backwards, "zero_output_for_mask": zero}
    net, x, mask, states = problem(kind, rng, dtype, **config)
    y = net.call(x, states, mask, False)[0]
    for row in range(ROWS):
        held = np.zeros(UNITS, dtype)
        for step, real in enumerate(mask[row][::-1] if backwards else mask[row]):
            if real:
                held = y[row, step]
                assert held.any()
            else:
                expected = np.zeros(UNITS, dtype) if zero else held
                assert same_bits(y[row, step], expected), (row, step)


@DTYPES
@KINDS
def test_the_last_output_is_that_of_the_last_real_step(
    kind: str, dtype: str, isa: str, rng: np.random.Generator
) -> None:
    net, x, mask, _ = problem(kind, rng, dtype)
    y, h, _ = net.call(x, None, mask, False)
    assert same_bits(y, h)
    assert np.isfinite(y).all()
    assert (y[~mask.any(axis=1)] == 0).all()


@DTYPES
@KINDS
@DIRECTIONS
def test_gradients_of_a_masked_row_equal_those_of_its_real_steps(
    backwards: bool, kind: str, dtype: str, isa: str, rng: np.random.Generator
) -> None:
    config = {"return_sequences": True, "go_backwards": backwards, "zero_output_for_mask": True}
    net, x, mask, states = problem(kind, rng, dtype, **config)
    x[~mask] = 0
    dy = rng.uniform(-1, 1, (1, STEPS, UNITS)).astype(dtype)
    dstates = [rng.uniform(-1, 1, (1, UNITS)).astype(dtype) for _ in range(2)]
    for row in range(ROWS):
        real, here = mask[row], slice(row, row + 1)
        mine = [state[here] for state in states]
        in_time = real[::-1] if backwards else real
        got = net.call_gradients(x[here], mine, mask[here], [dy, *dstates])
        if not real.any():
            assert all((d == 0).all() for d in got[0])
            assert all_same_bits(got[2], dstates)
            continue
        alone = net.call_gradients(x[here, real], mine, None, [dy[:, in_time], *dstates])
        assert all_same_bits(got[0], alone[0])
        assert same_bits(got[1][:, real], alone[1])
        assert all_same_bits(got[2], alone[2])


@DTYPES
@pytest.mark.parametrize("merge", ["concat", "sum", "mul", "ave"])
def test_both_directions_see_the_same_real_steps(
    merge: str, dtype: str, isa: str, rng: np.random.Generator
) -> None:
    entry = bidirectional(lstm(UNITS, return_sequences=True), merge)
    net = network([entry], (-1, FEATURES), dtype, rng=rng)
    x = rng.uniform(-2, 2, (ROWS, STEPS, FEATURES))
    mask = make_mask("scattered_one_row_empty", ROWS, STEPS, rng)
    assert mask is not None
    y, *states = net.call(x, None, mask, False)
    assert (y[~mask] == 0).all()
    for row in range(ROWS):
        if not mask[row].any():
            assert all((state[row] == 0).all() for state in states)
            continue
        alone, *states_alone = net.call(x[row : row + 1, mask[row]], None, None, False)
        assert same_bits(y[row][mask[row]], alone[0])
        assert all_same_bits([state[row : row + 1] for state in states], states_alone)


def ragged_tokens(rng: np.random.Generator) -> tuple[Array, Array]:
    x = rng.integers(1, 9, (12, STEPS))
    x[np.arange(STEPS) >= rng.integers(1, STEPS + 1, (12, 1))] = 0
    return x, x != 0


@DTYPES
def test_mask_zero_is_the_mask_of_token_0(dtype: str, isa: str, rng: np.random.Generator) -> None:
    body = [lstm(UNITS, return_sequences=True), lstm(6), dense(2)]
    nets = [
        network([embedding(9, 4, mask_zero=zero), *body], (-1,), dtype, loss="mean_squared_error")
        for zero in (True, False)
    ]
    weights = [rng.uniform(-0.5, 0.5, shape) for _, shape, _ in nets[0].variables()]
    x, mask = ragged_tokens(rng)
    y = rng.uniform(-1, 1, (12, 2))
    for net, given in zip(nets, (None, mask), strict=True):
        net.set_weights(weights)
        fit(net, x, y, mask=given, batch_size=5)
    assert all_same_bits(state_of(nets[0])[0], state_of(nets[1])[0])
    assert same_bits(predict(nets[0], x), predict(nets[1], x, mask))


@DTYPES
def test_padding_changes_neither_loss_nor_step(
    dtype: str, isa: str, rng: np.random.Generator
) -> None:
    """The loss counts real steps; six more columns of padding are nothing."""
    x, mask = ragged_tokens(rng)
    y = rng.integers(0, 3, x.shape)
    runs = []
    for more in (0, 6):
        entries = [embedding(9, 4), lstm(UNITS, return_sequences=True), dense(3, "softmax")]
        net = network(
            entries,
            (-1,),
            dtype,
            rng=np.random.default_rng(1),
            loss="sparse_categorical_crossentropy",
            optimizer={"name": "sgd", "learning_rate": 0.1},
        )
        padded = [np.pad(a, ((0, 0), (0, more))) for a in (x, y, mask)]
        totals = fit(net, padded[0], padded[1], mask=padded[2], batch_size=12)
        assert totals["loss"][1] == mask.sum()
        runs.append((net.get_weights(), totals["loss"][0]))
    assert runs[0][1] == pytest.approx(runs[1][1], rel=1e-12)
    for a, b in zip(*(run[0] for run in runs), strict=True):
        # Padding moves terms of at most 1 between the blocks of a sum over 12 * 8 rows: half an eps
        # for each of 96 roundings, times the learning rate, and the rounding of the weight.
        np.testing.assert_allclose(a, b, rtol=0, atol=6 * np.finfo(dtype).eps)


@pytest.mark.parametrize("tail", [[lstm(3)], [lstm(3, return_sequences=True)]])
def test_padding_is_no_token(tail: list[Entry], rng: np.random.Generator) -> None:
    """Of the tokens that a fit counts for its bar."""
    ids = rng.integers(0, 3, (7, 9))
    net = network(
        [embedding(5, 4, mask_zero=True), *tail], (-1,), rng=rng, loss="mean_squared_error"
    )
    y = np.zeros((7, *(9 if n == -1 else n for n in net.output_shape())))
    assert fit(net, ids, y, batch_size=3)["tokens"][0] == np.count_nonzero(ids)
    plain = network([lstm(3)], (-1, 2), rng=rng, loss="mean_squared_error")
    x, mask = rng.normal(size=(7, 9, 2)), ids > 0
    assert fit(plain, x, np.zeros((7, 3)), mask=mask, batch_size=3)["tokens"][0] == mask.sum()
    assert fit(plain, x, np.zeros((7, 3)), batch_size=3)["tokens"][0] == mask.size
