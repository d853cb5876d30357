"""The ways of `predict` that are not a single call: long runs, callbacks, iterables of batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from pylstm import _checks, _core, _progress
from pylstm._callback import CallbackList
from pylstm.models._loop import BUDGET_MS
from pylstm.models._prepare import optional_count

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pylstm.models._structure import Structure


class Predictor(Protocol):
    """What a prediction for many batches asks of a model."""

    def predict_on_batch(self, x: Any) -> NDArray[Any]: ...


class _Amount:
    """What the progress of a prediction shows."""

    rows = 0

    def logs(self) -> dict[str, float]:
        return {}

    def amount(self) -> tuple[float, str]:
        return self.rows, "samples"


def predict_slowly(
    model: Structure,
    data: _core.Data,
    batch_size: int,
    done: int,
    batches: int,
    out: NDArray[Any],
    verbose: Any,
    callbacks: Any,
) -> None:
    """Write batches `done` … `batches` - 1 into `out`, with a bar and callbacks."""
    progress = _progress.make(verbose, quiet_lines=True)
    callback_list = CallbackList(callbacks)
    callback_list.begin(model, None, {"verbose": verbose, "steps": batches})
    single = callback_list.wants_batches("predict")
    network, amount = model._network(), _Amount()
    callback_list.call("on_predict_begin", None)
    try:
        progress.begin("", batches, amount)
        while done < batches:
            if single:
                callback_list.call("on_predict_batch_begin", done, None)
            last = done + 1 if single else batches
            done = network.predict(data, batch_size, done, last, BUDGET_MS, out)
            amount.rows = min(done * batch_size, len(out))
            if single:
                callback_list.call("on_predict_batch_end", done - 1, {})
            progress.update(done)
        progress.end(done, {})
    finally:
        progress.close()
    callback_list.call("on_predict_end", None)


def predict_batches(
    model: Predictor, batches: Any, batch_size: int | None, steps: int | None, callbacks: Any
) -> NDArray[Any]:
    """The outputs for an iterable of batches, one after another."""
    if batch_size is not None:
        raise ValueError("batch_size: must be None when x is an iterable of batches")
    limit = optional_count("steps", steps)
    callback_list = CallbackList(callbacks)
    callback_list.begin(model, None, {"verbose": 0, "steps": limit})
    callback_list.call("on_predict_begin", None)
    found = []
    for number, item in enumerate(_items(batches)):
        callback_list.call("on_predict_batch_begin", number, None)
        with _checks.naming(f"x: batch {number}"):
            found.append(model.predict_on_batch(item[0] if isinstance(item, tuple) else item))
        callback_list.call("on_predict_batch_end", number, {})
        if number + 1 == limit:
            break
    if not found:
        raise ValueError("x: the iterable gives no batch")
    callback_list.call("on_predict_end", None)
    return np.concatenate(found)


def _items(batches: Any) -> Iterator[Any]:
    if isinstance(batches, Iterable):
        yield from batches
    else:
        for i in range(len(batches)):
            yield batches[i]
