"""The splice itself, in C: what no Python face hands it is still refused (splice.c)."""

import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
KERNELS = HERE.parents[1] / "csrc"
COMPILER = shutil.which("cc") or shutil.which("gcc")

pytestmark = [
    pytest.mark.skipif(COMPILER is None, reason="no C compiler"),
    pytest.mark.skipif(not KERNELS.is_dir(), reason="the kernels' source is not beside the tests"),
]


@pytest.mark.parametrize("sanitize", [False, True], ids=["plain", "sanitized"])
def test_misfits_of_a_splice_have_codes(tmp_path, sanitize):
    binary = tmp_path / "splice"
    flags = ["-O1", "-g", "-std=c11", "-Wall", "-Wextra", "-Werror", f"-I{KERNELS}"]
    if sanitize:
        flags += ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    sources = [str(path) for path in sorted(KERNELS.glob("jpeg/*.c"))]
    built = subprocess.run(
        [COMPILER, *flags, "-o", binary, str(HERE / "splice.c"), *sources, "-ljpeg"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if built.returncode and ("jpeglib.h" in built.stderr or "-ljpeg" in built.stderr):
        pytest.skip("libjpeg-turbo's headers are not installed")
    if built.returncode and sanitize:
        pytest.skip("this compiler has no sanitizers")
    assert built.returncode == 0, built.stderr
    done = subprocess.run([binary], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
