"""Monitor: what the callbacks share that watch one value."""

from __future__ import annotations

import math

from pylstm import _checks
from pylstm._callback import Callback, Logs
from pylstm._warnings import warn

_FALLING = ("loss", "error", "perplexity", "mse", "mae", "entropy")  # known to be better if lower


class Monitor(Callback):
    """A callback that compares one value with the best so far."""

    _without = "nothing is done"
    """What that the value is missing comes to."""

    def __init__(self, monitor: str, mode: str, min_delta: float) -> None:
        self.monitor = _checks.text("monitor", monitor)
        _checks.choice("mode", mode, ("auto", "min", "max"))
        up = mode == "max" or (mode == "auto" and monitor.endswith(("acc", "accuracy", "auc")))
        self._sign = 1.0 if up else -1.0
        known = up or any(word in monitor for word in _FALLING)
        self._guesses = mode == "auto" and not known
        self.min_delta = abs(_checks.number("min_delta", min_delta))

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
