"""Rows of one length from rows of several."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np

from pylstm import _checks

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ENDS = ("pre", "post")


def pad_sequences(
    sequences: Any,
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: float = 0.0,
) -> NDArray[Any]:
    """Rows of one length from rows of several, for `layers.Masking` or `Embedding(mask_zero=True)`.

    Args:
        sequences: A list of rows, each (steps,) or (steps, features); rows may be empty.
        maxlen: Steps of the result; those of the longest row if not given.
        dtype: Of the result; "float32" for features.
        padding: Where steps are added: "pre", in front, or "post".
        truncating: Where rows longer than `maxlen` lose steps: "pre" or "post".
        value: Of the steps added. `Masking` finds it if `dtype` holds it exactly, as 0 and -1.

    Returns:
        (rows, maxlen) or (rows, maxlen, features).

    Raises:
        TypeError: `sequences` is no list of rows; a row is no array of real numbers.
        ValueError: an argument out of range; steps that differ in shape; a number that `dtype`
            cannot hold: 0.5 as int32, which Keras would cut, 16777217 as float32.

    >>> pad_sequences([[1, 2, 3], [4]])
    array([[1, 2, 3],
           [0, 0, 4]], dtype=int32)
    """
    if isinstance(sequences, str | bytes | dict) or not hasattr(sequences, "__len__"):
        raise TypeError(f"sequences: expected a list of rows, got {_checks.described(sequences)}")
    kind = _real_dtype(dtype)
    _checks.choice("padding", padding, _ENDS)
    _checks.choice("truncating", truncating, _ENDS)
    rows = [_row(i, row) for i, row in enumerate(sequences)]
    steps = max(map(len, rows), default=0)
    if maxlen is not None:
        steps = _checks.positive_int("maxlen", maxlen)
    first = next((i for i, row in enumerate(rows) if len(row)), 0)
    features = rows[first].shape[1:] if rows else ()
    for i, row in enumerate(rows):
        if len(row) and row.shape[1:] != features:
            raise ValueError(
                f"sequences[{i}]: expected steps of shape {features}, as in sequences[{first}], "
                f"got {row.shape[1:]}"
            )
    kept = [row[-steps:] if truncating == "pre" else row[:steps] for row in rows]
    filler = np.asarray(_checks.number("value", value))
    padded = np.full((len(rows), steps, *features), _cast(["value"], [filler], kind)[0])
    for source in {row.dtype for row in kept if len(row)}:  # as one array: rows are many and short
        some = [i for i, row in enumerate(kept) if len(row) and row.dtype == source]
        cast = _cast([f"sequences[{i}]" for i in some], [kept[i] for i in some], kind)
        for i, values in zip(some, cast, strict=True):
            n = len(values)
            padded[i, steps - n if padding == "pre" else 0 :][:n] = values
    return padded


def _real_dtype(dtype: Any) -> np.dtype[Any]:
    kind: np.dtype[Any] = np.dtype(object)
    with contextlib.suppress(TypeError):
        kind = np.dtype(dtype)
    if kind.kind not in "biuf":
        raise ValueError(f"dtype: expected one of real numbers, such as 'float32', got {dtype!r}")
    return kind


def _row(i: int, row: Any) -> NDArray[Any]:
    if isinstance(row, range | list | tuple):
        row = list(row) or np.empty(0)
    try:
        found = _checks.array(f"sequences[{i}]", row)
    except ValueError:
        raise ValueError(f"sequences[{i}]: its steps differ in shape") from None
    if found.ndim < 1:
        raise TypeError(f"sequences[{i}]: expected a list or an array of steps, got {row!r}")
    return found


def _cast(names: list[str], arrays: list[NDArray[Any]], dtype: np.dtype[Any]) -> list[NDArray[Any]]:
    """`arrays`, of one dtype, as another, where whole numbers stay what they are, and others stay
    finite, but are rounded to a floating type."""
    whole = np.concatenate([array.ravel() for array in arrays])
    with np.errstate(invalid="ignore", over="ignore"):
        found = whole.astype(dtype)
    if "f" in (dtype.kind, whole.dtype.kind) and dtype.kind == whole.dtype.kind:
        good = np.isfinite(found) == np.isfinite(whole)
    else:
        good = found == whole
    ends = np.cumsum([array.size for array in arrays])
    if not good.all():
        (at,) = _checks.first_bad(good)
        name = names[int(np.searchsorted(ends, at, side="right"))]
        fraction = whole.dtype.kind == "f" and whole[at] % 1 != 0 and dtype.kind != "f"
        advice = "; give another dtype, such as 'float32'" if fraction else "; give another dtype"
        raise ValueError(f"{name}: {whole[at]} is no {dtype}{advice}")
    parts = np.split(found, ends[:-1])
    return [part.reshape(array.shape) for part, array in zip(parts, arrays, strict=True)]
