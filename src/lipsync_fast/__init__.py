"""lipsync_fast: from a lip-sync net's output to finished full-HD frames, touching only the mouth."""

from ._version import __version__

try:
    from . import _kernels
except ImportError as error:
    raise ImportError(
        "lipsync_fast: the compiled part _kernels could not be loaded "
        f"({error}); install the package with `pip install .`, do not import it from its source folder"
    ) from error

__all__ = ["__version__"]
