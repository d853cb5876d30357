"""Models."""

from pylstm.models._sequential import Sequential

__all__ = ["Sequential"]
