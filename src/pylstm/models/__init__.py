"""Models."""

from typing import TYPE_CHECKING, Any

from pylstm._keras_names import no_attribute
from pylstm._memory import MemoryEstimate
from pylstm.models._sequential import Sequential

__all__ = ["MemoryEstimate", "Sequential"]

if TYPE_CHECKING:  # the package puts it here, as `saving` needs this module
    from pylstm.saving import load_model as load_model
else:  # a type checker takes a module that has this to have every name

    def __getattr__(name: str) -> Any:
        raise no_attribute(__name__, name, __all__)
