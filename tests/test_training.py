"""fit and compile: what they do and what they leave alone."""

import copy

import numpy as np
import pytest
from models import IDS, NEXT, RNG, X, Y, close, fit, language, regression, same

import pylstm
from pylstm import Sequential, _core, layers, optimizers

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
    two = fit(b, X[:15], Y[:15], validation_data=[X[15:], Y[15:]], epochs=2)  # as a tuple would
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


def test_the_class_of_a_number_is_the_nearest_one():
    """As in Keras: of smoothed labels, say."""
    column = np.round(Y[:, :1] / np.abs(Y).max() / 2 + 0.5, 2)  # 0 to 1
    assert 0 < (column > 0.5).mean() < 1
    one = Sequential([layers.LSTM(3), layers.Dense(1, activation="sigmoid")])
    one.compile("sgd", "binary_crossentropy")
    one.fit(X, column, class_weight={0: 0.5, 1: 3.0}, epochs=0)
    two = copy.deepcopy(one)
    one.fit(X, column, class_weight={0: 0.5, 1: 3.0}, shuffle=False, verbose=0)
    weights = np.where(np.rint(column) == 1, 3.0, 0.5)  # a column of weights will do as well
    two.fit(X, column, sample_weight=weights, shuffle=False, verbose=0)
    assert same(one, two)


def test_class_weights_are_sample_weights_by_class():
    a, b = language(), language()
    table = {2: 0.3, 7: 3.1}  # of double precision
    fit(a, IDS, NEXT, class_weight=table)
    fit(b, IDS, NEXT, sample_weight=np.where(NEXT == 2, 0.3, np.where(NEXT == 7, 3.1, 1.0)))
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


@pytest.mark.parametrize("call", ["train_on_batch", "evaluate", "test_on_batch"])
def test_a_bad_return_dict_changes_nothing(call):
    model = regression()
    before = model.get_weights()
    with pytest.raises(TypeError, match="return_dict: expected True or False"):
        getattr(model, call)(X, Y, return_dict=np.zeros(2))
    assert all(map(np.array_equal, model.get_weights(), before))
