"""Text as the command line reads and cuts it: bytes, a held-out end, windows in order."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

Tokens = npt.NDArray[np.uint8]


def demo_text() -> bytes:
    """The text of Python's own ``help()``, which every CPython carries: about 0.47 MB of English.

    Raises:
        FileNotFoundError: this Python was installed without it.
    """
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise FileNotFoundError(
            "pydoc_data.topics, the text of Python's help(), is missing from this Python; "
            "`pylstm train FILE` learns from a file of yours"
        ) from None
    return "\n".join(topics[name] for name in sorted(topics)).encode()


def read_files(paths: Sequence[str]) -> bytes:
    """The bytes of all files, one after the other.

    Raises:
        OSError: a file is missing, a folder or not readable.
        ValueError: a file is empty.
    """
    parts = []
    for path in paths:
        part = Path(path).read_bytes()
        if not part:
            raise ValueError(
                f"{path}: expected a text file with at least one byte, got an empty file"
            )
        parts.append(part)
    return b"".join(parts)


def hold_out(text: bytes) -> tuple[bytes, bytes]:
    """The text without its last tenth, and the last tenth.

    Raises:
        ValueError: the text is so short that one of them would hold nothing to predict.
    """
    if len(text) < 10:
        raise ValueError(
            f"expected a text of at least 10 bytes, to learn from 9 and hold out 1, got {len(text)}"
        )
    cut = len(text) - len(text) // 10
    return text[:cut], text[cut:]


def opening(text: bytes, count: int) -> bytes:
    """The whole characters among the first bytes of a text; if there are none, those bytes."""
    start = text[:count]
    whole = start[:3].lstrip(bytes(range(0x80, 0xC0))) + start[3:]  # no rest of a character before
    try:
        characters = codecs.getincrementaldecoder("utf-8")().decode(whole)  # nor a begun one
    except UnicodeDecodeError:
        return start
    return characters.encode() or start


def windows(text: bytes, batch_size: int, seq_length: int) -> tuple[Tokens, Tokens, int]:
    """Inputs and targets for training with the state carried from batch to batch.

    The text is cut into ``batch_size`` streams of equal length that are read side by side: row j
    of batch k is window k of stream j, so a stateful layer meets every stream in order. The target
    of a byte is the next one. Windows have at most ``seq_length`` bytes, all the same number, and
    of a stream less than one byte for each of its windows is left over.

    Returns:
        Inputs and targets, (windows * streams, steps), and the number of streams: ``batch_size``,
        or fewer where the text is shorter than one window for each.

    Raises:
        ValueError: the text has fewer than two bytes.
    """
    if len(text) < 2:
        raise ValueError(f"text: expected at least 2 bytes to learn from, got {len(text)}")
    streams = max(1, min(batch_size, (len(text) - 1) // seq_length))
    length = (len(text) - 1) // streams
    count = -(-length // seq_length)
    steps = length // count
    data = np.frombuffer(text, np.uint8)

    def arrange(first: int) -> Tokens:
        rows = data[first : first + streams * length].reshape(streams, length)
        cut = rows[:, : count * steps].reshape(streams, count, steps)
        return np.ascontiguousarray(cut.swapaxes(0, 1)).reshape(count * streams, steps)

    return arrange(0), arrange(1), streams
