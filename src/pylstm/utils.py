"""Helpers for data, with Keras' names and arguments."""

from typing import TYPE_CHECKING, Any

from pylstm._keras_names import no_attribute
from pylstm._padding import pad_sequences

__all__ = ["pad_sequences"]


if not TYPE_CHECKING:  # a type checker takes a module that has this to have every name

    def __getattr__(name: str) -> Any:
        raise no_attribute(__name__, name, __all__)
