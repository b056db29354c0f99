#!/usr/bin/env bash
# Installs lipsync_fast into a virtual environment of its own and runs it:
#   bash bootstrap.sh demo [arguments of lipsync-fast demo]
#   bash bootstrap.sh test [arguments of pytest]
# The environment is .venv, or the folder that LIPSYNC_FAST_VENV names.
set -euo pipefail
cd "$(dirname "$0")"

fail() { echo "bootstrap: $*" >&2; exit 2; }

# A Python of 3.11 or newer; the plain name first, so that an active one wins.
find_python() {
    local name
    for name in "${PYTHON:-python3}" python3.13 python3.12 python3.11; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    fail "needs Python 3.11 or newer, found none; install it and its venv module"
}

have_jpeg_headers() {
    printf '#include <stdio.h>\n#include <jpeglib.h>\n' | "${CC:-cc}" -E - >/dev/null 2>&1
}

# Without the headers CMake builds libjpeg-turbo itself, which takes longer.
install_jpeg_headers() {
    if ! have_jpeg_headers && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        { apt-get update && apt-get install -y libjpeg-dev; } >/dev/null 2>&1 ||
            echo "bootstrap: libjpeg-dev could not be installed; building libjpeg-turbo instead" >&2
    fi
}

install() { # $1: extras
    if [ ! -x "$venv/bin/python" ]; then
        local python
        python=$(find_python)
        "$python" -m venv "$venv" || fail "could not make $venv; install Python's venv module (Debian: python3-venv)"
        "$venv/bin/python" -m pip install --quiet --upgrade pip
    fi
    echo "bootstrap: installing lipsync_fast[$1] into $venv" >&2
    "$venv/bin/python" -m pip install --quiet ".[$1]"
}

venv=${LIPSYNC_FAST_VENV:-.venv}
verb=${1:-}
[ $# -gt 0 ] && shift
case "$verb" in
demo)
    install_jpeg_headers
    install cpu,cli
    exec "$venv/bin/lipsync-fast" demo "$@"
    ;;
test)
    install_jpeg_headers
    install dev
    exec "$venv/bin/python" -m pytest "$@"
    ;;
*)
    fail "say what to do: bash bootstrap.sh demo | test"
    ;;
esac
