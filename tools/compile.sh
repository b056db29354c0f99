# Sourced by the other scripts here: builds the extensions with other flags than the package's.
# PYTHON names an interpreter with the extra dev installed; .venv's by default. GCC, Linux.
python=${PYTHON:-$PWD/.venv/bin/python}
[ -x "$python" ] || { echo "$0: $python is missing; set PYTHON" >&2; exit 2; }

tools=${TOOLS:-$PWD/build/tools} # a virtual environment with cmake, ninja and cython
if [ ! -x "$tools/bin/cython" ]; then
    "$python" -m venv "$tools"
    "$tools/bin/python" -m pip install --quiet cmake ninja "cython>=3.3" "cython-cmake>=0.3"
fi
PATH=$tools/bin:$PATH

compile() { # $1: folder of the build, which gets a folder "package"; the rest: options of cmake
    local folder=$1 modules
    shift
    modules=$("$tools/bin/python" -c \
        'import cython_cmake, pathlib; print(pathlib.Path(cython_cmake.__file__).parent / "cmake")')
    cmake -S . -B "$folder" -G Ninja -DSKBUILD_PROJECT_NAME=lipsync_fast \
        -DSKBUILD_PROJECT_VERSION=0 -DSKBUILD_SABI_VERSION= -DSKBUILD_SABI_COMPONENT= \
        -DCMAKE_MODULE_PATH="$modules" -DPython_EXECUTABLE="$python" "$@" >/dev/null
    cmake --build "$folder" --parallel "$(nproc)"
    rm -rf "$folder/package"
    mkdir -p "$folder/package"
    cp -r src/lipsync_fast "$folder/package/"
    find "$folder/package" -name '*.so' -delete
    cmake --install "$folder" --prefix "$folder/package" >/dev/null
}

rebuild() { # $1: a folder that compile has made; after changes of csrc/
    cmake --build "$1" --parallel 1 >/dev/null
    cmake --install "$1" --prefix "$1/package" >/dev/null
}
