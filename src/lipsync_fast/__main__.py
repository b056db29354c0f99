"""``python -m lipsync_fast``: the command line."""

import sys

from .cli.main import main

sys.exit(main())
