"""Standard streams that are closed or full: what is printed is lost, files stay theirs."""

import io
import os
import subprocess
import sys

import pytest

from lipsync_fast.cli.streams import ignore_broken_stderr

CHILD = """
import os, sys
from lipsync_fast.cli.streams import reopen_closed
reopen_closed()
file = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
print("for standard output", flush=True)
print("for standard error", file=sys.stderr, flush=True)
os.write(1, b"from a library")
os.write(2, b"from a library")
os.write(file, b"for the file")
sys.exit(0 if file > 2 else 7)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a shell of POSIX closes them")
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_file_does_not_get_what_is_printed(tmp_path, closed):
    command = [sys.executable, "-c", CHILD, str(tmp_path / "file")]
    done = subprocess.run(["sh", "-c", f'exec "$@" {closed}', "sh", *command], capture_output=True)
    assert done.returncode == 0
    assert (tmp_path / "file").read_bytes() == b"for the file"


class Full(io.StringIO):
    """Its disk is full."""

    def __init__(self, place):
        super().__init__()
        self.file = open(place, "w")  # noqa: SIM115

    def write(self, text):
        raise OSError(28, "No space left on device")

    def fileno(self):
        return self.file.fileno()


def test_messages_that_cannot_be_written_are_lost(tmp_path, monkeypatch):
    full = Full(tmp_path / "messages")
    monkeypatch.setattr(sys, "stderr", full)
    with ignore_broken_stderr():
        print("lost", file=sys.stderr)
        sys.stderr.flush()
        assert not sys.stderr.isatty()
    assert sys.stderr is full
    os.write(full.fileno(), b"and all that follows")
    full.file.close()
    assert (tmp_path / "messages").read_text() == ""


def test_other_messages_are_not(capsys):
    with ignore_broken_stderr():
        assert print("said", file=sys.stderr) is None
    assert capsys.readouterr().err == "said\n"
