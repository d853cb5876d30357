"""Messages that say what to do: of targets, of elements that are no numbers, of Keras' names."""

import numpy as np
import pytest

import pylstm
from pylstm import _checks, _targets, layers
from pylstm._keras_names import INSTEAD

EVERY_STEP, ONE_ROW = "every step set return_sequences=True", "each row set return_sequences=False"
SPARSE, ONE_HOT = "labels use the loss sparse_cat", "one-hot targets use the loss categorical"


@pytest.mark.parametrize(
    ("target", "output", "kind", "advice"),
    [
        ((8, 24), (8, 5, 24), "floats", ONE_ROW),
        ((8, 1), (8, 5, 1), "floats", ONE_ROW),
        ((8,), (8, 5, 1), "floats", ONE_ROW),
        ((8, 12), (8, 12, 12), "floats", ONE_ROW),
        ((8,), (8, 12, 3), "sparse", ONE_ROW),
        ((8, 1), (8, 12, 3), "sparse", ONE_ROW),
        ((8, 12, 1), (8, 1), "floats", EVERY_STEP),
        ((8, 12), (8, 1), "floats", EVERY_STEP),
        ((8, 5, 24), (8, 24), "floats", EVERY_STEP),
        ((8, 12), (8, 3), "sparse", EVERY_STEP),
        ((8, 12, 1), (8, 3), "sparse", EVERY_STEP),
        ((8, 3), (8, 3), "sparse", ONE_HOT),
        ((8, 12, 3), (8, 12, 3), "sparse", ONE_HOT),
        ((8,), (8, 7), "integers", SPARSE),
        ((8, 1), (8, 7), "integers", SPARSE),
        ((8, 12), (8, 12, 3), "integers", SPARSE),
        ((8,), (8, 7), "floats", ""),
        ((8, 5), (8, 24), "floats", ""),
    ],
)
def test_a_target_of_another_shape_is_told_what_to_do(target, output, kind, advice):
    y = np.zeros(target, np.float32 if kind == "floats" else np.int32)
    steps = 5 if target[1:2] == (5,) else 12
    with pytest.raises(ValueError, match=r"y: expected shape \(8,.*, got \(8,") as raised:
        _targets.targets(y, output, 8, kind == "sparse", steps=steps, classes=True)
    assert f"got {target}" in str(raised.value)
    assert advice in str(raised.value)
    assert bool(advice) == (";" in str(raised.value))


@pytest.mark.parametrize(
    ("values", "advice"),
    [
        (np.array(["good", "bad"]), "map words and labels to integers first"),
        (np.array(["good", "bad"], object), "of type str; map words"),
        (np.array([1.5, 2], object), r"of type float; convert it, with astype\(float\)"),
        (np.array([[1, 2], [3]], object), "of type list; pad the rows to one length first"),
        (np.array([1j]), "dtype complex128$"),
    ],
)
def test_elements_that_are_no_numbers_are_told_what_to_do(values, advice):
    with pytest.raises(TypeError, match=f"y: expected real numbers.*{advice}"):
        _checks.array("y", values)


@pytest.mark.parametrize(
    ("module", "name", "instead"),
    [
        (layers, "TimeDistributed", "layers.Dense and layers.Dropout act on every step"),
        (pylstm, "Model", "pylstm.Sequential"),
        (pylstm.callbacks, "TensorBoard", "callbacks.CSVLogger"),
        (pylstm.metrics, "AUC", "a function"),
        (pylstm.optimizers, "schedules", "LearningRateScheduler"),
    ],
)
def test_a_name_that_only_keras_has_is_told_what_to_do_instead(module, name, instead):
    with pytest.raises(AttributeError, match=f"lacks '{name}', which Keras has: .*{instead}"):
        getattr(module, name)
    with pytest.raises(AttributeError, match=r"has no attribute 'Qwerty'$"):
        _ = module.Qwerty
    assert not any(hasattr(module, other) for other in INSTEAD)


@pytest.mark.parametrize(
    ("module", "name", "near"),
    [
        (pylstm.layers, "LTSM", "LSTM"),
        (pylstm.optimizers, "Adm", "Adam"),
        (pylstm.losses, "MeanSquareError", "MeanSquaredError"),
        (pylstm.initializers, "GlorotNormall", "GlorotNormal"),
        (pylstm.models, "sequential", "Sequential"),
    ],
)
def test_a_misspelt_name_of_a_module_gets_the_nearest(module, name, near):
    with pytest.raises(AttributeError, match=rf"no attribute '{name}' \(did you mean '{near}'\?\)"):
        getattr(module, name)


@pytest.mark.parametrize(
    ("steps", "classes", "kind", "advice"),
    [(2, True, "floats", EVERY_STEP), (3, True, "floats", ""), (3, False, "integers", "")],
)
def test_advice_on_targets_looks_at_the_input_and_the_loss(steps, classes, kind, advice):
    """Two columns for one output are steps if the input has as many; whole numbers are labels
    if the loss is one of classes."""
    y = np.zeros((8, 2) if kind == "floats" else (8,), np.float32 if kind == "floats" else np.int32)
    output = (8, 1) if kind == "floats" else (8, 7)
    with pytest.raises(ValueError, match="expected shape") as raised:
        _targets.targets(y, output, 8, False, steps=steps, classes=classes)
    assert bool(advice) == (";" in str(raised.value))
    assert advice in str(raised.value)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (pylstm.metrics, "RootMeanSquaredError"),
        (pylstm.metrics, "MeanAbsolutePercentageError"),
        (pylstm.losses, "CategoricalFocalCrossentropy"),
        (pylstm.optimizers, "Nadam"),
        (pylstm.layers, "GaussianDropout"),
        (pylstm, "activations"),
    ],
)
def test_a_name_that_only_keras_has_gets_no_other_in_its_place(module, name):
    with pytest.raises(AttributeError) as raised:
        getattr(module, name)
    assert f"{module.__name__} lacks '{name}', which Keras has: " in str(raised.value)
    assert "did you mean" not in str(raised.value)


def test_advice_on_targets_that_were_not_given():
    x, y = np.zeros((4, 5, 3)), np.zeros((4, 1))
    model = pylstm.Sequential([layers.LSTM(2), layers.Dense(1)])
    model.compile("sgd", "mse")
    for pair in ((x, y), [x, y]):
        with pytest.raises(ValueError, match=r"y: .*got None; give x and y as two arguments"):
            model.fit(pair)
    for rows in ([[[1], [1, 2]], [[3], [4]]], []):
        with pytest.raises(ValueError, match=r"y: expected targets, got None$"):
            model.fit(rows)


def test_a_class_in_place_of_a_layer_is_named():
    with pytest.raises(TypeError, match=r"layer: expected a pylstm.layers.LSTM, got the class LST"):
        layers.Bidirectional(layers.LSTM)


def test_features_for_an_embedding_are_told_what_it_takes() -> None:
    model = pylstm.Sequential([layers.Embedding(5, 2), layers.LSTM(2)])
    with pytest.raises(ValueError, match=r"x: .*got \(4, 3, 5\); an Embedding takes token ids"):
        model.predict(np.zeros((4, 3, 5)))


@pytest.mark.parametrize(
    ("activation", "loss", "match"),
    [
        ("softmax", "binary_crossentropy", "softmax over the one unit"),
        ("sigmoid", "sparse_categorical_crossentropy", "Sparse.* knows label 0 alone"),
        ("sigmoid", "categorical_crossentropy", "CategoricalCrossentropy knows one class alone"),
    ],
)
def test_one_unit_for_classes_is_told_of_binary_crossentropy(activation, loss, match) -> None:
    model = pylstm.Sequential([layers.Input((3,)), layers.Dense(1, activation=activation)])
    with pytest.warns(UserWarning, match=f"{match}.* loss binary_crossentropy"):
        model.compile("sgd", loss, metrics=pylstm.metrics.Accuracy())


@pytest.mark.parametrize(
    ("activation", "loss"),
    [
        ("softmax", pylstm.losses.SparseCategoricalCrossentropy),
        ("sigmoid", pylstm.losses.BinaryCrossentropy),
    ],
)
def test_logits_from_an_activation_are_told_of(activation, loss):
    model = pylstm.Sequential([layers.Input((3,)), layers.Dense(4, activation=activation)])
    with pytest.warns(UserWarning, match=rf"{loss.__name__}\(from_logits=True\) takes logits, but"):
        model.compile("sgd", loss(from_logits=True))


def test_a_dict_by_outputs_is_told_that_there_is_one():
    model = pylstm.Sequential([layers.Input((3,)), layers.Dense(1, name="out")])
    with pytest.raises(TypeError, match="metrics: expected a list, as a model has one output"):
        model.compile("sgd", "mse", metrics={"out": "mae"})
    with pytest.raises(TypeError, match=r"loss: .* none by outputs, as a model has one"):
        model.compile("sgd", loss={"out": "mse"})


def test_load_model_is_where_keras_has_it():
    from pylstm.models import load_model

    assert load_model is pylstm.load_model


def test_a_metric_class_that_cannot_work_is_told_what_it_lacks():
    class Own(pylstm.metrics.Metric):
        def reset_state(self):
            pass

        def update_state(self, y_true, y_pred, sample_weight=None):
            pass

        def result(self):
            return 0.0

    class Nameless(Own):
        def __init__(self):
            self.total = 0.0

    class Narrow(Own):
        def update_state(self, y_true, y_pred):
            pass

    assert pylstm.metrics.get(Own("own")).name == "own"
    with pytest.raises(TypeError, match=r"^metrics: Nameless.__init__ must call super"):
        pylstm.metrics.get(Nameless())
    with pytest.raises(TypeError, match=r"^metrics: Narrow.update_state must take \(y_true, y"):
        pylstm.metrics.get(Narrow())
