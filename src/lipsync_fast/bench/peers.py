"""Twins of how other systems finish a frame: the same work as theirs, in our own code.

Each twin takes a model's output and returns the finished frame, allocating and copying as the
system does. All get the same `Inputs`, and each names the preset, filter and mask that make our
result equal to its own, so that a benchmark compares before it times.

Omissions favour the other system: SyncTalk_2D's decoding of the background (replaced by a
copy), the Go server's per-pixel loops (here NumPy's) and its own JPEG encoder (here
libjpeg-turbo, several times as fast).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .. import kernels
from ..errors import InputError
from . import need
from .encoders import ENCODERS

__all__ = ["PEERS", "Inputs", "Peer", "finish", "get_peer", "kernel_frame", "make_inputs"]

Image = NDArray[np.uint8]
Rect = tuple[int, int, int, int]


@dataclass(frozen=True)
class Inputs:
    """Everything that a system holds once its model has run for one frame.

    Attributes
    ----------
    background : (H, W, 3) uint8, bgr24
        The template's frame. Twins never write to it.
    rect : (x, y, w, h)
        Place of the patch, inside the frame, in pixels.
    output : (3, S, S) float32
        The model's output; planes B, G, R in 0..1.
    crop : (C, C, 3) uint8, bgr24
        The rect's pixels resized to the stored square.
    mask : (h, w) uint8
        Alpha over the rect, for the systems that blend.
    view_mask : (S, S) float32
        The same mask at the model's size, 0..1, for the systems that warp it.
    """

    background: Image
    rect: Rect
    output: NDArray[np.float32]
    crop: Image
    mask: Image
    view_mask: NDArray[np.float32]

    @property
    def box(self) -> tuple[slice, slice]:
        """Return the rect as an index into the frame."""
        x, y, w, h = self.rect
        return slice(y, y + h), slice(x, x + w)

    # Things that systems keep in memory from the start: not a frame's work, made at first use.

    @cached_property
    def background_rgba(self) -> Image:
        """Return the background, (H, W, 4) rgba, as the Go server holds it."""
        rgba = np.full((*self.background.shape[:2], 4), 255, np.uint8)
        rgba[..., :3] = self.background[..., ::-1]
        return rgba

    @cached_property
    def wide_mask(self) -> NDArray[np.float64]:
        """Return the mask, (S, S, 3), as wav2lip-onnx-HQ holds it."""
        return np.repeat(self.view_mask.astype(np.float64)[..., None], 3, axis=2)

    @cached_property
    def crop_box(self) -> tuple[int, int, int, int]:
        """Return MuseTalk's (left, top, right, bottom): the rect, larger by a quarter a side."""
        x, y, w, h = self.rect
        height, width = self.background.shape[:2]
        left, top = max(x - w // 4, 0), max(y - h // 4, 0)
        return left, top, min(x + w + w // 4, width), min(y + h + h // 4, height)

    @cached_property
    def crop_mask(self) -> Image:
        """Return the mask over `crop_box`, 0 outside the rect."""
        x, y, w, h = self.rect
        left, top, right, bottom = self.crop_box
        mask = np.zeros((bottom - top, right - left), np.uint8)
        mask[y - top : y - top + h, x - left : x - left + w] = self.mask
        return mask


def make_inputs(
    peer: Peer, background: Image, rect: Rect, *, seed: int = 0, detail: float = 1.0
) -> Inputs:
    """Draw a model's output and a mask for a frame, in the sizes of a peer's model.

    Parameters
    ----------
    peer : Peer
    background : (H, W, 3) uint8, bgr24
    rect : (x, y, w, h)
        Inside the frame.
    seed, detail
        As in `pictures.net_output`.

    Returns
    -------
    Inputs
        `background` is not copied, everything else is fresh.

    Raises
    ------
    InputError
        The rect is empty or reaches out of the frame.
    MissingExtraError
        OpenCV is not installed.
    """
    from .pictures import mouth_mask, net_output

    x, y, w, h = rect
    height, width = background.shape[:2]
    if w < 1 or h < 1 or x < 0 or y < 0 or x + w > width or y + h > height:
        raise InputError(f"rect must lie inside the {width}x{height} frame, got {rect}")
    cv2 = need("cv2")
    side = peer.view + 2 * peer.border
    filters = {"bicubic": cv2.INTER_CUBIC}
    crop = cv2.resize(
        background[y : y + h, x : x + w],
        (side, side),
        interpolation=filters.get(peer.patch_filter, cv2.INTER_LINEAR),
    )
    view_mask = mouth_mask(peer.view, peer.view).astype(np.float32) / np.float32(255)
    output = net_output(peer.view, seed=seed, detail=detail)
    return Inputs(background, rect, output, crop, mouth_mask(w, h), view_mask)


# ---- inputs of the model -----------------------------------------------------------------


def _bordered_input(crop: Image, border: int, black: Rect) -> NDArray[np.float32]:
    """Build the input of SyncTalk_2D and Ultralight: copies, a drawn box, casts, divisions."""
    view = crop[border : crop.shape[0] - border, border : crop.shape[1] - border].copy()
    masked = need("cv2").rectangle(view.copy(), black, (0, 0, 0), -1)
    planes = [
        picture.transpose(2, 0, 1).astype(np.float32) / np.float32(255)
        for picture in (view, masked)
    ]
    # `out`: concatenate alone would keep the pixels' order in memory, which models do not take.
    return np.concatenate(planes, axis=0, out=np.empty((6, *view.shape[:2]), np.float32))[None]


def synctalk2d_input(batch: Sequence[Inputs]) -> NDArray[np.float32]:
    """SyncTalk_2D: each rect resized from its frame, 320 view and masked copy, (N, 6, 320, 320)."""
    cv2 = need("cv2")
    pictures = []
    for inputs in batch:
        crop = cv2.resize(inputs.background[inputs.box], (328, 328), interpolation=cv2.INTER_CUBIC)
        pictures.append(_bordered_input(crop.copy(), 4, (5, 5, 310, 305)))
    return np.concatenate(pictures)


def livetalking_ultralight_input(batch: Sequence[Inputs]) -> NDArray[np.float32]:
    """LiveTalking's Ultralight: stored crops, 160 view and masked copy, (N, 6, 160, 160)."""
    return np.concatenate([_bordered_input(i.crop, 4, (5, 5, 150, 145)) for i in batch])


def livetalking_wav2lip_input(batch: Sequence[Inputs]) -> NDArray[np.float32]:
    """LiveTalking's Wav2Lip: stored crops, divided in float64, then cast, (N, 6, S, S)."""
    crops = np.asarray([inputs.crop for inputs in batch])
    masked = crops.copy()
    masked[:, crops.shape[1] // 2 :] = 0
    both = np.concatenate((masked, crops), axis=3) / 255.0
    return np.ascontiguousarray(np.transpose(both, (0, 3, 1, 2)), dtype=np.float32)


# ---- finished frames ---------------------------------------------------------------------


def _to_picture(output: NDArray[np.float32]) -> Image:
    """Convert planes in 0..1 to packed pixels, truncated: a line that most scripts share."""
    return (output.transpose(1, 2, 0) * 255).astype(np.uint8)


def synctalk2d(inputs: Inputs) -> Image:
    """SyncTalk_2D: output into the 328 crop, cubic back to the rect, overwritten."""
    cv2 = need("cv2")
    frame = inputs.background.copy()  # stands for decoding it
    crop = inputs.crop.copy()
    side = inputs.output.shape[1]
    scaled = inputs.output.transpose(1, 2, 0) * 255
    crop[4 : 4 + side, 4 : 4 + side] = np.array(scaled, dtype=np.uint8)
    size = inputs.rect[2:]
    frame[inputs.box] = cv2.resize(crop, size, interpolation=cv2.INTER_CUBIC)
    return frame


def livetalking_wav2lip(inputs: Inputs) -> Image:
    """LiveTalking, Wav2Lip: float32 picture, full copy, linear, overwritten, wrapped (copied)."""
    cv2 = need("cv2")
    output = inputs.output[None].transpose(0, 2, 3, 1) * 255.0
    frame = copy.deepcopy(inputs.background)
    frame[inputs.box] = cv2.resize(output[0].astype(np.uint8), inputs.rect[2:])
    return frame.copy()  # into the video frame


def livetalking_ultralight(inputs: Inputs) -> Image:
    """LiveTalking, Ultralight: the same through a copy of the 168 crop with its border."""
    cv2 = need("cv2")
    output = inputs.output[None].transpose(0, 2, 3, 1) * 255.0
    frame = copy.deepcopy(inputs.background)
    crop = copy.deepcopy(inputs.crop)
    side = inputs.output.shape[1]
    crop[4 : 4 + side, 4 : 4 + side] = output[0].astype(np.uint8)
    frame[inputs.box] = cv2.resize(crop, inputs.rect[2:])
    return frame.copy()  # into the video frame


def musetalk(inputs: Inputs) -> Image:
    """MuseTalk: Pillow images from reversed channels, crop box, paste, masked paste, back."""
    from PIL import Image as pillow

    cv2 = need("cv2")
    x, y, w, h = inputs.rect
    frame = copy.deepcopy(inputs.background)
    face = cv2.resize(_to_picture(inputs.output), (w, h))
    left, top = inputs.crop_box[:2]
    body = pillow.fromarray(frame[..., ::-1])
    part = body.crop(inputs.crop_box)
    part.paste(pillow.fromarray(face[..., ::-1]), (x - left, y - top, x - left + w, y - top + h))
    body.paste(part, (left, top), pillow.fromarray(inputs.crop_mask).convert("L"))
    finished: Image = np.array(body)[..., ::-1]
    return finished


def _placement(inputs: Inputs, x: float, y: float) -> NDArray[np.float64]:
    """Return the affine matrix from view pixels to frame pixels, with the origin at (x, y)."""
    side = inputs.output.shape[1]
    across, down = inputs.rect[2] / side, inputs.rect[3] / side
    left, top = inputs.rect[0] - x, inputs.rect[1] - y
    return np.array(
        [[across, 0, left + across / 2 - 0.5], [0, down, top + down / 2 - 0.5]], np.float64
    )


def facefusion(inputs: Inputs) -> Image:
    """facefusion: picture and mask warped over the face area, float32 blend, frame copied."""
    cv2 = need("cv2")
    x, y, w, h = inputs.rect
    face = (inputs.output.transpose(1, 2, 0).clip(0, 1) * 255).astype(np.uint8)
    matrix = _placement(inputs, x, y)
    mask = cv2.warpAffine(inputs.view_mask, matrix, (w, h)).clip(0, 1)[..., None]
    warped = cv2.warpAffine(face, matrix, (w, h), borderMode=cv2.BORDER_REPLICATE)
    frame = inputs.background.copy()
    part = frame[inputs.box]
    frame[inputs.box] = (part * (1 - mask) + warped * mask).astype(frame.dtype)
    return frame


def wav2lip_onnx_hq(inputs: Inputs) -> Image:
    """wav2lip-onnx-HQ: picture and float64 mask warped to the whole frame, whole frame blended."""
    cv2 = need("cv2")
    height, width = inputs.background.shape[:2]
    face = _to_picture(inputs.output)
    matrix = _placement(inputs, 0, 0)
    warped = cv2.warpAffine(face, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    mask = cv2.warpAffine(inputs.wide_mask, matrix, (width, height))
    blended: Image = (mask * warped + (1 - mask) * inputs.background).astype(np.uint8)
    return blended


def go_server(inputs: Inputs) -> Image:
    """The first Go server: RGBA picture, top left bilinear, full RGBA clone, drawn over."""
    side = inputs.output.shape[1]
    w, h = inputs.rect[2:]
    face = np.empty((side, side, 4), np.uint8)
    face[..., :3] = np.clip(inputs.output[::-1].transpose(1, 2, 0) * 255, 0, 255)
    face[..., 3] = 255
    column, row = (np.arange(n) * (side / n) for n in (w, h))
    x0, y0 = column.astype(np.intp), row.astype(np.intp)
    x1, y1 = np.minimum(x0 + 1, side - 1), np.minimum(y0 + 1, side - 1)
    dx, dy = (column - x0)[None, :, None], (row - y0)[:, None, None]
    upper = face[y0[:, None], x0] * (1 - dx) + face[y0[:, None], x1] * dx
    lower = face[y1[:, None], x0] * (1 - dx) + face[y1[:, None], x1] * dx
    frame = inputs.background_rgba.copy()
    frame[inputs.box] = (upper * (1 - dy) + lower * dy).astype(np.uint8)
    return frame


def naive(inputs: Inputs) -> Image:
    """The plain way without a pool: every step into a fresh array, then a copy of the frame."""
    cv2 = need("cv2")
    picture = np.ascontiguousarray((inputs.output * np.float32(255)).transpose(1, 2, 0))
    crop = inputs.crop.copy()
    side = inputs.output.shape[1]
    crop[4 : 4 + side, 4 : 4 + side] = np.clip(picture, 0, 255).astype(np.uint8)
    patch = cv2.resize(crop, inputs.rect[2:], interpolation=cv2.INTER_CUBIC)
    frame = inputs.background.copy()
    frame[inputs.box] = patch
    return frame


# ---- the table ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Peer:
    """One system: its twins, and the settings that make our result equal to its own.

    Attributes
    ----------
    name, title : str
        The key in `PEERS`, and the name to print.
    composite : callable
        `Inputs` to a fresh finished frame, bgr24; rgba if `channels` is 4.
    build_input : callable or None
        A batch to the model's visual input (N, 6, S, S); None if another system's is the same.
    view, border : int
        Side of the model's output, and pixels of the stored crop round it.
    patch_filter : str
        Filter from crop to rect, as in `kernels.resize`.
    masked : bool
        Whether the patch blends through the mask.
    channels : int
        Of the frame: 3 or 4.
    encoder : str
        A key of `ENCODERS`: the system's own kind of file; "cv2" if it passes pixels on.
    tolerance : int
        Levels by which its frame may differ from ours, because of rounding or coarse warps.
    """

    name: str
    title: str
    composite: Callable[[Inputs], Image]
    build_input: Callable[[Sequence[Inputs]], NDArray[np.float32]] | None
    view: int
    border: int
    patch_filter: Literal["bicubic", "bilinear", "bilinear_topleft"]
    masked: bool = False
    channels: int = 3
    encoder: str = "cv2"
    tolerance: int = 1


# fmt: off
_ROWS = (
    Peer("synctalk2d", "SyncTalk_2D", synctalk2d, synctalk2d_input, 320, 4, "bicubic"),
    Peer("livetalking_wav2lip", "LiveTalking wav2lip", livetalking_wav2lip,
         livetalking_wav2lip_input, 256, 0, "bilinear"),
    Peer("livetalking_ultralight", "LiveTalking ultralight", livetalking_ultralight,
         livetalking_ultralight_input, 160, 4, "bilinear"),
    Peer("musetalk", "MuseTalk", musetalk, None, 256, 0, "bilinear", masked=True, encoder="png"),
    Peer("facefusion", "facefusion", facefusion, None, 256, 0, "bilinear", masked=True,
         encoder="png", tolerance=2),
    Peer("wav2lip_onnx_hq", "wav2lip-onnx-HQ", wav2lip_onnx_hq, None, 256, 0, "bilinear",
         masked=True, tolerance=2),
    Peer("go_server", "Go server", go_server, None, 320, 0, "bilinear_topleft", channels=4),
    Peer("naive", "NumPy, no pool", naive, None, 320, 4, "bicubic"),
)
# fmt: on

PEERS: dict[str, Peer] = {peer.name: peer for peer in _ROWS}


def get_peer(name: str) -> Peer:
    """Return the peer of a name.

    Raises
    ------
    InputError
        The name is unknown.
    """
    if name not in PEERS:
        raise InputError(f"peer must be one of {', '.join(PEERS)}, got {name!r}")
    return PEERS[name]


def kernel_frame(peer: Peer, inputs: Inputs) -> Image:
    """Finish a frame with our kernels, one after the other, with a peer's settings.

    Parameters
    ----------
    peer : Peer
    inputs : Inputs
        With the sizes of `peer`.

    Returns
    -------
    (H, W, 3) uint8, bgr24, or (H, W, 4), rgba
        Fresh; within `peer.tolerance` of ``peer.composite(inputs)``.
    """
    crop = inputs.crop.copy()
    inner = slice(peer.border, peer.border + peer.view)
    kernels.convert(inputs.output, crop[inner, inner])
    patch = kernels.resize(crop, size=inputs.rect[2:], filter=peer.patch_filter)
    frame = (inputs.background_rgba if peer.channels == 4 else inputs.background).copy()
    x, y = inputs.rect[:2]
    mask = inputs.mask if peer.masked else None
    finished: Image = kernels.blend(patch, frame, mask, frame, x=x, y=y, swap=peer.channels == 4)
    return finished


def finish(peer: Peer, inputs: Inputs, encoder: str | None = None, quality: int = 75) -> bytes:
    """Turn a model's output into bytes, the peer's way.

    Parameters
    ----------
    peer : Peer
    inputs : Inputs
        With the sizes of `peer`.
    encoder : str, optional
        A key of `ENCODERS`; by default the peer's own.
    quality : int
        JPEG quality, 1 to 100.

    Returns
    -------
    bytes
        One JPEG or PNG file.

    Raises
    ------
    InputError
        The encoder is unknown or the inputs have other sizes.
    MissingExtraError
        OpenCV or simplejpeg is needed and not installed.
    """
    name = peer.encoder if encoder is None else encoder
    if name not in ENCODERS:
        raise InputError(f"encoder must be one of {', '.join(ENCODERS)}, got {name!r}")
    if inputs.output.shape != (3, peer.view, peer.view):
        raise InputError(
            f"inputs must be {peer.title}'s, with an output of {(3, peer.view, peer.view)}, "
            f"got {inputs.output.shape}"
        )
    return ENCODERS[name](peer.composite(inputs), quality)
