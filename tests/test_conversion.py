"""Data of any type, byte order and place is converted a batch at a time: never copied whole."""

import tracemalloc

import numpy as np
import pytest

from pylstm import Sequential, layers

ROWS, STEPS, FEATURES = 2048, 64, 16
BYTES = ROWS * STEPS * FEATURES * 8


def squared(y_true, y_pred):
    error = y_pred - y_true
    return (error**2).mean(), 2 * error / error.size


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Big-endian float64 in a file that is mapped."""
    path = tmp_path_factory.mktemp("data") / "x.npy"
    np.save(path, np.random.default_rng(0).normal(size=(ROWS, STEPS, FEATURES)).astype(">f8"))
    return np.load(path, mmap_mode="r")


def allocated(call):
    """The most that Python and NumPy held at once beyond what was there."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("loss", ["mse", squared], ids=["engine", "python"])
def test_no_copy_of_all_data_is_made(data, loss):
    model = Sequential(
        [layers.Input((None, FEATURES)), layers.LSTM(2, return_sequences=True), layers.Dense(16)]
    )
    model.compile("sgd", loss)
    last = Sequential([layers.Input((None, FEATURES)), layers.LSTM(2)])
    calls = {
        "fit": lambda: model.fit(data, data, batch_size=64, verbose=0),
        "evaluate": lambda: model.evaluate(data, data, batch_size=64, verbose=0),
        "predict": lambda: last.predict(data, batch_size=64, verbose=0),
    }
    for name, call in calls.items():
        # A mask of all numbers alone would be an eighth of their bytes.
        assert allocated(call) < BYTES / 8, name


@pytest.mark.parametrize("shape", [(4200, 1003), (3, 1500, 1003), (2, 2_100_000, 1)], ids=str)
def test_a_batch_that_is_read_in_parts_is_whole(shape):
    """Parts of 4 million numbers: of rows, of steps of all rows, of steps that are one number."""
    assert np.prod(shape) > 1 << 22
    x = np.random.default_rng(0).normal(size=shape).astype(np.float16)
    y = np.random.default_rng(1).normal(size=(*shape[:-1], 1)).astype(np.float16)
    model = Sequential([layers.Dense(1)])
    model.compile("sgd", "mse")
    found = model.predict_on_batch(x)
    exact = x.astype(np.float64) @ model.get_weights()[0].astype(np.float64)
    np.testing.assert_allclose(found, exact, rtol=0, atol=1e-4)
    loss = model.evaluate(x, y, batch_size=shape[0], verbose=0)
    assert loss == pytest.approx(((exact - y) ** 2).mean(), rel=1e-5)
