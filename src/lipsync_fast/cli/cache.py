"""``lipsync-fast cache``: what is kept for the next time, and clearing it."""

from __future__ import annotations

import argparse
import json
from typing import Any

from ..errors import InputError
from ..files import cache
from ..files.cache import KINDS
from .shared import say

__all__ = ["add_cache"]


def add_cache(commands: Any) -> None:
    """Add `cache` to the commands."""
    command = commands.add_parser(
        "cache",
        help="list what is kept for the next time, or clear it",
        description="List what is kept for the next time: models with a template inside, and "
        "others that cost time to make. The environment variable LIPSYNC_FAST_CACHE_LIMIT bounds "
        "it in bytes, such as 500M (default: 4G; 0 keeps nothing); what was not used for longest "
        "goes first.",
    )
    command.add_argument("action", nargs="?", choices=("clear",), help="remove all, or one kind")
    command.add_argument("kind", nargs="?", choices=KINDS, help="the kind to clear")
    command.add_argument("--json", action="store_true", help="machine-readable")
    command.set_defaults(run=_cache)


def _cache(options: argparse.Namespace) -> None:
    if options.action == "clear":
        removed = cache.clear_cache(options.kind)
        say(options, f"removed {removed.entries}, {removed.bytes / 1e6:.1f} MB")
        return
    kinds, limit = cache.list_cache(), cache.cache_limit()
    try:
        place = str(cache.cache_folder())
    except RuntimeError as error:
        raise InputError(f"there is no place for a cache ({error}); set XDG_CACHE_HOME") from None
    if options.json:
        sizes = {k.kind: {"entries": k.entries, "bytes": k.bytes} for k in kinds}
        print(json.dumps({"place": place, "limit": limit, "kinds": sizes}, indent=2))
        return
    print(f"{'kind':10}{'entries':>8}{'MB':>10}")
    for k in kinds:
        print(f"{k.kind:10}{k.entries:8}{k.bytes / 1e6:10.1f}")
    total = sum(k.bytes for k in kinds)
    print(f"{total / 1e6:.1f} of {limit / 1e6:.1f} MB in {place}")
