"""From a source to a template with a detector and landmarks: rects and masks of real people."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from lipsync_fast.errors import FileMissingError, MediaError, ModelError
from lipsync_fast.preparation import FaceDetector, FaceOptions, prepare
from lipsync_fast.templates import Template, TemplateOptions

SMALL = TemplateOptions(store=("jpeg",))


@pytest.fixture
def models(assets):
    """Options with both models."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("av")
    folder = assets / "models"
    return FaceOptions(folder / "yunet_n_dynamic.onnx", folder / "face_landmarks_478.onnx")


@pytest.fixture
def detector(models):
    return FaceDetector(models.detector)


@pytest.fixture
def blank(tmp_path):
    """Folder of 12 grey images without a face."""
    folder = tmp_path / "blank"
    folder.mkdir()
    for i in range(12):
        Image.new("RGB", (96, 64), (90 + i, 90, 90)).save(folder / f"{i}.png")
    return folder


@pytest.fixture
def cut(assets, tmp_path):
    """Folder of the first 8 pictures of a clip, 0.png … 7.png."""
    folder = tmp_path / "cut"
    folder.mkdir()
    av = pytest.importorskip("av")
    with av.open(str(assets / "video" / "face_then_none_vfr.mov")) as container:
        for i, frame in zip(range(8), container.decode(video=0), strict=False):
            picture = Image.fromarray(frame.to_ndarray(format="rgb24"))
            picture.save(folder / f"{i}.png", compress_level=1)
    return folder


@pytest.mark.assets
@pytest.mark.parametrize("kind", ["detector", "landmarks"])
def test_models_of_another_kind(blank, tmp_path, assets, models, kind):
    other = replace(models, **{kind: assets / "models" / "liteavatar384.onnx"})
    with pytest.raises(ModelError, match="not the"):
        prepare(blank, tmp_path / "t", preset="synctalk328", faces=other)
    missing = replace(models, **{kind: tmp_path / "none.onnx"})
    with pytest.raises(FileMissingError):
        prepare(blank, tmp_path / "t", preset="synctalk328", faces=missing)


# ---- found rects -----------------------------------------------------------------------------


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
def test_no_face_anywhere(blank, tmp_path, models):
    with pytest.raises(MediaError, match="no face in any of its 12 frames"):
        prepare(blank, tmp_path / "t", preset="wav2lip96", faces=models)
    assert [p.name for p in tmp_path.iterdir()] == ["blank"]


@pytest.mark.assets
@pytest.mark.parametrize(("preset", "rate"), [("wav2lip256", None), ("synctalk328", 25)])
def test_face_then_none(assets, models, tmp_path, preset, rate):
    steps = []
    source = assets / "video" / "face_then_none_vfr.mov"
    with prepare(
        source,
        tmp_path / "t",
        preset=preset,
        faces=models,
        options=TemplateOptions(store=("i420",)),
        progress=lambda done, total: steps.append((done, total)),
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
def test_smoothing_is_chosen(cut, detector, tmp_path):
    rects = {}
    for smooth in (None, "steady", "reference", "none"):
        with prepare(
            cut,
            tmp_path / "t",
            preset="wav2lip96",
            faces=FaceOptions(detector, smooth=smooth),
            options=SMALL,
        ) as template:
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


# ---- masks from landmarks --------------------------------------------------------------------


def detected(detector, cut):
    """The first face of each of the 8 images, (15,) each."""
    return [
        detector.detect(np.asarray(Image.open(cut / f"{i}.png"))[..., ::-1])[0] for i in range(8)
    ]


def assert_mask_of_face(mask, rect, face):
    """The mouth shows, the eyes and the upper and lower border do not."""
    x, y, w, h = rect
    assert mask.shape == (h, w)
    for corner in face[10:14].reshape(2, 2) - (x, y):
        assert mask[int(corner[1]), int(corner[0])] == 255
    eyes = face[4:8].reshape(2, 2) - (x, y)
    assert all(v < 0 or mask[int(v), int(u)] == 0 for u, v in eyes)
    assert not mask[[0, -1]].any()


@pytest.mark.assets
def test_masks_from_landmarks_beside_given_rects(cut, models, detector, tmp_path):
    faces = detected(detector, cut)
    x, y, w, h = (int(v) for v in faces[0][:4])
    rect = [x - 20, y - 10, w + 40, h + 30]
    rects = [rect] * 8
    rects[5] = [0, 0, 0, 0]
    masked = replace(models, masks="landmarks")
    with prepare(
        cut, tmp_path / "t", preset="wav2lip96", rects=rects, faces=masked, options=SMALL
    ) as template:
        assert template.rects.tolist() == rects
        assert template.preset.edge == "ellipse"
        masks = [template.mask(i) for i in range(8)]
        assert masks.pop(5) is None
        del faces[5]
        for mask, face in zip(masks, faces, strict=True):
            assert_mask_of_face(mask, rect, face)
        # The rect stands still; the face moves in it and does not tremble.
        rows, columns = np.mgrid[: rect[3], : rect[2]]
        middles = [
            [(mask * axis).sum() / mask.sum(dtype=float) for axis in (columns, rows)]
            for mask in np.array(masks[:5], float)
        ]
        assert np.abs(np.diff(middles, 2, axis=0)).max() < 0.5


@pytest.mark.assets
def test_masks_from_landmarks_beside_found_rects(cut, models, detector, tmp_path):
    from lipsync_fast.cli.main import main

    arguments = ["prepare", cut, tmp_path / "t", "--preset", "synctalk328", "--store", "jpeg"]
    arguments += ["--masks", "landmarks", "--feather", "ellipse", "--quiet"]
    arguments += ["--detector", models.detector, "--landmarks", models.landmarks]
    assert main([str(a) for a in arguments]) == 0
    with Template.open(tmp_path / "t") as template:
        assert template.preset.edge == "ellipse"
        for i, face in enumerate(detected(detector, cut)):
            assert_mask_of_face(template.mask(i), template.rects[i], face)


@pytest.mark.assets
def test_masks_from_landmarks_need_a_face(blank, tmp_path, models):
    masked = replace(models, masks="landmarks")
    with pytest.raises(MediaError, match=r"no face whose mouth lies in the given rects in any"):
        prepare(blank, tmp_path / "t", preset="wav2lip96", rects="1,2,30,30", faces=masked)
    assert [p.name for p in tmp_path.iterdir()] == ["blank"]
