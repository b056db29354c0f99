#!/usr/bin/env bash
# Builds the extensions with AddressSanitizer and UndefinedBehaviorSanitizer and runs the tests
# on them; then valgrind on encoding, index, splice and decoding of JPEG.
#   bash tools/sanitize.sh [arguments of pytest]     default: the whole suite
# PYTHON names an interpreter with the extra dev installed; .venv's by default. GCC, Linux.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-$PWD/.venv/bin/python}
[ -x "$python" ] || { echo "sanitize: $python is missing; set PYTHON" >&2; exit 2; }
build=$PWD/build/sanitize
package=$build/package
flags="-g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all"

tools=$build/tools
if [ ! -x "$tools/bin/cython" ]; then
    "$python" -m venv "$tools"
    "$tools/bin/python" -m pip install --quiet cmake ninja "cython>=3.3" "cython-cmake>=0.3"
fi
PATH=$tools/bin:$PATH
modules=$("$tools/bin/python" -c \
    'import cython_cmake, pathlib; print(pathlib.Path(cython_cmake.__file__).parent / "cmake")')

compile() { # $1: folder of the build; the rest: more options of cmake
    local folder=$1
    shift
    cmake -S . -B "$folder" -G Ninja -DSKBUILD_PROJECT_NAME=lipsync_fast \
        -DSKBUILD_PROJECT_VERSION=0 -DSKBUILD_SABI_VERSION= -DSKBUILD_SABI_COMPONENT= \
        -DCMAKE_MODULE_PATH="$modules" -DPython_EXECUTABLE="$python" "$@" >/dev/null
    cmake --build "$folder" --parallel "$(nproc)"
    rm -rf "$folder/package"
    mkdir -p "$folder/package"
    cp -r src/lipsync_fast "$folder/package/"
    find "$folder/package" -name '*.so' -delete
    cp "$folder"/*.so "$folder/package/lipsync_fast/"
}

compile "$build" -DCMAKE_BUILD_TYPE=None -DCMAKE_C_FLAGS="$flags"
# Python and the libraries of the oracles leak on purpose or by design: not ours to judge here.
# Objects come from malloc, so that each has its own red zones.
env LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)" \
    ASAN_OPTIONS=detect_leaks=0:detect_stack_use_after_return=1:allocator_may_return_null=1 \
    UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 \
    LIPSYNC_FAST_SANITIZED=1 PYTHONMALLOC=malloc PYTHONPATH="$package" \
    "$python" -m pytest -q -p no:cacheprovider "$@"

if command -v valgrind >/dev/null; then
    # No AVX2: what valgrind can follow is the scalar rows; the sanitizers saw the others.
    compile "$build/plain" -DCMAKE_BUILD_TYPE=RelWithDebInfo
    env LIPSYNC_FAST_ISA=c PYTHONMALLOC=malloc PYTHONPATH="$build/plain/package" \
        valgrind --leak-check=no --num-callers=8 --fullpath-after= --log-file="$build/valgrind.log" \
        "$python" tools/valgrind_splice.py
    # What the loader and the interpreter do while they import is theirs.
    if grep -E '(csrc/|_jpeg\.c|_splice\.c|_arguments\.c|_convert\.c|_resize\.c|_match\.c|_patch\.c|_blend\.c|_yuv\.c|_mel\.c)' "$build/valgrind.log"; then
        echo "sanitize: valgrind found something, see $build/valgrind.log" >&2
        exit 1
    fi
    echo "sanitize: valgrind found nothing of ours" >&2
else
    echo "sanitize: valgrind is not installed, its part is left out" >&2
fi
