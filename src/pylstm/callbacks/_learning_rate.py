"""Callbacks that set the learning rate."""

from __future__ import annotations

from collections.abc import Callable

from pylstm import _checks
from pylstm._callback import Callback, Logs
from pylstm.callbacks._monitor import Monitor


class ReduceLROnPlateau(Monitor):
    """Multiply the learning rate by `factor` when a value has not become better.

    Args:
        monitor: Name of the value.
        factor: From 0 to below 1.
        patience: Epochs to wait, at least 0.
        verbose: 1 prints each change.
        mode: "min", "max", or "auto": what the model's metric of this name says, as Keras' do by
            `_direction`; else "max" for names that end in acc, accuracy or auc; else "min", with a
            UserWarning if nothing in the name tells.
        min_delta: Least change that counts as better; its sign does not matter.
        cooldown: Epochs after a change in which nothing is counted, at least 0.
        min_lr: Lower bound of the learning rate, at least 0.

    Raises:
        TypeError: an argument of the wrong type.
        ValueError: a number out of range, or an unknown mode.

    Without the value, which a RuntimeWarning tells after each epoch, the rate stays as it is.
    """

    _without = "the rate stays as it is"

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
        schedule: (epoch, learning_rate) → learning_rate, or (epoch) → learning_rate; epochs count
            from 0.
        verbose: 1 prints each setting.

    Raises:
        TypeError: `schedule` is no function; while training, it gives no number.
        ValueError: while training, it gives a number below 0, or one that is not finite.

    >>> schedule = LearningRateScheduler(lambda epoch, rate: rate * 0.9)
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        import inspect

        if not callable(schedule):
            raise TypeError(f"schedule: expected a function, got {schedule!r}")
        try:
            inspect.signature(schedule).bind(0, 0.0)
            self._takes_rate = True
        except (TypeError, ValueError):  # ValueError: Python does not know what it takes
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
