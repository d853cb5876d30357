"""The table that `summary` prints, in Keras' form."""

from __future__ import annotations

import math
import shutil
import sys
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from pylstm import _checks
from pylstm._checks import Shape

if TYPE_CHECKING:
    from pylstm.layers import Layer
    from pylstm.models._structure import Structure

_HEAD = ("Layer (type)", "Output Shape", "Param #")
_ASCII = str.maketrans(dict(zip("┏━┳┓┃┡╇┩│├─┼┤└┴┘", "+-++|+++|+-+++++", strict=True)))


def table(
    model: Structure,
    optimizer_params: int,
    line_length: int | None,
    positions: Any,
    show_trainable: bool,
    layers: list[Layer],
) -> str:
    """The table as text; `optimizer_params` is 0 for a model that has not been compiled."""
    total = min(88, shutil.get_terminal_size((92, 24)).columns - 4)
    if line_length is not None:
        total = _checks.positive_int("line_length", line_length)
    head = [*_HEAD, *(["Trained"] if show_trainable else [])]
    edges: tuple[float, ...] = (0.45, 0.72, 0.86, 1.0) if show_trainable else (0.45, 0.80, 1.0)
    if positions is not None:
        edges = _edges(positions, len(head))
    unit = total if edges[-1] <= 1 else 1
    widths = [max(8, round(b * unit) - round(a * unit) - 3) for a, b in pairwise((0.0, *edges))]
    rows = [_row(layer, show_trainable, model.trainable) for layer in layers]
    lines = [
        f'Model: "{model.name}"',
        _rule(widths, "┏━┳┓"),
        *_cells(head, widths, "┃"),
        _rule(widths, "┡━╇┩"),
    ]
    for i, row in enumerate(rows):
        if i:
            lines.append(_rule(widths, "├─┼┤"))
        lines += _cells(row, widths, "│")
    lines += [_rule(widths, "└─┴┘"), *_totals(model, optimizer_params)]
    return "\n".join(lines)


def layers_between(model: Structure, layer_range: Any) -> list[Layer]:
    """The layers from the first of these two names to the last.

    Raises:
        TypeError, ValueError: not two names of layers in their order.
    """
    if not isinstance(layer_range, list | tuple) or len(layer_range) != 2:
        raise TypeError(
            f"layer_range: expected the names of two layers, got {_checks.described(layer_range)}"
        )
    names = [layer.name for layer in model.layers]
    first, last = (names.index(model.get_layer(name).name) for name in layer_range)
    if first > last:
        raise ValueError(f"layer_range: {layer_range[0]!r} comes after {layer_range[1]!r}")
    return model.layers[first : last + 1]


def _edges(positions: Any, columns: int) -> tuple[float, ...]:
    """`positions` if they are right edges of so many columns."""
    if not isinstance(positions, list | tuple) or len(positions) != columns:
        raise ValueError(
            f"positions: expected {columns} numbers, one a column, got "
            f"{_checks.described(positions)}"
        )
    edges = tuple(_checks.number("positions", edge, 0.0) for edge in positions)
    if any(right <= left for left, right in pairwise((0.0, *edges))):
        raise ValueError(f"positions: expected rising numbers above 0, got {positions}")
    return edges


def printable(text: str) -> str:
    """`text`, with plain characters if the output cannot show lines."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return text.translate(_ASCII)
    return text


def _row(layer: Layer, show_trainable: bool, trained: bool) -> list[str]:
    shape = _shape(layer.output_shape) if layer.built else "?"
    count = f"{layer.count_params():,}" if layer.built else "0 (unbuilt)"
    row = [f"{layer.name} ({type(layer).__name__})", shape, count]
    if show_trainable:
        flags = layer.trainable_flags() if layer.built else [layer.trainable]
        flags = [trained and flag for flag in flags]
        row.append(("Y" if all(flags) else "part" if any(flags) else "N") if layer.weights else "-")
    return row


def _shape(shape: Shape) -> str:
    return f"({', '.join(str(d) for d in shape)})"


def _rule(widths: list[int], marks: str) -> str:
    inner = marks[2].join(marks[1] * (width + 2) for width in widths)
    return marks[0] + inner + marks[3]


def _cells(row: list[str], widths: list[int], edge: str) -> list[str]:
    """One row; text that is too long goes on in the next line. Numbers stand at the right."""
    pieces = [
        [cell[i : i + width] for i in range(0, len(cell), width)]
        for cell, width in zip(row, widths, strict=True)
    ]
    lines = []
    for i in range(max(map(len, pieces))):
        parts = [piece[i] if i < len(piece) else "" for piece in pieces]
        aligned = [
            f" {part:>{width}} " if column == 2 else f" {part:<{width}} "
            for column, (part, width) in enumerate(zip(parts, widths, strict=True))
        ]
        lines.append(edge + edge.join(aligned) + edge)
    return lines


def _totals(model: Structure, optimizer_params: int) -> list[str]:
    size = 8 if model.dtype == "float64" else 4
    counts = [
        (math.prod(spec.shape), flag)
        for layer in model.layers
        if layer.built
        for spec, flag in zip(layer.specs(layer.input_shape), layer.trainable_flags(), strict=True)
    ]
    everything = sum(count for count, _ in counts)
    trained = sum(count for count, trainable in counts if trainable and model.trainable)
    lines = [
        ("Total params", everything + optimizer_params),
        ("Trainable params", trained),
        ("Non-trainable params", everything - trained),
    ]
    if optimizer_params:
        lines.append(("Optimizer params", optimizer_params))
    return [f" {label}: {count:,} ({_bytes(count * size)})" for label, count in lines]


def _bytes(count: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1024:
            return f"{count:.2f} {unit}"
        count /= 1024
    return f"{count:.2f} TB"
