"""`pylstm demo`: the main job, on English text that every Python carries."""

from __future__ import annotations

import argparse

from pylstm.cli import _arguments, _corpus, _job
from pylstm.cli._language_model import Settings


def add_parser(commands: _arguments.Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "demo",
        help="train a language model on the text of Python's help(), in about a minute",
        description="Train an LSTM language model byte by byte on the text of Python's own "
        "help(), hold out the last tenth, compare with n-gram models there, and let it write.",
    )
    _arguments.add_training(parser, Settings(), "pylstm-demo.safetensors")
    parser.set_defaults(run=run, parser=parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    train, held_out = _corpus.hold_out(_corpus.demo_text())
    job = _job.Job(
        "pydoc_data.topics", train, held_out, b"When a function is called, ", arguments.output
    )
    return _job.run(job, _arguments.settings(arguments))
