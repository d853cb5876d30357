"""Values of the command line, checked by argparse, and the options that commands share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TypeAlias

from pylstm.cli._language_model import Settings

# argparse keeps the name of this class private; here only annotations need it
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def whole_number(low: int) -> Callable[[str], int]:
    """A type for argparse: an integer of at least ``low``."""

    def parse(text: str) -> int:
        if not text.strip().lstrip("+-").isdecimal() or int(text) < low:
            raise argparse.ArgumentTypeError(
                f"expected a whole number of at least {low}, got {text!r}"
            )
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
            raise argparse.ArgumentTypeError(f"expected a number {bounds}, got {text!r}")
        return value

    return parse


def add_training(parser: argparse.ArgumentParser, defaults: Settings, output: str) -> None:
    """The sizes of the model, the schedule, and where the model goes."""
    options = [
        ("units", "units of each LSTM layer"),
        ("layers", "LSTM layers"),
        ("epochs", "passes over the text"),
        ("batch-size", "streams of text read side by side"),
        ("seq-length", "bytes between two steps of the optimizer"),
    ]
    for name, meaning in options:
        parser.add_argument(
            f"--{name}",
            type=whole_number(1),
            default=getattr(defaults, name.replace("-", "_")),
            metavar="N",
            help=f"{meaning} (default: %(default)s)",
        )
    parser.add_argument(
        "--learning-rate",
        type=number(0.0, above=True),
        default=defaults.learning_rate,
        metavar="R",
        help="of Adam, at the start; it decays (default: %(default)s)",
    )
    parser.add_argument(
        "--seed",
        type=whole_number(0),
        default=defaults.seed,
        metavar="N",
        help="same seed, same model (default: %(default)s)",
    )
    parser.add_argument(
        "-o",
        "--output",
        default=output,
        metavar="MODEL",
        help="where to save the model (default: %(default)s)",
    )


def settings(arguments: argparse.Namespace) -> Settings:
    """The settings in parsed arguments."""
    return Settings(
        units=arguments.units,
        layers=arguments.layers,
        epochs=arguments.epochs,
        batch_size=arguments.batch_size,
        seq_length=arguments.seq_length,
        learning_rate=arguments.learning_rate,
        seed=arguments.seed,
    )
