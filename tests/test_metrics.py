"""Losses and metrics of whole models: what evaluate counts, what Python functions may do."""

import functools
import threading

import numpy as np
import pytest
from models import IDS, NEXT, RNG, X, Y, close, fit, language, regression, same

from pylstm import Sequential, layers, losses, metrics


def test_the_three_accuracies():
    p = language(metrics=["acc", "sparse_categorical_accuracy"])
    hits = (p.predict(IDS).argmax(-1) == NEXT).mean()
    assert p.evaluate(IDS, NEXT, verbose=0)[1:] == pytest.approx([hits, hits])
    onehot = np.eye(9)[NEXT]
    c = language("categorical_crossentropy", metrics=["accuracy", "categorical_accuracy"])
    hits = (c.predict(IDS).argmax(-1) == NEXT).mean()
    assert c.evaluate(IDS, onehot, verbose=0)[1:] == pytest.approx([hits, hits])
    b = Sequential([layers.LSTM(3), layers.Dense(1, activation="sigmoid")])
    b.compile("adam", "binary_crossentropy", metrics=["accuracy", "binary_accuracy"])
    y = RNG.integers(0, 2, 22)
    hits = ((b.predict(X)[:, 0] > 0.5) == y).mean()
    assert b.evaluate(X, y, verbose=0)[1:] == pytest.approx([hits, hits])
    # of targets that are no classes, as Keras: an output is 0 or 1
    mixed = np.where(y == 1, 1.0, 0.4)
    hits = ((b.predict(X)[:, 0] > 0.5) == mixed).mean()
    for loss in ("mse", lambda y, p: (0.0, p)):
        b.compile("adam", loss, metrics=["accuracy", "binary_accuracy"])
        assert b.evaluate(X, mixed, verbose=0)[1:] == pytest.approx([hits, hits])


@pytest.mark.parametrize(
    ("loss", "metric"),
    [
        ("sparse_categorical_crossentropy", "binary_accuracy"),
        ("categorical_crossentropy", "binary_accuracy"),
        ("categorical_crossentropy", "sparse_categorical_accuracy"),
        ("binary_crossentropy", "sparse_categorical_accuracy"),
        ("sparse_categorical_crossentropy", "categorical_accuracy"),
        ("sparse_categorical_crossentropy", "mean_squared_error"),
        ("sparse_categorical_crossentropy", "mean_absolute_error"),
    ],
)
def test_a_metric_of_other_targets_than_the_loss_has_is_refused(loss, metric):
    with pytest.raises(ValueError, match=f"metrics: {metric} needs .* the loss {loss} does not"):
        language(loss, metrics=[metric])


def test_accuracy_of_one_output():
    """With one class every prediction is right; with a loss in Python y may lack the last axis."""
    single = Sequential([layers.LSTM(3), layers.Dense(1, activation="softmax")])
    single.build((None, *X.shape[1:]))
    for loss, y in (
        ("categorical_crossentropy", np.ones((22, 1))),
        ("sparse_categorical_crossentropy", np.zeros(22, int)),
    ):
        with pytest.warns(UserWarning, match="is always 1"):
            single.compile("adam", loss, metrics=["accuracy"])
        assert single.evaluate(X, y, verbose=0)[1] == 1.0
    y = RNG.integers(0, 2, 22)
    model = Sequential([layers.LSTM(3), layers.Dense(1, activation="sigmoid")])
    model.compile("sgd", lambda t, p: (0.0, np.zeros_like(p)), metrics=["accuracy"])
    hits = ((model.predict(X)[:, 0] > 0.5) == y).mean()
    assert model.evaluate(X, y, verbose=0)[1] == pytest.approx(hits)


def test_perplexity_is_the_exponential_of_the_loss():
    model = language(metrics=["perplexity"])
    loss, perplexity = model.evaluate(IDS, NEXT, verbose=0)
    assert perplexity == pytest.approx(np.exp(loss), rel=1e-12)
    for loss in ("mse", losses.CategoricalCrossentropy(label_smoothing=0.1)):
        with pytest.raises(ValueError, match="perplexity"):
            language(loss, metrics=["perplexity"])


def test_metrics_written_in_python():
    class Largest(metrics.Metric):
        def reset_state(self):
            self.value = 0.0

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.value = max(self.value, float(np.abs(y_pred - y_true).max()))

        def result(self):
            return self.value

    def bias(y_true, y_pred):
        return (y_pred - y_true).mean()

    model = regression("float64", metrics=[Largest("largest"), bias, "mae", "mse"])
    found = model.evaluate(X, Y, batch_size=5, verbose=0, return_dict=True)
    error = model.predict(X) - Y
    assert found["largest"] == pytest.approx(np.abs(error).max(), rel=1e-12)
    assert found["bias"] == pytest.approx(error.mean(), rel=1e-9)
    assert found["mae"] == pytest.approx(np.abs(error).mean(), rel=1e-9)
    assert found["mse"] == pytest.approx(found["loss"], rel=1e-9)
    plain = regression("float64")
    fit(plain, epochs=2)
    fit(model, epochs=2)
    assert same(plain, model)  # watching changes nothing


def test_a_loss_written_in_python_trains_like_the_built_in_one():
    def squared(y_true, y_pred):
        error = y_pred - y_true
        return (error**2).mean(), 2 * error / error.size

    a = regression("float64", squared, metrics=["mae", "accuracy"])
    b = regression("float64", "mse", metrics=["mae", "accuracy"])
    one, two = fit(a, epochs=2, validation_split=0.3), fit(b, epochs=2, validation_split=0.3)
    close(a, b, 1e-9)
    assert a.optimizer.iterations == b.optimizer.iterations == 6
    for name, values in two.history.items():
        assert one.history[name] == pytest.approx(values, rel=1e-9)


@pytest.mark.parametrize(
    ("loss", "error", "match"),
    [
        (lambda y, p: 1.0, TypeError, r"\(loss, gradient\).* shape \(5, 2\); got float"),
        (lambda y, p: (1.0, p, p), TypeError, "got tuple of 3"),
        (lambda y, p: (None, p), TypeError, "loss: <lambda> must return numbers, got NoneType"),
        (lambda y, p: (p[:, 0], p), ValueError, r"a loss of shape \(5,\), expected one number"),
        (lambda y, p: (1.0, np.zeros(3)), ValueError, r"gradient of shape \(3,\), .* \(5, 2\)"),
    ],
)
def test_a_bad_loss_function_changes_nothing(loss, error, match):
    model = regression(loss=loss)
    before = model.get_weights()
    with pytest.raises(error, match=match):
        fit(model)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    model.compile("sgd", "mse")
    fit(model)


@pytest.mark.parametrize("bad", ["loss", "gradient"])
def test_a_step_that_a_loss_function_makes_infinite_is_left_out(bad):
    calls = []

    def squared(y_true, y_pred):
        calls.append(None)
        error = y_pred - y_true
        loss, gradient = (error**2).mean(), 2 * error / error.size
        if len(calls) == 2:
            return (np.nan, gradient) if bad == "loss" else (loss, gradient / 0)
        return loss, gradient

    model, others = regression(loss=squared), regression(loss="mse")
    with (
        np.errstate(divide="ignore", invalid="ignore"),
        pytest.warns(RuntimeWarning, match="1 step was not applied, among 3"),
    ):
        model.fit(X[:15], Y[:15], batch_size=5, shuffle=False, verbose=0)
    assert (len(calls), model.optimizer.iterations) == (3, 2)
    kept = [*range(5), *range(10, 15)]
    others.fit(X[kept], Y[kept], batch_size=5, shuffle=False, verbose=0)
    close(model, others, 1e-6)


def test_what_evaluate_returns():
    model = regression()
    loss = model.evaluate(X, Y, verbose=0)
    assert isinstance(loss, float)
    assert loss == pytest.approx(((model.predict(X) - Y) ** 2).mean(), rel=1e-5)
    assert model.evaluate(X, Y, verbose=0, return_dict=True) == {"loss": loss}
    assert model.test_on_batch(X, Y) == pytest.approx(loss, rel=1e-6)
    assert model.evaluate(X, Y, 5, verbose=0, steps=2) == pytest.approx(
        model.evaluate(X[:10], Y[:10], verbose=0), rel=1e-6
    )
    before = model.evaluate(X, Y, verbose=0)
    assert model.train_on_batch(X, Y) == pytest.approx(before, rel=1e-6)
    assert model.train_on_batch(X, Y) < before
    assert model.metrics_names == ["loss"]


STEPS = np.arange(132.0).reshape(22, 6)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda y, p: 2.5, 2.5),
        (lambda y, p: np.float32(2.5), 2.5),
        (lambda y, p: np.arange(22), 10.5),
        (lambda y, p: STEPS, STEPS.mean()),
        (lambda y, p: STEPS[..., None] + np.arange(9), STEPS.mean() + 4),
    ],
)
def test_a_metric_function_gives_one_value_or_one_each(function, expected):
    model = language(metrics=[function])
    assert model.evaluate(IDS, NEXT, 22, verbose=0)[1] == pytest.approx(expected, rel=1e-12)


def test_a_metric_function_does_not_count_masked_steps():
    ids = np.maximum(IDS, 1)
    ids[:, 4:] = 0
    for function, expected in [
        (lambda y, p: STEPS, STEPS[:, :4].mean()),
        (lambda y, p: STEPS[..., None] + np.arange(9), STEPS[:, :4].mean() + 4),
    ]:
        model = language(mask_zero=True, metrics=[function])
        assert model.evaluate(ids, NEXT, 22, verbose=0)[1] == pytest.approx(expected, rel=1e-12)
    model = language(mask_zero=True, metrics=[lambda y, p: np.arange(22)])
    with pytest.warns(UserWarning, match="one number for a row"):
        assert model.evaluate(ids, NEXT, 22, verbose=0)[1] == pytest.approx(10.5, rel=1e-12)


@pytest.mark.parametrize(
    ("function", "error", "match"),
    [
        (lambda y, p: np.zeros(3), ValueError, r"\(3,\), expected .*\(5,\), \(5, 6\), \(5, 6, 9\)"),
        (lambda y, p: np.zeros((6, 5)), ValueError, r"metrics: <lambda> .*shape \(6, 5\)"),
        (lambda y, p: None, TypeError, "metrics: <lambda> must return numbers, got NoneType"),
        (lambda y, p: "0.5", TypeError, "must return numbers, got str"),
    ],
)
def test_a_bad_metric_function_changes_nothing(function, error, match):
    model = language(metrics=[function])
    before = model.get_weights()
    with pytest.raises(error, match=match):
        fit(model, IDS, NEXT)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


# ---- probabilities


def head(activation, classes=3):
    return [layers.LSTM(3), layers.Dense(classes, activation, name="head")]


@pytest.mark.parametrize("activation", ["linear", "relu", "tanh"])
@pytest.mark.parametrize(
    ("loss", "wanted"),
    [
        (losses.CategoricalCrossentropy, "softmax"),
        (losses.SparseCategoricalCrossentropy, "softmax"),
        (losses.BinaryCrossentropy, "sigmoid"),
    ],
)
def test_a_loss_that_takes_probabilities_warns_of_other_outputs(activation, loss, wanted):
    message = f"{loss.__name__} takes prob.*'head', .*'{activation}'; .*{wanted}.*from_logits=True"
    model = Sequential(head(activation))
    with pytest.warns(UserWarning, match=message) as caught:
        model.compile("adam", loss())
    assert caught[0].filename == __file__
    model.predict(X)  # builds the model: not another time
    with pytest.warns(UserWarning, match=message) as caught:
        model.compile("adam", loss())
    assert len(caught) == 1
    late = Sequential()
    late.compile("adam", loss())
    for layer in head(activation):
        late.add(layer)
    with pytest.warns(UserWarning, match=message):
        late.predict(X)


@pytest.mark.parametrize(
    ("loss", "activation"),
    [
        (losses.CategoricalCrossentropy(), "softmax"),
        (losses.CategoricalCrossentropy(from_logits=True), None),
        (losses.SparseCategoricalCrossentropy(from_logits=True), None),
        (losses.BinaryCrossentropy(), "sigmoid"),
        (losses.BinaryCrossentropy(from_logits=True), None),
        ("mse", None),
        (lambda y, p: (0.0, p), None),
    ],
)
def test_outputs_that_fit_the_loss_are_taken_without_a_warning(loss, activation):
    model = Sequential(head(activation))
    model.compile("adam", loss)  # a warning would be an error
    model.predict(X)


def test_a_metric_cannot_change_what_others_see():
    def careless(y_true, y_pred):
        y_pred -= y_true
        return np.abs(y_pred)

    model = Sequential([layers.Input((3,)), layers.Dense(2)])
    model.compile("sgd", "mse", metrics=[careless, "mae"])
    with pytest.raises(ValueError, match="read-only"):
        model.evaluate(np.ones((4, 3)), np.ones((4, 2)), verbose=0)


@pytest.mark.parametrize(("axis", "what"), [(None, "a batch"), ((1, 2), "a row")])
def test_one_number_for_several_steps_with_padding_is_told(axis, what):
    model = Sequential([layers.Embedding(5, 3, mask_zero=True), layers.Dense(1)])
    model.compile("sgd", "mse", metrics=[lambda y, p: np.abs(p - y).mean(axis)])
    x, y = np.array([[1, 2, 0], [3, 0, 0]]), np.zeros((2, 3, 1))
    with pytest.warns(UserWarning, match=f"one number for {what}, so steps that are padding count"):
        model.evaluate(x, y, verbose=0)
    model.evaluate(np.ones((2, 3), int), y, verbose=0)


def test_names_of_functions():
    def quantile(y, p, level):
        return np.abs(p - y) * level

    class Called:
        def __call__(self, y, p):
            return 0.0

    parts = [functools.partial(functools.partial(quantile), level=0.1), Called(), lambda y, p: 0.0]
    assert [metrics.get(part).name for part in parts] == ["quantile", "Called", "<lambda>"]
    assert losses.get(parts[0]).name == "quantile"
    with pytest.raises(ValueError, match=r"metrics\.FunctionMetric\(function, name\) has a name"):
        Sequential([layers.Dense(1)]).compile("sgd", "mse", metrics=[parts[0], parts[0]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", ["mse", "mae", "binary_crossentropy"])
def test_errors_counted_by_the_engine_are_those_of_the_predictions(loss, dtype):
    """Without masked steps, whatever the weights; in windows too."""
    rng = np.random.default_rng(0)
    ids = rng.integers(1, 9, (12, 6))
    ids[:5, 4:] = 0
    y = rng.uniform(0, 1, (12, 6, 2)).astype(dtype)
    model = Sequential(
        [
            layers.Embedding(9, 3, mask_zero=True),
            layers.LSTM(4, return_sequences=True),
            layers.Dense(2, activation="sigmoid"),
        ],
        dtype=dtype,
    )
    model.compile("sgd", loss, metrics=["mse", metrics.MeanAbsoluteError(name="off")])
    p, real = model.predict(ids, verbose=0), ids != 0
    weights = rng.uniform(0.5, 2, ids.shape)
    told = model.evaluate(ids, y, sample_weight=weights, verbose=0, return_dict=True)
    error = (p.astype("f8") - y)[real]
    tolerance = 1e-6 if dtype == "float32" else 1e-12
    assert told["mse"] == pytest.approx(np.square(error).mean(), rel=tolerance)
    assert told["off"] == pytest.approx(np.abs(error).mean(), rel=tolerance)
    history = fit(model, ids, y, batch_size=12, tbptt=3).history
    assert 0 < history["off"][0] < 1


def test_a_subclass_of_an_error_counts_in_its_own_way():
    class Doubled(metrics.MeanAbsoluteError):
        def result(self):
            return 2 * super().result()

    model = regression(metrics=["mae", Doubled(name="doubled")])
    told = model.evaluate(X, Y, verbose=0, return_dict=True)
    assert told["doubled"] == pytest.approx(2 * told["mae"], rel=1e-6)


def test_an_error_beside_a_loss_of_classes_is_counted_in_python():
    c = language("categorical_crossentropy", metrics=["mae"])
    onehot = np.eye(9)[NEXT]
    found = c.evaluate(IDS, onehot, verbose=0)[1]
    assert found == pytest.approx(np.abs(c.predict(IDS) - onehot).mean(), rel=1e-6)


def test_a_metric_of_ones_own_has_its_value_whoever_counts():
    mine = metrics.MeanSquaredError()
    model = regression(metrics=[mine])
    told = model.evaluate(X, Y, verbose=0, return_dict=True)
    assert mine.result() == told["mean_squared_error"] > 0


def test_subclasses_of_what_the_engine_counts_are_counted():
    class Mine(metrics.Accuracy):
        pass

    model = language(metrics=["acc", Mine("mine"), metrics.Perplexity("perplexity")])
    loss, accuracy, mine, perplexity = model.evaluate(IDS, NEXT, verbose=0)
    assert (mine, perplexity) == (accuracy, pytest.approx(np.exp(loss)))


def test_threads_that_evaluate_at_once_count_their_own_rows():
    model = regression(metrics=[lambda y, p: np.abs(y - p).mean(axis=-1)])
    halves = [(X[:11], Y[:11]), (X[11:], Y[11:])]
    want = [model.evaluate(*half, batch_size=1, verbose=0) for half in halves]
    found = [[], []]

    def evaluate(which):
        for _ in range(40):
            found[which].append(model.evaluate(*halves[which], batch_size=1, verbose=0))

    threads = [threading.Thread(target=evaluate, args=(which,)) for which in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert want[0] != want[1]
    assert all(values == want[which] for which in (0, 1) for values in found[which])
