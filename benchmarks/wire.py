"""Messages between two processes: a JSON head and named arrays, whatever each side's versions."""

from __future__ import annotations

import io
import json
import struct
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

_SIZES = struct.Struct("<QQ")


def send(stream: IO[bytes], head: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
    text, body = json.dumps(head).encode(), io.BytesIO()
    named: dict[str, Any] = dict(arrays)
    np.savez(body, **named)
    stream.write(_SIZES.pack(len(text), body.tell()) + text)
    stream.write(body.getbuffer())
    stream.flush()


def receive(stream: IO[bytes]) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """EOFError if the other side has gone."""
    sizes = stream.read(_SIZES.size)
    if len(sizes) < _SIZES.size:
        raise EOFError("the other process ended")
    head, body = _SIZES.unpack(sizes)
    text, data = stream.read(head), io.BytesIO(stream.read(body))
    if len(text) < head or data.getbuffer().nbytes < body:
        raise EOFError("the other process ended")
    with np.load(data, allow_pickle=False) as arrays:
        return json.loads(text), dict(arrays)
