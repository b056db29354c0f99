"""All of csrc compiles for Windows and for AArch64, without a warning.

Skipped where the cross compiler is missing; Debian has both (gcc-mingw-w64-x86-64 and
gcc-aarch64-linux-gnu with libc6-dev-arm64-cross). Files that need libjpeg are compiled against
the headers of this machine, which are the same for every CPU.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

KERNELS = Path(__file__).resolve().parents[2] / "csrc"
HEADERS = ("jpeglib.h", "jconfig.h", "jmorecfg.h", "jerror.h")
FLAGS = [
    "-std=c11", "-O2", "-ffp-contract=off", "-c",
    "-Wall", "-Wextra", "-Werror", "-Wvla", "-Wshadow",
]  # fmt: skip
AVX2 = ["-mavx2"]
AVX512 = [f"-mavx512{part}" for part in ("f", "dq", "bw", "vl", "vbmi", "vnni")]

pytestmark = pytest.mark.skipif(
    not KERNELS.is_dir(), reason="the kernels' source is not beside the tests"
)


@pytest.fixture(scope="module")
def jpeg_headers(tmp_path_factory):
    """A folder of libjpeg's headers alone, or None: the rest of /usr/include is for this CPU."""
    folder = tmp_path_factory.mktemp("jpeg")
    for name in HEADERS:
        places = [*Path("/usr/include").glob(name), *Path("/usr/include").glob(f"*/{name}")]
        if not places:
            return None
        shutil.copy(places[0], folder)
    return folder


def compile_all(compiler, sources, flags, folder):
    """Compile each file by itself; return all complaints at once."""
    complaints = []
    for source in sources:
        done = subprocess.run(
            [compiler, *FLAGS, *flags, f"-I{KERNELS}", str(source)],
            cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            complaints.append(done.stderr)
    assert not complaints, "\n".join(complaints)


def compiler_of(name, package):
    return shutil.which(name) or pytest.skip(f"no {name}; install {package}")


def windows():
    return compiler_of("x86_64-w64-mingw32-gcc", "gcc-mingw-w64-x86-64")


def aarch64():
    return compiler_of("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu")


DEFINED = {"avx2": "-DLF_HAVE_AVX2=1", "avx512": "-DLF_HAVE_AVX512=1", "neon": "-DLF_HAVE_NEON=1"}
TARGETS = {
    "windows": (windows, []),
    "windows avx2": (windows, ["avx2"]),
    "windows avx2 avx512": (windows, ["avx2", "avx512"]),
    "aarch64": (aarch64, []),
    "aarch64 neon": (aarch64, ["neon"]),
}


@pytest.mark.parametrize("target", TARGETS)
def test_plane_functions_compile(target, tmp_path):
    find_compiler, isas = TARGETS[target]
    compile_all(
        find_compiler(), sorted(KERNELS.glob("*.c")), [DEFINED[isa] for isa in isas], tmp_path
    )


@pytest.mark.parametrize(
    ("find_compiler", "pattern", "flags"),
    [
        pytest.param(windows, "x86/*_avx2.c", AVX2, id="windows avx2"),
        pytest.param(windows, "x86/*_avx512.c", AVX512, id="windows avx512"),
        pytest.param(aarch64, "arm/*_neon.c", [], id="aarch64 neon"),
    ],
)
def test_row_kernels_compile(find_compiler, pattern, flags, tmp_path):
    sources = sorted(KERNELS.glob(pattern))
    assert sources
    compile_all(find_compiler(), sources, flags, tmp_path)


@pytest.mark.parametrize("find_compiler", [windows, aarch64], ids=["windows", "aarch64"])
def test_jpeg_compiles(find_compiler, jpeg_headers, tmp_path):
    compiler = find_compiler()
    if jpeg_headers is None:
        pytest.skip("libjpeg-turbo's headers are not in /usr/include; install libjpeg-dev")
    compile_all(compiler, sorted(KERNELS.glob("jpeg/*.c")), [f"-isystem{jpeg_headers}"], tmp_path)


def test_every_file_is_compiled():
    """The tests above cover every folder of csrc."""
    tried = {p for pattern in ("*.c", "jpeg/*.c", "x86/*_avx2.c", "x86/*_avx512.c", "arm/*_neon.c")
             for p in KERNELS.glob(pattern)}  # fmt: skip
    assert tried == set(KERNELS.rglob("*.c"))
