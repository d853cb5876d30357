"""Layers: arguments, initial weights, and what they compute when called on arrays."""

import inspect
import json
import pickle

import numpy as np
import pytest

from pylstm import Sequential, initializers, layers
from pylstm.reference import lstm_forward

EXACT = {"rtol": 1e-12, "atol": 1e-13}  # float64: a few hundred operations of 1e-16 each


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def some_mask(rows, steps, seed=0):
    return np.random.default_rng(seed).random((rows, steps)) < 0.6


# ---- arguments


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
        (layers.Input, "shape batch_size dtype name batch_shape"),
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


# ---- LSTM


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize("started", [False, True])
def test_lstm_is_the_reference(masked, go_backwards, zero, started):
    x, mask = normal(3, 6, 4), some_mask(3, 6) if masked else None
    if masked and started:
        mask[:, [0, -1]] = True  # before the first real step Keras gives 0, not the initial h
    state = (normal(3, 5, seed=1), normal(3, 5, seed=2)) if started else None
    layer = layers.LSTM(
        5,
        return_sequences=True,
        return_state=True,
        go_backwards=go_backwards,
        zero_output_for_mask=zero,
        dtype="float64",
    )
    y, h, c = layer(x, initial_state=None if state is None else list(state), mask=mask)
    expected, (h0, c0), _ = lstm_forward(
        x,
        *layer.get_weights(),
        state,
        mask,
        go_backwards=go_backwards,
        zero_output_for_mask=zero,
    )
    np.testing.assert_allclose(y, expected, **EXACT)
    np.testing.assert_allclose(h, h0, **EXACT)
    np.testing.assert_allclose(c, c0, **EXACT)


def test_a_mask_before_the_first_real_step_holds_the_state_and_gives_zeros():
    start = [normal(2, 4), normal(2, 4, seed=1)]
    layer = layers.LSTM(4, return_sequences=True, return_state=True, dtype="float64")
    y, h, c = layer(normal(2, 3, 2), initial_state=start, mask=np.zeros((2, 3), bool))
    assert not y.any()
    assert np.array_equal(h, start[0])
    assert np.array_equal(c, start[1])


def test_what_an_lstm_returns():
    x = normal(2, 5, 3)
    kinds = {}
    weights = None
    for sequences in (False, True):
        for state in (False, True):
            layer = layers.LSTM(4, return_sequences=sequences, return_state=state)
            layer.build((None, None, 3))
            weights = weights or layer.get_weights()
            layer.set_weights(weights)
            kinds[sequences, state] = layer(x)
    last, (same_last, h, c) = kinds[False, False], kinds[False, True]
    assert last.shape == h.shape == c.shape == (2, 4)
    assert np.array_equal(last, same_last)
    assert np.array_equal(last, h)
    assert np.array_equal(kinds[True, False][:, -1], last)
    assert np.array_equal(kinds[True, True][0], kinds[True, False])


def test_a_cell_walks_the_steps_of_its_layer():
    cell = layers.LSTMCell(4, dtype="float64")
    layer = layers.RNN(cell, return_sequences=True, dtype="float64")
    x = normal(3, 6, 2)
    expected = layer(x)
    states = cell.get_initial_state(3)
    for t in range(6):
        h, states = cell(x[:, t], states)
        np.testing.assert_allclose(h, expected[:, t], **EXACT)
    assert cell.state_size == [4, 4]


def test_rnn_of_a_cell_is_the_lstm_layer():
    cell = layers.LSTMCell(4, dropout=0.5, recurrent_dropout=0.25, use_bias=False, seed=3)
    rnn = layers.RNN(cell, return_sequences=True, go_backwards=True)
    lstm = layers.LSTM(
        4,
        dropout=0.5,
        recurrent_dropout=0.25,
        use_bias=False,
        seed=3,
        return_sequences=True,
        go_backwards=True,
    )
    assert layers.serialize(rnn) == layers.serialize(lstm)
    with pytest.raises(ValueError, match="another layer"):
        layers.RNN(cell)


def test_a_cells_weights_are_those_of_its_layer():
    cell = layers.LSTMCell(4)
    h, _ = cell(np.ones((2, 3)), cell.get_initial_state(2))
    model = Sequential([layers.Input((None, 3)), layers.RNN(cell)])
    assert np.array_equal(model.predict(np.ones((2, 1, 3))), h)
    model.set_weights([2 * w for w in model.get_weights()])
    h, _ = cell(np.ones((2, 3)), cell.get_initial_state(2))
    assert np.array_equal(model.predict(np.ones((2, 1, 3))), h)


def test_a_stateful_layer_called_twice_goes_on():
    x = normal(2, 8, 3)
    layer = layers.LSTM(4, return_sequences=True, stateful=True, dtype="float64")
    whole = layer(x)
    layer.reset_state()
    parts = [layer(x[:, :3]), layer(x[:, 3:])]
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, **EXACT)


def test_a_stateful_bidirectional_carries_both_directions():
    x = normal(2, 8, 3)
    inner = layers.LSTM(4, return_sequences=True, return_state=True, stateful=True)
    layer = layers.Bidirectional(inner, dtype="float64")
    assert layer.states is None
    first = layer(x[:, :3])
    second = layer(x[:, 3:])
    assert all(np.array_equal(a, b) for a, b in zip(layer.states, second[1:], strict=True))
    layer.reset_state()
    assert layer.states is None
    expected = layer(x[:, 3:], initial_state=first[1:])
    assert not np.array_equal(expected[0], first[0])
    layer.reset_state()
    again = layer(x[:, :3])
    for found, wanted in zip([*second, *again], [*expected, *first], strict=True):
        assert np.array_equal(found, wanted)
    with pytest.raises(ValueError, match=r"initial_state \(h\): expected shape"):
        layer(x[:1])


def test_dropout_repeats_with_a_seed_and_is_off_without_training():
    x = normal(4, 5, 3)
    outputs = []
    for _ in range(2):
        layer = layers.LSTM(6, dropout=0.5, recurrent_dropout=0.5, seed=8)
        outputs.append((layer(x), layer(x, training=True)))
    assert np.array_equal(outputs[0][0], outputs[1][0])
    assert np.array_equal(outputs[0][1], outputs[1][1])
    assert not np.array_equal(*outputs[0])


# ---- Bidirectional


@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("mode", ["concat", "sum", "mul", "ave", None])
def test_bidirectional_merges_two_lstms(sequences, mode):
    x = normal(3, 5, 2)
    layer = layers.Bidirectional(
        layers.LSTM(4, return_sequences=sequences), merge_mode=mode, dtype="float64"
    )
    found = layer(x)
    weights = layer.get_weights()
    forward, _, _ = lstm_forward(x, *weights[:3])
    backward, _, _ = lstm_forward(x, *weights[3:], go_backwards=True)
    if sequences:
        backward = backward[:, ::-1]
    else:
        forward, backward = forward[:, -1], backward[:, -1]
    expected = {
        "concat": lambda a, b: np.concatenate([a, b], axis=-1),
        "sum": lambda a, b: a + b,
        "mul": lambda a, b: a * b,
        "ave": lambda a, b: (a + b) / 2,
        None: lambda a, b: [a, b],
    }[mode](forward, backward)
    for a, b in zip(*([found], [expected]) if mode else (found, expected), strict=True):
        np.testing.assert_allclose(a, b, **EXACT)


def test_bidirectional_states_and_masks():
    x, mask = normal(3, 5, 2), some_mask(3, 5)
    start = [normal(3, 4, seed=i) for i in range(4)]
    layer = layers.Bidirectional(
        layers.LSTM(4, return_sequences=True, return_state=True), dtype="float64"
    )
    y, *states = layer(x, initial_state=start, mask=mask)
    weights = layer.get_weights()
    forward, first, _ = lstm_forward(
        x, *weights[:3], tuple(start[:2]), mask, zero_output_for_mask=True
    )
    backward, second, _ = lstm_forward(
        x, *weights[3:], tuple(start[2:]), mask, zero_output_for_mask=True, go_backwards=True
    )
    np.testing.assert_allclose(y, np.concatenate([forward, backward[:, ::-1]], -1), **EXACT)
    for found, expected in zip(states, [*first, *second], strict=True):
        np.testing.assert_allclose(found, expected, **EXACT)
    assert not y[~mask].any()


def test_the_directions_start_from_different_weights():
    layer = layers.Bidirectional(layers.LSTM(4, seed=1))
    layer.build((None, None, 3))
    kernels = layer.get_weights()[0], layer.get_weights()[3]
    assert not np.array_equal(*kernels)
    assert [v.path for v in layer.weights][::3] == [
        "bidirectional/forward_layer/kernel",
        "bidirectional/backward_layer/kernel",
    ]


# ---- the others


@pytest.mark.parametrize("activation", [None, "linear", "relu", "tanh", "sigmoid", "softmax"])
@pytest.mark.parametrize("shape", [(3, 4), (3, 5, 4)])
def test_dense_is_a_product_and_an_activation(activation, shape):
    x = normal(*shape)
    layer = layers.Dense(6, activation=activation, bias_initializer="normal", dtype="float64")
    z = layer(x)
    kernel, bias = layer.get_weights()
    expected = x @ kernel + bias
    if activation == "softmax":
        expected = np.exp(expected) / np.exp(expected).sum(-1, keepdims=True)
    elif activation not in (None, "linear"):
        expected = {
            "relu": lambda v: np.maximum(v, 0),
            "tanh": np.tanh,
            "sigmoid": lambda v: 1 / (1 + np.exp(-v)),
        }[activation](expected)
    np.testing.assert_allclose(z, expected, **EXACT)


def test_embedding_looks_up_rows():
    table = normal(7, 3).astype("f4")
    layer = layers.Embedding(7, 3, weights=[table], mask_zero=True)
    ids = np.array([[0, 6, 2], [5, 5, 0]])
    assert np.array_equal(layer(ids), table[ids])
    assert layer.compute_mask(ids).tolist() == [[False, True, True], [True, True, False]]
    model = Sequential([layer])
    assert np.array_equal(model.predict(ids), table[ids])
    with pytest.raises(IndexError):
        layers.Embedding(7, 3)(np.array([[7]]))


def test_dropout_scales_what_it_keeps():
    layer = layers.Dropout(0.25, seed=1)
    x = np.ones((200, 50), "f4")
    assert np.array_equal(layer(x), x)
    out = layer(x, training=True)
    kept = np.float32(1 / 0.75)
    assert set(np.unique(out)) == {np.float32(0), kept}
    # 10,000 draws: 5 standard deviations of the share
    assert abs((out == 0).mean() - 0.25) < 5 * np.sqrt(0.25 * 0.75 / x.size)


# ---- weights


def test_a_layer_called_on_arrays_uses_its_models_weights():
    model = Sequential([layers.Input((None, 3)), layers.LSTM(4), layers.Dense(2)])
    model.compile("sgd", "mse")
    x = normal(5, 6, 3)
    for _ in range(2):
        h = model.layers[0](x)
        assert np.array_equal(model.layers[1](h), model.predict(x))
        model.fit(x, np.ones((5, 2)), verbose=0)


def test_a_layer_called_before_it_joins_a_model_brings_its_weights():
    layer = layers.LSTM(4)
    x = normal(5, 6, 3)
    expected = layer(x)
    model = Sequential([layer])
    assert np.array_equal(model.predict(x), expected)
    with pytest.raises(ValueError, match="expected shape"):
        layer(normal(5, 6, 2))


def test_set_weights_names_what_is_wrong():
    layer = layers.Dense(3)
    with pytest.raises(RuntimeError, match="no weights yet"):
        layer.set_weights([])
    layer.build((None, 4))
    before = layer.get_weights()
    with pytest.raises(ValueError, match=r"expected 2 arrays \(dense/kernel, dense/bias\), got 1"):
        layer.set_weights(before[:1])
    with pytest.raises(ValueError, match=r"dense/bias.*expected shape \(3,\), got \(4,\)"):
        layer.set_weights([before[0], np.zeros(4)])
    with pytest.raises(TypeError, match="list"):
        layer.set_weights(before[0])
    assert np.array_equal(layer.get_weights()[0], before[0])


def test_layers_can_be_pickled_with_their_weights():
    model = Sequential([layers.Input((None, 3)), layers.LSTM(4)])
    again = pickle.loads(pickle.dumps(model.layers[0]))
    x = normal(2, 3, 3)
    assert np.array_equal(again(x), model.predict(x))
    assert again.owner is None


def test_bad_calls():
    layer = layers.LSTM(4)
    with pytest.raises(ValueError, match="rows, steps, features"):
        layer(normal(3, 4))
    with pytest.raises(ValueError, match=r"\[h, c\]"):
        layer(normal(3, 4, 2), initial_state=[np.zeros((3, 4))])
    with pytest.raises(ValueError, match=r"initial_state \(c\)"):
        layer(normal(3, 4, 2), initial_state=[np.zeros((3, 4)), np.zeros((2, 4))])
    with pytest.raises(ValueError, match="mask"):
        layer(normal(3, 4, 2), mask=np.ones((3, 5), bool))
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
