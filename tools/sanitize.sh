#!/usr/bin/env bash
# Builds the extensions with AddressSanitizer and UndefinedBehaviorSanitizer and runs the tests
# on them; then valgrind on encoding, index, splice and decoding of JPEG.
#   bash tools/sanitize.sh [arguments of pytest]     default: the whole suite
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/compile.sh
build=$PWD/build/sanitize
flags="-g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all"

compile "$build" -DCMAKE_BUILD_TYPE=None -DCMAKE_C_FLAGS="$flags"
# Python and the libraries of the oracles leak on purpose or by design: not ours to judge here.
# A truncated map has to end in the system's own signal. Objects come from malloc, so that each
# has its own red zones.
# The sanitizers hold freed memory back, so tests that count memory cannot be judged with them; and
# a process that forks while another thread allocates leaves its child a lock that nobody opens.
unfit=(--ignore=tests/system/test_steady.py
    --deselect=tests/media/test_video_out.py::test_memory_does_not_grow_with_length
    --deselect=tests/system/test_threads.py::test_a_forked_pipeline_speaks_on)
options=detect_leaks=0:detect_stack_use_after_return=1:allocator_may_return_null=1:handle_sigbus=0
env LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)" \
    ASAN_OPTIONS="$options" \
    UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 \
    PYTHONMALLOC=malloc PYTHONPATH="$build/package" \
    "$python" -m pytest -q -p no:cacheprovider "${unfit[@]}" "$@"

if command -v valgrind >/dev/null; then
    # No AVX2: what valgrind can follow is the scalar rows; the sanitizers saw the others.
    compile "$build/plain" -DCMAKE_BUILD_TYPE=RelWithDebInfo
    env LIPSYNC_FAST_ISA=c PYTHONMALLOC=malloc PYTHONPATH="$build/plain/package" \
        valgrind --leak-check=no --num-callers=8 --fullpath-after= --log-file="$build/valgrind.log" \
        "$python" tools/valgrind_splice.py
    # What the loader and the interpreter do while they import is theirs.
    if grep -E '(csrc|src/lipsync_fast)/' "$build/valgrind.log"; then
        echo "sanitize: valgrind found something, see $build/valgrind.log" >&2
        exit 1
    fi
    echo "sanitize: valgrind found nothing of ours" >&2
else
    echo "sanitize: valgrind is not installed, its part is left out" >&2
fi
