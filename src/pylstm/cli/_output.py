"""Text on standard output, at once even into a pipe and whatever the terminal can show; errors."""

from __future__ import annotations

import contextlib
import os
import sys

STDOUT = "standard output"  # named so in errors


def say(label: str, text: str) -> None:
    """One line of a report."""
    write("".join(map(_visible, f"{label:<10} {text}")) + "\n")


def write(text: str) -> None:
    """Write text; characters that the output's encoding lacks come out as replacement marks.

    Raises:
        BrokenPipeError: nobody reads any more.
        OSError: the output cannot be written; its filename is STDOUT.
    """
    if sys.stdout is None:  # it was closed before the start
        return
    encoding = sys.stdout.encoding or "utf-8"
    try:
        sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
        sys.stdout.flush()
    except OSError as error:
        raise OSError(error.errno, os.strerror(error.errno or 0), STDOUT) from None


def tell(message: str) -> None:
    """One line on standard error."""
    print(f"pylstm: {' '.join(message.split())}", file=sys.stderr)


def abandon() -> None:
    """Let what is left for an output that cannot be written not fail again when Python ends."""
    with contextlib.suppress(OSError, ValueError, AttributeError):  # it has no descriptor
        descriptor = sys.stdout.fileno()
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), descriptor)


def _visible(character: str) -> str:
    """What is in a file may be anything: what a terminal would obey is spelled out."""
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode()
