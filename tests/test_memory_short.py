"""When memory is short: a MemoryError that says how much, and a model as it was."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import run_python

import pylstm
from pylstm import _available, _core, layers


def model_and_data(rows=4, steps=5):
    model = pylstm.Sequential([layers.LSTM(6), layers.Dense(2)])
    model.compile("adam", "mse")
    return model, np.ones((rows, steps, 3), np.float32), np.ones((rows, 2), np.float32)


CALLS = {
    "fit": lambda model, x, y: model.fit(x, y, verbose=0),
    "fit_batches": lambda model, x, y: model.fit([(x, y)], verbose=0),
    "train_on_batch": lambda model, x, y: model.train_on_batch(x, y),
    "evaluate": lambda model, x, y: model.evaluate(x, y, verbose=0),
    "predict": lambda model, x, y: model.predict(x),
    "predict_on_batch": lambda model, x, y: model.predict_on_batch(x),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_batch_beyond_the_machine_is_refused_before_anything_is_changed(call, monkeypatch):
    model, x, y = model_and_data()
    monkeypatch.setattr(_available, "available_memory", lambda: 1000)
    message = r"batch_size 4 and steps 5 needs about .* KiB more memory, 1000 bytes is available"
    with pytest.raises(MemoryError, match=message):
        CALLS[call](model, x, y)
    assert not model.built
    monkeypatch.undo()
    CALLS[call](model, x, y)
    assert model.built


def test_a_call_on_arrays_beyond_the_machine_is_refused(monkeypatch):
    model = model_and_data()[0]
    lstm = layers.LSTM(8)
    language = pylstm.Sequential([layers.Embedding(9, 4), layers.LSTM(8, return_sequences=True)])
    language.add(layers.Dense(9, activation="softmax"))
    language.build((None, None))
    calls = {
        "layer": lambda rows: lstm(np.zeros((rows, 5, 3), "f4")),
        "training": lambda rows: model(np.zeros((rows, 5, 3), "f4"), training=True),
        "generate": lambda rows: language.generate(np.ones((rows, 5), int), 2),
    }
    for call in calls.values():
        call(2)  # there are weights
    monkeypatch.setattr(_available, "available_memory", lambda: 1000)
    for call in calls.values():
        call(2)  # there was room for as much
        with pytest.raises(
            MemoryError, match=r"64 (rows of 5 steps need|and steps 5 needs) about .*1000 bytes is"
        ):
            call(64)
    monkeypatch.undo()
    for call in calls.values():
        call(64)


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: layers.Dense(2000, activation="softmax"), (500, 16)),
        (lambda: layers.Dense(300), (50, 7, 16)),
        (lambda: layers.LSTM(40, return_sequences=True), (50, 7, 16)),
    ],
    ids=["softmax", "dense", "lstm"],
)
def test_a_call_holds_no_more_than_was_planned(make, shape):
    layer = make()
    layer(np.zeros(shape, "f4"))
    network = layer._caller._idle[-1].network
    planned = network.plan_memory(shape[0], shape[1] if len(shape) == 3 else 1, "call")
    assert 0.7 * planned["workspace"] <= network.memory_use()["workspace"] <= planned["workspace"]


@pytest.mark.parametrize("call", CALLS)
def test_a_shape_whose_product_overflows_is_refused_before_it_is_read(call):
    """The arrays are views of one number: to read them would take for ever."""
    model, _, _ = model_and_data()
    model.build((None, None, 3))
    before = model.get_weights()
    x = np.broadcast_to(np.int8(0), (32, 2**50, 3))
    y = np.broadcast_to(np.float32(0), (32, 2))
    with pytest.raises(MemoryError, match=r"size 32 and steps 1125899906842624 needs .*8 EiB"):
        CALLS[call](model, x, y)
    assert all(map(np.array_equal, before, model.get_weights()))


def test_the_system_is_asked_once_for_each_larger_batch(monkeypatch):
    model, x, y = model_and_data()
    asked = []
    monkeypatch.setattr(_available, "available_memory", lambda: asked.append(1))  # None: unknown
    sizes = ((4, 1), (4, 1), (2, 1), (3, 0), (4, 2), (4, 2), (2, 2))
    for rows, expected in sizes:
        model.train_on_batch(x[:rows, : 5 if expected > 1 else 3], y[:rows])
    assert len(asked) == max(expected for _, expected in sizes)
    model.compile("sgd", "mse")
    model.train_on_batch(x, y)
    assert len(asked) == 3


def test_a_batch_larger_than_each_of_those_before_is_looked_at(monkeypatch):
    model = pylstm.Sequential([layers.LSTM(6), layers.Dense(2)])
    model.compile("adam", "mse")
    asked = []
    monkeypatch.setattr(_available, "available_memory", lambda: asked.append(1))
    for rows, steps in ((64, 10), (1, 500), (64, 500)):
        model.train_on_batch(np.ones((rows, steps, 3)), np.ones((rows, 2)))
    assert len(asked) == 3


def test_a_batch_of_an_iterable_is_named(monkeypatch):
    model, x, y = model_and_data()
    model.train_on_batch(x, y)
    monkeypatch.setattr(_available, "available_memory", lambda: 1 << 18)
    long = np.ones((4, 4000, 3), np.float32)
    with pytest.raises(MemoryError, match=r"batch 1.*steps 4000"):
        model.fit([(x, y), (long, y)], verbose=0, shuffle=False)
    assert model.optimizer.iterations == 2  # the batch before it is trained


def test_windows_need_no_more_than_their_steps(monkeypatch):
    model = pylstm.Sequential([layers.LSTM(6, return_sequences=True), layers.Dense(2)])
    model.compile("adam", "mse")
    x, y = np.ones((2, 4000, 3), np.float32), np.ones((2, 4000, 2), np.float32)
    monkeypatch.setattr(_available, "available_memory", lambda: 1 << 18)
    with pytest.raises(MemoryError, match="steps 4000"):
        model.fit(x, y, verbose=0)
    model.fit(x, y, verbose=0, tbptt=10)


def test_a_result_beyond_the_machine_is_told_from_a_batch(monkeypatch):
    model, x, _ = model_and_data(rows=100_000)
    model.build((None, None, 3))
    monkeypatch.setattr(_available, "available_memory", lambda: 1 << 19)
    message = r"the result needs 781\.2 KiB .*batch_size 32 .* more, 512\.0 KiB is available"
    with pytest.raises(MemoryError, match=message):
        model.predict(x)
    assert model.predict(x[:100]).shape == (100, 2)


LARGE = {
    "layer": lambda: layers.Embedding(10**7, 16)(np.ones((1, 2), np.int32)),
    "build": lambda: layers.Embedding(10**7, 16).build((None, None)),
    "both directions": lambda: layers.Bidirectional(layers.LSTM(9000)).build((None, None, 3)),
}


@pytest.mark.parametrize("make", LARGE)
def test_weights_of_a_layer_beyond_the_machine_are_refused(make, monkeypatch):
    monkeypatch.setattr(_available, "available_memory", lambda: 1 << 30)
    with pytest.raises(MemoryError, match=r"about \d\.\d GiB .* 1\.0 GiB is .* layer '[a-z]+'"):
        LARGE[make]()


def test_weights_of_a_model_beyond_the_machine_are_refused_before_it_is_built(monkeypatch):
    model = pylstm.Sequential([layers.LSTM(9000), layers.Dense(1)])
    model.compile("adam", "mse")
    monkeypatch.setattr(_available, "available_memory", lambda: 1 << 30)
    with pytest.raises(MemoryError, match=r"those of layer 'lstm' are 1\.2 GiB"):
        model.fit(np.ones((4, 3, 2)), np.ones((4, 1)), verbose=0)
    assert not model.built


@pytest.mark.parametrize(
    ("limit", "used", "left"),
    [
        ("max\n", "5\n", None),
        ("9223372036854771712\n", "5\n", None),
        ("", "", None),
        ("1000\n", "300\n", 700),
        ("1000\n", "900\n", 500),  # pages of files are given up for others
        ("1000\n", "", 1000),
    ],
)
def test_the_limit_of_a_cgroup_is_read(limit, used, left):
    assert _available.left_in_group(limit, used) == left


def test_every_group_above_limits_the_memory(tmp_path, monkeypatch):
    groups = [tmp_path / "a" / "b", tmp_path / "a", tmp_path]
    groups[0].mkdir(parents=True)
    (groups[0] / "memory.max").write_text("max\n")
    (groups[1] / "memory.max").write_text("1000000\n")
    (groups[1] / "memory.current").write_text("300000\n")
    (groups[2] / "memory.limit_in_bytes").write_text("2000000\n")
    monkeypatch.setattr(
        _core, "cgroup_folders", lambda controller: [os.fsencode(g) for g in groups]
    )
    assert _available.available_memory() == 700000


def test_free_memory_counts_swap():
    text = "MemTotal:  900 kB\nMemFree: 10 kB\nMemAvailable:   200 kB\nSwapFree:  30 kB\n"
    assert _available.free_memory(text) == 230 * 1024
    assert _available.free_memory("MemFree: 10 kB\n") is None
    assert _available.free_memory("") is None


@pytest.mark.skipif(not os.path.exists("/proc/meminfo"), reason="needs Linux's /proc")
def test_linux_tells_what_is_available():
    room = _available.available_memory()
    assert room is not None
    text = Path("/proc/meminfo").read_text("ascii")
    sizes = {name: int(value.split()[0]) for name, value in re.findall(r"(\w+):(.*)", text)}
    assert 0 < room <= 1024 * (sizes["MemTotal"] + sizes["SwapTotal"])


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit of address space")
def test_an_allocation_that_fails_says_how_many_bytes_and_leaves_the_model_as_it_was():
    """The step is repeated after each failure: what is left of it must not be taken for a batch."""
    program = """if True:
        import re, resource
        import numpy as np, pylstm
        from pylstm import layers
        pylstm.set_num_threads(1)
        def make():
            pylstm.set_seed(3)
            lstm = layers.LSTM(64, return_sequences=True)
            model = pylstm.Sequential([layers.Input((None, 8)), lstm, layers.Dense(4)])
            model.compile("adam", "mse")
            return model
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(64, 2000, 8)), rng.normal(size=(64, 2000, 4))
        model, twin = make(), make()
        for m in (model, twin):
            m.train_on_batch(x[:, :5], y[:, :5])
        before = model.get_weights()
        pages = int(open("/proc/self/statm").read().split()[0])
        free = resource.getrlimit(resource.RLIMIT_AS)
        asked = set()
        for more in (16, 64, 128, 150, 180):
            limit = pages * resource.getpagesize() + (more << 20)
            resource.setrlimit(resource.RLIMIT_AS, (limit, free[1]))
            try:
                model.train_on_batch(x, y)
                raise SystemExit("it had room")
            except MemoryError as error:
                asked.add(int(re.fullmatch("cannot allocate ([0-9]+) bytes", str(error))[1]))
            finally:
                resource.setrlimit(resource.RLIMIT_AS, free)
            assert all(map(np.array_equal, before, model.get_weights()))
        assert len(asked) > 1 and min(asked) > 1 << 20, asked
        for m in (model, twin):
            m.train_on_batch(x[:, :7], y[:, :7])
            m.train_on_batch(x, y)
        assert all(map(np.array_equal, model.get_weights(), twin.get_weights()))
    """
    run_python("-c", program)
