"""Layers: weights, and what they compute when called on arrays."""

import copy
import os
import pickle
import signal
import threading

import numpy as np
import pytest
from helpers import EXACT

from pylstm import Sequential, layers
from pylstm.reference import lstm_forward


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def some_mask(rows, steps, seed=0):
    return np.random.default_rng(seed).random((rows, steps)) < 0.6


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
    with pytest.raises(ValueError, match=r"x: expected 2 rows, .*got 1"):
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


def test_a_stateful_layer_names_the_rows_that_it_carries_states_for():
    layer = layers.LSTM(3, stateful=True)
    layer(normal(2, 4, 5))
    with pytest.raises(ValueError, match=r"x: expected 2 rows, .*got 1; call reset_state"):
        layer(normal(1, 4, 5))
    layer.reset_state()
    layer(normal(1, 4, 5))


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs an interval timer")
def test_a_signal_handler_may_call_the_layer_that_is_running():
    # Long enough that it looks for signals several times, which it does every 50 ms. All that come
    # before a look, or would wait for the end, run the handler once.
    layer, x, short, called = layers.LSTM(128), normal(1, 400_000, 2), normal(1, 50, 2), []
    expected, expected_of_short = layer(x), layer(short)
    before = signal.signal(signal.SIGALRM, lambda *_: called.append(layer(short)))
    try:
        signal.setitimer(signal.ITIMER_REAL, 2e-2, 2e-2)
        found = layer(x)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(called) > 2
    assert np.array_equal(found, expected)
    assert all(np.array_equal(y, expected_of_short) for y in called)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_may_call_a_layer_that_is_running():
    layer, x, stop = layers.LSTM(128, return_sequences=True), normal(16, 100, 8), threading.Event()
    expected = layer(x)

    def work():
        while not stop.is_set():
            layer(x)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _ in range(10):
            child = os.fork()
            if child == 0:
                signal.alarm(20)  # a child that hangs ends with an error
                os._exit(0 if np.array_equal(layer(x), expected) else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        stop.set()
        thread.join()


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


def test_a_direction_has_its_weights_wherever_they_live():
    layer = layers.Bidirectional(layers.LSTM(4))
    assert not layer.forward_layer.built
    layer.build((None, None, 3))
    model = Sequential([layer, layers.Dense(1)])
    model.predict(normal(2, 5, 3))
    model.add(layers.Dense(1))  # takes the weights out of the network
    for where in (layer, model):
        everything = where.get_weights()
        for inner, first in ((layer.forward_layer, 0), (layer.backward_layer, 3)):
            for a, b in zip(inner.get_weights(), everything[first:], strict=False):
                assert np.array_equal(a, b)
    ones = [np.ones_like(w) for w in layer.backward_layer.get_weights()]
    layer.backward_layer.set_weights(ones)
    assert np.array_equal(layer.get_weights()[3], ones[0])
    assert np.array_equal(layer.get_weights()[0], layer.forward_layer.get_weights()[0])
    assert not np.array_equal(layer.get_weights()[0], ones[0])
    assert copy.deepcopy(layer).backward_layer.count_params() == layer.count_params() // 2


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


def test_layers_without_states_take_a_mask():
    ids, x, mask = np.arange(12).reshape(2, 6), normal(2, 6, 3), np.arange(6) < 3
    for layer, inputs in (
        (layers.Dense(2), x),
        (layers.Dropout(0.5), x),
        (layers.Embedding(12, 2), ids),
    ):
        np.testing.assert_array_equal(layer(inputs, mask=mask), layer(inputs))
