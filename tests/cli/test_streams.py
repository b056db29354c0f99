"""Standard streams that are closed or full: what is printed is lost, files stay theirs."""

import io
import os
import subprocess
import sys

import pytest

from lipsync_fast.cli.streams import ignore_broken_stderr, print_any_text

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


def printed(monkeypatch, text, encoding):
    """The bytes of a text on standard output."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    with print_any_text():
        print(text, end="", flush=True)
    assert stream.errors == "strict"
    return raw.getvalue()


@pytest.mark.parametrize(
    ("text", "encoding", "bytes_"),
    [
        ("1920×1080", "utf-8", b"1920\xc3\x971080"),
        ("1920×1080", "latin-1", b"1920\xd71080"),
        ("1920×1080, 0…9", "ascii", b"1920x1080, 0...9"),
        ("é×漢", "ascii", b"\\xe9x\\u6f22"),
        ("漢", "cp1252", b"\\u6f22"),
        ("a name of bytes \udcff\udc80", "utf-8", b"a name of bytes \xff\x80"),
        ("a name of bytes \udcff", "ascii", b"a name of bytes \xff"),
    ],
)
def test_any_text_is_printed_in_any_encoding(monkeypatch, text, encoding, bytes_):
    assert printed(monkeypatch, text, encoding) == bytes_


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437", "utf-8"])
def test_commands_speak_any_encoding(tmp_path, encoding):
    """Facts hold a ×, names any letter."""
    script = (
        "import sys, numpy as np\n"
        "from lipsync_fast.cli.main import main\n"
        "from lipsync_fast.formats import VideoFormat\n"
        "from lipsync_fast.templates import TemplateWriter\n"
        "with TemplateWriter('ann\\u00e4', VideoFormat(64, 48), preset='wav2lip96') as writer:\n"
        "    picture = np.arange(48 * 64 * 3, dtype=np.uint16).astype(np.uint8)\n"
        "    writer.add((8, 8, 32, 32), bgr24=picture.reshape(48, 64, 3))\n"
        "assert main(['inspect', 'ann\\u00e4']) == 0\n"
        "sys.exit(main(['inspect', '\\u6f22']))\n"
    )
    paths = os.pathsep.join(filter(None, sys.path))
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHONIOENCODING": encoding}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True
    )
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr
    assert done.stderr.count(b"\n") == 1
    size = next(line for line in done.stdout.splitlines() if line.startswith(b"size "))
    assert size.split()[1] in (b"64x48", "64×48".encode(encoding, "replace"))
