"""Threads keep to the limits of the process, and small or finished work has none."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pylstm
from pylstm import _core

BACKEND = _core.build_info()["thread_backend"]
own_team = pytest.mark.skipif(BACKEND != "pool", reason="needs the engine's own team of threads")
needs_proc = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")


def run(program, **variables):
    """What `program` prints in a fresh process, whose environment names no number of threads."""
    kept = {name: v for name, v in os.environ.items() if not name.endswith("_NUM_THREADS")}
    path = {"PYTHONPATH": os.pathsep.join([*sys.path])}
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**kept, **path, **variables},
    )


def printed(program, **variables):
    result = run(program, **variables)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


SHOW = "import pylstm; print(pylstm.get_num_threads())"


@pytest.mark.parametrize(
    ("value", "error"),
    [
        *((value, ValueError) for value in (0, -1, 5000)),
        *((value, TypeError) for value in (2.5, True, "2", None)),
    ],
)
def test_a_number_of_threads_that_cannot_be_is_refused(value, error):
    before = pylstm.get_num_threads()
    with pytest.raises(error, match=rf"^n\b.*got {re.escape(repr(value))}"):
        pylstm.set_num_threads(value)
    assert pylstm.get_num_threads() == before


@pytest.mark.parametrize("value", ["0", "-1", "2.5", "two", "5000", "1e3"])
def test_a_bad_variable_of_ours_is_refused_by_name(value):
    result = run(SHOW, PYLSTM_NUM_THREADS=value)
    message = f"PYLSTM_NUM_THREADS must be a whole number from 1 to 4096, got '{value}'"
    assert result.stderr.strip().endswith(f"ValueError: {message}")


def test_what_is_set_goes_before_a_bad_variable():
    program = "import pylstm; pylstm.set_num_threads(2); print(pylstm.get_num_threads())"
    assert printed(program, PYLSTM_NUM_THREADS="auto") == "2"


def test_our_variable_goes_first():
    assert printed(SHOW, PYLSTM_NUM_THREADS="3", OMP_NUM_THREADS="1") == "3"


@own_team
@pytest.mark.parametrize(
    ("value", "limit"),
    [
        *(("1", 1), ("1,4", 1), ("4294967297", 4096), ("4096", 4096)),
        *((value, 4096) for value in ("0", "-2", "many", "")),
    ],
)
def test_the_variable_of_all_libraries_is_a_limit(value, limit):
    """What is no number of threads limits nothing, as OpenMP has it."""
    expected = min(limit, _core.available_cores())
    assert printed(SHOW, OMP_NUM_THREADS=value) == str(expected)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs processor affinity")
def test_the_processors_of_the_process_are_a_limit():
    program = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); " + SHOW
    assert printed(program + "; print(pylstm._core.available_cores())").split() == ["1", "1"]


# ---- threadpoolctl

FIRST = "import threadpoolctl, pylstm\n"
LAST = "import pylstm, threadpoolctl\npylstm.Sequential()\n"


@own_team
@pytest.mark.parametrize("imports", [FIRST, LAST], ids=["imported_first", "imported_last"])
def test_a_limit_of_threadpoolctl_holds_inside_its_block(imports):
    pytest.importorskip("threadpoolctl")
    program = """
pylstm._core.set_num_threads(3)
seen = [pylstm.get_num_threads()]
with threadpoolctl.threadpool_limits(limits=1):
    seen.append(pylstm.get_num_threads())
with threadpoolctl.threadpool_limits(limits=2, user_api="pylstm"):
    seen.append(pylstm.get_num_threads())
with threadpoolctl.threadpool_limits(limits=1, user_api="blas"):
    seen.append(pylstm.get_num_threads())
seen.append(pylstm.get_num_threads())
ours = [i for i in threadpoolctl.threadpool_info() if i["user_api"] == "pylstm"]
print(seen, len(ours), ours[0]["num_threads"], ours[0]["version"] == pylstm.__version__)
"""
    assert printed(imports + program) == "[3, 1, 2, 3, 3] 1 3 True"


def test_a_threadpoolctl_that_takes_no_controllers_is_left_alone():
    program = "import sys, types; sys.modules['threadpoolctl'] = types.ModuleType('threadpoolctl')"
    program += "; import pylstm; pylstm.Sequential(); print('imported')"
    assert printed(program) == "imported"


def test_pylstm_does_not_bring_threadpoolctl_along():
    program = "import sys, pylstm; pylstm.Sequential(); print('threadpoolctl' in sys.modules)"
    assert printed(program) == "False"


# ---- threads that are there, and what they do

TASKS = """
import os, time
import numpy as np, pylstm
from pylstm import layers
def model(units):
    lstm = layers.LSTM(units, return_sequences=True)
    made = pylstm.Sequential([layers.Input((None, 8)), lstm, layers.Dense(3)])
    made.compile("adam", "mse")
    return made
def tasks():
    return set(os.listdir("/proc/self/task"))
def data(rows, steps):
    return np.ones((rows, steps, 8), np.float32), np.ones((rows, steps, 3), np.float32)
pylstm._core.set_num_threads(4)
"""


@needs_proc
def test_a_small_batch_starts_no_thread():
    program = """
small, (x, y) = model(8), data(4, 5)
before = tasks()
small.fit(x, y, verbose=0); small.predict(x); small.evaluate(x, y, verbose=0)
few = len(tasks() - before)
large, (x, y) = model(96), data(32, 40)
large.fit(x, y, verbose=0)
print(few, len(tasks() - before))
"""
    assert printed(TASKS + program) == f"0 {0 if BACKEND == 'none' else 3}"


@own_team
@needs_proc
def test_threads_sleep_within_10_ms_of_the_end_of_a_call():
    """The processor time that the workers use from 10 to 200 ms after a call is at most one tick of
    10 ms, whatever the machine does: a thread that sleeps uses none, one that waits awake uses all
    that it is given."""
    program = """
before = tasks()
large, (x, y) = model(96), data(32, 40)
def used(workers):
    spent = (open(f"/proc/self/task/{task}/schedstat").read().split()[0] for task in workers)
    return sum(map(int, spent)) / 1e6
for call in (lambda: large.fit(x, y, verbose=0), lambda: large.predict(x)):
    call()
    time.sleep(0.010)
    workers = tasks() - before
    begin = used(workers)
    time.sleep(0.190)
    print(len(workers), begin, used(workers) - begin)
"""
    for line in printed(TASKS + program).splitlines():
        workers, earlier, later = map(float, line.split())
        assert workers == 3
        assert earlier > 0
        assert later <= 10


FEW_THREADS = """if True:
    import os, re, resource
    import numpy as np, pylstm
    from pylstm import Sequential, layers
    pylstm.set_seed(1)
    model = Sequential([layers.Input((None, 16)), layers.LSTM(64)])
    x = np.random.default_rng(0).random((256, 50, 16), np.float32)
    pylstm.set_num_threads(1)
    alone = model.predict(x, batch_size=256)
    status = open("/proc/self/status").read()
    now = 1024 * int(re.search(r"VmSize:\\s+(\\d+)", status)[1])
    stack = resource.getrlimit(resource.RLIMIT_STACK)[0]
    stack = stack if 0 < stack < 1 << 30 else 2 << 20  # glibc's, where there is no limit
    resource.setrlimit(resource.RLIMIT_AS, (now + 5 * stack,) * 2)
    before = set(os.listdir("/proc/self/task"))
    pylstm.set_num_threads(64)
    for _ in range(20):
        assert np.array_equal(model.predict(x, batch_size=256), alone)
    workers = set(os.listdir("/proc/self/task")) - before
    def used(task):
        return int(open(f"/proc/self/task/{task}/schedstat").read().split()[0])
    worked = sum(map(used, workers)) > used(os.getpid()) / 10
    print(len(workers) if worked else 0)
"""


@own_team
@needs_proc
def test_where_the_system_has_few_threads_to_give_those_work():
    """There is memory for the stacks of five; one alone would leave the work to the caller."""
    assert 1 <= int(printed(FEW_THREADS)) <= 5
