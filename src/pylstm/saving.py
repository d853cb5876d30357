"""Model files: a .safetensors file with the configuration as JSON and a test vector.

Nothing in a file is executed, imported or used as a path: names of classes are looked up in closed
tables, and sizes in the configuration are compared with the tensors before anything is built.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from pylstm import _checks, _core, _json
from pylstm._core import ModelFileError
from pylstm.models import Sequential
from pylstm.models._test_vector import check_test_vector

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Tensors = dict[str, NDArray[Any]]


def load_model(
    filepath: str | os.PathLike[str], verify: bool = True, compile: bool = True
) -> Sequential:
    """Read a model that `save` wrote.

    Args:
        filepath: The file.
        verify: Check the file's digest, and that the model computes what it did when it was saved.
        compile: Whether to compile the model as it was when it was saved, with its optimizer's
            state, if the file has that.

    Raises:
        ModelFileError: the file is truncated, altered, foreign or hostile, or the model computes
            something else than when it was saved.
        OSError: the file cannot be read.
    """
    path = _checks.path("filepath", filepath)
    compile = _checks.boolean("compile", compile)
    metadata, found = _core.read_model_file(path, bool(verify))
    try:
        model = _model(metadata, dict(found), compile)
        if verify:
            check_test_vector(model, dict(found))
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from None
    except (ValueError, TypeError, KeyError, IndexError, RecursionError) as error:
        raise ModelFileError(f"{path}: {error}") from error
    return model


def _stored(metadata: dict[str, str], key: str) -> dict[str, Any]:
    if key not in metadata:
        raise ModelFileError(f"not a pylstm model file: it has no {key!r}")
    value = _json.loads(metadata[key])
    if not isinstance(value, dict):
        raise ModelFileError(f"{key}: expected a JSON object")
    return value


def _model(metadata: dict[str, str], tensors: Tensors, compiled: bool) -> Sequential:
    """The model that a file describes, `compiled` if the file says how."""
    model = Sequential.from_config(_stored(metadata, "config"))
    if not model.built:
        raise ModelFileError("config: the model in the file is not built")
    weights = _weights(model, tensors)
    state = _stored(metadata, "state")
    kept: dict[str, Any] = {
        "seed": _checks.seed("state: seed", state.get("seed")),
        "epochs": _checks.natural("state: epochs", state.get("epochs")),
        "weights": weights,
        "carried": _carried(model, tensors),
        "optimizer": None,
    }
    model._put_back(kept)
    if compiled and "compile" in metadata:
        _compile(model, _stored(metadata, "compile"), state, tensors)
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
    for mode in ("fit", "predict"):
        names = [name for name in tensors if name.startswith(f"state/{mode}/")]
        if names and any(layer.stateful for layer in model.layers):
            found[mode] = [tensors[f"state/{mode}/{i}"] for i in range(len(names))]
    return found


def _compile(
    model: Sequential, stored: dict[str, Any], state: dict[str, Any], tensors: Tensors
) -> None:
    parts = [stored.get("optimizer"), stored.get("loss")]
    if not all(isinstance(part, dict) for part in parts):
        raise ModelFileError("compile: expected an optimizer and a loss")
    found = stored.get("metrics")
    if not isinstance(found, list) or not all(isinstance(metric, dict) for metric in found):
        raise ModelFileError("compile: expected a list of metrics")
    model.compile(parts[0], parts[1], metrics=found)
    network = model._network()
    expected = network.get_slots()
    slots = []
    for name, slot in expected:
        stored_slot = tensors.get(f"optimizer/{name}")
        if stored_slot is None or stored_slot.shape != slot.shape:
            raise ModelFileError(f"the tensor 'optimizer/{name}' is missing or of another shape")
        slots.append(stored_slot)
    network.set_slots(slots)
    network.iterations = _checks.natural("state: iterations", state.get("iterations"))
