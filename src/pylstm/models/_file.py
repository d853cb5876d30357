"""Writing model files, and reading weights from them; `pylstm.saving` reads whole models."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

from pylstm import _checks, _core, _json, losses, metrics, optimizers
from pylstm._warnings import warn
from pylstm.models._alone import at_one_moment
from pylstm.models._compiled import Compiled
from pylstm.models._test_vector import test_input, test_output
from pylstm.models._training import Trainer

if TYPE_CHECKING:
    from numpy.typing import NDArray


def save_model(
    model: Trainer,
    filepath: str | os.PathLike[str],
    overwrite: bool = True,
    include_optimizer: bool = True,
) -> None:
    """`model.save(…)`."""
    path = _checks.model_path("filepath", filepath)
    _checks.folder_of("filepath", path, "save the model")
    if not overwrite and os.path.exists(path):
        raise FileExistsError(f"filepath: {path!r} exists and overwrite is False")
    _core.write_model_file(
        path, *at_one_moment(model, partial(_contents, model, include_optimizer))
    )


def _contents(
    model: Trainer, include_optimizer: bool, network: _core.Network
) -> tuple[dict[str, str], list[tuple[str, NDArray[Any]]]]:
    """What is written: metadata and tensors."""
    test = test_input(model)
    tensors = list(zip(model._paths()[0], network.get_weights(), strict=True))
    metadata = {
        "pylstm_version": _core.build_info()["version"],
        "config": _json.dumps(model.get_config()),
    }
    state = {"seed": model._seed, "epochs": model._epochs_done, "iterations": 0}
    if include_optimizer and model._compiled is not None:
        stored = _serialized(model._compiled, model._paths()[0])
        if stored is not None:
            metadata["compile"] = _json.dumps(stored)
            state["iterations"] = network.iterations
            tensors += [(f"optimizer/{name}", slot) for name, slot in network.get_slots()]
    for mode, states in model._carried_states().items():
        if any(array.size for array in states):
            tensors += [(f"state/{mode}/{i}", array) for i, array in enumerate(states)]
    metadata["state"] = _json.dumps(state)
    tensors += [("test/input", test), ("test/output", test_output(model, test))]
    return metadata, tensors


def read_weights(filepath: str | os.PathLike[str], paths: list[str]) -> list[NDArray[Any]]:
    """The tensors of these paths.

    Raises:
        ModelFileError: the file is damaged or foreign.
        ValueError: it lacks one of them, or has others.
    """
    name = _checks.path("filepath", filepath)
    tensors = dict(_core.read_model_file(name, True)[1])
    weights = [path for path in tensors if not path.startswith(("optimizer/", "state/", "test/"))]
    lacking = [path for path in paths if path not in weights]
    if lacking:
        raise ValueError(
            f"{name}: the file lacks the model's {', '.join(map(repr, lacking))}; its weights are "
            f"{', '.join(map(repr, weights))}"
        )
    if len(weights) > len(paths):
        surplus = [path for path in weights if path not in paths]
        raise ValueError(
            f"{name}: the model lacks the file's {', '.join(map(repr, surplus))}; its weights are "
            f"{', '.join(map(repr, paths))}"
        )
    return [tensors[path] for path in paths]


def _serialized(compiled: Compiled, paths: list[str]) -> dict[str, Any] | None:
    """What `compile` was given, for JSON, for variables of these paths; None without a loss."""
    if compiled.loss is None:
        return None
    known = []
    for metric in compiled.metrics:
        try:
            part = metrics.serialize(metric)
            _json.dumps(part)
        except Exception as error:  # from a get_config of the user: no reason to lose the weights
            warn(
                f"save: the metric {metric.name!r} is left out: its get_config must give a dict "
                f"for JSON: {error}",
            )
        else:
            known.append(part)
    undecayed = compiled.optimizer.undecayed(paths)
    return {
        "optimizer": optimizers.serialize(compiled.optimizer),
        **({"undecayed": undecayed} if undecayed else {}),
        "loss": losses.serialize(compiled.loss),
        "metrics": known,
    }
