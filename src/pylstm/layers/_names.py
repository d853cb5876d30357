"""Names of layers."""

from __future__ import annotations

from pylstm import _checks


def layer_name(name: object) -> str:
    """`name` if it can be a layer's name."""
    result = _checks.text("name", name)
    if "/" in result or not (result.isascii() and result.isprintable()) or len(result) > 64:
        raise ValueError(
            f"name: expected at most 64 printable ASCII characters without '/', got {name!r}"
        )
    return result
