"""Callbacks: when they are called, and what each of Keras' callbacks does."""

import csv
import inspect
import math
import typing

import numpy as np
import pytest
from watched import Fake, X, Y, feed, fit, model

from pylstm import callbacks, metrics


class Recorder(callbacks.Callback):
    """Notes every call."""

    def __init__(self):
        self.calls = []


def _note(name):
    def method(self, *args):
        self.calls.append((name, *args[:-1], sorted(args[-1])))

    return method


for _name in dir(callbacks.Callback):
    if _name.startswith("on_") and _name not in ("on_batch_begin", "on_batch_end"):
        setattr(Recorder, _name, _note(_name))


# ---- calls


def test_calls_come_in_keras_order():
    recorder, net = Recorder(), model()
    fit(net, recorder, epochs=1, validation_data=(X[:7], Y[:7]))
    batch = [["on_train_batch_begin", []], ["on_train_batch_end", ["loss"]]]
    test = [["on_test_batch_begin", []], ["on_test_batch_end", ["loss"]]]
    expected = [("on_train_begin", []), ("on_epoch_begin", 0, [])]
    for i in range(4):
        expected += [(name, i, logs) for name, logs in batch]
    expected += [("on_test_begin", [])]
    for i in range(2):
        expected += [(name, i, logs) for name, logs in test]
    expected += [
        ("on_test_end", ["loss"]),
        ("on_epoch_end", 0, ["loss", "val_loss"]),
        ("on_train_end", ["loss", "val_loss"]),
    ]
    assert recorder.calls == expected
    assert recorder.model is net
    assert recorder.params == {"verbose": 0, "epochs": 1, "steps": 4}


def test_evaluate_and_predict_call_too():
    recorder, net = Recorder(), model()
    net.evaluate(X, Y, 15, verbose=0, callbacks=[recorder])
    assert [call[0] for call in recorder.calls] == [
        "on_test_begin",
        *["on_test_batch_begin", "on_test_batch_end"] * 2,
        "on_test_end",
    ]
    recorder = Recorder()
    found = net.predict(X, 15, verbose=0, callbacks=[recorder])
    assert np.array_equal(found, net.predict(X))
    expected = [("on_predict_begin", [])]
    for i in range(2):
        expected += [("on_predict_batch_begin", i, []), ("on_predict_batch_end", i, ["outputs"])]
    assert recorder.calls == [*expected, ("on_predict_end", [])]


@pytest.mark.parametrize("batches", [False, True])
def test_a_callback_sees_the_outputs_of_a_batch_and_may_stop(batches):
    class Two(callbacks.Callback):
        def on_predict_batch_end(self, batch, logs=None):
            seen.append(logs["outputs"].copy())
            self.model.stop_predicting = batch == 1

        def on_test_batch_end(self, batch, logs=None):
            seen.append(logs)
            self.model.stop_evaluating = batch == 1

    net, seen = model(), []
    parts = [X[i : i + 8] for i in (0, 8, 16)]
    whole = net.predict(X)
    x, settings = (iter(parts), {}) if batches else (X, {"batch_size": 8})
    found = net.predict(x, verbose=0, callbacks=[Two()], **settings)
    assert np.array_equal(found, whole[:16])
    assert np.array_equal(np.concatenate(seen), found)
    assert np.array_equal(net.predict(X, verbose=0, callbacks=[Recorder()]), whole)
    seen.clear()
    pairs = [(part, Y[8 * i : 8 * i + 8]) for i, part in enumerate(parts)]
    x, settings = (iter(pairs), {}) if batches else (X, {"y": Y, "batch_size": 8})
    loss = net.evaluate(x, verbose=0, callbacks=[Two()], **settings)
    assert len(seen) == 2
    assert loss == net.evaluate(X[:16], Y[:16], 8, verbose=0)
    settings = {"epochs": 1, "validation_data": (X, Y), "validation_batch_size": 8}
    history = fit(net, Two(), **settings).history
    assert history["val_loss"] == [net.evaluate(X[:16], Y[:16], 8, verbose=0)]


def test_watching_batches_changes_nothing():
    a, b = model(), model()
    one, two = fit(a, Recorder()), fit(b)
    assert one.history == two.history
    assert all(np.array_equal(u, v) for u, v in zip(a.get_weights(), b.get_weights(), strict=True))


def test_only_callbacks_that_override_them_are_called_for_batches():
    class Epochs(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            pass

    class Old(callbacks.Callback):
        def on_batch_end(self, batch, logs=None):
            pass

    assert not Epochs().wants_batches("train")
    assert Old().wants_batches("train")
    assert not Old().wants_batches("test")
    assert callbacks.TerminateOnNaN().wants_batches("train")
    assert not callbacks.ModelCheckpoint("x").wants_batches("train")
    assert callbacks.ModelCheckpoint("x", save_freq=3).wants_batches("train")
    assert not callbacks.ModelCheckpoint("x", save_freq=3).wants_batches("test")
    assert callbacks.LambdaCallback(on_train_batch_end=print).wants_batches("train")
    assert not callbacks.LambdaCallback(on_epoch_end=print).wants_batches("train")

    class Both(callbacks.ModelCheckpoint):
        on_train_batch_end = on_test_batch_begin = Old.on_batch_end

    assert Both("x").wants_batches("train")
    assert Both("x").wants_batches("test")
    assert not Both("x").wants_batches("predict")


def test_stop_training_ends_the_epoch_after_the_batch():
    class Stop(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 1

    net = model()
    history = fit(net, Stop(), epochs=5)
    assert net.optimizer.iterations == 2
    assert history.epoch == [0]
    fit(net, epochs=1)
    assert net.optimizer.iterations == 6


def test_a_line_tells_of_the_batches_before_training_was_stopped(capsys):
    class Stop(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = True

    model().fit(X, Y, batch_size=6, epochs=5, verbose=2, callbacks=Stop())
    assert "1/4 - " in capsys.readouterr().out


def test_what_callbacks_put_into_logs_is_in_the_history():
    extra = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(extra=epoch))
    assert fit(model(), extra).history["extra"] == [0, 1]


def test_only_callbacks_are_accepted():
    for bad in ("EarlyStopping", [print], [callbacks.EarlyStopping], {"a": 1}):
        with pytest.raises(TypeError, match="callbacks"):
            model().fit(X, Y, verbose=0, callbacks=bad)
    model().fit(X, Y, verbose=0, callbacks=callbacks.TerminateOnNaN())
    with pytest.raises(TypeError, match="on_epoch_finish"):
        callbacks.LambdaCallback(on_epoch_finish=print)


# ---- EarlyStopping


@pytest.mark.parametrize(
    ("settings", "values", "epochs"),
    [
        ({}, [3, 2, 2, 1], 3),
        ({"patience": 2}, [3, 2, 2.5, 1.9, 2, 2, 2], 6),
        ({"min_delta": 0.5, "patience": 1}, [3, 2.7, 2.6, 1], 2),
        ({"mode": "max"}, [1, 2, 3, 3, 4], 4),
        ({"baseline": 2.5, "patience": 2}, [3, 2.9, 2.95, 2.8], 3),
        ({"baseline": 2.5, "patience": 2}, [3, 2.9, 2.8, 2.4, 2.5], 5),
        ({"baseline": 2.5, "patience": 2}, [3, 2.4, 2.5, 2.5, 2.5], 4),
        ({"start_from_epoch": 3}, [1, 2, 3, 4, 5, 6], 5),
        ({}, [math.nan, math.nan, 1], 2),
    ],
)
def test_early_stopping_waits(settings, values, epochs):
    assert feed(callbacks.EarlyStopping(**settings), values)[0] == epochs


def test_early_stopping_knows_what_is_better_by_name():
    assert feed(callbacks.EarlyStopping("val_accuracy"), [1, 2, 3, 2], "val_accuracy")[0] == 4
    assert feed(callbacks.EarlyStopping("acc"), [1, 2, 3, 2], "acc")[0] == 4
    assert feed(callbacks.EarlyStopping("val_loss"), [1, 2, 3])[0] == 2


def test_a_metric_of_the_model_tells_what_is_better():
    class Misses(metrics.FunctionMetric):
        _direction = "down"

    names = {"hits": [1, 2, 3, 2], "error_free": [1, 2, 3, 2], "acc": [3, 2, 1, 2]}
    fake = Fake()
    fake.metrics = [
        metrics.Accuracy(name="hits"),
        metrics.BinaryAccuracy(name="error_free"),
        Misses(lambda y, p: 0.0, name="acc"),
    ]
    for name, values in names.items():
        for monitor in (name, f"val_{name}"):
            assert feed(callbacks.EarlyStopping(monitor), values, monitor, fake)[0] == 4
            fake.stop_training = False
    assert feed(callbacks.EarlyStopping("hits", mode="min"), [3, 2, 1, 2], "hits", fake)[0] == 4
    net = model(metrics=["mse", metrics.Accuracy(name="hits")])
    assert [m.name for m in net.metrics] == ["mse", "hits"]
    assert isinstance(net.metrics[0], metrics.MeanSquaredError)


def test_early_stopping_restores_the_best_weights():
    stop = callbacks.EarlyStopping(patience=2, restore_best_weights=True)
    epochs, fake = feed(stop, [3, 1, 2, 2, 0])
    assert (epochs, fake.weights, stop.stopped_epoch, stop.best_epoch) == (4, 1, 3, 1)
    _, fake = feed(stop, [3, 2, 1])
    assert fake.weights == 2  # also at a normal end

    net, seen = model(), []
    watch = callbacks.LambdaCallback(on_epoch_end=lambda e, logs: seen.append(net.get_weights()))
    rising = callbacks.LambdaCallback(on_epoch_end=lambda e, logs: logs.update(rising=e))
    stop = callbacks.EarlyStopping("rising", patience=3, mode="min", restore_best_weights=True)
    fit(net, watch, rising, stop, epochs=9)
    assert len(seen) == 4
    for a, b in zip(net.get_weights(), seen[0], strict=True):
        assert np.array_equal(a, b)


def test_a_value_that_is_not_there_is_told():
    with pytest.warns(RuntimeWarning, match="no 'val_loss' in logs, which have loss"):
        fit(model(), callbacks.EarlyStopping(), epochs=1)


def test_a_direction_that_no_name_tells_is_told():
    stop = callbacks.EarlyStopping(monitor="val_r2")
    with pytest.warns(UserWarning, match="mode: of 'val_r2' a lower value is taken"):
        stop.value({"val_r2": 1.0})
    stop.value({"val_r2": 1.0})  # once
    for name, mode in (("val_r2", "max"), ("val_mae", "auto"), ("val_accuracy", "auto")):
        callbacks.EarlyStopping(monitor=name, mode=mode).value({name: 1.0})


# ---- learning rates


def test_reduce_lr_on_plateau():
    def rates(values, **settings):
        reduce = callbacks.ReduceLROnPlateau(factor=0.5, **settings)
        fake, found = Fake(), []
        reduce.set_model(fake)
        reduce.on_train_begin()
        for epoch, value in enumerate(values):
            logs = {"val_loss": value}
            reduce.on_epoch_end(epoch, logs)
            found.append(logs["learning_rate"])
        return [*found, fake.optimizer.learning_rate]

    assert rates([2, 2, 2, 2], patience=2) == [1, 1, 1, 0.5, 0.5]
    assert rates([float("nan"), 3, 2, 1], patience=2) == [1] * 5
    assert rates([2, 2, 1, 1, 1], patience=2) == [1, 1, 1, 1, 1, 0.5]
    assert rates([2] * 5, patience=1, cooldown=2) == [1, 1, 0.5, 0.5, 0.25, 0.25]
    assert rates([2] * 4, patience=1, min_lr=0.4) == [1, 1, 0.5, 0.4, 0.4]
    assert rates([2, 1.99995, 1.9999], patience=1) == [1, 1, 0.5, 0.25]


def test_a_schedule_sets_the_rate_of_each_epoch():
    net = model()
    history = fit(net, callbacks.LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1)), epochs=3)
    assert history.history["learning_rate"] == [0.1, 0.05, 0.1 / 3]
    fit(net, callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2), epochs=2)
    assert net.optimizer.learning_rate == pytest.approx(0.1 / 12)
    still, moved = net.get_weights(), fit(net, callbacks.LearningRateScheduler(lambda e: 0.0))
    assert all(np.array_equal(a, b) for a, b in zip(still, net.get_weights(), strict=True))
    assert moved.history["loss"][0] == pytest.approx(moved.history["loss"][1], rel=1e-6)
    with pytest.raises(TypeError, match="schedule"):
        callbacks.LearningRateScheduler(0.1)


# ---- the others


def test_what_cannot_work_is_refused_before_training(tmp_path):
    net = model()
    log = callbacks.CSVLogger(tmp_path / "no" / "x.csv")
    with pytest.raises(FileNotFoundError, match="filename: there is no folder"):
        fit(net, log)
    assert net.optimizer.iterations == 0
    with pytest.raises(TypeError, match="on_epoch_end: expected a function, got 3"):
        callbacks.LambdaCallback(on_epoch_end=3)
    with pytest.raises(TypeError, match=r"'on_epoch_ende' .did you mean 'on_epoch_end'"):
        callbacks.LambdaCallback(on_epoch_ende=print)


def test_csv_logger(tmp_path):
    path = tmp_path / "log.csv"
    history = fit(model(), callbacks.CSVLogger(path))
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1"]
    assert [float(row["loss"]) for row in rows] == history.history["loss"]
    fit(model(), callbacks.CSVLogger(path, append=True))
    assert len(path.read_text().splitlines()) == 5
    fit(model(), callbacks.CSVLogger(path, separator=";"))
    assert path.read_text().startswith("epoch;loss\n")


def test_terminate_on_nan(capsys):
    class Diverging(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 2:
                logs["loss"] = math.inf

    net = model()
    history = fit(net, Diverging(), callbacks.TerminateOnNaN())
    # each callback of a batch gets the same logs, in order
    assert net.optimizer.iterations == 3
    assert history.epoch == [0]
    assert "terminating" in capsys.readouterr().out
    with pytest.raises(RuntimeError, match="loss is inf"):
        fit(net, Diverging(), callbacks.TerminateOnNaN(raise_error=True))


def test_an_error_in_a_callback_leaves_the_model_usable():
    class Boom(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 1:
                raise KeyError("boom")

    net = model()
    with pytest.raises(KeyError):
        fit(net, Boom())
    assert net.optimizer.iterations == 2
    weights = net.get_weights()
    twin = model()
    twin.set_weights(weights)
    assert np.array_equal(twin.predict(X), net.predict(X))
    fit(net)


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: callbacks.CSVLogger("x", separator=";;"), ValueError, "separator: expected one"),
        (lambda: callbacks.CSVLogger("x", separator=3), TypeError, "separator: expected a string"),
        (lambda: callbacks.EarlyStopping(baseline="a"), TypeError, "baseline: expected a number"),
        (
            lambda: callbacks.ModelCheckpoint("x", initial_value_threshold="a"),
            TypeError,
            "initial_value_threshold: expected a number",
        ),
        *(
            (lambda name=name: callbacks.ModelCheckpoint(name), ValueError, f"filepath: .*{match}")
            for name, match in [
                ("m{epoch:zz}", "format"),
                ("m-{val_loss:d}.safetensors", "code 'd' for object of type 'float'"),
                ("m-{loss:.2f}-{loss:x}", "code 'x' for object of type 'float'"),
                ("m-{epoch:{width}}", "braces must name a value, .* got {epoch:{width}}"),
                ("m-{epoch:{}}", "braces must name a value"),
            ]
        ),
        (
            lambda: callbacks.ModelCheckpoint("x", save_freq="batch"),
            TypeError,
            'save_freq: expected "epoch" or a number of batches',
        ),
    ],
)
def test_arguments_of_callbacks_are_refused_at_once(make, error, match):
    with pytest.raises(error, match=match):
        make()


@pytest.mark.parametrize("name", ["{epoch:03d}", "{batch:x}", "{val_loss:08.3f}", "{loss!r:>9}"])
def test_formats_that_fit_are_taken(name):
    assert callbacks.ModelCheckpoint(f"m-{name}", save_freq=2).filepath == f"m-{name}"


def test_annotations_can_be_looked_up():
    for name in callbacks.__all__:
        for member in vars(getattr(callbacks, name)).values():
            if inspect.isfunction(member):
                typing.get_type_hints(member)


def test_a_schedule_of_which_python_knows_no_signature():
    assert callbacks.LearningRateScheduler(max).schedule is max
