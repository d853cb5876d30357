"""Batches from generators, iterables and sequences of batches."""

import numpy as np
import pytest

import pylstm
from pylstm import Sequential, layers, metrics, optimizers

RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 5, 3))
Y = RNG.normal(size=(20, 2))
W = RNG.random(20)


def model():
    pylstm.set_seed(3)
    net = Sequential([layers.LSTM(4), layers.Dense(2)], dtype="float64")
    net.compile(optimizers.SGD(0.1), "mse", metrics=["accuracy"])
    return net


def batches(size=5, weights=False, times=1):
    for _ in range(times):
        for i in range(0, 20, size):
            rows = slice(i, i + size)
            yield (X[rows], Y[rows], W[rows]) if weights else (X[rows], Y[rows])


class Many:
    """An iterable that can be iterated again."""

    def __init__(self, **kwargs):
        self.kwargs = kwargs

    def __iter__(self):
        return batches(**self.kwargs)


class Indexed:
    """A sequence of batches, as Keras' PyDataset."""

    def __init__(self):
        self.asked, self.ends = [], 0

    def __len__(self):
        return 4

    def __getitem__(self, i):
        self.asked.append(i)
        return X[5 * i : 5 * i + 5], Y[5 * i : 5 * i + 5]

    def on_epoch_end(self):
        self.ends += 1


def put_nan(y):
    changed = y.copy()
    changed[2, 1] = np.nan
    return changed


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a.get_weights(), b.get_weights(), strict=True))


def arrays(epochs=1, **kwargs):
    net = model()
    history = net.fit(X, Y, batch_size=5, epochs=epochs, shuffle=False, verbose=0, **kwargs)
    return net, history.history


@pytest.mark.parametrize("weights", [False, True])
def test_batches_train_like_arrays(weights):
    net = model()
    history = net.fit(batches(weights=weights), verbose=0).history
    expected, values = arrays(sample_weight=W if weights else None)
    assert same(net, expected)
    for name, value in values.items():
        assert history[name] == pytest.approx(value, rel=1e-12)


def test_epochs_over_batches():
    expected, values = arrays(epochs=3)
    for source, kwargs in [
        (Many(), {}),
        (list(batches()), {"shuffle": False}),
        (batches(times=3), {"steps_per_epoch": 4}),
        (Many(), {"steps_per_epoch": 4}),
        (Indexed(), {"shuffle": False}),
    ]:
        net = model()
        history = net.fit(source, epochs=3, verbose=0, **kwargs).history
        assert same(net, expected)
        assert history["loss"] == pytest.approx(values["loss"], rel=1e-12)


def test_a_sequence_of_batches_is_shuffled_by_the_seed():
    first, second = Indexed(), Indexed()
    a, b = model(), model()
    for net, source in ((a, first), (b, second)):
        net.fit(source, epochs=3, verbose=0)
    assert same(a, b)
    assert first.asked == second.asked
    orders = [tuple(first.asked[i : i + 4]) for i in (0, 4, 8)]
    assert all(sorted(order) == [0, 1, 2, 3] for order in orders)
    assert len(set(orders)) > 1
    assert first.ends == 3
    c, third = model(), Indexed()
    c.fit(third, epochs=1, verbose=0)
    c.fit(third, epochs=3, initial_epoch=1, verbose=0)
    assert third.asked == first.asked
    assert same(a, c)


def test_an_iterable_that_ends_too_early_ends_training():
    net = model()
    with pytest.warns(RuntimeWarning, match="x: .* ran out: it had no batch for this pass"):
        history = net.fit(batches(), epochs=3, verbose=0)
    assert history.epoch == [0]
    with pytest.warns(RuntimeWarning, match="x: .* ran out: it had 2 of 6 batches"):
        history = net.fit(batches(times=2), epochs=3, steps_per_epoch=6, verbose=0)
    assert history.epoch == [0, 1]
    assert net.optimizer.iterations == 4 + 8


def test_validation_batches_that_have_run_out_give_no_values():
    class Share(metrics.Metric):
        def reset_state(self):
            self.count = 0

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.count += len(y_true)

        def result(self):
            return 1 / self.count

    net = model()
    net.compile("sgd", "mse", metrics=[Share("share")])
    with pytest.warns(RuntimeWarning, match="validation_data: .* ran out: it had no batch"):
        history = net.fit(X, Y, epochs=2, validation_data=batches(), verbose=0).history
    assert [len(history[name]) for name in ("loss", "val_loss", "val_share")] == [2, 1, 1]


def test_validation_evaluation_and_prediction_on_batches():
    net, _ = arrays()
    expected = net.evaluate(X, Y, 5, verbose=0)
    assert net.evaluate(batches(), verbose=0) == pytest.approx(expected, rel=1e-12)
    part = net.evaluate(X[:10], Y[:10], 5, verbose=0)
    assert net.evaluate(batches(), steps=2, verbose=0) == pytest.approx(part, rel=1e-12)
    for source in (batches(), (x for x, _ in batches()), Indexed()):
        assert np.array_equal(net.predict(source), net.predict(X))
    assert np.array_equal(net.predict(batches(), steps=3), net.predict(X[:15]))
    history = net.fit(X, Y, epochs=2, verbose=0, validation_data=Many())
    found = [history.history[f"val_{name}"][-1] for name in ("loss", "accuracy")]
    assert found == pytest.approx(net.evaluate(X, Y, 5, verbose=0), rel=1e-12)


def lists(**kwargs):
    return list(batches(**kwargs))


@pytest.mark.parametrize("source", [Many, lists, Indexed])
def test_a_validation_of_some_batches_begins_with_the_first_each_time(source):
    net = model()
    net.optimizer.learning_rate = 0.0
    expected = net.evaluate(X[:15], Y[:15], 5, verbose=0)[0]
    settings = {"batch_size": 5, "epochs": 3, "verbose": 0}
    history = net.fit(X, Y, validation_data=source(), validation_steps=3, **settings).history
    assert history["val_loss"] == pytest.approx([expected] * 3, rel=1e-12)
    history = net.fit(X, Y, validation_data=source(), validation_steps=9, **settings).history
    whole = net.evaluate(X, Y, 5, verbose=0)[0]
    assert history["val_loss"] == pytest.approx([whole] * 3, rel=1e-12)
    assert net.evaluate(source(), steps=9, verbose=0)[0] == pytest.approx(whole, rel=1e-12)


def test_a_validation_by_a_generator_goes_on():
    net = model()
    net.optimizer.learning_rate = 0.0
    parts = [net.evaluate(X[i : i + 10], Y[i : i + 10], 5, verbose=0)[0] for i in (0, 10)]
    settings = {"epochs": 2, "verbose": 0, "validation_steps": 2}
    history = net.fit(X, Y, validation_data=batches(), **settings).history
    assert history["val_loss"] == pytest.approx(parts, rel=1e-12)


def test_a_validation_split_counts_no_row_twice():
    net = model()
    net.optimizer.learning_rate = 0.0
    settings = {"validation_split": 0.35, "batch_size": 5, "verbose": 0}
    found = [net.fit(X, Y, validation_steps=n, **settings).history["val_loss"] for n in (None, 5)]
    assert found[0] == found[1]


def test_an_object_like_a_py_dataset_is_told_of_epochs():
    """Before its first batch is asked for, which may be another then."""

    class Counting(Indexed):
        """Has a number of batches in place of a length."""

        __len__ = None
        num_batches = np.int64(4)
        begun = 0

        def on_epoch_begin(self):
            assert self.begun == self.ends
            self.begun += 1

        def __getitem__(self, i):
            log.append((self.begun, self.ends))
            return super().__getitem__(i)

    log = []
    source, net = Counting(), model()
    net.fit(source, epochs=2, shuffle=False, verbose=0)
    assert source.asked == [0, 1, 2, 3] * 2
    assert log == [(1, 0)] * 4 + [(2, 1)] * 4
    assert same(net, arrays(epochs=2)[0])
    assert np.array_equal(net.predict(source), net.predict(X))
    net.evaluate(source, verbose=0)
    assert (source.begun, source.ends) == (4, 4)


def test_a_prediction_takes_the_first_part_of_lists_too():
    net, _ = arrays()
    for other in (net, model()):  # the second one is not built
        pairs = ([x, y] for x, y in batches())
        assert np.array_equal(other.predict(pairs), other.predict(X))
    rows = (list(x) for x, _ in batches())
    assert np.array_equal(net.predict(rows), net.predict(X))


def test_batches_of_different_lengths():
    net = model()
    net.fit(((X[:4, :t], Y[:4]) for t in (2, 5, 3)), verbose=0)
    assert net.optimizer.iterations == 3


def test_a_generator_may_use_the_model():
    net = model()

    def harder():
        for x, y in batches():
            yield x, y + net.predict(x)

    net.build((None, None, 3))
    net.fit(harder(), verbose=0)
    assert net.optimizer.iterations == 4


@pytest.mark.parametrize(
    ("source", "kwargs", "error", "match"),
    [
        (lambda: iter([]), {}, ValueError, "gives no batch"),
        (lambda: iter([X]), {}, ValueError, "^x: batch 0: expected"),
        (lambda: iter([(X, Y, W, W)]), {}, ValueError, "tuple of 4"),
        (lambda: iter([(X, Y[:3])]), {}, ValueError, "y: expected 20 rows"),
        (
            lambda: batches(),
            {"y": Y},
            ValueError,
            "y: expected None when .* got a value of type ndarray",
        ),
        (lambda: batches(), {"batch_size": 5}, ValueError, "batch_size: expected None when .* got"),
        (
            lambda: batches(),
            {"sample_weight": W},
            ValueError,
            "sample_weight: expected None .* may be",
        ),
        (lambda: batches(), {"class_weight": {0: 1.0}}, ValueError, "class_weight"),
        (lambda: batches(), {"validation_split": 0.5}, ValueError, "validation_split"),
        (lambda: 5, {"y": Y}, TypeError, "x: expected an array"),
        (lambda: {"a": X}, {"y": Y}, TypeError, "x: expected an array, got dict"),
    ],
)
def test_bad_iterables_are_refused(source, kwargs, error, match):
    net = model()
    with pytest.raises(error, match=match):
        net.fit(source(), verbose=0, **kwargs)
    assert not net.built


def test_a_bad_batch_in_the_middle_leaves_whole_steps():
    net = model()
    bad = X[:5].copy()
    bad[2, 1, 0] = np.nan
    with pytest.raises(ValueError, match="row 2"):
        net.fit(iter([(X[:5], Y[:5]), (bad, Y[:5])]), verbose=0)
    assert net.optimizer.iterations == 1
    net.fit(batches(), verbose=0)


def test_a_bad_batch_is_named_by_its_number():
    good, short, nan = (X[:5], Y[:5]), (X[:5], Y[:3]), (X[:5], put_nan(Y[:5]))
    for bad, error in [
        (short, "y: expected 5 rows, as many as x has; got 3"),
        (nan, "y.*row 2"),
        ((X[:5],), r"expected \(x, y\) or"),
    ]:
        net = model()
        with pytest.raises(ValueError, match=f"^x: batch 2: {error}"):
            net.fit(iter([good, good, bad, good]), verbose=0)
        assert net.optimizer.iterations == 2
        with pytest.raises(ValueError, match=f"^x: batch 1: {error}"):
            net.evaluate(iter([good, bad]), verbose=0)
        with pytest.raises(ValueError, match=f"^validation_data: batch 3: {error}"):
            net.fit(X, Y, validation_data=iter([good, good, good, bad]), verbose=0)
    with pytest.raises(ValueError, match=r"^x: batch 1: x: expected shape \(rows, steps, 3\)"):
        net.predict(iter([X[:5], X[:5, :, :2]]))


def test_a_bad_batch_of_a_sequence_is_named_by_its_index():
    class Bad(Indexed):
        def __getitem__(self, i):
            x, y = super().__getitem__(i)
            return x, y[:3] if i == 2 else y

    net, source = model(), Bad()
    with pytest.raises(ValueError, match=r"^x: batch 2: y"):
        net.fit(source, verbose=0)
    assert source.asked[-1] == 2
    assert source.asked != [0, 1, 2]  # the order was another


def test_a_number_counts_from_where_the_iterable_begins_again():
    class Worse(Many):
        begun = 0

        def __iter__(self):
            self.begun += 1
            for i, (x, y) in enumerate(batches()):
                yield x, y[:3] if (self.begun, i) == (2, 1) else y

    net = model()
    with pytest.raises(ValueError, match=r"^x: batch 1: y"):
        net.fit(Worse(), epochs=3, verbose=0)
    assert net.optimizer.iterations == 5


def test_an_error_in_a_function_names_the_batch():
    net = model()
    net.compile("sgd", lambda t, p: (0.0, p[:3]))
    with pytest.raises(ValueError, match=r"^x: batch 0: loss: .* gradient of shape"):
        net.fit(batches(), verbose=0)


def stateful():
    net = Sequential([layers.LSTM(4, stateful=True), layers.Dense(2)], dtype="float64")
    net.compile("sgd", "mse")
    return net


def test_batches_of_a_stateful_model_are_equal():
    sizes = [slice(0, 5), slice(5, 10), slice(10, 13)]
    message = "^x: batch 2: .*expected 5 rows as in the batch before, got 3"
    pylstm.set_seed(1)
    net = stateful()
    with pytest.raises(ValueError, match=message):
        net.fit(((X[rows], Y[rows]) for rows in sizes), verbose=0)
    pylstm.set_seed(1)
    other = stateful()
    other.fit(((X[rows], Y[rows]) for rows in sizes[:2]), verbose=0)
    for net_ in (net, other):  # weights and states: as the whole batches left them
        net_.fit(X[:5], Y[:5], shuffle=False, verbose=0)
    assert same(net, other)
    for method, source in [
        (net.evaluate, lambda: ((X[rows], Y[rows]) for rows in sizes)),
        (net.predict, lambda: (X[rows] for rows in sizes)),
    ]:
        net.reset_state()
        with pytest.raises(ValueError, match=message):
            method(source(), verbose=0)
        assert net.predict(X[:5]).shape == (5, 2)
    with pytest.raises(ValueError, match=message.replace("x", "validation_data", 1)):
        net.fit(X, Y, validation_data=[(X[r], Y[r]) for r in sizes], verbose=0)
