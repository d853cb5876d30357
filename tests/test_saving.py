"""Saving models: what is saved comes back, and training goes on bitwise."""

import copy
import pickle

import numpy as np
import pytest
from models import IDS, NEXT, RNG, fit, many_layers, same

import pylstm
from pylstm import Sequential, _core, initializers, layers, losses, metrics, optimizers

# ---- round trips


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_model_comes_back_whole(tmp_path, dtype):
    model = many_layers(optimizers.AdamW(0.01, clipnorm=2.0), dtype=dtype, name="net")
    model.layers[0].trainable = False
    fit(model, IDS, NEXT)
    model.save(tmp_path / "m.safetensors")
    again = pylstm.load_model(tmp_path / "m.safetensors")
    assert again.get_config() == model.get_config()
    assert same(again, model)
    assert np.array_equal(again.predict(IDS), model.predict(IDS))
    assert optimizers.serialize(again.optimizer) == optimizers.serialize(model.optimizer)
    assert again.optimizer.iterations == model.optimizer.iterations == 5
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
def test_training_goes_on_bitwise(tmp_path, optimizer, isa):
    def run(model, epochs, **kwargs):
        return fit(model, IDS, NEXT, epochs=epochs, validation_split=0.2, **kwargs).history

    whole, part = many_layers(optimizer), many_layers(optimizer)
    expected = run(whole, 5)
    run(part, 3)
    part.save(tmp_path / "m")
    pylstm.set_seed(99)
    resumed = pylstm.load_model(tmp_path / "m")
    found = run(resumed, 5, initial_epoch=3)
    assert same(resumed, whole)
    assert found == {name: values[3:] for name, values in expected.items()}


def test_a_checkpoint_of_a_running_fit_resumes_bitwise(tmp_path, isa):
    whole, path = many_layers(), tmp_path / "m{epoch}"
    fit(whole, IDS, NEXT, epochs=4, callbacks=[pylstm.callbacks.ModelCheckpoint(path)])
    for epoch in (1, 2, 3):
        resumed = pylstm.load_model(tmp_path / f"m{epoch}")
        fit(resumed, IDS, NEXT, epochs=4, initial_epoch=epoch)
        assert same(resumed, whole)


def test_a_failed_save_leaves_the_state_of_predict(tmp_path, monkeypatch):
    def fails(*_):
        raise MemoryError

    model = Sequential([layers.Input((None, 3)), layers.LSTM(4, stateful=True)])
    model.predict(RNG.normal(size=(5, 4, 3)))
    before = model._core.get_state("predict")
    monkeypatch.setattr(_core.Network, "call", fails)
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
    model = many_layers()
    fit(model, IDS, NEXT)
    model.save(tmp_path / "m")
    again = pylstm.load_model(tmp_path / "m", compile=False)
    assert not again.compiled
    assert again.optimizer is None
    assert same(again, model)
    assert np.array_equal(again.predict(IDS), model.predict(IDS))
    with pytest.raises(RuntimeError, match="not compiled"):
        fit(again, IDS, NEXT)
    assert pylstm.load_model(tmp_path / "m", compile=True).optimizer.iterations > 0
    with pytest.raises(TypeError, match="compile: expected True or False, got 'yes'"):
        pylstm.load_model(tmp_path / "m", compile="yes")


def test_the_optimizer_can_be_left_out(tmp_path):
    model = many_layers()
    fit(model, IDS, NEXT)
    model.save(tmp_path / "with")
    model.save(tmp_path / "without", include_optimizer=False)
    again = pylstm.load_model(tmp_path / "without")
    assert not again.compiled
    assert same(again, model)
    sizes = [(tmp_path / name).stat().st_size for name in ("with", "without")]
    assert sizes[0] - sizes[1] > 2 * 4 * model.count_params()


def test_weights_go_by_path(tmp_path):
    model, other = many_layers(), many_layers()
    fit(model, IDS, NEXT)
    model.save_weights(tmp_path / "w")
    other.load_weights(tmp_path / "w")
    assert same(model, other)
    renamed = Sequential([layers.Embedding(9, 5, name="table")])
    with pytest.raises(
        ValueError,
        match=r"w: the file lacks the model's 'table/embeddings'; its weights are 'embedding/",
    ):
        renamed.load_weights(tmp_path / "w")


def half_squares(y, p):
    return float(np.square(p - y).mean()) / 2, (p - y) / p.size


def largest_error(y, p):
    return np.abs(p - y).max()


class Largest(metrics.Metric):
    def reset_state(self):
        self.value = 0.0

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.value = max(self.value, float(largest_error(y_true, y_pred)))

    def result(self):
        return self.value


class Unnamed(Largest):
    def __init__(self):
        super().__init__("unnamed")


OWN = {"half_squares": half_squares, "largest_error": largest_error, "Largest": Largest}
ROWS = (RNG.random((12, 3)), RNG.random((12, 2)))


def compiled(loss=half_squares, metrics=None):
    pylstm.set_seed(2)
    model = Sequential([layers.Input((3,)), layers.Dense(2)])
    four = ["mae", largest_error, Largest("most"), "accuracy"]
    model.compile("adam", loss, metrics=four if metrics is None else metrics)
    return model


def test_training_goes_on_with_a_loss_and_metrics_of_the_user(tmp_path):
    model = compiled()
    fit(model, *ROWS)
    model.save(tmp_path / "m")
    again = pylstm.load_model(tmp_path / "m", OWN)
    assert again.metrics_names == model.metrics_names
    assert again.optimizer.iterations == model.optimizer.iterations > 0
    assert again.evaluate(*ROWS, verbose=0) == model.evaluate(*ROWS, verbose=0)
    for net in (model, again):
        fit(net, *ROWS)
    assert same(again, model)


def test_names_of_the_users_parts_outlive_a_second_file(tmp_path):
    one = metrics.FunctionMetric(lambda y, p: 1.0, "one")
    model = compiled(lambda y, p: half_squares(y, p), [one])
    given = {"<lambda>": half_squares, "one": lambda y, p: 1.0}
    for _ in range(3):
        fit(model, *ROWS)
        model.save(tmp_path / "m")
        model = pylstm.load_model(tmp_path / "m", given)
        assert model.compiled
        assert model.metrics_names == ["loss", "one"]


def test_metrics_of_one_function_are_told_apart(tmp_path):
    two = [metrics.FunctionMetric(lambda y, p, k=k: float(k), f"top{k}") for k in (1, 5)]
    compiled("mse", two).save(tmp_path / "m")
    given = {metric.name: metric.function for metric in two}
    again = pylstm.load_model(tmp_path / "m", given)
    assert again.evaluate(*ROWS, verbose=0)[1:] == [1.0, 5.0]


def test_the_users_parts_that_are_not_given_are_told(tmp_path):
    model = compiled()
    model.save(tmp_path / "m")
    with pytest.warns(UserWarning, match="'half_squares', 'largest_error', 'Largest'; it is not"):
        again = pylstm.load_model(tmp_path / "m")
    assert not again.compiled
    assert same(again, model)
    pylstm.load_model(tmp_path / "m", compile=False)  # asked for: no warning
    compiled("mse").save(tmp_path / "m")
    with pytest.warns(UserWarning, match="pylstm's: 'largest_error'; they are left out") as seen:
        again = pylstm.load_model(tmp_path / "m", {"Largest": Largest})
    assert seen[0].filename == __file__
    assert again.metrics_names == ["loss", "mae", "most", "accuracy"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([half_squares], "custom_objects: expected a dict, got list"),
        ({3: half_squares}, "custom_objects: expected names as keys, got 3"),
        ({"half_squares": 3}, "custom_objects: expected a function or a class for 'half_squares'"),
        (
            {**OWN, "half_squares": Largest},
            "custom_objects: expected a function for 'half_squares'",
        ),
        ({**OWN, "Largest": half_squares}, "custom_objects: expected a class of metrics, got"),
        ({**OWN, "Largest": Unnamed}, r"Unnamed cannot be made .* \{'name': 'most'\}: "),
    ],
)
def test_what_is_given_for_names_is_checked(tmp_path, given, message):
    compiled().save(tmp_path / "m")
    with pytest.raises(TypeError, match=message):
        pylstm.load_model(tmp_path / "m", given)


def test_the_users_parts_are_only_made_of_what_is_given():
    for module, argument in ((losses, "loss"), (metrics, "metrics")):
        kind = "FunctionLoss" if module is losses else "FunctionMetric"
        with pytest.raises(ValueError, match=f"{argument}: 'print' .* custom_objects"):
            module.deserialize({"class_name": kind, "custom": "print", "config": {}})
        with pytest.raises(TypeError, match=f"{argument}: expected the name of a function"):
            module.deserialize({"class_name": kind, "config": {}})


def test_a_metric_that_json_cannot_hold_does_not_keep_a_model_from_its_file(tmp_path):
    class Odd(Largest):
        def get_config(self):
            return {"name": self.name, "limits": np.zeros(2)}

    model = compiled("mse", [Odd("odd"), "mae"])
    fit(model, *ROWS)
    with pytest.warns(UserWarning, match="metric 'odd' is left out: its get_config"):
        model.save(tmp_path / "m")
    again = pylstm.load_model(tmp_path / "m")
    assert again.metrics_names == ["loss", "mae"]
    assert again.optimizer.iterations > 0


def test_subclasses_come_back_as_what_they_inherit(tmp_path):
    class Slow(optimizers.SGD):
        pass

    class Squares(losses.MeanSquaredError):
        pass

    model = Sequential([layers.Input((3,)), layers.Dense(2)])
    model.compile(Slow(0.5), Squares())
    model.save(tmp_path / "m")
    again = pylstm.load_model(tmp_path / "m")
    assert type(again.optimizer) is optimizers.SGD
    assert again.optimizer.learning_rate == 0.5
    assert type(again.loss) is losses.MeanSquaredError

    class Hits(metrics.Accuracy):
        pass

    model.compile("sgd", "mse", metrics=[Hits("hits")])
    model.save(tmp_path / "m")
    assert pylstm.load_model(tmp_path / "m", {"Hits": Hits}).metrics_names == ["loss", "hits"]

    class Mine(losses.Loss):
        pass

    with pytest.raises(TypeError, match="loss: Mine is not one of the engine's"):
        model.compile("sgd", Mine())


class Sevens(initializers.Initializer):
    def draw(self, shape, seed, stream):
        return np.full(shape, 7.0)


def test_an_initializer_of_the_user_is_in_copies_and_named_in_files(tmp_path):
    lstm = layers.LSTM(2, kernel_initializer=Sevens())
    model = Sequential([layers.Input((None, 3)), layers.Bidirectional(lstm), layers.Dense(1)])
    for net in (model, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert (net.get_weights()[0] == 7).all()
        assert (net.get_weights()[3] == 7).all()
        fresh = layers.Bidirectional.from_config(net.layers[0].get_config())
        assert (fresh(np.ones((1, 2, 3)))[0] != 0).any()
    model.save(tmp_path / "m")
    for _ in range(2):
        again = pylstm.load_model(tmp_path / "m")
        assert same(again, model)
        again.save(tmp_path / "m")
    with pytest.raises(RuntimeError, match="initializer 'Sevens' is not pylstm's"):
        layers.Bidirectional.from_config(again.layers[0].get_config())(np.ones((1, 2, 3)))


def test_settings_of_the_loss_come_back(tmp_path):
    model = Sequential([layers.Input((3,)), layers.Dense(4)])
    loss = losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    model.compile(optimizers.SGD(0.5, momentum=0.9, nesterov=True), loss)
    model.save(tmp_path / "m")
    again = pylstm.load_model(tmp_path / "m")
    assert losses.serialize(again.loss) == losses.serialize(loss)
    assert again.optimizer.get_config() == model.optimizer.get_config()


def test_weights_that_are_not_finite_still_come_back(tmp_path):
    model = Sequential([layers.Input((3,)), layers.Dense(2)])
    model.set_weights([np.full((3, 2), np.nan), np.array([np.inf, 1.0])])
    model.save(tmp_path / "m")
    assert np.isnan(pylstm.load_model(tmp_path / "m").get_weights()[0]).all()


# ---- files that exist, or cannot be


def test_as_many_steps_as_there_may_be_come_back(tmp_path):
    model = many_layers()
    fit(model, IDS, NEXT)
    model._network().iterations = 2**31 + 5  # a day and a half of steps of 60 microseconds
    model.save(tmp_path / "m")
    assert pylstm.load_model(tmp_path / "m").optimizer.iterations == 2**31 + 5


def test_overwriting(tmp_path):
    model, path = many_layers(), tmp_path / "m"
    model.save(path)
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        model.save(path, overwrite=False)
    with pytest.raises(ValueError, match="not built"):
        Sequential([layers.LSTM(3)]).save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["m"]
    with pytest.raises(FileNotFoundError, match=r"filepath: there is no folder .*nowhere"):
        model.save(tmp_path / "nowhere" / "m")
    with pytest.raises(ValueError, match=r"\.safetensors"):
        model.save(tmp_path / "m.keras")
    with pytest.raises(TypeError):
        model.save(3)
    with pytest.raises(FileNotFoundError):
        pylstm.load_model(tmp_path / "missing")


def test_the_same_model_makes_the_same_file(tmp_path):
    model = many_layers()
    model.save(tmp_path / "a")
    model.save(tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_test_vector_is_small_and_not_the_users_data(tmp_path):
    model = many_layers()
    fit(model, IDS, NEXT)
    model.save(tmp_path / "m")
    tensors = dict(_core.read_model_file(str(tmp_path / "m"))[1])
    assert tensors["test/input"].shape == (4, 16)
    assert tensors["test/output"].shape == (4, 16, 9)
    assert {name for name in tensors if not name.startswith(("optimizer/", "test/"))} == {
        v.path for v in model.weights
    } | ({"sha256"} & set(tensors))
