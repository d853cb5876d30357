"""Denormals are 0 inside our calls; the caller's floating-point state is what it was after them."""

from __future__ import annotations

import ctypes
import ctypes.util
import platform
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers import (
    Array,
    bidirectional,
    dense,
    dropout,
    embedding,
    fit,
    lstm,
    network,
    predict,
    same_bits,
)

from pylstm import _core

X86 = platform.machine().lower() in ("x86_64", "amd64")
LIBM = ctypes.util.find_library("m") if sys.platform == "linux" else None
needs_fenv = pytest.mark.skipif(
    not (X86 and LIBM), reason="reads the control word through Linux's libm on x86-64"
)

FE_UPWARD = 0x800  # <fenv.h> on x86-64
FE_ALL_EXCEPT = 0x3D
CONTROL = 0xFFC0  # of MXCSR: denormals are zero, masks, rounding, flush to zero; flags are below
UPWARD, OVERFLOW = 0x4000, 0x08


def mxcsr() -> int:
    """The SSE control and status word of this thread: fegetenv stores it after 28 bytes of x87."""
    environment = (ctypes.c_uint32 * 8)()
    ctypes.CDLL(LIBM).fegetenv(ctypes.byref(environment))
    return environment[7]


def denormals_live() -> bool:
    """Whether this thread keeps denormals, of both types, as operands and as results."""
    return all(
        (np.full(9, np.finfo(t).smallest_subnormal) * t(1) > 0).all()
        and (np.full(9, np.finfo(t).tiny) / t(2) > 0).all()
        for t in (np.float32, np.float64)
    )


# ---- every kind of call


def model(rng: np.random.Generator) -> tuple[_core.Network, Array, Array]:
    inner = lstm(40, return_sequences=True, dropout=0.1, recurrent_dropout=0.1)
    entries = [bidirectional(inner), dropout(0.1), lstm(48, stateful=True), dense(9, "sigmoid")]
    net = network(entries, (-1, 12), "float32", rng=rng, loss="mean_squared_error")
    return net, rng.uniform(-1, 1, (16, 20, 12)), rng.uniform(0, 1, (16, 9))


def language_model(rng: np.random.Generator) -> _core.Network:
    entries = [embedding(30, 8), lstm(9, return_sequences=True), dense(30, "softmax")]
    return network(entries, (-1,), "float32", rng=rng, loss="sparse_categorical_crossentropy")


def external_step(rng: np.random.Generator) -> None:
    net = network([lstm(9), dense(2)], (-1, 3), rng=rng, loss="external")
    data, order = _core.Data(rng.uniform(-1, 1, (6, 4, 3))), np.arange(6)
    fitting = net.start()
    net.backward(net.forward(data, order, 6, 0, True))
    fitting.finish()


def gradients_of_a_call(rng: np.random.Generator) -> None:
    net, x, _ = model(rng)
    outputs = net.call(x, None, None, True)
    net.call_gradients(x, outputs[1:], None, outputs, True)


def refused(rng: np.random.Generator) -> None:
    net, x, y = model(rng)
    for bad in (x[:, :, :3], x * np.nan):
        with pytest.raises(ValueError, match="x must"):
            net.check(_core.Data(bad, y), "fit")
    data = _core.Data(x, y)
    fitting = net.start()
    with pytest.raises(ValueError, match="order must hold rows"):
        net.run(data, "fit", np.array([0, 99]), 2, 0, 1, 0.0)
    fitting.finish()


def evaluate(rng: np.random.Generator) -> None:
    net, x, y = model(rng)
    net.run(_core.Data(x, y), "evaluate", np.arange(16), 8, 0, 2, 0.0)


def move_weights(rng: np.random.Generator) -> None:
    net, x, y = model(rng)
    fit(net, x, y)
    net.set_weights(net.get_weights())
    net.set_slots([slot for _, slot in net.get_slots()])
    net.set_state("predict", net.get_state("fit"))
    net.reset_state()


def file_round_trip(rng: np.random.Generator, folder: Path) -> None:
    path = folder / "m.safetensors"
    _core.write_model_file(str(path), {}, [("x", rng.uniform(-1, 1, 9))])
    _core.read_model_file(str(path))


CALLS: dict[str, Callable[[np.random.Generator], object]] = {
    "fit": lambda rng: fit(*model(rng)),
    "fit_in_windows": lambda rng: fit(
        language_model(rng), *rng.integers(0, 30, (2, 8, 12)), tbptt=5
    ),
    "predict": lambda rng: predict(*model(rng)[:2]),
    "evaluate": evaluate,
    "call": lambda rng: model(rng)[0].call(model(rng)[1], None, None, True),
    "gradients_of_a_call": gradients_of_a_call,
    "gradients": lambda rng: (lambda net, x, y: net.gradients(_core.Data(x, y)))(*model(rng)),
    "external_step": external_step,
    "generate": lambda rng: language_model(rng).generate(np.array([1, 2]), 5, 1.0, 0, 0.9, 3),
    "refused": refused,
    "move_weights": move_weights,
    "initialize": lambda rng: _core.initialize("orthogonal", (30, 20), 1.0, 0.0, 1, 2),
    "permutation": lambda rng: _core.permutation(1000, 1, 2),
}


@pytest.fixture(params=["here", "in another thread"])
def runner(request: pytest.FixtureRequest) -> Callable[[Callable[[], None]], None]:
    """Runs a function in the main thread, or in a new one and passes on its exception."""
    if request.param == "here":
        return lambda function: function()

    def elsewhere(function: Callable[[], None]) -> None:
        failures: list[BaseException] = []

        def guarded() -> None:
            try:
                function()
            except BaseException as error:  # handed to the test
                failures.append(error)

        thread = threading.Thread(target=guarded)
        thread.start()
        thread.join()
        if failures:
            raise failures[0]

    return elsewhere


@pytest.mark.parametrize("name", CALLS)
def test_denormals_live_after_every_call(
    name: str,
    runner: Callable[[Callable[[], None]], None],
    isa: str,
    rng: np.random.Generator,
) -> None:
    _core.set_num_threads(3)

    def act() -> None:
        assert denormals_live()
        CALLS[name](rng)
        assert denormals_live()

    runner(act)
    assert denormals_live()


def test_denormals_live_after_reading_and_writing_a_file(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    file_round_trip(rng, tmp_path)
    assert denormals_live()


@needs_fenv
@pytest.mark.parametrize("name", CALLS)
def test_the_control_word_is_restored_after_every_call(
    name: str, runner: Callable[[Callable[[], None]], None], rng: np.random.Generator, isa: str
) -> None:
    def act() -> None:
        before = mxcsr() & CONTROL
        CALLS[name](rng)
        assert mxcsr() & CONTROL == before

    runner(act)


@pytest.fixture
def rounding_up() -> Iterator[None]:
    libm = ctypes.CDLL(LIBM)
    libm.fesetround(FE_UPWARD)
    yield
    libm.fesetround(0)


def rounds_up() -> bool:
    return bool((np.ones(3) + np.full(3, 1e-30) > 1).all())


@needs_fenv
def test_the_caller_s_rounding_neither_matters_nor_changes(
    isa: str, rng: np.random.Generator, request: pytest.FixtureRequest
) -> None:
    """Exactly representable weights and inputs: nothing is rounded but by the engine itself."""
    net = network([lstm(20), dense(3, "softmax")], (-1, 4), "float32")
    weights = [rng.integers(-8, 9, shape) / 16 for _, shape, _ in net.variables()]
    net.set_weights(weights)
    x = rng.integers(-8, 9, (7, 5, 4)) / 8
    expected = predict(net, x)
    assert not rounds_up()
    request.getfixturevalue("rounding_up")
    assert rounds_up()
    assert mxcsr() & UPWARD
    assert same_bits(predict(net, x), expected)
    assert rounds_up()


@needs_fenv
def test_our_exceptions_do_not_show_in_the_caller_s_flags(isa: str) -> None:
    """An output that overflows shows as inf, not as a flag at the caller's next look."""
    net = network([dense(2)], (3,), "float32")
    x, out = np.full((4, 3), 1e38, "float32"), np.zeros((4, 2), "float32")
    net.set_weights([np.full((3, 2), 1e38, "float32"), np.zeros(2, "float32")])
    data = _core.Data(x)
    ctypes.CDLL(LIBM).feclearexcept(FE_ALL_EXCEPT)
    net.predict(data, 4, 0, 1, 0.0, out)
    assert mxcsr() & OVERFLOW == 0
    assert np.isinf(out).all()


def test_denormals_are_zero_inside(isa: str, rng: np.random.Generator) -> None:
    """As inputs and as weights: the same bits as with zeros."""
    net = network([dense(5), lstm(6)], (-1, 4), "float32", rng=rng)
    tiny = np.finfo("float32").smallest_subnormal
    x = rng.uniform(-1, 1, (3, 4, 4)).astype("float32")
    x[:, ::2] = 0
    small = np.where(x == 0, np.float32(tiny * 1000), x)
    assert same_bits(predict(net, small), predict(net, x))
