"""Folders in the layouts of other systems, written from frames and rects."""

import json
import pickle

import numpy as np
from PIL import Image


def write_image(path, picture, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".png":
        options = {"compress_level": 1}
    Image.fromarray(picture[..., ::-1] if picture.ndim == 3 else picture).save(path, **options)


def write_dataset(folder, frames, squares, first=0):
    """SyncTalk_2D, Ultralight."""
    for i, (frame, (x, y, w, _)) in enumerate(zip(frames, squares, strict=True), first):
        write_image(folder / "full_body_img" / f"{i}.jpg", frame, quality=95)
        points = np.random.default_rng(i).uniform(0, 100, (110, 2))
        points[1, 0], points[52, 1], points[31, 0] = x + 0.7, y + 0.2, x + w + 0.9
        (folder / "landmarks").mkdir(exist_ok=True)
        np.savetxt(folder / "landmarks" / f"{i}.lms", points, "%.4f")
    return folder / "full_body_img"


def cut(frame, rect, side):
    x, y, w, h = rect
    area = Image.fromarray(frame[y : y + h, x : x + w])
    return np.asarray(area.resize((side, side), Image.Resampling.BILINEAR))


def write_livetalking(folder, frames, rects, side=96, order="yyxx", kind=int, protocol=None):
    boxes = []
    for i, (frame, (x, y, w, h)) in enumerate(zip(frames, rects, strict=True)):
        write_image(folder / "full_imgs" / f"{i:08d}.png", frame)
        if side:
            write_image(folder / "face_imgs" / f"{i:08d}.png", cut(frame, (x, y, w, h), side))
        box = (y, y + h, x, x + w) if order == "yyxx" else (x, y, x + w, y + h)
        boxes.append(tuple(kind(v) for v in box))
    (folder / "coords.pkl").write_bytes(pickle.dumps(boxes, protocol))
    return folder / "full_imgs"


def write_package(folder, frames, rects, name="{:04d}.jpg"):
    """The Go server's, of single frames."""
    for i, frame in enumerate(frames):
        write_image(folder / "frames" / name.format(i), frame, quality=95)
    write_package_facts(folder, rects)
    return folder / "frames"


def write_package_facts(folder, rects):
    folder.mkdir(exist_ok=True)
    corners = [[int(x), int(y), int(x + w), int(y + h)] for x, y, w, h in rects]
    (folder / "crop_rects.json").write_text(json.dumps(corners))
    (folder / "package_info.json").write_text(json.dumps({"dataset_name": "anna"}))
    (folder / "crops_328_video.mp4").write_bytes(b"never read")
    (folder / "rois_320_video.mp4").write_bytes(b"never read")


def write_musetalk(folder, frames, rects, seed=3):
    """Frames forwards and backwards, with a mask over a box of 1.2 times the face."""
    rng = np.random.default_rng(seed)
    cycle = [*zip(frames, rects, strict=True)]
    boxes, crops = [], []
    for i, (frame, (x, y, w, h)) in enumerate([*cycle, *cycle[::-1]]):
        write_image(folder / "full_imgs" / f"{i:08d}.png", frame)
        half = int(max(w, h) // 2 * 1.2)
        left, top = x + w // 2 - half, y + h // 2 - half
        write_image(
            folder / "mask" / f"{i:08d}.png",
            rng.integers(0, 256, (2 * half, 2 * half), np.uint8),
        )
        boxes.append((int(x), int(y), int(x + w), int(y + h)))
        crops.append([int(v) for v in (left, top, left + 2 * half, top + 2 * half)])
    (folder / "coords.pkl").write_bytes(pickle.dumps(boxes))
    (folder / "mask_coords.pkl").write_bytes(pickle.dumps(crops))
    (folder / "latents.pt").write_bytes(b"never read")
    (folder / "avator_info.json").write_text('{"avatar_id": "anna"}')
    return folder / "full_imgs"


def write_parsing(source, frames, seed=9):
    """Maps of a few colours, red and white among them."""
    colours = np.array([[0, 0, 255], [255, 255, 255], [0, 255, 0], [255, 0, 0], [0, 0, 254]])
    rng = np.random.default_rng(seed)
    maps = []
    for i, frame in enumerate(frames):
        small = rng.integers(0, len(colours), (frame.shape[0] // 8 + 1, frame.shape[1] // 8 + 1))
        which = small.repeat(8, 0).repeat(8, 1)[: frame.shape[0], : frame.shape[1]]
        maps.append(which)
        write_image(source / "parsing" / f"{i}.png", colours[which].astype(np.uint8))
    return maps
