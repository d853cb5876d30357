"""Layers: their arguments, configurations, and what is refused."""

import inspect
import json

import numpy as np
import pytest

from pylstm import Sequential, initializers, layers, optimizers


@pytest.mark.parametrize(
    ("layer", "names"),
    [
        (
            layers.LSTM,
            "units activation recurrent_activation use_bias kernel_initializer "
            "recurrent_initializer bias_initializer unit_forget_bias kernel_regularizer "
            "recurrent_regularizer bias_regularizer activity_regularizer kernel_constraint "
            "recurrent_constraint bias_constraint dropout recurrent_dropout seed "
            "return_sequences return_state go_backwards stateful unroll use_cudnn",
        ),
        (
            layers.LSTMCell,
            "units activation recurrent_activation use_bias kernel_initializer "
            "recurrent_initializer bias_initializer unit_forget_bias",
        ),
        (layers.RNN, "cell return_sequences return_state go_backwards stateful unroll"),
        (layers.Bidirectional, "layer merge_mode weights backward_layer"),
        (
            layers.Dense,
            "units activation use_bias kernel_initializer bias_initializer kernel_regularizer",
        ),
        (
            layers.Embedding,
            "input_dim output_dim embeddings_initializer embeddings_regularizer "
            "embeddings_constraint mask_zero weights",
        ),
        (layers.Dropout, "rate noise_shape seed"),
        (layers.Masking, "mask_value"),
        (layers.Input, "shape batch_size dtype name batch_shape"),
        (layers.InputLayer, "shape batch_size dtype name batch_shape"),
    ],
)
def test_arguments_have_keras_names_and_order(layer, names):
    found = list(inspect.signature(layer).parameters)
    assert found[: len(names.split())] == names.split()


def test_arguments_without_meaning_are_accepted():
    layer = layers.LSTM(3, unroll=True, use_cudnn=False, implementation=1)
    assert layer.units == 3


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: layers.LSTM(3, activation="relu"), "activation: 'relu' is not supported"),
        (lambda: layers.LSTM(3, recurrent_activation="tanh"), "recurrent_activation"),
        (lambda: layers.LSTM(3, kernel_regularizer="l2"), "kernel_regularizer"),
        (lambda: layers.LSTM(3, bias_constraint="max_norm"), "bias_constraint"),
        (lambda: layers.LSTM(3, activity_regularizer="l2"), "activity_regularizer"),
        (lambda: layers.LSTM(0), "units: expected an integer of at least 1, got 0"),
        (lambda: layers.LSTM(3, dropout=1.5), "dropout"),
        (lambda: layers.LSTM(3, recurrent_dropout=-0.1), "recurrent_dropout"),
        (lambda: layers.LSTM(3, name="a/b"), "name"),
        (lambda: layers.LSTM(3, dtype="int8"), "dtype"),
        (lambda: layers.Dense(3, activation="sofmax"), "did you mean 'softmax'"),
        (lambda: layers.Dense(3, kernel_initializer="glorot"), "did you mean 'glorot_"),
        (lambda: layers.Dense(3, kernel_constraint="x"), "kernel_constraint"),
        (lambda: layers.Embedding(3, 0), "output_dim"),
        (lambda: layers.Embedding(3, 2, embeddings_regularizer="l1"), "embeddings_regularizer"),
        (lambda: layers.Embedding(3, 2, weights=np.zeros((2, 2))), "expected shape"),
        (lambda: layers.Dropout(-0.5), "rate"),
        (lambda: layers.Dropout(0.5, noise_shape=(1,)), "noise_shape"),
        (lambda: layers.Bidirectional(layers.LSTM(3), merge_mode="cat"), "did you mean 'concat'"),
        (
            lambda: layers.Bidirectional(layers.LSTM(3), backward_layer=layers.LSTM(3)),
            "go_backwards",
        ),
        (lambda: layers.Input((0, 3)), "at least 1"),
    ],
)
def test_settings_that_would_change_results_are_refused(make, match):
    with pytest.raises(ValueError, match=match):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.LSTM(3.0),
        lambda: layers.LSTM("3"),
        lambda: layers.LSTM(True),
        lambda: layers.LSTM(3, colour="red"),
        lambda: layers.LSTM(3, use_bias="yes"),
        lambda: layers.Dense(3, kernel_initializer=3),
        lambda: layers.Bidirectional(layers.Dense(3)),
        lambda: layers.Input(),
        lambda: layers.RNN([layers.LSTMCell(3)]),
        lambda: layers.RNN(layers.LSTM(3)),
    ],
)
def test_arguments_of_the_wrong_type_are_refused(make):
    with pytest.raises(TypeError):
        make()


def test_a_cell_written_in_python_is_refused():
    class Cell:
        state_size = output_size = 3

        def __call__(self, x, states):
            return x, states

    with pytest.raises(TypeError, match="written in Python"):
        layers.RNN(Cell())


@pytest.mark.parametrize(
    "layer",
    [
        layers.LSTM(3, return_sequences=True, dropout=0.25, seed=4, kernel_initializer="he_normal"),
        layers.Bidirectional(layers.LSTM(3, name="inner"), merge_mode="ave"),
        layers.Dense(3, activation="relu", bias_initializer=initializers.Constant(0.5)),
        layers.Embedding(7, 3, mask_zero=True, trainable=False),
        layers.Dropout(0.5, name="drop"),
        layers.Masking(-1.0),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_a_configuration_survives_json(layer):
    config = json.loads(json.dumps(layers.serialize(layer)))
    again = layers.deserialize(config)
    assert layers.serialize(again) == config
    with pytest.raises(TypeError, match="colour"):
        type(layer).from_config({**config["config"], "colour": "red"})


def test_only_known_classes_are_made_from_a_configuration():
    with pytest.raises(ValueError, match="did you mean 'LSTM'"):
        layers.deserialize({"class_name": "LSTMM", "config": {}})
    with pytest.raises(ValueError, match=r"unknown .os\.system."):
        layers.deserialize({"class_name": "os.system", "config": {"command": "true"}})


# ---- what is given to them


def test_bad_calls():
    layer = layers.LSTM(4)
    with pytest.raises(ValueError, match="rows, steps, features"):
        layer(np.ones((3, 4)))
    with pytest.raises(ValueError, match=r"\[h, c\]"):
        layer(np.ones((3, 4, 2)), initial_state=[np.zeros((3, 4))])
    with pytest.raises(ValueError, match=r"initial_state \(c\)"):
        layer(np.ones((3, 4, 2)), initial_state=[np.zeros((3, 4)), np.zeros((2, 4))])
    with pytest.raises(ValueError, match="mask"):
        layer(np.ones((3, 4, 2)), mask=np.ones((3, 5), bool))
    with pytest.raises(TypeError):
        layer(np.array([["a"]]))


@pytest.mark.parametrize(
    ("make", "wrong", "right"),
    [
        (lambda **k: layers.LSTM(4, **k), "return_sequence", "return_sequences"),
        (lambda **k: layers.Dense(4, **k), "activations", "activation"),
        (lambda **k: layers.Bidirectional(layers.LSTM(4), **k), "mergemode", "merge_mode"),
        (lambda **k: layers.Dropout(0.5, **k), "inputshape", "input_shape"),
    ],
)
def test_unexpected_arguments_are_met_with_the_nearest_name(make, wrong, right):
    with pytest.raises(TypeError, match=f"'{wrong}' \\(did you mean '{right}'"):
        make(**{wrong: True})


@pytest.mark.parametrize("dtype", [np.float64, np.dtype("float64"), "float64"])
def test_types_may_be_those_of_numpy(dtype):
    model = Sequential([layers.LSTM(2, dtype=dtype)], dtype=dtype)
    assert model.dtype == model.layers[0].dtype == "float64"
    assert model.predict(np.ones((2, 3, 4))).dtype == np.float64
    for bad in (np.float16, np.int32, float, 3):
        with pytest.raises(ValueError, match="dtype: unknown"):
            layers.LSTM(2, dtype=bad)


@pytest.mark.parametrize("direct", [False, True])
def test_a_first_layer_names_the_shape_of_x(direct):
    def call(layer, x):
        return layer(x) if direct else Sequential([layer, layers.Dense(1)]).predict(x)

    steps = r"x: expected \(rows, steps, features\), got \(10, 50\)"
    advice = r"; for one feature a step write x\[..., None\]$"
    for layer in (layers.LSTM(4), layers.Bidirectional(layers.LSTM(4))):
        with pytest.raises(ValueError, match=steps + advice):
            call(layer, np.ones((10, 50)))
        with pytest.raises(ValueError, match=r"features\), got \(2, 3, 4, 5\)$"):
            call(layer, np.ones((2, 3, 4, 5)))
    with pytest.raises(ValueError, match=r"x: expected \(rows, features\) or .*got \(2, 3, 4, 5\)"):
        call(layers.Dense(4), np.ones((2, 3, 4, 5)))


def test_only_a_layer_that_drops_the_steps_is_blamed():
    with pytest.raises(ValueError, match=r"got \(rows, 50\)$"):
        Sequential([layers.Input((50,)), layers.LSTM(4)])
    stack = [layers.LSTM(4, name="low"), layers.Dropout(0.5), layers.LSTM(4)]
    with pytest.raises(ValueError, match="layer 'low' before it needs return_sequences=True"):
        Sequential([layers.Input((None, 3)), *stack])


def test_layers_come_as_one_list():
    for more in ((), (layers.Dense(1),)):
        with pytest.raises(TypeError, match="layers: pass one list"):
            Sequential(layers.LSTM(4), *more)


@pytest.mark.parametrize(
    ("layer", "argument", "value"),
    [
        (lambda: layers.LSTM(4), "units", 5),
        (lambda: layers.LSTM(4), "return_sequences", True),
        (lambda: layers.LSTM(4), "stateful", True),
        (lambda: layers.LSTM(4), "dropout", 0.5),
        (lambda: layers.Bidirectional(layers.LSTM(4)), "stateful", True),
        (lambda: layers.Dense(4), "activation", "softmax"),
        (lambda: layers.Dropout(0.5), "rate", 0.1),
        (lambda: layers.Dense(4), "name", "head"),
        (lambda: layers.Dense(4), "dtype", "float64"),
    ],
)
def test_a_built_layer_refuses_new_arguments(layer, argument, value):
    """Its network would not know of them."""
    made = layer()
    setattr(made, argument, getattr(made, argument))  # may be set before
    made.build((None, None, 3))
    before = made.get_config()
    with pytest.raises(AttributeError, match=f"{argument} cannot be set once the layer is built"):
        setattr(made, argument, value)
    assert made.get_config() == before
    made.trainable = False  # takes effect at any time


@pytest.mark.parametrize(
    ("thing", "name", "wrong", "error", "right", "kept"),
    [
        (lambda: layers.LSTM(4), "dropout", 7, ValueError, np.float32(0.25), 0.25),
        (lambda: layers.LSTM(4), "return_sequences", "no", TypeError, np.True_, True),
        (lambda: layers.LSTM(4), "units", 0, ValueError, np.int64(5), 5),
        (lambda: layers.LSTM(4), "kernel_initializer", 3, TypeError, None, None),
        (lambda: layers.LSTM(4), "name", "q/r", ValueError, "other", "other"),
        (lambda: layers.LSTM(4), "dtype", "int8", ValueError, np.float64, "float64"),
        (lambda: layers.LSTM(4), "trainable", None, TypeError, np.False_, False),
        (lambda: layers.Bidirectional(layers.LSTM(4)), "merge_mode", "x", ValueError, "sum", "sum"),
        (
            lambda: layers.Bidirectional(layers.LSTM(4)),
            "stateful",
            True,
            AttributeError,
            None,
            None,
        ),
        (
            lambda: layers.Bidirectional(layers.LSTM(4)),
            "backward_layer",
            layers.LSTM(4),
            AttributeError,
            None,
            None,
        ),
        (Sequential, "trainable", "no", TypeError, np.False_, False),
        (Sequential, "name", "my/model", ValueError, "mine", "mine"),
        (Sequential, "dtype", "float64", AttributeError, None, None),
        (optimizers.Adam, "epsilon", "a", TypeError, np.float32(0.5), 0.5),
        (optimizers.Adam, "beta_1", 5, ValueError, 0.5, 0.5),
        (optimizers.SGD, "nesterov", None, TypeError, True, True),
    ],
)
def test_an_attribute_is_checked_as_the_argument_is(thing, name, wrong, error, right, kept):
    """Else a file would hold what `load_model` refuses."""
    made = thing()
    before = getattr(made, name)
    with pytest.raises(error, match=name):
        setattr(made, name, wrong)
    assert getattr(made, name) is before
    if right is not None:
        setattr(made, name, right)
        assert getattr(made, name) == kept
        assert type(getattr(made, name)) is type(kept)


def test_attributes_of_a_subclass_with_a_constructor_of_its_own_are_checked():
    class Eight(layers.LSTM):
        def __init__(self):
            super().__init__(8)

    layer = Eight()
    layer.dropout = 0.5
    layer.trainable = False
    assert (layer.units, layer.dropout, layer.trainable) == (8, 0.5, False)
    with pytest.raises(ValueError, match="dropout: expected a number from 0 to 1, got 2"):
        layer.dropout = 2


@pytest.mark.parametrize(
    ("shape", "error"), [(3, TypeError), ((3,), ValueError), ((None, 0), ValueError)]
)
@pytest.mark.parametrize("make", [lambda: layers.Dense(4), lambda: Sequential([layers.Dense(4)])])
def test_build_names_its_argument(make, shape, error):
    with pytest.raises(error, match="input_shape: expected "):
        make().build(shape)


@pytest.mark.parametrize(
    ("name", "value"), [("dtype", "float64"), ("name", "b"), ("return_state", True), ("units", 5)]
)
def test_a_layer_of_a_model_refuses_new_arguments(name, value):
    """The layers beside it would have to be checked anew."""
    layer = layers.LSTM(4, return_sequences=True)
    model = Sequential([layer, layers.LSTM(3, name="b")])
    before = layer.get_config()
    with pytest.raises(AttributeError, match=f"{name} cannot be set once the layer is part of"):
        setattr(layer, name, value)
    assert layer.get_config() == before
    layer.trainable = False
    model.pop()
    model.pop()
    setattr(layer, name, value)
    both = layers.Bidirectional(layers.LSTM(4))
    with pytest.raises(AttributeError, match=f"{name} cannot be set"):
        setattr(both.forward_layer, name, value)


def test_build_looks_at_the_rows_too():
    for rows in (-5, "x"):
        with pytest.raises((TypeError, ValueError), match="input_shape: expected an integer"):
            layers.LSTM(2).build((rows, None, 4))
    layers.LSTM(2).build((32, None, 4))
