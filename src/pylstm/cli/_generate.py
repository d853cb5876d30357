"""`pylstm generate`: let a saved language model write."""

from __future__ import annotations

import argparse
import os

import pylstm
from pylstm import _checks
from pylstm.cli import _arguments
from pylstm.cli import _language_model as language_model
from pylstm.cli._output import write


def add_parser(commands: _arguments.Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "generate",
        help="let a saved language model write",
        description="Print the prompt and what the model writes after it, as UTF-8.",
    )
    parser.add_argument("model", metavar="MODEL", help="file that `pylstm train` saved")
    parser.add_argument(
        "--prompt", default="\n", metavar="TEXT", help="text to go on from (default: a line end)"
    )
    parser.add_argument(
        "--max-new-tokens",
        type=_arguments.whole_number(0),
        default=500,
        metavar="N",
        help="bytes to write (default: %(default)s)",
    )
    parser.add_argument(
        "--temperature",
        type=_arguments.number(0.0),
        default=0.7,
        metavar="X",
        help="below 1 bolder bytes are rarer; 0 always takes the likeliest (default: %(default)s)",
    )
    parser.add_argument(
        "--top-k",
        type=_arguments.whole_number(0),
        default=0,
        metavar="N",
        help="draw from the N likeliest bytes only; 0 is off (default: %(default)s)",
    )
    parser.add_argument(
        "--top-p",
        type=_arguments.number(0.0, 1.0, above=True),
        default=1.0,
        metavar="P",
        help="draw from the likeliest bytes that hold this probability (default: %(default)s)",
    )
    parser.add_argument(
        "--seed",
        type=_arguments.whole_number(0, _checks.LARGEST_SEED),
        metavar="N",
        help="same seed, same text (default: another text each time)",
    )
    parser.set_defaults(run=run, parser=parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit code.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not a language model of this command line, its weights are not finite, or
            the prompt is empty.
    """
    model = pylstm.load_model(arguments.model, compile=False)
    language_model.check(model, arguments.model)
    prompt = os.fsencode(arguments.prompt)
    if not prompt:
        raise ValueError("--prompt: expected at least one byte to go on from, got an empty text")
    try:
        with _checks.naming(arguments.model):  # of a model that sees later bytes, or has no softmax
            text = language_model.generate(
                model,
                prompt,
                arguments.max_new_tokens,
                temperature=arguments.temperature,
                top_k=arguments.top_k,
                top_p=arguments.top_p,
                seed=arguments.seed,
            )
    except RuntimeError as error:  # probabilities are not finite
        raise ValueError(f"{arguments.model}: {error}") from None
    write((prompt + text).decode(errors="replace") + "\n")
    return 0
