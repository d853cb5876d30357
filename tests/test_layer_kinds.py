"""Layers that stand for others: subclasses, wrappers, cells; and those of a model that failed."""

import numpy as np
import pytest

from pylstm import Sequential, layers, load_model


def test_a_subclass_is_one_of_its_base_to_the_engine_and_in_files(tmp_path):
    class Eight(layers.LSTM):
        def __init__(self, name=None, **kwargs):
            super().__init__(8, name=name)

        def get_config(self):
            return {"mine": 1}

    x = np.random.default_rng(0).normal(size=(2, 3, 4))
    layer = Eight()
    own = layer(x)
    model = Sequential([Eight(), layers.Dense(1)])
    model.predict(x)
    model.layers[0].set_weights(layer.get_weights())
    assert np.array_equal(model.layers[0].get_weights()[0], layer.get_weights()[0])
    model.save(tmp_path / "m")
    again = load_model(tmp_path / "m")
    assert type(again.layers[0]) is layers.LSTM
    assert again.layers[0].name == "eight"
    assert np.array_equal(again.predict(x), model.predict(x))
    assert own.shape == (2, 8)
    assert layers.Bidirectional(Eight())(x).shape == (2, 16)


def test_a_layer_written_in_python_is_refused():
    class Mine(layers.Layer):
        def compute_output_shape(self, input_shape):
            return input_shape

        def __call__(self, x):
            return x

    with pytest.raises(TypeError, match="got Mine: a layer written in Python cannot run"):
        Sequential([Mine()])


def test_a_wrapper_has_the_dtype_of_what_it_wraps():
    double = layers.LSTM(3, dtype="float64")
    assert layers.Bidirectional(double)(np.ones((1, 2, 3))).dtype == np.float64
    with pytest.raises(ValueError, match="dtype float64 differs from the model's float32"):
        Sequential([layers.Bidirectional(double)])
    with pytest.raises(ValueError, match="layer: dtype float64 differs from the Bidirectional's"):
        layers.Bidirectional(double, dtype="float32")
    other = layers.LSTM(3, go_backwards=True, dtype="float64")
    with pytest.raises(ValueError, match=r"backward_layer: dtype float64 .* float32"):
        layers.Bidirectional(layers.LSTM(3), backward_layer=other)


def test_an_rnn_has_name_dtype_and_trainable_of_its_cell():
    cell = layers.LSTMCell(4, name="cell", dtype="float64", trainable=False)
    assert cell(np.ones((1, 3)), cell.get_initial_state(1))[0].dtype == np.float64
    layer = layers.RNN(cell)
    assert (layer.name, layer.dtype, layer.trainable) == ("cell", "float64", False)
    given = layers.RNN(layers.LSTMCell(4, name="cell"), name="rnn", trainable=False)
    assert (given.name, given.trainable) == ("rnn", False)
    for name in ("return_sequences", "stateful", "go_backwards", "input_shape"):
        with pytest.raises(TypeError, match=f"LSTMCell: unexpected argument '{name}'"):
            layers.LSTMCell(4, **{name: True})


def test_the_layers_of_a_model_that_failed_are_free():
    first = layers.LSTM(4, return_sequences=True)
    built = layers.LSTM(4, return_sequences=True)
    built.build((None, None, 4))
    weights = built.get_weights()
    stack = [layers.Input((5, 3)), first, built, layers.Embedding(3, 4)]
    with pytest.raises(ValueError, match="an Embedding must be the first layer") as raised:
        Sequential(stack, dtype="float64")
    assert raised.value.__traceback__ is not None  # which keeps the model
    assert (first.name, first.dtype, first.built, first.owner) == ("lstm", None, False, None)
    assert (built.name, built.dtype, built.owner) == ("lstm", None, None)
    assert all(map(np.array_equal, built.get_weights(), weights))
    model = Sequential([*stack[:3], layers.Dense(1)])
    assert all(map(np.array_equal, model.layers[1].get_weights(), weights))
