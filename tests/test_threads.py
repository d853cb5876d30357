"""The number of threads changes no bit; readers may run beside each other and beside a fit."""

from __future__ import annotations

import functools
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from helpers import (
    Array,
    all_same_bits,
    bidirectional,
    dense,
    dropout,
    embedding,
    fit,
    lstm,
    make_mask,
    network,
    predict,
    run_python,
    same_bits,
    state_of,
)

from pylstm import _core

# Every operation of these is far above a million floating-point operations, and every array above
# the grain at which it is split: five threads get work in all of them, but for the gradient of an
# embedding, which costs what its rows in use do (tests/cpp/embedding_laws.cpp).


def language_model() -> list[Array]:
    rng = np.random.default_rng(1)
    entries = [embedding(9000, 32), lstm(48, return_sequences=True), dense(9000, "softmax")]
    net = network(entries, (-1,), "float32", rng=rng, loss="sparse_categorical_crossentropy")
    net.set_metrics(["sparse_categorical_accuracy"])
    x = rng.integers(0, 9000, (24, 13))
    totals = fit(net, x[:, :-1], x[:, 1:], batch_size=8)
    return [*results(net, totals), predict(net, x[:, :-1], batch_size=24)]


def masked_and_dropped() -> list[Array]:
    rng = np.random.default_rng(2)
    inner = lstm(64, return_sequences=True, dropout=0.2, recurrent_dropout=0.3)
    entries = [bidirectional(inner), dropout(0.2), dense(128, "relu"), lstm(64), dense(3)]
    optimizer = {"name": "rmsprop", "momentum": 0.9, "centered": True, "global_clipnorm": 0.5}
    net = network(
        entries, (-1, 24), "float32", rng=rng, loss="mean_squared_error", optimizer=optimizer
    )
    x, y = rng.uniform(-1, 1, (34, 20, 24)), rng.uniform(-1, 1, (34, 3))
    mask = make_mask("scattered_one_row_empty", 34, 20, rng)
    totals = fit(net, x, y, mask=mask, batch_size=17)
    return [*results(net, totals), predict(net, x, mask, batch_size=17)]


def stack_in_double() -> list[Array]:
    rng = np.random.default_rng(3)
    body = [lstm(40, return_sequences=True), lstm(40, go_backwards=True, return_sequences=True)]
    entries = [*body, dense(150, "tanh"), dense(40, "sigmoid")]
    net = network(entries, (-1, 10), rng=rng, loss="binary_crossentropy")
    x, y = rng.uniform(-1, 1, (32, 25, 10)), rng.integers(0, 2, (32, 25, 40))
    totals = fit(net, x, y, batch_size=16, tbptt=0)
    return [*results(net, totals), predict(net, x, batch_size=32)]


def shared_rows() -> list[Array]:
    """Threads split the units: rows are few, or weights leave the cache; also unevenly."""
    rng = np.random.default_rng(4)
    out = []
    for rows, units, width, rate in (
        (1, 200, 7, 0),
        (2, 333, 7, 0),
        (5, 600, 7, 0.2),
        (24, 288, 7, 0),
        (24, 272, 272, 0),
        (24, 264, 264, 0.2),
        (200, 288, 7, 0.2),
    ):
        entries = [lstm(units, return_sequences=True, dropout=rate)]
        net = network(entries, (-1, width), "float32", rng=rng, loss="mean_squared_error")
        x, y = rng.uniform(-1, 1, (rows, 9, width)), rng.uniform(-1, 1, (rows, 9, units))
        out += [predict(net, x, batch_size=rows), *results(net, fit(net, x, y, batch_size=rows))]
        state = list(rng.uniform(-1, 1, (2, rows, units)))
        out += flat(net.call_gradients(x, state, None, [y, *state]))
    return out


def flat(gradients: tuple[list[Array], Array | None, list[Array]]) -> list[Array]:
    variables, x, states = gradients
    assert x is not None
    return [*variables, x, *states]


def results(net: _core.Network, totals: dict[str, tuple[float, float]]) -> list[Array]:
    weights, slots, iterations = state_of(net)
    assert totals["skipped"][0] == 0
    sums = np.array([value for name in sorted(totals) for value in totals[name]])
    return [*weights, *slots, np.array(iterations), sums]


JOBS = {
    job.__name__: job for job in (language_model, masked_and_dropped, stack_in_double, shared_rows)
}


@functools.cache
def on_one_thread(job: str, isa: str) -> list[Array]:
    threads = _core.get_num_threads()
    _core.set_num_threads(1)
    try:
        return JOBS[job]()
    finally:
        _core.set_num_threads(threads)


@pytest.mark.parametrize("job", JOBS)
def test_result_is_independent_of_the_number_of_threads(job: str, isa: str, threads: int) -> None:
    assert all_same_bits(on_one_thread(job, isa), JOBS[job]())


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")
def test_several_threads_really_run() -> None:
    program = """if True:
        import os
        import test_threads
        from pylstm import _core
        before = len(os.listdir("/proc/self/task"))
        _core.set_num_threads(3)
        test_threads.language_model()
        print(len(os.listdir("/proc/self/task")) - before)
    """
    assert int(run_python("-c", program)) == (
        2 if _core.build_info()["thread_backend"] != "none" else 0
    )


@pytest.mark.parametrize("number", [0, -1, 5000])
def test_an_impossible_number_of_threads_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match=rf"n must be a number of threads .* got {number}"):
        _core.set_num_threads(number)


# ---- readers beside each other and beside a fit

READERS = 8


def reader_model(rng: np.random.Generator) -> tuple[_core.Network, Array, Array]:
    entries = [lstm(24, return_sequences=True), dropout(0.2), lstm(16), dense(4)]
    net = network(entries, (-1, 6), "float32", rng=rng, loss="mean_squared_error")
    return net, rng.uniform(-1, 1, (40, 9, 6)), rng.uniform(-1, 1, (40, 4))


def test_predictions_at_once_equal_predictions_alone(isa: str, rng: np.random.Generator) -> None:
    net, x, _ = reader_model(rng)
    jobs = [(x[i : i + 5 + i % 7], 1 + i % 4) for i in range(64)]
    alone = [predict(net, rows, batch_size=size) for rows, size in jobs]
    with ThreadPoolExecutor(READERS) as pool:
        together = list(pool.map(lambda job: predict(net, job[0], batch_size=job[1]), jobs))
    assert all_same_bits(alone, together)


def test_a_reader_beside_a_fit_sees_published_weights(isa: str, rng: np.random.Generator) -> None:
    """Weights are published when the training thread predicts, and by the first reader after a fit;
    each reader's result is that of one of them, never of weights in between or of a mixture."""
    net, x, y = reader_model(rng)
    rows = x[:3]
    published = {predict(net, rows).tobytes()}
    seen: list[set[bytes]] = [set() for _ in range(READERS)]
    done = threading.Event()
    started = threading.Barrier(READERS + 1)

    def read(mine: set[bytes]) -> None:
        started.wait()
        while True:
            last = done.is_set()
            mine.add(predict(net, rows).tobytes())
            if last:
                return

    readers = [threading.Thread(target=read, args=(mine,)) for mine in seen]
    for reader in readers:
        reader.start()
    started.wait()
    try:
        data, order = _core.Data(x, y), np.arange(len(x))
        for _ in range(4):
            fitting = net.start()
            for batch in range(10):
                net.run(data, "fit", order, 4, batch, batch + 1, 0.0)
                if batch % 3 == 2:
                    published.add(predict(net, rows).tobytes())
            fitting.finish()
            published.add(predict(net, rows).tobytes())
    finally:
        done.set()
        for reader in readers:
            reader.join()
    for mine in seen:
        assert mine <= published
        assert predict(net, rows).tobytes() in mine  # the last fit had ended
    assert net.iterations == 40
    assert len(published) == 1 + 4 * 4


def test_the_first_reader_after_a_fit_publishes_what_the_next_one_has_made(
    rng: np.random.Generator,
) -> None:
    """Later readers see that too, until the second fit ends."""
    net, x, y = reader_model(rng)
    before = predict(net, x[:3])
    data, order = _core.Data(x, y), np.arange(len(x))
    with net.start():
        net.run(data, "fit", order, 4, 0, 3, 0.0)
    with ThreadPoolExecutor(1) as pool, net.start():
        net.run(data, "fit", order, 4, 3, 5, 0.0)
        read = pool.submit(predict, net, x[:3]).result()
        here = predict(net, x[:3])
        net.run(data, "fit", order, 4, 5, 6, 0.0)
        again = pool.submit(predict, net, x[:3]).result()
    after = predict(net, x[:3])
    assert same_bits(read, here)
    assert same_bits(again, here)  # what was published last
    assert not same_bits(read, before)
    assert not same_bits(after, here)


def test_weights_that_nobody_read_are_packed_for_the_instruction_set_of_the_reader(
    rng: np.random.Generator,
) -> None:
    net, x, y = reader_model(rng)
    data, order, isas = _core.Data(x, y), np.arange(len(x)), _core.available_isas()
    was = _core.active_isa()
    try:
        for fit_isa, read_isa in zip(isas, isas[1:] + isas[:1], strict=True):
            _core.use_isa(fit_isa)
            with net.start():
                net.run(data, "fit", order, 4, 0, 2, 0.0)
            _core.use_isa(read_isa)
            read = predict(net, x[:3])
            net.set_weights(net.get_weights())
            assert same_bits(predict(net, x[:3]), read)
            assert net.isa == read_isa
    finally:
        _core.use_isa(was)


def test_the_weights_of_a_model_being_trained_are_its_trainer_s(rng: np.random.Generator) -> None:
    net, x, y = reader_model(rng)
    weights, data = net.get_weights(), _core.Data(x, y)
    fitting = net.start()
    try:
        with ThreadPoolExecutor(1) as pool:
            for call in (
                lambda: net.set_weights(weights),
                lambda: net.start(),
                lambda: net.gradients(data),
            ):
                with pytest.raises(RuntimeError, match="the model is being trained"):
                    pool.submit(call).result()
            read = pool.submit(net.get_weights).result()
        assert all_same_bits(read, weights)
        net.set_weights([w * 2 for w in weights])  # the trainer itself may
    finally:
        fitting.finish()
    assert same_bits(net.get_weights()[0], weights[0] * 2)
