"""`pylstm train`: the main job, on text files of the user."""

from __future__ import annotations

import argparse
import os

from pylstm import _checks
from pylstm.cli import _arguments, _corpus, _job
from pylstm.cli._language_model import Settings


def add_parser(commands: _arguments.Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "train",
        help="train a language model on text files of yours",
        description="Train an LSTM language model byte by byte on text in any language, compare "
        "with n-gram models on held-out text, and let it write. After every epoch the model is "
        "measured and saved, without its optimizer; Ctrl-C stops and saves what it has learned, "
        "before the first epoch's end beside a file that is there already. "
        "The bar shows the loss in nats, the report bits: a nat is 1.443 bits.",
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="text to learn from")
    parser.add_argument(
        "--validation",
        action="append",
        metavar="FILE",
        help="text to measure on, may be given several times (default: the last tenth of the text "
        "is held out)",
    )
    parser.add_argument(
        "--from",
        dest="start",
        metavar="MODEL",
        help="go on from this model, saved by `pylstm train`, in place of new weights; it has "
        "units and layers of its own",
    )
    _arguments.add_training(parser, Settings(epochs=10), "pylstm-model.safetensors")
    parser.set_defaults(run=run, parser=parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    start = [] if arguments.start is None else [arguments.start]
    for path in [*arguments.files, *(arguments.validation or ()), *start]:
        if _is_same(path, arguments.output):
            raise ValueError(f"--output: expected another file than {path}, which is read")
    for name in ("units", "layers"):
        if start and getattr(arguments, name) is not None:
            raise ValueError(f"--{name}: not with --from, whose model has its own")
    files = arguments.files
    name = files[0] if len(files) == 1 else f"{len(files)} files"
    text = _corpus.read_files(files)
    if arguments.validation:
        if len(text) < 2:
            raise ValueError(f"{name}: expected at least 2 bytes to learn from, got {len(text)}")
        train, held_out = text, _corpus.read_files(arguments.validation)
        if len(held_out) < 2:
            raise ValueError(f"--validation: expected at least 2 bytes, got {len(held_out)}")
    else:
        with _checks.naming(name):
            train, held_out = _corpus.hold_out(text)
    job = _job.Job(
        name,
        train,
        held_out,
        _corpus.opening(held_out, 16),
        arguments.output,
        arguments.start,
        goes_on=not arguments.validation,
    )
    return _job.run(job, _arguments.settings(arguments))


def _is_same(a: str, b: str) -> bool:
    """Whether two paths are one file, or would be."""
    if os.path.exists(a) and os.path.exists(b):
        return os.path.samefile(a, b)
    return os.path.realpath(a) == os.path.realpath(b)
