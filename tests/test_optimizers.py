"""Optimizers as a user sees them: arguments, names, copies, and numbers against NumPy."""

import copy
import inspect
import pickle
import subprocess
import sys
import sysconfig
import typing
from pathlib import Path

import numpy as np
import pytest

import pylstm
from pylstm import Sequential, _configured, layers, optimizers

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 3))
Y = RNG.normal(size=(6, 2))
KINDS = [optimizers.SGD, optimizers.RMSprop, optimizers.Adam, optimizers.AdamW]
RTOL = 1e-12  # float64; a few operations of 1e-16 a step


# ---- the update rules, on a linear model whose gradient is known


def model(optimizer, dtype="float64"):
    net = Sequential([layers.Input((3,)), layers.Dense(2)], dtype=dtype)
    net.set_weights([np.arange(6.0).reshape(3, 2) / 5, np.array([0.5, -0.5])])
    net.compile(optimizer, "mse")
    return net


def gradients(w, b):
    error = 2 * (X @ w + b - Y) / Y.size
    return [X.T @ error, error.sum(0)]


def rule_sgd(momentum=0.0, nesterov=False, rate=0.1, **_):
    def step(w, g, slot, t):
        m = slot.setdefault("m", np.zeros_like(w))
        m[...] = momentum * m - rate * g
        return w + (momentum * m - rate * g if nesterov else m)

    return step


def rule_rmsprop(rho=0.9, momentum=0.0, epsilon=1e-7, centered=False, rate=0.1, **_):
    def step(w, g, slot, t):
        v = slot.setdefault("v", np.zeros_like(w))
        a = slot.setdefault("a", np.zeros_like(w))
        m = slot.setdefault("m", np.zeros_like(w))
        v[...] = rho * v + (1 - rho) * g * g
        a[...] = rho * a + (1 - rho) * g
        increment = rate * g / np.sqrt((v - a * a if centered else v) + epsilon)
        m[...] = momentum * m + increment
        return w - m

    return step


def rule_adam(beta_1=0.9, beta_2=0.999, epsilon=1e-7, rate=0.1, **_):
    def step(w, g, slot, t):
        m = slot.setdefault("m", np.zeros_like(w))
        v = slot.setdefault("v", np.zeros_like(w))
        m[...] = beta_1 * m + (1 - beta_1) * g
        v[...] = beta_2 * v + (1 - beta_2) * g * g
        corrected = rate * np.sqrt(1 - beta_2**t) / (1 - beta_1**t)
        return w - corrected * m / (np.sqrt(v) + epsilon)

    return step


def clipped(found, clipnorm=None, clipvalue=None, global_clipnorm=None, **_):
    if clipnorm:
        return [g * min(1, clipnorm / np.linalg.norm(g)) for g in found]
    if clipvalue:
        return [np.clip(g, -clipvalue, clipvalue) for g in found]
    if global_clipnorm:
        norm = np.sqrt(sum((g**2).sum() for g in found))
        return [g * min(1, global_clipnorm / norm) for g in found]
    return found


CASES = [
    (optimizers.SGD, rule_sgd, {}),
    (optimizers.SGD, rule_sgd, {"momentum": 0.9}),
    (optimizers.SGD, rule_sgd, {"momentum": 0.9, "nesterov": True}),
    (optimizers.SGD, rule_sgd, {"weight_decay": 0.1}),
    (optimizers.SGD, rule_sgd, {"clipnorm": 0.3}),
    (optimizers.SGD, rule_sgd, {"clipvalue": 0.05}),
    (optimizers.SGD, rule_sgd, {"global_clipnorm": 0.3}),
    (optimizers.SGD, rule_sgd, {"global_clipnorm": 1e9}),
    (optimizers.RMSprop, rule_rmsprop, {}),
    (optimizers.RMSprop, rule_rmsprop, {"rho": 0.5, "momentum": 0.8}),
    (optimizers.RMSprop, rule_rmsprop, {"centered": True, "epsilon": 1e-3}),
    (optimizers.RMSprop, rule_rmsprop, {"centered": True, "momentum": 0.5, "epsilon": 1e-3}),
    (optimizers.Adam, rule_adam, {}),
    (optimizers.Adam, rule_adam, {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-2}),
    (optimizers.Adam, rule_adam, {"weight_decay": 0.2, "global_clipnorm": 0.1}),
    (optimizers.AdamW, rule_adam, {}),
    (optimizers.AdamW, rule_adam, {"weight_decay": 0.3}),
    (optimizers.AdamW, rule_adam, {"weight_decay": 0}),
]


@pytest.mark.parametrize(("kind", "rule", "settings"), CASES)
def test_an_optimizer_follows_its_rule(kind, rule, settings):
    optimizer = kind(learning_rate=0.1, **settings)
    net = model(optimizer)
    weights, slots = net.get_weights(), [{}, {}]
    step = rule(**settings)
    decay = optimizer.weight_decay or 0.0
    for t in range(1, 5):
        found = clipped(gradients(*weights), **settings)
        weights = [
            step(w - 0.1 * decay * w, g, slot, t)
            for w, g, slot in zip(weights, found, slots, strict=True)
        ]
        net.train_on_batch(X, Y)
        for ours, expected in zip(net.get_weights(), weights, strict=True):
            np.testing.assert_allclose(ours, expected, rtol=RTOL, atol=RTOL)
    assert optimizer.iterations == 4


@pytest.mark.parametrize(
    ("kind", "setting"), [(optimizers.Adam, "beta_2"), (optimizers.RMSprop, "rho")]
)
def test_a_decay_near_1_leaves_what_it_should_in_float32(kind, setting):
    """1 - beta is not that of the beta that float32 holds, which is 1 at last."""
    found = []
    for dtype in ("float32", "float64"):
        net = model(kind(0.1, **{setting: 1 - 2**-26}), dtype)
        before = net.get_weights()
        net.train_on_batch(X, Y)
        found.append([a - b for a, b in zip(net.get_weights(), before, strict=True)])
    for ours, expected in zip(*found, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-5)


def test_the_learning_rate_may_be_set_at_any_time():
    optimizer = optimizers.SGD(0.5)
    net = model(optimizer)
    before, found = net.get_weights(), gradients(*net.get_weights())
    optimizer.learning_rate = 0.25
    net.train_on_batch(X, Y)
    for w, b, g in zip(net.get_weights(), before, found, strict=True):
        np.testing.assert_allclose(w, b - 0.25 * g, rtol=RTOL)
    optimizer.learning_rate = 0.0
    before = net.get_weights()
    net.train_on_batch(X, Y)
    assert all(np.array_equal(a, b) for a, b in zip(before, net.get_weights(), strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_other_settings_are_fixed_by_compile(kind):
    optimizer = kind(0.5)
    names = [name for name in optimizer.get_config() if name != "learning_rate"]
    for name in names:
        setattr(optimizer, name, getattr(optimizer, name))
    net = model(optimizer)
    before = optimizer.get_config()
    for name in names:
        match = rf"{kind.__name__}: {name} cannot be set .* {kind.__name__}\({name}=0.25\) and call"
        with pytest.raises(AttributeError, match=match):
            setattr(net.optimizer, name, 0.25)
    assert optimizer.get_config() == before
    twin = copy.copy(optimizer)
    twin.weight_decay = 0.25
    net.compile(twin, "mse")
    assert net.optimizer.weight_decay == 0.25


def test_a_step_that_is_not_finite_is_not_made():
    net = Sequential([layers.Input((3,)), layers.Dense(2)])
    net.compile("adam", "mse")
    net.train_on_batch(X, Y)
    before = net.get_weights()
    with pytest.warns(RuntimeWarning, match="1 step was not applied, among 1 batch: "):
        net.train_on_batch(X * 1e20, Y * 1e30)  # their product is infinite as float32
    assert all(np.array_equal(a, b) for a, b in zip(before, net.get_weights(), strict=True))
    assert net.optimizer.iterations == 1


# ---- arguments and attributes


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (
            optimizers.Adam,
            "learning_rate=0.001 beta_1=0.9 beta_2=0.999 epsilon=1e-07 amsgrad=False "
            "weight_decay=None clipnorm=None clipvalue=None global_clipnorm=None",
        ),
        (optimizers.SGD, "learning_rate=0.01 momentum=0.0 nesterov=False weight_decay=None"),
        (
            optimizers.RMSprop,
            "learning_rate=0.001 rho=0.9 momentum=0.0 epsilon=1e-07 centered=False",
        ),
        (optimizers.AdamW, "learning_rate=0.001 weight_decay=0.004 beta_1=0.9 beta_2=0.999"),
    ],
)
def test_arguments_are_keras(kind, names):
    parameters = list(inspect.signature(kind).parameters.values())
    found = [f"{p.name}={p.default}" for p in parameters]
    assert found[: len(names.split())] == names.split()


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: optimizers.Adam(amsgrad=True), "amsgrad"),
        (lambda: optimizers.Adam(use_ema=True), "use_ema"),
        (lambda: optimizers.Adam(gradient_accumulation_steps=2), "gradient_accumulation_steps"),
        (lambda: optimizers.Adam(loss_scale_factor=2.0), "loss_scale_factor"),
        (lambda: optimizers.Adam(clipnorm=1, clipvalue=1), "only one"),
        (lambda: optimizers.Adam(clipnorm=0), "clipnorm"),
        (lambda: optimizers.Adam(-1), "learning_rate"),
        (lambda: optimizers.Adam(float("nan")), "learning_rate"),
        (lambda: optimizers.Adam(beta_2=1.0), "beta_2"),
        (lambda: optimizers.AdamW(weight_decay=None), "weight_decay: .* at least 0, got None"),
        (
            lambda: optimizers.get({"class_name": "AdamW", "config": {"weight_decay": None}}),
            "weight_decay: ",
        ),
        (lambda: setattr(optimizers.AdamW(), "weight_decay", None), "weight_decay: "),
        (lambda: optimizers.SGD(momentum=2), "momentum"),
        (lambda: optimizers.Adam(epsilon=0), "epsilon: .* at least 1.17549e-38, got 0"),
        (lambda: optimizers.RMSprop(epsilon=1e-40), "epsilon"),
        (lambda: optimizers.get("adamm"), "did you mean 'adam'"),
    ],
)
def test_bad_values_are_refused(make, match):
    with pytest.raises(ValueError, match=match):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: optimizers.Adam("fast"),
        lambda: optimizers.Adam(lambda step: 0.1),
        lambda: optimizers.Adam(colour="red"),
        lambda: optimizers.get(3),
    ],
)
def test_bad_types_are_refused(make):
    with pytest.raises(TypeError):
        make()


def test_configurations_make_the_same_object():
    for optimizer in (
        optimizers.SGD(0.2, momentum=0.5, nesterov=True, clipnorm=2),
        optimizers.RMSprop(centered=True),
        optimizers.AdamW(beta_1=0.5, global_clipnorm=3),
    ):
        again = optimizers.deserialize(optimizers.serialize(optimizer))
        assert type(again) is type(optimizer)
        assert again.get_config() == optimizer.get_config()


@pytest.mark.parametrize(
    ("kind", "wrong", "right"),
    [
        ("Adam", "lr", "learning_rate"),
        ("SGD", "momentun", "momentum"),
        ("RMSprop", "RHO", "rho"),
        ("SGD", "qwerty", None),
    ],
)
def test_unexpected_arguments_of_optimizers(kind, wrong, right):
    hint = f" \\(did you mean '{right}'\\?\\)" if right else "$"
    with pytest.raises(TypeError, match=f"{kind}: unexpected argument '{wrong}'{hint}"):
        getattr(optimizers, kind)(**{wrong: 0.1})


def test_a_subclass_takes_its_own_arguments_and_refuses_others():
    class Halved(optimizers.SGD):
        def __init__(self, rate=1.0, **kwargs):
            super().__init__(rate / 2, **kwargs)

    assert Halved(0.5, clipnorm=2.0).get_config()["learning_rate"] == 0.25
    with pytest.raises(TypeError, match=r"Halved: unexpected argument 'rat' .did you mean 'rate'"):
        Halved(rat=0.5)


def test_annotations_can_be_looked_up():
    for kind in (*KINDS, optimizers.Optimizer):
        for name, member in vars(kind).items():
            if callable(member):
                assert "return" in typing.get_type_hints(member), (kind, name)
    hints = typing.get_type_hints(optimizers.Adam.from_config)
    assert hints["return"] == _configured.AnyConfigured
    assert typing.get_type_hints(optimizers.get)["return"] is optimizers.Optimizer


def test_type_checkers_know_the_classes_and_their_arguments(tmp_path):
    """Of what is made of Python functions too: of the package, one program is checked."""
    pytest.importorskip("mypy", reason="mypy is in the extra `test`")
    place = Path(pylstm.__file__).resolve().parents[1]
    site = Path(sysconfig.get_path("purelib")).resolve()
    config = tmp_path / "mypy.ini"  # mypy must find the package, also if not in site-packages
    config.write_text("[mypy]\n" + (f"mypy_path = {place}\n" if place != site else ""))
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    run = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file", str(config), str(program)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line.partition(": ")[2] for line in run.stdout.splitlines() if "error" in line]
    expected = [
        'error: Unexpected keyword argument "bogus" for "Adam"  [call-arg]',
        'error: Argument "name" to "SGD" has incompatible type "int"',
        'error: Argument "weight_decay" to "AdamW" has incompatible type "None"',
    ]
    found = [line[: len(start)] for line, start in zip(lines, expected, strict=False)]
    assert found == expected, run.stdout + run.stderr
    assert len(lines) == len(expected) + 1, run.stdout  # mypy's last line counts


PROGRAM = """
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pylstm import callbacks, losses, optimizers

adam: optimizers.Adam = optimizers.Adam(0.1, name="mine", use_ema=False)
again: optimizers.AdamW = optimizers.AdamW.from_config({})
optimizers.Adam(0.1, bogus=3)
optimizers.SGD(name=3)
optimizers.AdamW(weight_decay=None)


def loss(y: NDArray[Any], p: NDArray[Any]) -> tuple[np.float32, NDArray[Any]]:
    return np.float32(0), p


def end(epoch: int, logs: dict[str, float]) -> float:
    return logs["loss"]


losses.FunctionLoss(loss)
callbacks.LambdaCallback(on_epoch_end=end)
"""


@pytest.mark.parametrize("kind", KINDS)
def test_optimizers_have_no_other_attributes(kind):
    optimizer = kind(0.5)
    for wrong, right in [
        ("lr", "learning_rate"),
        ("learning_rat", "learning_rate"),
        ("clip_norm", "clipnorm"),
    ]:
        match = f"{kind.__name__} has no attribute '{wrong}' \\(did you mean '{right}'"
        with pytest.raises(AttributeError, match=match):
            setattr(optimizer, wrong, 0.1)
    with pytest.raises(AttributeError, match=r"no attribute 'colour'$"):
        optimizer.colour = "red"
    with pytest.raises(AttributeError):
        optimizer.iterations = 3  # it counts by itself
    for name in optimizer.get_config():
        setattr(optimizer, name, getattr(optimizer, name))
    assert optimizer.learning_rate == 0.5


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))]
)
def test_copies_of_an_optimizer_have_its_settings_and_no_model(duplicate):
    optimizer = optimizers.RMSprop(0.5, rho=0.5, momentum=0.25, clipnorm=3.0, name="mine")
    net = model(optimizer)
    net.fit(X, Y, verbose=0)
    twin = duplicate(optimizer)
    assert twin.get_config() == optimizer.get_config()
    assert (twin.name, twin.iterations, optimizer.iterations) == ("mine", 0, 1)
    twin.learning_rate = 0.25
    assert optimizer.learning_rate == 0.5
    with pytest.raises(AttributeError, match="learning_rate"):
        twin.lr = 0.1


def test_an_integer_that_is_no_float_is_named():
    with pytest.raises(ValueError, match="learning_rate: expected a finite number, got 1000"):
        optimizers.SGD(10**400)
