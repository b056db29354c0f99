"""Frames made like the families' own inference scripts, with OpenCV, on given rects.

Each takes a frame (H, W, 3) bgr24, a rect (x, y, w, h), and `predict`, the model on one visual
input (planes, S, S) float32; the numbers are the scripts', not the presets'.
"""

import numpy as np
import pytest

cv2 = pytest.importorskip("cv2")


def unet(frame, rect, predict, *, crop_side, black, to_crop, to_rect):
    """SyncTalk_2D and Ultralight."""
    x, y, w, h = rect
    out = frame.copy()
    crop = cv2.resize(out[y : y + h, x : x + w], (crop_side, crop_side), interpolation=to_crop)
    pasted = crop.copy()
    seen = crop[4 : crop_side - 4, 4 : crop_side - 4].copy()
    masked = cv2.rectangle(seen.copy(), black, (0, 0, 0), -1)
    planes = [p.transpose(2, 0, 1).astype(np.float32) / 255.0 for p in (seen, masked)]
    made = predict(np.concatenate(planes)).transpose(1, 2, 0) * 255
    pasted[4 : crop_side - 4, 4 : crop_side - 4] = made.astype(np.uint8)
    out[y : y + h, x : x + w] = cv2.resize(pasted, (w, h), interpolation=to_rect)
    return out


def synctalk(frame, rect, predict):
    cubic = cv2.INTER_CUBIC
    return unet(
        frame, rect, predict, crop_side=328, black=(5, 5, 310, 305), to_crop=cubic, to_rect=cubic
    )


def ultralight(frame, rect, predict):
    return unet(
        frame,
        rect,
        predict,
        crop_side=168,
        black=(5, 5, 150, 145),
        to_crop=cv2.INTER_AREA,
        to_rect=cv2.INTER_LINEAR,
    )


def wav2lip(frame, rect, predict, side):
    x, y, w, h = rect
    out = frame.copy()
    face = cv2.resize(out[y : y + h, x : x + w], (side, side))
    masked = face.copy()
    masked[side // 2 :] = 0
    batch = np.concatenate((masked, face), axis=2) / 255.0
    made = predict(batch.transpose(2, 0, 1).astype(np.float32)).transpose(1, 2, 0) * 255.0
    out[y : y + h, x : x + w] = cv2.resize(made.astype(np.uint8), (w, h))
    return out


def wav2lip384(frame, rect, predict):
    x, y, w, h = rect
    pasted = wav2lip(frame, rect, predict, 384)[y : y + h, x : x + w]
    out = frame.copy()
    rows, columns = np.ogrid[:h, :w]
    away = np.minimum(np.minimum(rows, h - 1 - rows), np.minimum(columns, w - 1 - columns))
    alpha = np.minimum(away / 20, 1.0)[..., None]
    area = out[y : y + h, x : x + w]
    out[y : y + h, x : x + w] = (pasted * alpha + area * (1 - alpha)).astype(np.uint8)
    return out


def edtalk(frame, rect, predict):
    x, y, w, h = rect
    out = frame.copy()
    face = cv2.resize(out[y : y + h, x : x + w], (256, 256), interpolation=cv2.INTER_AREA)
    seen = (face[:, :, ::-1] / 255.0).transpose(2, 0, 1).astype(np.float32)
    made = (predict(seen).transpose(1, 2, 0).clip(0, 1) * 255).astype(np.uint8)[:, :, ::-1]
    patch = cv2.resize(np.ascontiguousarray(made), (w, h), interpolation=cv2.INTER_CUBIC)
    out[y : y + h, x : x + w] = patch
    return out


def liteavatar(frame, rect, predict):
    x, y, w, h = rect
    out = frame.copy()
    area = out[y : y + h, x : x + w]
    face = cv2.resize(area, (384, 384))[:, :, ::-1]
    seen = ((face.astype(np.float32) / 255 - 0.5) / 0.5).transpose(2, 0, 1)
    made = (predict(np.ascontiguousarray(seen)) / 2 + 0.5).clip(0, 1).transpose(1, 2, 0) * 255
    patch = cv2.resize(np.ascontiguousarray(made.astype(np.uint8)[:, :, ::-1]), (w, h))
    keep = np.zeros((h, w))
    keep[:10] = keep[-10:] = 1
    keep[:, :10] = keep[:, -10:] = 1
    keep = cv2.GaussianBlur(keep, (21, 21), 15)[..., None]
    out[y : y + h, x : x + w] = (area * keep + patch * (1 - keep)).astype(np.uint8)
    return out


FRAME = {
    "synctalk328": synctalk,
    "synctalk328-hubert": synctalk,
    "synctalk328-wenet": synctalk,
    "ultralight168-hubert": ultralight,
    "ultralight168-wenet": ultralight,
    "wav2lip96": lambda *a: wav2lip(*a, 96),
    "wav2lip256": lambda *a: wav2lip(*a, 256),
    "wav2lip288": lambda *a: wav2lip(*a, 288),
    "wav2lip384": wav2lip384,
    "edtalk256": edtalk,
    "liteavatar384": liteavatar,
}


def row_window(rows, index, reach, shape):
    """Return the rows that SyncTalk_2D and Ultralight hear for a frame: `reach` on each side."""
    left, right = index - reach, index + reach
    before, after = max(-left, 0), max(right - len(rows), 0)
    taken = rows[max(left, 0) : max(min(right, len(rows)), 0)]
    blank = [np.zeros((n, *rows.shape[1:]), rows.dtype) for n in (before, after)]
    heard = np.concatenate([blank[0], taken, blank[1]])[: 2 * reach]
    return heard.reshape(shape).astype(np.float32)


# Rows on each side of a frame, the shape of one row as saved, and of a window.
HEARS = {
    "synctalk328": (8, (512,), (32, 16, 16)),
    "synctalk328-hubert": (8, (2, 1024), (32, 32, 32)),
    "synctalk328-wenet": (8, (1, 16, 512), (256, 16, 32)),
    "ultralight168-hubert": (4, (2, 1024), (16, 32, 32)),
    "ultralight168-wenet": (4, (1, 16, 512), (128, 16, 32)),
}
