"""The model file: what is written comes back bit for bit, in a file that others can read too."""

from __future__ import annotations

import hashlib
import json
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_files import FORMAT, header_of, pack

from pylstm import _core

SHAPES = [(), (0,), (1,), (5,), (0, 3), (3, 0, 2), (2, 3), (2, 3, 4, 5), (1, 1, 1, 0)]


@pytest.mark.parametrize("dtype", ["f8", "f4", "i8", "i4", "i1", "u1"])
def test_round_trip_is_bitwise(tmp_path: Path, dtype: str) -> None:
    rng = np.random.default_rng(2)
    arrays = []
    for shape in SHAPES:
        # Random bits are also NaNs with payloads, infinities and denormals.
        bits = rng.integers(0, 256, size=(*shape, np.dtype(dtype).itemsize), dtype=np.uint8)
        arrays.append((f"t{shape}", bits.view(dtype)[..., 0]))
    _core.write_model_file(tmp_path / "m", {}, arrays)
    _, back = _core.read_model_file(tmp_path / "m")
    assert [name for name, _ in back] == [name for name, _ in arrays]
    for (_, array), (_, expected) in zip(back, arrays, strict=True):
        assert (array.dtype, array.shape) == (expected.dtype, expected.shape)
        assert array.tobytes() == expected.tobytes()
        assert array.flags.carray  # aligned, writable, in C order


def test_any_layout_of_an_array_is_accepted(tmp_path: Path) -> None:
    values = np.arange(24, dtype=np.float32).reshape(4, 6)
    read_only = values.copy()
    read_only.flags.writeable = False
    layouts = {
        "fortran": np.asfortranarray(values),
        "swapped": values.astype(values.dtype.newbyteorder()),
        "strided": np.repeat(values, 3, axis=1)[:, ::3],
        "reversed": values[::-1, ::-1].copy()[::-1, ::-1],
        "read_only": read_only,
    }
    _core.write_model_file(tmp_path / "m", {}, list(layouts.items()))
    for name, array in _core.read_model_file(tmp_path / "m")[1]:
        assert array.dtype == np.float32, name
        np.testing.assert_array_equal(array, values, err_msg=name)


def test_arrays_outlive_the_file_and_each_other(tmp_path: Path) -> None:
    _core.write_model_file(tmp_path / "m", {}, [("a", np.arange(9)), ("b", np.zeros(5))])
    array = _core.read_model_file(tmp_path / "m")[1][0][1]
    (tmp_path / "m").unlink()
    array += 1
    np.testing.assert_array_equal(array, np.arange(1, 10))


METADATA = {
    "config": json.dumps({"name": "é", "layers": [1.5, None, True, "\\"]}, indent=1),
    "empty": "",
    "text": 'quotes " \\ / and \b\f\n\r\t, \x00, \x1f, \x7f, é, 漢, 😀, \u2028, \ufeff, \uffff',
    'key with spaces and "quotes"': "1",
}


def test_metadata_round_trips(tmp_path: Path) -> None:
    _core.write_model_file(tmp_path / "m", METADATA, [])
    metadata, tensors = _core.read_model_file(tmp_path / "m")
    assert metadata == METADATA | {"pylstm_format": "1"}
    assert tensors == []


def test_names_of_the_greatest_length_and_number(tmp_path: Path) -> None:
    short = [(f"t{i}", np.array([i % 256], np.uint8)) for i in range(4094)]
    tensors: list[tuple[str, Any]] = [("n" * 256, np.array([1], np.float32)), *short]
    _core.write_model_file(tmp_path / "m", {"k" * 256: ""}, tensors)
    back = _core.read_model_file(tmp_path / "m")[1]
    assert [name for name, _ in back] == [name for name, _ in tensors]
    assert all(array == expected for (_, array), (_, expected) in zip(back, tensors, strict=True))


def test_file_is_safetensors_with_aligned_data(tmp_path: Path) -> None:
    tensors: list[tuple[str, Any]] = [
        ("a", np.zeros(3, np.int8)),
        ("b", np.zeros(3, np.float32)),
        ("c", np.zeros(3)),
        ("d", np.zeros(1, np.uint8)),
        ("e", np.zeros(2, np.int32)),
        ("f", np.zeros(1, np.int64)),
    ]
    _core.write_model_file(tmp_path / "m", {"b": "2", "a": "1"}, tensors)
    content = (tmp_path / "m").read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    assert (8 + length) % 64 == 0
    # Wider elements first, else as given, so that every tensor is aligned to its elements.
    assert list(header) == ["__metadata__", "c", "f", "b", "e", "a", "d", "sha256"]
    assert header["__metadata__"] == {"a": "1", "b": "2", "pylstm_format": "1"}
    end = 0
    widths = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "I8": 1, "U8": 1}
    for entry in list(header.values())[1:]:
        begin, stop = entry["data_offsets"]
        assert begin == end
        assert begin % widths[entry["dtype"]] == 0
        assert stop - begin == widths[entry["dtype"]] * np.prod(entry["shape"])
        end = stop
    assert len(content) == 8 + length + end


def test_writing_what_was_read_gives_the_same_bytes(tmp_path: Path) -> None:
    tensors: list[tuple[str, Any]] = [
        ("n", np.array([1, 2, 3], np.int8)),
        ("w", np.ones((3, 4))),
        ("b", np.array(1.5, np.float32)),
    ]
    _core.write_model_file(tmp_path / "a", METADATA, tensors)
    _core.write_model_file(tmp_path / "b", *_core.read_model_file(tmp_path / "a"))
    assert (tmp_path / "b").read_bytes() == (tmp_path / "a").read_bytes()


def test_safetensors_reads_it_and_what_safetensors_saves_again_is_read(tmp_path: Path) -> None:
    numpy_io = pytest.importorskip("safetensors.numpy")
    arrays = {
        "w": np.arange(6.0).reshape(2, 3),
        "n": np.array([1, 2, 3], np.int8),
        "z": np.zeros((0, 2)),
    }
    _core.write_model_file(tmp_path / "m", {}, list(arrays.items()))
    loaded = numpy_io.load_file(tmp_path / "m")
    assert loaded.keys() == arrays.keys() | {"sha256"}
    loaded["w"] = loaded["w"] + 1
    numpy_io.save_file(loaded, tmp_path / "again", metadata={"pylstm_format": "1"})
    with pytest.raises(_core.ModelFileError, match=r"verify=False|multiple of 64"):
        _core.read_model_file(tmp_path / "again")
    back = dict(_core.read_model_file(tmp_path / "again", verify=False)[1])
    assert back.keys() == arrays.keys()
    np.testing.assert_array_equal(back["w"], arrays["w"] + 1)


def test_digest_is_sha256_of_everything_before_it(tmp_path: Path) -> None:
    # The data starts at a multiple of SHA-256's block of 64 bytes, so these lengths are all cases.
    for size in [*range(130), 2**18 - 1, 2**18, 2**18 + 1, 10**6]:
        path = tmp_path / "m"
        _core.write_model_file(path, {}, [("x", np.arange(size).astype(np.uint8))])
        content = path.read_bytes()
        assert content[-32:] == hashlib.sha256(content[:-32]).digest()
        _core.read_model_file(path)


# ---- what the writer refuses

WRITES: dict[str, tuple[dict[Any, Any], list[Any], type[Exception], str]] = {
    "name_twice": ({}, [("a", np.zeros(1)), ("a", np.zeros(2))], ValueError, "twice"),
    "name_empty": ({}, [("", np.zeros(1))], ValueError, "name of a tensor"),
    "name_long": ({}, [("a" * 257, np.zeros(1))], ValueError, "name of a tensor"),
    "name_not_ascii": ({}, [("é", np.zeros(1))], ValueError, "name of a tensor"),
    "name_of_digest": ({}, [("sha256", np.zeros(32, np.uint8))], ValueError, "reserved"),
    "name_of_metadata": ({}, [("__metadata__", np.zeros(1))], ValueError, "reserved"),
    "five_dimensions": ({}, [("a", np.zeros((1, 1, 1, 1, 1)))], ValueError, "4 dimensions"),
    "dimension_2_31": ({}, [("a", np.zeros((2**31, 0)))], ValueError, "below 2\\^31"),
    "too_many": ({}, [(f"t{i}", np.zeros(0)) for i in range(4096)], ValueError, "at most 4095"),
    "header_too_large": ({"config": "x" * 2**20}, [], ValueError, "1048576"),
    "version": ({"pylstm_format": "2"}, [], ValueError, "pylstm_format"),
    "metadata_key": ({"": "x"}, [], ValueError, "metadata entry"),
    "metadata_not_utf8": ({"a": b"\xff"}, [], ValueError, "UTF-8"),
    "metadata_value": ({"a": 1}, [], TypeError, "incompatible"),
    "float16": ({}, [("a", np.zeros(1, np.float16))], TypeError, "tensor 'a'.*float16"),
    "bool": ({}, [("a", np.zeros(1, bool))], TypeError, "tensor 'a'.*bool"),
    "uint16": ({}, [("a", np.zeros(1, np.uint16))], TypeError, "tensor 'a'.*uint16"),
    "complex": ({}, [("a", np.zeros(1, complex))], TypeError, "tensor 'a'.*complex128"),
    "object": ({}, [("a", np.array([None]))], TypeError, "tensor 'a'.*object"),
    "string": ({}, [("a", np.array(["x"]))], TypeError, "tensor 'a'.*U1"),
    "no_array": ({}, [("a", [1.0])], TypeError, "incompatible"),
}


@pytest.mark.parametrize("name", WRITES)
def test_refused_write_leaves_the_file_as_it_was(tmp_path: Path, name: str) -> None:
    metadata, tensors, error, message = WRITES[name]
    for path, before in [(tmp_path / "new", None), (tmp_path / "old", b"old")]:
        if before is not None:
            path.write_bytes(before)
        with pytest.raises(error, match=message):
            _core.write_model_file(path, metadata, tensors)
        assert (path.read_bytes() if path.exists() else None) == before
    assert os.listdir(tmp_path) == ["old"]


# ---- valid files that another program wrote


def test_bfloat16_comes_as_its_bits(tmp_path: Path) -> None:
    bits = np.array([0x3F80, 0x7FC0, 0x8000], np.uint16)
    (tmp_path / "m").write_bytes(pack(header_of(("w", "BF16", [3], 6)), bits.tobytes()))
    ((_, array),) = _core.read_model_file(tmp_path / "m")[1]
    assert array.dtype == np.uint16
    np.testing.assert_array_equal(array, bits)


@pytest.mark.parametrize("ensure_ascii", [True, False])
def test_any_spelling_of_json_is_read(tmp_path: Path, ensure_ascii: bool) -> None:
    metadata = FORMAT | {
        "config": '{"name": "\\\\ \\"é\\""}',
        "text": "\b\f\n\r\t \0 / é 漢 😀 \u2028",
    }
    header = header_of(("w", "U8", [3], 3), metadata=metadata)
    text = json.dumps(header, ensure_ascii=ensure_ascii, indent="\t ")
    (tmp_path / "m").write_bytes(pack(text.replace("\n", "\r\n"), b"abc"))
    back, ((name, array),) = _core.read_model_file(tmp_path / "m")
    assert back == metadata
    assert (name, array.tobytes()) == ("w", b"abc")
