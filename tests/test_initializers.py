"""Initial weights: Keras' defaults, their statistics, and their seeds."""

import numpy as np
import pytest

from pylstm import initializers, layers


def test_initial_weights_are_keras_defaults():
    layer = layers.LSTM(16)
    layer.build((None, None, 5))
    kernel, recurrent, bias = (w.astype("f8") for w in layer.get_weights())
    limit = np.sqrt(6 / (5 + 64))
    assert 0.9 * limit < np.abs(kernel).max() <= limit
    np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(16), atol=1e-6)
    assert bias.reshape(4, 16).tolist() == [[0] * 16, [1] * 16, [0] * 16, [0] * 16]
    table = layers.Embedding(500, 8)
    table.build((None, None))
    assert 0.045 < np.abs(table.get_weights()[0]).max() <= 0.05


def test_bias_initializer_fills_the_other_gates():
    layer = layers.LSTM(2, bias_initializer="ones", unit_forget_bias=False)
    layer.build((None, None, 1))
    assert layer.get_weights()[2].tolist() == [1.0] * 8
    layer = layers.LSTM(2, bias_initializer=initializers.Constant(3.0))
    layer.build((None, None, 1))
    assert layer.get_weights()[2].tolist() == [3, 3, 1, 1, 3, 3, 3, 3]
    assert len(layers.LSTM(2, use_bias=False).specs((None, None, 1))) == 2


@pytest.mark.parametrize(
    ("name", "variance"),
    [
        ("glorot_uniform", 2 / 500),
        ("glorot_normal", 2 / 500),
        ("he_uniform", 2 / 200),
        ("he_normal", 2 / 200),
        ("lecun_uniform", 1 / 200),
        ("lecun_normal", 1 / 200),
        ("random_uniform", 0.1**2 / 12),
        ("random_normal", 0.05**2),
    ],
)
def test_initializers_have_their_variance(name, variance):
    values = initializers.get(name).draw((200, 300), 3, 0)
    # 60,000 values: the sample's variance is within 5 standard errors, sqrt(2 / n) each
    assert abs(values.var() / variance - 1) < 5 * np.sqrt(2 / values.size)
    assert abs(values.mean()) < 5 * np.sqrt(variance / values.size)


def test_initializers_repeat_only_with_a_seed():
    seeded, free = initializers.GlorotUniform(seed=3), initializers.GlorotUniform()
    assert np.array_equal(seeded((4, 4)), seeded((4, 4)))
    assert not np.array_equal(free((4, 4)), free((4, 4)))
    for initializer in (seeded, initializers.Orthogonal(2.0), initializers.RandomNormal(1.0)):
        again = initializers.deserialize(initializers.serialize(initializer))
        assert initializers.serialize(again) == initializers.serialize(initializer)
    tall = initializers.Orthogonal(2.0)((9, 4), "float64")
    np.testing.assert_allclose(tall.T @ tall, 4 * np.eye(4), atol=1e-12)
