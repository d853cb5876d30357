"""A child process works whatever its parent did with threads before: no start method hangs."""

from __future__ import annotations

import multiprocessing
import os

import pytest
from helpers import run_python

# Each case is a process of its own, so that a hang is a timeout and not the end of all tests.
TIMEOUT = 120  # seconds; a case takes about one
METHODS = [
    m for m in ("fork", "forkserver", "spawn") if m in multiprocessing.get_all_start_methods()
]

PROGRAM = """
import multiprocessing
import sys

import numpy as np
from helpers import all_same_bits, dense, fit, lstm, network, predict

from pylstm import _core


def train(threads):
    # far above a million floating-point operations for each thread
    _core.set_num_threads(threads)
    rng = np.random.default_rng(0)
    net = network(
        [lstm(64, return_sequences=True), lstm(32), dense(3)],
        (-1, 24),
        "float32",
        rng=rng,
        loss="mean_squared_error",
    )
    x, y = rng.uniform(-1, 1, (24, 20, 24)), rng.uniform(-1, 1, (24, 3))
    fit(net, x, y, batch_size=12)
    return [*net.get_weights(), predict(net, x)]


def child(queue, threads, isa):
    _core.use_isa(isa)
    queue.put(train(threads))


if __name__ == "__main__":
    method, before, at_once = sys.argv[1], sys.argv[2] == "threads", int(sys.argv[3])
    isa = sys.argv[4]
    _core.use_isa(isa)
    expected = train(3) if before else None
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    children = [context.Process(target=child, args=(queue, 2, isa)) for _ in range(at_once)]
    for process in children:
        process.start()
    results = [queue.get() for _ in children]
    for process in children:
        process.join()
        assert process.exitcode == 0, process.exitcode
    after = train(3)  # the parent's own threads work on
    for result in results:
        assert all_same_bits(result, after)
    assert expected is None or all_same_bits(expected, after)
    print("equal")
"""


def run(program: str, *arguments: str) -> str:
    return run_python("-W", "ignore::DeprecationWarning", program, *arguments, timeout=TIMEOUT)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("fork") / "program.py"  # spawn imports it again
    path.write_text(PROGRAM)
    return str(path)


@pytest.mark.parametrize("children", [1, 3])
@pytest.mark.parametrize("before", ["threads", "nothing"])
@pytest.mark.parametrize("method", METHODS)
def test_children_compute_what_their_parent_computes(
    method: str, before: str, children: int, program: str, isa: str
) -> None:
    assert run(program, method, before, str(children), isa) == "equal\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_uses_one_thread(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A pool of threads does not survive a fork; the child says so and can fork again."""
    path = tmp_path_factory.mktemp("fork") / "one.py"
    path.write_text(
        PROGRAM.split('if __name__ == "__main__":')[0]
        + """
import os

expected = train(3)
if os.fork() == 0:
    threads = _core.get_num_threads()
    equal = all_same_bits(train(2), expected)
    if os.fork() == 0:
        os._exit(0 if all_same_bits(train(2), expected) else 9)
    code = os.waitstatus_to_exitcode(os.wait()[1])
    os._exit(code or (threads != 1) * 2 + (not equal) * 4)
assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
assert _core.get_num_threads() == 3
print("equal")
"""
    )
    assert run(str(path)) == "equal\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_forked_during_a_fit_reads_the_model(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """It predicts with the weights last published, finds the weights after a whole number of
    steps, and is refused where it would change a model that is being trained.
    """
    path = tmp_path_factory.mktemp("fork") / "during.py"
    path.write_text("""
import os
import threading

import numpy as np
from helpers import dense, embedding, lstm, network, predict

from pylstm import _core

STEPS = 40


def model():
    # most of a step is its update, so that forks fall into updates
    entries = [embedding(100_000, 16), lstm(8, return_sequences=True), dense(4)]
    return network(
        entries, (-1,), "float32", rng=np.random.default_rng(0), loss="mean_squared_error"
    )


def weights_of(net):
    return b"".join(w.tobytes() for w in net.get_weights()).__hash__()


def refused(call):
    try:
        call()
    except RuntimeError as error:
        return "being trained" in str(error)
    return False


rng = np.random.default_rng(1)
x, y = rng.integers(0, 100_000, (STEPS, 6)), rng.uniform(-1, 1, (STEPS, 6, 4))
net, twin, data, order = model(), model(), _core.Data(x, y), np.arange(STEPS)
published, weights = predict(net, x), net.get_weights()

expected = {weights_of(twin)}
fitting = twin.start()
for step in range(STEPS):
    twin.run(data, "fit", order, 1, step, step + 1, 0.0)
    expected.add(weights_of(twin))
fitting.finish()


def train():
    fitting = net.start()
    started.set()
    net.run(data, "fit", order, 1, 0, STEPS, 0.0)
    seen.wait()
    fitting.finish()


started, seen, forks = threading.Event(), threading.Event(), 0
trainer = threading.Thread(target=train)
trainer.start()
started.wait()
while net.iterations < STEPS:
    child = os.fork()
    if child == 0:
        wrong = 0 if predict(net, x).tobytes() == published.tobytes() else 1
        wrong += 0 if weights_of(net) in expected else 2
        changes = [
            lambda: net.set_weights(weights),
            lambda: net.start(),
            lambda: net.compile("mean_squared_error", '{"name": "sgd"}'),
            lambda: net.set_metrics(["categorical_accuracy"]),
        ]
        wrong += 0 if all(map(refused, changes)) else 4
        os._exit(wrong)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code == 0, code
    forks += 1
seen.set()
trainer.join()
assert forks > 0
assert weights_of(net) == weights_of(twin)
print("equal")
""")
    assert run(str(path)) == "equal\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_waits_for_the_locks_of_models_and_seeds(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("fork") / "locks.py"
    path.write_text("""
import os
import threading
import time

import numpy as np

from pylstm import Sequential, _runtime, layers


def change(lock):
    with lock:
        states[lock] = "half done"
        begun.wait()
        time.sleep(0.2)
        states[lock] = "done"


model = Sequential([layers.Input((3,)), layers.Dense(2)])
locks = [model._lock, _runtime._seeds._lock]
states, begun = {}, threading.Barrier(3)
threads = [threading.Thread(target=change, args=[lock]) for lock in locks]
for thread in threads:
    thread.start()
begun.wait()
child = os.fork()
if child == 0:
    if [states[lock] for lock in locks] != ["done", "done"]:
        os._exit(3)
    Sequential([layers.Input((3,)), layers.Dense(2)]).compile("adam", "mse")
    model.compile("adam", "mse")
    model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)
    os._exit(0)
code = os.waitstatus_to_exitcode(os.wait()[1])
for thread in threads:
    thread.join()
assert code == 0, code
with model._lock:  # the parent's are free too
    Sequential([layers.Input((3,)), layers.Dense(2)])
print("equal")
""")
    assert run(str(path)) == "equal\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_waits_for_a_lock_made_while_it_waited(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("fork") / "younger.py"
    path.write_text("""
import os
import threading
import time

from pylstm import _fork_locks

old, made, states = _fork_locks.fork_lock(), [], []


def hold_old():
    with old:
        held.wait()
        begun.wait()


def make_young():
    held.wait()
    time.sleep(0.2)  # by now the fork waits for the old one; if not, it has less to do
    made.append(_fork_locks.fork_lock())
    with made[0]:
        states.append("half done")
        begun.set()
        time.sleep(0.2)
        states.append("done")


held, begun = threading.Barrier(3), threading.Event()
threads = [threading.Thread(target=target) for target in (hold_old, make_young)]
for thread in threads:
    thread.start()
held.wait()
child = os.fork()
if child == 0:
    with made[0], old, _fork_locks.fork_lock():
        os._exit(0 if states == ["half done", "done"] and not _fork_locks._forks else 3)
code = os.waitstatus_to_exitcode(os.wait()[1])
for thread in threads:
    thread.join()
assert code == 0, code
assert not _fork_locks._forks
print("equal")
""")
    assert run(str(path)) == "equal\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_counts_after_a_fork_that_waits(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("fork") / "interrupted.py"
    path.write_text("""
import os
import signal
import threading
import time

from pylstm import _fork_locks

lock, states, held = _fork_locks.fork_lock(), [], threading.Event()


def hold():
    with lock:
        states.append("half done")
        held.set()
        time.sleep(0.2)
        signal.raise_signal(signal.SIGINT)
        time.sleep(0.4)
        states.append("done")


thread, interrupted = threading.Thread(target=hold), False
thread.start()
held.wait()
try:
    child = os.fork()
    if child == 0:
        with lock:
            os._exit(0 if states == ["half done", "done"] else 3)
    time.sleep(5)
except KeyboardInterrupt:
    interrupted = True
code = os.waitstatus_to_exitcode(os.wait()[1])
thread.join()
assert code == 0, code
assert interrupted
with lock:
    print("equal")
""")
    assert run(str(path)) == "equal\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_changes_settings_whatever_other_threads_read(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("fork") / "settings.py"
    path.write_text("""
import os
import threading

import numpy as np

from pylstm import Sequential, layers

model = Sequential([layers.Input((200, 64)), layers.LSTM(64), layers.Dense(2)])
model.compile("adam", "mse")
x, y, done = np.ones((64, 200, 64), "f"), np.ones((64, 2)), threading.Event()
model.fit(x, y, verbose=0)  # all is imported: a fork may leave Python's own lock of imports locked


def read():
    while not done.is_set():
        model.predict(x, verbose=0)


threads = [threading.Thread(target=read) for _ in range(2)]  # one of them is always inside
for thread in threads:
    thread.start()
codes = []
for _ in range(5):
    if os.fork() == 0:
        model.compile("sgd", "mae", metrics=["mse"])
        model.layers[1].trainable = False
        model.fit(x, y, verbose=0)
        os._exit(0)
    codes.append(os.waitstatus_to_exitcode(os.wait()[1]))
done.set()
for thread in threads:
    thread.join()
assert codes == [0] * 5, codes
print("equal")
""")
    assert run(str(path)) == "equal\n"
