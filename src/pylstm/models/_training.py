"""Trainer: fit, evaluate, and the same for one batch.

The engine runs whole stretches of batches in one call; Python comes in between only to move the
progress bar, to call callbacks, and for losses and metrics written in Python.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pylstm import _checks, _progress
from pylstm._callback import CallbackList, History
from pylstm._warnings import warn
from pylstm.models._compilable import Compilable
from pylstm.models._compiled import Compiled, Tally
from pylstm.models._data import Segment, Source
from pylstm.models._loop import Loop
from pylstm.models._prepare import (
    FitData,
    Preparer,
    batch_length,
    optional_count,
    validation_epochs,
)

if TYPE_CHECKING:
    from pylstm._core import Fitting


class Trainer(Compilable):
    """A model that can be fitted."""

    def __init__(
        self,
        layers: Any = None,
        trainable: bool = True,
        name: str | None = None,
        dtype: str = "float32",
    ) -> None:
        super().__init__(layers, trainable, name, dtype)
        self.stop_training = False
        self.history: History | None = None
        self._epochs_done = 0

    # ---- fit

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: dict[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: Any = 1,
        tbptt: int | None = None,
    ) -> History:
        """Train the model.

        Args:
            x: Rows: (rows, steps, features), (rows, steps) token ids or (rows, features), of any
                real type; or an iterable of batches (x, y) or (x, y, sample_weight), or an object
                like Keras' PyDataset, whose `on_epoch_begin` and `on_epoch_end` are called.
            y: Targets; not with an iterable.
            batch_size: Rows a step, 32 if not given; the last batch of an epoch may be smaller.
            epochs: Epoch to stop at.
            verbose: "auto" or 1: a bar on a terminal or in a notebook, else a line an epoch; 2:
                lines; 0: nothing.
            callbacks: A list of `callbacks.Callback`.
            validation_split: Share of the rows, the last ones, that is kept for validation.
            validation_data: (x, y), (x, y, sample_weight) or an iterable of batches. Stateful
                layers begin each validation with zeros; the states of predict stay.
            shuffle: New order of the rows each epoch (of the batches if x is a sequence of them).
            class_weight: Weight of each class in the loss; 1 for those not named. The class of a
                target that is one number is that number, rounded. None with an iterable, whose
                batches may hold a sample_weight.
            sample_weight: (rows,) or (rows, steps) weights in the loss.
            initial_epoch: Epoch to start at.
            steps_per_epoch: Batches an epoch; all if not given. An epoch begins where the one
                before it stopped, and again from the start where there are no more.
            validation_steps: Batches of a validation at most; all if not given. Each validation
                begins with the first one, except with a generator, which goes on.
            validation_batch_size: Rows a batch in validation; batch_size if not given.
            validation_freq: Validate every so many epochs, or after the epochs (from 1) in a list.
            tbptt: Cut each batch into windows of this many steps: one optimizer step each, states
                carried over, gradients not. Not with a loss or a metric written in Python.

        Returns:
            The history; `history.history` maps names to one value an epoch.

        Raises:
            RuntimeError: the model is not compiled, or is being trained.
            ValueError, TypeError, IndexError: bad data or arguments; the model is unchanged. A bad
                batch of an iterable, or one of another size in a stateful model, is named by its
                number; the model is then as the batches before it left it, with their states, as
                it is after an exception in a loss, a metric or a callback of yours.
            MemoryError: a batch needs more than there is; the model is unchanged, or as the batches
                of an iterable before it left it.
            KeyboardInterrupt: Ctrl-C, after a whole number of steps; the model can be used on.
        """
        compiled = self._ready()
        first = _checks.natural("initial_epoch", initial_epoch)
        last = _checks.natural("epochs", epochs)
        due = validation_epochs(validation_freq)
        callback_list = CallbackList(callbacks)
        progress = _progress.make(verbose)
        data = FitData(
            x=x,
            y=y,
            sample_weight=sample_weight,
            class_weight=class_weight,
            batch_size=batch_size,
            shuffle=_checks.boolean("shuffle", shuffle),
            steps=optional_count("steps_per_epoch", steps_per_epoch),
            validation_split=validation_split,
            validation_data=validation_data,
            validation_steps=optional_count("validation_steps", validation_steps),
            validation_batch_size=optional_count("validation_batch_size", validation_batch_size),
        )
        self._enter_idle()
        with self._checking():
            preparer = Preparer(self, compiled, tbptt)
            turns = self._epochs_done - first  # a resumed run goes on where it was
            source, validation = preparer.fit_sources(data, self._seed, turns, first)
            window = preparer.window()

        with self._train():
            loop, logs = Loop(self, compiled), {}
            history = self.history = History()
            self.stop_training = False
            params = {"verbose": verbose, "epochs": last, "steps": source.steps}
            callback_list.begin(self, history, params)
            callback_list.call("on_train_begin", {})
            for epoch in range(first, last):
                callback_list.call("on_epoch_begin", epoch, {})
                tally = loop.tally(source.first().y)
                progress.begin(_progress.title(epoch, last), source.steps, tally)
                try:
                    steps = loop.walk(
                        source,
                        epoch,
                        "fit",
                        tally,
                        progress,
                        callback_list,
                        lambda: self.stop_training,
                        window,
                    )
                    if steps == 0:  # the iterable is used up
                        break
                    self._epochs_done += 1
                    logs = tally.logs()
                    _warn_of_skipped(tally, steps)
                    if validation is not None and due(epoch):
                        found = self._validate(loop, validation, callback_list)
                        logs |= {f"val_{name}": value for name, value in found.items()}
                    progress.end(steps, logs)
                finally:
                    progress.close()
                callback_list.call("on_epoch_end", epoch, logs)
                if self.stop_training or source.exhausted:
                    break
            callback_list.call("on_train_end", logs)
        return history

    # ---- evaluate

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Loss and metrics on data; arguments as in `fit`, `steps` of the batches at most.

        Stateful layers carry on the states of `predict`: `reset_state` before, to begin with zeros.

        Returns:
            The loss; [loss, metric, …] if there are metrics; a dict if `return_dict`.

        Raises:
            RuntimeError: the model is not compiled, or another thread is training it.
            ValueError, TypeError, IndexError: bad data or arguments.
            MemoryError: a batch needs more than there is.
        """
        compiled = self._ready()
        return_dict = _checks.boolean("return_dict", return_dict)
        callback_list = CallbackList(callbacks)
        progress = _progress.make(verbose)
        count = optional_count("steps", steps)
        self._enter()
        with self._checking():
            source = Preparer(self, compiled).source(x, y, sample_weight, batch_size, count)
        callback_list.begin(self, None, {"verbose": verbose, "steps": source.steps})
        logs = Loop(self, compiled).evaluate(source, progress, callback_list)
        return _result(logs, compiled, return_dict)

    # ---- one batch

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: dict[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """One optimizer step on one batch; returns what `evaluate` returns, before the step.

        Raises:
            RuntimeError: the model is not compiled, or is being trained.
            ValueError, TypeError, IndexError: bad data or arguments; the model is unchanged.
            MemoryError: the batch needs more than there is; the model is unchanged.
        """
        compiled = self._ready()
        return_dict = _checks.boolean("return_dict", return_dict)
        self._enter_idle()
        with self._checking():
            rows = Preparer(self, compiled).rows(x, y, sample_weight, class_weight, "fit")
        count = len(rows.x)
        with self._train():
            loop = Loop(self, compiled)
            tally = loop.tally(rows.y)
            loop.run(Segment(rows, np.arange(count, dtype=np.int64), count, 0, 1), 0, "fit", tally)
            logs = tally.logs()
            _warn_of_skipped(tally, 1)
        return _result(logs, compiled, return_dict)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """`evaluate` of one batch of any number of rows; it raises what `evaluate` raises."""
        x = _checks.array("x", x)
        return self.evaluate(x, y, batch_length(x), 0, sample_weight, return_dict=return_dict)

    # ---- parts

    def _validate(self, loop: Loop, source: Source, callbacks: CallbackList) -> dict[str, float]:
        """An evaluation during `fit`: from zero states, and what `predict` carries stays."""
        carried = self._carried_states()
        try:
            if carried:
                loop.network.reset_state("predict")
            return loop.evaluate(source, _progress.Progress(), callbacks)
        finally:
            if carried:
                loop.network.set_state("predict", carried["predict"])

    def _train(self) -> Fitting:
        """The right to train, for a `with` block; its thread may use the model.

        It is no generator: a signal could raise between its first half and the block.
        """
        with self._lock:  # or the layers could change, and another network take the place of it
            network = self._network()
            network.set_trainable(self._trainable_flags())
            return network.start()


def _warn_of_skipped(tally: Tally, steps: int) -> None:
    if tally.skipped:
        lost = "1 step was" if tally.skipped == 1 else f"{tally.skipped} steps were"
        among = "1 batch" if steps == 1 else f"{steps} batches"
        warn(
            f"{lost} not applied, among {among}: the loss, a gradient or its square was not "
            f"finite; a smaller learning rate or clipnorm may help",
            RuntimeWarning,
        )


def _result(logs: dict[str, float], compiled: Compiled, return_dict: bool) -> Any:
    """Values of one pass as `evaluate` returns them."""
    if return_dict:
        return logs
    values = [logs[name] for name in compiled.names()]
    return values[0] if len(values) == 1 else values
