"""The n-gram baselines against the equation itself, spelled out one byte at a time."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from pylstm import _ngram
from pylstm._ngram import bits_per_byte


def probability(train: bytes, context: bytes, byte: bytes, order: int) -> float:
    """p(w | h) of Witten-Bell, recursively: slow and obvious."""
    if order == 0:
        return 1 / 256
    history = context[len(context) - (order - 1) :] if order > 1 else b""
    lower = probability(train, context, byte, order - 1)
    if len(context) < order - 1:
        return lower
    followers = Counter(
        train[i + order - 1]
        for i in range(len(train) - order + 1)
        if train[i : i + order - 1] == history
    )
    total, types = sum(followers.values()), len(followers)
    if not total:
        return lower
    return (followers[byte[0]] + types * lower) / (total + types)


def slow_bits_per_byte(train: bytes, held_out: bytes, order: int) -> float:
    text = train + held_out
    bits = [
        -math.log2(probability(train, text[:i], text[i : i + 1], order))
        for i in range(len(train), len(text))
    ]
    return sum(bits) / len(bits)


def random_text(size: int, symbols: int, seed: int) -> bytes:
    return np.random.default_rng(seed).integers(0, symbols, size).astype(np.uint8).tobytes()


@pytest.mark.parametrize("order", range(_ngram.MAX_ORDER + 1))
@pytest.mark.parametrize("train_size", [0, 1, 3, 6, 200])
def test_equals_the_equation_byte_by_byte(order: int, train_size: int) -> None:
    train, held_out = random_text(train_size, 3, 1), random_text(40, 4, 2)
    # 40 terms of a few float64 operations each on numbers of order 1
    expected = slow_bits_per_byte(train, held_out, order)
    assert bits_per_byte(train, held_out, order) == pytest.approx(expected, rel=1e-13)


def test_bytes_of_every_value_keep_their_place_in_a_key() -> None:
    train, held_out = random_text(3000, 256, 3), random_text(50, 256, 4)
    for order in (2, 5, 7):
        expected = slow_bits_per_byte(train, held_out, order)
        assert bits_per_byte(train, held_out, order) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("order", [1, 3, 5])
def test_probabilities_of_all_bytes_sum_to_one(order: int) -> None:
    train = random_text(300, 3, 5)
    total = sum(
        2.0 ** -bits_per_byte(train, bytes([value]), order) for value in range(256)
    )  # the context of the one held-out byte is the end of train
    assert total == pytest.approx(1.0, rel=1e-12)


def test_uniform_is_eight_bits_whatever_the_text() -> None:
    assert bits_per_byte(b"abc", random_text(1000, 256, 6), 0) == 8.0


@pytest.mark.parametrize("order", [1, 5])
def test_result_does_not_depend_on_the_chunks(order: int, monkeypatch: pytest.MonkeyPatch) -> None:
    train, held_out = random_text(500, 4, 7), random_text(300, 5, 8)
    whole = bits_per_byte(train, held_out, order)
    for chunk in (1, 7, 499, 500):
        monkeypatch.setattr(_ngram, "CHUNK", chunk)
        # same probabilities, summed in another order: 300 terms
        assert bits_per_byte(train, held_out, order) == pytest.approx(whole, rel=300 * 2**-53)


def test_repetition_is_learned() -> None:
    text = b"abcdefgh" * 100
    bits = [bits_per_byte(text, text[:80], order) for order in (0, 1, 2, 5)]
    assert bits == sorted(bits, reverse=True)
    assert bits[1] == pytest.approx(3.0, abs=0.2)  # eight symbols, equally frequent
    assert bits[2] < 0.2


@pytest.mark.parametrize("order", [-1, _ngram.MAX_ORDER + 1])
def test_order_out_of_range_is_refused(order: int) -> None:
    with pytest.raises(ValueError, match=f"order: expected an integer from 0 to 7, got {order}"):
        bits_per_byte(b"a", b"a", order)


def test_empty_held_out_text_is_refused() -> None:
    with pytest.raises(ValueError, match="held_out: expected at least one byte"):
        bits_per_byte(b"abc", b"", 5)
