"""Subclasses that override what the engine never calls are refused."""

import numpy as np
import pytest

from pylstm import Sequential, layers, losses, metrics, optimizers


def compiled(**arguments):
    model = Sequential([layers.Input((3,)), layers.Dense(1)])
    model.compile(**{"optimizer": "sgd", "loss": "mse", **arguments})
    return model


@pytest.mark.parametrize("method", ["call", "__call__", "build", "compute_mask"])
def test_a_layer(method):
    kind = type("Mine", (layers.Dense,), {method: lambda self, *args: None})
    with pytest.raises(TypeError, match=f"layer: Mine overrides {method}, which the engine would"):
        Sequential([layers.Input((3,)), kind(1)])


def test_an_override_two_classes_up_counts():
    class Base(layers.Dense):
        def call(self, inputs):
            return inputs

    class Mine(Base):
        pass

    with pytest.raises(TypeError, match="layer: Mine overrides call"):
        Sequential([layers.Input((3,)), Mine(1)])


def test_a_layer_in_a_wrapper_and_a_cell():
    class Mine(layers.LSTM):
        def call(self, inputs):
            return inputs

    class Cell(layers.LSTMCell):
        def call(self, inputs, states):
            return inputs, states

    with pytest.raises(TypeError, match="layer: Mine overrides call"):
        layers.Bidirectional(Mine(3))
    with pytest.raises(TypeError, match="cell: Cell overrides call"):
        layers.RNN(Cell(3))


def test_a_model():
    class Mine(Sequential):
        def train_step(self, data):
            raise SystemError

    class Named(Sequential):
        def fit(self, *args, **kwargs):
            return super().fit(*args, **kwargs)

    with pytest.raises(TypeError, match="model: Mine overrides train_step"):
        Mine()
    assert Named().name == "sequential"


def test_an_optimizer():
    class Mine(optimizers.Adam):
        def update_step(self, gradient, variable, learning_rate):
            raise SystemError

    class Foreign(optimizers.Optimizer):
        engine_name = "mine"

    with pytest.raises(TypeError, match="optimizer: Mine overrides update_step"):
        compiled(optimizer=Mine())
    with pytest.raises(TypeError, match=r"optimizer: expected one of pylstm's, got Foreign"):
        compiled(optimizer=Foreign(0.1))


def test_a_loss():
    class Mine(losses.MeanSquaredError):
        def call(self, y_true, y_pred):
            raise SystemError

    with pytest.raises(TypeError, match=r"loss: Mine overrides call, .* a function that returns"):
        compiled(loss=Mine())


def test_a_metric():
    class Mine(metrics.BinaryAccuracy):
        def update_state(self, y_true, y_pred, sample_weight=None):
            raise SystemError

    with pytest.raises(TypeError, match="metrics: Mine overrides update_state"):
        compiled(metrics=[Mine()])


def test_the_configuration_of_a_subclass_does_not_change_its_rule():
    class Mine(optimizers.SGD):
        def get_config(self):
            return {"mine": np.ones(3)}

    weights = []
    for kind in (optimizers.SGD, Mine):
        model = compiled(optimizer=kind(0.5, momentum=0.5))
        model.set_weights([np.ones((3, 1)), np.zeros(1)])
        for _ in range(2):
            model.train_on_batch(np.ones((2, 3)), np.zeros((2, 1)))
        weights.append(model.get_weights())
    assert all(map(np.array_equal, *weights))
