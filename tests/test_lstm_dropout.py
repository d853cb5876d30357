"""The masks of an LSTM's dropout, read off its outputs."""

import numpy as np

from pylstm import layers

SMALL = 1e-4  # tanh(tanh(z)) is z to 1e-8 of it there


def open_lstm(units, recurrent, **dropout):
    """An LSTM without gates: h is tanh(tanh(z)), where z = SMALL x + recurrent h."""
    layer = layers.LSTM(units, return_sequences=True, dtype="float64", seed=4, **dropout)
    layer.build((None, None, units))
    candidate, identity = slice(2 * units, 3 * units), np.eye(units)
    kernel, recurrent_kernel, bias = (np.zeros_like(w) for w in layer.get_weights())
    kernel[:, candidate], recurrent_kernel[:, candidate] = SMALL * identity, recurrent * identity
    bias[:] = 50.0  # a sigmoid of 1
    bias[units : 2 * units], bias[candidate] = -50.0, 0.0
    layer.set_weights([kernel, recurrent_kernel, bias])
    return layer


def check_mask(mask):
    """That of rate 0.5: another one for each row."""
    assert np.all(np.isclose(mask, 0) | np.isclose(mask, 2, rtol=1e-6))
    # 2,000 draws: 5 standard deviations of the share
    assert abs((mask < 1).mean() - 0.5) < 5 * np.sqrt(0.25 / mask.size)
    assert not np.array_equal(mask[0] < 1, mask[1] < 1)


def test_the_dropout_of_an_lstm_is_one_mask_for_all_steps():
    h = open_lstm(20, 0.0, dropout=0.5)(np.ones((100, 5, 20)), training=True) / SMALL
    check_mask(h[:, 0])
    assert np.array_equal(h, np.repeat(h[:, :1], 5, axis=1))


def test_the_recurrent_dropout_of_an_lstm_is_one_mask_for_all_steps():
    x = np.zeros((100, 5, 20))
    x[:, 0] = 1.0
    h = open_lstm(20, 1.0, recurrent_dropout=0.5)(x, training=True) / SMALL
    mask = h[:, 1]
    check_mask(mask)
    for step in range(2, 5):
        assert np.allclose(h[:, step], mask**step, rtol=1e-5)
