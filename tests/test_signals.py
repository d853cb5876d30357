"""Signals, and the end of the program, while a call of the engine runs."""

from __future__ import annotations

import os
import sys

import pytest
from helpers import run_python

from pylstm import _core

BACKEND = _core.build_info()["thread_backend"]
pytestmark = pytest.mark.skipif(os.name != "posix", reason="sends signals")

MODEL = """if True:
    import os, signal, sys, threading, time
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # whose threads would take signals
    import numpy as np, pylstm
    from pylstm import Sequential, layers
    pylstm.set_num_threads(2)
    model = Sequential([layers.LSTM(64, return_sequences=True), layers.Dense(8)])
    model.compile("sgd", "mse")
    rng = np.random.default_rng(0)
    x, y = rng.random((2000, 50, 16), np.float32), rng.random((2000, 50, 8), np.float32)
    model.train_on_batch(x[:8], y[:8])
"""

DAEMON = """
    def work():
        while True:
            model.fit(x, y, verbose=0) if sys.argv[1] == "fit" else model.predict(x)
    threading.Thread(target=work, daemon=True).start()
    time.sleep(0.3)
    print("the main thread ends")
"""


@pytest.mark.parametrize("call", ["fit", "predict"])
def test_the_program_ends_while_a_daemon_thread_is_in_a_call(call: str) -> None:
    """Python would unwind the thread, which ends the process with SIGABRT."""
    for _ in range(3):
        assert run_python("-c", MODEL + DAEMON, call) == "the main thread ends\n"


HANDLER = """
    zeros = [w * 0 for w in model.get_weights()]
    changes = {
        "compile": lambda: model.compile("adam", "mae"),
        "freeze": lambda: setattr(model.layers[0], "trainable", False)
        or model.train_on_batch(x[:2], y[:2]),
        "set_weights": lambda: model.set_weights(zeros),
    }
    x, y = np.tile(x, (20, 1, 1)), np.tile(y, (20, 1, 1))  # longer than from one poll to the next
    told = []
    def change(*_):
        try:
            changes[sys.argv[2]]()
            told.append("changed")
        except RuntimeError as error:
            told.append(str(error))
    signal.signal(signal.SIGALRM, change)
    signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
    while len(told) < 5:
        if sys.argv[1] == "predict":
            model.predict(x, batch_size=len(x))
        else:
            model.fit(x, y, batch_size=len(x), verbose=0)
    signal.setitimer(signal.ITIMER_REAL, 0)
    print(*told, sep="; ")
"""


@pytest.mark.parametrize(
    ("call", "change", "outcome"),
    [
        ("predict", "compile", "inside a call that a signal handler interrupted"),
        ("predict", "freeze", "inside a call that a signal handler interrupted"),
        ("predict", "set_weights", "changed"),
        ("fit", "compile", "is being trained"),
        ("fit", "set_weights", "inside a call that a signal handler interrupted"),
    ],
)
def test_a_handler_neither_waits_for_its_own_call_nor_splits_a_step(
    call: str, change: str, outcome: str
) -> None:
    """Between two calls it may change all, but of five signals one at least comes inside one."""
    assert outcome in run_python("-c", MODEL + HANDLER, call, change, timeout=60)


WAITING = """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.1)
    print(len(os.listdir("/proc/self/task")) > 1, signal.sigwait({signal.SIGTERM}).name)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts the threads of a process")
def test_threads_of_the_team_take_no_signals() -> None:
    """One that a program waits for would else end the process."""
    assert run_python("-c", MODEL + WAITING) == "True SIGTERM\n"


FORKING = """
    x, y = np.tile(x, (8, 1, 1)), np.tile(y, (8, 1, 1))  # longer than from one poll to the next
    here, children, codes = os.getpid(), [], set()
    def fork(*_):
        child = os.fork()
        if child:
            children.append(child)
            signal.setitimer(signal.ITIMER_REAL, 0.1)  # again, but never inside a fork
            return
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(40)  # ends it if it hangs
        if sys.argv[1] == "exits":
            sys.exit(3)
    signal.signal(signal.SIGALRM, fork)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    while len(children) < 4 and os.getpid() == here:
        model.fit(x, y, batch_size=len(x), verbose=0)
    if os.getpid() != here:
        os._exit(4)
    signal.setitimer(signal.ITIMER_REAL, 0)
    for child in children:
        codes.add(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    print(*sorted(codes))
"""


@pytest.mark.skipif(BACKEND == "none", reason="needs threads")
@pytest.mark.parametrize(("way", "inside", "between"), [("exits", "3", "3"), ("returns", "1", "4")])
def test_a_child_that_comes_back_from_a_handler_does_not_hang(
    way: str, inside: str, between: str
) -> None:
    """It has not the threads of the call that the handler interrupted."""
    codes = run_python("-W", "ignore", "-c", MODEL + FORKING, way, timeout=60).split()
    assert inside in codes
    assert set(codes) <= {inside, between}
