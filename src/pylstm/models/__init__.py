"""Models."""

from pylstm.models._memory import MemoryEstimate
from pylstm.models._sequential import Sequential

__all__ = ["MemoryEstimate", "Sequential"]
