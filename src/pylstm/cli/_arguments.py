"""Values of the command line, checked by argparse, and the options that commands share."""

from __future__ import annotations

import argparse
import dataclasses
import re
from collections.abc import Callable
from typing import TypeAlias

from pylstm._checks import LARGEST, LARGEST_SEED
from pylstm.cli._language_model import Settings

MOST_LAYERS = 1000

# argparse keeps the name of this class private; here only annotations need it
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def whole_number(low: int, high: int = LARGEST) -> Callable[[str], int]:
    """A type for argparse: an integer from ``low`` to ``high``."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"\s*[+-]?\d{1,4000}\s*", text) or int(text) < low:
            raise argparse.ArgumentTypeError(
                f"expected a whole number of at least {low}, got {text!r}"
            )
        if int(text) > high:
            raise argparse.ArgumentTypeError(f"expected at most {high}, got {text!r}")
        return int(text)

    return parse


def number(
    low: float, high: float = float("inf"), *, above: bool = False
) -> Callable[[str], float]:
    """A type for argparse: a finite number from ``low``, or above it, to ``high``."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if (
            not (low < value if above else low <= value)
            or not value <= high
            or value == float("inf")
        ):
            bounds = f"{'above' if above else 'of at least'} {low:g}"
            bounds += "" if high == float("inf") else f" and at most {high:g}"
            raise argparse.ArgumentTypeError(f"expected a finite number {bounds}, got {text!r}")
        return value

    return parse


def add_training(parser: argparse.ArgumentParser, defaults: Settings, output: str) -> None:
    """The sizes of the model, the schedule, and where the model goes."""
    count = whole_number(1)
    options: list[tuple[str, Callable[[str], object], str, str]] = [
        ("units", whole_number(1, LARGEST // 4), "N", "units of each LSTM layer"),
        ("layers", whole_number(1, MOST_LAYERS), "N", "LSTM layers"),
        ("epochs", count, "N", "passes over the text"),
        ("batch-size", count, "N", "streams of text read side by side"),
        ("seq-length", count, "N", "bytes between two steps of the optimizer"),
        ("learning-rate", number(0.0, above=True), "R", "of Adam, at the start; it decays"),
        ("seed", whole_number(0, LARGEST_SEED), "N", "same seed, same model"),
    ]
    for name, kind, value, meaning in options:
        default = getattr(defaults, name.replace("-", "_"))
        parser.add_argument(
            f"--{name}", type=kind, metavar=value, help=f"{meaning} (default: {default})"
        )
    parser.add_argument(
        "-o",
        "--output",
        default=output,
        metavar="MODEL",
        help="where to save the model (default: %(default)s)",
    )
    parser.set_defaults(defaults=defaults)


def settings(arguments: argparse.Namespace) -> Settings:
    """What the parsed arguments give, and the command's defaults."""
    names = {field.name for field in dataclasses.fields(Settings)}
    given = {k: v for k, v in vars(arguments).items() if k in names and v is not None}
    defaults: Settings = arguments.defaults
    return dataclasses.replace(defaults, **given)
