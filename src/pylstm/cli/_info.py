"""`pylstm info`: what a model file holds."""

from __future__ import annotations

import argparse
import hashlib
import json
import warnings
from pathlib import Path

import numpy as np

import pylstm
from pylstm import Sequential, _core
from pylstm.cli import _arguments
from pylstm.cli._output import say, write


def add_parser(commands: _arguments.Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "info",
        help="tell what a model file holds",
        description="Check a model file and print its versions, layers, tensors and sizes.",
    )
    parser.add_argument("model", metavar="MODEL", help="file that pylstm saved")
    parser.add_argument(
        "--config", action="store_true", help="print every argument of every layer too, as JSON"
    )
    parser.set_defaults(run=run, parser=parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit code.

    Raises:
        OSError: the file cannot be read.
        ModelFileError: it is not a whole, unaltered model file.
    """
    path = Path(arguments.model)
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        # also checks the digest, and that the model computes what it did
        model = pylstm.load_model(path)
    metadata, tensors = _core.read_model_file(str(path), False)
    say("file", str(path.resolve()))
    say("size", f"{path.stat().st_size:,} bytes")
    say("sha256", _sha256(path))
    for key in ("pylstm_version", "pylstm_format"):
        if key in metadata:
            say(key.removeprefix("pylstm_"), f"{metadata[key]} (of the file)")
    say("pylstm", f"{pylstm.__version__} (reading it), NumPy {np.__version__}")
    say("input", f"{model.input_shape}, output {model.output_shape}, {model.dtype}")
    say("parameters", f"{model.count_params():,}")
    _layers(model)
    _training(model)
    for note in notes:
        say("note", str(note.message).removeprefix("load_model: "))
    say("tensors", f"{len(tensors)}")
    width = max(len(name) for name, _ in tensors)
    for name, tensor in tensors:
        say("", f"{name:<{width}}  {tensor.dtype.name} {tensor.shape}, {tensor.nbytes:,} bytes")
    if arguments.config:
        say("config", "")
        write(json.dumps(json.loads(metadata["config"]), indent=2) + "\n")
    return 0


def _layers(model: Sequential) -> None:
    say("layers", f"{len(model.layers)}")
    for layer in model.layers:
        say("", f"{layer.name} ({type(layer).__name__}), {layer.count_params():,} parameters")


def _training(model: Sequential) -> None:
    """What a fit would go on with."""
    if model.optimizer is None:
        say("compiled", "no")
        return
    settings = model.optimizer.get_config()
    rate, steps = settings["learning_rate"], model.optimizer.iterations
    say("optimizer", f"{type(model.optimizer).__name__}, learning rate {rate:g}, {steps:,} steps")
    say("loss", "none" if model.loss is None else model.loss.name)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
