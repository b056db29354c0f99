"""The exceptions of lipsync_fast: each is a LipsyncError and the nearest builtin.

The builtin of each stands in brackets:

    LipsyncError
     |-- InputError            (ValueError)         a value, a shape or a file's content
     |-- MediaError            (ValueError)         a video, sound or image file
     |-- ModelError            (ValueError)         an ONNX file
     |-- TemplateError         (ValueError)         a template folder
     |-- ArgumentTypeError     (TypeError)          an argument of the wrong type
     |-- LayoutError           (TypeError)          an array's dtype or memory layout
     |-- FileMissingError      (FileNotFoundError)  a file or folder
     |-- MissingExtraError     (ImportError)        an optional dependency
     |-- PoolExhausted         (MemoryError)        a BufferPool at its limit
     |-- DeviceMemoryError     (MemoryError)        a device's memory
     |-- BusyError             (RuntimeError)       an object that another thread is using
     |-- KernelBug             (RuntimeError)       a mistake of this package's own
"""

_LONGEST = 2000  # characters: a sentence that a person reads


class LipsyncError(Exception):
    """Base of all errors that lipsync_fast raises on purpose."""

    def __str__(self) -> str:
        text = super().__str__()
        half = _LONGEST // 2
        return text if len(text) <= _LONGEST else f"{text[:half]} … {text[-half:]}"


class InputError(LipsyncError, ValueError):
    """A value, shape or file content that cannot be used; the message says what is needed."""


class ArgumentTypeError(LipsyncError, TypeError):
    """An argument of the wrong type; the message names the type that is needed."""


class LayoutError(LipsyncError, TypeError):
    """An array of the wrong dtype or memory layout, or something that is not an array."""


class BusyError(LipsyncError, RuntimeError):
    """An object for one thread at a time that another thread is using."""


class KernelBug(LipsyncError, RuntimeError):
    """A kernel refused arguments that had passed every check: a bug of this package; report it."""


class FileMissingError(LipsyncError, FileNotFoundError):
    """A file or folder that was named does not exist."""


class MissingExtraError(LipsyncError, ImportError):
    """An optional dependency is not installed; the message names the extra that brings it."""


class MediaError(LipsyncError, ValueError):
    """A video, sound or image file that cannot be read, or an output that cannot be written."""


class ModelError(LipsyncError, ValueError):
    """An ONNX file that cannot be loaded or whose inputs and outputs fit no preset."""


class TemplateError(LipsyncError, ValueError):
    """A template folder that is incomplete, damaged or made for another preset."""


class PoolExhausted(LipsyncError, MemoryError):
    """A BufferPool has reached its limit and holds no idle block to give back."""


class DeviceMemoryError(LipsyncError, MemoryError):
    """A device has too little memory for a model, or for one frame of it."""
