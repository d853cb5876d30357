"""Which layers may join a model, under which name, and which one is asked for."""

from __future__ import annotations

from typing import Any

from pylstm import _checks, _overrides
from pylstm._checks import Shape
from pylstm.layers import Embedding, Layer, Masking
from pylstm.layers._recurrent import Recurrent

_MOST_LAYERS = 4096  # adding one looks at all that are there; a hostile file may name many


def check_new(layer: Any, layers: list[Layer], dtype: str) -> None:
    """Raise TypeError or ValueError if `layer` cannot come on top of `layers`."""
    if not isinstance(layer, Layer):
        raise TypeError(f"layer: expected a pylstm layer, got {layer!r}")
    if layer._known().__abstractmethods__:
        raise TypeError(
            f"layer: expected a layer of pylstm or a subclass of one, got {type(layer).__name__}: "
            f"a layer written in Python cannot run in the engine"
        )
    _overrides.refuse("layer", layer, [layer._known()])
    if len(layers) >= _MOST_LAYERS:
        raise ValueError(f"layer {layer.name!r}: a model has at most {_MOST_LAYERS} layers")
    if layer.owner is not None:
        raise ValueError(
            f"layer {layer.name!r} belongs to a model already; take it off there with pop(), or "
            f"use a copy, which has its weights: copy.deepcopy(layer)"
        )
    if layers and isinstance(layer, Embedding | Masking):
        kind = "an Embedding" if isinstance(layer, Embedding) else "a Masking"
        instead = "; give the Embedding mask_zero=True" if isinstance(layers[0], Masking) else ""
        raise ValueError(f"layer {layer.name!r}: {kind} must be the first layer{instead}")
    if isinstance(layer, Recurrent) and layer.several_outputs:
        raise ValueError(
            f"layer {layer.name!r} has more than one output (return_state=True or "
            f"merge_mode=None); in a model each layer has one"
        )
    if layer.dtype not in (None, dtype):
        raise ValueError(
            f"layer {layer.name!r}: dtype {layer.dtype} differs from the model's {dtype}; give all "
            f"layers one by Sequential(…, dtype={layer.dtype!r})"
        )
    if not layer.auto_named and any(layer.name == other.name for other in layers):
        raise ValueError(f"name: the model has a layer {layer.name!r} already")


def output_shape(layer: Layer, shape: Shape, below: list[Layer]) -> Shape:
    """Shape of the output of `layer`, for an input of `shape` that comes from the layers `below`.

    Raises:
        ValueError: it cannot take this input; the layer that dropped the steps is named.
    """
    try:
        return layer.compute_output_shape(shape)
    except ValueError as error:
        for other in reversed(below):
            if len(shape) == 2 and isinstance(other, Recurrent) and not other.return_sequences:
                raise ValueError(
                    f"{error}; layer {other.name!r} before it needs return_sequences=True"
                ) from None
        raise


def check_features(layer: Layer, shape: Shape) -> None:
    """Raise ValueError if `layer` has weights for another number of features than `shape` has."""
    if layer.held and not layer.token_ids and layer.input_shape[-1] != shape[-1]:
        raise ValueError(
            f"layer {layer.name!r} has weights for {layer.input_shape[-1]} features, "
            f"its input here has {shape[-1]}"
        )


def narrowed(known: Shape, shape: Shape) -> Shape:
    """`known`, the shape that a model is built for, with open sizes taken from `shape`.

    Raises:
        ValueError: the two contradict each other.
    """
    rows, *sizes = zip(known, shape, strict=False)
    fits = None in rows or rows[0] == rows[1]
    if len(known) != len(shape) or not fits or any(a not in (None, b) for a, b in sizes):
        raise ValueError(
            f"input_shape: the model is built for {_checks.shape_text(known)}, "
            f"got {_checks.shape_text(shape)}"
        )
    return tuple(b if a is None else a for a, b in zip(known, shape, strict=True))


def free_name(layer: Layer, layers: list[Layer]) -> str:
    """The layer's name, with a number if it is taken: "lstm", "lstm_1"."""
    taken = {other.name for other in layers}
    name, count = layer.name, 0
    while name in taken:
        count += 1
        name = f"{layer.name}_{count}"
    return name


def found_layer(layers: list[Layer], name: str | None, index: int | None) -> Layer:
    """The layer of this name or index; ValueError as `Sequential.get_layer`."""
    if (name is None) == (index is None):
        raise ValueError("get_layer: give either a name or an index")
    if index is not None:
        _checks.integer("index", index, -len(layers), "the index of a layer")
        if index >= len(layers):
            raise ValueError(f"index: the model has {len(layers)} layers, got {index}")
        return layers[index]
    for layer in layers:
        if layer.name == name:
            return layer
    raise _checks.unknown("name", name, [layer.name for layer in layers])
