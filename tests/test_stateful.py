"""State from batch to batch: stateful layers, truncated backpropagation."""

import threading

import numpy as np
import pytest
from models import IDS, NEXT, RNG, X, Y, fit, language, regression, same

import pylstm
from pylstm import Sequential, callbacks, layers, load_model


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
    model = Sequential([layers.LSTM(3, return_sequences=True)])
    model.compile("sgd", lambda y, p: (0.0, p), metrics=["mae"])
    with pytest.raises(ValueError, match="computed in Python: <lambda>, mae"):
        fit(model, X, X, tbptt=3)


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


def test_more_streams_than_a_batch_are_told_of():
    model = Sequential([layers.LSTM(3, stateful=True), layers.Dense(1)])
    x = np.ones((64, 1, 2))
    with pytest.warns(UserWarning, match="of 64 streams side by side give batch_size=64, else"):
        model.predict(x)
    model.reset_state()
    model.predict(x, batch_size=64)
    assert len(np.unique(model.predict(x, batch_size=64))) == 1


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


def test_ctrl_c_in_a_watched_batch_leaves_the_state_of_predict(monkeypatch):
    class Interrupted:
        def __init__(self, network):
            self.network = network

        def __getattr__(self, name):
            return getattr(self.network, name)

        def forward(self, *args):
            raise KeyboardInterrupt

    def bias(y_true, y_pred):
        return y_pred - y_true

    model = Sequential([layers.LSTM(4, stateful=True), layers.Dense(2)])
    model.compile("sgd", "mse", metrics=[bias])
    model.predict(X)
    before = model._core.get_state("predict")
    network = Interrupted(model._network())
    monkeypatch.setattr(model, "_network", lambda: network)
    with pytest.raises(KeyboardInterrupt):
        fit(model, batch_size=22)
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


def test_a_stateful_model_goes_on_where_it_stopped():
    x = np.random.default_rng(0).normal(size=(3, 10, 2))
    whole = Sequential([layers.Input((None, 2)), layers.LSTM(4, return_sequences=True)])
    parts = Sequential(
        [layers.Input((None, 2)), layers.LSTM(4, return_sequences=True, stateful=True)]
    )
    parts.set_weights(whole.get_weights())
    expected = whole.predict(x)
    for _ in range(2):
        found = [parts.predict(x[:, :4]), parts.predict(x[:, 4:])]
        assert np.array_equal(np.concatenate(found, axis=1), expected)
        assert not np.array_equal(parts.predict(x[:, :4]), expected[:, :4])
        parts.reset_state()


def test_validation_leaves_what_predict_carries():
    x, y = np.ones((4, 5, 2)), np.ones((4, 1))
    model = Sequential([layers.Input((None, 2)), layers.LSTM(3, stateful=True), layers.Dense(1)])
    model.compile("sgd", "mse")
    model.layers[0].trainable = model.layers[1].trainable = False
    model.predict(x)
    second = model.predict(x)
    model.reset_state()
    model.predict(x)
    model.fit(x, y, batch_size=4, validation_data=(x, y), verbose=0)
    assert np.array_equal(model.predict(x), second)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("include_optimizer", [True, False])
def test_a_stream_goes_on_in_a_loaded_model(tmp_path, compiled, include_optimizer):
    model = Sequential([layers.Input((None, 3)), layers.LSTM(4, stateful=True)])
    if compiled:
        model.compile("adam", "mse")
    x = RNG.normal(size=(2, 9, 3))
    whole = model.predict(x)
    model.reset_state()
    model.predict(x[:, :5])
    model.save(tmp_path / "m", include_optimizer=include_optimizer)
    again = pylstm.load_model(tmp_path / "m")
    assert np.array_equal(again.predict(x[:, 5:]), whole)


def test_a_save_leaves_a_stream_of_another_thread_alone(tmp_path):
    """It neither takes the stream's state for a while nor puts an older one back."""
    model, alone = stream(), stream()
    alone.set_weights(model.get_weights())
    x = np.random.default_rng(0).random((1, 5000, 2))
    want = [alone.predict_on_batch(x[:, i : i + 1]) for i in range(5000)]
    done = threading.Event()

    def save():
        while not done.is_set():
            model.save(tmp_path / "m")

    saver = threading.Thread(target=save)
    saver.start()
    try:
        got = [model.predict_on_batch(x[:, i : i + 1]) for i in range(5000)]
    finally:
        done.set()
        saver.join()
    assert all(map(np.array_equal, got, want))
    assert (tmp_path / "m").exists()


def test_a_save_beside_new_weights_has_one_set_of_them(tmp_path):
    """Else `load_model` would refuse the file."""
    model = stream()
    sets = [[np.full_like(w, v) for w in model.get_weights()] for v in (0.1, 0.9)]
    model.set_weights(sets[0])
    done = threading.Event()

    def change():
        while not done.is_set():
            for weights in sets:
                model.set_weights(weights)

    changer = threading.Thread(target=change)
    changer.start()
    try:
        for i in range(60):
            model.save(tmp_path / f"{i}")
    finally:
        done.set()
        changer.join()
    for i in range(60):
        loaded = load_model(tmp_path / f"{i}").get_weights()
        assert len({w.flat[0] for w in loaded}) == 1


def stream():
    model = Sequential(
        [layers.Input((None, 2)), layers.LSTM(3, return_sequences=True, stateful=True)]
    )
    model.build()
    return model


def test_a_layer_of_a_model_forgets_its_state_alone() -> None:
    def stacked():
        pylstm.set_seed(5)
        both = layers.Bidirectional(layers.LSTM(2, return_sequences=True, stateful=True))
        first = layers.LSTM(4, return_sequences=True, stateful=True)
        return Sequential([first, layers.Dense(3), both, layers.LSTM(2), layers.Dense(1)])

    forgetful, whole = stacked(), stacked()
    fresh = forgetful.predict(X)
    for layer in forgetful.layers:
        layer.reset_state()
    assert np.array_equal(forgetful.predict(X), fresh)
    for layer in forgetful.layers:
        layer.reset_state()
    assert np.array_equal(forgetful.predict(X[:3]), fresh[:3])  # nor how many rows there were
    for model in (forgetful, whole):
        model.reset_state()
        model.predict(X)
    forgetful.layers[2].forward_layer.reset_state()
    blocks = forgetful._core.get_state("predict")
    carried = [len(block) > 0 for block in blocks]
    assert carried == [True, True, False, False, False, False, False, False]
    assert np.array_equal(blocks[0], whole._core.get_state("predict")[0])
    assert not np.array_equal(forgetful.predict(X), whole.predict(X))
