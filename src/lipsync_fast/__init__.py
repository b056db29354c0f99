"""From a lip-sync net's output to finished full-HD frames, touching only the mouth."""

from ._version import __version__

try:
    from . import _kernels as _kernels
except ImportError as error:
    raise ImportError(
        "lipsync_fast: the compiled part _kernels could not be loaded "
        f"({error}); install it with `pip install .` and do not import it from its source folder"
    ) from error

__all__ = ["__version__"]
