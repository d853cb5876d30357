"""Predictor: predict, for arrays and for iterables of batches."""

from __future__ import annotations

import math
import time
from _thread import get_ident
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from pylstm import _checks, _core, _progress
from pylstm._callback import CallbackList
from pylstm._warnings import warn
from pylstm.models._data import batch_count, is_batches, tell
from pylstm.models._estimated import Estimated
from pylstm.models._prepare import (
    BATCH_SIZE,
    BUDGET_MS,
    batch_length,
    check_equal_batches,
    optional_count,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pylstm.layers import Layer

_LARGE = 1 << 18  # elements of a result whose memory NumPy would get from the system and give back


class Predictor(Estimated):
    """A model that can be applied to data."""

    stop_predicting = False
    """Set by a callback, it ends a prediction after the batch."""
    _last: tuple[_core.Network, Any, tuple[int, ...], int, tuple[int, ...]] | None = None
    """Of the last call, if its result is small: the network, the model's input shape, the shape of
    x, the batch size and the shape of the result. A call like it is checked for its values only."""

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> NDArray[Any]:
        """The outputs for `x`, rows first. Each row's output depends on that row alone, except in
        a stateful model: there row i of a batch goes on from the state that row i of the batch
        before it left, also that of an earlier call, until `reset_state`.

        Args:
            x: As in `fit`, but values that are not finite are no error; or an iterable of batches
                x, (x, …) or [x, …]: a generator, as a list of arrays is rows of one array.
            batch_size: Rows computed at a time, 32 if not given. The result does not depend on it,
                except in a stateful model, where it decides which rows go on from which; there a
                UserWarning tells of more than 32 rows without it.
            verbose: As in `fit`; "auto" shows a bar, and only if it takes long.
            steps: Batches to predict; all if not given.
            callbacks: A list of `callbacks.Callback`. One that sets `model.stop_predicting` ends
                the prediction after the batch; the result has the rows done.

        Returns:
            (rows, …) as the last layer gives it, in the model's dtype.

        A large result does not own its memory, as a view does not; its memory serves a later result
        when nobody has it any more.

        Raises:
            RuntimeError: another thread is training the model.
            ValueError, TypeError, IndexError: bad data or arguments. A bad batch of an iterable is
                named by its number; a stateful model has then the states that the batches before
                it left.
            MemoryError: a batch, or the result, needs more than there is.
        """
        self._enter()
        if type(x) is not np.ndarray and is_batches(x, None):
            return self._predict_batches(x, batch_size, verbose, steps, callbacks)
        x = _checks.array("x", x)
        size = BATCH_SIZE if batch_size is None else _checks.positive_int("batch_size", batch_size)
        count = len(x) if x.ndim else 0
        if steps is not None:
            count = min(count, _checks.positive_int("steps", steps) * size)
        if x.ndim and count < len(x):
            x = x[:count]
        if batch_size is None and count > size and any(e.stateful for e in self._layers):
            warn(
                f"batch_size: the {count} rows of x make batches of {size}, and in a stateful "
                f"model row i of a batch goes on from row i of the batch before it; of {count} "
                f"streams side by side give batch_size={count}, else batch_size={size}"
            )
        network, data, out = self._prepared(x, size)
        batches, done = -(-count // size), 0
        if callbacks is None and verbose in ("auto", 0):
            done = network.predict(data, size, 0, batches, BUDGET_MS, out)
        if done < batches:
            done = self._predict_slowly(data, size, done, batches, out, verbose, callbacks)
        return out if done == batches else out[: done * size]

    def predict_on_batch(self, x: Any) -> NDArray[Any]:
        """`predict` of one batch of any number of rows; it raises what `predict` raises."""
        self._enter()
        x = _checks.array("x", x)
        size = batch_length(x)
        network, data, out = self._prepared(x, size)
        if network.predict(data, size, 0, 1, BUDGET_MS, out) == 0:
            self._predict_slowly(data, size, 0, 1, out, 0, None)
        return out

    # ---- parts

    def _predict_slowly(
        self,
        data: _core.Data,
        batch_size: int,
        done: int,
        batches: int,
        out: NDArray[Any],
        verbose: Any,
        callbacks: Any,
    ) -> int:
        """Write batches `done` … `batches` - 1 into `out`, with a bar and callbacks; the number of
        batches done, fewer if a callback stops it."""
        progress = _progress.make(verbose, quiet_lines=True)
        callback_list = CallbackList(callbacks)
        callback_list.begin(self, None, {"verbose": verbose, "steps": batches})
        single = callback_list.wants_batches("predict")
        network, amount = self._network(), _Amount()
        if single:
            self.stop_predicting = False
        callback_list.call("on_predict_begin", {})
        try:
            progress.begin("", batches, amount)
            while done < batches:
                if single:
                    callback_list.call("on_predict_batch_begin", done, {})
                last = done + 1 if single else batches
                done = network.predict(data, batch_size, done, last, BUDGET_MS, out)
                amount.rows = min(done * batch_size, len(out))
                if single:
                    outputs = out[(done - 1) * batch_size : amount.rows]
                    callback_list.call("on_predict_batch_end", done - 1, {"outputs": outputs})
                progress.update(done)
                if single and self.stop_predicting:
                    break
            progress.end(done, {})
        finally:
            progress.close()
        callback_list.call("on_predict_end", {})
        return done

    def _predict_batches(
        self, batches: Any, batch_size: int | None, verbose: Any, steps: int | None, callbacks: Any
    ) -> NDArray[Any]:
        """The outputs for an iterable of batches, one after another."""
        if batch_size is not None:
            raise ValueError(
                f"batch_size: expected None when x is an iterable of batches, got {batch_size!r}"
            )
        limit = optional_count("steps", steps)
        waits, amount = verbose == "auto", _Amount()  # for what takes long
        progress = _progress.make(0 if waits else verbose)
        callback_list = CallbackList(callbacks)
        callback_list.begin(self, None, {"verbose": verbose, "steps": limit})
        self.stop_predicting = False
        callback_list.call("on_predict_begin", {})
        found: list[NDArray[Any]] = []
        until = time.monotonic() + BUDGET_MS / 1000
        try:
            progress.begin("", limit, amount)
            tell(batches, "on_epoch_begin")
            for number, item in enumerate(_items(batches)):
                callback_list.call("on_predict_batch_begin", number, {})
                with _checks.naming(f"x: batch {number}"):
                    found.append(self.predict_on_batch(self._inputs_of(item)))
                    if found[-1].shape[1:] != found[0].shape[1:]:
                        raise ValueError(
                            f"its results have the shape {found[-1].shape[1:]}, those of batch 0 "
                            f"{found[0].shape[1:]}, which make no one array; give batches of "
                            f"another number of steps to predict_on_batch"
                        )
                callback_list.call("on_predict_batch_end", number, {"outputs": found[-1]})
                amount.rows += len(found[-1])
                if waits and time.monotonic() > until:
                    waits, progress = False, _progress.make("auto", quiet_lines=True)
                    progress.begin("", limit, amount)
                progress.update(number + 1)
                if number + 1 == limit or self.stop_predicting:
                    break
            if not found:
                raise ValueError("x: the iterable gives no batch")
            tell(batches, "on_epoch_end")
            progress.end(len(found), {})
        finally:
            progress.close()
        callback_list.call("on_predict_end", {})
        return np.concatenate(found)

    def _inputs_of(self, item: Any) -> Any:
        """x of one item of an iterable: the first part of a tuple, or of a list like [x, y]. In a
        list of rows each has an axis less, which an open model cannot tell."""
        if isinstance(item, tuple):
            return item[0]
        ranks = (len(self.input_shape),) if self.built else (2, 3)
        pair = isinstance(item, list) and item and getattr(item[0], "ndim", 0) in ranks
        return item[0] if pair else item

    def _carried_states(self) -> dict[str, list[NDArray[Any]]]:
        """What stateful layers carry, by mode."""
        if self._core is None or not any(layer.stateful for layer in self._layers):
            return {}
        return {mode: self._core.get_state(mode) for mode in ("fit", "predict")}

    def _keep_weights(self) -> None:
        self._last = None  # or it would keep the network
        super()._keep_weights()

    def _prepared(
        self, x: NDArray[Any], batch_size: int
    ) -> tuple[_core.Network, _core.Data, NDArray[Any]]:
        """The network, the rows of `x` checked for it, and memory for the result."""
        last = self._last
        if last is not None and last[:4] == (
            self._core,
            self._input_shape,
            x.shape,
            batch_size,
        ):
            network, shape = last[0], last[4]
            data = _core.Data(x)
            network.check(data, "predict")
            return network, data, np.empty(shape, self._numpy_dtype)
        with self._checking():
            network, data, shape = self._checked(x, batch_size)
        if math.prod(shape) >= _LARGE:
            return network, data, network.empty_result(shape)
        self._last = (network, self._input_shape, x.shape, batch_size, shape)
        return network, data, np.empty(shape, self._numpy_dtype)

    def _checked(
        self, x: NDArray[Any], batch_size: int
    ) -> tuple[_core.Network, _core.Data, tuple[int, ...]]:
        """The network, the rows of `x` checked for it, and the shape of the result."""
        self._build_for(x)
        check_equal_batches(self._layers, len(x), batch_size)
        network, data = self._core or self._network(), _core.Data(x)
        shape = network.output_shape()
        if -1 in shape:
            shape = tuple(x.shape[1] if d == -1 else d for d in shape)
        shape = (len(x), *shape)
        results = math.prod(shape) * self._numpy_dtype.itemsize
        self._check_room(x, batch_size, "predict", results=results)
        network.check(data, "predict")
        return network, data, shape

    @contextmanager
    def _checking(self) -> Iterator[None]:
        """Around checks of data: if they fail, a model that they built is as before, unless another
        thread has checked data against it since."""
        if self.built:
            yield
            return
        try:
            yield
        except BaseException:
            with self._lock:
                fresh = self._end_building()
                if fresh is not None:
                    self._keep_weights()
                    self._input_shape = None
                    for layer in fresh:
                        layer._forget()
            raise
        self._end_building()

    def _end_building(self) -> list[Layer] | None:
        """The layers that the checks of this thread built, if no other one relies on them."""
        with self._lock:
            if self._builder is None or self._builder[0] != get_ident():
                return None
            fresh, self._builder = self._builder[1], None
            return fresh


class _Amount:
    """What the progress of a prediction shows."""

    rows = 0

    def logs(self) -> dict[str, float]:
        return {}

    def amount(self) -> tuple[float, str]:
        return self.rows, "samples"


def _items(batches: Any) -> Iterator[Any]:
    count = None if isinstance(batches, Iterable) else batch_count(batches)
    return iter(batches) if count is None else (batches[i] for i in range(count))
