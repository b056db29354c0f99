"""Damaged and foreign files of a template: each is named when it is opened, before C reads it."""

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from tests.templates.test_template import write

from lipsync_fast.errors import TemplateError
from lipsync_fast.templates import Template

FILES = [
    "rects.npy", "crops.npy", "i420.npy", "jpeg.bin", "jpeg_offsets.npy", "jpeg_segments.npy",
    "regions.bin", "regions.npy", "regions_offsets.npy", "masks.bin", "masks.npy",
]  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_or_missing_file_is_named(tmp_path, name):
    path = write(tmp_path / "t", "wav2lip384")
    size = (path / name).stat().st_size
    os.truncate(path / name, size - 1)
    with pytest.raises(TemplateError, match=name):
        Template.open(path)
    (path / name).unlink()
    with pytest.raises(TemplateError, match=name):
        Template.open(path)


@pytest.mark.parametrize("name", ["template.json", *FILES])
def test_a_file_that_may_not_be_read_is_not_called_damaged(tmp_path, name, monkeypatch):
    """The superuser may read all, so the system's refusal is played."""
    path = write(tmp_path / "t", "wav2lip384")
    whole = io.open

    def refusing(file, *arguments, **named):
        if not isinstance(file, int) and Path(file).name == name:
            raise PermissionError(13, "Permission denied", str(file))
        return whole(file, *arguments, **named)

    monkeypatch.setattr(io, "open", refusing)  # pathlib's
    monkeypatch.setattr("builtins.open", refusing)
    said = f"{path / name} cannot be read: Permission denied"
    for load in (False, True):
        with pytest.raises(TemplateError) as caught:
            Template.open(path, load=load)
        assert str(caught.value) == said


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_lies_is_refused(tmp_path, name):
    """Other bytes of the right length: caught, or harmless pixels."""
    path = write(tmp_path / "t", "wav2lip384")
    size = (path / name).stat().st_size
    (path / name).write_bytes(b"\x7f" * size)
    if name in ("jpeg.bin", "regions.bin", "masks.bin"):
        with Template.open(path) as template:
            assert template.count == 4
    else:
        with pytest.raises(TemplateError):
            Template.open(path)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2}, {"files": None}, {"files": {"../x": 1}}, {"preset": "nobody"},
        {"width": 10**9}, {"width": "wide"}, {"count": 5}, {"count": 0}, {"fps": "fast"},
        {"loop": "zigzag"}, {"loop": None}, {"start": None}, {"start": -1}, {"matrix": "bt2020"},
        {"store": []}, {"jpeg": {"colour": 1}}, {"store": ["bgr24"]},
    ],
)  # fmt: skip
def test_a_wrong_head_is_refused(tmp_path, change):
    path = write(tmp_path / "t")
    head = json.loads((path / "template.json").read_text())
    (path / "template.json").write_text(json.dumps(head | change))
    with pytest.raises(TemplateError):
        Template.open(path)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\x00"])
def test_a_head_that_is_no_json_is_refused(tmp_path, text):
    path = write(tmp_path / "t")
    (path / "template.json").write_text(text)
    with pytest.raises(TemplateError, match=r"template\.json"):
        Template.open(path)


def rewrite(path, name, array):
    """Put another array in the place of one of a template's, and state its size."""
    np.save(path / name, array)
    head = json.loads((path / "template.json").read_text())
    head["files"][name] = (path / name).stat().st_size
    (path / "template.json").write_text(json.dumps(head))


ARRAYS = [
    "rects.npy", "crops.npy", "i420.npy", "bgr24.npy", "jpeg_offsets.npy", "jpeg_segments.npy",
    "regions.npy", "regions_offsets.npy", "masks.npy", "masks_offsets.npy",
]  # fmt: skip


@pytest.mark.parametrize("load", [False, True])
@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_of_another_shape_is_refused(tmp_path, name, load):
    """Everything that C indexes: items too few and too many, too short, too long, of other axes."""
    path = write(tmp_path / "t", "wav2lip384", store=("jpeg", "i420", "bgr24"))
    right = np.load(path / name)
    wrong = [right[:-1], np.concatenate([right, right]), right[None], right.astype(np.int16)]
    wrong.append(right.astype(right.dtype.newbyteorder() if right.itemsize > 1 else np.int8))
    if right.ndim > 1:
        wrong += [right[:, :-1], right[:, :1], np.concatenate([right, right], axis=1)]
        wrong += [right[:, 0], np.asfortranarray(right), right[:0]]
    assert Template.open(path).count == 4
    for array in wrong:
        rewrite(path, name, array)
        with pytest.raises(TemplateError, match=r"prepare it again|prepare the template again"):
            Template.open(path, load=load)
    rewrite(path, name, right)
    assert Template.open(path).count == 4


@pytest.mark.parametrize(
    "change",
    [{"restart_interval": 0}, {"restart_interval": 3}, {"restart_interval": 11},
     {"subsampling": "4:2:2"}, {"subsampling": "4:4:4"}, {"quality": 0}],
)  # fmt: skip
def test_other_jpeg_settings_than_the_files_have_are_refused(tmp_path, change):
    path = write(tmp_path / "t")
    head = json.loads((path / "template.json").read_text())
    head["jpeg"] |= change
    (path / "template.json").write_text(json.dumps(head))
    with pytest.raises(TemplateError, match=r"prepare|restart_interval|quality"):
        Template.open(path)
