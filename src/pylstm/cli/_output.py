"""Text on standard output: at once even into a pipe, and whatever the terminal can show."""

from __future__ import annotations

import sys


def say(label: str, text: str) -> None:
    """One line of a report."""
    write(f"{label:<11}{text}\n")


def write(text: str) -> None:
    """Write text; characters that the output's encoding lacks come out as replacement marks."""
    if sys.stdout is None:  # it was closed before the start
        return
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
    sys.stdout.flush()
