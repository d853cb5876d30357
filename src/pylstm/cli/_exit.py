"""The exit codes of the command line."""

from __future__ import annotations

FAILED = 2
INTERRUPTED = 130  # what a shell gives for a program that Ctrl-C ended
