"""Layers: the parts of a `Sequential`, with Keras' names and arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pylstm import _checks
from pylstm._keras_names import no_attribute
from pylstm.layers._base import Layer
from pylstm.layers._bidirectional import Bidirectional
from pylstm.layers._dense import Dense, Dropout
from pylstm.layers._embedding import Embedding
from pylstm.layers._input import Input, InputLayer
from pylstm.layers._lstm import LSTM, RNN, LSTMCell
from pylstm.layers._masking import Masking
from pylstm.layers._variables import Variable

__all__ = [
    "LSTM",
    "RNN",
    "Bidirectional",
    "Dense",
    "Dropout",
    "Embedding",
    "Input",
    "InputLayer",
    "LSTMCell",
    "Layer",
    "Masking",
    "Variable",
]

# The closed table that files are read with: a name that is not here makes no object.
_CLASSES: dict[str, type[Layer]] = {
    c.__name__: c for c in (Bidirectional, Dense, Dropout, Embedding, LSTM, Masking)
}


def serialize(layer: Layer) -> dict[str, Any]:
    """`layer` as {"class_name": …, "config": {…}}; a subclass of yours as what it inherits."""
    return {"class_name": layer._known().__name__, "config": layer._known_config()}


def deserialize(config: dict[str, Any]) -> Layer:
    """A new layer, without weights, from what `serialize` gave.

    Raises:
        TypeError, ValueError: not such a dict, an unknown class, or arguments out of range.
    """
    if not isinstance(config, dict) or not isinstance(config.get("config"), dict):
        raise TypeError(f"layer: expected a dict with class_name and config, got {config!r}")
    name = config.get("class_name")
    if not isinstance(name, str) or name not in _CLASSES:
        raise _checks.unknown("layer", name, _CLASSES)
    return _CLASSES[name].from_config(config["config"])


if not TYPE_CHECKING:  # a type checker takes a module that has this to have every name

    def __getattr__(name: str) -> Any:
        raise no_attribute(__name__, name, __all__)
