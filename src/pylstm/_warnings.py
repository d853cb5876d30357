"""Warnings that point at the line that called pylstm, however deep in the package they arise."""

from __future__ import annotations

import os
import sys
import warnings

_PACKAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "")


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """`warnings.warn` in the name of the nearest caller outside the package."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
