"""Which folders a new template may replace: new and empty ones, and templates alone."""

import json
import os
import sys

import numpy as np
import pytest

from lipsync_fast.errors import InputError, LipsyncError
from lipsync_fast.formats import VideoFormat
from lipsync_fast.templates import TemplateOptions, TemplateWriter
from lipsync_fast.templates.layout import check_target


@pytest.fixture
def template(tmp_path):
    """With all that a writer ever writes."""
    path = tmp_path / "anna"
    store = ("jpeg", "i420", "bgr24")
    video, options = VideoFormat(64, 48), TemplateOptions(store=store)
    with TemplateWriter(path, video, preset="wav2lip96", options=options) as writer:
        writer.add(
            (8, 8, 32, 32),
            bgr24=np.full((48, 64, 3), 90, np.uint8),
            mask=np.full((32, 32), 9, np.uint8),
        )
    return path


def test_a_template_may_be_replaced(tmp_path, template):
    assert (template / "masks.bin").exists()
    assert check_target(template) == template.resolve()
    (tmp_path / "empty").mkdir()
    assert check_target(tmp_path / "empty") == (tmp_path / "empty").resolve()
    assert check_target(tmp_path / "a" / "new") == (tmp_path / "a" / "new").resolve()


def test_a_damaged_one_too(template):
    (template / "template.json").write_text('{"format": "lip')
    assert check_target(template) == template.resolve()
    (template / "template.json").unlink()
    assert check_target(template) == template.resolve()


@pytest.mark.parametrize(
    "name", ["film.mp4", "out/00000000.jpg", "net.onnx", "resident-0-1.onnx", ".git/config"]
)
def test_files_of_others_are_not(template, name):
    (template / name).parent.mkdir(exist_ok=True)
    (template / name).write_bytes(b"mine")
    with pytest.raises(InputError, match=f"other files, such as {name.split('/')[0]};"):
        check_target(template)
    assert (template / name).read_bytes() == b"mine"


@pytest.mark.parametrize("text", [json.dumps({"format": "web page"}), "[]", "not json at all"])
def test_another_systems_template_json_is_not(tmp_path, text):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "template.json").write_text(text)
    with pytest.raises(InputError, match=r"such as template\.json;"):
        check_target(tmp_path / "site")


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_a_link_among_its_files_is_not(tmp_path, template):
    (template / "crops.npy").rename(tmp_path / "crops.npy")
    (template / "crops.npy").symlink_to(tmp_path / "crops.npy")
    with pytest.raises(InputError, match=r"such as crops\.npy;"):
        check_target(template)


@pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() == 0, reason="may be written to all the same"
)
def test_a_folder_without_permission_is_not(template):
    for mode in (0o555, 0o000):
        template.chmod(mode)
        try:
            with pytest.raises(LipsyncError, match="cannot be replaced"):
                check_target(template)
        finally:
            template.chmod(0o755)
