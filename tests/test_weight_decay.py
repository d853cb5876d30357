"""Variables that an optimizer's weight decay leaves alone."""

import copy
import pickle

import numpy as np
import pytest

import pylstm
from pylstm import ModelFileError, Sequential, layers, optimizers

X = np.random.default_rng(0).integers(0, 7, (4, 5))
Y = np.random.default_rng(1).random((4, 2))
KINDS = [optimizers.AdamW, optimizers.Adam, optimizers.SGD, optimizers.RMSprop]


def model_with(optimizer):
    pylstm.set_seed(2)
    model = Sequential(
        [layers.Embedding(7, 3), layers.Bidirectional(layers.LSTM(4)), layers.Dense(2)]
    )
    model.compile(optimizer, "mse")
    return model


def trained(optimizer, steps=3):
    model = model_with(optimizer)
    for _ in range(steps):
        model.train_on_batch(X, Y)
    return model


def decays(model, rate=0.5):
    """Which variables decay: a step with gradients of 0 would otherwise leave them as they are."""
    kept = [v.value for v in model.weights]
    model.optimizer.learning_rate = rate
    model.train_on_batch(X, model.predict(X))
    pairs = zip(model.weights, kept, strict=True)
    return {now.path: not np.array_equal(now.value, old) for now, old in pairs}


@pytest.mark.parametrize("names", [["bias"], ["bias", "embeddings"], ["^kernel$"], [".*"], []])
def test_names_are_looked_for_in_the_last_part_of_a_path(names):
    optimizer = optimizers.SGD(0.5, weight_decay=0.1)
    optimizer.exclude_from_weight_decay(var_names=names)
    model = model_with(optimizer)
    model.build((None, 5))
    model.set_weights([w + 1 for w in model.get_weights()])
    ends = {v.path: v.path.split("/")[-1] for v in model.weights}
    expected = {
        "bias": {"bias"},
        "embeddings": {"embeddings"},
        "^kernel$": {"kernel"},
        ".*": set(ends.values()),
    }
    left = set().union(*(expected[name] for name in names))
    assert decays(model) == {path: end not in left for path, end in ends.items()}


def test_variables_are_left_by_their_paths():
    optimizer = optimizers.SGD(0.5, weight_decay=0.1)
    model = model_with("sgd")
    model.build((None, 5))
    model.set_weights([w + 1 for w in model.get_weights()])
    optimizer.exclude_from_weight_decay(var_list=model.layers[1].weights[:2])
    model.compile(optimizer, "mse")
    found = decays(model)
    paths = [v.path for v in model.layers[1].weights]
    assert found == {path: path not in paths[:2] for path in found}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_left_learns_as_without_decay(kind):
    """And the rest as with it, as long as they do not meet: one step from the same weights."""
    settings = {} if kind is optimizers.AdamW else {"weight_decay": 0.1}
    with_decay = trained(kind(**settings), 1)
    none = {"weight_decay": 0.0} if kind is optimizers.AdamW else {}
    without = trained(kind(**none), 1)
    mixed = kind(**settings)
    mixed.exclude_from_weight_decay(var_names=["bias", "embeddings"])
    for found, decayed, free in zip(
        trained(mixed, 1).weights, with_decay.weights, without.weights, strict=True
    ):
        left = found.path.endswith(("bias", "embeddings"))
        assert np.array_equal(found.value, (free if left else decayed).value), found.path
        assert left or not np.array_equal(decayed.value, free.value), found.path


def test_a_second_call_replaces_the_first():
    optimizer = optimizers.AdamW()
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.exclude_from_weight_decay(var_names=["kernel"])
    assert optimizer.undecayed(["a/bias", "a/kernel"]) == ["a/kernel"]
    optimizer.exclude_from_weight_decay()
    assert optimizer.undecayed(["a/bias", "a/kernel"]) == []


@pytest.mark.parametrize("way", ["save", "pickle", "deepcopy", "later"])
def test_a_model_goes_on_with_it(tmp_path, way):
    optimizer = optimizers.AdamW(0.1)
    optimizer.exclude_from_weight_decay(var_names=["bias", "embeddings"])
    model = trained(optimizer)
    if way == "save":
        model.save(tmp_path / "m")
        again = pylstm.load_model(tmp_path / "m")
    elif way == "pickle":
        again = pickle.loads(pickle.dumps(model))
    else:
        again = copy.deepcopy(model)
    if way == "later":  # the layers change, and the network is made anew
        for each in (model, again):
            each.add(layers.Dense(2))
    for each in (model, again):
        each.train_on_batch(X, Y)
    if way == "later":
        for each in (model, again):
            each.pop()
    assert all(map(np.array_equal, model.get_weights(), again.get_weights()))
    left = again.optimizer.undecayed([v.path for v in again.weights])
    assert left == [v.path for v in again.weights if v.path.endswith(("bias", "embeddings"))]


def test_a_file_that_names_no_paths_is_refused(tmp_path):
    from test_saving_hostile import in_json, rewrite

    trained(optimizers.AdamW()).save(tmp_path / "m")
    rewrite(tmp_path / "m", tmp_path / "hostile", in_json("compile", undecayed=[1]))
    with pytest.raises(ModelFileError, match="undecayed: expected a list of paths"):
        pylstm.load_model(tmp_path / "hostile")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"var_names": "bias"}, TypeError, "var_names: expected a list of strings, got"),
        ({"var_names": [3]}, TypeError, "var_names: expected a list of strings, got"),
        ({"var_names": ["("]}, ValueError, r"var_names: expected regular expressions, got '\('"),
        ({"var_list": ["bias"]}, TypeError, "var_list: expected a list of variables of a model"),
    ],
)
def test_bad_arguments(arguments, error, message):
    optimizer = optimizers.AdamW()
    with pytest.raises(error, match=message):
        optimizer.exclude_from_weight_decay(**arguments)
    assert optimizer.undecayed(["a/bias"]) == []


def test_it_is_too_late_once_a_model_is_built_with_it():
    optimizer = optimizers.AdamW()
    trained(optimizer)
    with pytest.raises(ValueError, match="call it before a model is built with the optimizer"):
        optimizer.exclude_from_weight_decay(var_names=["bias"])
