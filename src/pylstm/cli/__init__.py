"""The command line: `pylstm demo`, `train`, `generate`, `info`, `bench`; or `python -m pylstm`.

Each command is a module with `add_parser` and `run`. What goes wrong with a file or an argument
becomes one line on standard error and exit code 2; errors in the program keep their traceback.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence
from typing import TextIO

from pylstm.cli import _output
from pylstm.cli._exit import FAILED, INTERRUPTED


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code.

    Args:
        argv: the arguments without the program's name; ``sys.argv`` by default.
    """
    arguments, unknown = _parser().parse_known_args(argv)
    if unknown:
        arguments.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            code: int = arguments.run(arguments)
        _output.write("")  # flushes
        return code
    except BrokenPipeError:  # the reader of a pipe has seen enough
        _output.abandon()
        return 1
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)
    except OSError as error:
        if error.filename == _output.STDOUT:
            _output.abandon()
        reason = error.strerror if error.strerror and error.filename else str(error)
        return _fail(f"{error.filename}: {reason}" if error.filename else reason, FAILED)
    except (ValueError, MemoryError) as error:
        return _fail(str(error) or "out of memory", FAILED)


def _parser() -> argparse.ArgumentParser:
    import pylstm
    from pylstm.cli import _bench, _demo, _generate, _info, _train

    parser = argparse.ArgumentParser(
        prog="pylstm", description="Train and use LSTM language models, byte by byte."
    )
    parser.add_argument("--version", action="version", version=f"pylstm {pylstm.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in (_demo, _train, _generate, _info, _bench):
        command.add_parser(commands)
    return parser


def _fail(message: str, code: int) -> int:
    _output.tell(message)
    return code


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """No line of a program to name."""
    _output.tell(str(message))
