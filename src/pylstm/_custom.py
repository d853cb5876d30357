"""Losses and metrics of the user, which a model file can only name: `custom_objects`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from pylstm._configured import Configured

Kind = TypeVar("Kind", bound=Configured)


def name_of(function: Callable[..., Any]) -> str:
    """The name of a function, of the one that a partial calls, of the class of an object."""
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(function, "__name__", type(function).__name__)


def checked(value: object) -> Mapping[str, Any]:
    """The user's own losses and metrics, by the names that files know them by."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError(f"custom_objects: expected a dict, got {type(value).__name__}")
    for name, thing in value.items():
        if not isinstance(name, str):
            raise TypeError(f"custom_objects: expected names as keys, got {name!r}")
        if not callable(thing):
            raise TypeError(
                f"custom_objects: expected a function or a class for {name!r}, got {thing!r}"
            )
    return value


def find(argument: str, config: dict[str, Any], known: Mapping[str, Any] | None) -> Any:
    """What the user gave for the name that `serialize` left of a function or class of theirs."""
    name, found = config.get("custom"), known or {}
    if not isinstance(name, str):
        raise TypeError(f"{argument}: expected the name of a function or class, got {name!r}")
    if name not in found:
        raise ValueError(
            f"{argument}: {name!r} is not one of pylstm's; `deserialize` and `load_model` take "
            f"such in custom_objects"
        )
    return found[name]


def find_function(
    argument: str, config: dict[str, Any], known: Mapping[str, Any] | None
) -> Callable[..., Any]:
    """`find`, of what must be a function."""
    function = find(argument, config, known)
    if isinstance(function, type) or not callable(function):
        raise TypeError(
            f"custom_objects: expected a function for {config['custom']!r}, got {function!r}"
        )
    return cast("Callable[..., Any]", function)


def find_class(
    argument: str,
    config: dict[str, Any],
    known: Mapping[str, Any] | None,
    bases: tuple[type[Kind], ...],
) -> type[Kind]:
    """`find`, of what must be a class that inherits one of `bases`."""
    kind = find(argument, config, known)
    if not (isinstance(kind, type) and issubclass(kind, bases)):
        raise TypeError(f"custom_objects: expected a class of {argument}, got {kind!r}")
    return kind


def made_of(kind: type[Kind], config: dict[str, Any]) -> Kind:
    """An object of a class of the user from what its `get_config` gave."""
    try:
        return kind.from_config(config)
    except Exception as error:
        raise TypeError(
            f"custom_objects: {kind.__name__} cannot be made of what its get_config gave, "
            f"{config!r}: {error}"
        ) from error
