"""Callbacks: code that `fit` calls as it goes, with Keras' names and meaning.

A callback that overrides a method for batches makes the engine stop after every batch; the others
cost nothing per step. Inside a callback the model can be used: saved, evaluated, its weights set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pylstm._callback import Callback, History
from pylstm._keras_names import no_attribute
from pylstm.callbacks._checkpoint import ModelCheckpoint
from pylstm.callbacks._csv import CSVLogger
from pylstm.callbacks._lambda import LambdaCallback
from pylstm.callbacks._learning_rate import LearningRateScheduler, ReduceLROnPlateau
from pylstm.callbacks._stopping import EarlyStopping, TerminateOnNaN

__all__ = [
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
    "TerminateOnNaN",
]


if not TYPE_CHECKING:  # a type checker takes a module that has this to have every name

    def __getattr__(name: str) -> Any:
        raise no_attribute(__name__, name, __all__)
