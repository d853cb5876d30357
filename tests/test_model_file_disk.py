"""Model files and the file system: saves are atomic, errors are OSError and name the file."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pylstm import _core

if sys.platform != "win32":
    import fcntl
    import resource

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="POSIX only")


@pytest.fixture
def sample(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("sample") / "m"
    _core.write_model_file(path, {}, [("x", np.arange(100))])
    return path.read_bytes()


PATHS = ["plain", "mit Leerzeichen ü.safetensors", "漢字😀", "n" * 255]


@pytest.mark.parametrize("name", PATHS, ids=["plain", "umlaut", "emoji", "longest"])
def test_paths(tmp_path: Path, name: str) -> None:
    name = name if len(name.encode()) <= 255 else name[:60]
    path = tmp_path / name
    for spelled in (path, str(path), os.fsencode(path)):
        _core.write_model_file(spelled, {"a": str(spelled)[:9]}, [])
        assert _core.read_model_file(spelled)[0]["a"] == str(spelled)[:9]
    assert os.listdir(tmp_path) == [name]


def test_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _core.write_model_file("m", {}, [])
    assert _core.read_model_file("m")[0] == {"pylstm_format": "1"}
    assert os.listdir() == ["m"]


@pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes")
def test_path_that_is_not_utf8(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/m\xff"
    _core.write_model_file(path, {}, [])
    assert _core.read_model_file(os.fsdecode(path))[0] == {"pylstm_format": "1"}
    Path(os.fsdecode(path)).write_bytes(b"")
    with pytest.raises(_core.ModelFileError, match="0 bytes"):
        _core.read_model_file(path)


@pytest.mark.parametrize("path", [None, 3, 1.5, "a\0b", ["a"]])
def test_what_is_no_path_raises(path: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        _core.read_model_file(path)
    with pytest.raises((TypeError, ValueError)):
        _core.write_model_file(path, {}, [])


def test_missing_file_and_folder(tmp_path: Path) -> None:
    missing = tmp_path / "fehlt ü"
    with pytest.raises(FileNotFoundError) as raised:
        _core.read_model_file(missing)
    assert (raised.value.errno, raised.value.filename) == (errno.ENOENT, str(missing))
    with pytest.raises(FileNotFoundError) as raised:
        _core.write_model_file(missing / "m", {}, [])
    assert (raised.value.errno, raised.value.filename) == (errno.ENOENT, str(missing / "m"))


def test_folder_as_file(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises((IsADirectoryError, PermissionError)) as raised:
        _core.read_model_file(folder)
    assert raised.value.filename == str(folder)
    with pytest.raises(IsADirectoryError) as raised:
        _core.write_model_file(folder, {}, [])
    assert raised.value.filename == str(folder)
    assert os.listdir(tmp_path) == ["folder"]
    assert os.listdir(folder) == []


@POSIX
def test_pipe_and_device_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), Path("/dev/null")):
        with pytest.raises(OSError, match="Invalid argument") as raised:
            _core.read_model_file(path)
        assert raised.value.errno == errno.EINVAL
    with pytest.raises(OSError, match="Invalid argument") as raised:
        _core.write_model_file(tmp_path / "pipe", {}, [])
    assert raised.value.errno == errno.EINVAL
    assert os.listdir(tmp_path) == ["pipe"]
    assert (tmp_path / "pipe").is_fifo()


@POSIX
def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, sample: bytes) -> None:
    path = tmp_path / "m"
    path.write_bytes(sample)
    too_large = [("x", np.zeros(10**6))]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in (0, 100, 2**18 - 1, 2**18 + 1, 8 * 10**6):
        for target in (path, tmp_path / "new"):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
            try:
                with pytest.raises(OSError, match="too large") as raised:
                    _core.write_model_file(target, {}, too_large)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            assert (raised.value.errno, raised.value.filename) == (errno.EFBIG, str(target))
    assert path.read_bytes() == sample
    assert os.listdir(tmp_path) == ["m"]


@POSIX
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anything")
def test_write_protection_is_respected(tmp_path: Path, sample: bytes) -> None:
    path = tmp_path / "m"
    path.write_bytes(sample)
    path.chmod(0o444)
    with pytest.raises(PermissionError):
        _core.write_model_file(path, {}, [])
    tmp_path.chmod(0o555)
    with pytest.raises(PermissionError):
        _core.write_model_file(tmp_path / "new", {}, [])
    tmp_path.chmod(0o755)
    assert path.read_bytes() == sample
    assert os.listdir(tmp_path) == ["m"]


@POSIX
def test_permissions_are_those_of_the_old_file_or_the_umask(tmp_path: Path) -> None:
    previous = os.umask(0o027)
    try:
        _core.write_model_file(tmp_path / "m", {}, [])
        assert (tmp_path / "m").stat().st_mode & 0o777 == 0o640
        (tmp_path / "m").chmod(0o604)
        _core.write_model_file(tmp_path / "m", {}, [])
        assert (tmp_path / "m").stat().st_mode & 0o777 == 0o604
    finally:
        os.umask(previous)


@POSIX
def test_symbolic_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "m").write_bytes(b"old")
    (tmp_path / "link").symlink_to(Path("real") / "m")
    _core.write_model_file(tmp_path / "link", {}, [])
    assert (tmp_path / "link").is_symlink()
    assert _core.read_model_file(tmp_path / "real" / "m")[0] == {"pylstm_format": "1"}
    assert sorted(os.listdir(tmp_path)) == ["link", "real"]
    assert os.listdir(tmp_path / "real") == ["m"]


@POSIX
def test_link_to_a_file_that_is_not_there_makes_that_file(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "first").symlink_to(Path("real") / "second")
    (tmp_path / "real" / "second").symlink_to(tmp_path / "real" / "m")
    _core.write_model_file(tmp_path / "first", {}, [])
    assert (tmp_path / "first").is_symlink()
    assert (tmp_path / "real" / "second").is_symlink()
    _core.read_model_file(tmp_path / "real" / "m")
    assert sorted(os.listdir(tmp_path / "real")) == ["m", "second"]


@POSIX
def test_link_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "lost").symlink_to(Path("missing") / "m")
    for name, expected in (("loop", errno.ELOOP), ("lost", errno.ENOENT)):
        with pytest.raises(OSError, match=r".") as raised:
            _core.write_model_file(tmp_path / name, {}, [])
        assert (raised.value.errno, raised.value.filename) == (expected, str(tmp_path / name))
        assert (tmp_path / name).is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["loop", "lost"]


@POSIX
def test_open_mapping_of_the_old_file_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "m"
    _core.write_model_file(path, {}, [("x", np.ones(1000))])
    old = path.read_bytes()
    mapped = np.memmap(path, mode="r")
    _core.write_model_file(path, {}, [("x", np.zeros(10))])
    assert mapped.tobytes() == old


@POSIX
def test_kill_leaves_a_whole_file_and_the_next_save_clears_up(tmp_path: Path) -> None:
    path = tmp_path / "m"
    script = """
        import itertools, sys
        import numpy as np
        from pylstm import _core
        content = np.empty(400_000, np.int64)
        for i in itertools.count():
            content[:] = i
            _core.write_model_file(sys.argv[1], {}, [("x", content)])
            if i == 0:
                print(flush=True)
    """
    rng = np.random.default_rng(3)
    for _ in range(10):
        with subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(script), str(path)],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdout=subprocess.PIPE,
        ) as saver:
            assert saver.stdout is not None
            assert saver.stdout.readline()
            threading.Event().wait(rng.uniform(0, 0.1))
            saver.send_signal(signal.SIGKILL)
        ((_, content),) = _core.read_model_file(path)[1]
        assert (content == content[0]).all()
    _core.write_model_file(path, {}, [])
    assert os.listdir(tmp_path) == ["m"]


@POSIX
def test_temporary_file_of_a_live_writer_is_let_alone(tmp_path: Path) -> None:
    other = tmp_path / ".pylstm-save-0.tmp"
    with other.open("wb") as held:
        held.write(b"half")
        held.flush()
        fcntl.flock(held, fcntl.LOCK_EX)
        _core.write_model_file(tmp_path / "m", {}, [])
        assert other.read_bytes() == b"half"
    _core.write_model_file(tmp_path / "m", {}, [])
    assert os.listdir(tmp_path) == ["m"]


@POSIX
def test_what_two_writers_at_once_left_is_removed(tmp_path: Path) -> None:
    for number in (0, 1, 2):
        (tmp_path / f".pylstm-save-{number}.tmp").write_bytes(b"half")
    _core.write_model_file(tmp_path / "m", {}, [])
    assert os.listdir(tmp_path) == ["m"]


def test_threads_may_save_to_one_path(tmp_path: Path) -> None:
    path = tmp_path / "m"
    failures: list[Exception] = []

    def save(value: int) -> None:
        try:
            for _ in range(20):
                _core.write_model_file(path, {}, [("x", np.full(5000, value))])
                ((_, content),) = _core.read_model_file(path)[1]
                assert (content == content[0]).all()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=save, args=(value,)) for value in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert os.listdir(tmp_path) == ["m"]


def test_digest_is_right_although_the_array_changes_meanwhile(tmp_path: Path) -> None:
    array = np.zeros(500_000)
    stop = threading.Event()

    def change() -> None:
        while not stop.is_set():
            np.add(array, 1, out=array)

    changer = threading.Thread(target=change)
    changer.start()
    try:
        for _ in range(5):
            _core.write_model_file(tmp_path / "m", {}, [("x", array)])
            _core.read_model_file(tmp_path / "m")
    finally:
        stop.set()
        changer.join()
