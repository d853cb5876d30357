"""Long work leaves Python to other threads, and what they do meanwhile leaves a model whole."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from helpers import Array, dense, embedding, fit, lstm, network, predict, run_python

from pylstm import _core

TRIES = 1000  # calls in which the other thread may be slow to wake


@pytest.fixture
def never_switched() -> Iterator[None]:
    """Python takes the GIL from no thread: another one runs only where a call gives it up."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000.0)
    yield
    sys.setswitchinterval(interval)


def calls(rng: np.random.Generator) -> dict[str, Callable[[], object]]:
    net = network(
        [embedding(3000, 64), lstm(48, return_sequences=True), dense(8)],
        (-1,),
        "float32",
        rng=rng,
        loss="mean_squared_error",
    )
    x, y = rng.integers(0, 3000, (32, 20)), rng.uniform(-1, 1, (32, 20, 8))
    data, order, out = _core.Data(x, y), np.arange(32), np.zeros((32, 20, 8), "float32")
    many = _core.Data(rng.integers(0, 3000, (20_000, 50)))
    weights, slots = net.get_weights(), [slot for _, slot in net.get_slots()]

    def finish() -> None:
        fitting = net.start()
        net.set_weights(weights)
        fitting.finish()

    return {
        "check": lambda: net.check(many, "predict"),
        "evaluate": lambda: net.run(data, "evaluate", order, 32, 0, 1, 0.0),
        "predict": lambda: net.predict(data, 32, 0, 1, 0.0, out),
        "gradients": lambda: net.gradients(data),
        "call": lambda: net.call(x),
        "call_gradients": lambda: net.call_gradients(x, None, None, [out]),
        "finish": finish,
        "get_weights": net.get_weights,
        "set_weights": lambda: net.set_weights(weights),
        "get_slots": net.get_slots,
        "set_slots": lambda: net.set_slots(slots),
        "permutation": lambda: _core.permutation(100_000, 1, 2),
        "initialize": lambda: _core.initialize("normal", (100_000,), 0.0, 1.0, 1, 2),
    }


@pytest.mark.parametrize("name", calls(np.random.default_rng(0)))
def test_other_threads_run_during_the_call(
    name: str, never_switched: None, rng: np.random.Generator
) -> None:
    call, turns, done = calls(rng)[name], [0], threading.Event()

    def turn() -> None:
        while not done.is_set():
            turns[0] += 1
            time.sleep(0)

    other = threading.Thread(target=turn)
    other.start()
    try:
        for _ in range(TRIES):
            before = turns[0]
            call()
            if turns[0] > before:
                return
    finally:
        done.set()
        other.join()
    pytest.fail(f"{name} holds the GIL")


def test_weights_are_replaced_whole_or_not_at_all_beside_fits(rng: np.random.Generator) -> None:
    """Fits of rate 0, so that all weights are at any time what one `set_weights` made them."""
    net = network(
        [lstm(24, return_sequences=True), lstm(16), dense(4)],
        (-1, 6),
        "float32",
        loss="mean_squared_error",
        optimizer={"name": "sgd", "learning_rate": 0.0},
    )
    x, y = rng.uniform(-1, 1, (12, 9, 6)), rng.uniform(-1, 1, (12, 4))
    sets = [[np.full(shape, k / 64) for _, shape, _ in net.variables()] for k in range(1, 9)]
    expected = set()
    for weights in sets:
        net.set_weights(weights)
        expected.add(predict(net, x).tobytes())
    done = threading.Event()
    outcomes: set[str] = set()
    seen: set[bytes] = set()
    mixed: list[list[Array]] = []

    def replace() -> None:
        while not done.is_set():
            for weights in sets:
                try:
                    net.set_weights(weights)
                    outcomes.add("replaced")
                except RuntimeError as error:
                    outcomes.add(str(error))

    def read() -> None:
        while not done.is_set():
            seen.add(predict(net, x).tobytes())
            weights = net.get_weights()
            if any((w != weights[0].flat[0]).any() for w in weights):
                mixed.append(weights)

    threads = [threading.Thread(target=target) for target in (replace, replace, read)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(300):
            fit(net, x, y, batch_size=6)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert seen <= expected
    assert not mixed
    assert "replaced" in outcomes <= {"replaced", "the model is being trained"}
    assert predict(net, x).tobytes() in expected


# In a process of its own, so that a check which nothing ends is a timeout.
ENDLESS = """
import signal
import sys
import threading

import numpy as np
from helpers import dense, embedding, lstm, network

from pylstm import _core

rows = 10**13
if sys.argv[1] == "tokens":
    net = network([embedding(5, 2), lstm(2), dense(1)], (-1,), loss="mean_squared_error")
    x = np.broadcast_to(np.int8(1), (rows, 3))
else:
    net = network([dense(1)], (3,), loss="mean_squared_error")
    x = np.broadcast_to(np.float16(1), (rows, 3))
data = _core.Data(x, np.broadcast_to(np.float64(1), (rows, 1)))
threading.Timer(0.2, lambda: signal.raise_signal(signal.SIGINT)).start()
try:
    net.check(data, "fit")
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("kind", ["tokens", "numbers"])
def test_ctrl_c_ends_a_check(kind: str) -> None:
    assert run_python("-c", ENDLESS, kind, timeout=60) == "interrupted\n"
