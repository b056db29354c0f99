"""Folders of other systems become the templates that their own frames and rects would."""

import hashlib
import json
import os
import pickle
import shutil
from dataclasses import replace

import numpy as np
import pytest
from tests.support.avatars import (
    write_dataset,
    write_image,
    write_livetalking,
    write_musetalk,
    write_package,
    write_package_facts,
    write_parsing,
)

from lipsync_fast.compositing import Compositor
from lipsync_fast.errors import FileMissingError, InputError, MediaError
from lipsync_fast.formats import VideoFormat
from lipsync_fast.preparation import FaceOptions, prepare
from lipsync_fast.preparation.foreign import find_avatar
from lipsync_fast.presets import PRESETS
from lipsync_fast.templates import Template, TemplateOptions
from lipsync_fast.timing import Loop

PIXELS = TemplateOptions(store=("bgr24",))
UNMASKED = FaceOptions(masks="none")


def drawn(count=12):
    """Smooth moving pictures: (count, 120, 160, 3) uint8."""
    t, y, x, c = np.ogrid[:count, :120, :160, :3]
    wave = np.sin(x / 13 + t / 3 + c) + np.cos(y / 9 - t / 5 + 2 * c)
    return np.round(127 + 60 * wave).astype(np.uint8)


@pytest.fixture(params=["drawn", pytest.param("real", marks=pytest.mark.assets)])
def person(request):
    """Frames (n, H, W, 3) bgr24 and a square of each."""
    if request.param == "drawn":
        return drawn(), np.array([[20 + i, 30 - i, 61 + i % 3, 61 + i % 3] for i in range(12)])
    frames = request.getfixturevalue("woman")
    return frames, np.array([[515, 720, 178, 178], [505, 741, 183, 183], [497, 749, 186, 186]])


# ---- equal templates ----------------------------------------------------------------------------


def snapshot(folder):
    """What every file of a folder holds, and when it was changed."""
    return {
        str(p.relative_to(folder)): (
            p.stat().st_mtime_ns,
            hashlib.sha256(p.read_bytes()).hexdigest() if p.is_file() else None,
        )
        for p in sorted(folder.rglob("*"))
    }


def finished(template, seed=5):
    """Every frame with a random mouth."""
    side = template.preset.view
    rng = np.random.default_rng(seed)
    outputs = rng.uniform(0, 1, (template.count, 3, side, side)).astype(np.float32)
    with Compositor(template) as compositor:
        frames = compositor.composite(outputs, range(template.count))
        return [frame.array.copy() for frame in frames]


def assert_equal_templates(one, other):
    np.testing.assert_array_equal(one.rects, other.rects)
    assert np.abs(one.crops.astype(int) - other.crops).max() <= 1
    for i, (got, want) in enumerate(zip(finished(one), finished(other), strict=True)):
        assert np.abs(got.astype(int) - want).max() <= 1, f"frame {i}"


def imported(source, tmp_path, **options):
    """A template of another system's folder, which stays as it is."""
    before = snapshot(source)
    template = prepare(source, tmp_path / "imported", options=PIXELS, **options)
    assert snapshot(source) == before
    return template


def straight(source, rects, tmp_path, preset):
    return prepare(source, tmp_path / "straight", preset=preset, rects=rects, options=PIXELS)


@pytest.mark.parametrize("preset", ["synctalk328", "ultralight168-hubert", "wav2lip96"])
@pytest.mark.parametrize("first", [0, 1])
def test_data_sets(person, preset, first, tmp_path):
    frames, squares = person
    source = tmp_path / "set"
    images = write_dataset(source, frames, squares, first)
    with (
        imported(source, tmp_path, preset=preset) as template,
        straight(images, squares, tmp_path, preset) as wanted,
    ):
        assert_equal_templates(template, wanted)
        assert template.loop == PRESETS[preset].default_loop
        assert template.fps == 25


@pytest.mark.parametrize("side", [96, 256, 168])
def test_livetalking_avatars(person, side, tmp_path):
    frames, rects = person
    source = tmp_path / "avatar"
    images = write_livetalking(source, frames, rects, side, "xyxy" if side == 168 else "yyxx")
    with imported(source, tmp_path) as template:
        name = "ultralight168-hubert" if side == 168 else f"wav2lip{side}"
        assert template.preset.name == name
        with straight(images, rects, tmp_path, name) as wanted:
            assert_equal_templates(template, wanted)
        assert template.loop == Loop("pingpong-doubled", 0)


@pytest.mark.parametrize("name", ["{:04d}.jpg", "frame_{:06d}.jpg"])
def test_packages_of_frames(person, name, tmp_path):
    frames, squares = person
    source = tmp_path / "package"
    images = write_package(source, frames, squares, name)
    with (
        imported(source, tmp_path) as template,
        straight(images, squares, tmp_path, "synctalk328") as wanted,
    ):
        assert template.preset.name == "synctalk328"
        assert_equal_templates(template, wanted)
        assert template.loop == Loop("forward", 0)


@pytest.fixture
def video(tmp_path):
    """12 frames at 25 a second, and their squares."""
    pytest.importorskip("av")
    from lipsync_fast import kernels
    from lipsync_fast.media import VideoWriter

    frames, format = drawn(), VideoFormat(160, 120, matrix="bt709", tagged=True)
    with VideoWriter(tmp_path / "video.mp4", format) as writer:
        for frame in frames:
            writer.write(kernels.to_i420(frame, matrix="bt709"))
    return tmp_path / "video.mp4", np.tile([30, 20, 60, 60], (12, 1))


@pytest.mark.parametrize("frames", [0, 5])
def test_packages_of_a_video(video, frames, tmp_path):
    """Also where the server has begun to extract frames from it."""
    path, squares = video
    source = tmp_path / "package"
    write_package(source, drawn()[:frames], squares)
    shutil.copy(path, source / "full_body_video.mp4")
    with (
        imported(source, tmp_path) as template,
        straight(path, squares, tmp_path, "synctalk328") as wanted,
    ):
        assert_equal_templates(template, wanted)
        assert (template.fps, template.matrix, template.tagged) == (25, "bt709", True)


@pytest.mark.parametrize("kind", ["numbered", "landmarks"])
def test_packages_of_other_versions(video, kind, tmp_path):
    path, squares = video
    source = tmp_path / "package"
    write_package_facts(source, squares)
    shutil.copy(path, source / "full_body_video.mp4")
    corners = json.loads((source / "crop_rects.json").read_text())
    (source / "crop_rects.json").unlink()
    if kind == "numbered":
        (source / "cache").mkdir()
        entries = {str(i): {"rect": c} for i, c in reversed([*enumerate(corners)])}
        (source / "cache" / "crop_rectangles.json").write_text(json.dumps(entries))
    else:
        write_dataset(tmp_path / "set", drawn(), squares)
        shutil.copytree(tmp_path / "set" / "landmarks", source / "landmarks")
    with imported(source, tmp_path) as template:
        np.testing.assert_array_equal(template.rects, squares)


def test_musetalk_avatars(person, tmp_path):
    frames, rects = person
    source = tmp_path / "avatar"
    images = write_musetalk(source, frames, rects)
    both = [*rects, *rects[::-1]]
    with (
        imported(source, tmp_path, preset="wav2lip256", faces=UNMASKED) as template,
        straight(images, both, tmp_path, "wav2lip256") as wanted,
    ):
        assert template.count == 2 * len(frames)
        assert_equal_templates(template, wanted)
        assert template.loop == Loop("forward", 0)


# ---- masks --------------------------------------------------------------------------------------


def test_musetalk_masks_blend_as_there(person, tmp_path):
    cv2 = pytest.importorskip("cv2")
    frames, rects = person
    source = tmp_path / "avatar"
    write_musetalk(source, frames, rects)
    boxes = pickle.loads((source / "mask_coords.pkl").read_bytes())
    with (
        imported(source, tmp_path, preset="wav2lip256") as template,
        imported(source, tmp_path / "bare", preset="wav2lip256", faces=UNMASKED) as bare,
    ):
        for i, (got, hard) in enumerate(zip(finished(template), finished(bare), strict=True)):
            x, y, w, h = template.rects[i]
            x_s, y_s, x_e, y_e = boxes[i]
            body = template.bgr24(i).copy()
            large = body[y_s:y_e, x_s:x_e].copy()
            large[y - y_s : y - y_s + h, x - x_s : x - x_s + w] = hard[y : y + h, x : x + w]
            alpha = cv2.imread(str(source / "mask" / f"{i:08d}.png"), cv2.IMREAD_GRAYSCALE)
            alpha = (alpha / 255).astype(np.float32)
            area = np.ascontiguousarray(body[y_s:y_e, x_s:x_e])
            body[y_s:y_e, x_s:x_e] = cv2.blendLinear(large, area, alpha, 1 - alpha)
            assert np.abs(got.astype(int) - body).max() <= 1
            assert (got != hard).any()


def test_parsing_maps_keep_the_original(person, tmp_path):
    frames, squares = person
    source = tmp_path / "set"
    write_dataset(source, frames, squares)
    maps = write_parsing(source, frames)
    with (
        imported(source, tmp_path, preset="synctalk328") as template,
        imported(source, tmp_path / "bare", preset="synctalk328", faces=UNMASKED) as bare,
    ):
        for i, (got, hard) in enumerate(zip(finished(template), finished(bare), strict=True)):
            kept = (maps[i] < 2)[..., None]
            wanted = np.where(kept, template.bgr24(i), hard)
            np.testing.assert_array_equal(got, wanted)
            assert bare.mask(i) is None


def test_the_smaller_alpha_of_mask_and_edge_counts(person, tmp_path):
    frames, squares = person
    source = tmp_path / "set"
    write_dataset(source, frames, squares)
    maps = write_parsing(source, frames)
    with (
        imported(source, tmp_path, preset="wav2lip384") as template,
        imported(source, tmp_path / "bare", preset="wav2lip384", faces=UNMASKED) as bare,
    ):
        for i in range(template.count):
            x, y, w, h = template.rects[i]
            parsed = np.where(maps[i] < 2, 0, 255)[y : y + h, x : x + w]
            np.testing.assert_array_equal(template.mask(i), np.minimum(parsed, bare.mask(i)))


# ---- the order of the boxes ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", [int, np.int64, np.int32, float])
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("order", ["yyxx", "xyxy"])
def test_the_faces_tell_the_order(order, protocol, kind, tmp_path):
    """Also where both orders fit the frames, and whatever the side of the faces."""
    frames = drawn(4)
    rects = [(30, 40, 61, 62), (31, 41, 61, 62), (32, 41, 60, 63), (33, 42, 60, 61)]
    write_livetalking(tmp_path / "a", frames, rects, 96, order, kind, protocol)
    np.testing.assert_array_equal(find_avatar(tmp_path / "a").rects, rects)


def test_without_faces_the_frames_tell_it(tmp_path, caplog):
    """Read the other way, the boxes have no area."""
    for order, rect in (("yyxx", (10, 60, 40, 41)), ("xyxy", (90, 10, 40, 41))):
        write_livetalking(tmp_path / order, drawn(3), [rect] * 3, None, order)
        np.testing.assert_array_equal(find_avatar(tmp_path / order).rects, [rect] * 3)
    assert "face_imgs is missing" not in caplog.text


@pytest.mark.parametrize(
    ("preset", "order", "rect"),
    [("wav2lip96", "yyxx", (50, 20, 61, 62)), ("synctalk328", "xyxy", (30, 40, 61, 62))],
)
def test_else_the_preset_tells_it_with_a_warning(preset, order, rect, tmp_path, caplog):
    rects = [rect] * 3
    write_livetalking(tmp_path / "a", drawn(3), rects, None, order)
    found = find_avatar(tmp_path / "a", PRESETS[preset])
    np.testing.assert_array_equal(found.rects, rects)
    assert "face_imgs is missing" in caplog.text


def test_a_frame_without_a_face_stays_one(tmp_path):
    rects = [(30, 40, 61, 62), (0, 0, 0, 0), (32, 41, 60, 63)]
    write_livetalking(tmp_path / "a", drawn(3), rects, None, "xyxy")
    options = {"preset": "ultralight168-hubert", "options": PIXELS}
    with prepare(tmp_path / "a", tmp_path / "t", **options) as template:
        np.testing.assert_array_equal(template.rects, rects)
        assert not template.has_face(1)


# ---- given values come first, missing parts are named ----------------------------------------


def test_given_rects_and_loop_come_first(tmp_path):
    write_livetalking(tmp_path / "a", drawn(4), [(30, 40, 61, 62)] * 4)
    with prepare(
        tmp_path / "a",
        tmp_path / "t",
        preset="wav2lip256",
        rects="10,11,50,40",
        fps=30,
        options=replace(PIXELS, loop=Loop("once", 2)),
    ) as template:
        assert template.rects.tolist() == [[10, 11, 50, 40]] * 4
        assert (template.loop, template.fps) == (Loop("once", 2), 30)
        assert template.preset.name == "wav2lip256"


@pytest.fixture
def layouts(tmp_path):
    """A folder of each system, of 12 drawn frames."""
    frames, rects = drawn(), [(30, 40, 61, 61)] * 12
    write_dataset(tmp_path / "set", frames, rects)
    write_parsing(tmp_path / "set", frames)
    write_livetalking(tmp_path / "live", frames, rects)
    write_package(tmp_path / "package", frames, rects)
    write_musetalk(tmp_path / "muse", frames, rects)
    return tmp_path


MISSING = [
    ("set", "landmarks", r"needs landmarks/0\.lms, landmarks/1\.lms, landmarks/2\.lms and 9 more"),
    ("set", "landmarks/7.lms", r"data set needs landmarks/7\.lms, which is missing"),
    ("set", "parsing/11.png", r"parsing maps, but parsing/11\.png is missing; .*--masks none"),
    ("live", "coords.pkl", r"LiveTalking avatar needs coords\.pkl"),
    ("package", "crop_rects.json", r"Go server needs crop_rects\.json"),
    ("package", "frames", r"frames/ and full_body_video\.mp4 are missing"),
    ("muse", "coords.pkl", r"MuseTalk avatar needs coords\.pkl"),
    ("muse", "mask_coords.pkl", r"mask_coords\.pkl, which says where they lie, is missing"),
]


@pytest.mark.parametrize(("folder", "part", "says"), MISSING)
def test_missing_parts_are_named(layouts, folder, part, says):
    path = layouts / folder / part
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(FileMissingError, match=says):
        prepare(layouts / folder, layouts / "t", preset="wav2lip96")
    assert not (layouts / "t").exists()


@pytest.mark.parametrize(
    ("folder", "part"), [("set", "landmarks/7.lms"), ("live", "coords.pkl"), ("muse", "coords.pkl")]
)
def test_rects_stand_in_for_missing_ones(layouts, folder, part):
    (layouts / folder / part).unlink()
    options = {"preset": "wav2lip96", "rects": "30,40,20,20", "options": PIXELS}
    with prepare(layouts / folder, layouts / "t", **options) as template:
        assert (template.rects == (30, 40, 20, 20)).all()


@pytest.mark.parametrize("folder", ["set", "muse"])
def test_a_preset_is_asked_for_where_none_is_known(layouts, folder):
    with pytest.raises(InputError, match=r"does not tell the generator's family: name its preset"):
        prepare(layouts / folder, layouts / "t")
    with pytest.raises(InputError, match="name its preset"):
        prepare(layouts / folder / "full_imgs", layouts / "t", rects="1,2,9,9")


def test_smoothing_is_for_found_rects(layouts):
    with pytest.raises(InputError, match="leave out smooth='steady'"):
        prepare(
            layouts / "live", layouts / "t", preset="wav2lip96", faces=FaceOptions(smooth="steady")
        )


def test_other_folders_are_no_avatars(layouts):
    assert find_avatar(layouts / "live" / "full_imgs") is None
    assert find_avatar(layouts / "live" / "coords.pkl") is None
    assert find_avatar(layouts / "nowhere") is None


def test_hostile_coordinates_are_refused(layouts, monkeypatch):
    class Call:
        def __reduce__(self):
            return os.system, ("touch OWNED",)

    monkeypatch.chdir(layouts)
    for folder, name in [
        ("live", "coords.pkl"),
        ("muse", "coords.pkl"),
        ("muse", "mask_coords.pkl"),
    ]:
        good = (layouts / folder / name).read_bytes()
        (layouts / folder / name).write_bytes(pickle.dumps([(1, 2, 3, Call())]))
        with pytest.raises(InputError, match=rf"{name} names .*system"):
            prepare(layouts / folder, layouts / "t", preset="wav2lip96")
        (layouts / folder / name).write_bytes(good)
    assert not (layouts / "OWNED").exists()


MALFORMED = [
    ("live", "coords.pkl", pickle.dumps([(1, 2, 3)]), r"coords\.pkl must hold a list of boxes"),
    ("live", "coords.pkl", pickle.dumps([]), "must hold a list of boxes"),
    ("live", "coords.pkl", pickle.dumps(7), "must hold a list of boxes"),
    ("live", "coords.pkl", pickle.dumps([(0.5, 1, 2, 3)] * 12), "four whole numbers"),
    ("live", "coords.pkl", pickle.dumps([(1, 9, 1, float("nan"))] * 12), "four whole numbers"),
    ("live", "coords.pkl", pickle.dumps([(1, 9, 1, float("inf"))] * 12), "four whole numbers"),
    ("live", "coords.pkl", pickle.dumps([(1, 9, 1, 2**70)] * 12), "four whole numbers"),
    ("live", "coords.pkl", pickle.dumps([(900, 990, 900, 990)] * 12), "lie outside of the 160×120"),
    ("live", "coords.pkl", pickle.dumps([(9, 90, 9, 90)] * 11), "each of the 12 frames .* got 11"),
    ("live", "coords.pkl", b"text", r"coords\.pkl"),
    ("muse", "mask_coords.pkl", pickle.dumps([(9, 90, 9, 90)] * 5), "24 masks, got 5 boxes"),
    ("muse", "mask_coords.pkl", pickle.dumps([(0, 0, 72, 72)] * 24), "does not hold its rect"),
    ("muse", "mask_coords.pkl", pickle.dumps([(0, 0, 99, 99)] * 24), "99×99 pixels like its"),
    ("set", "landmarks/3.lms", b"1 2\n", r"3\.lms must hold 110 lines"),
    ("set", "parsing/3.png", b"text", r"3\.png is not an image"),
    ("package", "crop_rects.json", b"[[1, 2]]", r"crop_rects\.json, entry 0"),
    ("package", "crop_rects.json", b"{", r"crop_rects\.json, line 1"),
    ("package", "package_info.json", b"[" * 200_000, r"package_info\.json cannot be read as JSON"),
    ("package", "frames/0003.jpg", b"text", r"0003\.jpg is not an image"),
]


@pytest.mark.parametrize(("folder", "part", "data", "says"), MALFORMED)
def test_malformed_parts_are_named(layouts, folder, part, data, says):
    (layouts / folder / part).write_bytes(data)
    with pytest.raises((InputError, MediaError), match=says) as caught:
        prepare(layouts / folder, layouts / "t", preset="wav2lip96")
    assert "\n" not in str(caught.value)
    assert not (layouts / "t").exists()


def test_a_parsing_map_of_another_size(layouts):
    write_image(layouts / "set" / "parsing" / "4.png", np.zeros((60, 80, 3), np.uint8))
    with pytest.raises(
        InputError, match=r"4\.png must be 160×120 pixels like its frame, got 80×60"
    ):
        prepare(layouts / "set", layouts / "t", preset="wav2lip96")


@pytest.mark.parametrize(
    "text", ["[]", '{"0": [1, 2, 3, 4]}', '{"1": {"rect": [1, 2, 9, 9]}}', '{"0": {"rect": [1]}}']
)
def test_malformed_numbered_rects(layouts, text):
    (layouts / "package" / "crop_rects.json").unlink()
    (layouts / "package" / "cache").mkdir()
    (layouts / "package" / "cache" / "crop_rectangles.json").write_text(text)
    with pytest.raises(InputError, match=r"crop_rectangles\.json must hold"):
        prepare(layouts / "package", layouts / "t")


@pytest.mark.parametrize(
    ("info", "fps"),
    [
        ({}, 25),
        ({"fps": 30}, 30),
        ({"fps": 24, "videos": {"full_body": {"fps": 29.97}}}, "30000/1001"),
        ([], 25),
        ({"videos": []}, 25),
    ],
)
def test_the_rate_of_a_package(layouts, info, fps):
    from fractions import Fraction

    (layouts / "package" / "package_info.json").write_text(json.dumps(info))
    options = {"preset": "wav2lip96", "options": PIXELS}
    with prepare(layouts / "package", layouts / "t", **options) as template:
        assert template.fps == Fraction(fps)


def test_command_line(layouts, capsys):
    pytest.importorskip("av")
    from lipsync_fast.cli.main import main

    for folder, more in [
        ("live", []),
        ("package", []),
        ("set", ["--preset", "synctalk328"]),
        ("muse", ["--preset", "wav2lip256", "--masks", "none"]),
    ]:
        target = layouts / f"t-{folder}"
        assert main(["prepare", str(layouts / folder), str(target), *more, "-q"]) == 0
        Template.open(target).close()
    assert main(["prepare", str(layouts / "set"), str(layouts / "t"), "-q"]) == 2
    assert "SyncTalk_2D or Ultralight data set, which does not tell" in capsys.readouterr().err
