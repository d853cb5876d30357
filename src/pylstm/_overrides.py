"""Methods of Keras that subclasses override, and that the engine, with its own, never calls."""

from __future__ import annotations

from collections.abc import Iterable

_RULES = {
    "layer": (
        ("build", "call", "__call__", "compute_mask", "compute_output_shape"),
        "a layer written in Python cannot be part of a model",
    ),
    "cell": (
        ("build", "call", "__call__"),
        "a cell written in Python cannot be part of a layer",
    ),
    "model": (
        ("call", "train_step", "test_step", "predict_step", "compute_loss", "compute_metrics"),
        "write the loop around train_on_batch, or a callback",
    ),
    "optimizer": (
        ("apply", "apply_gradients", "update_step"),
        "an update rule written in Python cannot be used",
    ),
    "loss": (
        ("call", "__call__"),
        "a loss of your own is a function that returns loss and gradient",
    ),
    "metrics": (
        ("reset_state", "result", "update_state"),
        "one of your own is a metrics.Metric",
    ),
}
"""By arguments: names of methods, and what to do instead."""


def refuse(argument: str, value: object, bases: Iterable[type]) -> None:
    """Raise TypeError if the class of `value` overrides such a method of one of these bases.

    It would be passed over without a word: the engine computes what the base is.
    """
    names, advice = _RULES[argument]
    kinds = type(value).__mro__
    own = kinds[: min((kinds.index(base) for base in bases if base in kinds), default=0)]
    overridden = [name for kind in own for name in names if name in vars(kind)]
    if overridden:
        raise TypeError(
            f"{argument}: {type(value).__name__} overrides {overridden[0]}, which the engine would "
            f"not call; {advice}"
        )
