"""Configured: what can be made again of what its `get_config` gives."""

from __future__ import annotations

from typing import Any, TypeVar

AnyConfigured = TypeVar("AnyConfigured", bound="Configured")


class Configured:
    """Base of losses, metrics, optimizers, initializers and cells."""

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, ready for JSON."""
        return {}

    @classmethod
    def from_config(cls: type[AnyConfigured], config: dict[str, Any]) -> AnyConfigured:
        """A new one of what `get_config` gave; raises as the constructor does."""
        return cls(**config)
