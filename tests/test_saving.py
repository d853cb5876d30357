"""Model files: what is saved comes back, training goes on bitwise, hostile files are refused."""

import copy
import json

import numpy as np
import pytest

import pylstm
from pylstm import ModelFileError, Sequential, _core, layers, losses, optimizers

RNG = np.random.default_rng(0)
IDS = RNG.integers(0, 9, (20, 6))
NEXT = RNG.integers(0, 9, (20, 6))


def language(optimizer="adam", **kwargs):
    pylstm.set_seed(3)
    model = Sequential(
        [
            layers.Embedding(9, 5, mask_zero=True),
            layers.Bidirectional(layers.LSTM(3, return_sequences=True), merge_mode="sum"),
            layers.LSTM(4, return_sequences=True, dropout=0.3, recurrent_dropout=0.2),
            layers.Dropout(0.2),
            layers.Dense(9, activation="softmax"),
        ],
        **kwargs,
    )
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["acc", "perplexity"])
    return model


def fit(model, **kwargs):
    return model.fit(IDS, NEXT, **{"batch_size": 5, "verbose": 0, **kwargs})


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a.get_weights(), b.get_weights(), strict=True))


def rewrite(source, target, change):
    """Copy a file with `change(metadata, tensors)` applied; the digest is right again."""
    metadata, tensors = _core.read_model_file(str(source))
    contents = dict(tensors)
    change(metadata, contents)
    _core.write_model_file(str(target), metadata, list(contents.items()))


# ---- round trips


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_model_comes_back_whole(tmp_path, dtype):
    model = language(optimizers.AdamW(0.01, clipnorm=2.0), dtype=dtype, name="net")
    model.layers[0].trainable = False
    fit(model)
    model.save(tmp_path / "m.safetensors")
    again = pylstm.load_model(tmp_path / "m.safetensors")
    assert again.get_config() == model.get_config()
    assert same(again, model)
    assert np.array_equal(again.predict(IDS), model.predict(IDS))
    assert optimizers.serialize(again.optimizer) == optimizers.serialize(model.optimizer)
    assert again.optimizer.iterations == model.optimizer.iterations == 4
    assert again.metrics_names == ["loss", "acc", "perplexity"]
    assert again.evaluate(IDS, NEXT, verbose=0) == model.evaluate(IDS, NEXT, verbose=0)


@pytest.mark.parametrize(
    "stack",
    [
        [layers.Input((3,)), layers.Dense(2)],
        [layers.Input((30, 3)), layers.LSTM(4), layers.Dense(1)],
        [layers.Input((None, 3)), layers.LSTM(4, go_backwards=True, use_bias=False)],
        [layers.Input((12,)), layers.Embedding(50_000, 2), layers.LSTM(2)],
        [layers.Input((2,)), layers.Dropout(0.5)],
    ],
    ids=["vectors", "long sequences", "any length", "many tokens", "no weights"],
)
def test_other_models_come_back_too(tmp_path, stack):
    model = Sequential(stack)
    model.save(tmp_path / "m")
    again = pylstm.load_model(tmp_path / "m")
    assert again.get_config() == model.get_config()
    assert same(again, model)
    assert not again.compiled


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adam", "adamw"])
def test_training_goes_on_bitwise(tmp_path, optimizer):
    def run(model, epochs, **kwargs):
        return fit(model, epochs=epochs, validation_split=0.2, **kwargs).history

    whole, part = language(optimizer), language(optimizer)
    expected = run(whole, 5)
    run(part, 3)
    part.save(tmp_path / "m")
    pylstm.set_seed(99)
    resumed = pylstm.load_model(tmp_path / "m")
    found = run(resumed, 5, initial_epoch=3)
    assert same(resumed, whole)
    assert found == {name: values[3:] for name, values in expected.items()}


def test_a_checkpoint_of_a_running_fit_resumes_bitwise(tmp_path):
    whole, path = language(), tmp_path / "m{epoch}"
    fit(whole, epochs=4, callbacks=[pylstm.callbacks.ModelCheckpoint(path)])
    for epoch in (1, 2, 3):
        resumed = pylstm.load_model(tmp_path / f"m{epoch}")
        fit(resumed, epochs=4, initial_epoch=epoch)
        assert same(resumed, whole)


def test_a_failed_save_leaves_the_state_of_predict(tmp_path, monkeypatch):
    def fails(*_):
        raise MemoryError

    model = Sequential([layers.Input((None, 3)), layers.LSTM(4, stateful=True)])
    model.predict(RNG.normal(size=(5, 4, 3)))
    before = model._core.get_state("predict")
    monkeypatch.setattr(_core.Network, "predict", fails)
    with pytest.raises(MemoryError):
        model.save(tmp_path / "m")
    after = model._core.get_state("predict")
    assert any(a.any() for a in before)
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_carried_states_are_kept(tmp_path):
    def stateful():
        pylstm.set_seed(3)
        model = Sequential([layers.Input((None, 3)), layers.LSTM(4, stateful=True)])
        model.compile("adam", "mse")
        return model

    x, y = RNG.normal(size=(10, 5, 3)), RNG.normal(size=(10, 4))
    model = stateful()
    model.fit(x, y, batch_size=5, verbose=0)
    model.predict(x, batch_size=5)
    twin = copy.deepcopy(model)
    model.save(tmp_path / "m")
    again = pylstm.load_model(tmp_path / "m")
    expected = model.predict(x, batch_size=5)
    for other in (twin, again):  # saving has not moved the state
        assert np.array_equal(other.predict(x, batch_size=5), expected)
    for net in (model, twin, again):
        net.fit(x, y, batch_size=5, verbose=0)
    assert same(model, again)
    assert same(model, twin)


def test_a_model_can_be_loaded_without_being_compiled(tmp_path):
    model = language()
    fit(model)
    model.save(tmp_path / "m")
    again = pylstm.load_model(tmp_path / "m", compile=False)
    assert not again.compiled
    assert again.optimizer is None
    assert same(again, model)
    assert np.array_equal(again.predict(IDS), model.predict(IDS))
    with pytest.raises(RuntimeError, match="not compiled"):
        fit(again)
    assert pylstm.load_model(tmp_path / "m", compile=True).optimizer.iterations > 0
    with pytest.raises(TypeError, match="compile: expected True or False, got 'yes'"):
        pylstm.load_model(tmp_path / "m", compile="yes")


def test_the_optimizer_can_be_left_out(tmp_path):
    model = language()
    fit(model)
    model.save(tmp_path / "with")
    model.save(tmp_path / "without", include_optimizer=False)
    again = pylstm.load_model(tmp_path / "without")
    assert not again.compiled
    assert same(again, model)
    sizes = [(tmp_path / name).stat().st_size for name in ("with", "without")]
    assert sizes[0] - sizes[1] > 2 * 4 * model.count_params()


def test_weights_go_by_path(tmp_path):
    model, other = language(), language()
    fit(model)
    model.save_weights(tmp_path / "w")
    other.load_weights(tmp_path / "w")
    assert same(model, other)
    renamed = Sequential([layers.Embedding(9, 5, name="table")])
    with pytest.raises(ValueError, match="table/embeddings"):
        renamed.load_weights(tmp_path / "w")


def test_losses_and_metrics_of_the_user_are_not_stored(tmp_path):
    model = Sequential([layers.Input((3,)), layers.Dense(2)])
    model.compile("adam", "mse", metrics=["mae", lambda y, p: 0.0])
    model.save(tmp_path / "m")
    assert pylstm.load_model(tmp_path / "m").metrics_names == ["loss", "mae"]
    model.compile("adam", lambda y, p: (0.0, p))
    with pytest.warns(UserWarning, match="neither the loss nor the optimizer"):
        model.save(tmp_path / "m")
    model.save(tmp_path / "m", include_optimizer=False)  # asked for: no warning
    assert not pylstm.load_model(tmp_path / "m").compiled


def test_settings_of_the_loss_come_back(tmp_path):
    model = Sequential([layers.Input((3,)), layers.Dense(4)])
    loss = losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    model.compile(optimizers.SGD(0.5, momentum=0.9, nesterov=True), loss)
    model.save(tmp_path / "m")
    again = pylstm.load_model(tmp_path / "m")
    assert losses.serialize(again.loss) == losses.serialize(loss)
    assert again.optimizer.get_config() == model.optimizer.get_config()


# ---- files that exist, or cannot be


def test_overwriting(tmp_path):
    model, path = language(), tmp_path / "m"
    model.save(path)
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        model.save(path, overwrite=False)
    with pytest.raises(ValueError, match="not built"):
        Sequential([layers.LSTM(3)]).save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["m"]
    with pytest.raises(OSError, match="nowhere"):
        model.save(tmp_path / "nowhere" / "m")
    with pytest.raises(ValueError, match=r"\.safetensors"):
        model.save(tmp_path / "m.keras")
    with pytest.raises(TypeError):
        model.save(3)
    with pytest.raises(FileNotFoundError):
        pylstm.load_model(tmp_path / "missing")


def test_the_same_model_makes_the_same_file(tmp_path):
    model = language()
    model.save(tmp_path / "a")
    model.save(tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_test_vector_is_small_and_not_the_users_data(tmp_path):
    model = language()
    fit(model)
    model.save(tmp_path / "m")
    tensors = dict(_core.read_model_file(str(tmp_path / "m"))[1])
    assert tensors["test/input"].shape == (4, 16)
    assert tensors["test/output"].shape == (4, 16, 9)
    assert {name for name in tensors if not name.startswith(("optimizer/", "test/"))} == {
        v.path for v in model.weights
    } | ({"sha256"} & set(tensors))


# ---- damaged and hostile files


def test_damage_is_found(tmp_path):
    model, path = language(), tmp_path / "m"
    model.save(path)
    whole = path.read_bytes()
    for cut in (0, 5, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(ModelFileError):
            pylstm.load_model(path)
    for at in (3, 40, len(whole) // 2, len(whole) - 3):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(ModelFileError):
            pylstm.load_model(path)
    path.write_bytes(b"PK\x03\x04 not a model")
    with pytest.raises(ModelFileError):
        pylstm.load_model(path)
    assert issubclass(ModelFileError, ValueError)


def test_a_model_that_computes_something_else_is_refused(tmp_path):
    model = language()
    model.save(tmp_path / "m")

    def change(metadata, tensors):
        tensors["dense/kernel"] = tensors["dense/kernel"] * np.float32(1.5)

    rewrite(tmp_path / "m", tmp_path / "changed", change)
    with pytest.raises(ModelFileError, match="does not compute"):
        pylstm.load_model(tmp_path / "changed")
    assert pylstm.load_model(tmp_path / "changed", verify=False).built


def test_weights_that_are_not_finite_still_come_back(tmp_path):
    model = Sequential([layers.Input((3,)), layers.Dense(2)])
    model.set_weights([np.full((3, 2), np.nan), np.array([np.inf, 1.0])])
    model.save(tmp_path / "m")
    assert np.isnan(pylstm.load_model(tmp_path / "m").get_weights()[0]).all()


def config(metadata, edit):
    value = json.loads(metadata["config"])
    edit(value)
    metadata["config"] = json.dumps(value)


def in_config(edit):
    return lambda metadata, tensors: config(metadata, edit)


def in_layer(index, **changes):
    def edit(value):
        value["layers"][index]["config"].update(changes)

    return in_config(edit)


def in_text(key, text):
    return lambda metadata, tensors: metadata.update({key: text})


def in_json(key, **changes):
    def change(metadata, tensors):
        metadata[key] = json.dumps({**json.loads(metadata[key]), **changes})

    return change


def without(key):
    return lambda metadata, tensors: metadata.pop(key)


def tensor(name, value):
    return lambda metadata, tensors: tensors.update({name: value})


def in_float64(value):
    value["dtype"] = "float64"
    for layer in value["layers"]:
        del layer["config"]["dtype"]


HOSTILE = {
    "no config": without("config"),
    "no state": without("state"),
    "config is no JSON": in_text("config", "{"),
    "config is a list": in_text("config", "[]"),
    "config is deep": in_text("config", '{"layers":' + "[" * 5000 + "]" * 5000 + "}"),
    "config is empty": in_text("config", "{}"),
    "huge number": in_text("config", '{"layers": [], "name": ' + "9" * 5000 + "}"),
    "no layers": in_config(lambda c: c.update(layers=[])),
    "layers is a dict": in_config(lambda c: c.update(layers={})),
    "layer is a string": in_config(lambda c: c.update(layers=["LSTM"])),
    "unknown class": in_config(lambda c: c["layers"][0].update(class_name="Lambda")),
    "imported class": in_config(lambda c: c["layers"][0].update(class_name="os.system")),
    "private class": in_config(lambda c: c["layers"][0].update(class_name="Layer")),
    "class is a list": in_config(lambda c: c["layers"][0].update(class_name=["LSTM"])),
    "unknown key": in_config(lambda c: c.update(module="os")),
    "unknown dtype": in_config(lambda c: c.update(dtype="float16")),
    "other dtype": in_config(in_float64),
    "no shape": in_config(lambda c: c.update(build_input_shape=[None, -1])),
    "shape of another rank": in_config(lambda c: c.update(build_input_shape=[None, 3, 3])),
    "shape is text": in_config(lambda c: c.update(build_input_shape="abc")),
    "huge table": in_layer(0, input_dim=2**60),
    "huge vectors": in_layer(0, output_dim=10**40),
    "negative size": in_layer(0, output_dim=-5),
    "size is a float": in_layer(0, output_dim=5.0),
    "size is true": in_layer(0, output_dim=True),
    "more units": in_layer(2, units=5),
    "units is text": in_layer(2, units="4"),
    "rate is NaN": in_layer(3, rate=float("nan")),
    "rate is infinite": in_layer(3, rate=1e999),
    "layer has a method": in_layer(2, __init__=1),
    "layer has weights": in_layer(0, weights=[[1.0]]),
    "layer has a shape": in_layer(0, input_shape=[3]),
    "name is a path": in_layer(2, name="../../etc/passwd"),
    "name is empty": in_layer(2, name=""),
    "name is taken": in_layer(2, name="dense"),
    "activation is code": in_layer(4, activation="__import__('os')"),
    "initializer is a class": in_layer(4, kernel_initializer={"class_name": "object"}),
    "initializer is private": in_layer(4, kernel_initializer={"class_name": "ForgetBias"}),
    "initializer is bad": in_layer(4, kernel_initializer={"class_name": "zeros", "config": [1]}),
    "bidirectional of dense": in_layer(1, layer={"class_name": "Dense", "config": {"units": 3}}),
    "bidirectional of nothing": in_layer(1, layer=None),
    "tensor of another shape": tensor("dense/bias", np.zeros(8, "f4")),
    "tensor of another type": tensor("dense/bias", np.zeros(9, "f8")),
    "tensor is missing": lambda metadata, tensors: tensors.pop("lstm/bias"),
    "tensor too many": tensor("other", np.zeros(3, "f4")),
    "slot of another shape": tensor("optimizer/dense/bias/momentum", np.zeros(8, "f4")),
    "slot is missing": lambda metadata, tensors: [
        tensors.pop(name) for name in list(tensors) if name.startswith("optimizer/dense/bias")
    ],
    "no test input": lambda metadata, tensors: tensors.pop("test/input"),
    "test input too long": tensor("test/input", np.zeros((4, 1000), "i4")),
    "test input too many": tensor("test/input", np.zeros((1000, 4), "i4")),
    "test input out of range": tensor("test/input", np.full((4, 16), 9, "i4")),
    "test input of another rank": tensor("test/input", np.zeros((4, 16, 2), "i4")),
    "test output of another shape": tensor("test/output", np.zeros((4, 16, 8), "f4")),
    "state is a list": in_text("state", "[1]"),
    "seed is negative": in_json("state", seed=-1),
    "seed is text": in_json("state", seed="1"),
    "epochs is missing": in_text("state", '{"seed": 1}'),
    "iterations is a float": in_json("state", iterations=1.5),
    "compile is a list": in_text("compile", "[]"),
    "compile is empty": in_text("compile", "{}"),
    "unknown optimizer": in_json("compile", optimizer={"class_name": "Lion", "config": {}}),
    "optimizer of another kind": in_json("compile", optimizer={"class_name": "SGD", "config": 3}),
    "optimizer argument": in_json("compile", optimizer={"class_name": "SGD", "config": {"x": 1}}),
    "unknown loss": in_json("compile", loss={"class_name": "FunctionLoss", "config": {}}),
    "unknown metric": in_json("compile", metrics=[{"class_name": "FunctionMetric"}]),
    "metrics is text": in_json("compile", metrics="acc"),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_refused(tmp_path, change):
    model = language()
    fit(model)
    model.save(tmp_path / "m")
    rewrite(tmp_path / "m", tmp_path / "hostile", change)
    with pytest.raises(ModelFileError, match="hostile"):
        pylstm.load_model(tmp_path / "hostile")
