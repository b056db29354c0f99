"""From a video or images to a template folder, and what can go wrong on the way."""

import json
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from lipsync_fast import kernels
from lipsync_fast.errors import (
    ArgumentTypeError,
    FileMissingError,
    InputError,
    MediaError,
    TemplateError,
)
from lipsync_fast.formats import VideoFormat
from lipsync_fast.preparation import FaceOptions, prepare
from lipsync_fast.templates import JpegSettings, Template, TemplateOptions
from lipsync_fast.timing import Loop

PIXELS = TemplateOptions(store=("bgr24",))

WIDTH, HEIGHT = 96, 64


def pictures(count, width=WIDTH, height=HEIGHT):
    """Smooth moving pictures: (count, height, width, 3) uint8."""
    t, y, x, c = np.ogrid[:count, :height, :width, :3]
    wave = np.sin(x / 17 + t / 3 + c) + np.cos(y / 11 - t / 5 + 2 * c)
    return np.round(127 + 60 * wave).astype(np.uint8)


@pytest.fixture
def images(tmp_path):
    """Folder of 12 PNG files, 0.png … 11.png, and their pixels."""
    folder = tmp_path / "images"
    folder.mkdir()
    frames = pictures(12)
    for i, frame in enumerate(frames):
        Image.fromarray(frame[..., ::-1]).save(folder / f"{i}.png")
    return folder, frames


@pytest.fixture
def video(tmp_path):
    """A video of 30 frames at 30 fps, BT.709."""
    pytest.importorskip("av")
    from lipsync_fast.media import VideoWriter

    path = tmp_path / "video.mp4"
    format = VideoFormat(WIDTH, HEIGHT, Fraction(30), "bt709", tagged=True)
    with VideoWriter(path, format) as writer:
        for frame in pictures(30):
            writer.write(kernels.to_i420(frame, matrix="bt709"))
    return path


def left_behind(folder):
    return sorted(p.name for p in folder.iterdir() if "part" in p.name or "old" in p.name)


# ---- given rects -----------------------------------------------------------------------------


def test_images_with_rects(images, tmp_path):
    folder, frames = images
    rects = [[5 + i, 6, 30, 32] for i in range(12)]
    rects[3] = [0, 0, 0, 0]
    rects[7] = [80, 50, 30, 30]
    steps = []
    with prepare(
        folder,
        tmp_path / "anna",
        preset="wav2lip96",
        rects=rects,
        options=TemplateOptions(store=("bgr24", "jpeg")),
        fps="30000/1001",
        progress=lambda done, total: steps.append((done, total)),
    ) as template:
        assert (template.count, template.width, template.height) == (12, WIDTH, HEIGHT)
        assert template.fps == Fraction(30000, 1001)
        assert not template.tagged
        rects[7] = [80, 50, 16, 14]
        assert template.rects.tolist() == rects
        for i, frame in enumerate(frames):
            np.testing.assert_array_equal(template.bgr24(i), frame)
        assert not template.has_face(3)
        expected = kernels.resize(frames[2, 6:38, 7:37], size=(96, 96), filter="bilinear")
        np.testing.assert_array_equal(template.crops[2], expected)
        assert template.stored == ("jpeg", "bgr24")
    assert steps == [(i + 1, 12) for i in range(12)]
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("form", ["text", "json", "csv", "npy", "lms"])
def test_every_source_of_rects(images, tmp_path, form):
    folder, _ = images
    rects = np.tile([10, 12, 40, 40], (12, 1))
    if form == "text":
        given = "10,12,40,40"
    elif form == "lms":
        given = tmp_path / "landmarks"
        given.mkdir()
        points = np.zeros((110, 2))
        points[1, 0], points[31, 0], points[52, 1] = 10.7, 50.2, 12.9
        for i in range(12):
            np.savetxt(given / f"{i}.lms", points)
    else:
        given = tmp_path / f"r.{form}"
        if form == "json":
            given.write_text(json.dumps(rects.tolist()))
        elif form == "csv":
            np.savetxt(given, rects, "%d", ",")
        else:
            np.save(given, rects)
    with prepare(folder, tmp_path / "t", preset="wav2lip96", rects=given) as template:
        np.testing.assert_array_equal(template.rects, rects)


def test_one_image_is_a_template(images, tmp_path):
    folder, frames = images
    with prepare(
        folder / "4.png", tmp_path / "t", preset="wav2lip96", rects="1,2,30,30", options=PIXELS
    ) as template:
        assert template.count == 1
        np.testing.assert_array_equal(template.bgr24(0), frames[4])


def test_video_keeps_its_planes_and_its_rate(video, tmp_path):
    from lipsync_fast.media import VideoReader

    with prepare(video, tmp_path / "t", preset="wav2lip96", rects="1,2,30,30") as template:
        assert template.stored == ("jpeg", "i420")
        assert (template.count, template.fps) == (30, 30)
        assert (template.matrix, template.full_range, template.tagged) == ("bt709", False, True)
        for i, planes in enumerate(VideoReader(video)):
            np.testing.assert_array_equal(template.i420(i), planes)


def test_a_feature_rate_resamples(video, tmp_path):
    from lipsync_fast.media import VideoReader

    with prepare(video, tmp_path / "t", preset="synctalk328", rects="1,2,30,30") as template:
        assert (template.count, template.fps) == (25, 25)
        source = list(VideoReader(video))
        for i in range(25):
            # the latest frame at each instant
            np.testing.assert_array_equal(template.i420(i), source[i * 30 // 25])
        assert template.loop == Loop("pingpong", 1)


def test_loop_start_and_quality(images, tmp_path):
    folder, _ = images
    sizes = {}
    for quality in (30, 95):
        options = TemplateOptions(("jpeg",), JpegSettings(quality), Loop("pingpong", 2))
        with prepare(
            folder, tmp_path / f"t{quality}", preset="wav2lip96", rects="1,2,30,30", options=options
        ) as template:
            assert template.loop == Loop("pingpong", 2)
            sizes[quality] = (tmp_path / f"t{quality}" / "jpeg.bin").stat().st_size
    assert sizes[95] > 1.5 * sizes[30]


def test_an_older_template_is_replaced_only_by_a_complete_one(images, tmp_path):
    folder, _ = images
    options = {"preset": "wav2lip96", "options": PIXELS}
    prepare(folder, tmp_path / "t", rects="1,2,30,30", **options).close()
    (folder / "9.png").write_bytes(b"damaged")
    with pytest.raises(MediaError, match=r"9\.png"):
        prepare(folder, tmp_path / "t", rects="5,5,20,20", **options)
    with Template.open(tmp_path / "t") as template:
        assert template.count == 12
        assert template.rects[0].tolist() == [1, 2, 30, 30]
    assert left_behind(tmp_path) == []
    (folder / "9.png").unlink()
    prepare(folder, tmp_path / "t", rects="5,5,20,20", **options).close()
    with Template.open(tmp_path / "t") as template:
        assert template.count == 11
        assert template.rects[0].tolist() == [5, 5, 20, 20]
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupt_leaves_nothing(images, tmp_path, error):
    def stop(done, total):
        if done == 5:
            raise error

    with pytest.raises(error):
        prepare(images[0], tmp_path / "t", preset="wav2lip96", rects="1,2,9,9", progress=stop)
    assert [p.name for p in tmp_path.iterdir()] == ["images"]


# ---- bad input -------------------------------------------------------------------------------

YUNET = FaceOptions(detector="d.onnx")


@pytest.mark.parametrize(
    ("rects", "message"),
    [
        ("200,2,30,30", r"inside the 96×64 frame"),
        ("1,2,0,30", "at least 1 pixel"),
        ("0,0,0,0", "at least 1 pixel"),
        ([[1, 2, 30, 30]] * 11, r"12 frames of .*images at 25 frames a second, got 11"),
        ([[1, 2, 30, 30]] * 13, "got 13"),
    ],
)
def test_rects_that_do_not_fit(images, tmp_path, rects, message):
    with pytest.raises(InputError, match=message):
        prepare(images[0], tmp_path / "t", preset="wav2lip96", rects=rects)
    assert [p.name for p in tmp_path.iterdir()] == ["images"]


@pytest.mark.parametrize("count", [29, 31])
def test_rects_of_another_count_than_the_video(video, tmp_path, count):
    rects = [[1, 2, 30, 30]] * count
    with pytest.raises(InputError, match=f"each of the 30 frames of .* got {count}"):
        prepare(video, tmp_path / "t", preset="wav2lip96", rects=rects)
    assert [p.name for p in tmp_path.iterdir()] == ["video.mp4"]


def test_rects_over_the_edge_are_told(images, tmp_path, caplog):
    prepare(images[0], tmp_path / "t", preset="wav2lip96", rects="90,50,30,30").close()
    assert "1 of 1 rects reach over the edge" in caplog.text


@pytest.mark.parametrize(
    ("preset", "options", "message"),
    [
        ("wav2lip96", {}, "give rects"),
        ("wav2lip96", {"rects": "1,2,3,4", "faces": YUNET}, "not both"),
        ("wav2lip96", {"rects": "1,2,3,4", "faces": FaceOptions(landmarks="m.onnx")},
         "landmarks are for found rects and for masks"),
        ("wav2lip96", {"rects": "1,2,3,4", "faces": FaceOptions(smooth="steady")},
         "leave out smooth='steady'"),
        ("wav2lip96", {"rects": "1,2,3,4", "options": TemplateOptions(feather="soft")},
         "feather must be auto"),
        ("wav2lip96", {"rects": "1,2,3,4", "fps": 0}, "fps"),
        ("synctalk328", {"rects": "1,2,3,4", "fps": 30}, "needs 25 frames a second"),
        ("synctalk328", {"faces": YUNET}, "give landmarks"),
        ("liteavatar384", {"faces": YUNET}, "278,355,419,289"),
        ("wav2lip97", {"rects": "1,2,3,4"}, "preset"),
    ],
)  # fmt: skip
def test_arguments_that_do_not_fit(images, tmp_path, preset, options, message):
    with pytest.raises(InputError, match=message):
        prepare(images[0], tmp_path / "t", preset=preset, **options)
    assert [p.name for p in tmp_path.iterdir()] == ["images"]


@pytest.mark.parametrize("options", [{"faces": "d.onnx"}, {"options": ("jpeg",)}])
def test_options_of_another_type(images, tmp_path, options):
    wanted = rf"{next(iter(options))} must be of type \w+Options"
    with pytest.raises(ArgumentTypeError, match=wanted):
        prepare(images[0], tmp_path / "t", preset="wav2lip96", rects="1,2,3,4", **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"masks": False}, "masks must be one of source"),
        ({"masks": "landmarks"}, "need both a detector"),
        ({"masks": "landmarks", "detector": "d.onnx"}, "need both a detector"),
        ({"detector": "d.onnx", "smooth": "much"}, "smooth must be one of"),
    ],
)
def test_face_options_that_do_not_fit(options, message):
    with pytest.raises(InputError, match=message):
        FaceOptions(**options)


def test_sources_that_cannot_be_read(images, tmp_path):
    options = {"preset": "wav2lip96", "rects": "1,2,3,4"}
    with pytest.raises(FileMissingError, match="nowhere"):
        prepare(tmp_path / "nowhere.mp4", tmp_path / "t", **options)
    (tmp_path / "empty").mkdir()
    with pytest.raises(MediaError, match=r"must hold images, \.jpg, "):
        prepare(tmp_path / "empty", tmp_path / "t", **options)
    (images[0] / "5.png").write_bytes(b"not a picture")
    with pytest.raises(MediaError, match=r"5\.png"):
        prepare(images[0], tmp_path / "t", **options)
    Image.new("RGB", (WIDTH + 1, HEIGHT)).save(images[0] / "5.png")
    with pytest.raises(MediaError, match=r"5\.png is 97.64, but 0\.png is 96.64"):
        prepare(images[0], tmp_path / "t", **options)
    assert not (tmp_path / "t").exists()
    assert left_behind(tmp_path) == []


def test_a_text_cannot_be_read_as_a_video(tmp_path):
    pytest.importorskip("av")
    (tmp_path / "video.mp4").write_text("not a video")
    with pytest.raises(MediaError, match=r"video\.mp4"):
        prepare(tmp_path / "video.mp4", tmp_path / "t", preset="wav2lip96", rects="1,2,3,4")


def test_targets_that_cannot_be_written(images, tmp_path):
    options = {"preset": "wav2lip96", "rects": "1,2,30,30"}
    with pytest.raises(InputError, match="other files"):
        prepare(images[0], images[0], **options)
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="is a file"):
        prepare(images[0], tmp_path / "file", **options)
    with pytest.raises(TemplateError, match="cannot be written"):
        prepare(images[0], tmp_path / "file" / "t", **options)


def test_a_full_disk(images, tmp_path):
    """A limit on the size of files stands in for a disk that fills up while writing."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    options = {"preset": "wav2lip96", "rects": "1,2,30,30", "options": PIXELS}
    resource.setrlimit(resource.RLIMIT_FSIZE, (5 * WIDTH * HEIGHT * 3, hard))
    try:
        with pytest.raises(TemplateError, match="t cannot be written"):
            prepare(images[0], tmp_path / "t", **options)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [p.name for p in tmp_path.iterdir()] == ["images"]


@pytest.mark.assets
def test_liteavatar_with_its_rect(assets, tmp_path):
    pytest.importorskip("av")
    source = assets / "video" / "liteavatar_890x1920_30fps.mp4"
    with prepare(
        source,
        tmp_path / "t",
        preset="liteavatar384",
        rects="278,355,419,289",
        options=TemplateOptions(store=("i420",)),
    ) as template:
        assert (template.count, template.fps) == (150, 30)
        assert (template.rects == [278, 355, 419, 289]).all()
        picture = template.bgr24(75)[355 : 355 + 289, 278 : 278 + 419]
        expected = np.asarray(
            Image.fromarray(picture).resize((384, 384), Image.Resampling.BILINEAR), int
        )
        assert np.abs(template.crops[75].astype(int) - expected).mean() < 2
        assert template.mask(75).shape == (289, 419)
