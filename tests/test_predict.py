"""predict: each row alone, any layout of the same numbers."""

import os
import pickle
import threading

import numpy as np
import pytest
from helpers import run_python
from models import IDS, X, Y, fit, language, regression, same

import pylstm
from pylstm import _core


def test_results_that_make_no_one_array_are_told_of():
    model = many_classes(4)
    with pytest.raises(ValueError, match=r"x: batch 1: its results have the shape \(5, 4\), those"):
        model.predict(np.zeros((1, steps, 3)) for steps in (2, 5))


def test_a_method_can_be_pickled():
    assert pickle.loads(pickle.dumps(pylstm.Sequential.predict)) is pylstm.Sequential.predict


def many_classes(units):
    return pylstm.Sequential(
        [
            pylstm.layers.Input((None, 3)),
            pylstm.layers.LSTM(8, return_sequences=True),
            pylstm.layers.Dense(units, activation="softmax"),
        ]
    )


@pytest.mark.parametrize(
    ("units", "steps", "dtype"), [(17, 6, "float32"), (33, 1, "float64"), (256, 20, "float32")]
)
@pytest.mark.parametrize("reversed_", [False, True])
@pytest.mark.parametrize("sequences", [False, True])
def test_a_last_lstm_writes_what_a_call_returns(
    units, steps, dtype, reversed_, sequences, isa, request
):
    """It keeps h of two steps, but where threads share units of few rows: the last batch."""
    before = pylstm.get_num_threads()
    request.addfinalizer(lambda: pylstm._core.set_num_threads(before))
    pylstm._core.set_num_threads(2)
    first = pylstm.layers.LSTM(units + 2, return_sequences=True)
    last, called = (
        pylstm.layers.LSTM(units, return_sequences=s, go_backwards=reversed_)
        for s in (sequences, True)
    )
    model = pylstm.Sequential([first, last], dtype=dtype)
    x = np.random.default_rng(2).normal(size=(23, steps, 5)).astype(dtype)
    found = model.predict(x, batch_size=9)
    other = pylstm.Sequential([called], dtype=dtype)
    other.build((None, None, units + 2))
    other.set_weights(last.get_weights())
    expected = called(first(x))
    assert np.array_equal(found, expected if sequences else expected[:, -1])


@pytest.mark.parametrize("units", [3000, 3001])
def test_results_beyond_the_caches_have_the_bits_of_small_ones(units, isa):
    model = many_classes(units)
    x = np.random.default_rng(1).normal(size=(40, 20, 3))
    whole = model.predict(x, batch_size=40)
    assert whole.nbytes > 9 << 20  # more than stays in a cache
    assert np.array_equal(whole, model.predict(x, batch_size=5))


def test_a_large_result_takes_the_memory_of_one_that_nobody_has_any_more():
    model = many_classes(900)
    x = np.random.default_rng(1).normal(size=(40, 20, 3))
    first, other = model.predict(x), model.predict(-x)
    assert not np.shares_memory(first, other)
    kept, place = first.copy(), other.ctypes.data
    part = other[3:5]
    del other
    assert model.predict(-x).ctypes.data != place  # a view of it lives
    assert np.array_equal(part, model.predict(-x)[3:5])
    del part
    assert model.predict(-x).ctypes.data == place
    assert np.array_equal(first, kept)
    assert model.predict(x[:15]).ctypes.data != place  # that would keep much more than it needs
    assert first.flags.writeable
    assert first.flags.c_contiguous


def test_results_of_threads_that_predict_at_once_are_apart():
    """Each keeps its last results while both take memory that the other gave back."""
    model = many_classes(900)
    x = np.random.default_rng(1).normal(size=(40, 20, 3))
    inputs = (x, -x)
    expected = [model.predict(each) for each in inputs]
    wrong = []

    def work(which):
        kept = []
        for _ in range(40):
            kept = [*kept[-1:], model.predict(inputs[which])]
            wrong.extend(which for one in kept if not np.array_equal(one, expected[which]))

    threads = [threading.Thread(target=work, args=(which,)) for which in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_forked_while_results_change_hands_predicts():
    program = """if True:
        import os, threading
        import numpy as np
        from test_predict import many_classes
        model = many_classes(900)
        x = np.random.default_rng(1).normal(size=(8, 20, 3))
        expected, kept = model.predict(x), model.predict(-x)
        before, stop, wrong = kept.copy(), threading.Event(), []
        def work():
            while not stop.is_set():
                wrong.extend([1] * (not np.array_equal(model.predict(x), expected)))
        thread = threading.Thread(target=work)
        thread.start()
        for _ in range(20):
            child = os.fork()
            if child == 0:
                right = all(np.array_equal(model.predict(x), expected) for _ in range(3))
                os._exit(0 if right and np.array_equal(kept, before) else 1)
            assert os.waitpid(child, 0)[1] == 0
        stop.set()
        thread.join()
        assert np.array_equal(kept, before) and not wrong
        print("equal")
    """
    assert run_python("-W", "ignore::DeprecationWarning", "-c", program) == "equal\n"


def array_at(offset, shape, dtype="f4"):
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.frombuffer(bytearray(size + offset), dtype, offset=offset).reshape(shape)


@pytest.mark.parametrize(
    "out",
    [
        array_at(1, (22, 2)),
        array_at(0, (22, 2), "f8"),
        array_at(0, (22, 2), ">f4"),
        array_at(0, (22, 3)),
        array_at(0, (44, 2))[::2],
        np.broadcast_to(np.float32(0), (22, 2)),
    ],
    ids=["misaligned", "float64", "big-endian", "shape", "strided", "read-only"],
)
def test_the_engine_refuses_memory_that_a_result_cannot_be_written_to(out):
    net = regression()._network()
    with pytest.raises(ValueError, match="out must be an aligned writable C-contiguous array"):
        net.predict(_core.Data(X), 32, 0, 1, 0.0, out)
    assert not out.any()
    right = array_at(4, (22, 2))
    assert net.predict(_core.Data(X), 32, 0, 1, 0.0, right) == 1
    assert right.any()


def test_a_rows_prediction_depends_on_that_row_alone():
    model = regression()
    whole = model.predict(X)
    assert whole.shape == (22, 2)
    for size in (1, 3, 22, 100):
        assert np.array_equal(model.predict(X, batch_size=size), whole)
    for i in (0, 7, 21):
        assert np.array_equal(model.predict(X[i : i + 1])[0], whole[i])
    assert np.array_equal(model.predict_on_batch(X), whole)
    some = model.predict(X, batch_size=5, steps=2)
    assert np.array_equal(some, whole[:10])
    assert some.base is None  # no part of a result for all rows
    bad = X.copy()
    bad[3, 2, 1] = np.nan
    found = model.predict(bad)
    assert np.isnan(found[3]).all()
    assert np.array_equal(np.delete(found, 3, 0), np.delete(whole, 3, 0))


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x.astype("f8"),
        lambda x: x.astype(">f4"),
        lambda x: np.asfortranarray(x),
        lambda x: np.repeat(x, 2, axis=1)[:, ::2],
        lambda x: x[::-1][::-1],
        lambda x: x.tolist(),
        lambda x: np.frombuffer(x.tobytes(), "f4").reshape(x.shape),
    ],
    ids=["float64", "big-endian", "Fortran", "strided", "reversed", "list", "read-only"],
)
def test_any_layout_of_the_same_numbers_gives_the_same_bits(change):
    model = regression()
    x = (X * 256).round() / 256
    assert np.array_equal(model.predict(change(x)), model.predict(x))
    a, b = regression(), regression()
    fit(a, x, Y)
    fit(b, change(x), Y)
    assert same(a, b)


def test_small_types_and_files(tmp_path):
    model = regression()
    small = (X * 8).round().astype("f2")
    expected = model.predict(small.astype("f4"))
    for kind in ("f2", "i1", "i8", ">i2"):
        assert np.array_equal(model.predict(small.astype(kind)), expected)
    np.save(tmp_path / "x.npy", small)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert np.array_equal(model.predict(mapped), expected)
    a, b = regression(), regression()
    fit(a, small.astype("f4"), Y)
    fit(b, mapped, Y)
    assert same(a, b)
    assert a.evaluate(small.astype("f4"), Y, verbose=0) == b.evaluate(mapped, Y, verbose=0)
    net = language()
    expected = net.predict(IDS)
    for kind in ("u1", "i2", ">i8", "f4"):
        assert np.array_equal(net.predict(IDS.astype(kind)), expected)


def test_a_call_like_the_last_is_checked_like_the_first():
    model = pylstm.Sequential([pylstm.layers.Embedding(5, 4), pylstm.layers.LSTM(3)])
    x = np.array([[1, 2], [3, 4]])
    first = model.predict_on_batch(x)
    np.testing.assert_array_equal(model.predict(x, batch_size=2), first)
    with pytest.raises(IndexError, match="row 1, step 0"):
        model.predict_on_batch(np.array([[1, 2], [5, 4]]))
    np.testing.assert_array_equal(model.predict_on_batch(x.astype(np.uint8)), first)


def test_a_call_like_the_last_meets_an_input_shape_that_was_narrowed():
    model = pylstm.Sequential([pylstm.layers.Input((None, 4)), pylstm.layers.LSTM(3)])
    x = np.ones((2, 3, 4), np.float32)
    model.predict_on_batch(x)
    model.build((None, 2, 4))
    for call in (model.predict_on_batch, model.predict):
        with pytest.raises(ValueError, match="x: expected"):
            call(x)


def test_results_have_the_steps_of_their_own_batch():
    model = pylstm.Sequential(
        [pylstm.layers.Input((None, 4)), pylstm.layers.LSTM(3, return_sequences=True)]
    )
    for steps in (3, 5, 3):
        x = np.full((2, steps, 4), 0.5, np.float32)
        assert model.predict_on_batch(x).shape == (2, steps, 3)
        assert model.predict(x, batch_size=1).shape == (2, steps, 3)
        assert model.predict(x, batch_size=1, steps=1).shape == (1, steps, 3)


def test_a_model_that_got_a_layer_answers_in_its_new_shape():
    model = pylstm.Sequential([pylstm.layers.Input((2, 4)), pylstm.layers.LSTM(3)])
    x = np.ones((2, 2, 4), np.float32)
    assert model.predict_on_batch(x).shape == (2, 3)
    model.add(pylstm.layers.Dense(7))
    assert model.predict_on_batch(x).shape == (2, 7)
    model.pop()
    assert model.predict_on_batch(x).shape == (2, 3)


@pytest.mark.parametrize("argument", ["y", "sample_weight", "mask"])
def test_the_rows_of_a_call_are_arrays(argument):
    """A list would be copied, and the copy be gone when its rows are read."""
    with pytest.raises(TypeError, match="incompatible"):
        _core.Data(X, **{argument: [[1.0] * 6] * 22})
