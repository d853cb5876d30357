#!/bin/sh
# Builds the engine for AArch64 and runs the laws in tests/cpp under user-mode emulation.
# Without the tools it says so and exits with 77. Usage: tools/test_neon.sh [build directory]
# Debian: apt install cmake g++-aarch64-linux-gnu qemu-user
set -eu

for tool in cmake ctest aarch64-linux-gnu-g++ qemu-aarch64; do
  if ! command -v "$tool" >/dev/null 2>&1; then
    echo "NEON laws NOT RUN: $tool is missing (Debian: cmake g++-aarch64-linux-gnu qemu-user)"
    exit 77
  fi
done

root=$(cd "$(dirname "$0")/.." && pwd)
if [ $# -gt 0 ]; then
  build=$1
else
  build=$(mktemp -d)
  trap 'rm -rf "$build"' EXIT
fi

cmake -S "$root" -B "$build" -DCMAKE_TOOLCHAIN_FILE="$root/cmake/aarch64-toolchain.cmake" \
  -DPYLSTM_PYTHON=OFF -DPYLSTM_THREADS=none -DPYLSTM_TESTS=ON -DPYLSTM_LAW_ARGUMENTS=quick
cmake --build "$build" --parallel "${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}"
ctest --test-dir "$build" --verbose

# What tests/test_objects.py asks first of other instruction sets: one symbol, so none that another object's could replace.
object=$(find "$build/CMakeFiles/pylstm_isa_neon.dir" -name 'isa.cpp.o')
exported=$(aarch64-linux-gnu-nm --extern-only --defined-only "$object" | cut -d ' ' -f 2-)
if [ "$exported" != "R pylstm_kernels_neon" ] && [ "$exported" != "D pylstm_kernels_neon" ]; then
  echo "the NEON kernels export $exported"
  exit 1
fi
