"""Callbacks that end the training."""

from __future__ import annotations

from typing import Any

import numpy as np

from pylstm import _checks
from pylstm._callback import Callback, Logs
from pylstm.callbacks._monitor import Monitor


class EarlyStopping(Monitor):
    """Stop when a value has not become better for `patience` epochs.

    Args:
        monitor: Name of the value.
        min_delta: Least change that counts as better; its sign does not matter.
        patience: Epochs to wait, at least 0.
        verbose: 1 prints when it stops.
        mode: "min", "max", or "auto": what the model's metric of this name says, as Keras' do by
            `_direction`; else "max" for names that end in acc, accuracy or auc; else "min", with a
            UserWarning if nothing in the name tells.
        baseline: Value to be beaten: epochs count as waiting until one is better. Training stops
            in none that is better than those before it.
        restore_best_weights: Go back to the weights of the best epoch at the end.
        start_from_epoch: Epochs before which nothing is compared, at least 0.

    Raises:
        TypeError: an argument of the wrong type.
        ValueError: a number out of range, or an unknown mode.

    Without the value, which a RuntimeWarning tells after each epoch, training goes on to its end.

    >>> stop = EarlyStopping("val_loss", patience=3, restore_best_weights=True)
    """

    _without = "training goes on to its end"

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience = _checks.natural("patience", patience)
        self.verbose = verbose
        self.baseline = None if baseline is None else _checks.number("baseline", baseline)
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = _checks.natural("start_from_epoch", start_from_epoch)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forget earlier runs."""
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best: float | None = None
        self.best_weights: list[Any] | None = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Compare; stop the model if it has waited long enough."""
        value = self.value(logs)
        if value is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self.best_weights, self.best_epoch = self.model.get_weights(), epoch
        self.wait += 1
        if self.better(value, self.best):
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self.better(value, self.baseline):
                self.wait = 0
            return
        if self.wait >= self.patience and epoch > 0:
            self.stopped_epoch, self.model.stop_training = epoch, True

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Put the best weights back if that is wanted."""
        if self.stopped_epoch > 0 and self.verbose:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.best_weights is not None:
            if self.verbose:
                print(f"Restoring the weights of epoch {self.best_epoch + 1}.")
            self.model.set_weights(self.best_weights)


class TerminateOnNaN(Callback):
    """Stop when the loss is NaN or infinite.

    Args:
        raise_error: Raise instead; Keras' default, False, prints a line and ends the training.

    Raises:
        RuntimeError: while training, with `raise_error`.
    """

    def __init__(self, raise_error: bool = False) -> None:
        self.raise_error = raise_error

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Look at the loss of the epoch so far."""
        loss = (logs or {}).get("loss")
        if loss is not None and not np.isfinite(loss):
            if self.raise_error:
                raise RuntimeError(f"batch {batch}: the loss is {loss}")
            print(f"Batch {batch}: the loss is {loss}, terminating training")
            self.model.stop_training = True
