"""The soak test: a minute of it, and that it notices growth."""

import mmap
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("onnxruntime")

SOAK = Path(__file__).resolve().parents[2] / "tools" / "soak.py"
pytestmark = [
    pytest.mark.repository,
    pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc"),
]


@pytest.fixture
def soak(monkeypatch):
    monkeypatch.syspath_prepend(str(SOAK.parent))
    return pytest.importorskip("soak", reason="the folder tools/ is not here")


def test_growth_and_loss_are_seen(soak):
    flat = [1000, 1001, 999] * 10
    assert max(map(abs, soak.moves(flat))) < soak.ALLOWED
    low, high = soak.moves([*flat, 1011])
    assert high > soak.ALLOWED > -low
    low, high = soak.moves([*flat[:15], 989, *flat[15:]])
    assert -low > soak.ALLOWED > high


def test_a_leak_of_the_service_is_told(soak):
    """Samples are of this very process."""
    before, own = soak.resident_bytes(), soak.anonymous_bytes()
    private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS  # a heap may have had the pages before
    with mmap.mmap(-1, 32 << 20, flags=private) as leak:
        for page in range(0, len(leak), mmap.PAGESIZE):
            leak[page] = 1
        assert soak.resident_bytes() - before > 24 << 20
        assert soak.anonymous_bytes() - own > 24 << 20


@pytest.mark.long
def test_a_minute_of_requests_keeps_its_memory():
    command = [sys.executable, str(SOAK), "--minutes", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    verdict = done.stdout.splitlines()[-1]
    assert int(re.search(r"(\d+) frames", verdict)[1]) > 500
    assert verdict.endswith("0 buffers still lent")
