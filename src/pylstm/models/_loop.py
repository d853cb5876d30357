"""The loop over batches, for training and for evaluation."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from pylstm import _checks
from pylstm.models._compiled import Compiled, Tally
from pylstm.models._data import Segment, Source
from pylstm.models._prepare import BUDGET_MS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pylstm._callback import CallbackList
    from pylstm._progress import Progress
    from pylstm.models._compilable import Compilable


class Loop:
    """Runs batches through the network of one compiled model."""

    def __init__(self, model: Compilable, compiled: Compiled) -> None:
        self.network = model._network()
        self._model, self._compiled = model, compiled
        self._outputs = model.output_shape
        self._first = model.layers[0]
        self._masked = self._first.makes_mask and len(self._outputs) == 3
        self._stateful = any(layer.stateful for layer in model.layers)
        if self._masked:
            compiled.look_at_padding()

    def tally(self, y: NDArray[Any]) -> Tally:
        """A new tally, for targets like `y`; the engine is told which metrics to count."""
        counted = self._compiled.engine_metrics(
            sparse=y.ndim < len(self._outputs), outputs=self._outputs[-1] or 1
        )
        with self._model._lock:  # or metrics of what was compiled before would take others' place
            self._check_compiled()
            self._model._count(sorted(set(counted.values())))
        return Tally(self._compiled, counted, self._first.token_ids)

    def walk(
        self,
        source: Source,
        index: int,
        mode: str,
        tally: Tally,
        progress: Progress,
        callbacks: CallbackList,
        stopped: Callable[[], bool] = lambda: False,
        tbptt: int = 0,
    ) -> int:
        """Pass `index` over `source`, to "fit" or to "evaluate"; the number of batches done.

        `stopped` is asked after each batch that a callback has seen.
        """
        kind = "train" if mode == "fit" else "test"
        single = callbacks.wants_batches(kind)
        step = 0
        for segment in source.segments(index):
            batch = segment.first
            while batch < segment.last:
                if single:
                    callbacks.call(f"on_{kind}_batch_begin", step, {})
                with _checks.naming(segment.rows.place):
                    reached = self.run(segment, batch, mode, tally, single, tbptt)
                step += reached - batch
                batch = reached
                if single:
                    callbacks.call(f"on_{kind}_batch_end", step - 1, tally.logs())
                progress.update(step)
                if single and stopped():
                    return step
        return step

    def evaluate(
        self, source: Source, progress: Progress, callbacks: CallbackList
    ) -> dict[str, float]:
        """Loss and metrics over `source`; nothing if it gives no batch any more."""
        tally = self.tally(source.first().y)
        self._model.stop_evaluating = False
        callbacks.call("on_test_begin", {})
        try:
            progress.begin("", source.steps, tally)
            steps = self.walk(
                source,
                0,
                "evaluate",
                tally,
                progress,
                callbacks,
                lambda: self._model.stop_evaluating,
            )
            logs = tally.logs() if steps else {}
            progress.end(steps, logs)
        finally:
            progress.close()
        callbacks.call("on_test_end", logs)
        return logs

    def run(
        self,
        segment: Segment,
        batch: int,
        mode: str,
        tally: Tally,
        single: bool = False,
        tbptt: int = 0,
    ) -> int:
        """Batches of `segment` from `batch` on, only that one if `single`; the next one's index."""
        tally.follow(segment.rows.data)
        in_python = self._compiled.in_python
        reached = batch + 1 if single or in_python else segment.last
        if self._compiled.function is not None:
            self._python_loss(segment, batch, mode == "fit", tally)
        else:
            if in_python:
                self._watch(segment, batch, mode == "fit", tally)
            reached = self.network.run(
                segment.rows.data,
                mode,
                segment.order,
                segment.batch_size,
                batch,
                reached,
                BUDGET_MS,
                tbptt,
            )
        if mode != "fit":  # `compile` refuses a model that is being trained
            self._check_compiled()
        tally.rows += segment.rows_in(batch, reached)
        return reached

    def _check_compiled(self) -> None:
        """Raise RuntimeError if `compile` has been called meanwhile: the engine has followed it."""
        if self._model._compiled is not self._compiled:
            raise RuntimeError("the model was compiled again during this call")

    def _python_loss(self, segment: Segment, batch: int, training: bool, tally: Tally) -> None:
        """One batch with a loss written in Python."""
        function = self._compiled.function
        assert function is not None
        y_pred = self.network.forward(
            segment.rows.data, segment.order, segment.batch_size, batch, training
        )
        mask = self._padding(segment, batch)
        y_true = self._show(segment, batch, y_pred, mask, tally)
        weights = None
        if function.takes_weights:
            if mask is not None and not mask.any():
                return  # no step, as with the engine's losses; padding only holds the states
            weights = self._weights(segment, batch, mask)
        loss, gradient = function(y_true, y_pred, weights)
        if not np.isfinite(loss):
            gradient = np.full_like(gradient, np.nan)  # the engine applies no step of such
        applied = not training or self.network.backward(gradient)
        tally.add_loss(loss, len(y_true), applied)

    def _watch(self, segment: Segment, batch: int, training: bool, tally: Tally) -> None:
        """Show a batch to the metrics written in Python, before the engine runs it."""
        network = self.network
        carried = network.get_state("predict") if self._stateful else []
        try:
            if self._stateful and training:
                network.set_state("predict", network.get_state("fit"))
            y_pred = network.forward(
                segment.rows.data, segment.order, segment.batch_size, batch, False
            )
        finally:
            if self._stateful:
                network.set_state("predict", carried)
        self._show(segment, batch, y_pred, self._padding(segment, batch), tally)

    def _show(
        self,
        segment: Segment,
        batch: int,
        y_pred: NDArray[Any],
        mask: NDArray[np.bool_] | None,
        tally: Tally,
    ) -> NDArray[Any]:
        """Count the metrics written in Python; the targets of the batch.

        A last axis of size 1 that the targets lack is added, as for the engine's losses.
        """
        y_true: NDArray[Any] = segment.rows.y[segment.members(batch)]
        if (*y_true.shape, 1) == y_pred.shape:  # else NumPy would broadcast rows against rows
            y_true = y_true[..., None]
        tally.add_batch(y_true, y_pred, mask)
        return y_true

    def _weights(
        self, segment: Segment, batch: int, mask: NDArray[np.bool_] | None
    ) -> NDArray[Any] | None:
        """Of one batch: its sample weights, 0 where `mask` is False; None if all are 1."""
        weight = segment.rows.weight
        if weight is None:
            return None if mask is None else mask.astype(np.float32)
        weights: NDArray[Any] = weight[segment.members(batch)]
        if mask is None:
            return weights
        return np.where(mask, weights if weights.ndim == 2 else weights[:, None], 0)

    def _padding(self, segment: Segment, batch: int) -> NDArray[np.bool_] | None:
        """(rows, steps) mask of one batch's outputs; None if nothing is masked."""
        if not self._masked:
            return None
        return self._first.compute_mask(segment.rows.x[segment.members(batch)])
