"""Optimizers and losses as a user sees them: arguments, names, and numbers against NumPy."""

import copy
import inspect
import pickle

import numpy as np
import pytest

from pylstm import Sequential, layers, losses, metrics, optimizers, set_seed

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 3))
Y = RNG.normal(size=(6, 2))
RTOL = 1e-12  # float64; a few operations of 1e-16 a step


# ---- the update rules, on a linear model whose gradient is known


def model(optimizer):
    net = Sequential([layers.Input((3,)), layers.Dense(2)], dtype="float64")
    net.set_weights([np.arange(6.0).reshape(3, 2) / 5, np.array([0.5, -0.5])])
    net.compile(optimizer, "mse")
    return net


def gradients(w, b):
    error = 2 * (X @ w + b - Y) / Y.size
    return [X.T @ error, error.sum(0)]


def rule_sgd(momentum=0.0, nesterov=False, rate=0.1, **_):
    def step(w, g, slot, t):
        m = slot.setdefault("m", np.zeros_like(w))
        m[...] = momentum * m - rate * g
        return w + (momentum * m - rate * g if nesterov else m)

    return step


def rule_rmsprop(rho=0.9, momentum=0.0, epsilon=1e-7, centered=False, rate=0.1, **_):
    def step(w, g, slot, t):
        v = slot.setdefault("v", np.zeros_like(w))
        a = slot.setdefault("a", np.zeros_like(w))
        m = slot.setdefault("m", np.zeros_like(w))
        v[...] = rho * v + (1 - rho) * g * g
        a[...] = rho * a + (1 - rho) * g
        increment = rate * g / np.sqrt((v - a * a if centered else v) + epsilon)
        m[...] = momentum * m + increment
        return w - m

    return step


def rule_adam(beta_1=0.9, beta_2=0.999, epsilon=1e-7, rate=0.1, **_):
    def step(w, g, slot, t):
        m = slot.setdefault("m", np.zeros_like(w))
        v = slot.setdefault("v", np.zeros_like(w))
        m[...] = beta_1 * m + (1 - beta_1) * g
        v[...] = beta_2 * v + (1 - beta_2) * g * g
        corrected = rate * np.sqrt(1 - beta_2**t) / (1 - beta_1**t)
        return w - corrected * m / (np.sqrt(v) + epsilon)

    return step


def clipped(found, clipnorm=None, clipvalue=None, global_clipnorm=None, **_):
    if clipnorm:
        return [g * min(1, clipnorm / np.linalg.norm(g)) for g in found]
    if clipvalue:
        return [np.clip(g, -clipvalue, clipvalue) for g in found]
    if global_clipnorm:
        norm = np.sqrt(sum((g**2).sum() for g in found))
        return [g * min(1, global_clipnorm / norm) for g in found]
    return found


CASES = [
    (optimizers.SGD, rule_sgd, {}),
    (optimizers.SGD, rule_sgd, {"momentum": 0.9}),
    (optimizers.SGD, rule_sgd, {"momentum": 0.9, "nesterov": True}),
    (optimizers.SGD, rule_sgd, {"weight_decay": 0.1}),
    (optimizers.SGD, rule_sgd, {"clipnorm": 0.3}),
    (optimizers.SGD, rule_sgd, {"clipvalue": 0.05}),
    (optimizers.SGD, rule_sgd, {"global_clipnorm": 0.3}),
    (optimizers.SGD, rule_sgd, {"global_clipnorm": 1e9}),
    (optimizers.RMSprop, rule_rmsprop, {}),
    (optimizers.RMSprop, rule_rmsprop, {"rho": 0.5, "momentum": 0.8}),
    (optimizers.RMSprop, rule_rmsprop, {"centered": True, "epsilon": 1e-3}),
    (optimizers.RMSprop, rule_rmsprop, {"centered": True, "momentum": 0.5, "epsilon": 1e-3}),
    (optimizers.Adam, rule_adam, {}),
    (optimizers.Adam, rule_adam, {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-2}),
    (optimizers.Adam, rule_adam, {"weight_decay": 0.2, "global_clipnorm": 0.1}),
    (optimizers.AdamW, rule_adam, {}),
    (optimizers.AdamW, rule_adam, {"weight_decay": 0.3}),
    (optimizers.AdamW, rule_adam, {"weight_decay": None}),
]


@pytest.mark.parametrize(("kind", "rule", "settings"), CASES)
def test_an_optimizer_follows_its_rule(kind, rule, settings):
    optimizer = kind(learning_rate=0.1, **settings)
    net = model(optimizer)
    weights, slots = net.get_weights(), [{}, {}]
    step = rule(**settings)
    decay = optimizer.weight_decay or 0.0
    for t in range(1, 5):
        found = clipped(gradients(*weights), **settings)
        weights = [
            step(w - 0.1 * decay * w, g, slot, t)
            for w, g, slot in zip(weights, found, slots, strict=True)
        ]
        net.train_on_batch(X, Y)
        for ours, expected in zip(net.get_weights(), weights, strict=True):
            np.testing.assert_allclose(ours, expected, rtol=RTOL, atol=RTOL)
    assert optimizer.iterations == 4


def test_the_learning_rate_may_be_set_at_any_time():
    optimizer = optimizers.SGD(0.5)
    net = model(optimizer)
    before, found = net.get_weights(), gradients(*net.get_weights())
    optimizer.learning_rate = 0.25
    net.train_on_batch(X, Y)
    for w, b, g in zip(net.get_weights(), before, found, strict=True):
        np.testing.assert_allclose(w, b - 0.25 * g, rtol=RTOL)
    optimizer.learning_rate = 0.0
    before = net.get_weights()
    net.train_on_batch(X, Y)
    assert all(np.array_equal(a, b) for a, b in zip(before, net.get_weights(), strict=True))


@pytest.mark.parametrize(
    "kind", [optimizers.SGD, optimizers.RMSprop, optimizers.Adam, optimizers.AdamW]
)
def test_other_settings_are_fixed_by_compile(kind):
    optimizer = kind(0.5)
    names = [name for name in optimizer.get_config() if name != "learning_rate"]
    for name in names:
        setattr(optimizer, name, getattr(optimizer, name))
    net = model(optimizer)
    before = optimizer.get_config()
    for name in names:
        match = rf"{kind.__name__}: {name} cannot be set .* {kind.__name__}\({name}=0.25\) and call"
        with pytest.raises(AttributeError, match=match):
            setattr(net.optimizer, name, 0.25)
    assert optimizer.get_config() == before
    twin = copy.copy(optimizer)
    twin.weight_decay = 0.25
    net.compile(twin, "mse")
    assert net.optimizer.weight_decay == 0.25


def test_a_step_that_is_not_finite_is_not_made():
    net = Sequential([layers.Input((3,)), layers.Dense(2)])
    net.compile("adam", "mse")
    net.train_on_batch(X, Y)
    before = net.get_weights()
    with pytest.warns(RuntimeWarning, match="1 steps in 1 batches were not applied"):
        net.train_on_batch(X * 1e20, Y * 1e30)  # their product is infinite as float32
    assert all(np.array_equal(a, b) for a, b in zip(before, net.get_weights(), strict=True))
    assert net.optimizer.iterations == 1


# ---- arguments of optimizers


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (
            optimizers.Adam,
            "learning_rate=0.001 beta_1=0.9 beta_2=0.999 epsilon=1e-07 amsgrad=False "
            "weight_decay=None clipnorm=None clipvalue=None global_clipnorm=None",
        ),
        (optimizers.SGD, "learning_rate=0.01 momentum=0.0 nesterov=False weight_decay=None"),
        (
            optimizers.RMSprop,
            "learning_rate=0.001 rho=0.9 momentum=0.0 epsilon=1e-07 centered=False",
        ),
        (optimizers.AdamW, "learning_rate=0.001 weight_decay=0.004 beta_1=0.9 beta_2=0.999"),
    ],
)
def test_arguments_are_keras(kind, names):
    parameters = list(inspect.signature(kind).parameters.values())
    found = [f"{p.name}={p.default}" for p in parameters]
    assert found[: len(names.split())] == names.split()


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: optimizers.Adam(amsgrad=True), "amsgrad"),
        (lambda: optimizers.Adam(use_ema=True), "use_ema"),
        (lambda: optimizers.Adam(gradient_accumulation_steps=2), "gradient_accumulation_steps"),
        (lambda: optimizers.Adam(loss_scale_factor=2.0), "loss_scale_factor"),
        (lambda: optimizers.Adam(clipnorm=1, clipvalue=1), "only one"),
        (lambda: optimizers.Adam(clipnorm=0), "clipnorm"),
        (lambda: optimizers.Adam(-1), "learning_rate"),
        (lambda: optimizers.Adam(float("nan")), "learning_rate"),
        (lambda: optimizers.Adam(beta_2=1.0), "beta_2"),
        (lambda: optimizers.SGD(momentum=2), "momentum"),
        (lambda: optimizers.get("adamm"), "did you mean 'adam'"),
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
        lambda: optimizers.Adam("fast"),
        lambda: optimizers.Adam(lambda step: 0.1),
        lambda: optimizers.Adam(colour="red"),
        lambda: optimizers.get(3),
        lambda: losses.get(3),
        lambda: metrics.get(3),
        lambda: losses.deserialize({"class_name": "mse", "config": {"colour": 1}}),
    ],
)
def test_bad_types_are_refused(make):
    with pytest.raises(TypeError):
        make()


def test_configurations_make_the_same_object():
    for optimizer in (
        optimizers.SGD(0.2, momentum=0.5, nesterov=True, clipnorm=2),
        optimizers.RMSprop(centered=True),
        optimizers.AdamW(beta_1=0.5, global_clipnorm=3),
    ):
        again = optimizers.deserialize(optimizers.serialize(optimizer))
        assert type(again) is type(optimizer)
        assert again.get_config() == optimizer.get_config()
    loss = losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.25)
    assert losses.serialize(losses.deserialize(losses.serialize(loss))) == losses.serialize(loss)
    for name in ("mse", "MAE", "CategoricalCrossentropy", "sparse_categorical_crossentropy"):
        assert losses.get(name).engine_name in losses._CLASSES
    metric = metrics.get({"class_name": "Accuracy", "config": {"name": "hits"}})
    assert metric.name == "hits"


# ---- values of losses


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


def test_a_gradient_of_another_shape_is_told_with_the_targets_shape():
    model = Sequential([layers.Dense(2)])
    model.compile("sgd", lambda y, p: (0.0, np.zeros((3, 3))))
    with pytest.raises(
        ValueError, match=r"\(3, 3\), expected y_pred's \(3, 2\); y_true has \(3,\)"
    ):
        model.fit(np.ones((3, 4)), np.ones(3), verbose=0)


def test_classes_of_losses_and_metrics_stand_for_objects():
    model = Sequential([layers.Dense(1)])
    model.compile("sgd", losses.MeanSquaredError, metrics=[metrics.MeanAbsoluteError])
    assert model.metrics_names == ["loss", "mean_absolute_error"]
    assert np.isfinite(model.evaluate(np.ones((3, 4)), np.ones(3), verbose=0)).all()
    for bad in (losses.Loss, losses.FunctionLoss, int):
        with pytest.raises(TypeError, match=f"loss: .*class {bad.__name__}"):
            model.compile("sgd", bad)
    for bad in (metrics.Metric, metrics.FunctionMetric, int):
        with pytest.raises(TypeError, match=f"metrics: .*class {bad.__name__}"):
            model.compile("sgd", "mse", metrics=[bad])


@pytest.mark.parametrize(
    ("kind", "wrong", "right"),
    [("Adam", "lr", "learning_rate"), ("SGD", "momentun", "momentum"), ("RMSprop", "RHO", None)],
)
def test_unexpected_arguments_of_optimizers(kind, wrong, right):
    hint = f" \\(did you mean '{right}'\\?\\)" if right else "$"
    with pytest.raises(TypeError, match=f"{kind}: unexpected argument '{wrong}'{hint}"):
        getattr(optimizers, kind)(**{wrong: 0.1})


@pytest.mark.parametrize(
    "kind", [optimizers.SGD, optimizers.RMSprop, optimizers.Adam, optimizers.AdamW]
)
def test_optimizers_have_no_other_attributes(kind):
    optimizer = kind(0.5)
    for wrong, right in [
        ("lr", "learning_rate"),
        ("learning_rat", "learning_rate"),
        ("clip_norm", "clipnorm"),
    ]:
        match = f"{kind.__name__} has no attribute '{wrong}' \\(did you mean '{right}'"
        with pytest.raises(AttributeError, match=match):
            setattr(optimizer, wrong, 0.1)
    with pytest.raises(AttributeError, match=r"no attribute 'colour'$"):
        optimizer.colour = "red"
    with pytest.raises(AttributeError):
        optimizer.iterations = 3  # it counts by itself
    for name in optimizer.get_config():
        setattr(optimizer, name, getattr(optimizer, name))
    assert optimizer.learning_rate == 0.5


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))]
)
def test_copies_of_an_optimizer_have_its_settings_and_no_model(duplicate):
    optimizer = optimizers.RMSprop(0.5, rho=0.5, momentum=0.25, clipnorm=3.0, name="mine")
    net = model(optimizer)
    net.fit(X, Y, verbose=0)
    twin = duplicate(optimizer)
    assert twin.get_config() == optimizer.get_config()
    assert (twin.name, twin.iterations, optimizer.iterations) == ("mine", 0, 1)
    twin.learning_rate = 0.25
    assert optimizer.learning_rate == 0.5
    with pytest.raises(AttributeError, match="learning_rate"):
        twin.lr = 0.1
