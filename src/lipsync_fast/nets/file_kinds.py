"""What a file is that someone gave as a model: told by its first bytes, for error messages."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

from ..files.untrusted import open_plain

__all__ = ["advice_for"]

_HEAD = 4096  # bytes that are looked at

_EXPORT = "export it to ONNX with torch.onnx.export, from the project that trained it"
_LOAD = "load it into its network there and " + _EXPORT
_OTHER = "name the .onnx file"
_CONVERT = "convert it with tf2onnx, or name the .onnx file"
_UNPACK = "unpack it, and name the .onnx file inside"
_FETCH = "fetch the .onnx file itself"

# What it is, and what to do; a file is the first kind whose bytes stand at its place.
_KINDS: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", "a PyTorch checkpoint", _LOAD),
    (0, b"GGUF", "a GGUF file of a language model", _OTHER),
    (0, b"\x89HDF", "an HDF5 file, as Keras and MATLAB write", _CONVERT),
    (4, b"TFL3", "a TensorFlow Lite model", _CONVERT),
    (0, b"ftrt", "a TensorRT engine", "name the .onnx file that it was built from"),
    (0, b"ptrt", "a TensorRT engine", "name the .onnx file that it was built from"),
    (0, b"7767517\n", "an ncnn model", _OTHER),
    (0, b"version https://git-lfs", "a Git LFS pointer, not the file itself", "run git lfs pull"),
    (0, b"\x93NUMPY", "a NumPy array", _OTHER),
    (0, b"\xff\xd8\xff", "a picture (JPEG)", _OTHER),
    (0, b"\x89PNG", "a picture (PNG)", _OTHER),
    (0, b"GIF8", "a picture (GIF)", _OTHER),
    (0, b"BM", "a picture (BMP)", _OTHER),
    (0, b"II*\0", "a picture (TIFF)", _OTHER),
    (0, b"MM\0*", "a picture (TIFF)", _OTHER),
    (8, b"WEBP", "a picture (WebP)", _OTHER),
    (8, b"WAVE", "a sound file (WAV)", _OTHER),
    (8, b"AVI ", "a film (AVI)", _OTHER),
    (4, b"ftypavif", "a picture (AVIF)", _OTHER),
    (4, b"ftypheic", "a picture (HEIC)", _OTHER),
    (4, b"ftypM4A", "a sound file (M4A)", _OTHER),
    (4, b"ftyp", "a film (MP4 or MOV)", _OTHER),
    (4, b"moov", "a film (MOV)", _OTHER),
    (0, b"\x1a\x45\xdf\xa3", "a film (Matroska or WebM)", _OTHER),
    (0, b"FLV\x01", "a film (FLV)", _OTHER),
    (0, b"ID3", "a sound file (MP3)", _OTHER),
    (0, b"\xff\xfb", "a sound file (MP3)", _OTHER),
    (0, b"OggS", "a sound file (Ogg)", _OTHER),
    (0, b"fLaC", "a sound file (FLAC)", _OTHER),
    (0, b"%PDF", "a PDF document", _OTHER),
    (0, b"\x1f\x8b", "a gzip archive", _UNPACK),
    (0, b"BZh", "a bzip2 archive", _UNPACK),
    (0, b"\xfd7zXZ", "an xz archive", _UNPACK),
    (0, b"7z\xbc\xaf", "a 7z archive", _UNPACK),
    (0, b"Rar!", "a RAR archive", _UNPACK),
    (0, b"\x28\xb5\x2f\xfd", "a Zstandard archive", _UNPACK),
    (257, b"ustar", "a tar archive", _UNPACK),
)

_PAGE = re.compile(rb"\s*<(!doctype html|html|\?xml|head|!--)", re.IGNORECASE)
_PICKLE = re.compile(rb"\x80[\x02-\x05][(}\]\x8a\x8c\x95c]")
_TORCH_ENDINGS = (".pt", ".pth", ".pth.tar", ".ckpt", ".bin", ".pkl", ".tar")


def advice_for(path: Path) -> str | None:
    """Return what a file is that is not an ONNX model, and what to do; a part of a sentence.

    Nothing of it is unpacked or run.

    Parameters
    ----------
    path : Path

    Returns
    -------
    str or None
        None where it cannot be told.
    """
    try:
        with open_plain(path) as file:
            head = file.read(_HEAD)
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    except ValueError:
        return f"it is a pipe or a device; save it to a file, and {_OTHER}"
    found = _kind(path, head)
    return None if found is None else f"it is {found[0]}; {found[1]}"


def _kind(path: Path, head: bytes) -> tuple[str, str] | None:
    if not head:
        return "empty (0 bytes)", "fetch or export it again"
    if head.startswith(b"PK\x03\x04"):
        return _kind_of_zip(path)
    for place, magic, what, advice in _KINDS:
        if head.startswith(magic, place):
            return what, advice
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 27:
        return "a safetensors file, weights without their network", _LOAD
    if _PAGE.match(head):
        return "a web page, perhaps of a failed download", _FETCH
    if _PICKLE.match(head):
        torch = path.name.lower().endswith(_TORCH_ENDINGS)
        return ("a PyTorch checkpoint", _LOAD) if torch else ("a Python pickle", _OTHER)
    if len(head) > 376 and {head[0], head[188], head[376]} == {0x47}:
        return "a film (MPEG transport stream)", _OTHER
    return ("a text file", _FETCH) if _is_text(head) else None


def _kind_of_zip(path: Path) -> tuple[str, str]:
    """Tell a zip archive by the names in it."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return "a zip archive that is damaged or cut short", "fetch it again"
    inside = {name.partition("/")[2] for name in names} | set(names)
    if "constants.pkl" in inside and any("code/" in name for name in names):
        return "a TorchScript model", f"load it with torch.jit.load and {_EXPORT}"
    if "data.pkl" in inside:
        return "a PyTorch checkpoint", _LOAD
    if names and all(name.endswith(".npy") for name in names):
        return "a NumPy .npz file", _OTHER
    if "config.json" in inside and "model.weights.h5" in inside:
        return "a Keras model", _CONVERT
    return "a zip archive", _UNPACK


def _is_text(head: bytes) -> bool:
    """Tell whether bytes are UTF-8 text, the last character perhaps cut."""
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:
            return False
        text = head[: error.start].decode("utf-8")
    return all(letter.isprintable() or letter in "\t\n\r\f\ufeff" for letter in text)
