"""What the compilers made of the kernels, and that no room reaches up.

An instruction set's object must hold nothing wider than its name, share no symbol with another's,
and keep the accumulators of its tiles in registers. One wrong flag or include breaks that silently.
"""

from __future__ import annotations

import functools
import platform
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import ROOT, Build, compilers

X86 = platform.machine().lower() in ("x86_64", "amd64")
ISAS = ["avx512_bf16", "avx512", "avx2", "baseline"] if X86 else ["neon"]
COMPILERS = pytest.mark.parametrize("compiler", compilers())
needs_binutils = pytest.mark.skipif(
    shutil.which("objdump") is None or shutil.which("nm") is None,
    reason="objdump and nm (binutils) are missing",
)
only_x86 = pytest.mark.skipif(not X86, reason="x86-64's instruction sets")

# ---- reading objects


def object_of(isa: str, compiler: str, build: Build) -> Path:
    name = f"pylstm_isa_{isa}"
    folder = build(compiler, [f"pylstm_isa_{other}" for other in ISAS])
    files = (folder / "CMakeFiles" / f"{name}.dir").rglob("isa.cpp.*")
    found = [file for file in files if file.suffix in (".o", ".obj")]  # not make's .o.d
    assert len(found) == 1, found
    return found[0]


@functools.cache
def functions(path: Path) -> dict[str, list[str]]:
    """Demangled name -> its disassembled lines, "address: instruction"."""
    text = output("objdump", "--disassemble", "--demangle", "--no-show-raw-insn", str(path))
    found: dict[str, list[str]] = {}
    for block in re.split(r"\n(?=[0-9a-f]{16} <)", text)[1:]:
        head, *lines = block.splitlines()
        name = head.split("<", 1)[1].removesuffix(">:")
        while name in found:  # clones that differ in a suffix which demangling drops
            name += "'"
        found[name] = [line.strip() for line in lines if re.match(r"\s*[0-9a-f]+:\t", line)]
    assert found, f"objdump shows no function in {path}"
    return found


def output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def instructions(path: Path) -> Iterator[tuple[str, str]]:
    """(function, "mnemonic operands") of the whole object."""
    for name, lines in functions(path).items():
        for line in lines:
            yield name, line.split("\t", 1)[1]


def innermost_loops(lines: list[str]) -> Iterator[list[str]]:
    """Bodies of the loops of a function that hold no other loop: from a backward jump's target."""
    at = {line.split(":")[0]: i for i, line in enumerate(lines)}
    loops = []
    for i, line in enumerate(lines):
        jump = re.search(r"\tj\w+\s+([0-9a-f]+)\b", line)
        if jump and at.get(jump[1], i + 1) <= i:
            loops.append((at[jump[1]], i + 1))
    for begin, end in loops:
        if not any(begin <= b and e <= end and (b, e) != (begin, end) for b, e in loops):
            yield lines[begin:end]


# ---- what an object may hold

WIDE = re.compile(r"%[yz]mm|%xmm(1[6-9]|[23]\d)|%k[0-7]|^v[a-z]")
BEYOND_SSE2 = re.compile(  # of SSE3 to SSE4.2, mnemonics of floating-point and integer vectors
    r"^(addsub|h(add|sub)|lddqu|mov(d|sh|sl)dup|p?blend|dpp|extractps|insertps|mpsadbw|packusdw"
    r"|pabs|palignr|pcmp(eq|gt)q|ph(add|sub)|pmaddubsw|pm(ax|in)(s[bd]|u[wd])|pmov[sz]x|pmul(dq"
    r"|hrsw|ld)|pshufb|psign|ptest|p(extr|insr)[bdq]|round[ps][sd]|popcnt|crc32)"
)
HOLDS_NOT = {
    "baseline": (WIDE, BEYOND_SSE2),
    "avx2": (re.compile(r"%zmm|%[xy]mm(1[6-9]|[23]\d)|%k[0-7]"),),
    "avx512": (re.compile(r"^vdpbf16|^vcvtne2?ps|^vpdp"),),
}


@needs_binutils
@only_x86
@COMPILERS
@pytest.mark.parametrize("isa", HOLDS_NOT)
def test_object_holds_no_instruction_beyond_its_set(isa: str, compiler: str, build: Build) -> None:
    path = object_of(isa, compiler, build)
    found = [
        f"{name}: {text}"
        for name, text in instructions(path)
        if any(pattern.search(text) for pattern in HOLDS_NOT[isa])
    ]
    assert not found, "\n".join(found[:20])


@needs_binutils
@only_x86
@COMPILERS
@pytest.mark.parametrize("isa", ["avx512", "avx2"])
def test_object_uses_the_width_of_its_set(isa: str, compiler: str, build: Build) -> None:
    """The law above would hold for an object compiled without any flag."""
    path, register = object_of(isa, compiler, build), {"avx512": "%zmm", "avx2": "%ymm"}[isa]
    packed = re.compile(r"^vfn?m(add|sub)\d+p[sd]")
    used = Counter(register in text for _, text in instructions(path) if packed.search(text))
    assert used[True] > used[False]


@needs_binutils
@COMPILERS
@pytest.mark.parametrize("isa", ISAS)
def test_object_exports_its_table_alone(isa: str, compiler: str, build: Build) -> None:
    """A weak or unique symbol would be taken from one object for all: with its instructions."""
    path = object_of(isa, compiler, build)
    symbols = [line.split()[-2:] for line in output("nm", str(path)).splitlines()]
    outside = [name for kind, name in symbols if kind.isupper() and kind != "U"]
    assert [name.lstrip("_") for name in outside] == [f"pylstm_kernels_{isa}"]
    assert not [name for kind, name in symbols if kind in "vwu"]
    needed = {name.lstrip("_") for kind, name in symbols if kind == "U"}
    assert needed <= {"memcpy", "memset", "memmove", "GLOBAL_OFFSET_TABLE_", "stack_chk_fail"}


# ---- tiles

COPY = re.compile(r"\tvmov\w+ +%[xyz]mm\d+,%[xyz]mm\d+$")  # of a vector


@dataclass
class Loop:
    body: list[str]
    framed: bool  # the function keeps the stack's address in %rbp too

    def stores_to_stack(self) -> list[str]:
        """Instructions whose destination, in AT&T order the last operand, lies on the stack."""
        base = "%r[sb]p" if self.framed else "%rsp"
        stored = re.compile(rf",-?\w*\({base}(,[^)]*)?\)(\{{%k\d\}})?$")
        reads = re.compile(r"\t(cmp|test|v?u?comis|v?ptest)")
        return [line for line in self.body if stored.search(line) and not reads.search(line)]


def tile_loops(path: Path) -> dict[str, list[Loop]]:
    """(type, rows, panels, vectors, of a rest, layout of A) -> innermost loops of multiply-adds."""
    found: dict[str, list[Loop]] = {}
    for name, lines in functions(path).items():
        tall = re.search(r"run_tall_tiles<(float|double), (\d+), (\d+), .*?(Rows|Tiles)OfA>", name)
        low = re.search(r"run_low_tile<(float|double), (\d+, \d+, \d+), .*?(Rows|Tiles)OfA>", name)
        row = re.search(r"row_panels<(float|double), (\d+, \d+, \d+)>", name)
        if tall is not None:
            kind = f"{tall[1]}, {tall[2]}, 1, {tall[3]}, 0, {tall[4]}"
        elif low is not None:
            kind = f"{low[1]}, {low[2]}, 0, {low[3]}"
        elif row is not None:
            kind = f"{row[1]}, 1, {row[2]}, Rows"
        else:
            continue
        framed = any(re.search(r"\tmov +%rsp,%rbp$", line) for line in lines)
        loops = [body for body in innermost_loops(lines) if any("vfmadd" in line for line in body)]
        found.setdefault(kind, []).extend(Loop(body, framed) for body in loops)
    return found


def stream_loops(path: Path) -> dict[str, list[Loop]]:
    """(kernel, type, panels) -> innermost loops over panels of one row."""
    found: dict[str, list[Loop]] = {}
    for name, lines in functions(path).items():
        kernel = re.search(r"(step|gemm|gemm_row)<(float|double)", name)
        if kernel is None:
            continue
        framed = any(re.search(r"\tmov +%rsp,%rbp$", line) for line in lines)
        for body in innermost_loops(lines):
            used = Counter(line.split("\t")[1].split()[0][:6] for line in body)
            is_cell = any("vdiv" in line for line in body)
            if used["vbroad"] == 1 and used["vfmadd"] in (4, 8) and not is_cell:
                kind = f"{kernel[1][:4]}, {kernel[2]}, {used['vfmadd'] // 4}"
                found.setdefault(kind, []).append(Loop(body, framed))
    return found


@needs_binutils
@only_x86
@COMPILERS
@pytest.mark.parametrize(
    ("isa", "register", "vectors"),
    [("avx512_bf16", "%zmm", 4), ("avx512", "%zmm", 4), ("avx2", "%ymm", 2)],
)
def test_tiles_stay_in_registers(
    isa: str, register: str, vectors: int, compiler: str, build: Build
) -> None:
    """Every inner loop of every tile works on registers of full width, stores nothing to the stack
    and is no longer than written; those of tall tiles copy no register."""
    path = object_of(isa, compiler, build)
    loops = tile_loops(path)
    wanted = {
        f"{dtype}, {rows}, 1, {vectors}, 0, {layout}"
        for dtype in ("float", "double")
        for rows in range(1, 7)
        for layout in ("Rows", "Tiles")
    }
    wanted |= {
        f"{dtype}, 1, {panels}, {vectors}, {rest}, Rows"
        for dtype in ("float", "double")
        for panels, rest in [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2), (4, 0)]
        if rest < vectors
    }
    assert wanted <= set(loops)
    wrong = []
    for name, bodies in loops.items():
        if not bodies:
            wrong.append(f"{name}: no loop with fused multiply-adds")
        rows, panels, held, rest = (int(size) for size in name.split(", ")[1:5])
        for loop in bodies:
            steps = sum("vfmadd" in line for line in loop.body) / (rows * (panels * held + rest))
            most = 4 if rows >= 4 else 1
            wrong += [f"{name}: {steps:g} steps between two branches"] if steps > most else []
            narrow = [line for line in loop.body if "vfmadd" in line and register not in line]
            wrong += [f"{name}: narrow: {line}" for line in narrow]
            copies = [line for line in loop.body if rows >= 4 and COPY.search(line)]
            wrong += [f"{name}: copied: {line}" for line in copies]
            wrong += [f"{name}: spilled: {line}" for line in loop.stores_to_stack()]
    assert not wrong, "\n".join(wrong[:20])


@needs_binutils
@only_x86
@COMPILERS
@pytest.mark.parametrize("isa", ["avx512_bf16", "avx512"])
def test_streams_of_one_row_stay_in_registers(isa: str, compiler: str, build: Build) -> None:
    loops = stream_loops(object_of(isa, compiler, build))
    assert set(loops) == {
        f"{kernel}, {dtype}, {panels}"
        for kernel in ("gemm", "step")
        for dtype in ("float", "double")
        for panels in (1, 2)
    }
    for name, bodies in loops.items():
        for loop in bodies:
            narrow = [line for line in loop.body if "vfmadd" in line and "%zmm" not in line]
            assert not narrow, name
            assert not loop.stores_to_stack(), name


# ---- rooms

SOURCES = ROOT / "src" / "cpp"
ROOMS = [
    "base",
    "kernels",
    "ops",
    "network",
    "bindings",
]  # each may include itself and those before
FILES = sorted(path for path in SOURCES.rglob("*") if path.suffix in (".hpp", ".cpp"))


def includes(path: Path) -> list[str]:
    return re.findall(r'^\s*#\s*include\s+([<"][^>"]+)[>"]', path.read_text(), re.MULTILINE)


def room_of(path: Path) -> str:
    return path.relative_to(SOURCES).parts[0]


def test_every_source_is_in_a_room() -> None:
    assert {room_of(path) for path in FILES} == set(ROOMS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCES)))
def test_room_includes_no_room_above(path: Path) -> None:
    room = ROOMS.index(room_of(path))
    for include in includes(path):
        if include.startswith('"') and include != '"isa_list.inc':  # made by CMake
            target = SOURCES / include[1:]
            assert target.is_file(), f"{include[1:]} is not a file of src/cpp"
            assert ROOMS.index(room_of(target)) <= room, f"{include[1:]} is above"
        outside = include.startswith(("<pybind11", "<Python.h"))
        assert not outside or room_of(path) == "bindings", include


def test_kernels_include_no_inline_code() -> None:
    """Code of a standard header would be compiled for each instruction set, and shared by name."""
    intrinsics = {"<stddef.h", "<stdint.h", "<immintrin.h", "<arm_neon.h"}
    for path in FILES:
        if room_of(path) == "kernels" and not path.name.startswith("dispatch"):
            standard = {name for name in includes(path) if name.startswith("<")}
            assert standard <= (intrinsics if path.name == "isa.cpp" else set()), path
            assert {name[1:].split("/")[0] for name in includes(path)} - {
                name[1:] for name in intrinsics
            } <= {"kernels"} | ({"base"} if path.name == "table.hpp" else set()), path


def test_one_file_knows_threads_and_one_the_environment() -> None:
    for path in FILES:
        text = path.read_text()
        assert "#pragma omp" not in text or path.name == "parallel.cpp", path
        assert "getenv" not in text or path.name == "env.cpp", path
