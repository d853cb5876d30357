"""The weights of a Sequential: their order, what changes them, the seeds they come from."""

import copy
import pickle

import numpy as np
import pytest
from helpers import all_same_bits as same
from models import regression, token_model, tokens

import pylstm
from pylstm import Sequential, layers


def test_weights_are_copies_in_keras_order():
    model = token_model()
    shapes = [w.shape for w in model.get_weights()]
    assert shapes == [(11, 5), (5, 24), (6, 24), (24,), (6, 11), (11,)]
    assert model.count_params() == sum(int(np.prod(s)) for s in shapes)
    before = model.predict(tokens())
    for w in model.get_weights():
        w[...] = 7.0
    assert np.array_equal(model.predict(tokens()), before)


def test_set_weights_carries_a_model_over():
    a, b = token_model(), token_model()
    assert not np.array_equal(a.predict(tokens()), b.predict(tokens()))
    b.set_weights(a.get_weights())
    assert np.array_equal(a.predict(tokens()), b.predict(tokens()))
    c = token_model()
    for ours, theirs in zip(c.layers, a.layers, strict=True):
        ours.set_weights(theirs.get_weights())
    assert np.array_equal(a.predict(tokens()), c.predict(tokens()))


def test_trainable_decides_what_training_changes():
    model = token_model()
    model.layers[0].trainable = False
    model.layers[2].trainable = False
    for names in ("weights", "trainable_weights", "non_trainable_weights"):
        paths = [v.path for v in getattr(model, names)]
        assert paths == [v.path for v in getattr(model, names.replace("weights", "variables"))]
    assert [v.path for v in model.non_trainable_weights] == [
        "embedding/embeddings",
        "dense/kernel",
        "dense/bias",
    ]
    before = model.get_weights()
    model.fit(tokens(), tokens(seed=1), verbose=0)
    changed = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
    assert changed == [False, True, True, True, False, False]
    model.trainable = False
    before = model.get_weights()
    model.fit(tokens(), tokens(seed=1), verbose=0)
    assert same(before, model.get_weights())


def test_trainable_of_a_model_is_set_in_its_layers_too(capsys):
    """As in Keras: so True thaws all of them."""
    both = layers.Bidirectional(layers.LSTM(3))
    model = Sequential([layers.Embedding(5, 2, trainable=False), both, layers.Dense(1)])
    model.build((None, 4))
    assert [v.trainable for v in model.weights] == [False] + [True] * 8
    both.forward_layer.trainable = False
    for flag in (True, False):
        model.trainable = flag
        assert [v.trainable for v in model.weights] == [flag] * 9
        inner = [both.forward_layer, both.backward_layer]
        assert [layer.trainable for layer in [*model.layers, *inner]] == [flag] * 5
    model.layers[2].trainable = True  # the model is not
    assert not model.trainable_weights
    model.summary(show_trainable=True)
    assert " Y " not in capsys.readouterr().out


@pytest.mark.parametrize("frozen", [(), (0,), (1,), (0, 1)])
def test_each_direction_of_a_bidirectional_may_be_frozen(frozen, capsys):
    inner = [layers.LSTM(3, trainable=i not in frozen, go_backwards=i == 1) for i in (0, 1)]
    both = layers.Bidirectional(inner[0], backward_layer=inner[1])
    model = Sequential([layers.Embedding(11, 4), both, layers.Dense(11, activation="softmax")])
    model.compile(loss="sparse_categorical_crossentropy", optimizer="adam")

    def changed():
        before = model.get_weights()
        model.fit(tokens(), tokens(seed=1)[:, 0], verbose=0)
        pairs = zip(before, model.get_weights(), strict=True)
        return [not np.array_equal(a, b) for a, b in pairs]

    expected = [True, *([0 not in frozen] * 3), *([1 not in frozen] * 3), True, True]
    assert changed() == expected
    assert [v.trainable for v in model.weights] == expected
    model.summary(show_trainable=True)
    shown = capsys.readouterr().out
    sizes = [w.size for w in model.get_weights()]
    trained = sum(size for size, flag in zip(sizes, expected, strict=True) if flag)
    assert f"Trainable params: {trained:,}" in shown
    assert (" part " in shown) == (len(frozen) == 1)
    both.forward_layer.trainable = both.backward_layer.trainable = True
    assert all(changed())
    both.trainable = False
    assert changed() == [True, *([False] * 6), True, True]


def test_float64_is_a_model_of_doubles():
    model = token_model(dtype="float64")
    assert {w.dtype for w in model.get_weights()} == {np.dtype("float64")}
    assert model.predict(tokens()).dtype == np.float64
    assert token_model().predict(tokens()).dtype == np.float32


# ---- seeds


def test_a_seed_repeats_a_whole_run():
    def run():
        pylstm.set_seed(5)
        model = Sequential(
            [
                layers.Embedding(11, 5),
                layers.LSTM(6, dropout=0.3, recurrent_dropout=0.2, return_sequences=True),
                layers.Dropout(0.4),
                layers.Dense(11, activation="softmax"),
            ]
        )
        model.compile("adam", "sparse_categorical_crossentropy")
        model.fit(tokens(20), tokens(20, seed=1), batch_size=4, epochs=2, verbose=0)
        return [*model.get_weights(), model.generate([1, 2], 9)]

    assert same(run(), run())


def test_without_a_seed_models_differ():
    pylstm.set_seed(5)
    assert not same(token_model().get_weights(), token_model().get_weights())


def test_a_layers_own_seed_goes_before_the_models():
    def weights(seed):
        pylstm.set_seed(seed)
        model = Sequential([layers.Input((None, 3)), layers.LSTM(4, seed=9), layers.Dense(2)])
        return model.get_weights()

    a, b = weights(1), weights(2)
    assert same(a[:3], b[:3])
    assert not np.array_equal(a[3], b[3])


def test_a_variable_is_an_array_to_numpy():
    model = regression()
    for variable, value in zip(model.weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(np.asarray(variable), value)
        assert np.asarray(variable, "f8").dtype == np.float64
        assert np.linalg.norm(variable) == np.linalg.norm(value)


def test_weights_too_large_for_the_dtype_are_refused():
    alone = layers.LSTM(4)
    alone(np.zeros((1, 2, 3), "f4"))
    for holder in (regression(), alone):
        before = holder.get_weights()
        with pytest.raises(
            ValueError, match=r"/kernel\): .*float32 can hold, got 1e\+300 at \(0, 0\)"
        ):
            holder.set_weights([np.full(w.shape, 1e300) for w in before])
        assert all(map(np.array_equal, before, holder.get_weights()))
        with np.errstate(all="raise"):  # what is too small is 0, and infinity is meant
            holder.set_weights([np.full(w.shape, 1e-300) for w in before])
            holder.set_weights([np.full(w.shape, np.inf) for w in before])


def test_a_direction_in_a_model_of_float64_keeps_its_weights():
    model = Sequential([layers.Bidirectional(layers.LSTM(2))], dtype="float64")
    model.build((None, None, 3))
    for holder in (model.layers[0].forward_layer, model.layers[0], model):
        holder.set_weights([np.full(w.shape, 0.1) for w in holder.get_weights()])
        assert all((w == 0.1).all() for w in holder.get_weights())


def test_a_variable_is_a_copy_that_cannot_be_set() -> None:
    model = Sequential([layers.Input((3,)), layers.Dense(2)])
    kernel = model.weights[0]
    for name, value in [("trainable", False), ("value", np.ones((3, 2))), ("path", "x")]:
        with pytest.raises(AttributeError, match=rf"dense/kernel: .* {name} cannot be set"):
            setattr(kernel, name, value)
    assert repr(kernel) == "<Variable path=dense/kernel, shape=(3, 2), dtype=float32>"
    for other in (copy.deepcopy(kernel), pickle.loads(pickle.dumps(kernel))):
        assert (other.path, other.trainable) == ("dense/kernel", True)
        np.testing.assert_array_equal(other, kernel.numpy())


def test_weights_of_more_layers_than_there_are_are_refused(tmp_path):
    long, short = (
        Sequential([layers.Embedding(9, 5), *(layers.Dense(5) for _ in range(count))])
        for count in (2, 1)
    )
    long.save_weights(tmp_path / "w")
    before = short.get_weights()
    with pytest.raises(
        ValueError, match="w: the model lacks the file's 'dense_1/kernel', 'dense_1"
    ):
        short.load_weights(tmp_path / "w")
    assert all(map(np.array_equal, short.get_weights(), before))
