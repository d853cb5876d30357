"""Bad input: a typed error that names the argument, what was expected and what came; no change."""

import re

import numpy as np
import pytest

import pylstm
from pylstm import Sequential, layers

X = np.random.default_rng(0).normal(size=(8, 5, 3))
Y = np.random.default_rng(1).normal(size=(8, 2))
IDS = np.random.default_rng(2).integers(0, 9, (8, 5))


def regression(compiled=True):
    model = Sequential([layers.Input((None, 3)), layers.LSTM(4), layers.Dense(2)])
    if compiled:
        model.compile("adam", "mse", metrics=["mae"])
    return model


def one_feature():
    model = Sequential([layers.Input((None, 1)), layers.LSTM(4), layers.Dense(2)])
    model.compile("adam", "mse")
    return model


def language():
    model = Sequential(
        [
            layers.Embedding(9, 3),
            layers.LSTM(4, return_sequences=True),
            layers.Dense(9, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def one_label():
    model = Sequential(
        [layers.Embedding(9, 3), layers.LSTM(3), layers.Dense(9, activation="softmax")]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def yes_or_no():
    model = Sequential([layers.Input((None, 3)), layers.LSTM(4), layers.Dense(1, "sigmoid")])
    model.compile("adam", "binary_crossentropy")
    return model


def put(array, index, value):
    changed = np.array(array, dtype=np.result_type(array, np.asarray(value)))
    changed[index] = value
    return changed


YES = np.linspace(0, 1, 8)[:, None]  # soft targets, and both ends
BIG = np.full((8, 5), 2**64 - 1, dtype="u8")
RAGGED = [[[0.0] * 3] * 5] * 2 + [[[0.0] * 3] * 4] + [[[0.0] * 3] * 5] * 5

# (model, x, y, keyword arguments of fit, error, message)
FIT = [
    # types
    (regression, X.astype(object), Y, {}, TypeError, "x: expected real numbers.*object"),
    (regression, X.astype(str), Y, {}, TypeError, "x: expected real numbers.*<U"),
    (regression, X.astype(complex), Y, {}, TypeError, "x: expected real numbers.*complex128"),
    (regression, X.astype("M8[s]"), Y, {}, TypeError, "x: expected real numbers.*datetime64"),
    (regression, np.ma.masked_array(X), Y, {}, TypeError, "x: got a masked array"),
    (regression, None, Y, {}, TypeError, "x: expected an array, got NoneType"),
    (regression, "text", Y, {}, TypeError, "x: expected an array, got str"),
    (regression, X, Y.astype(object), {}, TypeError, "y: expected real numbers"),
    (regression, X, None, {}, ValueError, "y: expected targets, got None"),
    # shapes
    (regression, X[:, 0], Y, {}, ValueError, r"x: expected shape \(rows, steps, 3\), got \(8, 3\)"),
    (one_feature, X[..., 0], Y, {}, ValueError, r"got \(8, 5\); for one feature a step write"),
    (regression, X[..., :2], Y, {}, ValueError, r"\(rows, steps, 3\), got \(8, 5, 2\)"),
    (regression, X[..., None], Y, {}, ValueError, r"got \(8, 5, 3, 1\)"),
    (regression, np.float64(1), Y, {}, (TypeError, ValueError), "x"),
    (regression, RAGGED, Y, {}, ValueError, r"x: row 2 has shape \(4, 3\), row 0.*pad"),
    (regression, [[[1.0, 2.0, 3.0], [1.0]]], Y, {}, ValueError, "x: row 0 is ragged itself"),
    (language, [[1, 2], [3]], IDS, {}, ValueError, r"x: row 1 has shape \(1,\), row 0 has \(2,\)"),
    (regression, X[:0], Y[:0], {}, ValueError, r"x: expected at least one row.*\(0, 5, 3\)"),
    (regression, X[:, :0], Y, {}, ValueError, "at least one row and one step"),
    (regression, X, Y[:7], {}, ValueError, "y: expected 8 rows, as many as x has; got 7"),
    (regression, X, Y[:, :1], {}, ValueError, r"y: expected shape \(8, 2\), got \(8, 1\)"),
    (language, IDS, IDS[:, :4], {}, ValueError, r"y: expected shape \(8, 5\), got \(8, 4\)"),
    (one_label, IDS, IDS, {}, ValueError, r"y: expected shape \(8,\), got .*return_sequences=True"),
    (language, IDS, np.eye(9)[IDS], {}, ValueError, "categorical_crossentropy"),
    (regression, X, IDS[:, 0], {}, ValueError, r"expected shape \(8, 2\), got \(8,\)$"),
    # values
    (regression, put(X, (3, 2, 1), np.nan), Y, {}, ValueError, "x.*nan.*row 3, step 2, feature 1"),
    (regression, put(X, (7, 4, 0), np.inf), Y, {}, ValueError, "x.*inf.*row 7, step 4, feature 0"),
    (regression, X, put(Y, (5, 1), np.nan), {}, ValueError, "y.*nan.*row 5"),
    (regression, put(X, [3, 7], np.nan), Y, {}, ValueError, "x.*nan.*row 3, step 0, feature 0"),
    (language, put(IDS, [2, 6], 9), IDS, {}, IndexError, "x.*got 9 at row 2, step 0"),
    (regression, X, put(Y, [5, 7], np.inf), {}, ValueError, "y.*inf.*row 5"),
    (language, put(IDS, (2, 3), 9), IDS, {}, IndexError, "x.*from 0 to 8, got 9 at row 2, step 3"),
    (language, put(IDS, (2, 3), -1), IDS, {}, IndexError, "x.*got -1 at row 2, step 3"),
    (language, put(IDS, (0, 0), 2**40), IDS, {}, IndexError, "x.*row 0, step 0"),
    (language, put(IDS, (0, 0), 1e300), IDS, {}, IndexError, r"x.*got 1e\+300 at row 0, step 0"),
    (language, put(IDS, (0, 0), np.inf), IDS, {}, IndexError, "x.*got inf at row 0, step 0"),
    (language, BIG, IDS, {}, IndexError, "x.*got 18446744073709551615 at row 0, step 0"),
    (language, put(IDS, (1, 4), 1.5), IDS, {}, ValueError, "x.*whole.*1.5.*row 1, step 4"),
    (language, put(IDS, (1, 4), np.nan), IDS, {}, ValueError, "x.*row 1, step 4"),
    (language, IDS, put(IDS, (6, 1), 9), {}, IndexError, "y.*from 0 to 8, got 9 at row 6, step 1"),
    (language, IDS, put(IDS, (6, 1), 0.5), {}, ValueError, "y.*whole.*row 6, step 1"),
    (yes_or_no, X, put(Y[:, 0] > 0, 6, 2), {}, ValueError, r"y: binary.* 0 to 1, got 2 at \(6,\)"),
    (yes_or_no, X, put(YES, (3, 0), -1), {}, ValueError, r"y: binary.*got -1.0 at \(3, 0\)"),
    (yes_or_no, X, put(YES, (3, 0), 1.001), {}, ValueError, r"y: binary.*got 1.001 at \(3, 0\)"),
    # weights
    (regression, X, Y, {"sample_weight": np.ones(7)}, ValueError, r"sample_weight.*\(8,\).*\(7,\)"),
    (regression, X, Y, {"sample_weight": np.ones((8, 5))}, ValueError, "sample_weight"),
    (language, IDS, IDS, {"sample_weight": np.ones((8, 4))}, ValueError, r"\(8, 5\), got \(8, 4\)"),
    (
        regression,
        X,
        Y,
        {"sample_weight": put(np.ones(8), 3, np.nan)},
        ValueError,
        r"sample_weight.*nan at \(3,\)",
    ),
    (regression, X, Y, {"sample_weight": ["a"] * 8}, TypeError, "sample_weight"),
    (language, IDS, IDS, {"class_weight": [1, 2]}, TypeError, "class_weight"),
    (language, IDS, IDS, {"class_weight": {"a": 2}}, TypeError, "class_weight: .*keys.* got 'a'"),
    (language, IDS, IDS, {"class_weight": {1.0: 2}}, TypeError, "class_weight: .*keys.* got 1.0"),
    (language, IDS, IDS, {"class_weight": {-1: 2}}, ValueError, "class_weight: .*keys.* got -1"),
    (language, IDS, IDS, {"class_weight": {9: 2}}, ValueError, "classes 0 to 8, got 9"),
    (regression, X, Y, {"class_weight": {2: 2}}, ValueError, "class_weight.*classes 0 to 1, got 2"),
    (yes_or_no, X, Y[:, 0] > 0, {"class_weight": {2: 2}}, ValueError, "classes 0 to 1, got 2"),
    (language, IDS, IDS, {"class_weight": {0: np.nan}}, ValueError, r"class_weight\[0\]: .*finite"),
    (
        regression,
        X,
        Y,
        {"class_weight": {0: 1}, "sample_weight": np.ones(8)},
        ValueError,
        "class_weight, sample_weight",
    ),
    # numbers
    (regression, X, Y, {"batch_size": 2**63}, ValueError, "batch_size: .*at most 2147483647"),
    (regression, X, Y, {"batch_size": 2.5}, TypeError, "batch_size"),
    (regression, X, Y, {"epochs": -1}, ValueError, "epochs"),
    (regression, X, Y, {"initial_epoch": 1.5}, TypeError, "initial_epoch"),
    (regression, X, Y, {"steps_per_epoch": 0}, ValueError, "steps_per_epoch"),
    (regression, X, Y, {"validation_split": 1.0}, ValueError, "validation_split"),
    (regression, X, Y, {"validation_split": 0.95}, ValueError, "validation_split: 0.95 of 8 rows"),
    (regression, X, Y, {"validation_data": X}, TypeError, "validation_data"),
    (regression, X, Y, {"validation_data": (X,)}, ValueError, "^validation_data: expected"),
    (regression, X, Y, {"validation_data": (X, Y[:3])}, ValueError, "^validation_data: y: exp.* 8"),
    (regression, X, Y, {"validation_data": (X[..., 1], Y)}, ValueError, "^validation_data: x: exp"),
    (
        regression,
        X,
        Y,
        {"validation_data": (X, Y, np.ones(3))},
        ValueError,
        r"^validation_data: sample_weight: expected shape \(8,\), got \(3,\)",
    ),
    (regression, X, Y, {"validation_freq": 0}, ValueError, "validation_freq"),
    (regression, X, Y, {"verbose": 3}, ValueError, "verbose"),
    (regression, X, Y, {"tbptt": 0}, ValueError, "tbptt"),
]


@pytest.mark.parametrize(
    ("make", "x", "y", "kwargs", "error", "match"),
    FIT,
    ids=[f"{i}-{case[-1][:24]}" for i, case in enumerate(FIT)],
)
def test_fit_refuses_and_changes_nothing(make, x, y, kwargs, error, match, capfd):
    model = make()
    before = model.get_weights()
    with pytest.raises(error) as caught:
        model.fit(x, y, **{"verbose": 0, **kwargs})
    assert re.search(match, str(caught.value), re.DOTALL), str(caught.value)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert model.optimizer.iterations == 0
    assert model.history is None
    assert capfd.readouterr() == ("", "")
    if make is regression:
        model.fit(X, Y, verbose=0)
    elif make is yes_or_no:
        model.fit(X, YES, verbose=0)


@pytest.mark.parametrize(
    ("value", "match"),
    [
        (np.nan, r"y: expected finite numbers, got nan at \(2, 1\)"),
        (-np.inf, r"y: expected finite numbers, got -inf at \(2, 1\)"),
        (1e39, r"y: expected finite numbers that float32 can hold, got 1e\+39 at \(2, 1\)"),
    ],
)
def test_targets_of_a_loss_written_in_python_are_checked(value, match):
    model = regression()
    model.compile("sgd", lambda t, p: (0.0, np.zeros_like(p)))
    y = put(put(Y, (2, 1), value), (5, 0), np.nan)
    for method in (model.fit, model.evaluate, model.train_on_batch):
        with pytest.raises(ValueError, match=match):
            method(X, y)
    model.fit(X, Y.astype(np.float16), verbose=0)


@pytest.mark.parametrize("method", ["evaluate", "train_on_batch", "test_on_batch"])
def test_the_other_methods_with_targets_check_as_fit_does(method):
    for make, x, y, kwargs, error, match in FIT:
        if not set(kwargs) <= {"sample_weight"}:
            continue
        model = make()
        before = model.get_weights()
        with pytest.raises(error) as caught:
            getattr(model, method)(x, y, **kwargs)
        assert re.search(match, str(caught.value), re.DOTALL), str(caught.value)
        assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize(
    ("make", "x", "error", "match"),
    [(make, x, error, match) for make, x, _, _, error, match in FIT if match.startswith("x")],
)
def test_predict_checks_all_but_finite_numbers(make, x, error, match):
    model = make()
    if make is regression and "feature" in match:
        assert model.predict(x).shape == (8, 2)
        return
    with pytest.raises(error) as caught:
        model.predict(x)
    assert re.search(match, str(caught.value), re.DOTALL), str(caught.value)


@pytest.mark.parametrize("bad", [put(X, (1, 1, 1), np.nan), X[:0], X.astype(object), X[:, :0]])
def test_bad_data_does_not_build_a_model(bad):
    pylstm.set_seed(1)
    model = Sequential([layers.LSTM(4), layers.Dense(2)])
    model.compile("adam", "mse")
    with pytest.raises((ValueError, TypeError)):
        model.fit(bad, Y[: len(bad)], verbose=0)
    assert not model.built
    other = np.ones((8, 5, 7))
    model.fit(other, Y, verbose=0)
    assert model.input_shape == (None, None, 7)


def test_what_is_not_ready_says_so():
    with pytest.raises(RuntimeError, match="not compiled"):
        regression(compiled=False).fit(X, Y)
    with pytest.raises(RuntimeError, match="not compiled"):
        regression(compiled=False).evaluate(X, Y)
    lossless = regression(compiled=False)
    lossless.compile("adam")
    with pytest.raises(
        ValueError, match="loss: the model was compiled without one; call compile with a loss"
    ):
        lossless.fit(X, Y)
    empty = Sequential()
    empty.compile("adam", "mse")
    with pytest.raises(ValueError, match="no layers"):
        empty.fit(X, Y)
    with pytest.raises(ValueError, match="no layers"):
        empty.predict(X)
    with pytest.raises(ValueError, match="not built"):
        Sequential([layers.LSTM(3)]).get_weights()
    with pytest.raises(ValueError, match="no layers"):
        Sequential().pop()


@pytest.mark.parametrize(
    ("settings", "error", "match"),
    [
        ({"optimizer": "adma"}, ValueError, r"optimizer: unknown 'adma' \(did you mean 'adam'"),
        ({"optimizer": 3}, TypeError, "optimizer"),
        ({"loss": "mean_square_error"}, ValueError, "did you mean 'mean_squared_error'"),
        ({"metrics": ["acuracy"]}, ValueError, "did you mean 'accuracy'"),
        ({"metrics": ["mae", "mae"]}, ValueError, "same name"),
        ({"metrics": 3}, TypeError, "metrics"),
        ({"loss": "sparse_crossentropy"}, ValueError, "mean 'sparse_categorical_crossentropy'"),
        ({"loss": "crossentropy"}, ValueError, "'categorical_crossentropy' or 'sparse_"),
        ({"loss": "huber"}, ValueError, "'huber' is a name of Keras that pylstm lacks"),
        ({"optimizer": "Adamax"}, ValueError, "'Adamax' is a name of Keras that pylstm lacks"),
        ({"loss": {"out": "mse"}}, TypeError, "loss: of dicts only .*the keys 'out'"),
        ({"metrics": {"out": "mse"}}, TypeError, "metrics: expected a list.*the keys 'out'"),
        ({"loss_weights": [1.0]}, ValueError, "loss_weights"),
        ({"weighted_metrics": ["accuracy"]}, ValueError, "weighted_metrics"),
        ({"colour": "red"}, TypeError, "colour"),
    ],
)
def test_compile_refuses(settings, error, match):
    model = regression()
    with pytest.raises(error, match=match):
        model.compile(**{"optimizer": "adam", "loss": "mse", **settings})
    model.fit(X, Y, verbose=0)


def test_keras_settings_without_meaning_are_accepted():
    model = regression()
    model.compile(
        "adam",
        "mse",
        run_eagerly=True,
        steps_per_execution=4,
        jit_compile=False,
        auto_scale_loss=False,
        loss_weights=None,
    )
    model.fit(X, Y, verbose=0)


def test_set_weights_refuses_and_changes_nothing():
    model = regression()
    before = model.get_weights()
    for weights, error, match in [
        (before[:-1], ValueError, "expected 5 arrays .*dense/bias.*got 4"),
        ([*before[:-1], np.zeros(3)], ValueError, r"dense/bias.*expected shape \(2,\), got \(3,\)"),
        ([before[0].T, *before[1:]], ValueError, "lstm/kernel"),
        ([before[0].astype(object), *before[1:]], TypeError, "lstm/kernel"),
        (np.zeros(3), TypeError, "list"),
    ]:
        with pytest.raises(error, match=match):
            model.set_weights(weights)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize(
    ("prompt", "settings", "error", "match"),
    [
        ([9], {}, IndexError, "prompt.*from 0 to 8, got 9"),
        ([-1], {}, IndexError, "prompt.*got -1"),
        (np.full(1, 2**64 - 1, np.uint64), {}, IndexError, "prompt.*got 18446744073709551615"),
        ([], {}, ValueError, "prompt.*at least one"),
        (3, {}, TypeError, "prompt"),
        ("text", {}, TypeError, "prompt"),
        ([0.5], {}, ValueError, "prompt: expected integers"),
        ([True], {}, TypeError, "prompt: expected integers"),
        ([np.inf], {}, ValueError, "prompt: expected finite numbers"),
        ([1], {"max_new_tokens": -1}, ValueError, "max_new_tokens"),
        ([1], {"max_new_tokens": 2**70}, ValueError, "max_new_tokens: .*at most"),
        ([1], {"temperature": -1.0}, ValueError, "temperature"),
        ([1], {"temperature": float("nan")}, ValueError, "temperature"),
        ([1], {"top_k": -1}, ValueError, "top_k"),
        ([1], {"top_p": 0.0}, ValueError, "top_p"),
        ([1], {"top_p": 1.5}, ValueError, "top_p"),
        ([1], {"seed": -1}, ValueError, "seed"),
    ],
)
def test_generate_refuses(prompt, settings, error, match):
    with pytest.raises(error, match=match):
        language().generate(prompt, **{"max_new_tokens": 3, **settings})
    with pytest.raises(ValueError, match="first layer is an Embedding, got lstm"):
        regression().generate([1], 3)


def test_models_and_seeds_refuse():
    for make, error, match in [
        (lambda: Sequential(dtype="float16"), ValueError, "dtype"),
        (lambda: Sequential(layers.LSTM(3)), TypeError, "list"),
        (lambda: Sequential([layers.LSTM]), TypeError, "expected a pylstm layer"),
        (lambda: Sequential(name="a/b"), ValueError, "name"),
        (lambda: layers.LSTM(2**29), ValueError, "units: expected at most 536870911"),
        (lambda: layers.Dense(2**31), ValueError, "units: expected at most 2147483647"),
        (lambda: layers.Input(60), TypeError, "^shape: expected a tuple"),
        (lambda: layers.Input(()), ValueError, "^shape: expected the sizes of a row"),
        (lambda: layers.Input((64, 10, 3)), ValueError, r"^shape: .*one row.* got \(64, 10, 3\)"),
        (lambda: layers.Input(batch_shape=(None,)), ValueError, "^batch_shape: expected the sizes"),
        (lambda: regression().fit(X, Y, batchsize=3), TypeError, r"^Sequential\.fit\(\) got an"),
        (lambda: regression().save(3), TypeError, "^filepath: expected a string or a path"),
        (lambda: pylstm.load_model(3), TypeError, "^filepath: expected a string or a path"),
        (
            lambda: Sequential([layers.Embedding(5, 3), layers.LSTM(3), layers.LSTM(3)]),
            ValueError,
            "layer 'lstm_1': .*layer 'lstm' before it needs return_sequences=True",
        ),
        (lambda: Sequential(trainable="no"), TypeError, "trainable"),
        (lambda: pylstm.set_seed(-1), ValueError, "seed"),
        (lambda: pylstm.set_seed(1.5), TypeError, "seed"),
        (lambda: pylstm.set_seed(2**63), ValueError, "seed"),
        (lambda: pylstm.set_num_threads(0), ValueError, "at least 1"),
        (lambda: pylstm.use_isa("pentium"), ValueError, "pentium"),
    ]:
        with pytest.raises(error, match=match):
            make()


@pytest.mark.parametrize(
    ("base", "missing"),
    [
        (pylstm.metrics.Metric, "result"),
        (pylstm.metrics.Metric, "reset_state"),
        (pylstm.metrics.Metric, "update_state"),
        (pylstm.initializers.Initializer, "draw"),
        (pylstm.layers.Layer, "compute_output_shape"),
    ],
)
def test_a_subclass_that_lacks_a_method_is_told_its_name(base, missing):
    methods = {name: lambda self: None for name in base.__abstractmethods__ - {missing}}
    with pytest.raises(TypeError, match=f"abstract class Mine with.* method '?{missing}"):
        type(base)("Mine", (base,), methods)()
