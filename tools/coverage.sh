#!/usr/bin/env bash
# Tells which lines of src/ (coverage.py) and csrc/ (gcov) the tests run. The whole suite fails
# below 95 % of either.
#   bash tools/coverage.sh [arguments of pytest]     default: the whole suite
# Not counted: the NEON rows, which need another CPU (tests/kernels/test_neon.py runs them under qemu);
# the Cython files, whose C is generated; Python lines that only child processes run. Left out
# are tests that count memory, and one whose child may write no file: so must gcov.
# Reports: build/coverage/python.txt, c.txt and, line by line, html/c.html.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/compile.sh
build=$PWD/build/coverage
least=95

"$tools/bin/python" -m pip install --quiet gcovr
# Counters of threads must not lose counts; without inlining each line keeps its own.
compile "$build" -DCMAKE_BUILD_TYPE=None \
    -DCMAKE_C_FLAGS="-g --coverage -fprofile-update=atomic -fno-inline"
find "$build" -name '*.gcda' -delete
rm -f "$build"/data*
cat >"$build/settings" <<SETTINGS
[run]
source = $build/package/lipsync_fast
data_file = $build/data
concurrency = thread
[report]
exclude_also =
    if TYPE_CHECKING:
    @abstractmethod
    raise NotImplementedError
SETTINGS

status=0
env PYTHONPATH="$build/package" \
    "$python" -m coverage run --rcfile="$build/settings" \
    -m pytest -q -p no:cacheprovider --ignore=tests/system/test_steady.py \
    --deselect=tests/audio/test_lite_avatar.py::test_memory_stays_flat_over_minutes \
    --deselect=tests/media/test_video_out.py::test_a_full_disk_is_one_clear_error \
    "$@" || status=$?
[ $# = 0 ] || least=0 # a part of the suite runs a part of the lines
"$python" -m coverage report --rcfile="$build/settings" --show-missing --fail-under="$least" \
    >"$build/python.txt" || status=$?
mkdir -p "$build/html"
"$tools/bin/gcovr" --root csrc --object-directory "$build" --filter 'csrc/.*\.[ch]$' \
    --exclude '.*_neon\.c' --fail-under-line "$least" --txt "$build/c.txt" \
    --html-details "$build/html/c.html" "$build/CMakeFiles/lf_kernels.dir" || status=$?
echo "Python: $(awk '/^TOTAL/ { print $2 - $3 " of " $2 " lines, " $4 }' "$build/python.txt")"
echo "C: $(awk '/^TOTAL/ { print $3 " of " $2 " lines, " $4 }' "$build/c.txt")"
exit "$status"
