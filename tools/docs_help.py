"""A hook for mkdocs: replaces `<!-- help: NAME -->` in a page with the help of a command."""

import io
import os
import re
from contextlib import redirect_stdout
from unittest.mock import patch

from lipsync_fast.cli.main import main

_WIDTH = "96"


def help_of(command):
    """Return the output of `lipsync-fast COMMAND --help`; `command` may be empty, or two words."""
    said = io.StringIO()
    try:
        with redirect_stdout(said), patch.dict(os.environ, COLUMNS=_WIDTH, NO_COLOR="1"):
            main([*command.split(), "--help"])
    except SystemExit as done:
        if done.code:
            raise ValueError(f"there is no command {command!r}") from None
    return said.getvalue()


def on_page_markdown(markdown, **_):
    """Replace the marks in a page."""
    return re.sub(r"<!-- help: ?([\w ]*?) ?-->", lambda m: f"```text\n{help_of(m[1])}```", markdown)
