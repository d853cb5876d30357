"""Losses and metrics as a user sees them: arguments, names, and values against NumPy."""

import re

import numpy as np
import pytest

from pylstm import Sequential, initializers, layers, losses, metrics, optimizers, set_seed

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 3))


# ---- values


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def evaluated(loss, activation, y, outputs=4):
    """(loss by the engine, outputs) of a model whose outputs are moderate numbers."""
    net = Sequential([layers.Dense(outputs, activation=activation)], dtype="float64")
    net.compile("sgd", loss)
    return net.evaluate(X, y, verbose=0), net.predict(X)


LABELS = np.array([0, 3, 1, 1, 2, 0])
SOFT = softmax(RNG.normal(size=(6, 4)))
BINARY = RNG.integers(0, 2, (6, 4)).astype(float)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("logits", [False, True])
def test_categorical_crossentropy(logits, smoothing):
    loss = losses.CategoricalCrossentropy(from_logits=logits, label_smoothing=smoothing)
    for y in (np.eye(4)[LABELS], SOFT):
        found, out = evaluated(loss, None if logits else "softmax", y)
        p = softmax(out) if logits else out
        smooth = y * (1 - smoothing) + smoothing / 4
        assert found == pytest.approx(-(smooth * np.log(p)).sum(-1).mean(), rel=1e-10)


@pytest.mark.parametrize("logits", [False, True])
def test_sparse_crossentropy(logits):
    loss = losses.SparseCategoricalCrossentropy(from_logits=logits)
    for y in (LABELS, LABELS[:, None], LABELS.astype("f4")):
        found, out = evaluated(loss, None if logits else "softmax", y)
        p = softmax(out) if logits else out
        assert found == pytest.approx(-np.log(p[np.arange(6), LABELS]).mean(), rel=1e-10)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("logits", [False, True])
def test_binary_crossentropy(logits, smoothing):
    loss = losses.BinaryCrossentropy(from_logits=logits, label_smoothing=smoothing)
    found, out = evaluated(loss, None if logits else "sigmoid", BINARY)
    p = 1 / (1 + np.exp(-out)) if logits else out
    y = BINARY * (1 - smoothing) + smoothing / 2
    expected = -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean()
    assert found == pytest.approx(expected, rel=1e-10)


def test_errors():
    found, out = evaluated("mse", "tanh", SOFT)
    assert found == pytest.approx(((out - SOFT) ** 2).mean(), rel=1e-12)
    found, out = evaluated("mae", "relu", SOFT)
    assert found == pytest.approx(np.abs(out - SOFT).mean(), rel=1e-12)
    y = RNG.normal(size=6)
    found, out = evaluated("mse", None, y, outputs=1)  # (rows,) for (rows, 1)
    assert found == pytest.approx(((out[:, 0] - y) ** 2).mean(), rel=1e-12)


def test_probabilities_need_not_come_from_a_softmax_layer():
    found, out = evaluated("categorical_crossentropy", "sigmoid", SOFT)
    p = out / out.sum(-1, keepdims=True)
    assert found == pytest.approx(-(SOFT * np.log(p)).sum(-1).mean(), rel=1e-6)


# ---- functions written in Python


def _mean_square(y, p):
    return float(np.square(y - p).mean()), 2.0 * (y - p) * -1.0 / p.size


@pytest.mark.parametrize("steps", [False, True])
def test_targets_without_their_last_axis_go_to_functions_as_to_the_engine(steps):
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(12, 4, 2)), rng.normal(size=(12, 4) if steps else 12)
    shapes, results = [], []

    def own_metric(y_true, y_pred):
        shapes.append((y_true.shape, y_pred.shape))
        return np.square(y_true - y_pred).mean(axis=-1)

    for loss in ("mse", _mean_square):
        for targets in (y, y[..., None]):
            set_seed(1)
            model = Sequential([layers.LSTM(3, return_sequences=steps), layers.Dense(1)])
            model.compile(optimizers.SGD(0.1), loss, metrics=["mse", "acc", own_metric])
            model.fit(x, targets, batch_size=5, verbose=0)
            results.append(model.evaluate(x, targets, batch_size=5, verbose=0))
    assert all(true == predicted for true, predicted in shapes)
    np.testing.assert_allclose(results, [results[0]] * 4, rtol=1e-4)
    assert results[0][0] == pytest.approx(results[0][1], rel=1e-4)


def _weighted_square(y, p, sample_weight):
    """As the engine: the mean over all rows and steps that are not masked, weighted."""
    w = np.ones(p.shape[:-1]) if sample_weight is None else sample_weight
    w = np.broadcast_to(w if w.ndim == p.ndim - 1 else w[:, None], p.shape[:-1])[..., None]
    count = (w != 0).sum() * p.shape[-1]
    return (w * np.square(y - p)).sum() / count, 2.0 * w * (p - y) / count


@pytest.mark.parametrize("kind", ["mask", "rows", "steps", "mask and rows"])
def test_a_function_is_given_the_weights_with_0_at_masked_steps(kind):
    rng = np.random.default_rng(6)
    x, y = rng.integers(1, 9, (10, 4)), rng.normal(size=(10, 4, 1))
    if "mask" in kind:
        x[:, 2:] *= rng.integers(0, 2, (10, 2))
    weight = rng.uniform(0.5, 2, 10 if "rows" in kind else (10, 4)) if kind != "mask" else None
    results = []
    for loss in ("mse", _weighted_square):
        set_seed(2)
        embedding = layers.Embedding(9, 3, mask_zero="mask" in kind)
        lstm = layers.LSTM(3, return_sequences=True)
        model = Sequential([embedding, lstm, layers.Dense(1)], dtype="float64")
        model.compile(optimizers.SGD(0.1), loss)
        model.fit(x, y, batch_size=10, sample_weight=weight, epochs=2, verbose=0)
        loss_left = model.evaluate(x, y, batch_size=10, sample_weight=weight, verbose=0)
        results.append([*model.get_weights(), np.array(loss_left)])
    for engine, python in zip(*results, strict=True):
        np.testing.assert_allclose(python, engine, rtol=1e-9, atol=1e-12)


def test_a_batch_of_padding_alone_is_no_step():
    """Nor does it count in a mean; states are held."""
    rng = np.random.default_rng(2)
    x, y = rng.integers(1, 4, (8, 2)), rng.normal(size=(8, 2, 1))
    x[2:4] = 0
    found = []
    for loss in ("mse", _weighted_square):
        set_seed(2)
        embedding = layers.Embedding(4, 2, mask_zero=True)
        lstm = layers.LSTM(3, return_sequences=True, stateful=True)
        model = Sequential([embedding, lstm, layers.Dense(1)], dtype="float64")
        model.compile(optimizers.SGD(0.1, momentum=0.9), loss)
        settings = {"batch_size": 2, "verbose": 0}
        history = model.fit(x, y, shuffle=False, epochs=2, **settings).history
        assert model.optimizer.iterations == 6
        found.append([*model.get_weights(), history["loss"], model.evaluate(x, y, **settings)])
    for engine, python in zip(*found, strict=True):
        np.testing.assert_allclose(python, engine, rtol=1e-9, atol=1e-12)


def test_a_function_that_takes_no_weights_is_told_so():
    x, y = np.array([[1, 2, 0], [3, 0, 0]]), np.ones((2, 3, 1))
    lstm = layers.LSTM(3, return_sequences=True)
    model = Sequential([layers.Embedding(4, 2, mask_zero=True), lstm, layers.Dense(1)])
    model.compile("sgd", _mean_square)
    with pytest.warns(UserWarning, match=r"_mean_square is not told which steps are padding"):
        model.fit(x, y, verbose=0)
    with pytest.raises(ValueError, match=r"sample_weight: the loss _mean_square takes none"):
        model.fit(x, y, sample_weight=np.ones(2), verbose=0)
    with pytest.raises(ValueError, match=r"class_weight: not with _mean_square"):
        model.fit(x, y, class_weight={0: 1.0}, verbose=0)


def test_a_gradient_of_another_shape_is_told_with_the_targets_shape():
    model = Sequential([layers.Dense(2)])
    model.compile("sgd", lambda y, p: (0.0, np.zeros((3, 3))))
    with pytest.raises(
        ValueError, match=r"\(3, 3\), expected y_pred's \(3, 2\); y_true has \(3,\)"
    ):
        model.fit(np.ones((3, 4)), np.ones(3), verbose=0)


# ---- arguments and names


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: losses.get("binary_crosentropy"), "did you mean 'binary_crossentropy'"),
        (lambda: losses.MeanSquaredError(reduction="sum"), "reduction"),
        (lambda: losses.CategoricalCrossentropy(axis=1), "axis"),
        (lambda: losses.CategoricalCrossentropy(label_smoothing=2), "label_smoothing"),
        (lambda: losses.SparseCategoricalCrossentropy(ignore_class=0), "ignore_class"),
        (lambda: metrics.get("acuracy"), "did you mean 'accuracy'"),
        (lambda: metrics.BinaryAccuracy(threshold=0.3), "threshold"),
    ],
)
def test_bad_values_are_refused(make, match):
    with pytest.raises(ValueError, match=match):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: losses.get(3),
        lambda: metrics.get(3),
        lambda: losses.deserialize({"class_name": "mse", "config": {"colour": 1}}),
    ],
)
def test_bad_types_are_refused(make):
    with pytest.raises(TypeError):
        make()


@pytest.mark.parametrize("kind", [losses.FunctionLoss, metrics.FunctionMetric])
@pytest.mark.parametrize("bad", [3, "mse", None, losses.MeanSquaredError])
def test_only_functions_are_taken_as_functions(kind, bad):
    with pytest.raises(
        TypeError, match=f"^function: expected a function, got {re.escape(repr(bad))}"
    ):
        kind(bad, "name")


@pytest.mark.parametrize("module", [initializers, losses, metrics, optimizers])
def test_a_star_exports_the_public_names_alone(module):
    found = {}
    exec(f"from {module.__name__} import *", found)
    del found["__builtins__"]
    assert sorted(found) == sorted(module.__all__)
    here = {n for n, x in vars(module).items() if getattr(x, "__module__", "") == module.__name__}
    inner = {"EngineMetric", "ForgetBias", "Named", "given"}
    assert set(found) == {name for name in here if not name.startswith("_")} - inner


def test_configurations_make_the_same_object():
    loss = losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.25)
    assert losses.serialize(losses.deserialize(losses.serialize(loss))) == losses.serialize(loss)
    for name in ("mse", "MAE", "CategoricalCrossentropy", "sparse_categorical_crossentropy"):
        assert losses.get(name).engine_name in losses._CLASSES
    metric = metrics.get({"class_name": "Accuracy", "config": {"name": "hits"}})
    assert metric.name == "hits"
    things = [losses.MeanSquaredError(name="a"), loss, metric, optimizers.SGD(0.5)]
    things += [initializers.HeNormal(1), layers.LSTMCell(3, dtype="float64", trainable=False)]
    for thing in things:
        config = thing.get_config()
        assert type(thing).from_config(config).get_config() == config
    assert things[0].get_config() == {"name": "a", "reduction": "sum_over_batch_size"}
    assert things[-1].get_config()["dtype"] == "float64"


def test_classes_of_losses_and_metrics_stand_for_objects():
    model = Sequential([layers.Dense(1)])
    model.compile("sgd", losses.MeanSquaredError, metrics=[metrics.MeanAbsoluteError])
    assert model.metrics_names == ["loss", "mean_absolute_error"]
    assert np.isfinite(model.evaluate(np.ones((3, 4)), np.ones(3), verbose=0)).all()
    for bad in (losses.Loss, losses.FunctionLoss, int):
        with pytest.raises(TypeError, match=f"loss: .*class {bad.__name__}"):
            model.compile("sgd", bad)
    inner = (metrics.Named, metrics.EngineMetric)
    for bad in (*inner, metrics.Metric, metrics.FunctionMetric, int):
        with pytest.raises(TypeError, match=f"metrics: .*class {bad.__name__}"):
            model.compile("sgd", "mse", metrics=[bad])


def test_a_metric_that_nothing_counts_is_refused():
    class Mine(metrics.Named):
        pass

    class Hits(metrics.EngineMetric):
        pass

    model = Sequential([layers.Dense(1)])
    for kind in (metrics.Named, metrics.EngineMetric, Mine, Hits):
        name = kind.__name__
        match = f"metrics: expected one of pylstm's or a metrics.Metric, got a {name}$"
        with pytest.raises(TypeError, match=match):
            model.compile("sgd", "mse", metrics=[kind("q")])
        with pytest.raises(TypeError, match=f"metrics: expected a metric, not the class {name}$"):
            metrics.get(kind)
        with pytest.raises(TypeError, match="custom_objects: expected a class of metrics"):
            metrics.deserialize({"class_name": "Metric", "custom": "mine"}, {"mine": kind})


def test_a_model_tells_the_metrics_that_it_was_given():
    class Around(metrics.FunctionMetric):
        """Has a metric, but is itself the one that was given."""

        def __init__(self, name=None):
            super().__init__(lambda y, p: 0.0, name)
            self.metric = metrics.Accuracy()

    given = [metrics.MeanSquaredError(), Around("around"), metrics.Accuracy()]
    for loss in ("mse", lambda y, p: (0.0, p)):
        model = Sequential([layers.Dense(1)])
        model.compile("sgd", loss, metrics=given)
        assert all(a is b for a, b in zip(model.metrics, given, strict=True))
    assert Sequential().metrics == []
