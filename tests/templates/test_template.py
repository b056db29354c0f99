"""Templates in memory and on disk: what is written is what is read, damage is noticed."""

import gc
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lipsync_fast import kernels
from lipsync_fast.errors import (
    ArgumentTypeError,
    FileMissingError,
    InputError,
    LayoutError,
    TemplateError,
)
from lipsync_fast.files import part, untrusted
from lipsync_fast.formats import VideoFormat
from lipsync_fast.presets import get_preset
from lipsync_fast.templates import JpegSettings, Template, TemplateOptions, TemplateWriter
from lipsync_fast.templates import reader as reader_module
from lipsync_fast.templates import writer as writer_module
from lipsync_fast.templates.crops import cut_crop
from lipsync_fast.templates.masks import edge_mask
from lipsync_fast.templates.rects import clip_rects
from lipsync_fast.timing import Loop

WIDTH, HEIGHT = 176, 99
VIDEO, SMALL = VideoFormat(WIDTH, HEIGHT), VideoFormat(10, 10)
RECTS = [(20, 10, 60, 60), (0, 0, 0, 0), (-10, 50, 60, 80), (21, 10, 60, 60)]


def frames(count=4, width=WIDTH, height=HEIGHT):
    rng = np.random.default_rng(1)
    base = np.linspace(0, 200, width)[None, :, None] + np.linspace(0, 50, height)[:, None, None]
    return [
        np.clip(base + 5 * i + rng.normal(0, 3, (height, width, 3)), 0, 255).astype(np.uint8)
        for i in range(count)
    ]


def write(path, preset="synctalk328", video=VIDEO, **options):
    options = TemplateOptions(**options)
    with TemplateWriter(path, video, preset=preset, options=options) as writer:
        rects = clip_rects(RECTS, len(RECTS), WIDTH, HEIGHT)
        for rect, frame in zip(rects.tolist(), frames(), strict=True):
            writer.add(rect, bgr24=frame)
    return path


@pytest.mark.parametrize("load", [False, True])
@pytest.mark.parametrize("preset", ["synctalk328", "wav2lip96", "wav2lip384"])
def test_folder_equals_arrays(tmp_path, preset, load):
    video = VideoFormat(WIDTH, HEIGHT, "30000/1001")
    path = write(tmp_path / "anna", preset, video, store=("jpeg", "i420", "bgr24"))
    memory = Template.from_arrays(frames(), RECTS, preset=preset, fps="30000/1001")
    with Template.open(path, load=load) as disk:
        assert (disk.count, disk.width, disk.height) == (4, WIDTH, HEIGHT)
        assert disk.video == memory.video == video
        assert disk.fps == memory.fps == Fraction(30000, 1001)
        assert disk.preset == memory.preset
        assert disk.loop == memory.loop == disk.preset.default_loop
        assert np.array_equal(disk.rects, memory.rects)
        assert np.array_equal(disk.crops, memory.crops)
        for i in range(4):
            assert np.array_equal(disk.bgr24(i), memory.bgr24(i))
            assert np.array_equal(disk.i420(i), memory.i420(i))
            one, other = disk.mask(i), memory.mask(i)
            assert (one is None) == (other is None)
            assert one is None or np.array_equal(one, other)
            assert np.array_equal(disk.visual(i), memory.visual(i))
        assert disk.jpeg_settings == memory.jpeg_settings
        for i in range(4):
            stored, made = disk.jpeg(i), memory.jpeg(i)
            assert stored.box == made.box
            for name in ("file", "segments", "region"):
                assert np.array_equal(getattr(stored, name), getattr(made, name))


def test_rects_are_clipped_and_crops_are_cut_from_the_clipped_rect():
    template = Template.from_arrays(frames(), RECTS, preset="synctalk328")
    assert template.rects.tolist() == [
        [20, 10, 60, 60], [0, 0, 0, 0], [0, 50, 50, 49], [21, 10, 60, 60],
    ]  # fmt: skip
    assert not template.has_face(1)
    assert (template.crops[1] == 0).all()
    want = cut_crop(template.bgr24(2)[50:99, 0:50], (0, 0, 50, 49), template.preset)
    assert np.array_equal(template.crops[2], want)


def test_the_smaller_alpha_of_mask_and_edge_is_stored(tmp_path):
    own = np.full((60, 60), 99, np.uint8)
    edge = edge_mask("ramp", 60, 60)
    with TemplateWriter(tmp_path / "t", VIDEO, preset="wav2lip384") as writer:
        writer.add(RECTS[0], bgr24=frames(1)[0], mask=own)
    with Template.open(tmp_path / "t") as template:
        assert np.array_equal(template.mask(0), np.minimum(own, edge))
    feathered = TemplateOptions(feather="ellipse")
    with TemplateWriter(tmp_path / "t", VIDEO, preset="wav2lip96", options=feathered) as writer:
        writer.add(RECTS[0], bgr24=frames(1)[0])
    with Template.open(tmp_path / "t") as template:
        assert template.preset == get_preset("wav2lip96").with_feather("auto")
        assert np.array_equal(template.mask(0), edge_mask("ellipse", 60, 60, 0.06))


def test_jpeg_files_are_whole_pictures(tmp_path):
    path = write(tmp_path / "t", store=("jpeg",), jpeg=JpegSettings(90, "4:4:4"))
    with Template.open(path) as template:
        assert template.jpeg_settings.quality == 90
        (tmp_path / "one.jpg").write_bytes(bytes(template.jpeg(0).file))
        with Image.open(tmp_path / "one.jpg") as image:
            assert image.size == (WIDTH, HEIGHT)
            decoded = np.asarray(image)[..., ::-1].astype(int)
        assert np.abs(decoded - frames()[0]).mean() < 3
        assert np.array_equal(template.bgr24(0), decoded)


def test_equal_masks_are_stored_once(tmp_path):
    path = write(tmp_path / "t", "wav2lip384")
    sizes = {(60, 60), (50, 49)}
    assert (path / "masks.bin").stat().st_size == sum(w * h for w, h in sizes)


def test_i420_backgrounds_are_kept_as_given(tmp_path):
    rng = np.random.default_rng(2)
    planes = rng.integers(0, 256, kernels.i420_size(WIDTH, HEIGHT), np.uint8)
    video = VideoFormat(WIDTH, HEIGHT, matrix="bt709", full_range=True, tagged=True)
    with TemplateWriter(tmp_path / "t", video, preset="wav2lip96") as w:
        w.add(RECTS[0], i420=planes)
    with Template.open(tmp_path / "t") as template:
        assert np.array_equal(template.i420(0), planes)
        assert template.video == video
        assert (template.matrix, template.full_range, template.tagged) == ("bt709", True, True)


def test_another_order_of_the_same_person(tmp_path):
    with Template.open(write(tmp_path / "anna", loop=Loop("forward", 2))) as anna:
        assert anna.indices(0, 6).tolist() == [2, 3, 0, 1, 2, 3]
        assert anna.looped() is anna
        held = anna.looped("still")
        assert held.indices(5, 3).tolist() == [2, 2, 2]
        assert anna.looped(Loop("still", 1)).indices(0, 2).tolist() == [1, 1]
        assert anna.looped(Loop(start=0)).indices(0, 5).tolist() == [0, 1, 2, 3, 0]
        assert held.crops is anna.crops
        assert anna.loop == Loop("forward", 2)
        for order in [("zigzag", 0), ("still", 4), (None, -1)]:
            with pytest.raises(InputError, match=r"loop must be|start must be"):
                anna.looped(Loop(*order))
        with Template.open(anna.folder, loop="still") as other:
            assert other.loop == Loop("still", 2)


def test_bad_starts_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(InputError, match="start must be"):
        write(tmp_path / "anna", loop=Loop(start=-1))
    with pytest.raises(InputError, match="start must be"):
        Template.from_arrays(frames(), RECTS, preset="wav2lip96", loop=Loop(start=1.5))
    assert list(tmp_path.iterdir()) == []


def test_views_outlive_the_template(tmp_path):
    template = Template.open(write(tmp_path / "t"))
    crop, background = template.crops[0], template.i420(0)
    before = crop.copy(), background.copy()
    template.close()
    assert np.array_equal(crop, before[0])
    assert np.array_equal(background, before[1])
    with pytest.raises(TemplateError, match="closed"):
        template.bgr24(0)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="Linux lists its mappings")
def test_close_unmaps_the_files(tmp_path):
    path = write(tmp_path / "t", "wav2lip384", store=("jpeg", "i420", "bgr24"))
    with Template.open(path) as template:
        assert str(path) in Path("/proc/self/maps").read_text()
    gc.collect()
    assert str(path) not in Path("/proc/self/maps").read_text()
    assert template.count == 4


def test_an_older_template_is_replaced_only_when_the_new_one_is_complete(tmp_path):
    path = write(tmp_path / "t")
    with pytest.raises(KeyError), TemplateWriter(path, SMALL, preset="wav2lip96"):
        raise KeyError("stop")
    assert [p.name for p in tmp_path.iterdir()] == ["t"]
    with Template.open(path) as template:
        assert template.count == 4
    with TemplateWriter(path, VIDEO, preset="wav2lip96") as writer:
        writer.add(RECTS[0], bgr24=frames(1)[0])
    assert [p.name for p in tmp_path.iterdir()] == ["t"]
    with Template.open(path) as template:
        assert template.count == 1


def test_a_folder_with_other_files_is_not_replaced(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.png").write_bytes(b"x")
    with pytest.raises(InputError, match="other files"):
        TemplateWriter(tmp_path / "photos", SMALL, preset="wav2lip96")
    with pytest.raises(InputError, match="is a file"):
        TemplateWriter(tmp_path / "photos" / "one.png", SMALL, preset="wav2lip96")
    with (
        pytest.raises(InputError, match="one frame"),
        TemplateWriter(tmp_path / "t", SMALL, preset="wav2lip96"),
    ):
        pass
    assert not (tmp_path / "t").exists()


def one_frame(path):
    with TemplateWriter(path, VIDEO, preset="wav2lip96") as writer:
        writer.add(RECTS[0], bgr24=frames(1)[0])
    return path


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_a_template_behind_a_link_is_replaced_there(tmp_path):
    real = one_frame(tmp_path / "real")
    (real / "crops.npy").unlink()
    (tmp_path / "link").symlink_to("real")
    one_frame(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link", "real"]
    with Template.open(real) as template:
        assert template.count == 1


def test_folders_that_were_made_for_a_template_go_with_it(tmp_path):
    for place in ("a/b/t", "mine/b/t"):
        (tmp_path / "mine").mkdir(exist_ok=True)
        with (
            pytest.raises(InputError, match="one frame"),
            TemplateWriter(tmp_path / place, SMALL, preset="wav2lip96"),
        ):
            pass
        assert [p.name for p in tmp_path.rglob("*")] == ["mine"]


def test_what_is_put_into_a_template_while_it_is_made_anew_stays(tmp_path):
    path = one_frame(tmp_path / "t")
    before = {p.name: p.read_bytes() for p in path.iterdir()}
    writer = TemplateWriter(path, VIDEO, preset="wav2lip96")
    writer.add(RECTS[1], bgr24=frames(1)[0])
    (path / "film.mp4").write_bytes(b"mine")
    with pytest.raises(InputError, match=r"such as film\.mp4;"):
        writer.close()
    assert {p.name: p.read_bytes() for p in path.iterdir()} == before | {"film.mp4": b"mine"}
    assert list(tmp_path.iterdir()) == [path]


def test_a_closed_writer_does_nothing_more(tmp_path):
    with TemplateWriter(tmp_path / "t", VIDEO, preset="wav2lip96") as writer:
        writer.add(RECTS[0], bgr24=frames(1)[0])
        writer.close()
        with pytest.raises(InputError, match="t is closed"):
            writer.add(RECTS[0], bgr24=frames(1)[0])
    writer.abort()
    assert Template.open(tmp_path / "t").count == 1
    with TemplateWriter(tmp_path / "other", VIDEO, preset="wav2lip96") as writer:
        writer.add(RECTS[0], bgr24=frames(1)[0])
        writer.abort()
    assert [p.name for p in tmp_path.iterdir()] == ["t"]


def test_no_template(tmp_path):
    with pytest.raises(FileMissingError, match="no such template"):
        Template.open(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError):
        Template.open(tmp_path / "nothing")
    with pytest.raises(TemplateError, match="name a folder that prepare made"):
        Template.open(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(TemplateError, match="file is a file; name a template"):
        Template.open(tmp_path / "file")


@pytest.mark.parametrize(
    ("made", "rects", "error", "says"),
    [
        (5, [], ArgumentTypeError, "sequence of arrays, got int"),
        ([], [], InputError, "at least one"),
        ([np.zeros((9, 9, 3))], RECTS[:1], LayoutError, "uint8"),
        ([np.zeros((9, 9), np.uint8)], RECTS[:1], InputError, r"\(H, W, 3\)"),
        ([np.zeros((9, 9, 6), np.uint8)[..., ::2]], [(1, 1, 5, 5)], LayoutError, "packed"),
        (frames(2)[:1] + frames(1, 64, 99), RECTS[0], InputError, "frame 1"),
        (frames(1), [(500, 10, 20, 20)], InputError, "area inside"),
        (frames(1), [(5, 10, 0, 20)], InputError, "area inside"),
        (frames(1), [(5, 10, -3, 20)], InputError, "area inside"),
        (frames(1), [(5, 10, 20)], InputError, "x, y, w, h"),
        (frames(1), [(5.5, 10, 20, 20)], InputError, "integers"),
        (frames(2), [(5, 10, 20, 20)], InputError, "2 rows"),
        (frames(2), [(5, 10, 20, 20), (5, 10)], InputError, "rects must be rows of one length"),
    ],
)
def test_bad_arrays(made, rects, error, says):
    with pytest.raises(error, match=says):
        Template.from_arrays(made, rects, preset="wav2lip96")


def test_what_is_of_another_type_is_named(tmp_path):
    for options, error, says in [
        ({"masks": 5}, ArgumentTypeError, "masks must be a sequence of arrays, got int"),
        ({"masks": [[[255]]]}, LayoutError, "mask 0 must be an array of uint8, got list"),
        ({"crops": 5}, ArgumentTypeError, "crops must be of type ndarray, got int"),
    ]:
        with pytest.raises(error, match=says):
            Template.from_arrays(frames(1), [(5, 5, 20, 20)], preset="wav2lip96", **options)
    with pytest.raises(ArgumentTypeError, match="path of a template must be of type str or Path"):
        Template.open(None)
    for store in (5, "jpeg", None):
        with pytest.raises(ArgumentTypeError, match="store must be of type tuple or list, got"):
            TemplateOptions(store=store)
    with pytest.raises(InputError, match=r"store must name some of .*, got '5'"):
        TemplateOptions(store=[5])


def test_bad_options(tmp_path):
    one = frames(1)
    for options, says in [
        ({"preset": "nobody"}, "preset"),
        ({"fps": 0}, "fps"),
        ({"loop": "zigzag"}, "loop"),
        ({"crops": np.zeros((1, 9, 9, 3), np.uint8)}, "crops"),
        ({"masks": []}, "masks"),
        ({"masks": [np.zeros((3, 3), np.uint8)]}, "mask 0"),
    ]:
        with pytest.raises(InputError, match=says):
            Template.from_arrays(one, RECTS[:1], **({"preset": "wav2lip96"} | options))
    with pytest.raises(InputError, match="store"):
        TemplateOptions(store=("gif",))
    with pytest.raises(InputError, match="feather must be"):
        TemplateWriter(
            tmp_path / "t", VIDEO, preset="wav2lip96", options=TemplateOptions(feather="soft")
        )
    with pytest.raises(ArgumentTypeError, match="video must be of type VideoFormat, got tuple"):
        TemplateWriter(tmp_path / "t", (WIDTH, HEIGHT), preset="wav2lip96")
    assert list(tmp_path.iterdir()) == []
    with TemplateWriter(tmp_path / "t", VIDEO, preset="wav2lip96") as writer:
        with pytest.raises(InputError, match="background"):
            writer.add(RECTS[0])
        for wrong in (frames(1, 64, 99)[0], np.zeros((HEIGHT, WIDTH, 4), np.uint8), one[0][..., 0]):
            with pytest.raises(InputError) as caught:
                writer.add(RECTS[0], bgr24=wrong)
            needed = f"shape ({HEIGHT}, {WIDTH}, 3) of the others, got {wrong.shape}"
            assert needed in str(caught.value)
        with pytest.raises(InputError, match=r"rect 0 must lie inside .*got .* = -10, 50, 60, 80"):
            writer.add(RECTS[2], bgr24=one[0])
        writer.add(RECTS[0], bgr24=one[0])


def test_a_picture_in_place_of_a_list_of_them():
    with pytest.raises(
        InputError, match=r"frame 0 must have the shape \(H, W, 3\), got \("
    ) as caught:
        Template.from_arrays(frames(1)[0], RECTS[0], preset="wav2lip96")
    assert str(caught.value).endswith(f"got ({WIDTH}, 3); put one picture into a list")


def test_one_rect_serves_all_frames():
    template = Template.from_arrays(np.stack(frames()), RECTS[0], preset="wav2lip96")
    assert (template.rects == RECTS[0]).all()
    assert len(template) == 4
    assert "wav2lip96" in repr(template)


PIXELS = TemplateOptions(store=("bgr24",))


def write_interrupted(path, moment):
    """Write a template; an interrupt comes with the line `moment` of the writer or its folder.

    Returns whether it was raised.
    """
    count, files = 0, (part.__file__, writer_module.__file__)

    def trace(frame, event, _):
        nonlocal count
        if frame.f_code.co_filename not in files:
            return None
        if event == "line":
            count += 1
            if count == moment:
                sys.settrace(None)
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    try:
        sys.settrace(trace)
        with TemplateWriter(path, SMALL, preset="wav2lip96", options=PIXELS) as writer:
            writer.add((1, 1, 8, 8), bgr24=np.zeros((10, 10, 3), np.uint8))
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


# An interrupt in a constructor leaves its file to the garbage collector.
@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
def test_an_interrupt_of_any_line_leaves_a_whole_template_and_nothing_else(tmp_path):
    path = write(tmp_path / "t", "wav2lip96", store=("bgr24",))
    moment, interrupted = 0, True
    gc.freeze()  # what other tests left is not looked through hundreds of times
    try:
        while interrupted:
            moment += 1
            interrupted = write_interrupted(path, moment)
            gc.collect()
            assert list(tmp_path.iterdir()) == [path], moment
            Template.open(path).close()
    finally:
        gc.unfreeze()
    assert moment > 100


def film(path, level):
    """A template of two frames of one level, whose JPEG files have the same sizes in any."""
    with TemplateWriter(path, SMALL, preset="wav2lip96") as writer:
        for _ in range(2):
            writer.add((1, 1, 8, 8), bgr24=np.full((10, 10, 3), level, np.uint8))
    return path


class Replacing:
    """Replaces a template just before the reader looks at a file for the given time."""

    def __init__(self, path, moment):
        self.path, self.moment, self.count = path, moment, 0
        self.stat, self.open = Path.stat, untrusted.open_plain

    def patch(self, monkeypatch):
        monkeypatch.setattr(Path, "stat", lambda path, **n: self.look(path) or self.stat(path, **n))
        monkeypatch.setattr(untrusted, "open_plain", lambda p: self.look(p) or self.open(p))
        monkeypatch.setattr(reader_module, "plain_text", untrusted.plain_text)

    def look(self, path):
        if path.parent == self.path:
            self.count += 1
            if self.count == self.moment:
                film(self.path, 200)


@pytest.mark.parametrize("load", [False, True])
def test_a_folder_that_is_replaced_while_it_is_opened_is_never_mixed(tmp_path, monkeypatch, load):
    path, moment, replaced = tmp_path / "t", 0, True
    while replaced:
        film(path, 20)
        moment += 1
        replacing = Replacing(path, moment)
        with monkeypatch.context() as patched:
            replacing.patch(patched)
            template = Template.open(path, load=load)
        replaced = replacing.count >= moment
        with template:
            level = int(template.crops[0, 0, 0, 0])
            assert level == (200 if replaced else 20)
            assert (template.crops == level).all()
            assert (template.i420(0)[:100] == template.i420(1)[:100]).all()
            assert abs(int(template.bgr24(0)[5, 5, 0]) - level) < 9
            if not load:
                np.testing.assert_array_equal(template.private("i420")[0], template.i420(0))
    assert moment > 20


def test_a_folder_that_never_rests_is_named(tmp_path, monkeypatch):
    path = film(tmp_path / "t", 20)
    whole = reader_module._read_once

    def busy(folder, load):
        film(path, 200)
        return whole(folder, load)

    monkeypatch.setattr(reader_module, "_read_once", busy)
    monkeypatch.setattr(reader_module, "_TRIES", 3)
    with pytest.raises(TemplateError, match="replaced again and again"):
        Template.open(path)
