"""What `fit`, `evaluate` and `predict` print: a tqdm bar, plain lines, or nothing.

The bar is for terminals and notebooks; elsewhere (pipes, logs) one line an epoch is printed.
tqdm is imported when the first bar is shown.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any, Protocol

_REFRESH_SECONDS = 0.05


class Source(Protocol):
    """Where the numbers beside the bar come from."""

    def logs(self) -> dict[str, float]: ...
    def amount(self) -> tuple[float, str]: ...


class Progress:
    """Prints nothing; the base of those that print."""

    def begin(self, title: str, steps: int | None, source: Source) -> None:
        """A pass of `steps` batches (None if unknown) begins."""

    def update(self, steps: int) -> None:
        """`steps` batches of the pass are done in all."""

    def end(self, steps: int, logs: dict[str, float]) -> None:
        """The pass is over; `logs` also has what was found after it."""

    def close(self) -> None:
        """Leave the terminal in order, also after an error."""


class Lines(Progress):
    """One plain line a pass."""

    def begin(self, title: str, steps: int | None, source: Source) -> None:
        self._title, self._source, self._start = title, source, time.monotonic()
        self._expected, self._seconds = steps, 0.0

    def update(self, steps: int) -> None:
        self._seconds = time.monotonic() - self._start

    def end(self, steps: int, logs: dict[str, float]) -> None:
        amount, unit = self._source.amount()
        parts = [
            *([self._title] if self._title else []),
            f"{steps}/{self._expected or steps}",
            f"{time.monotonic() - self._start:.0f}s",
            f"{step_time(self._seconds / max(1, steps))}/step",
            f"{amount / max(self._seconds, 1e-9):,.0f} {unit}/s",
            *(f"{name}: {number(value)}" for name, value in logs.items()),
        ]
        print(" - ".join(parts), flush=True)


class Bar(Progress):
    """A tqdm bar with the loss, the metrics, the rate and the time left; a plain line follows it.

    The bar takes what the numbers leave of the line; in a narrow terminal the rate goes first.
    """

    _FORMAT = "{desc}{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"
    _OPEN_FORMAT = "{desc}{n_fmt} [{elapsed}{postfix}]"

    def __init__(self) -> None:
        self._bar: Any = None
        self._line = Lines()

    def begin(self, title: str, steps: int | None, source: Source) -> None:
        from tqdm.auto import tqdm  # type: ignore[import-untyped,unused-ignore]

        self._source, self._start = source, time.monotonic()
        self._last = self._start
        self._line.begin(title, steps, source)
        self._bar = tqdm(
            total=steps,
            desc=f"{title}: " if title else "",
            file=sys.stdout,
            bar_format=self._OPEN_FORMAT if steps is None else self._FORMAT,
            mininterval=0.0,
            dynamic_ncols=True,
        )

    def update(self, steps: int) -> None:
        self._line.update(steps)
        now = time.monotonic()
        if now - self._last >= _REFRESH_SECONDS:
            self._last = now
            self._show(steps, self._source.logs(), now)

    def end(self, steps: int, logs: dict[str, float]) -> None:
        self._show(steps, logs, time.monotonic())
        self._bar.leave = False
        self.close()
        self._line.end(steps, logs)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _show(self, steps: int, logs: dict[str, float], now: float) -> None:
        amount, unit = self._source.amount()
        rate = f"{amount / max(now - self._start, 1e-9):,.0f} {unit}/s"
        numbers = [f"{name}: {number(value)}" for name, value in logs.items()]
        self._bar.n = steps
        self._bar.set_postfix_str(", ".join([*numbers, rate]), refresh=False)
        self._bar.refresh()


def make(verbose: Any, quiet_lines: bool = False) -> Progress:
    """The progress for a `verbose` of "auto", 0, 1 or 2.

    "auto" and 1 show a bar on a terminal or in a notebook, and lines elsewhere; 2 prints lines.
    `quiet_lines`: print no lines unless they were asked for with 1 or 2.
    """
    if isinstance(verbose, bool):
        verbose = int(verbose)
    if not isinstance(verbose, str | int) or verbose not in ("auto", 0, 1, 2):
        raise ValueError(f'verbose: expected "auto", 0, 1 or 2, got {verbose!r}')
    if verbose == 0:
        return Progress()
    if verbose != 2 and interactive():
        return Bar()
    return Progress() if quiet_lines and verbose == "auto" else Lines()


def interactive() -> bool:
    """Whether the output is a notebook, or a terminal that has a width."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    # Shells of hosted notebooks inherit from Jupyter's.
    if any(kind.__name__ == "ZMQInteractiveShell" for kind in type(shell).__mro__):
        return True
    try:
        if not sys.stdout.isatty():
            return False
    except (AttributeError, ValueError):  # no stdout, or a closed one
        return False
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns > 0
    except (AttributeError, OSError, ValueError):  # a terminal that has no descriptor
        return True


def number(value: float) -> str:
    """A value as Keras prints it."""
    return f"{value:.4f}" if abs(value) > 1e-3 or value == 0 else f"{value:.4e}"


def step_time(seconds: float) -> str:
    """A duration as Keras prints it."""
    if seconds >= 1 or seconds == 0:
        return f"{seconds:.0f}s"
    return f"{seconds * 1e3:.0f}ms" if seconds >= 1e-3 else f"{seconds * 1e6:.0f}us"


def title(epoch: int, epochs: int) -> str:
    """ "Epoch 2/10", or nothing if there is only one."""
    return f"Epoch {epoch + 1}/{epochs}" if epochs > 1 else ""
