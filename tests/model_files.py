"""Model files built by hand, so that the tests know the format independently of the writer."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

from pylstm import _core

FORMAT = {"pylstm_format": "1"}
DIGEST = {"dtype": "U8", "shape": [32]}

Header = dict[str, Any]


def header_of(*tensors: tuple[str, str, list[Any], int], metadata: Any = FORMAT) -> Header:
    """A header of tensors (name, dtype, shape, bytes) that follow each other, and the digest."""
    header: Header = {"__metadata__": metadata}
    end = 0
    for name, dtype, shape, size in tensors:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    header["sha256"] = DIGEST | {"data_offsets": [end, end + 32]}
    return header


def pack(
    header: Header | str | bytes, data: bytes = b"", align: int = 64, digest: bool = True
) -> bytes:
    """A file of that header and data, with the digest that belongs to it."""
    text = json.dumps(header) if isinstance(header, dict) else header
    raw = text.encode() if isinstance(text, str) else text
    raw += b" " * (-(8 + len(raw)) % align)
    front = struct.pack("<Q", len(raw)) + raw + data
    return front + hashlib.sha256(front).digest() if digest else front


def edited(**changes: Any) -> bytes:
    """A file of one tensor "w", F32 of shape [2, 3], with changed entries; None deletes one."""
    header = header_of(("w", "F32", [2, 3], 24))
    header["w"].update(changes)
    header["w"] = {key: value for key, value in header["w"].items() if value is not None}
    return pack(header, bytes(24))


def respelled(old: str, new: str) -> bytes:
    """The same file with a piece of its header's text exchanged."""
    text = json.dumps(header_of(("w", "F32", [2, 3], 24)))
    assert old in text
    return pack(text.replace(old, new, 1), bytes(24))


def with_metadata(metadata: Any) -> bytes:
    return pack(header_of(metadata=metadata))


def spread(*offsets: tuple[int, int], size: int) -> bytes:
    """Tensors U8 at these offsets in data of ``size`` bytes, the digest behind them."""
    header: Header = {"__metadata__": FORMAT}
    for i, (begin, end) in enumerate(offsets):
        header[f"t{i}"] = {"dtype": "U8", "shape": [end - begin], "data_offsets": [begin, end]}
    header["sha256"] = DIGEST | {"data_offsets": [size, size + 32]}
    return pack(header, bytes(size))


VALID = pack(header_of(("w", "F32", [2, 3], 24)), bytes(24))
LENGTH = struct.unpack("<Q", VALID[:8])[0]


def accepted(path: Path, content: bytes, verify: bool = True) -> bool:
    """Whether it is read; a refusal must be a ModelFileError."""
    path.write_bytes(content)
    try:
        _core.read_model_file(path, verify)
    except _core.ModelFileError:
        return False
    return True
