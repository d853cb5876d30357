"""What a layer is part of: a model, or a wrapper of layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Owner(Protocol):
    """What a layer asks of the model, or the wrapper, that it is part of."""

    dtype: Any

    @property
    def built(self) -> bool: ...
    def _layer_weights(self, layer: Any) -> list[NDArray[Any]]: ...
    def _set_layer_weights(self, layer: Any, weights: list[NDArray[Any]]) -> None: ...
    def _reset_state_of(self, layer: Any) -> None: ...
