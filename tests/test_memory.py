"""What `estimate_memory` promises, from the engine's own plan."""

from __future__ import annotations

import threading
import warnings

import numpy as np
import pytest

import pylstm
from pylstm import _memory, layers

ADAM_SLOTS = 2
SCC, CC = "sparse_categorical_crossentropy", "categorical_crossentropy"


def lstm_model():
    return [layers.Input((None, 32)), layers.LSTM(64), layers.Dense(4)]


def stack():
    body = [layers.LSTM(n, return_sequences=True) for n in (96, 80)]
    return [layers.Input((None, 40)), *body, layers.LSTM(50), layers.Dense(3, "softmax")]


def both_ways():
    first = layers.Bidirectional(layers.LSTM(48, return_sequences=True))
    second = layers.Bidirectional(layers.LSTM(33), merge_mode="mul")
    return [layers.Input((None, 40)), first, second, layers.Dense(3)]


def language_model():
    lstm = layers.LSTM(64, return_sequences=True)
    return [layers.Embedding(2000, 32), lstm, layers.Dense(2000, "softmax")]


def dropped():
    lstm = layers.LSTM(40, return_sequences=True, dropout=0.2, recurrent_dropout=0.3)
    return [layers.Embedding(50, 24), lstm, layers.Dropout(0.1), layers.Dense(50, "softmax")]


def padded():
    lstm = layers.LSTM(64, return_sequences=True, go_backwards=True)
    return [layers.Embedding(300, 24, mask_zero=True), lstm, layers.Dense(300, "softmax")]


def dropped_first():
    return [layers.Input((None, 150)), layers.Dropout(0.2), layers.LSTM(20), layers.Dense(3)]


def masked(value=-1.5):
    lstm = layers.LSTM(20, return_sequences=True)
    return [layers.Input((None, 150)), layers.Masking(value), lstm, layers.Dense(3, "tanh")]


def one_row():
    lstm = layers.LSTM(128, return_sequences=True)
    return [layers.Input((None, 16)), lstm, layers.Dense(2, "tanh")]


MODELS = {
    "lstm": (lstm_model, "float32", "mse", 32, 40),
    "stack": (stack, "float32", CC, 16, 30),
    "bidirectional": (both_ways, "float32", "mse", 16, 30),
    "language_model": (language_model, "float32", SCC, 20, 35),
    "dropout_float64": (dropped, "float64", SCC, 12, 20),
    "padded": (padded, "float32", SCC, 20, 35),
    "masking": (masked, "float32", "mse", 20, 35),
    "masking_zero": (lambda: masked(0), "float64", "mse", 20, 35),
    "dropout_first": (dropped_first, "float32", "mse", 20, 35),
    "one_row": (one_row, "float64", "mse", 1, 50),
}


def problem(name):
    """A compiled model, and one batch of the size in the table."""
    make, dtype, loss, batch, steps = MODELS[name]
    rng = np.random.default_rng(0)
    model = pylstm.Sequential(make(), dtype=dtype)
    model.compile("adam", loss)
    shape = tuple(steps if d is None else d for d in model.output_shape[1:])
    first = model.layers[0]
    if isinstance(first, layers.Embedding):
        x = rng.integers(1, 50, (batch, steps))
        x[: batch // 2, 1:] = 0
    else:
        x = rng.normal(size=(batch, steps, first.input_shape[-1])).astype(dtype)
    if isinstance(first, layers.Masking):
        x[0, 0] = first.mask_value
    if loss == SCC:
        return model, x, rng.integers(0, 50, (batch, *shape[:-1]))
    if loss == CC:
        return model, x, np.eye(shape[-1])[rng.integers(0, shape[-1], (batch, *shape[:-1]))]
    return model, x, rng.normal(size=(batch, *shape))


def held(model):
    """The engine's counters."""
    return _memory.MemoryEstimate(**model._network().memory_use())


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("name", MODELS)
def test_a_step_holds_what_was_estimated(name, threads, request):
    """At most that, and little less: a full batch holds nearly all of it."""
    before = pylstm.get_num_threads()
    request.addfinalizer(lambda: pylstm._core.set_num_threads(before))
    pylstm._core.set_num_threads(threads)
    model, x, y = problem(name)
    if name == "padded":
        x = np.maximum(x, 1)
        x[0, 0] = 0
    estimate = model.estimate_memory(*x.shape[:2])
    model.train_on_batch(x, y)
    found = held(model)
    assert found.parameters == estimate.parameters >= 4 * model.count_params()
    assert found.gradients == estimate.gradients == estimate.parameters
    assert found.optimizer == estimate.optimizer == ADAM_SLOTS * estimate.parameters
    assert found.packed_weights == estimate.packed_weights
    assert 0.75 * estimate.workspace <= found.workspace <= estimate.workspace
    assert 0.8 * estimate.total <= found.total <= estimate.total


def test_recurrent_dropout_packs_for_training_what_it_reads():
    """Gates apart, forward and backward, as many values as readers hold: together and apart."""
    lstm = layers.LSTM(64, recurrent_dropout=0.2)
    model = pylstm.Sequential([layers.Input((None, 64)), lstm])
    reading = model.estimate_memory(8, 5, training=False).packed_weights
    both = model.estimate_memory(8, 5).packed_weights
    assert both - reading == pytest.approx(reading, rel=0.01)  # the bias is packed once, not twice


def cut_rows(make, batch, steps, ids=600):
    """The model, and tokens of which one is padding."""
    model = pylstm.Sequential(make())
    model.compile("adam", SCC)
    x = 1 + np.arange(batch * steps).reshape(batch, steps) % (ids - 1)
    x[0, -1] = 0
    return model, x, np.zeros(x.shape, np.int64)


def masked_by_one():
    lstm = layers.LSTM(64, return_sequences=True, dropout=0.2)
    return [layers.Embedding(600, 24, mask_zero=True), lstm, layers.Dense(5, "softmax")]


def two_chunks():
    lstm = layers.LSTM(64, return_sequences=True)
    return [layers.Embedding(600, 8), lstm, layers.Dense(6990, "softmax")]


def half_of_it_repeats():
    lstm = layers.LSTM(64, return_sequences=True)
    return [layers.Embedding(257, 96), lstm, layers.Dense(5, "softmax")]


def few_useful_threads():
    lstm = layers.LSTM(16, return_sequences=True, recurrent_dropout=0.3)
    return [layers.Embedding(600, 16), lstm, layers.Dense(5, "softmax")]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("make", "batch", "steps", "ids"),
    [
        (masked_by_one, 27, 19, 600),
        (two_chunks, 32, 16, 600),
        (half_of_it_repeats, 27, 19, 257),
        (few_useful_threads, 32, 16, 600),
    ],
)
def test_sums_over_rows_that_are_cut_unequally_hold_what_was_estimated(
    make, batch, steps, ids, threads, request
):
    """Just above and below whole blocks of rows, where fewer rows may need more."""
    before = pylstm.get_num_threads()
    request.addfinalizer(lambda: pylstm._core.set_num_threads(before))
    pylstm._core.set_num_threads(threads)
    model, x, y = cut_rows(make, batch, steps, ids)
    estimate = model.estimate_memory(batch, steps)
    model.train_on_batch(x, y)
    assert held(model).workspace <= estimate.workspace


@pytest.mark.parametrize("units", [30, 200, 700])
@pytest.mark.parametrize("threads", [1, 2, 8])
@pytest.mark.parametrize("first", ["numbers", "tokens"])
def test_an_lstm_without_a_bias_holds_what_was_estimated(first, threads, units, request):
    """Its sums over rows have other factors; of tokens that repeat, the factors are apart."""
    before = pylstm.get_num_threads()
    request.addfinalizer(lambda: pylstm.set_num_threads(before))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pylstm.set_num_threads(threads)
    lstm = layers.LSTM(units, use_bias=False)
    stack = [layers.Embedding(20, 40)] if first == "tokens" else [layers.Input((None, 40))]
    model = pylstm.Sequential([*stack, lstm, layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.ones((64, 12) if first == "tokens" else (64, 12, 40), np.int32)
    model.train_on_batch(x, np.ones((64, 1)))
    held, plan = model._core.memory_use(), model.estimate_memory(64, 12)
    assert held["workspace"] <= plan.workspace


@pytest.mark.parametrize("name", MODELS)
def test_a_prediction_holds_what_was_estimated(name):
    model, x, _ = problem(name)
    estimate = model.estimate_memory(*x.shape[:2], training=False)
    assert estimate.gradients == 0
    model.predict(x, batch_size=len(x))
    found = held(model)
    assert found.optimizer == estimate.optimizer
    assert found.packed_weights == estimate.packed_weights
    assert 0.5 * estimate.workspace <= found.workspace <= estimate.workspace


def test_an_lstm_that_writes_results_keeps_less_than_they_are():
    model = pylstm.Sequential([layers.LSTM(64, return_sequences=True)])
    result = model.predict(np.zeros((32, 400, 8), np.float32), batch_size=32)
    assert held(model).workspace < result.nbytes


@pytest.mark.parametrize("sequences", [False, True])
def test_a_last_batch_of_few_rows_holds_no_more(sequences, request):
    """Threads share the units of few large rows, of which h of all steps is kept."""
    before = pylstm.get_num_threads()
    request.addfinalizer(lambda: pylstm._core.set_num_threads(before))
    pylstm._core.set_num_threads(2)
    model = pylstm.Sequential([layers.LSTM(256, return_sequences=sequences)])
    x = np.zeros((40, 400, 8), np.float32)
    model.predict(x, batch_size=32)
    plan = model.estimate_memory(32, 400, training=False)
    assert held(model).workspace <= plan.workspace


@pytest.mark.parametrize("name", MODELS)
def test_padding_and_evaluation_hold_no_more(name):
    model, x, y = problem(name)
    plan = _memory.plan(model._network(), *x.shape[:2], "evaluate")
    model.evaluate(x, y, batch_size=len(x), verbose=0)
    assert held(model).workspace <= plan.workspace
    model.train_on_batch(x, y, sample_weight=np.ones(y.shape[: y.ndim - (y.ndim == 3)][:1]))
    work = model.estimate_memory(*x.shape[:2]).workspace
    assert held(model).workspace <= work + plan.workspace


def test_the_counters_may_be_read_while_a_fit_runs():
    """What they tell is always of a whole buffer: between nothing and the plan."""
    model, x, y = problem("language_model")
    estimate = model.estimate_memory(*x.shape[:2])
    ready, done, seen = threading.Event(), threading.Event(), []

    def read():
        while not done.is_set():
            seen.append(held(model))
            ready.set()

    reader = threading.Thread(target=read)
    reader.start()
    assert ready.wait(30)
    try:
        for _ in range(5):
            model.fit(np.tile(x, (4, 1)), np.tile(y, (4, 1)), len(x), verbose=0)
            model.compile("adam", SCC)  # drops the work space and the slots: they are made again
    finally:
        done.set()
        reader.join(30)
    assert all(0 <= one.workspace <= estimate.workspace for one in seen)
    assert {one.optimizer for one in seen} <= {0, estimate.optimizer}
    assert {one.parameters for one in seen} == {estimate.parameters}


def test_an_estimate_needs_no_compile_and_changes_nothing():
    model = pylstm.Sequential(language_model())
    before = model.get_weights()
    bare = model.estimate_memory(8, 10)
    assert bare.optimizer == 0
    assert bare.gradients == bare.parameters
    model.compile("adam", SCC)
    compiled = model.estimate_memory(8, 10)
    assert compiled.optimizer == ADAM_SLOTS * compiled.parameters
    assert compiled.workspace == bare.workspace  # a last softmax stands for a crossentropy
    assert held(model).workspace == 0
    assert all(map(np.array_equal, before, model.get_weights()))


def test_an_estimate_grows_with_the_batch():
    model = pylstm.Sequential(stack())
    sizes = [model.estimate_memory(b, t).workspace for b, t in ((1, 1), (1, 50), (9, 50), (9, 200))]
    assert sizes == sorted(sizes)
    assert len(set(sizes)) == 4
    big = model.estimate_memory(10**6, 1000)
    assert big.workspace >= 24 * 10**9 * (96 + 80 + 50)
    assert str(big).endswith(" TiB")


def test_steps_may_be_left_out_where_the_model_fixes_them():
    fixed = pylstm.Sequential([layers.Input((7, 3)), layers.LSTM(5)])
    assert fixed.estimate_memory(4) == fixed.estimate_memory(4, 7)
    with pytest.raises(ValueError, match="steps: the model takes 7, got 8"):
        fixed.estimate_memory(4, 8)
    flat = pylstm.Sequential([layers.Input((3,)), layers.Dense(5)])
    assert flat.estimate_memory(4) == flat.estimate_memory(4, 1)
    with pytest.raises(ValueError, match="steps: the model takes 1, got 2"):
        flat.estimate_memory(4, 2)
    with pytest.raises(ValueError, match="steps: expected a number"):
        pylstm.Sequential(stack()).estimate_memory(4)


@pytest.mark.parametrize("value", [0, -1])
@pytest.mark.parametrize("argument", ["batch_size", "steps"])
def test_a_size_below_one_is_refused(argument, value):
    sizes = {"batch_size": 4, "steps": 5, argument: value}
    with pytest.raises(ValueError, match=f"{argument}: expected an integer of at least 1.*{value}"):
        pylstm.Sequential(stack()).estimate_memory(**sizes)


@pytest.mark.parametrize("value", [2.5, "3", True])
@pytest.mark.parametrize("argument", ["batch_size", "steps"])
def test_a_size_that_is_no_integer_is_refused(argument, value):
    sizes = {"batch_size": 4, "steps": 5, argument: value}
    with pytest.raises(TypeError, match=f"{argument}: expected an integer"):
        pylstm.Sequential(stack()).estimate_memory(**sizes)


def test_a_model_that_is_not_built_has_no_estimate():
    with pytest.raises(ValueError, match="the model is not built"):
        pylstm.Sequential([layers.LSTM(4)]).estimate_memory(2, 3)


def test_an_estimate_beyond_all_addresses_is_a_memory_error():
    with pytest.raises(MemoryError, match=r"batch_size 1099511627776 and steps 16777216 .*8 EiB"):
        pylstm.Sequential(stack()).estimate_memory(2**40, 2**24)
    with pytest.raises(MemoryError, match="8 EiB"):
        pylstm.Sequential(stack()).estimate_memory(4, 2**100)


# ---- the workspace of one LSTM layer


def workspace(batch, steps, units, count, dtype):
    """Bytes after a training step of `count` equal LSTM layers."""
    zeros = {"kernel_initializer": "zeros", "recurrent_initializer": "zeros"}  # drawn at once
    stack = [layers.LSTM(units, return_sequences=True, **zeros) for _ in range(count)]
    model = pylstm.Sequential([layers.Input((None, units)), *stack], dtype=dtype)
    model.compile("sgd", "mse")
    x = np.zeros((batch, steps, units), dtype)
    model.train_on_batch(x, x)
    return held(model).workspace


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("batch", "steps", "units"),
    [(32, 40, 128), (20, 15, 650), (64, 30, 32), (1, 100, 512), (2, 150, 256), (16, 5, 1536)],
)
def test_an_lstm_layer_keeps_gates_and_states_and_shares_the_rest(
    batch, steps, units, threads, dtype, request
):
    """For each row and step six values of each unit, four gates, c and h, and initial c and h of
    each row; integers that tell the order of rows. All else serves every layer.
    """
    before = pylstm.get_num_threads()
    request.addfinalizer(lambda: pylstm._core.set_num_threads(before))
    pylstm._core.set_num_threads(threads)
    values = np.dtype(dtype).itemsize * (6 * batch * steps * units + 2 * batch * units)
    order = 8 * (batch * steps + 3 * steps + 2 * batch)
    two, three = (workspace(batch, steps, units, count, dtype) for count in (2, 3))
    assert values <= three - two <= values + order
