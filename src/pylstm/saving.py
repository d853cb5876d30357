"""Model files: a .safetensors file with the configuration as JSON and a test vector.

Nothing in a file is executed, imported or used as a path: names of classes are looked up in closed
tables, and sizes in the configuration are compared with the tensors before anything is built.
"""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from pylstm import _checks, _core, _json, losses, metrics, optimizers
from pylstm._core import ModelFileError
from pylstm.models import Sequential
from pylstm.models._compiled import Compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Tensors = dict[str, NDArray[Any]]

_TEST_ROWS, _TEST_STEPS, _TEST_VALUES = 4, 16, 1 << 16
_TOLERANCE = 1e-3


def save_model(
    model: Sequential,
    filepath: str | os.PathLike[str],
    overwrite: bool = True,
    include_optimizer: bool = True,
) -> None:
    """`model.save(…)`."""
    path = _checks.model_path("filepath", filepath)
    if not overwrite and os.path.exists(path):
        raise FileExistsError(f"filepath: {path!r} exists and overwrite is False")
    model._enter()
    network = model._network()
    paths, _ = model._paths()
    tensors = list(zip(paths, network.get_weights(), strict=True))
    metadata = {
        "pylstm_version": _core.build_info()["version"],
        "config": _json.dumps(model.get_config()),
    }
    state = {"seed": model._seed, "epochs": model._epochs_done, "iterations": 0}
    if include_optimizer and model._compiled is not None:
        stored = _serialized(model._compiled)
        if stored is not None:
            metadata["compile"] = _json.dumps(stored)
            state["iterations"] = network.iterations
            tensors += [(f"optimizer/{name}", slot) for name, slot in network.get_slots()]
        elif model._compiled.function is not None:
            warnings.warn(
                "save: the loss is a Python function, which a file cannot hold: neither the loss "
                "nor the optimizer and its state are stored; compile the loaded model again "
                "(include_optimizer=False saves without them)",
                UserWarning,
                stacklevel=3,
            )
        for mode, states in model._carried_states().items():
            if any(array.size for array in states):
                tensors += [(f"state/{mode}/{i}", array) for i, array in enumerate(states)]
    metadata["state"] = _json.dumps(state)
    test = _test_input(model)
    tensors += [("test/input", test), ("test/output", _test_output(model, test))]
    _core.write_model_file(path, metadata, tensors)


def load_model(filepath: str | os.PathLike[str], verify: bool = True) -> Sequential:
    """Read a model that `save` wrote.

    Args:
        filepath: The file.
        verify: Check the file's digest, and that the model computes what it did when it was saved.

    Raises:
        ModelFileError: the file is truncated, altered, foreign or hostile, or the model computes
            something else than when it was saved.
        OSError: the file cannot be read.
    """
    path = _path(filepath)
    metadata, found = _core.read_model_file(path, bool(verify))
    try:
        model = _model(metadata, dict(found))
        if verify:
            _check_output(model, dict(found))
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from None
    except (ValueError, TypeError, KeyError, IndexError, RecursionError) as error:
        raise ModelFileError(f"{path}: {error}") from error
    return model


def read_weights(filepath: str | os.PathLike[str], paths: list[str]) -> list[NDArray[Any]]:
    """The tensors of these paths.

    Raises:
        ModelFileError: the file is damaged or foreign.
        ValueError: it lacks one of them.
    """
    tensors = dict(_core.read_model_file(_path(filepath), True)[1])
    for path in paths:
        if path not in tensors:
            raise _checks.unknown("weights", path, tensors)
    return [tensors[path] for path in paths]


def _path(filepath: str | os.PathLike[str]) -> str:
    path = os.fspath(filepath)
    if not isinstance(path, str):
        raise TypeError(f"filepath: expected a string or a path, got {filepath!r}")
    return path


def _serialized(compiled: Compiled) -> dict[str, Any] | None:
    """What `compile` was given, for JSON; None if the loss is written in Python."""
    if compiled.loss is None or compiled.function is not None:
        return None
    known = [metrics.serialize(metric) for metric in compiled.metrics]
    return {
        "optimizer": optimizers.serialize(compiled.optimizer),
        "loss": losses.serialize(compiled.loss),
        "metrics": [metric for metric in known if metric is not None],
    }


# ---- the test vector


def _has_steps(model: Sequential) -> bool:
    return len(model.input_shape) == 3 or _token_count(model) > 0


def _token_count(model: Sequential) -> int:
    """Number of token ids that the model reads; 0 if it reads features."""
    return getattr(model.layers[0], "input_dim", 0)


def _test_input(model: Sequential) -> NDArray[Any]:
    """A few rows drawn from the generator; few enough for a small output."""
    sizes = [_TEST_ROWS, *(size or 1 for size in model.input_shape[1:])]
    if _has_steps(model):
        width = model.output_shape[-1] or 1
        steps = max(1, min(_TEST_STEPS, _TEST_VALUES // (_TEST_ROWS * width)))
        sizes[1] = min(steps, model.input_shape[1] or steps)
    drawn = _core.initialize("uniform", tuple(sizes), 0.0, 1.0, 0, 0)
    tokens = _token_count(model)
    if tokens:
        return np.minimum(drawn * tokens, tokens - 1).astype(np.int32)
    return (2.0 * drawn - 1.0).astype(model.dtype)


def _test_output(model: Sequential, test: NDArray[Any]) -> NDArray[Any]:
    """The model's output for the test input, from zero states; carried states stay."""
    network = model._network()
    carried = model._carried_states()
    if carried:
        network.reset_state("predict")
    try:
        data = _core.Data(test)
        network.check(data, "predict")
        shape = tuple(test.shape[1] if d == -1 else d for d in network.output_shape())
        out = np.empty((len(test), *shape), model.dtype)
        network.predict(data, len(test), 0, 1, 0.0, out)
    finally:
        if carried:
            network.set_state("predict", carried["predict"])
    return out


def _check_output(model: Sequential, tensors: Tensors) -> None:
    """Raise ModelFileError unless the model computes the file's test output."""
    if "test/input" not in tensors or "test/output" not in tensors:
        raise ModelFileError("the test vector is missing")
    test, expected = tensors["test/input"], tensors["test/output"]
    shape = model.input_shape
    if _has_steps(model):
        shape = (None, None, *shape[2:])
    _checks.inputs(_checks.array("test/input", test), shape)
    if len(test) > _TEST_ROWS or (_has_steps(model) and test.shape[1] > _TEST_STEPS):
        raise ModelFileError(f"the test vector is too large: {test.shape}")
    got = _test_output(model, test)
    finite = np.abs(expected[np.isfinite(expected)])
    scale = float(finite.max()) if finite.size else 1.0
    if got.shape != expected.shape or not np.allclose(
        got, expected, rtol=_TOLERANCE, atol=_TOLERANCE * scale, equal_nan=True
    ):
        raise ModelFileError("the model does not compute what it did when it was saved")


# ---- reading


def _stored(metadata: dict[str, str], key: str) -> dict[str, Any]:
    if key not in metadata:
        raise ModelFileError(f"not a pylstm model file: it has no {key!r}")
    value = _json.loads(metadata[key])
    if not isinstance(value, dict):
        raise ModelFileError(f"{key}: expected a JSON object")
    return value


def _model(metadata: dict[str, str], tensors: Tensors) -> Sequential:
    """The model that a file describes."""
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
    if "compile" in metadata:
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
