"""The text of the command line: read whole, the end held out, windows in order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pylstm.cli import _corpus


def test_files_are_read_one_after_the_other(tmp_path: Path) -> None:
    first, second = tmp_path / "first.txt", tmp_path / "second.txt"
    first.write_bytes(b"caf\xc3")  # a character may be cut by the end of a file
    second.write_bytes(b"\xa9")
    assert _corpus.read_files([str(first), str(second)]).decode() == "café"


@pytest.mark.parametrize("size", [2, 3, 10, 11, 12, 41, 399, 400, 401, 1000])
def test_windows_hold_every_stream_in_order(size: int) -> None:
    text = np.random.default_rng(size).integers(0, 256, size).astype(np.uint8)
    x, y, streams = _corpus.windows(text.tobytes(), 4, 10)
    steps = x.shape[1]
    assert x.shape == y.shape == (len(x) // streams * streams, steps)
    assert 1 <= steps <= 10
    assert 1 <= streams <= 4
    length = (size - 1) // streams
    for stream in range(streams):
        start = stream * length
        used = x[stream::streams].size
        np.testing.assert_array_equal(x[stream::streams].ravel(), text[start:][:used])
        np.testing.assert_array_equal(y[stream::streams].ravel(), text[start + 1 :][:used])
        assert length - len(x) // streams < used <= length


def test_last_tenth_is_held_out() -> None:
    text = bytes(range(256))
    train, held_out = _corpus.hold_out(text)
    assert train + held_out == text
    assert len(held_out) == 25
    with pytest.raises(ValueError, match="at least 10 bytes"):
        _corpus.hold_out(b"too short")


def test_an_opening_has_whole_characters() -> None:
    euros = "\u20ac\u20ac\u20ac".encode()  # three bytes each
    assert _corpus.opening(b"plain text", 6) == b"plain "
    assert _corpus.opening(euros, 8) == euros[:6]  # cut within the last one
    assert _corpus.opening(euros[1:], 8) == euros[3:9]  # begins within one
    french, russian = "Le caf\u00e9 noir".encode("latin-1"), b"\xef\xe5\xf0\xe2\xfb\xe9"
    for other in (b"\xff\xfe\xfd", french, russian):
        assert _corpus.opening(other, 8) == other[:8]  # no UTF-8


def test_demo_text_is_the_sorted_topics() -> None:
    topics = pytest.importorskip("pydoc_data.topics").topics
    text = _corpus.demo_text()
    assert text.decode().startswith(topics[min(topics)])
    assert len(text) > 300_000
