"""Recurrent: what the layers with states share when they are called on arrays."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from pylstm import _checks
from pylstm.layers._base import Layer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Recurrent(Layer):
    """Base of the layers with states; a subclass says which states fit it."""

    directions = 1
    return_sequences: bool
    return_state: bool
    states: list[NDArray[Any]] | None = None
    """Final states of the last direct call if `stateful`: the start of the next."""

    @property
    def several_outputs(self) -> bool:
        """Whether a call gives a list."""
        return self.return_state

    @property
    @abstractmethod
    def reads_backward(self) -> bool:
        """Whether an output depends on later steps."""

    @abstractmethod
    def __call__(
        self, x: Any, initial_state: Any = None, mask: Any = None, training: bool = False
    ) -> Any:
        """The layer applied to an array."""

    @abstractmethod
    def _states(self, states: Any, rows: int) -> list[NDArray[Any]]:
        """`states` as checked arrays for `rows` rows."""

    def _call_from(
        self, x: Any, initial_state: Any, mask: Any, training: bool
    ) -> list[NDArray[Any]]:
        """[output, final states …] from these states, the carried ones if `stateful`, or zeros."""
        x = _checks.array("x", x)
        start = initial_state
        if start is None and self.stateful and self.states is not None:
            start, carried = self.states, len(self.states[0])
            if x.ndim and len(x) != carried:
                raise ValueError(
                    f"x: expected {carried} rows, as many as layer {self.name!r} carries a state "
                    f"for, got {len(x)}; call reset_state() first to begin anew"
                )
        checked = None if start is None else self._states(start, len(x) if x.ndim else 0)
        output, *states = self._call(x, checked, mask, training)
        if self.stateful:
            self.states = [state.copy() for state in states]  # a caller may change its own
        return [output, *states]

    def compute_mask(self, x: Any, mask: Any = None) -> NDArray[np.bool_] | None:
        """`mask` with `return_sequences`, else None: the output has no steps."""
        return super().compute_mask(x, mask) if self.return_sequences else None

    def reset_state(self) -> None:
        """Forget the state that a stateful layer carries, in direct calls and in its model.

        Raises:
            RuntimeError: another thread is training the model.
        """
        owner = self.owner
        if owner is not None:
            owner._reset_state_of(self)
        self.states = None

    reset_states = reset_state
