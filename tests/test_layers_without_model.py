"""Layers whose model is gone, whose call failed, or that join a model with weights of their own."""

import copy
import gc
import pickle

import numpy as np
import pytest

import pylstm
from pylstm import Sequential, initializers, layers
from pylstm.models._rules import check_new

X = np.random.default_rng(0).normal(size=(2, 3, 4))


def lstm_and_dense():
    model = Sequential([layers.Input((None, 4)), layers.LSTM(5), layers.Dense(1)])
    return model, [weights.copy() for weights in model.get_weights()]


def test_a_layer_takes_its_weights_from_a_model_that_is_gone_into_the_next():
    model, weights = lstm_and_dense()
    lstm = model.layers[0]
    del model
    gc.collect()
    new = Sequential([lstm, layers.Dense(3)])
    new.build((None, None, 4))
    assert all(map(np.array_equal, new.layers[0].get_weights(), weights[:3]))
    assert all(map(np.array_equal, new.get_weights()[:3], weights[:3]))


def test_its_weights_outlive_build_and_pop():
    for change in ("build", "pop"):
        model, weights = lstm_and_dense()
        lstm = model.layers[0]
        del model
        gc.collect()
        if change == "build":
            lstm.build((None, None, 4))
        else:
            lstm = Sequential([lstm]).pop()
        assert all(map(np.array_equal, lstm.get_weights(), weights[:3]))


def test_it_still_takes_no_other_number_of_features():
    model, _ = lstm_and_dense()
    lstm = model.layers[0]
    del model
    gc.collect()
    with pytest.raises(ValueError, match="has weights for 4 features, its input here has 6"):
        Sequential([layers.Input((None, 6)), lstm])


def test_a_layer_without_weights_draws_them_and_does_not_compute_with_zeros():
    popped = Sequential([layers.Input((4,)), layers.Dense(2)]).pop()
    orphan = Sequential([layers.Input((None, 4)), layers.LSTM(5)]).layers[0]
    pair = Sequential([layers.Input((None, 4)), layers.Bidirectional(layers.LSTM(5))]).layers[0]
    gc.collect()
    for layer, x in ((popped, X[:, 0]), (orphan, X), (pair, X), (pair.backward_layer, X)):
        assert np.abs(layer(x)).min() > 0
        assert layer.built
        assert len(layer.weights) == len(layer.get_weights()) > 0


def test_a_layer_whose_weights_could_not_be_drawn_is_not_built():
    layer = layers.LSTM(4, bias_initializer="orthogonal")
    for _ in range(2):
        with pytest.raises(ValueError, match="Orthogonal needs two axes"):
            layer(X)
        assert not layer.built
        assert layer.weights == []
    again = pickle.loads(pickle.dumps(layer))
    assert not again.built
    Sequential([again, layers.Dense(1)])


def test_a_call_that_fails_leaves_a_layer_unbuilt():
    lstm, table = layers.LSTM(4), layers.Embedding(3, 2)
    with pytest.raises(ValueError, match="mask"):
        lstm(X, mask=np.ones((2, 9)))
    with pytest.raises(IndexError):
        table(np.array([[7]]))
    assert not lstm.built
    assert not table.built
    assert lstm(X[..., :2]).shape == (2, 4)


def test_building_again_for_another_number_of_features_is_refused():
    layer = layers.Dense(2)
    layer.build((None, 4))
    layer.build((None, 3, 4))
    with pytest.raises(ValueError, match=r"is built for 4 features, got \(rows, 7\)"):
        layer.build((None, 7))


@pytest.mark.parametrize("shape", [(10,), (None,)])
def test_an_embedding_with_weights_takes_any_number_of_steps(shape):
    table = np.arange(12.0).reshape(6, 2)
    stack = [layers.Input(shape), layers.Embedding(6, 2, weights=[table]), layers.LSTM(3)]
    model = Sequential(stack)
    assert np.array_equal(model.get_weights()[0], table)
    later = Sequential([layers.Embedding(6, 2, weights=table)])
    later.build((None, 10))
    assert np.array_equal(later.predict(np.full((1, 10), 5))[0, 0], table[5])


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_of_an_unbuilt_model_has_the_weights_of_its_built_layers(clone):
    lstm = layers.LSTM(4)
    lstm(X)
    again = clone(Sequential([lstm, layers.Dense(1)]))
    assert again.predict(X).shape == (2, 1)
    assert all(map(np.array_equal, again.layers[0].get_weights(), lstm.get_weights()))


def test_the_layers_inside_a_wrapper_have_its_dtype():
    pair = layers.Bidirectional(layers.LSTM(4))
    model = Sequential([layers.Input((None, 4)), pair], dtype="float64")
    model.build()
    assert pair.forward_layer(X).dtype == np.float64


def test_states_that_a_call_gave_are_the_callers():
    pylstm.set_seed(1)
    layer = layers.LSTM(4, stateful=True, return_state=True)
    first = layer(X)
    kept = [state.copy() for state in first[1:]]
    for state in first[1:]:
        state[:] = 0
    assert all(map(np.array_equal, layer.states, kept))


def test_an_initializer_of_the_user_keeps_its_array():
    class Table(initializers.Initializer):
        values = np.broadcast_to(0.5, (16,))

        def draw(self, shape, seed, stream):
            return self.values

    layer = layers.LSTM(4, bias_initializer=Table())
    layer(X)
    assert layer.get_weights()[2].tolist() == [0.5] * 4 + [1.0] * 4 + [0.5] * 8
    assert Table.values.tolist() == [0.5] * 16


def test_a_name_that_is_set_counts_as_given():
    a, b = layers.LSTM(4, return_sequences=True), layers.LSTM(4)
    a.name = b.name = "enc"
    with pytest.raises(ValueError, match="name: the model has a layer 'enc' already"):
        Sequential([a, b])


def test_input_dim_is_a_shape_of_one_axis():
    model = Sequential([layers.Dense(3, input_dim=8), layers.Dense(1)])
    assert model.input_shape == (None, 8)
    with pytest.raises(ValueError, match="input_dim: give this or input_shape, not both"):
        layers.Dense(3, input_dim=8, input_shape=(8,))
    with pytest.raises(ValueError, match="input_shape: give this or batch_input_shape, not both"):
        layers.Dense(3, input_shape=(8,), batch_input_shape=(None, 8))
    with pytest.raises(ValueError, match="input_dim: expected"):
        layers.Dense(3, input_dim=0)
    with pytest.raises(ValueError, match="shape: give this or batch_shape, not both"):
        layers.Input((3,), batch_shape=(2, 3))


# ---- what is told


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: initializers.Constant(np.eye(2)), TypeError, r"value: .* shape \(2, 2\); give"),
        (
            lambda: check_new(layers.Dropout(0), [layers.Dropout(0)] * 4096, "float32"),
            ValueError,
            "layer 'dropout': a model has at most 4096 layers",
        ),
        (lambda: initializers.Zeros()(3), TypeError, "shape: expected a tuple of sizes, got 3"),
        (lambda: initializers.RandomUniform(-1e308, 1e308), ValueError, "maxval: .* too far"),
        (
            lambda: Sequential([layers.Dropout(0.5), layers.Dense(1)]).predict(np.float32(1)),
            ValueError,
            r"x: expected rows first, .* got shape \(\)",
        ),
    ],
)
def test_messages(call, error, message):
    with pytest.raises(error, match=message):
        call()
