"""Changes of a model beside other threads: alone, and whole for those that read."""

import threading

import numpy as np
import pytest
from helpers import run_python
from models import X, Y, regression

import pylstm
from pylstm import layers
from pylstm.models._alone import at_one_moment


@pytest.mark.parametrize(
    "change",
    [
        lambda model: model.pop(),
        lambda model: model.add(layers.Dense(3)),
        lambda model: model.compile("sgd", "mae"),
        lambda model: model.train_on_batch(X, Y),
        lambda model: model.set_weights([w * 0 for w in model.get_weights()]),
    ],
)
def test_a_change_waits_while_the_model_is_read(change):
    model = regression()
    before, kinds, loss = model.get_weights(), [*model.layers], model.loss
    thread = threading.Thread(target=change, args=(model,))
    with model._lock:
        thread.start()
        thread.join(0.05)
        assert thread.is_alive()
        assert model.layers == kinds
        assert model.loss is loss
        assert all(map(np.array_equal, model.get_weights(), before))
    thread.join()


def test_what_is_read_at_one_moment_has_no_step_in_between():
    model, found = regression(), []

    def read(network):
        found.append(network.get_weights())
        if len(found) == 1:
            model.train_on_batch(X, Y)
        return found[-1]

    read_at_last = at_one_moment(model, read)
    assert len(found) == 2
    assert all(map(np.array_equal, read_at_last, model.get_weights()))
    assert not np.array_equal(found[0][0], found[1][0])


def test_a_model_that_never_rests_is_not_read():
    model = regression()
    with pytest.raises(RuntimeError, match="being trained"):
        at_one_moment(model, lambda network: model.train_on_batch(X, Y))


def test_a_save_beside_training_is_whole_or_refused(tmp_path):
    model, done = regression(optimizer="adam"), threading.Event()

    def train():
        while not done.is_set():
            model.train_on_batch(X, Y)

    thread = threading.Thread(target=train)
    thread.start()
    try:
        for _ in range(50):
            try:
                model.save(tmp_path / "m")
            except RuntimeError:  # that it is being trained
                pass
            else:
                pylstm.load_model(tmp_path / "m")  # which computes the test vector again
    finally:
        done.set()
        thread.join()


NEVER_IDLE = """if True:
    import threading
    import numpy as np, pylstm
    from pylstm import Sequential, layers
    model = Sequential([layers.Input((50, 16)), layers.LSTM(64), layers.Dense(1)])
    x = np.zeros((1024, 50, 16), np.float32)
    model.predict(x, batch_size=len(x))
    over = False
    def work():
        while not over:
            model.predict(x, batch_size=len(x))
    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for loss in ("mse", "mae") * 3:
        model.compile("sgd", loss)
    over = True
    for thread in threads:
        thread.join()
    print("changed")
"""


def test_a_change_comes_about_beside_threads_that_always_predict():
    """Some call is always inside; those that begin wait for the change."""
    assert run_python("-c", NEVER_IDLE, timeout=60) == "changed\n"
