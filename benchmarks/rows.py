"""Rows of a stored run, as `grid` makes them."""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]


def fastest(peers: Row) -> tuple[str, Row] | None:
    """The timed peer with the least ratio; None without one."""
    timed = ((name, entry) for name, entry in peers.items() if "ratio" in entry)
    return min(timed, key=lambda item: item[1]["ratio"], default=None)
