"""Gradients of every layer and loss match central differences in float64 to 1e-6."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count, product
from typing import Any

import numpy as np
import pytest
from helpers import (
    MASKS,
    Array,
    Entry,
    all_same_bits,
    assert_call_gradients,
    assert_loss_gradients,
    bidirectional,
    dense,
    dropout,
    embedding,
    fit,
    lstm,
    make_mask,
    network,
    predict,
    state_of,
)

from pylstm import _core

# ---- recurrent layers: variables, inputs and states


@dataclass
class LayerCase:
    entry: Entry
    batch: int = 3
    steps: int = 4
    mask: str = "none"
    training: bool = False
    state_gradients: bool = True
    features: int = 3

    def __str__(self) -> str:
        class_name, config = self.entry
        if class_name == "Bidirectional":
            config = {"merge": config["merge_mode"], **config["layer"]["config"]}
        words = [f"{k}={v}" for k, v in config.items() if v not in (False, "inner")]
        return "-".join([class_name, *words, f"B{self.batch}", f"T{self.steps}", self.mask])


def size_cases() -> list[LayerCase]:
    """Every number of units about the vector widths; the options take turns."""
    cases, turn = [], count()
    for units in [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17]:
        for batch, steps in [(1, 1), (1, 5), (2, 3), (3, 2), (5, 1), (4, 9)]:
            i = next(turn)
            options = {
                "return_sequences": i % 2 == 0,
                "go_backwards": i // 2 % 2 == 1,
                "use_bias": i % 7 != 0,
                "zero_output_for_mask": i // 5 % 2 == 1,
            }
            entry = lstm(units, **options)
            cases.append(
                LayerCase(entry, batch, steps, MASKS[i % len(MASKS)], False, i % 3 > 0, 1 + i % 5)
            )
    return cases


def option_cases() -> list[LayerCase]:
    cases = []
    for sequences, backwards, stateful, zero, mask in product(*[[False, True]] * 4, MASKS):
        if zero and (mask in ("none", "whole") or not sequences):
            continue  # means nothing there
        entry = lstm(
            3,
            return_sequences=sequences,
            go_backwards=backwards,
            stateful=stateful,
            zero_output_for_mask=zero,
        )
        cases.append(LayerCase(entry, mask=mask))
    return cases


def bidirectional_cases() -> list[LayerCase]:
    cases = []
    for merge, sequences, backwards, mask in product(
        ["concat", "sum", "mul", "ave"],
        [False, True],
        [False, True],
        ["none", "left_padded", "scattered_one_row_empty"],
    ):
        inner = lstm(3, return_sequences=sequences, go_backwards=backwards)
        cases.append(LayerCase(bidirectional(inner, merge), mask=mask))
    return cases


def dropout_cases() -> list[LayerCase]:
    """The masks are a function of seed and step, so that differences see one function."""
    cases = []
    for rates, sequences, mask, both in product(
        [(0.3, 0.0), (0.0, 0.3), (0.4, 0.2)],
        [False, True],
        ["none", "right_padded", "scattered_one_row_empty"],
        [False, True],
    ):
        options = {"dropout": rates[0], "recurrent_dropout": rates[1], "seed": 5}
        inner = lstm(5, return_sequences=sequences, **options)
        entry = bidirectional(inner) if both else inner
        cases.append(LayerCase(entry, mask=mask, training=True))
    return cases


LAYER_CASES = size_cases() + option_cases() + bidirectional_cases() + dropout_cases()


@pytest.mark.parametrize("case", LAYER_CASES, ids=str)
def test_gradients_of_a_recurrent_layer(
    case: LayerCase, isa: str, rng: np.random.Generator
) -> None:
    net = network([case.entry], (-1, case.features), rng=rng)
    x = rng.uniform(-1, 1, (case.batch, case.steps, case.features))
    mask = make_mask(case.mask, case.batch, case.steps, rng)
    shapes = [state.shape for state in net.call(x, None, None, False)[1:]]
    states = [rng.uniform(-1, 1, shape) for shape in shapes]
    assert_call_gradients(
        net,
        x,
        states,
        mask,
        rng,
        training=case.training,
        state_gradients=case.state_gradients,
    )


# ---- whole models: variables, through a loss


@dataclass
class ModelCase:
    name: str
    entries: list[Entry]
    loss: str | dict[str, Any] = "mean_squared_error"
    weights: str = "none"
    mask: str = "none"
    sequence: bool = False  # of the output
    vector: bool = False  # input without steps
    classes: int = 4
    frozen: list[int] = field(default_factory=list)

    def __str__(self) -> str:
        return "-".join([self.name, self.weights, self.mask, "steps" if self.sequence else "rows"])


def named(name: str, **options: Any) -> dict[str, Any]:
    return {"name": name, **options}


def loss_cases() -> list[ModelCase]:
    ends = {
        "fused": [dense(4, "softmax")],
        "logits": [dense(4)],
        "logits_unfused": [dense(4), dropout(0.0)],
        "unfused": [dense(4, "softmax"), dropout(0.0)],
    }
    binary = {"probabilities": [dense(4, "sigmoid")], "logits": [dense(4)]}
    kinds: list[tuple[str, list[Entry], dict[str, Any]]] = []
    for smoothing in (0.0, 0.2):
        for end, entries in ends.items():
            for loss in ("categorical_crossentropy", "sparse_categorical_crossentropy"):
                if smoothing and loss.startswith("sparse"):
                    continue  # Keras has none there
                options = {"from_logits": end.startswith("logits"), "label_smoothing": smoothing}
                kinds.append((f"{loss}_{end}_{smoothing}", entries, named(loss, **options)))
        for end, entries in binary.items():
            options = {"from_logits": end == "logits", "label_smoothing": smoothing}
            loss = named("binary_crossentropy", **options)
            kinds.append((f"binary_{end}_{smoothing}", entries, loss))
    many = named("sparse_categorical_crossentropy")  # so many that rows of x are scaled, not logits
    kinds.append(("many_classes", [dense(37, "softmax")], many))
    kinds.append(("many_classes_no_bias", [dense(32, "softmax", use_bias=False)], many))
    kinds += [(loss, [dense(4)], named(loss)) for loss in ("mean_squared_error",)]
    kinds += [(loss, [dense(4)], named(loss)) for loss in ("mean_absolute_error",)]
    cases = []
    for name, entries, loss in kinds:
        for weights, mask, sequence in [
            ("none", "none", False),
            ("rows", "right_padded", False),
            ("none", "scattered_one_row_empty", True),
            ("rows", "none", True),
            ("steps", "right_padded", True),
        ]:
            body = [lstm(3, return_sequences=sequence), *entries]
            classes = entries[0][1]["units"]
            cases.append(ModelCase(name, body, loss, weights, mask, sequence, classes=classes))
    return cases


def dense_cases() -> list[ModelCase]:
    cases = []
    for activation, bias in product([None, "relu", "tanh", "sigmoid", "softmax"], [True, False]):
        if activation == "relu" and not bias:
            continue  # the bias keeps its inputs away from the corner
        layer = dense(5, activation, use_bias=bias)
        name = f"dense_{activation}_{'bias' if bias else 'no_bias'}"
        first, middle = [layer, dense(4)], [lstm(3, return_sequences=True), layer, dense(4)]
        cases.append(ModelCase(name, first, vector=True))
        cases.append(ModelCase(name, [layer, lstm(4)]))
        cases.append(ModelCase(name, middle, sequence=True, mask="scattered"))
    return cases


def stack_cases() -> list[ModelCase]:
    cases = []
    for zero, sequence in product([False, True], [False, True]):
        table = embedding(6, 3, mask_zero=zero)
        inner = lstm(4, return_sequences=sequence)
        stacks = {
            "lstm": [inner],
            "bidirectional": [bidirectional(inner)],
            "two": [lstm(3, return_sequences=True), inner],
            "backwards": [lstm(3, return_sequences=True, go_backwards=not zero), inner],
            "dropout": [dropout(0.3, seed=3), inner, dropout(0.2, seed=4)],
        }
        for name, body in stacks.items():
            entries = [table, *body, dense(4, "softmax")]
            loss = named("sparse_categorical_crossentropy")
            title = f"embedding{'_mask_zero' if zero else ''}_{name}"
            cases.append(ModelCase(title, entries, loss, sequence=sequence))
    entries = [lstm(3, return_sequences=True), lstm(4), dense(4)]
    for frozen in [[0, 1, 2], [3, 4, 5], [6, 7], [0, 1, 2, 6, 7]]:
        cases.append(ModelCase(f"frozen_{frozen}", entries, frozen=frozen))
    return cases


MODEL_CASES = loss_cases() + dense_cases() + stack_cases()


def targets(case: ModelCase, batch: int, steps: int, rng: np.random.Generator) -> Array:
    leading = (batch, steps) if case.sequence else (batch,)
    loss = case.loss if isinstance(case.loss, str) else case.loss["name"]
    if loss.startswith("sparse"):
        return rng.integers(0, case.classes, leading)
    if loss == "mean_absolute_error":  # far from the corner at y = target
        return rng.choice([-9.0, 9.0], (*leading, case.classes))
    if loss == "categorical_crossentropy":  # soft and not of mass 1
        return rng.uniform(0, 1, (*leading, case.classes))
    return rng.uniform(0, 1, (*leading, case.classes))


def away_from_corners(net: _core.Network, case: ModelCase) -> None:
    """Biases of relu layers at +-4: their inputs are at most 5 * 0.5 in size."""
    weights = net.get_weights()
    for i, (name, _, layer) in enumerate(net.variables()):
        if name.endswith("bias") and case.entries[layer][1].get("activation") == "relu":
            weights[i] = np.where(np.arange(weights[i].size) % 2, 4.0, -4.0)
    net.set_weights(weights)


@pytest.mark.parametrize("case", MODEL_CASES, ids=str)
def test_gradients_of_a_model(case: ModelCase, isa: str, rng: np.random.Generator) -> None:
    batch, steps = 4, 3
    tokens = case.entries[0][0] == "Embedding"
    shape: tuple[int, ...] = (-1,) if tokens else (3,) if case.vector else (-1, 3)
    net = network(case.entries, shape, rng=rng, loss=case.loss)
    away_from_corners(net, case)
    x = rng.uniform(-1, 1, (batch, 3) if case.vector else (batch, steps, 3))
    if tokens:
        x = rng.integers(0, 6, (batch, steps))
        x[0, -1] = x[1, 0] = 0
    weights = {"none": None, "rows": rng.uniform(0, 2, batch)}
    weights["steps"] = rng.uniform(0, 2, (batch, steps))
    mask = make_mask(case.mask, batch, steps, rng)
    data = _core.Data(x, targets(case, batch, steps, rng), weights[case.weights], mask)
    net.check(data, "fit")
    if case.frozen:
        trainable = [i not in case.frozen for i in range(len(net.variables()))]
        everything = net.gradients(data)[1]
        net.set_trainable(trainable)
        some = net.gradients(data)[1]
        kept = [i for i, flag in enumerate(trainable) if flag]
        assert all_same_bits([some[i] for i in kept], [everything[i] for i in kept])
        return
    assert_loss_gradients(net, data, rng)


def test_there_are_at_least_300_gradient_checks() -> None:
    assert len(LAYER_CASES) + len(MODEL_CASES) >= 300


# ---- a gradient that is not finite


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adam", "adamw"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_step_without_a_finite_gradient_changes_nothing(
    dtype: str, optimizer: str, isa: str, rng: np.random.Generator
) -> None:
    options = {"name": optimizer, "momentum": 0.9} if optimizer == "sgd" else {"name": optimizer}
    net = network(
        [lstm(5), dense(2)], (-1, 3), dtype, rng=rng, loss="mean_squared_error", optimizer=options
    )
    x, y = rng.uniform(-1, 1, (12, 4, 3)), rng.uniform(-1, 1, (12, 2))
    fit(net, x, y, batch_size=4)
    before = state_of(net)
    huge, weight = y.copy(), np.ones(12)
    huge[6, 1] = np.finfo(dtype).max / 2  # in the second batch; times its weight beyond the type
    weight[6] = 1e10
    totals = fit(net, x, huge, sample_weight=weight, batch_size=4, first=1, last=2)
    assert totals["skipped"][0] == 1
    after = state_of(net)
    assert all_same_bits(before[0], after[0])
    assert all_same_bits(before[1], after[1])
    assert before[2] == after[2] == 3
    # The next step runs as if nothing had been.
    totals = fit(net, x, huge, batch_size=4, last=1)
    assert totals["skipped"][0] == 0
    assert net.iterations == 4
    assert np.isfinite(predict(net, x)).all()
    assert not all_same_bits(before[0], net.get_weights())
