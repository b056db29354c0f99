"""The NEON rows, compiled for AArch64, run under qemu: each neon/*.c compares one operation.

Skipped where the cross compiler or qemu is missing; Debian has both (gcc-aarch64-linux-gnu,
libc6-dev-arm64-cross, qemu-user).
"""

import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
KERNELS = HERE.parents[1] / "csrc"
COMPILER = shutil.which("aarch64-linux-gnu-gcc")
EMULATOR = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")

pytestmark = [
    pytest.mark.skipif(COMPILER is None or EMULATOR is None, reason="no AArch64 compiler or qemu"),
    pytest.mark.skipif(not KERNELS.is_dir(), reason="the kernels' source is not beside the tests"),
]


def needs_libjpeg(source):
    return "jpeglib.h" in source.read_text() or "jpeg/parts.h" in source.read_text()


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """Compile the kernels for AArch64, except those that need libjpeg."""
    folder = tmp_path_factory.mktemp("aarch64")
    sources = [
        source
        for source in sorted([*KERNELS.glob("*.c"), *KERNELS.glob("arm/*.c")])
        if not needs_libjpeg(source)
    ]
    flags = ["-O2", "-std=c11", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off", f"-I{KERNELS}"]
    subprocess.run(
        [COMPILER, *flags, "-DLF_HAVE_NEON=1", "-c", *map(str, sources)],
        cwd=folder,
        check=True,
    )
    return sorted(str(path) for path in folder.glob("*.o"))


@pytest.mark.parametrize("program", sorted(p.stem for p in (HERE / "neon").glob("*.c")))
def test_neon_equals_scalar(library, tmp_path, program):
    binary = tmp_path / program
    source = HERE / "neon" / f"{program}.c"
    subprocess.run(
        [COMPILER, "-O2", "-std=c11", "-Wall", "-Wextra", "-Werror", f"-I{KERNELS}", "-static",
         "-ffunction-sections", "-Wl,--gc-sections", "-o", binary, source, *library, "-lm"],
        check=True,
    )  # fmt: skip
    done = subprocess.run([EMULATOR, binary], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.split()[0]) > 1000
