"""Reading model files: foreign and hostile ones are refused.

The table of negatives makes this file long.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from model_files import (
    DIGEST,
    FORMAT,
    LENGTH,
    VALID,
    accepted,
    edited,
    header_of,
    pack,
    respelled,
    spread,
    with_metadata,
)

from pylstm import _core

BIG = 2**31 - 1


def length_field(value: int) -> bytes:
    return struct.pack("<Q", value) + VALID[8:]


# name: (content, what the message must say). Every row holds for verify=True and verify=False.
HOSTILE: dict[str, tuple[bytes, str]] = {
    # not this format at all
    "empty": (b"", "0 bytes"),
    "seven_bytes": (VALID[:7], "7 bytes"),
    "only_length": (VALID[:8], "cut short"),
    "zip": (b"PK\x03\x04" + bytes(60), "not a safetensors file but a zip archive"),
    "small_length_of_no_json": (b"\x20" + bytes(63), "JSON object"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(60), "not a safetensors file but one of HDF5"),
    "pickle": (
        b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00." + bytes(60),
        "not a safetensors file",
    ),
    "npy": (b"\x93NUMPY\x01\x00" + bytes(60), "not a safetensors file"),
    "gguf": (b"GGUF\x03\x00\x00\x00" + bytes(60), "not a safetensors file"),
    "text": (b"It was the best of times, it was the worst of times", "not a safetensors file"),
    # the length of the header
    "length_0": (length_field(0), "JSON object"),
    "length_1": (length_field(1), "multiple of|header is wrong"),
    "length_one_less": (length_field(LENGTH - 1), "multiple of"),
    "length_to_the_end": (length_field(len(VALID) - 8), "multiple of|header is wrong"),
    "length_past_the_end": (length_field(len(VALID) - 7), "cut short"),
    "length_over_1_MiB": (length_field(2**20 + 1), "at most 1048576"),
    "length_2_63": (length_field(2**63), "at most 1048576"),
    "length_2_64": (length_field(2**64 - 1), "at most 1048576"),
    "length_big_endian": (struct.pack(">Q", LENGTH) + VALID[8:], "at most 1048576"),
    "header_over_1_MiB": (with_metadata(FORMAT | {"a": "x" * 2**20}), "at most 1048576"),
    # JSON
    "header_null": (pack("null"), "JSON object"),
    "header_array": (pack("[]"), "JSON object"),
    "header_space_first": (pack(" {}"), "JSON object"),
    "header_bom": (pack(b"\xef\xbb\xbf{}"), "JSON object"),
    "header_open": (pack('{"a":'), "invalid JSON"),
    "header_two_values": (pack("{} {}"), "end of the text"),
    "header_nul_padding": (pack("{}" + "\0" * 54), "end of the text"),
    "json_comment": (respelled("{", "{/**/"), "invalid JSON"),
    "json_single_quotes": (respelled('"w"', "'w'"), "invalid JSON"),
    "json_trailing_comma": (respelled("[2, 3]", "[2, 3,]"), "invalid JSON"),
    "json_leading_zero": (respelled("[2, 3]", "[02, 3]"), "invalid JSON"),
    "json_plus": (respelled("[2, 3]", "[+2, 3]"), "invalid JSON"),
    "json_nan": (respelled("[2, 3]", "[NaN, 3]"), "invalid JSON"),
    "json_number_too_long": (respelled("[2, 3]", f"[{'9' * 65}, 3]"), "64 characters"),
    "json_number_infinite": (respelled("[2, 3]", "[1e999, 3]"), "out of the range"),
    "json_control_character": (respelled('"w"', '"w\n"'), "control character"),
    "json_unknown_escape": (respelled('"w"', '"\\w"'), "unknown escape"),
    "json_short_escape": (respelled('"w"', '"\\u77"'), "four hexadecimal"),
    "json_lone_high_surrogate": (respelled('"w"', '"\\ud83d"'), "surrogate"),
    "json_lone_low_surrogate": (respelled('"w"', '"\\ude00"'), "surrogate"),
    "json_bad_pair": (respelled('"w"', '"\\ud83d\\u0041"'), "surrogate"),
    "utf8_stray_byte": (pack(b'{"\xff": 0}'), "not UTF-8"),
    "utf8_overlong": (pack(b'{"\xc0\xaf": 0}'), "not UTF-8"),
    "utf8_surrogate": (pack(b'{"\xed\xa0\x80": 0}'), "not UTF-8"),
    "utf8_too_large": (pack(b'{"\xf4\x90\x80\x80": 0}'), "not UTF-8"),
    "utf8_cut": (pack(b'{"\xe2\x82": 0}'), "not UTF-8"),
    "json_depth_17": (respelled('"w"', '"d": ' + "[" * 16 + "]" * 16 + ', "w"'), "deeper than 16"),
    "json_depth_huge": (pack('{"a":' + "[" * 500_000), "deeper than 16"),
    "json_many_values": (pack('{"a":[' + "0," * 100_000 + "0]}"), "more than 65536 values"),
    "json_many_keys": (
        pack("{" + ",".join(f'"{i}":0' for i in range(66_000)) + "}"),
        "more than 65536 values",
    ),
    # duplicate names
    "duplicate_tensor": (respelled('"w": {', '"w": 0, "w": {'), "twice"),
    "duplicate_by_escape": (respelled('"w": {', '"\\u0077": 0, "w": {'), "twice"),
    "duplicate_metadata": (respelled("{", '{"__metadata__": {}, '), "twice"),
    "duplicate_metadata_key": (respelled('"pylstm_format"', '"a": "", "a": "", "b"'), "twice"),
    "duplicate_field": (respelled('"dtype"', '"dtype": "F64", "dtype"'), "twice"),
    # metadata and version
    "no_metadata": (pack({"sha256": DIGEST | {"data_offsets": [0, 32]}}), "another program"),
    "no_version": (with_metadata({"format": "pt"}), "another program"),
    "metadata_null": (with_metadata(None), "__metadata__ must be"),
    "metadata_array": (with_metadata(["pylstm_format", "1"]), "__metadata__ must be an object"),
    "metadata_number": (with_metadata(FORMAT | {"epoch": 3}), "epoch must be a string"),
    "metadata_object": (with_metadata(FORMAT | {"config": {}}), "config must be a string"),
    "metadata_key_empty": (with_metadata(FORMAT | {"": "x"}), "metadata entry"),
    "metadata_key_long": (with_metadata(FORMAT | {"k" * 257: "x"}), "metadata entry"),
    "version_2": (with_metadata({"pylstm_format": "2"}), 'version "2"'),
    "version_0": (with_metadata({"pylstm_format": "0"}), 'version "0"'),
    "version_negative": (with_metadata({"pylstm_format": "-1"}), 'version "-1"'),
    "version_empty": (with_metadata({"pylstm_format": ""}), 'version ""'),
    "version_spelled_otherwise": (with_metadata({"pylstm_format": "1.0"}), 'version "1.0"'),
    "version_number": (with_metadata({"pylstm_format": 1}), "must be a string"),
    # names
    "name_empty": (respelled('"w"', '""'), "name of a tensor"),
    "name_257": (respelled('"w"', f'"{"w" * 257}"'), "name of a tensor"),
    "name_nul": (respelled('"w"', '"w\\u0000"'), "name of a tensor"),
    "name_newline": (respelled('"w"', '"w\\n"'), "name of a tensor"),
    "name_delete": (respelled('"w"', '"w\x7f"'), "name of a tensor"),
    "name_not_ascii": (respelled('"w"', '"gewicht/\\u00fc"'), "name of a tensor"),
    "tensors_4097": (
        pack(header_of(*((f"t{i}", "U8", [0], 0) for i in range(4096)))),
        "more than 4096 tensors",
    ),
    # entries
    "entry_null": (respelled('{"dtype": "F32"', 'null, "v": {"dtype": "F32"'), "w must be"),
    "entry_array": (respelled('{"dtype": "F32"', '[], "v": {"dtype": "F32"'), "must be an object"),
    "entry_without_dtype": (edited(dtype=None), "w.dtype is missing"),
    "entry_without_shape": (edited(shape=None), "w.shape is missing"),
    "entry_without_offsets": (edited(data_offsets=None), "w.data_offsets is missing"),
    "entry_with_more": (edited(location="../../etc/passwd"), "only"),
    "dtype_unknown": (edited(dtype="F128"), "w.dtype must be one of"),
    "dtype_f16": (edited(dtype="F16"), "w.dtype must be one of"),
    "dtype_bool": (edited(dtype="BOOL"), "w.dtype must be one of"),
    "dtype_lower_case": (edited(dtype="f32"), "w.dtype must be one of"),
    "dtype_empty": (edited(dtype=""), "w.dtype must be one of"),
    "dtype_nul": (edited(dtype="F32\0"), "w.dtype must be one of"),
    "dtype_number": (edited(dtype=32), "w.dtype must be a string"),
    "dtype_other_size": (edited(dtype="F64"), "must be \\[0, 48\\]"),
    "shape_null": (edited(shape=[None, 6]), "must be an integer"),
    "shape_number": (edited(shape=6), "w.shape must be an array"),
    "shape_object": (edited(shape={"a": 2, "b": 3}), "w.shape must be an array"),
    "shape_string": (edited(shape=["2", 3]), "must be an integer"),
    "shape_float": (edited(shape=[2.0, 3]), "must be an integer"),
    "shape_negative": (edited(shape=[-2, -3]), "must be an integer"),
    "shape_5_dimensions": (edited(shape=[1, 1, 1, 2, 3]), "at most 4"),
    "shape_2_31": (edited(shape=[2**31, 0], data_offsets=[0, 0]), "must be an integer"),
    "shape_2_64": (edited(shape=[2**64, 3]), "must be an integer"),
    "shape_wraps_to_24": (edited(shape=[2**63 + 3, 2]), "must be an integer"),
    "product_overflow": (edited(shape=[BIG, BIG, BIG]), "less than 2\\^63 bytes"),
    "product_overflow_and_0": (
        edited(shape=[BIG, BIG, BIG, 0], data_offsets=[0, 0]),
        "less than 2\\^63 bytes",
    ),
    "bytes_overflow": (edited(shape=[BIG, BIG]), "less than 2\\^63 bytes"),
    "shape_too_small": (edited(shape=[2, 2]), "must be \\[0, 16\\]"),
    "shape_too_large": (edited(shape=[2, 4]), "must be \\[0, 32\\]"),
    "shape_scalar": (edited(shape=[]), "must be \\[0, 4\\]"),
    "shape_0": (edited(shape=[0, 3]), "must be \\[0, 0\\]"),
    # offsets
    "offsets_missing_one": (edited(data_offsets=[0]), "an array of 2"),
    "offsets_three": (edited(data_offsets=[0, 24, 24]), "an array of 2"),
    "offsets_object": (edited(data_offsets={"a": 0, "b": 24}), "an array of 2"),
    "offsets_negative": (edited(data_offsets=[-24, 0]), "must be an integer"),
    "offsets_float": (edited(data_offsets=[0, 24.0]), "must be an integer"),
    "offsets_reversed": (edited(data_offsets=[24, 0]), "must be \\[0, 24\\]"),
    "offsets_2_63": (edited(data_offsets=[0, 2**63]), "must be an integer"),
    "offsets_into_the_header": (edited(data_offsets=[-LENGTH, 24 - LENGTH]), "an integer"),
    "hole_first": (spread((1, 5), size=5), "must be \\[0, 4\\]"),
    "hole_between": (spread((0, 4), (5, 9), size=9), "must be \\[4, 8\\]"),
    "hole_before_digest": (spread((0, 4), size=5), "must be \\[4, 36\\]"),
    "overlap": (spread((0, 4), (3, 7), size=7), "must be \\[4, 8\\]"),
    "same_bytes_twice": (spread((0, 4), (0, 4), size=4), "must be \\[4, 8\\]"),
    "not_in_order": (spread((4, 8), (0, 4), size=8), "must be \\[0, 4\\]"),
    "ends_past_the_file": (pack(header_of(("w", "F32", [2, 3], 24)), bytes(23)), "cut short"),
    "data_missing": (pack(header_of(("w", "F32", [2, 3], 24)), digest=False), "cut short"),
    "bytes_after_the_end": (VALID + b"\0", "1 bytes after its last tensor"),
    "zip_after_the_end": (VALID + b"PK\x05\x06" + bytes(18), "22 bytes after"),
    "two_files": (VALID + VALID, "after its last tensor"),
    "terabytes": (
        pack(header_of(("w", "F32", [2**20, 2**20], 2**42)), bytes(24)),
        "cut short",
    ),
    # the place of the data and the digest
    "data_at_4": (pack(VALID[8 : 8 + LENGTH] + b" " * 4, bytes(24), align=4), "multiple of"),
    "digest_of_31_bytes": (respelled("[32]", "[31]"), "must be|multiple"),
    "digest_of_two_dimensions": (respelled("[32]", "[4, 8]"), "U8 of shape \\[32\\]"),
    "digest_of_i8": (
        pack(json.dumps(header_of()).replace('"U8"', '"I8"')),
        "U8 of shape \\[32\\]",
    ),
}
# Only verify=False reads these.
SAVED_BY_ANOTHER_TOOL: dict[str, tuple[bytes, str]] = {
    "digest_wrong": (VALID[:-1] + bytes([VALID[-1] ^ 1]), "verify=False"),
    "digest_stale": (VALID[:-33] + b"\1" + VALID[-32:], "verify=False"),
    "digest_not_last": (
        pack(
            {
                "__metadata__": FORMAT,
                "sha256": DIGEST | {"data_offsets": [0, 32]},
                "w": {"dtype": "F32", "shape": [2, 3], "data_offsets": [32, 56]},
            },
            bytes(56),
            digest=False,
        ),
        "verify=False",
    ),
    "digest_absent": (
        pack(
            {
                "__metadata__": FORMAT,
                "w": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
            },
            bytes(24),
            digest=False,
        ),
        "verify=False",
    ),
    "data_at_a_multiple_of_8": (
        pack(VALID[8 : 8 + LENGTH] + b" " * 8, bytes(24), align=8),
        "multiple of 64",
    ),
}


def test_the_file_that_the_negatives_are_made_from_is_valid(tmp_path: Path) -> None:
    assert accepted(tmp_path / "m", VALID)
    assert edited() == VALID == respelled("F32", "F32")
    assert accepted(tmp_path / "m", spread((0, 4), (4, 4), (4, 9), size=9))


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_file_is_refused(tmp_path: Path, name: str) -> None:
    content, message = HOSTILE[name]
    path = tmp_path / "m.safetensors"
    path.write_bytes(content)
    for verify in (True, False):
        with pytest.raises(_core.ModelFileError, match=message) as raised:
            _core.read_model_file(path, verify)
        assert len(str(raised.value)) < 1000
        assert str(raised.value).startswith(f"cannot read the model file '{path}': ")


def test_there_are_enough_negatives() -> None:
    assert len(HOSTILE) + len(SAVED_BY_ANOTHER_TOOL) >= 60


@pytest.mark.parametrize("name", SAVED_BY_ANOTHER_TOOL)
def test_verify_false_reads_what_another_tool_saved(tmp_path: Path, name: str) -> None:
    content, message = SAVED_BY_ANOTHER_TOOL[name]
    path = tmp_path / "m.safetensors"
    path.write_bytes(content)
    with pytest.raises(_core.ModelFileError, match=message):
        _core.read_model_file(path)
    _, tensors = _core.read_model_file(path, verify=False)
    assert [(name, array.shape) for name, array in tensors] == [("w", (2, 3))]


def test_error_is_a_value_error_of_the_module() -> None:
    assert issubclass(_core.ModelFileError, ValueError)
    assert _core.ModelFileError.__name__ == "ModelFileError"
