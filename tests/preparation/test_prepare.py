"""From a video or images to a template folder, and what can go wrong on the way."""

import json
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from lipsync_fast import kernels
from lipsync_fast.errors import FileMissingError, InputError, MediaError, ModelError, TemplateError
from lipsync_fast.preparation.prepare import prepare
from lipsync_fast.templates.template import Template
from lipsync_fast.timing import Loop

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
    """A film of 30 frames at 30 fps, BT.709, and its planes as they were before encoding."""
    pytest.importorskip("av")
    from lipsync_fast.media import VideoWriter

    path = tmp_path / "film.mp4"
    with VideoWriter(path, WIDTH, HEIGHT, Fraction(30), matrix="bt709") as writer:
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
        store=("bgr24", "jpeg"),
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
        folder / "4.png", tmp_path / "t", preset="wav2lip96", rects="1,2,30,30", store=("bgr24",)
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
        with prepare(
            folder, tmp_path / f"t{quality}", preset="wav2lip96", rects="1,2,30,30",
            quality=quality, loop="pingpong", start=2, store=("jpeg",),
        ) as template:  # fmt: skip
            assert template.loop == Loop("pingpong", 2)
            sizes[quality] = (tmp_path / f"t{quality}" / "jpeg.bin").stat().st_size
    assert sizes[95] > 1.5 * sizes[30]


def test_an_older_template_is_replaced_only_by_a_complete_one(images, tmp_path):
    folder, _ = images
    options = {"preset": "wav2lip96", "store": ("bgr24",)}
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
    assert [p.name for p in tmp_path.iterdir()] == ["film.mp4"]


def test_rects_over_the_edge_are_told(images, tmp_path, caplog):
    prepare(images[0], tmp_path / "t", preset="wav2lip96", rects="90,50,30,30").close()
    assert "1 of 1 rects reach over the edge" in caplog.text


@pytest.mark.parametrize(
    ("preset", "options", "message"),
    [
        ("wav2lip96", {}, "give rects"),
        ("wav2lip96", {"rects": "1,2,3,4", "detector": "d.onnx"}, "not both"),
        ("wav2lip96", {"rects": "1,2,3,4", "masks": False}, "masks must be one of source"),
        ("wav2lip96", {"rects": "1,2,3,4", "masks": "landmarks"}, "need both a detector"),
        ("wav2lip96", {"detector": "d.onnx", "masks": "landmarks"}, "need both a detector"),
        ("wav2lip96", {"rects": "1,2,3,4", "landmarks": "m.onnx"}, "landmarks are for rects that"),
        ("wav2lip96", {"rects": "1,2,3,4", "feather": "soft"}, "feather must be auto"),
        ("wav2lip96", {"rects": "1,2,3,4", "smooth": "steady"}, "leave out smooth"),
        ("wav2lip96", {"detector": "d.onnx", "smooth": "much"}, "smooth must be one of"),
        ("wav2lip96", {"rects": "1,2,3,4", "store": ("png",)}, "store"),
        ("wav2lip96", {"rects": "1,2,3,4", "quality": 0}, "quality"),
        ("wav2lip96", {"rects": "1,2,3,4", "loop": "round"}, "loop"),
        ("wav2lip96", {"rects": "1,2,3,4", "fps": 0}, "fps"),
        ("synctalk328", {"rects": "1,2,3,4", "fps": 30}, "needs 25 frames a second"),
        ("synctalk328", {"detector": "d.onnx"}, "landmarks"),
        ("liteavatar384", {"detector": "d.onnx"}, "278,355,419,289"),
        ("wav2lip97", {"rects": "1,2,3,4"}, "preset"),
    ],
)
def test_arguments_that_do_not_fit(images, tmp_path, preset, options, message):
    with pytest.raises(InputError, match=message):
        prepare(images[0], tmp_path / "t", preset=preset, **options)
    assert [p.name for p in tmp_path.iterdir()] == ["images"]


def test_sources_that_cannot_be_read(images, tmp_path):
    options = {"preset": "wav2lip96", "rects": "1,2,3,4"}
    with pytest.raises(FileMissingError, match="nowhere"):
        prepare(tmp_path / "nowhere.mp4", tmp_path / "t", **options)
    (tmp_path / "empty").mkdir()
    with pytest.raises(MediaError, match="no image"):
        prepare(tmp_path / "empty", tmp_path / "t", **options)
    (images[0] / "5.png").write_bytes(b"not a picture")
    with pytest.raises(MediaError, match=r"5\.png"):
        prepare(images[0], tmp_path / "t", **options)
    Image.new("RGB", (WIDTH + 1, HEIGHT)).save(images[0] / "5.png")
    with pytest.raises(MediaError, match=r"5\.png is 97.64, but 0\.png is 96.64"):
        prepare(images[0], tmp_path / "t", **options)
    assert not (tmp_path / "t").exists()
    assert left_behind(tmp_path) == []


def test_a_text_is_no_video(tmp_path):
    pytest.importorskip("av")
    (tmp_path / "film.mp4").write_text("not a film")
    with pytest.raises(MediaError, match=r"film\.mp4"):
        prepare(tmp_path / "film.mp4", tmp_path / "t", preset="wav2lip96", rects="1,2,3,4")


def test_fps_of_a_video(video, tmp_path):
    with pytest.raises(InputError, match="tells its own"):
        prepare(video, tmp_path / "t", preset="wav2lip96", rects="1,2,3,4", fps=25)


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
    options = {"preset": "wav2lip96", "rects": "1,2,30,30", "store": ("bgr24",)}
    resource.setrlimit(resource.RLIMIT_FSIZE, (5 * WIDTH * HEIGHT * 3, hard))
    try:
        with pytest.raises(TemplateError, match="t cannot be written"):
            prepare(images[0], tmp_path / "t", **options)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [p.name for p in tmp_path.iterdir()] == ["images"]


@pytest.mark.assets
@pytest.mark.parametrize("kind", ["detector", "landmarks"])
def test_nets_that_are_none(images, tmp_path, assets, kind):
    pytest.importorskip("onnxruntime")
    models = assets / "models"
    nets = {
        "detector": models / "yunet_n_dynamic.onnx",
        "landmarks": models / "face_landmarks_478.onnx",
    }
    nets[kind] = models / "liteavatar384.onnx"
    with pytest.raises(ModelError, match="not the"):
        prepare(images[0], tmp_path / "t", preset="synctalk328", **nets)
    nets[kind] = tmp_path / "none.onnx"
    with pytest.raises(FileMissingError):
        prepare(images[0], tmp_path / "t", preset="synctalk328", **nets)


# ---- found rects -----------------------------------------------------------------------------


@pytest.fixture
def nets(assets):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("av")
    models = assets / "models"
    return {
        "detector": models / "yunet_n_dynamic.onnx",
        "landmarks": models / "face_landmarks_478.onnx",
    }


def time_of(path, number):
    """Seconds from the first picture of a file to another, a little early against rounding."""
    av = pytest.importorskip("av")
    with av.open(str(path)) as container:
        times = [
            frame.time
            for frame, _ in zip(container.decode(video=0), range(number + 1), strict=False)
        ]
    return times[number] - times[0] - 1e-3


@pytest.mark.assets
def test_no_face_anywhere(images, tmp_path, nets):
    with pytest.raises(MediaError, match="no face in any of its 12 frames"):
        prepare(images[0], tmp_path / "t", preset="wav2lip96", detector=nets["detector"])
    assert [p.name for p in tmp_path.iterdir()] == ["images"]


@pytest.mark.assets
@pytest.mark.parametrize(("preset", "rate"), [("wav2lip256", None), ("synctalk328", 25)])
def test_face_then_none(assets, nets, tmp_path, preset, rate):
    steps = []
    source = assets / "video" / "face_then_none_vfr.mov"
    with prepare(
        source,
        tmp_path / "t",
        preset=preset,
        store=("i420",),
        progress=lambda done, total: steps.append((done, total)),
        **nets,
    ) as template:
        if rate:
            assert template.fps == rate
        seen = template.rects[:, 2] > 0
        # a face from the start until the 73rd picture of the file comes, then none
        expected = np.arange(template.count) / template.fps < time_of(source, 72)
        np.testing.assert_array_equal(seen, expected)
        assert (template.rects[~seen] == 0).all()
        assert not template.crops[~seen].any()
        assert (template.rects[seen, 2] > 200).all()
        count = template.count
    assert [done for done, _ in steps] == list(range(1, 2 * count + 1))
    assert steps[-1] == (2 * count, 2 * count)


@pytest.mark.assets
def test_smoothing_is_chosen(assets, nets, tmp_path):
    from lipsync_fast.preparation.faces.detector import FaceDetector

    cut = tmp_path / "cut"
    cut.mkdir()
    av = pytest.importorskip("av")
    with av.open(str(assets / "video" / "face_then_none_vfr.mov")) as container:
        for i, frame in enumerate(container.decode(video=0)):
            if i == 8:
                break
            Image.fromarray(frame.to_ndarray(format="rgb24")).save(
                cut / f"{i}.png", compress_level=1
            )
    detector = FaceDetector(nets["detector"])
    rects = {}
    for smooth in (None, "steady", "reference", "none"):
        with prepare(
            cut, tmp_path / "t", preset="wav2lip96", detector=detector, smooth=smooth,
            store=("jpeg",),
        ) as template:  # fmt: skip
            rects[smooth] = template.rects.copy()
    np.testing.assert_array_equal(rects[None], rects["steady"])
    raw = [detector.detect(np.asarray(Image.open(cut / f"{i}.png"))[..., ::-1])[0] for i in (0, 5)]
    for i, face in zip((0, 5), raw, strict=True):
        x, y, w, h = face[:4]
        corners = np.array([x, y, x + w, y + h + 10]).astype(int)
        expected = [*corners[:2], *(corners[2:] - corners[:2])]
        assert rects["none"][i].tolist() == [int(v) for v in expected]
    corners = rects["none"].copy()
    corners[:, 2:] += corners[:, :2]
    mean = corners[2:7].mean(axis=0).astype(int)
    assert rects["reference"][2].tolist() == [*mean[:2], *(mean[2:] - mean[:2])]


@pytest.mark.assets
@pytest.mark.parametrize("given", [True, False])
def test_masks_from_landmarks(assets, nets, tmp_path, given):
    """Beside given rects as well as beside found ones; in the template, one for each frame."""
    from lipsync_fast.cli.main import main
    from lipsync_fast.preparation.faces.detector import FaceDetector

    cut = tmp_path / "cut"
    cut.mkdir()
    av = pytest.importorskip("av")
    with av.open(str(assets / "video" / "face_then_none_vfr.mov")) as container:
        for i, frame in zip(range(8), container.decode(video=0), strict=False):
            Image.fromarray(frame.to_ndarray(format="rgb24")).save(
                cut / f"{i}.png", compress_level=1
            )
    detector = FaceDetector(nets["detector"])
    faces = [
        detector.detect(np.asarray(Image.open(cut / f"{i}.png"))[..., ::-1])[0] for i in range(8)
    ]
    x, y, w, h = (int(v) for v in faces[0][:4])
    rects = [[x - 20, y - 10, w + 40, h + 30]] * 8
    rects[5] = [0, 0, 0, 0]
    if given:
        options = {"preset": "wav2lip96", "masks": "landmarks", "store": ("jpeg",), **nets}
        prepare(cut, tmp_path / "t", rects=rects, **options).close()
    else:
        arguments = ["prepare", cut, tmp_path / "t", "--preset", "synctalk328", "--store", "jpeg"]
        arguments += ["--masks", "landmarks", "--feather", "ellipse", "--quiet"]
        arguments += ["--detector", nets["detector"], "--landmarks", nets["landmarks"]]
        assert main([str(a) for a in arguments]) == 0
    with Template.open(tmp_path / "t") as template:
        if given:
            assert template.rects.tolist() == rects
        assert template.preset.edge == "ellipse"
        masks = [template.mask(i) for i in range(8)]
        for i, face in enumerate(faces):
            x, y, w, h = template.rects[i]
            if w == 0:
                assert given
                assert masks[i] is None
                continue
            assert masks[i].shape == (h, w)
            for corner in face[10:14].reshape(2, 2) - (x, y):
                assert masks[i][int(corner[1]), int(corner[0])] == 255
            eyes = face[4:8].reshape(2, 2) - (x, y)
            assert all(v < 0 or masks[i][int(v), int(u)] == 0 for u, v in eyes)
            assert not masks[i][[0, -1]].any()
        if given:  # the rect stands still, the face moves in it and does not tremble
            rows, columns = np.mgrid[:h, :w]
            middles = [[(mask * axis).sum() / mask.sum(dtype=float) for axis in (columns, rows)]
                       for mask in np.array(masks[:5], float)]  # fmt: skip
            assert np.abs(np.diff(middles, 2, axis=0)).max() < 0.5


@pytest.mark.assets
def test_masks_from_landmarks_need_a_face(images, tmp_path, nets):
    options = {"preset": "wav2lip96", "masks": "landmarks", "rects": "1,2,30,30"}
    with pytest.raises(MediaError, match=r"no face whose mouth lies in the given rects in any"):
        prepare(images[0], tmp_path / "t", **options, **nets)
    assert [p.name for p in tmp_path.iterdir()] == ["images"]


@pytest.mark.assets
def test_liteavatar_with_its_rect(assets, tmp_path):
    pytest.importorskip("av")
    source = assets / "video" / "liteavatar_890x1920_30fps.mp4"
    with prepare(
        source, tmp_path / "t", preset="liteavatar384", rects="278,355,419,289", store=("i420",)
    ) as template:
        assert (template.count, template.fps) == (150, 30)
        assert (template.rects == [278, 355, 419, 289]).all()
        picture = template.bgr24(75)[355 : 355 + 289, 278 : 278 + 419]
        expected = np.asarray(
            Image.fromarray(picture).resize((384, 384), Image.Resampling.BILINEAR), int
        )
        assert np.abs(template.crops[75].astype(int) - expected).mean() < 2
        assert template.mask(75).shape == (289, 419)
