"""Monitor: what the callbacks share that watch one value."""

from __future__ import annotations

import math
from typing import Any

from pylstm import _checks
from pylstm._callback import Callback, Logs
from pylstm._warnings import warn

_RISING = ("acc", "accuracy", "auc")  # names that end so are better if higher ...
_FALLING = ("loss", "error", "perplexity", "mse", "mae", "entropy")  # ... and with these, if lower


class Monitor(Callback):
    """A callback that compares one value with the best so far."""

    _without = "nothing is done"
    """What that the value is missing comes to."""

    def __init__(self, monitor: str, mode: str, min_delta: float) -> None:
        self.monitor = _checks.text("monitor", monitor)
        self.mode = _checks.choice("mode", mode, ("auto", "min", "max"))
        self.min_delta = abs(_checks.number("min_delta", min_delta))
        self._look(None)

    def set_model(self, model: Any) -> None:
        """Look which of the model's metrics is watched, which may know what is better."""
        super().set_model(model)
        name = self.monitor.removeprefix("val_")
        watched = next((m for m in getattr(model, "metrics", ()) if m.name == name), None)
        self._look(getattr(watched, "_direction", None))

    def _look(self, direction: str | None) -> None:
        """Take note of what is better: `mode`, or else `direction`, or else what the name tells."""
        if self.mode == "auto" and direction is None and self.monitor.endswith(_RISING):
            direction = "up"
        up = self.mode == "max" or (self.mode == "auto" and direction == "up")
        self._sign = 1.0 if up else -1.0
        named = any(word in self.monitor for word in _FALLING)
        self._guesses = self.mode == "auto" and direction is None and not named

    def value(self, logs: Logs | None) -> float | None:
        """The monitored value; warns if there is none."""
        if logs is None or self.monitor not in logs:
            names = ", ".join(logs or ())
            warn(
                f"{type(self).__name__}: no {self.monitor!r} in logs, which have {names}; "
                f"{self._without}",
                RuntimeWarning,
            )
            return None
        if self._guesses:
            self._guesses = False
            warn(
                f"{type(self).__name__}: mode: of {self.monitor!r} a lower value is taken to be "
                f"better; give mode='min' or mode='max'",
            )
        return logs[self.monitor]

    def better(self, value: float, best: float | None) -> bool:
        """Whether `value` is better than `best` by more than min_delta; NaN never is."""
        if math.isnan(value):
            return False
        return best is None or self._sign * (value - best) > self.min_delta
