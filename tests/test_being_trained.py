"""A model in several threads: one may train, and interrupting it leaves it whole."""

import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import pylstm
from pylstm import Sequential, callbacks, layers, optimizers

RNG = np.random.default_rng(0)
X = RNG.normal(size=(22, 6, 3)).astype("f4")
Y = RNG.normal(size=(22, 2)).astype("f4")


def regression():
    pylstm.set_seed(3)
    model = Sequential([layers.Input((None, 3)), layers.LSTM(4), layers.Dense(2)])
    model.compile(optimizers.SGD(0.1), "mse")
    return model


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a.get_weights(), b.get_weights(), strict=True))


def fit(model, x=X, y=Y, **kwargs):
    return model.fit(x, y, **{"verbose": 0, "batch_size": 5, **kwargs})


class During(callbacks.Callback):
    """Runs something once, after the second batch."""

    def __init__(self, action):
        self.action, self.result = action, None

    def on_train_batch_end(self, batch, logs=None):
        if batch == 1:
            try:
                self.result = self.action()
            except Exception as error:
                self.result = error


def elsewhere(action):
    """`action` run in another thread; its result or error."""
    found = []

    def run():
        try:
            found.append(action())
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)
    return found[0]


@pytest.mark.parametrize(
    "use",
    [
        lambda m: m.fit(X, Y, verbose=0),
        lambda m: m.train_on_batch(X, Y),
        lambda m: m.predict(X),
        lambda m: m.evaluate(X, Y, verbose=0),
        lambda m: m.set_weights(m.get_weights()),
        lambda m: m.compile("sgd", "mse"),
        lambda m: m.pop(),
    ],
    ids=["fit", "train_on_batch", "predict", "evaluate", "set_weights", "compile", "pop"],
)
def test_a_model_being_trained_is_left_alone_by_other_threads(use):
    model, alone = regression(), regression()
    during = During(lambda: elsewhere(lambda: use(model)))
    fit(model, callbacks=[during])
    fit(alone)
    assert isinstance(during.result, RuntimeError)
    assert str(during.result) == "the model is being trained"
    assert same(model, alone)
    use(model)


def test_the_training_thread_may_use_the_model():
    model, alone = regression(), regression()
    seen = []
    during = During(
        lambda: (model.predict(X), model.get_weights(), model.evaluate(X, Y, verbose=0))
    )
    watch = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(model.predict(X)))
    fit(model, callbacks=[during, watch])
    fit(alone)
    assert same(model, alone)
    prediction, weights, loss = during.result
    alone.set_weights(weights)
    assert np.array_equal(alone.predict(X), prediction)
    assert alone.evaluate(X, Y, verbose=0) == loss
    assert np.array_equal(seen[0], model.predict(X))
    again = During(lambda: model.fit(X, Y))
    fit(model, callbacks=[again])
    assert isinstance(again.result, RuntimeError)


def test_many_threads_predict_with_one_model():
    model = regression()
    expected, found = model.predict(X), []

    def work():
        for _ in range(20):
            found.append(np.array_equal(model.predict(X), expected))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 80


def test_threads_that_evaluate_at_once_do_not_mix_their_sums():
    model = regression()
    parts = [slice(0, 5), slice(5, 22)]
    expected = [model.evaluate(X[p], Y[p], verbose=0) for p in parts]
    found = [[], []]

    def work(k):
        for _ in range(20):
            found[k].append(model.evaluate(X[parts[k]], Y[parts[k]], verbose=0))

    threads = [threading.Thread(target=work, args=(k,)) for k in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[value] * 20 for value in expected]


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_ends_fit_between_two_steps():
    model, twin = regression(), regression()
    x, y = np.tile(X, (40, 1, 1)), np.tile(Y, (40, 1))
    timer = threading.Timer(0.3, lambda: signal.raise_signal(signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        fit(model, x, y, epochs=10**6, shuffle=False)
    timer.join()
    steps = model.optimizer.iterations
    assert steps > 0
    epochs, rest = divmod(steps, len(x) // 5)
    fit(twin, x, y, epochs=epochs, shuffle=False)
    if rest:
        fit(twin, x[: 5 * rest], y[: 5 * rest], shuffle=False)
    assert twin.optimizer.iterations == steps
    assert same(model, twin)
    assert np.array_equal(twin.predict(X), model.predict(X))
    fit(model)
    assert model.optimizer.iterations == steps + 5


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs an interval timer")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # in a destructor
@pytest.mark.parametrize("call", ["fit", "train_on_batch"])
def test_an_interrupt_at_any_moment_ends_the_training(call):
    """A timer interrupts thousands of calls wherever they are; each must leave the model free."""
    model = regression()

    def train():
        fit(model, X[:2], Y[:2]) if call == "fit" else model.train_on_batch(X[:2], Y[:2])

    train()
    kept, interrupted, delays = [], 0, np.random.default_rng(1)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        for _ in range(3000):
            try:
                signal.setitimer(signal.ITIMER_REAL, delays.uniform(1e-6, 3e-4))
                for _ in range(3):
                    train()
                signal.setitimer(signal.ITIMER_REAL, 0)
            except KeyboardInterrupt as error:
                interrupted += 1
                kept = [error]  # its frames stay alive, as sys.last_traceback keeps them
            assert not model._network().trains
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert interrupted > 100
    assert kept
    train()


@pytest.mark.parametrize("bad", ["y", "sample_weight"])
def test_bad_data_does_not_unbuild_what_another_thread_has_used(bad):
    reached, used = threading.Event(), threading.Event()

    class Bad:
        def __array__(self, dtype=None, copy=None):
            reached.set()
            assert used.wait(30)
            raise ValueError("bad data")

    model = Sequential([layers.LSTM(4), layers.Dense(2)])
    model.compile("sgd", "mse")
    arguments = {"y": Y, bad: Bad()}
    with ThreadPoolExecutor(1) as pool:
        fit = pool.submit(model.fit, X, verbose=0, **arguments)
        assert reached.wait(30)
        assert model.built == (bad == "sample_weight")
        before = model.predict(X)
        used.set()
        with pytest.raises(ValueError, match="bad data"):
            fit.result()
    assert model.built
    np.testing.assert_array_equal(model.predict(X), before)


def half_squares(y, p):
    return float(np.square(p - y).mean()) / 2, (p - y) / p.size


@pytest.mark.parametrize("call", ["fit", "evaluate", "train_on_batch", "test_on_batch"])
def test_a_model_compiled_while_its_data_is_looked_at_is_refused(call):
    """The engine has another loss then, or none, and no targets."""
    model = regression()

    class Targets:
        def __array__(self, dtype=None, copy=None):
            model.compile("sgd", half_squares)
            return Y

    weights = model.get_weights()
    with pytest.raises(RuntimeError, match="the model was compiled again during this call"):
        getattr(model, call)(X, Targets())
    assert all(map(np.array_equal, model.get_weights(), weights))


def test_a_network_that_lost_its_loss_in_a_callback_is_refused():
    model = regression()

    class Again(callbacks.Callback):
        def set_model(self, model):
            model.compile("sgd")
            model.add(model.pop())

    with pytest.raises(RuntimeError, match="the model was compiled again during this call"):
        model.evaluate(X, Y, verbose=0, callbacks=[Again()])


def test_a_loss_that_sets_weights_is_refused():
    """The gradients of the old ones would move the new ones."""
    model = regression()
    weights = [w * 0 for w in model.get_weights()]

    def meddling(y, p):
        model.set_weights(weights)
        return half_squares(y, p)

    model.compile("sgd", meddling)
    with pytest.raises(ValueError, match="weights must not be set between forward and backward"):
        model.fit(X, Y, verbose=0)
    assert all(map(np.array_equal, model.get_weights(), weights))
    model.compile("sgd", half_squares)
    model.fit(X, Y, verbose=0)
