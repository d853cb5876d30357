"""Callbacks: code that `fit` calls as it goes, with Keras' names and meaning.

A callback that overrides a method for batches makes the engine stop after every batch; the others
cost nothing per step. Inside a callback the model can be used: saved, evaluated, its weights set.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable
from string import Formatter
from typing import Any

import numpy as np

from pylstm import _checks
from pylstm._callback import Callback, History, Logs

__all__ = [
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
    "TerminateOnNaN",
]


class _Monitor(Callback):
    """A callback that compares one value with the best so far."""

    def __init__(self, monitor: str, mode: str, min_delta: float) -> None:
        self.monitor = _checks.text("monitor", monitor)
        _checks.choice("mode", mode, ("auto", "min", "max"))
        up = mode == "max" or (mode == "auto" and monitor.endswith(("acc", "accuracy", "auc")))
        self._sign = 1.0 if up else -1.0
        self.min_delta = abs(_checks.number("min_delta", min_delta))

    def value(self, logs: Logs | None) -> float | None:
        """The monitored value; warns if there is none."""
        if logs is None or self.monitor not in logs:
            names = ", ".join(logs or ())
            warnings.warn(
                f"{type(self).__name__}: no {self.monitor!r} in logs, which have {names}",
                RuntimeWarning,
                stacklevel=4,
            )
            return None
        return logs[self.monitor]

    def better(self, value: float, best: float | None) -> bool:
        """Whether `value` is better than `best` by more than min_delta."""
        return best is None or self._sign * (value - best) > self.min_delta


class EarlyStopping(_Monitor):
    """Stop when a value has not become better for `patience` epochs.

    Args:
        monitor: Name of the value.
        min_delta: Least change that counts as better.
        patience: Epochs to wait.
        verbose: 1 prints when it stops.
        mode: "min", "max", or "auto" by the name.
        baseline: Value to be beaten.
        restore_best_weights: Go back to the weights of the best epoch at the end.
        start_from_epoch: Epochs before which nothing is compared.
    """

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
        self.verbose, self.baseline = verbose, baseline
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
        if self.better(value, self.best) and not math.isnan(value):
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


class ModelCheckpoint(_Monitor):
    """Save the model after each epoch, or when it has become better.

    Args:
        filepath: Where; may name values as in "m-{epoch:02d}-{val_loss:.2f}.safetensors". The
            folder must be there when training begins.
        monitor: Value that tells the best model.
        verbose: 1 prints each save.
        save_best_only: Save only when the value has become better.
        save_weights_only: Leave the optimizer out.
        mode: "min", "max", or "auto" by the name.
        save_freq: "epoch", or a number of batches.
        initial_value_threshold: Value to be beaten by the first save.

    Raises:
        ValueError: a name of one of Keras' formats, or braces that name no value; while training,
            a value that is not in logs (at the end of the first epoch, or with the first save).
        FileNotFoundError: training begins, and there is no such folder.

    A value that neither loss nor metrics give is told by a RuntimeWarning when training begins:
    another callback has to put it into logs.
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode, 0.0)
        self.filepath = _checks.model_path("filepath", filepath)
        self._named = _placeholders(self.filepath)
        self.verbose = verbose
        self.save_best_only, self.save_weights_only = save_best_only, save_weights_only
        self.save_freq = (
            save_freq if save_freq == "epoch" else _checks.positive_int("save_freq", save_freq)
        )
        self.best = initial_value_threshold

    def wants_batches(self, kind: str) -> bool:
        """Only if it saves every so many batches."""
        return kind == "train" and self.save_freq != "epoch"

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Count from 0; look whether saving can go well."""
        self._epoch = self._batches = 0
        folder = os.path.dirname(self.filepath)
        if "{" not in folder and not os.path.isdir(folder or "."):
            raise FileNotFoundError(f"filepath: there is no folder {folder!r} to save the model in")
        if not self._named:
            return
        given = self.model.metrics_names
        known = {"epoch", "learning_rate", *given, *(f"val_{name}" for name in given)}
        strange = [name for name in self._named if name not in known]
        if strange:
            warnings.warn(
                f"ModelCheckpoint: {self.filepath!r} names {', '.join(strange)}, which neither "
                f"loss nor metrics give ({', '.join(given)}); another callback has to",
                RuntimeWarning,
                stacklevel=5,
            )

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Note the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Save if the number of batches is reached."""
        self._batches += 1
        if isinstance(self.save_freq, int) and self._batches % self.save_freq == 0:
            self._save(self._epoch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Save if it saves each epoch."""
        if self.save_freq == "epoch":
            self._save(epoch, logs)

    def _save(self, epoch: int, logs: Logs | None) -> None:
        for name in self._named:
            if name != "epoch" and name not in (logs or ()):
                raise ValueError(
                    f"filepath: {self.filepath!r} names {name!r}, which is not in logs: "
                    f"{', '.join(logs or ())}"
                )
        if self.save_best_only:
            value = self.value(logs)
            if value is None or math.isnan(value) or not self.better(value, self.best):
                return
            self.best = value
        path = self.filepath.format(**{**(logs or {}), "epoch": epoch + 1})
        self.model.save(path, include_optimizer=not self.save_weights_only)
        if self.verbose:
            print(f"Epoch {epoch + 1}: saved {path}")


def _placeholders(filepath: str) -> list[str]:
    """Names of the values in braces."""
    try:
        fields = [field for _, field, _, _ in Formatter().parse(filepath) if field is not None]
    except ValueError as error:
        raise ValueError(f"filepath: {filepath!r}: {error}") from None
    for field in fields:
        if not field.isidentifier():
            raise ValueError(
                f"filepath: {filepath!r}: braces must name a value, as {{epoch}}; got {{{field}}}"
            )
    return fields


class ReduceLROnPlateau(_Monitor):
    """Multiply the learning rate by `factor` when a value has not become better.

    Args:
        monitor: Name of the value.
        factor: Below 1.
        patience: Epochs to wait.
        verbose: 1 prints each change.
        mode: "min", "max", or "auto" by the name.
        min_delta: Least change that counts as better.
        cooldown: Epochs after a change in which nothing is counted.
        min_lr: Lower bound of the learning rate.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.factor = _checks.below_one("factor", factor)
        self.patience = _checks.natural("patience", patience)
        self.verbose = verbose
        self.cooldown = _checks.natural("cooldown", cooldown)
        self.min_lr = _checks.number("min_lr", min_lr, 0.0)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forget earlier runs."""
        self.wait = self.cooldown_counter = 0
        self.best: float | None = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Compare; lower the rate if it has waited long enough."""
        optimizer = self.model.optimizer
        if logs is not None:
            logs["learning_rate"] = optimizer.learning_rate
        value = self.value(logs)
        if value is None:
            return
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.wait = 0
        if self.better(value, self.best):
            self.best, self.wait = value, 0
        elif self.cooldown_counter <= 0:
            self.wait += 1
            if self.wait >= self.patience and optimizer.learning_rate > self.min_lr:
                optimizer.learning_rate = max(optimizer.learning_rate * self.factor, self.min_lr)
                self.cooldown_counter, self.wait = self.cooldown, 0
                if self.verbose:
                    print(f"Epoch {epoch + 1}: learning rate {optimizer.learning_rate:g}")


class LearningRateScheduler(Callback):
    """Set the learning rate at the start of each epoch.

    Args:
        schedule: (epoch, learning_rate) → learning_rate, or (epoch) → learning_rate.
        verbose: 1 prints each setting.
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        import inspect

        if not callable(schedule):
            raise TypeError(f"schedule: expected a function, got {schedule!r}")
        try:
            inspect.signature(schedule).bind(0, 0.0)
            self._takes_rate = True
        except TypeError:
            self._takes_rate = False
        self.schedule, self.verbose = schedule, verbose

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Set the rate."""
        optimizer = self.model.optimizer
        arguments = (epoch, optimizer.learning_rate) if self._takes_rate else (epoch,)
        optimizer.learning_rate = self.schedule(*arguments)
        if self.verbose:
            print(f"Epoch {epoch + 1}: learning rate {optimizer.learning_rate:g}")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Put the rate into the history."""
        optimizer = self.model.optimizer
        if logs is not None:
            logs["learning_rate"] = optimizer.learning_rate


class CSVLogger(Callback):
    """Write the values of each epoch to a file.

    Args:
        filename: The file.
        separator: Between values.
        append: Go on with the file if it exists.
    """

    def __init__(
        self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False
    ) -> None:
        self.filename = os.fspath(filename)
        self.separator, self.append = separator, append
        self._names: list[str] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Open the file, empty unless it is to be continued."""
        self._names = None
        self._header = not (
            self.append and os.path.exists(self.filename) and os.path.getsize(self.filename)
        )
        with open(self.filename, "a" if self.append else "w", newline="", encoding="utf-8"):
            pass

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write a row; the first epoch decides the columns."""
        import csv

        logs = logs or {}
        first = self._names is None
        names = self._names = sorted(logs) if self._names is None else self._names
        with open(self.filename, "a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, delimiter=self.separator)
            if first and self._header:
                writer.writerow(["epoch", *names])
            writer.writerow([epoch, *(logs.get(name, "NA") for name in names)])


class TerminateOnNaN(Callback):
    """Stop when the loss is NaN or infinite; `raise_error` raises RuntimeError instead."""

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


class LambdaCallback(Callback):
    """A callback from functions, given by the names of the methods they stand for.

    Raises:
        TypeError: a name that is not a callback's method.

    >>> callback = LambdaCallback(on_epoch_end=lambda epoch, logs: print(logs["loss"]))
    """

    def __init__(self, **functions: Callable[..., None] | None) -> None:
        for name, function in functions.items():
            if not name.startswith("on_") or not hasattr(Callback, name):
                raise _checks.unexpected("LambdaCallback", [name])
            if function is not None:
                setattr(self, name, function)
