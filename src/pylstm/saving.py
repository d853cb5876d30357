"""Model files: a .safetensors file with the configuration as JSON and a test vector.

Nothing in a file is executed, imported or used as a path: names of classes are looked up in closed
tables, or in those that the caller gives, and sizes in the configuration are compared with the
tensors before anything is built.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pylstm import _checks, _core, _custom, _json, losses, metrics, optimizers
from pylstm._core import ModelFileError
from pylstm._warnings import warn
from pylstm.models import Sequential
from pylstm.models._test_vector import check_test_vector

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Tensors = dict[str, NDArray[Any]]


def load_model(
    filepath: str | os.PathLike[str],
    custom_objects: Mapping[str, Callable[..., Any]] | None = None,
    compile: bool = True,
    verify: bool = True,
) -> Sequential:
    """Read a model that `save` wrote.

    Args:
        filepath: The file.
        custom_objects: Functions and classes of your own that were the model's loss and metrics,
            by the name of the function or the class. Without its loss the model is not compiled,
            a metric is left out; a UserWarning says so. Initializers of your own are not needed:
            the weights are there.
        compile: Whether to compile the model as it was when it was saved, with its optimizer's
            state, if the file has that.
        verify: Check the file's digest, and that the model computes what it did when it was saved.

    Raises:
        ModelFileError: the file is truncated, altered, foreign or hostile, or the model computes
            something else than when it was saved.
        OSError: the file cannot be read.
        TypeError: `custom_objects` has something else than a function or class for a name.
    """
    path = _checks.path("filepath", filepath)
    own = _custom.checked(custom_objects)
    compile = _checks.boolean("compile", compile)
    verify = _checks.boolean("verify", verify)
    metadata, found = _core.read_model_file(path, verify)
    _core.active_isa()  # a bad PYLSTM_ISA is not the file's fault, nor is the next one
    _core.get_num_threads()
    tensors = dict(found)
    with _damage(path):
        state = _stored(metadata, "state")
        model = _model(metadata, state, tensors)
        if verify:
            check_test_vector(model, tensors)
        parts = _parts(metadata, own) if compile and "compile" in metadata else None
    if parts is None:
        return model
    optimizer, *rest = parts
    loss, *known = [_made(path, *part, own) for part in rest]
    with _damage(path):
        model.compile(_optimizer(metadata, optimizer[1]), loss, metrics=known)
        _take_slots(model, state, tensors)
    return model


@contextmanager
def _damage(path: str) -> Iterator[None]:
    """What goes wrong inside is the file's fault."""
    try:
        yield
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from None
    except (ValueError, TypeError, KeyError, IndexError, RecursionError) as error:
        raise ModelFileError(f"{path}: {error}") from error


def _stored(metadata: dict[str, str], key: str) -> dict[str, Any]:
    if key not in metadata:
        raise ModelFileError(f"not a pylstm model file: it has no {key!r}")
    value = _json.loads(metadata[key])
    if not isinstance(value, dict):
        raise ModelFileError(f"{key}: expected a JSON object, got {_checks.described(value)}")
    return value


def _model(metadata: dict[str, str], state: dict[str, Any], tensors: Tensors) -> Sequential:
    """The model that a file describes."""
    model = Sequential.from_config(_stored(metadata, "config"))
    if not model.built:
        raise ModelFileError("config: the model in the file is not built")
    weights = _weights(model, tensors)
    kept: dict[str, Any] = {
        "seed": _checks.seed("state: seed", state.get("seed")),
        "epochs": _checks.natural("state: epochs", state.get("epochs")),
        "weights": weights,
        "carried": _carried(model, tensors),
        "optimizer": None,
    }
    model._put_back(kept)
    return model


def _weights(model: Sequential, tensors: Tensors) -> list[list[NDArray[Any]]]:
    """The weights of each layer, compared with the configuration before anything is built."""
    paths, shapes = model._paths()
    for path, shape in zip(paths, shapes, strict=True):
        if path not in tensors:
            raise ModelFileError(f"the tensor {path!r} is missing")
        tensor = tensors[path]
        if tensor.shape != shape or tensor.dtype != model.dtype:
            raise ModelFileError(
                f"{path}: the configuration says {model.dtype} {shape}, "
                f"the tensor is {tensor.dtype} {tensor.shape}"
            )
    known = {*paths, "test/input", "test/output"}
    for name in tensors:
        if name not in known and not name.startswith(("optimizer/", "state/")):
            raise ModelFileError(f"unexpected tensor {name!r}")
    counts = [len(layer.specs(layer.input_shape)) for layer in model.layers]
    rest = iter(tensors[path] for path in paths)
    return [[next(rest) for _ in range(count)] for count in counts]


def _carried(model: Sequential, tensors: Tensors) -> dict[str, list[NDArray[Any]]]:
    """The states of stateful layers."""
    found: dict[str, list[NDArray[Any]]] = {}
    for name, tensor in tensors.items():
        if name.startswith("state/") and not name.startswith(("state/fit/", "state/predict/")):
            raise ModelFileError(f"unexpected tensor {name!r}")
        if name.startswith("state/") and tensor.dtype != model.dtype:
            raise ModelFileError(f"{name}: expected {model.dtype}, got {tensor.dtype}")
    for mode in ("fit", "predict"):
        names = [name for name in tensors if name.startswith(f"state/{mode}/")]
        if names and any(layer.stateful for layer in model.layers):
            found[mode] = [tensors[f"state/{mode}/{i}"] for i in range(len(names))]
    return found


Part = tuple[str, dict[str, Any]]
"""Argument of `compile`, and what it is made of."""

_OWN = {"loss": ("FunctionLoss",), "metrics": ("FunctionMetric", "Metric")}


def _parts(metadata: dict[str, str], own: Mapping[str, Any]) -> list[Part] | None:
    """The optimizer, the loss and the metrics that are there; None if the loss is not."""
    stored = _stored(metadata, "compile")
    optimizer, loss, found = (stored.get(key) for key in ("optimizer", "loss", "metrics"))
    if not (isinstance(optimizer, dict) and isinstance(loss, dict)):
        got = f"{_checks.described(optimizer)} and {_checks.described(loss)}"
        raise ModelFileError(f"compile: expected an optimizer and a loss, objects; got {got}")
    if not isinstance(found, list) or not all(isinstance(metric, dict) for metric in found):
        raise ModelFileError(
            f"compile: expected a list of metrics, objects; got {_checks.described(found)}"
        )
    parts = [("loss", loss), *(("metrics", metric) for metric in found)]
    absent = [part for part in parts if _is_own(*part) and part[1]["custom"] not in own]
    if absent:
        names = ", ".join(repr(part["custom"]) for _, part in absent)
        so = "it is not compiled" if parts[0] in absent else "they are left out"
        warn(
            f"load_model: the file names parts that are not pylstm's: {names}; {so} unless they "
            f"are given as custom_objects={{name: function or class}}; a file made of this model "
            f"would lack them too",
        )
    if parts[0] in absent:
        return None
    return [("optimizer", optimizer), *(part for part in parts if part not in absent)]


def _optimizer(metadata: dict[str, str], part: dict[str, Any]) -> optimizers.Optimizer:
    """The optimizer, with what its weight decay leaves alone."""
    optimizer = optimizers.deserialize(part)
    paths = _stored(metadata, "compile").get("undecayed", [])
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise ModelFileError(f"undecayed: expected a list of paths, got {_checks.described(paths)}")
    optimizer._excluded = frozenset(paths), ()
    return optimizer


def _is_own(argument: str, part: dict[str, Any]) -> bool:
    """Whether a loss or metric of a file is a function or class of the user."""
    name, _ = _checks.class_and_arguments(argument, part)
    return name in _OWN[argument] and isinstance(part.get("custom"), str)


def _made(path: str, argument: str, part: dict[str, Any], own: Mapping[str, Any]) -> Any:
    """A loss or metric; if one of the user cannot be made, that is not the file's fault."""
    deserialize: Any = losses.deserialize if argument == "loss" else metrics.deserialize
    if _is_own(argument, part):
        return deserialize(part, own)
    with _damage(path):
        return deserialize(part)


def _take_slots(model: Sequential, state: dict[str, Any], tensors: Tensors) -> None:
    """Give the optimizer its state."""
    network = model._network()
    slots = []
    for name, slot in network.get_slots():
        stored = tensors.get(f"optimizer/{name}")
        if stored is None or (stored.shape, stored.dtype) != (slot.shape, slot.dtype):
            raise ModelFileError(
                f"the tensor 'optimizer/{name}' is missing, or not {slot.dtype} {slot.shape}"
            )
        slots.append(stored)
    network.set_slots(slots)
    network.iterations = _checks.seed("state: iterations", state.get("iterations"))
