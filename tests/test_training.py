"""fit, evaluate, predict and the calls for one batch: what they do and what they leave alone."""

import numpy as np
import pytest

import pylstm
from pylstm import Sequential, _core, callbacks, layers, losses, metrics, optimizers

RNG = np.random.default_rng(0)
X = RNG.normal(size=(22, 6, 3)).astype("f4")
Y = RNG.normal(size=(22, 2)).astype("f4")
IDS = RNG.integers(0, 9, (22, 6))
NEXT = RNG.integers(0, 9, (22, 6))


def regression(dtype="float32", loss="mse", optimizer=None, **kwargs):
    pylstm.set_seed(3)
    model = Sequential([layers.Input((None, 3)), layers.LSTM(4), layers.Dense(2)], dtype=dtype)
    model.compile(optimizer or optimizers.SGD(0.1), loss, **kwargs)
    return model


def language(loss="sparse_categorical_crossentropy", optimizer="adam", mask_zero=False, **kwargs):
    pylstm.set_seed(3)
    model = Sequential(
        [
            layers.Embedding(9, 5, mask_zero=mask_zero),
            layers.LSTM(6, return_sequences=True),
            layers.Dense(9, activation="softmax"),
        ],
        dtype="float64",
    )
    model.compile(optimizer, loss, **kwargs)
    return model


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a.get_weights(), b.get_weights(), strict=True))


def close(a, b, rtol):
    for x, y in zip(a.get_weights(), b.get_weights(), strict=True):
        np.testing.assert_allclose(x, y, rtol=rtol, atol=rtol)


def fit(model, x=X, y=Y, **kwargs):
    return model.fit(x, y, **{"verbose": 0, "batch_size": 5, **kwargs})


# ---- fit


def test_fit_is_a_loop_of_train_on_batch():
    a, b = regression(), regression()
    history = fit(a, epochs=2, shuffle=False)
    for epoch in range(2):
        values = []
        for i in range(0, 22, 5):
            rows = slice(i, i + 5)
            values.append((b.train_on_batch(X[rows], Y[rows]), len(X[rows])))
        mean = sum(loss * n for loss, n in values) / 22
        assert history.history["loss"][epoch] == pytest.approx(mean, rel=1e-6)
    assert same(a, b)
    assert a.optimizer.iterations == 10  # four whole batches and a tail, twice


def test_the_history():
    model = language(metrics=["accuracy", "perplexity"])
    history = fit(model, IDS, NEXT, epochs=5, initial_epoch=2, validation_split=0.25)
    assert list(history.history) == [
        "accuracy",
        "loss",
        "perplexity",
        "val_accuracy",
        "val_loss",
        "val_perplexity",
    ]
    assert history.epoch == [2, 3, 4]
    assert all(len(values) == 3 for values in history.history.values())
    assert history.params == {"verbose": 0, "epochs": 5, "steps": 4}
    assert history.model is model
    assert model.history is history
    assert fit(model, IDS, NEXT, epochs=0).history == {}


def test_validation_split_is_the_last_rows():
    a, b = regression(metrics=["mae"]), regression(metrics=["mae"])
    one = fit(a, validation_split=0.3, epochs=2)
    two = fit(b, X[:15], Y[:15], validation_data=(X[15:], Y[15:]), epochs=2)
    assert one.history == two.history
    assert same(a, b)
    assert one.history["val_loss"][-1] == a.evaluate(X[15:], Y[15:], 5, verbose=0)[0]


@pytest.mark.parametrize("weights", [{}, {"sample_weight": np.arange(22.0)}])
def test_a_validation_split_is_checked_with_the_rest(weights, monkeypatch):
    checks, check = [], _core.Network.check

    def counted(self, data, mode):
        checks.append(data.rows)
        check(self, data, mode)

    model, other = regression("float64"), regression("float64")
    expected = fit(
        other,
        X[:16],
        Y[:16],
        validation_data=(X[16:], Y[16:], *(w[16:] for w in weights.values())),
        **{name: w[:16] for name, w in weights.items()},
        batch_size=8,
    )
    monkeypatch.setattr(_core.Network, "check", counted)
    found = fit(model, validation_split=0.27, batch_size=8, **weights)
    assert checks == [22]
    for name, values in expected.history.items():
        assert found.history[name] == pytest.approx(values, rel=1e-12)


def test_validation_changes_nothing():
    a, b = language(metrics=["accuracy"]), language(metrics=["accuracy"])
    one = fit(a, IDS, NEXT, epochs=3)
    weights = np.ones(22)
    two = fit(b, IDS, NEXT, epochs=3, validation_data=(IDS, NEXT, weights), validation_freq=2)
    assert same(a, b)
    assert one.history["loss"] == two.history["loss"]
    assert len(two.history["val_loss"]) == 1
    fit(b, IDS, NEXT, validation_data=(IDS, NEXT), validation_steps=2, validation_batch_size=3)
    expected = b.evaluate(IDS[:6], NEXT[:6], verbose=0)
    found = [b.history.history[f"val_{name}"][0] for name in ("loss", "accuracy")]
    assert found == pytest.approx(expected, rel=1e-12)


def test_the_order_of_rows_follows_the_seed_and_changes_each_epoch():
    a, b = regression(), regression()
    fit(a, epochs=2)
    fit(b)
    fit(b)
    assert same(a, b)  # the second call has the order of the second epoch
    c = regression()
    fit(c, epochs=2, shuffle=False)
    assert not same(a, c)


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adam", "adamw"])
def test_a_run_in_two_parts_is_bitwise_the_run_in_one(optimizer):
    def model():
        pylstm.set_seed(3)
        net = Sequential(
            [
                layers.Embedding(9, 5),
                layers.LSTM(6, dropout=0.3, recurrent_dropout=0.3),
                layers.Dropout(0.3),
                layers.Dense(2),
            ]
        )
        net.compile(optimizer, "mse")
        return net

    whole, parts = model(), model()
    fit(whole, IDS, Y, epochs=4, steps_per_epoch=3)
    fit(parts, IDS, Y, epochs=2, steps_per_epoch=3)
    fit(parts, IDS, Y, epochs=4, steps_per_epoch=3, initial_epoch=2)
    assert same(whole, parts)


def test_steps_per_epoch_goes_on_in_the_next_epoch():
    a, b = regression(), regression()
    fit(a, epochs=5, steps_per_epoch=2, shuffle=False)
    fit(b, epochs=2, shuffle=False)
    assert same(a, b)  # ten batches in either


def test_weights_scale_the_loss_of_their_rows_and_steps():
    a, b, c = language(), language(), language()
    per_row = RNG.random(22)
    per_step = np.repeat(per_row[:, None], 6, axis=1)
    fit(a, IDS, NEXT, sample_weight=per_row)
    fit(b, IDS, NEXT, sample_weight=per_step)
    close(a, b, 1e-12)
    plain = c.evaluate(IDS, NEXT, verbose=0)
    assert c.evaluate(IDS, NEXT, verbose=0, sample_weight=np.full(22, 3.0)) == pytest.approx(
        3 * plain, rel=1e-12
    )
    only = np.zeros((22, 6))
    only[4, 2] = 132.0  # one element of 132 carries the mean
    expected = -np.log(c.predict(IDS)[4, 2, NEXT[4, 2]])
    assert c.evaluate(IDS, NEXT, verbose=0, sample_weight=only) == pytest.approx(expected, rel=1e-9)


def test_class_weights_are_sample_weights_by_class():
    a, b = language(), language()
    table = {2: 0.5, 7: 3.0}
    fit(a, IDS, NEXT, class_weight=table)
    fit(b, IDS, NEXT, sample_weight=np.where(NEXT == 2, 0.5, np.where(NEXT == 7, 3.0, 1.0)))
    close(a, b, 1e-12)
    c = language("categorical_crossentropy")
    fit(c, IDS, np.eye(9)[NEXT], class_weight=table)
    close(a, c, 1e-9)
    d, e = language(), language()
    one = fit(d, IDS, NEXT, class_weight=table, validation_split=0.5)
    two = fit(e, IDS, NEXT, class_weight=table, epochs=0)
    assert two.history == {}
    assert one.history["val_loss"][0] == pytest.approx(
        d.evaluate(IDS[11:], NEXT[11:], 5, verbose=0), rel=1e-12
    )


def test_a_masked_step_does_not_count():
    padded, targets = IDS.copy(), NEXT.copy()
    padded[padded == 0] = 1
    padded[:, 4:] = 0
    model = language(mask_zero=True, metrics=["accuracy", lambda y, p: p.argmax(-1) == y])
    short = language(metrics=["accuracy"])
    short.set_weights(model.get_weights())
    loss, accuracy, own = model.evaluate(padded, targets, verbose=0)
    expected = short.evaluate(padded[:, :4], targets[:, :4], verbose=0)
    assert [loss, accuracy] == pytest.approx(expected, rel=1e-12)
    assert own == pytest.approx(accuracy, rel=1e-12)


# ---- loss and metrics


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


@pytest.mark.parametrize(
    ("loss", "metric"),
    [
        ("sparse_categorical_crossentropy", "binary_accuracy"),
        ("categorical_crossentropy", "binary_accuracy"),
        ("categorical_crossentropy", "sparse_categorical_accuracy"),
        ("binary_crossentropy", "sparse_categorical_accuracy"),
        ("sparse_categorical_crossentropy", "categorical_accuracy"),
    ],
)
def test_an_accuracy_of_other_targets_than_the_loss_has_is_refused(loss, metric):
    with pytest.raises(ValueError, match=f"metrics: {metric} needs .* the loss {loss} does not"):
        language(loss, metrics=[metric])


def test_accuracy_of_one_output():
    """With one class every prediction is right; with a loss in Python y may lack the last axis."""
    single = Sequential([layers.LSTM(3), layers.Dense(1, activation="softmax")])
    for loss, y in (
        ("categorical_crossentropy", np.ones((22, 1))),
        ("sparse_categorical_crossentropy", np.zeros(22, int)),
    ):
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
        (lambda y, p: 1.0, TypeError, "loss, gradient"),
        (lambda y, p: (1.0, np.zeros(3)), ValueError, "gradient of shape"),
        (lambda y, p: (np.nan, p), ValueError, "not finite"),
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


# ---- predict


def test_a_rows_prediction_depends_on_that_row_alone():
    model = regression()
    whole = model.predict(X)
    assert whole.shape == (22, 2)
    for size in (1, 3, 22, 100):
        assert np.array_equal(model.predict(X, batch_size=size), whole)
    for i in (0, 7, 21):
        assert np.array_equal(model.predict(X[i : i + 1])[0], whole[i])
    assert np.array_equal(model.predict_on_batch(X), whole)
    assert np.array_equal(model.predict(X, batch_size=5, steps=2), whole[:10])
    bad = X.copy()
    bad[3, 2, 1] = np.nan
    found = model.predict(bad)
    assert np.isnan(found[3]).all()
    assert np.array_equal(np.delete(found, 3, 0), np.delete(whole, 3, 0))


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x.astype("f8"),
        lambda x: x.astype(">f4"),
        lambda x: np.asfortranarray(x),
        lambda x: np.repeat(x, 2, axis=1)[:, ::2],
        lambda x: x[::-1][::-1],
        lambda x: x.tolist(),
        lambda x: np.frombuffer(x.tobytes(), "f4").reshape(x.shape),
    ],
    ids=["float64", "big-endian", "Fortran", "strided", "reversed", "list", "read-only"],
)
def test_any_layout_of_the_same_numbers_gives_the_same_bits(change):
    model = regression()
    x = (X * 256).round() / 256
    assert np.array_equal(model.predict(change(x)), model.predict(x))
    a, b = regression(), regression()
    fit(a, x, Y)
    fit(b, change(x), Y)
    assert same(a, b)


def test_small_types_and_files(tmp_path):
    model = regression()
    small = (X * 8).round().astype("f2")
    expected = model.predict(small.astype("f4"))
    for kind in ("f2", "i1", "i8", ">i2"):
        assert np.array_equal(model.predict(small.astype(kind)), expected)
    np.save(tmp_path / "x.npy", small)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert np.array_equal(model.predict(mapped), expected)
    net = language()
    expected = net.predict(IDS)
    for kind in ("u1", "i2", ">i8", "f4"):
        assert np.array_equal(net.predict(IDS.astype(kind)), expected)


# ---- tbptt


def test_a_window_as_long_as_the_sequence_is_plain_training():
    a, b, c = language(), language(), language()
    fit(a, IDS, NEXT)
    fit(b, IDS, NEXT, tbptt=6)
    fit(c, IDS, NEXT, tbptt=4)
    assert same(a, b)
    assert b.optimizer.iterations == 5
    assert c.optimizer.iterations == 10  # each batch in windows of 4 and 2 steps


def test_tbptt_is_refused_where_it_means_nothing():
    with pytest.raises(ValueError, match="every step"):
        fit(regression(), tbptt=3)
    for layer in (
        layers.Bidirectional(layers.LSTM(3, return_sequences=True), merge_mode="sum"),
        layers.LSTM(3, return_sequences=True, go_backwards=True),
    ):
        model = Sequential([layer])
        model.compile("sgd", "mse")
        with pytest.raises(ValueError, match="reads backward"):
            fit(model, X, X, tbptt=3)


# ---- stateful


def test_stateful_training_needs_equal_batches():
    model = Sequential([layers.Input((None, 3)), layers.LSTM(4, stateful=True), layers.Dense(2)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="leave a last one of 2"):
        fit(model, batch_size=5)
    with pytest.raises(ValueError, match="leave a last one of 2"):
        model.evaluate(X, Y, 5, verbose=0)
    with pytest.raises(ValueError, match="leave a last one of 1"):
        fit(model, X[:10], Y[:10], validation_data=(X[:11], Y[:11]))
    assert model.optimizer.iterations == 0
    fit(model, batch_size=11, shuffle=False)
    model.reset_state()
    fit(model, X[:3], Y[:3])  # one batch, smaller than batch_size


def test_stateful_prediction_needs_equal_batches():
    model = Sequential([layers.LSTM(4, stateful=True), layers.Dense(2)])
    for built in (False, True):
        with pytest.raises(ValueError, match="leave a last one of 2"):
            model.predict(X, batch_size=5)
        assert model.built == built
        model.predict(X, batch_size=11)
        model.reset_state()
    expected = model.predict(X[:20], batch_size=5)
    model.reset_state()
    with pytest.raises(ValueError, match="leave a last one of 2"):
        model.predict(X, batch_size=5)
    assert np.array_equal(model.predict(X, batch_size=5, steps=4), expected)


def test_a_failed_validation_leaves_the_state_of_predict():
    class Fails(callbacks.Callback):
        def on_test_begin(self, logs=None):
            raise RuntimeError("no")

    model = Sequential([layers.LSTM(4, stateful=True), layers.Dense(2)])
    model.compile("sgd", "mse")
    model.predict(X)
    before = model._core.get_state("predict")
    with pytest.raises(RuntimeError, match="no"):
        fit(model, batch_size=22, validation_data=(X, Y), callbacks=[Fails()])
    after = model._core.get_state("predict")
    assert any(a.any() for a in before)
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_stateful_training_carries_the_state_from_batch_to_batch():
    """With frozen weights the loss of a pass is that of one long sequence."""
    long = RNG.normal(size=(2, 12, 3))
    y = RNG.normal(size=(2, 12, 4))
    whole = Sequential(
        [layers.Input((None, 3)), layers.LSTM(4, return_sequences=True)], dtype="float64"
    )
    parts = Sequential(
        [layers.Input((None, 3)), layers.LSTM(4, return_sequences=True, stateful=True)],
        dtype="float64",
    )
    parts.set_weights(whole.get_weights())
    for model in (whole, parts):
        model.compile("sgd", "mse")
        model.trainable = False
    x = np.concatenate([long[:, :6], long[:, 6:]])
    t = np.concatenate([y[:, :6], y[:, 6:]])
    expected = whole.evaluate(long, y, verbose=0)
    for _ in range(2):
        history = fit(parts, x, t, batch_size=2, shuffle=False)
        assert history.history["loss"][0] == pytest.approx(expected, rel=1e-12)
        parts.reset_state()


# ---- compile


def test_compiling_again_keeps_the_state_of_the_same_optimizer_only():
    a, b = language(), language()
    fit(a, IDS, NEXT)
    fit(b, IDS, NEXT)
    b.compile(b.optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    fit(a, IDS, NEXT)
    fit(b, IDS, NEXT)
    assert same(a, b)
    assert b.optimizer.iterations == 10
    b.compile("adam", "sparse_categorical_crossentropy")
    assert b.optimizer.iterations == 0


def test_a_failed_compile_leaves_the_model_compiled_as_it_was():
    model = regression()
    with pytest.raises(ValueError, match="did you mean 'mean_squared_error'"):
        model.compile("adam", "mean_square_error")
    assert isinstance(model.optimizer, optimizers.SGD)
    fit(model)
