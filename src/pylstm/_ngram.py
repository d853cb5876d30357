"""Byte-level n-gram models in bits per byte: the baselines that `pylstm demo` has to beat.

An n-gram of order k predicts byte ``w`` from the k-1 bytes ``h`` before it. The orders are
interpolated as Witten & Bell (1991), method C, weigh them: with ``c`` counts in the training text,
``T(h)`` the number of distinct bytes that follow ``h`` there and ``h'`` the context ``h`` without
its oldest byte,

    p(w | h) = (c(hw) + T(h) p(w | h')) / (c(h) + T(h)),

which is ``p(w | h')`` for a context never seen. Order 0 is the uniform distribution over the 256
byte values. Nothing is pruned or approximated; the sums are float64.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

MAX_ORDER = 7  # a key packs the bytes of an n-gram into one non-negative int64
CHUNK = 1 << 22  # bytes of text counted or scored at once: bounds the memory on large texts

Keys = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Probabilities = npt.NDArray[np.float64]


class _Table(NamedTuple):
    """Counts of one order. Keys are sorted; those of the contexts are too."""

    grams: Keys
    gram_counts: Keys
    contexts: Keys
    context_counts: Keys  # c(h): how often h is followed by a byte
    context_types: Keys  # T(h): by how many different ones


def bits_per_byte(train: bytes, held_out: bytes, order: int, before: bytes | None = None) -> float:
    """Cross-entropy of ``held_out`` under an interpolated n-gram model of ``train``.

    The first bytes of the held-out text are predicted from those ``before`` it, by default the last
    ones of ``train``, as if it followed. The model learns nothing from what it predicts.

    Args:
        train: the text that is counted; may be empty.
        held_out: the text that is predicted, each byte once.
        order: length of the longest n-gram, 0 (uniform: exactly 8 bits) to 7.
        before: what stands in front of ``held_out``, if not ``train``.

    Raises:
        ValueError: if ``held_out`` is empty or ``order`` is out of range.

    >>> bits_per_byte(b"", b"any text", 5)
    8.0
    >>> text = b"the cat sat on the mat. " * 50
    >>> [round(bits_per_byte(text[:-120], text[-120:], order), 2) for order in (0, 1, 5)]
    [8.0, 3.1, 0.08]
    """
    if not 0 <= order <= MAX_ORDER:
        raise ValueError(f"order: expected an integer from 0 to {MAX_ORDER}, got {order}")
    if not held_out:
        raise ValueError("held_out: expected at least one byte, got none")
    tables = [_count(train, k) for k in range(1, order + 1)]
    before = train if before is None else before
    context = before[max(0, len(before) - order + 1) :] if order else b""
    text = np.frombuffer(context + held_out, np.uint8)
    bits = 0.0
    for start in range(len(context), len(text), CHUNK):
        stop = min(start + CHUNK, len(text))
        probability = np.full(stop - start, 1.0 / 256.0)
        for k, table in enumerate(tables, start=1):
            first = max(start, k - 1)  # earlier bytes have no context of this length: p stays
            keys = _keys(text[first - (k - 1) : stop], k)
            tail = probability[first - start :]
            tail[:] = _interpolate(table, keys, tail)
        bits -= float(np.log2(probability).sum())
    return bits / len(held_out)


def _keys(text: Bytes, order: int) -> Keys:
    """Every n-gram of ``text`` as one integer, oldest byte highest; len(text) - order + 1 keys."""
    count = max(0, len(text) - order + 1)
    keys = np.zeros(count, np.int64)
    for offset in range(order):
        keys <<= 8
        keys |= text[offset : offset + count]
    return keys


def _count(train: bytes, order: int) -> _Table:
    text = np.frombuffer(train, np.uint8)
    grams, counts = np.zeros(0, np.int64), np.zeros(0, np.int64)
    for start in range(0, max(0, len(text) - order + 1), CHUNK):
        keys = _keys(text[start : start + CHUNK + order - 1], order)
        new_grams, new_counts = np.unique(keys, return_counts=True)
        grams, counts = _sum_by_key(
            np.concatenate([grams, new_grams]), np.concatenate([counts, new_counts])
        )
    contexts, starts, types = np.unique(grams >> 8, return_index=True, return_counts=True)
    totals = np.add.reduceat(counts, starts) if len(counts) else counts
    return _Table(grams, counts, contexts, totals, types)


def _sum_by_key(keys: Keys, values: Keys) -> tuple[Keys, Keys]:
    order = np.argsort(keys, kind="stable")
    unique, starts = np.unique(keys[order], return_index=True)
    return unique, np.add.reduceat(values[order], starts)


def _interpolate(table: _Table, keys: Keys, lower: Probabilities) -> Probabilities:
    """The equation above for each n-gram in ``keys``; ``lower`` is p(w | h')."""
    gram_count = _lookup(table.grams, keys, table.gram_counts)
    context_count = _lookup(table.contexts, keys >> 8, table.context_counts)
    types = _lookup(table.contexts, keys >> 8, table.context_types)
    result: Probabilities = (gram_count + types * lower) / np.maximum(context_count + types, 1)
    return np.where(context_count > 0, result, lower)


def _lookup(sorted_keys: Keys, keys: Keys, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """``values`` at ``keys``, 0 where a key is absent."""
    if not len(sorted_keys):
        return np.zeros(len(keys), values.dtype)
    place = np.minimum(np.searchsorted(sorted_keys, keys), len(sorted_keys) - 1)
    return np.where(sorted_keys[place] == keys, values[place], 0)
