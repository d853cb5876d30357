"""Models whose input has a fixed number of steps."""

import numpy as np
import pytest

import pylstm
from pylstm import Sequential, callbacks, layers


def made(way, steps):
    table, rest = layers.Embedding(9, 3), [layers.LSTM(4), layers.Dense(2)]
    if way == "input":
        return Sequential([layers.Input((steps,)), table, *rest])
    if way == "build":
        model = Sequential([table, *rest])
        model.build((None, steps))
        return model
    if way == "features":
        return Sequential([layers.Input((steps, 3)), *rest])
    return Sequential([layers.Embedding(9, 3, input_shape=(steps,)), *rest])


def data(way, steps):
    rng = np.random.default_rng(0)
    return rng.random((5, steps, 3)) if way == "features" else rng.integers(0, 9, (5, steps))


@pytest.mark.parametrize("steps", [1, 15, 16, 17, 40])
@pytest.mark.parametrize("way", ["input", "build", "input_shape", "features"])
def test_a_model_comes_back(tmp_path, way, steps):
    model, x = made(way, steps), data(way, steps)
    model.save(tmp_path / "m")
    again = pylstm.load_model(tmp_path / "m")
    assert again.input_shape == model.input_shape
    assert again.input_shape[1] == steps
    assert np.array_equal(again.predict(x), model.predict(x))


@pytest.mark.parametrize("way", ["input", "build", "input_shape", "features"])
def test_other_numbers_of_steps_are_refused(way):
    model = made(way, 20)
    for steps in (19, 21):
        with pytest.raises(ValueError, match=r"x: expected shape \(rows, 20"):
            model.predict(data(way, steps))
    assert model.estimate_memory(4) == model.estimate_memory(4, 20)


def test_a_checkpoint_of_token_ids(tmp_path):
    model, x = made("input", 30), data("input", 30)
    model.compile("sgd", "mse")
    saver = callbacks.ModelCheckpoint(tmp_path / "m")
    model.fit(x, np.zeros((5, 2)), epochs=2, verbose=0, callbacks=[saver])
    assert np.array_equal(pylstm.load_model(tmp_path / "m").predict(x), model.predict(x))
