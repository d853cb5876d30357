"""Helpers: for rows of several lengths, and for losses of one's own."""

from typing import TYPE_CHECKING, Any

from pylstm._gradient_check import check_gradient
from pylstm._keras_names import no_attribute
from pylstm._padding import pad_sequences

__all__ = ["check_gradient", "pad_sequences"]


if not TYPE_CHECKING:  # a type checker takes a module that has this to have every name

    def __getattr__(name: str) -> Any:
        raise no_attribute(__name__, name, __all__)
