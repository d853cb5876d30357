"""Initial weights: Keras' defaults, their statistics, and their seeds."""

import zlib

import numpy as np
import pytest

from pylstm import _core, initializers, layers
from pylstm.layers._variables import first_stream

# initialize(kind, (2, 3), 1.0, 0.5, 20, 3)
KNOWN = {
    "uniform": [
        "0x1.8cad32fcd8ea4p-1",
        "0x1.e7ed2a2b71eeep-1",
        "0x1.fa52a0455a0c4p-1",
        "0x1.743ceb336e944p-1",
        "0x1.265171cad48d2p-1",
        "0x1.521256eefcc5fp-1",
    ],
    "normal": [
        "0x1.e435a27de685fp-1",
        "0x1.1c2a31760e870p-1",
        "0x1.991978deeef52p-1",
        "0x1.04f27e229be65p+0",
        "0x1.6f77168f1d370p+0",
        "0x1.39158b6eb57d2p+0",
    ],
    "orthogonal": [
        "-0x1.c48a963961fbfp-4",
        "-0x1.cfc272f550453p-1",
        "-0x1.a2e8ac954cd6dp-2",
        "-0x1.cb9f852ee235cp-2",
        "-0x1.497e4b34feaf8p-2",
        "0x1.aad6143adb396p-1",
    ],
}
KNOWN["truncated_normal"] = KNOWN["normal"]  # none of them lies beyond the cut
LARGE = 3905640081  # CRC of a matrix of 150 x 170


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


@pytest.mark.parametrize("kind", [initializers.GlorotUniform, initializers.Zeros])
def test_a_shape_that_is_none_is_refused(kind):
    assert kind()((np.int64(2), 0)).shape == (2, 0)
    for shape, error in (((-1, 3), ValueError), ((2.5, 3), TypeError)):
        with pytest.raises(error, match="shape: expected an integer of at least 0, got "):
            kind()(shape)


# ---- a seed gives the same numbers everywhere


def test_normal_numbers_are_those_of_the_polar_method():
    uniform = 2 * _core.initialize("uniform", (400,), 0.0, 1.0, 5, 9) - 1 + 2.0**-53
    expected = []
    for u, v in uniform.reshape(-1, 2):
        square = u * u + v * v
        if square < 1:
            expected += [w * np.sqrt(-2 * np.log(square) / square) for w in (u, v)]
    found = _core.initialize("normal", (len(expected),), 0.0, 1.0, 5, 9)
    # the logarithm's error is 1e-15 of at least 1; it is small only where the square is near 1
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    shifted = _core.initialize("normal", (len(expected),), 3.0, 2.0, 5, 9)
    assert np.array_equal(shifted, 3 + 2 * found)
    kept = [z for z in found if abs(z) <= 2]
    truncated = _core.initialize("truncated_normal", (len(kept),), 0.0, 1.0, 5, 9)
    assert np.array_equal(truncated, kept)


@pytest.mark.parametrize(("kind", "expected"), KNOWN.items())
def test_initial_values_have_known_bits(kind, expected, isa, threads):
    """Whatever the system, its C library, the compiler, the instruction set and the threads."""
    values = _core.initialize(kind, (2, 3), 1.0, 0.5, 20, 3)
    assert [value.hex() for value in values.ravel().tolist()] == expected


def test_large_orthogonal_matrices_do_not_depend_on_threads_or_instructions(isa, threads):
    values = _core.initialize("orthogonal", (150, 170), 1.0, 0.0, 1, 2)
    assert np.abs(values @ values.T - np.eye(150)).max() < 150 * np.finfo(float).eps
    assert zlib.crc32(values.tobytes()) == LARGE


@pytest.mark.parametrize("shape", [(3, 3), (5, 3), (3, 5)])
def test_orthogonal_matrices_are_uniform(shape):
    """The moments of Haar's measure: of one entry, and of the four of a minor together."""
    count, n = 4000, max(shape)
    drawn = [_core.initialize("orthogonal", shape, 1.0, 0.0, seed, 0) for seed in range(count)]
    q = np.array(drawn)

    def near(values, expected):
        error = values.std(0) / np.sqrt(count)
        assert (np.abs(values.mean(0) - expected) < 5 * error).all()

    near(q, 0)
    near(q**2, 1 / n)
    near(q**4, 3 / (n * (n + 2)))
    minors = [q[:, i, i] * q[:, i, j] * q[:, j, i] * q[:, j, j] for i in range(3) for j in range(i)]
    near(np.array(minors).T, -1 / ((n - 1) * n * (n + 2)))


def test_no_two_layers_draw_from_one_stream():
    firsts = [first_stream(place) for place in range(1 << 16)]
    assert len(set(firsts)) == len(firsts)
    assert all(first % 256 == 0 for first in firsts)  # a layer has some variables, each a stream
    assert max(firsts) + 255 < 1 << 24  # what Philox takes
    assert firsts[:3] == [0, 1 << 16, 2 << 16]
