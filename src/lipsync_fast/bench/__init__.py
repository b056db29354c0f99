"""Measurements: synthetic pictures, twins of what users run today, and the report.

Needs the extra `bench`, whose packages are imported at first use.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from ..errors import MissingExtraError

__all__ = ["need"]


def need(module: str) -> ModuleType:
    """Import a package of the extra `bench`.

    Raises
    ------
    MissingExtraError
        The package is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"this benchmark needs {module}, which is not installed; "
            'run `pip install "lipsync_fast[bench]"`'
        ) from error
