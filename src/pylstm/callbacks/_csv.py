"""CSVLogger: the values of each epoch in a file."""

from __future__ import annotations

import os

from pylstm import _checks
from pylstm._callback import Callback, Logs


class CSVLogger(Callback):
    """Write the values of each epoch to a file.

    Args:
        filename: The file.
        separator: Between values, one character.
        append: Go on with the file if it exists.

    Raises:
        TypeError: `filename` is no path, or `separator` no string.
        ValueError: `separator` is not one character, or a quote or the end of a line.
        FileNotFoundError: training begins, and there is no such folder.
    """

    def __init__(
        self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False
    ) -> None:
        self.filename = _checks.path("filename", filename)
        self.separator, self.append = _checks.text("separator", separator), append
        if len(separator) != 1 or separator in '\r\n"':
            raise ValueError(f"separator: expected one character, got {separator!r}")
        self._names: list[str] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Open the file, empty unless it is to be continued."""
        self._names = None
        _checks.folder_of("filename", self.filename, "write the file")
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
