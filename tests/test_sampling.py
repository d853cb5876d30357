"""generate: what it draws."""

import numpy as np
import pytest

from pylstm import Sequential, initializers, layers

VOCABULARY = 97
ROWS, TOKENS = 200, 100


def model_of(probabilities, dtype):
    """A model that gives this distribution at every step, whatever came before."""
    count = len(probabilities)
    top = layers.Dense(count, "softmax", kernel_initializer="zeros")
    body = [layers.Embedding(count, 1), layers.LSTM(1, return_sequences=True)]
    model = Sequential([*body, top], dtype=dtype)
    with np.errstate(divide="ignore"):
        bias = np.maximum(np.log(probabilities), -1e4)  # softmax gives 0
    top.set_weights([np.zeros((1, count)), bias])
    return model


def expected(p, temperature, top_k, top_p):
    """The distribution that the options ask for, sorted by a stable sort."""
    order = np.argsort(-p, kind="stable")
    weights = (p[order] / p.max()) ** (1 / temperature)
    if top_k:
        weights[top_k:] = 0
    before = (np.cumsum(weights) - weights) / weights.sum()
    weights[before >= top_p] = 0
    found = np.zeros_like(p)
    found[order] = weights / weights.sum()
    return found


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"temperature": 0.7},
        {"temperature": 2.5},
        {"temperature": 1e-3},
        {"top_k": 1},
        {"top_k": 7},
        {"top_k": 40},
        {"top_k": 61},
        {"top_k": VOCABULARY},
        {"top_k": 10**6},
        {"top_p": 0.97},
        {"top_p": 0.5},
        {"top_p": 1e-9},
        {"temperature": 0.7, "top_p": 0.7},
        {"temperature": 1.5, "top_k": 20, "top_p": 0.8},
    ],
    ids=str,
)
def test_tokens_come_as_often_as_the_distribution_says(options, dtype):
    """Within five standard deviations; what the options leave out never comes. Some tokens are
    equally likely, some impossible."""
    p = np.random.default_rng(0).random(VOCABULARY) ** 4
    p[10:20], p[30:33] = p[10], 0
    p[50:52] = p.max()
    p /= p.sum()
    model = model_of(p, dtype)
    p = model.predict(np.zeros((1, 1), np.int32))[0, 0].astype(np.float64)
    want = expected(p, **{"temperature": 1, "top_k": 0, "top_p": 1, **options})
    drawn = model.generate(np.zeros((ROWS, 1), np.int32), TOKENS, seed=3, **options)
    share = np.bincount(drawn.ravel(), minlength=VOCABULARY) / drawn.size
    assert not share[want == 0].any()
    assert (np.abs(share - want) <= 5 * np.sqrt(want * (1 - want) / drawn.size)).all()


@pytest.mark.parametrize("temperature", [1e-300, 1e300])
def test_extreme_temperatures_are_the_limits(temperature):
    """The likeliest tokens, or all that are possible, with equal shares."""
    model = model_of(np.array([0.1, 0.4, 0.0, 0.4, 0.1]), "float32")
    drawn = model.generate(np.zeros((ROWS, 1), np.int32), TOKENS, temperature, seed=1)
    possible = [1, 3] if temperature < 1 else [0, 1, 3, 4]
    assert sorted(set(drawn.ravel().tolist())) == possible
    share = np.bincount(drawn.ravel(), minlength=5)[possible] / drawn.size
    np.testing.assert_allclose(share, 1 / len(possible), atol=0.02)


def test_options_that_leave_nothing_out_change_nothing():
    model = model_of(np.full(VOCABULARY, 1 / VOCABULARY), "float32")
    plain = model.generate([1], 300, seed=5)
    assert np.array_equal(model.generate([1], 300, seed=5, top_k=VOCABULARY), plain)


@pytest.mark.parametrize("zero_output_for_mask", [False, True])
def test_drawing_the_token_of_padding_goes_on_as_the_whole_text_would(zero_output_for_mask):
    wide = initializers.RandomNormal(stddev=3.0, seed=29)
    lstms = [
        layers.LSTM(5, kernel_initializer=wide, return_sequences=True, seed=2),
        layers.LSTM(5, return_sequences=True, zero_output_for_mask=zero_output_for_mask, seed=3),
    ]
    top = layers.Dense(3, activation="softmax", kernel_initializer=wide)
    embedding = layers.Embedding(3, 4, embeddings_initializer=wide, mask_zero=True)
    model = Sequential([embedding, *lstms, top])
    model.build((None, None))
    kernel, _ = top.get_weights()
    top.set_weights([kernel, [0, 0, 1]])  # after a step without output comes token 2
    texts = np.array([[1, 2, 1], [2, 0, 1], [0, 0, 0], [1, 1, 0]])
    drawn = model.generate(texts, 12, temperature=0.0)
    for step in range(12):
        expected = model.predict(texts)[:, -1].argmax(axis=-1)
        assert np.array_equal(drawn[:, step], expected)
        texts = np.concatenate([texts, expected[:, None]], axis=1)
    assert (drawn[:, :-1] == 0).any()
