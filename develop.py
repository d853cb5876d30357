#!/usr/bin/env python3
"""From a fresh clone to a running pylstm with one command.

    python3 develop.py demo    train the language model of `pylstm demo`, about a minute
    python3 develop.py test    run the tests
    python3 develop.py lint    check format, lint and types, as continuous integration does

Arguments after the command are handed on: `develop.py demo --units 128`, `develop.py test -x -k
layers`. The command runs in the virtual environment .venv of this folder, into which pip builds
and installs the package first, if its sources have changed since the last time.

Needs Python 3.10 with pip and venv, a C++17 compiler (GCC 11, Clang 14) and a package index that
pip can reach; CMake and Ninja come by themselves. Standard library only.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
SCRIPTS = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = SCRIPTS / ("python.exe" if os.name == "nt" else "python")
INSTALLED = VENV / "pylstm-installed"  # digest of the sources that were installed
SOURCES = ("CMakeLists.txt", "cmake", "pyproject.toml", "src")
OPTIONS = ("CXX", "CXXFLAGS", "CMAKE_ARGS", "CMAKE_GENERATOR")  # of the build, from the environment
FOREIGN = ("PYTHONPATH", "PYTHONHOME", "PIP_USER", "PIP_TARGET", "PIP_PREFIX")  # lead out of .venv
CHECKS = ("ruff", "format", "mypy", "clang-format", "codespell")

COMPILER = "a C++17 compiler is needed (GCC 11 or newer, Clang 14 or newer): "
HOW_TO_COMPILE = (
    "install one with `sudo apt-get install g++`, `sudo dnf install gcc-c++`, "
    "`apk add g++` or `xcode-select --install`, or name it in the variable CXX"
)
OLD_COMPILER = """
#if defined(__clang__)
#if __clang_major__ < 14
#error too old
#endif
#elif !defined(__GNUC__) || __GNUC__ < 11
#error too old
#endif
#include <string_view>
int main() { return static_cast<int>(std::string_view().size()); }
"""


class Missing(Exception):
    """Something that this machine lacks, in one sentence that says how to get it."""


# ---- what the machine must have


def compiler() -> list[str]:
    """The command of the C++ compiler that CMake will take; raises Missing without a usable one."""
    named = os.environ.get("CXX", "")
    usual = ["clang++"] if os.name == "nt" else ["c++", "g++", "clang++"]
    candidates = [shlex.split(named)] if named else [[name] for name in usual]
    found = [command for command in candidates if shutil.which(command[0])]
    if not found:
        names = named or " or ".join(usual)
        raise Missing(f"{COMPILER}there is no {names} here; {HOW_TO_COMPILE}.")
    error = compile_error(found[0], OLD_COMPILER)
    if error is not None:
        raise Missing(f"{COMPILER}`{shlex.join(found[0])}` fails ({error}); {HOW_TO_COMPILE}.")
    return found[0]


def check_headers(command: list[str]) -> None:
    """Raise Missing unless the headers of this Python are there."""
    paths = {sysconfig.get_path("include"), sysconfig.get_path("platinclude")}
    if compile_error(command, "#include <Python.h>\n", *(f"-I{path}" for path in paths)):
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        raise Missing(
            f"the headers of Python {version} are needed to build the extension: install them, "
            f"for example with `sudo apt-get install python{version}-dev` or `sudo dnf install "
            f"python{version}-devel`."
        )


def compile_error(command: list[str], program: str, *options: str) -> str | None:
    """The first error that the compiler reports for a program; None if there is none."""
    arguments = [*command, "-std=c++17", *options, "-fsyntax-only", "-x", "c++", "-"]
    try:
        run = subprocess.run(arguments, input=program, capture_output=True, text=True, check=False)
    except OSError as error:
        return str(error)
    if run.returncode == 0:
        return None
    lines = run.stderr.strip().splitlines() or [f"exit code {run.returncode}"]
    return next((line for line in lines if "error" in line), lines[0]).strip()


# ---- the virtual environment


def environment() -> dict[str, str]:
    """The environment of every command: that of the caller, inside .venv."""
    kept = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    kept["VIRTUAL_ENV"] = str(VENV)
    kept["PATH"] = os.pathsep.join([str(SCRIPTS), kept.get("PATH", os.defpath)])
    if os.name == "nt":  # the sources are for GCC and Clang
        kept.setdefault("CXX", "clang++")
        kept.setdefault("CMAKE_GENERATOR", "Ninja")
    return kept


def make_venv() -> None:
    """Make .venv, or mend it: with pip, and of this Python."""
    expected = "{}.{}".format(*sys.version_info)
    probe = "import sys, pip; print('{}.{}'.format(*sys.version_info))"
    if PYTHON.exists():
        run = subprocess.run(
            [PYTHON, "-I", "-c", probe], capture_output=True, text=True, check=False
        )
        if run.stdout.strip() == expected:
            return
    if not all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")):
        raise Missing(  # Debian packs them by themselves
            f"Python's venv module is needed: install it, for example with `sudo apt-get install "
            f"python{expected}-venv`."
        )
    INSTALLED.unlink(missing_ok=True)
    if subprocess.call([sys.executable, "-m", "venv", VENV]) != 0:
        raise Missing(f"`{sys.executable} -m venv {VENV}` failed; its output above says why.")


def pip_install(*arguments: str) -> None:
    """`pip install` in .venv."""
    command = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", *arguments]
    if subprocess.call(command, cwd=ROOT, env=environment()) != 0:
        raise Missing("pip failed; its output above says why.")


def install() -> None:
    """Build and install the package with what the tests need, unless that has been done."""
    wanted = digest()
    current = INSTALLED.read_text() if INSTALLED.exists() else ""
    if current == wanted and PYTHON.exists():
        return
    check_headers(compiler())
    make_venv()
    print("develop.py: building and installing pylstm; it takes a few minutes", flush=True)
    start = time.monotonic()
    INSTALLED.unlink(missing_ok=True)
    pip_install(".[test]")
    INSTALLED.write_text(wanted)
    print(f"develop.py: installed in {time.monotonic() - start:.0f} s", flush=True)


def digest() -> str:
    """Changes with the sources, with Python and with the options of the build."""
    options = [sys.version, sys.base_prefix, *(os.environ.get(name, "") for name in OPTIONS)]
    sum_ = hashlib.sha256("\0".join(options).encode())
    for name in SOURCES:
        path = ROOT / name
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                sum_.update(f"\0{file.relative_to(ROOT).as_posix()}\0".encode())
                sum_.update(hashlib.sha256(file.read_bytes()).digest())
    return sum_.hexdigest()


# ---- the commands


def run(*command: str) -> int:
    """Become the command: Ctrl-C and the exit code are then its own."""
    sys.stdout.flush()
    if os.name == "nt":
        return subprocess.call(command, env=environment())
    os.execve(command[0], command, environment())


def demo(arguments: list[str]) -> int:
    """The main job: train a language model, compare it, save it."""
    install()
    return run(str(PYTHON), "-m", "pylstm", "demo", *arguments)


def test(arguments: list[str]) -> int:
    """The tests, against the installed package."""
    install()
    os.chdir(ROOT)
    return run(str(PYTHON), "-m", "pytest", *arguments)


def lint(arguments: list[str]) -> int:
    """All checks, or those that are named; nothing has to be built for them."""
    unknown = [name for name in arguments if name not in CHECKS]
    if unknown:
        raise Missing(f"lint knows {', '.join(CHECKS)}, not {unknown[0]!r}.")
    make_venv()
    pip_install("--quiet", "pip>=25.1")  # the first that knows dependency groups
    pip_install("--quiet", "--group", "lint")
    failed = [name for name in arguments or CHECKS if not passes(name)]
    print(f"develop.py: lint failed: {', '.join(failed)}" if failed else "develop.py: lint passed")
    return int(bool(failed))


def passes(check: str) -> bool:
    """Run one check; whether it found nothing."""
    folders = (ROOT / "src" / "cpp", ROOT / "tests" / "cpp", ROOT / "benchmarks")
    cpp = [str(file) for folder in folders for file in sorted(folder.rglob("*.[ch]pp"))]
    command = {
        "ruff": [str(PYTHON), "-m", "ruff", "check", "."],
        "format": [str(PYTHON), "-m", "ruff", "format", "--check", "."],
        "mypy": [str(PYTHON), "-m", "mypy"],
        "clang-format": [str(SCRIPTS / "clang-format"), "--dry-run", "-Werror", *cpp],
        "codespell": [str(SCRIPTS / "codespell")],
    }[check]
    print(f"develop.py: {check}", flush=True)
    return subprocess.call(command, cwd=ROOT, env=environment()) == 0


COMMANDS = {"demo": demo, "test": test, "lint": lint}


def main() -> int:
    """Run one command; returns its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="handed on to the command")
    parsed = parser.parse_args()
    try:
        if sys.version_info < (3, 10):  # noqa: UP036 - this file starts on older ones, to say so
            raise Missing("Python 3.10 or newer is needed; this is " + sys.version.split()[0] + ".")
        return COMMANDS[parsed.command](parsed.arguments)
    except Missing as missing:
        print(f"develop.py: {missing}", file=sys.stderr)
    except KeyboardInterrupt:
        return 130
    return 2


if __name__ == "__main__":
    sys.exit(main())
