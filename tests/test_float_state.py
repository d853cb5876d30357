"""Every entry of `_core` leaves the caller's floating-point state as it was, to the bit."""

from __future__ import annotations

import contextlib
import ctypes
import ctypes.util
import json
import platform
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import ADAM, dense, dropout, embedding, lstm, network

from pylstm import _core

LIBM = ctypes.util.find_library("m") if sys.platform == "linux" else None
pytestmark = pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64") or not LIBM,
    reason="reads the state through Linux's libm on x86-64",
)

FE_UPWARD, FE_ALL_EXCEPT = 0x800, 0x3D  # <fenv.h> on x86-64
ROWS = 6

Call = Callable[[], object]


class World:
    """A network of each kind with all that its methods want; numbers that no float32 holds."""

    def __init__(self, folder: Path) -> None:
        rng = np.random.default_rng(0)
        self.entries = [lstm(9, stateful=True, dropout=0.1), dropout(0.3), dense(4, "tanh")]
        self.net = network(
            self.entries, (-1, 3), "float32", rng=rng, loss="mean_squared_error", optimizer=ADAM
        )
        self.x, self.y = rng.uniform(-1, 1, (ROWS, 5, 3)), rng.uniform(-1, 1, (ROWS, 4))
        self.data = _core.Data(self.x, self.y, rng.uniform(0, 1, ROWS), rng.random((ROWS, 5)) < 0.7)
        self.order, self.out = np.arange(ROWS), np.zeros((ROWS, 4), "float32")
        self.weights = [w.astype("f8") / 3 for w in self.net.get_weights()]
        self.slots = [s.astype("f8") / 3 for _, s in self.net.get_slots()]
        self.states = [rng.uniform(-1, 1, (ROWS, 9)) for _ in range(2)]
        self.dy = rng.uniform(-1, 1, (ROWS, 4))
        entries = [embedding(30, 8), lstm(9, return_sequences=True), dense(30, "softmax")]
        self.tokens = network(entries, (-1,), "float32", rng=rng)
        self.prompt = np.array([1, 2, 3])
        self.path = str(folder / "m")
        _core.write_model_file(self.path, {}, [("x", self.x)])

    def started(self) -> Call:
        """`finish` of a fit that has begun."""
        self.fitting = self.net.start()
        self.net.run(self.data, "fit", self.order, 3, 0, 2, 0.0)
        return self.fitting.finish

    def half_done(self) -> Call:
        """`backward` after a `forward`."""
        self.net.compile("external", json.dumps(ADAM))
        self.fitting = self.net.start()
        self.net.forward(self.data, self.order, ROWS, 0, True)
        return lambda: self.net.backward(self.dy)  # holds the fit

    def training(self) -> Call:
        self.fitting = self.net.start()
        return lambda: self.net.run(self.data, "fit", self.order, 3, 0, 2, 0.1)

    def carried(self) -> Call:
        self.net.predict(self.data, ROWS, 0, 1, 0.0, self.out)
        return partial(self.net.get_state, "predict")


CONFIG = json.dumps({"name": "adam", "learning_rate": 0.1, "weight_decay": 0.3, "clipnorm": 0.7})
FILE_ENTRY = [("x", np.linspace(0, 1, 7))]


def layers_text(world: World) -> str:
    layers = [
        {"class_name": name, "config": {"name": f"{name}{i}", **config}}
        for i, (name, config) in enumerate(world.entries)
    ]
    return json.dumps({"layers": layers})


# What prepares a call of each entry, before the state is set, and returns the call.
ENTRIES: dict[str, Callable[[World], Call]] = {
    "available_isas": lambda w: _core.available_isas,
    "active_isa": lambda w: _core.active_isa,
    "use_isa": lambda w: partial(_core.use_isa, _core.active_isa()),
    "get_num_threads": lambda w: _core.get_num_threads,
    "set_num_threads": lambda w: partial(_core.set_num_threads, 3),
    "available_cores": lambda w: _core.available_cores,
    "cgroup_folders": lambda w: partial(_core.cgroup_folders, "cpu"),
    "build_info": lambda w: _core.build_info,
    "measure_peak": lambda w: partial(_core.measure_peak, 2, 1e-3),
    "measure_issue_rate": lambda w: partial(_core.measure_issue_rate, 2, 1e-3),
    "second_level_cache": lambda w: _core.second_level_cache,
    "measure_bandwidth": lambda w: partial(_core.measure_bandwidth, 2, 4096, 1e-3),
    "initialize": lambda w: partial(_core.initialize, "orthogonal", (30, 20), 0.1, 0.0, 1, 2),
    "permutation": lambda w: partial(_core.permutation, 1000, 1, 2),
    "write_model_file": lambda w: partial(_core.write_model_file, w.path, {"a": "b"}, FILE_ENTRY),
    "read_model_file": lambda w: partial(_core.read_model_file, w.path),
    "Data": lambda w: partial(_core.Data, w.x, w.y),
    "Data.rows": lambda w: partial(getattr, w.data, "rows"),
    "Data.totals": lambda w: w.data.totals,
    "Data.reset_totals": lambda w: w.data.reset_totals,
    "Network": lambda w: partial(_core.Network, layers_text(w), (-1, 3), "float32"),
    "Network.isa": lambda w: partial(getattr, w.net, "isa"),
    "Network.iterations": lambda w: partial(setattr, w.net, "iterations", w.net.iterations),
    "Network.variables": lambda w: w.net.variables,
    "Network.get_weights": lambda w: w.net.get_weights,
    "Network.set_weights": lambda w: partial(w.net.set_weights, w.weights),
    "Network.set_trainable": lambda w: partial(w.net.set_trainable, [False] * len(w.weights)),
    "Network.output_shape": lambda w: w.net.output_shape,
    "Network.layer_output_shapes": lambda w: w.net.layer_output_shapes,
    "Network.compile": lambda w: partial(w.net.compile, "mean_squared_error", CONFIG),
    "Network.set_learning_rate": lambda w: partial(w.net.set_learning_rate, 0.1),
    "Network.get_slots": lambda w: w.net.get_slots,
    "Network.set_slots": lambda w: partial(w.net.set_slots, w.slots),
    "Network.set_metrics": lambda w: partial(w.net.set_metrics, ["binary_accuracy"]),
    "Network.set_seed": lambda w: partial(w.net.set_seed, 7),
    "Network.check": lambda w: partial(w.net.check, w.data, "fit"),
    "Network.start": lambda w: w.net.start,
    "Fitting.finish": World.started,
    "Network.trains": lambda w: partial(getattr, w.net, "trains"),
    "Network.trains_elsewhere": lambda w: partial(getattr, w.net, "trains_elsewhere"),
    "Network.run": World.training,
    "Network.predict": lambda w: partial(w.net.predict, w.data, 3, 0, 2, 0.1, w.out),
    "Network.forward": lambda w: partial(w.net.forward, w.data, w.order, ROWS, 0, False),
    "Network.backward": World.half_done,
    "Network.gradients": lambda w: partial(w.net.gradients, w.data),
    "Network.call": lambda w: partial(w.net.call, w.x, w.states, None, True),
    "Network.call_gradients": lambda w: partial(
        w.net.call_gradients, w.x, w.states, None, [w.dy, *w.states], True
    ),
    "Network.reset_state": lambda w: w.net.reset_state,
    "Network.get_state": World.carried,
    "Network.set_state": lambda w: partial(w.net.set_state, "predict", w.states),
    "Network.generate": lambda w: partial(w.tokens.generate, w.prompt, 5, 0.7, 9, 0.9, 3),
    "Network.memory": lambda w: w.net.memory,
    "Network.empty_result": lambda w: partial(w.net.empty_result, (3, 1 << 18)),
    "Network.memory_use": lambda w: w.net.memory_use,
    "Network.plan_memory": lambda w: partial(w.net.plan_memory, ROWS, 5, "fit"),
}

REFUSED: dict[str, Callable[[World], Call]] = {
    "initialize": lambda w: partial(_core.initialize, "normal?", (3,), 0.1, 0.2, 1, 2),
    "Network.compile": lambda w: partial(w.net.compile, "mean_squared_error", CONFIG[:-1]),
    "Network.set_weights": lambda w: partial(w.net.set_weights, [w.weights[0]]),
    "Network.check": lambda w: partial(w.net.check, _core.Data(w.x * 1e300, w.y), "fit"),
    "Network.run": lambda w: partial(w.net.run, w.data, "evaluate", w.order, 4, 0, 9, 0.0),
    "Network.generate": lambda w: partial(w.tokens.generate, w.prompt * 100, 5, 0.7, 9, 0.9, 3),
}


def public(owner: Any) -> set[str]:
    return {name for name in dir(owner) if not name.startswith("_")}


def test_the_table_has_every_entry() -> None:
    names = public(_core) - {"ModelFileError", "Fitting"}  # a class without a constructor
    for owner in ("Data", "Fitting", "Network"):
        names |= {f"{owner}.{name}" for name in public(getattr(_core, owner))}
    assert set(ENTRIES) == names


@pytest.fixture
def libm() -> Iterator[ctypes.CDLL]:
    """The C library's <fenv.h>, and after the test the state before it."""
    library, saved = ctypes.CDLL(LIBM), (ctypes.c_uint32 * 8)()
    library.fegetenv(saved)
    yield library
    library.fesetenv(saved)


def state_after(call: Call, libm: ctypes.CDLL, *expected: type[Exception]) -> tuple[int, int]:
    """MXCSR before and after the call: rounding upward, no flag raised. fegetenv stores it after
    28 bytes of x87."""
    before, after = (ctypes.c_uint32 * 8)(), (ctypes.c_uint32 * 8)()
    libm.fesetround(FE_UPWARD)
    libm.feclearexcept(FE_ALL_EXCEPT)
    libm.fegetenv(before)
    with contextlib.suppress(*expected):
        call()
    libm.fegetenv(after)
    libm.fesetround(0)
    return before[7], after[7]


@pytest.mark.parametrize("name", ENTRIES)
def test_state_after_a_call(name: str, tmp_path: Path, libm: ctypes.CDLL, isa: str) -> None:
    call = ENTRIES[name](World(tmp_path))
    before, after = state_after(call, libm)
    assert after == before


@pytest.mark.parametrize("name", REFUSED)
def test_state_after_a_refused_call(name: str, tmp_path: Path, libm: ctypes.CDLL, isa: str) -> None:
    call = REFUSED[name](World(tmp_path))
    before, after = state_after(call, libm, ValueError, IndexError)
    assert after == before
    with pytest.raises((ValueError, IndexError)):
        call()
