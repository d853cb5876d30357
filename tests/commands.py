"""Commands of the terminal, with a text and models so small that each run is a moment."""

from __future__ import annotations

from pathlib import Path

import pytest

from pylstm.cli import main

TINY = ["--units", "8", "--epochs", "2", "--batch-size", "4", "--seq-length", "10"]
TEXT = "Grüße aus Köln — the quick brown fox. " * 20


def generate(capsys: pytest.CaptureFixture[str], model: Path, *options: str) -> str:
    capsys.readouterr()
    assert main(["generate", str(model), *options]) == 0
    return capsys.readouterr().out


def one_line_error(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> str:
    """Standard error of a command that fails; it must be one line, with exit code 2."""
    capsys.readouterr()
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("pylstm: ")
    return error
