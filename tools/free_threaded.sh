#!/usr/bin/env bash
# Runs the tests on a free-threaded Python, with the GIL off whatever a dependency asks for:
#   bash tools/free_threaded.sh python3.14t [arguments of pytest]
# in an environment of its own, with ONNX Runtime where it has a wheel for that Python. Where
# the interpreter is built with --with-thread-sanitizer (and --disable-gil), so is the package: then
# the tests of threads, pool and frames run, and a race in an extension of ours fails. Linux, GCC.
set -euo pipefail
cd "$(dirname "$0")/.."
interpreter=$(command -v "${1:?names no interpreter; give one, such as python3.14t}")
shift
say() { echo "free_threaded: $*" >&2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
run=()
export TSAN_OPTIONS="report_bugs=0 exitcode=0" # until the tests run

ask() { setarch -R "$interpreter" -c "import sysconfig; print(sysconfig.get_config_var('$1'))"; }
case $(ask CONFIG_ARGS) in
    *with-thread-sanitizer*) sanitized=yes run=(setarch -R) ;; # it needs addresses that stay
    *) sanitized= ;;
esac
[ "$(ask Py_GIL_DISABLED)" = 1 ] || { say "$interpreter has a GIL; give one built with --disable-gil"; exit 2; }

"${run[@]}" "$interpreter" -m venv "$work/env"
python=("${run[@]}" "$work/env/bin/python")
"${python[@]}" -m pip install --quiet --only-binary :all: numpy pillow
"${python[@]}" -m pip install --quiet pytest pytest-benchmark
"${python[@]}" -m pip install --quiet --only-binary :all: onnxruntime onnx ||
    say "no wheels of ONNX Runtime: tests with nets are left out"
CFLAGS="${sanitized:+-fsanitize=thread -g -O1}" "${python[@]}" -m pip install --quiet .

export PYTHON_GIL=0
tests=(-m "not repository" tests)
if [ -n "$sanitized" ]; then
    tests=(tests/system/test_threads.py tests/memory/test_pool.py tests/compositing/test_compositor.py tests/compositing/test_finish.py
        tests/nets/test_generator.py -k "not fork")
    export TSAN_OPTIONS="log_path=$work/race exitcode=0"
fi
"${python[@]}" -m pytest -q -p no:cacheprovider "${tests[@]}" "$@"

# Libraries that were not built so look as if they raced: only what happens in ours is judged.
if cat "$work"/race* 2>/dev/null | grep -E '^ +#[0-2] .*lipsync_fast/'; then
    mkdir -p build && cat "$work"/race* >build/races.txt
    say "races in our extensions, see build/races.txt"
    exit 1
fi
say "done${sanitized:+, no race of ours}"
