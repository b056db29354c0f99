"""A face that walks out of the picture: what `prepare` makes of it, with a made-up detector."""

import logging

import numpy as np
import pytest
from PIL import Image

from lipsync_fast.preparation import FaceDetector, FaceOptions, prepare
from lipsync_fast.templates import TemplateOptions

WIDTH, HEIGHT, SIDE, COUNT = 320, 200, 90, 25


class KnownFaces(FaceDetector):
    """Finds what it was told, one list of boxes x, y, w, h a picture."""

    def __init__(self, places):
        self.places = iter(places)

    def detect(self, image, threshold=0.6, overlap=0.3):
        found = np.zeros((0, 15), np.float32)
        for x, y, w, h in next(self.places):
            face = np.zeros((1, 15), np.float32)
            face[0, :4] = x, y, w, h
            face[0, 4:14:2] = x + w / 2
            face[0, 5:14:2] = y + h / 2
            face[0, 14] = 0.95
            found = np.concatenate([found, face])
        return found


def walking(folder):
    """Pictures of a disc that walks out at the right, and its boxes, padded as Wav2Lip does."""
    folder.mkdir()
    y, x = np.ogrid[:HEIGHT, :WIDTH]
    places = []
    for i in range(COUNT):
        left = 100 + 8 * i
        disc = np.hypot(x - left - SIDE / 2, y - 60 - SIDE / 2) < SIDE / 2
        picture = np.where(disc[..., None], (200, 150, 120), (40, 60, 80)).astype(np.uint8)
        Image.fromarray(picture).save(folder / f"{i}.png")
        places.append([(left, 60, SIDE, SIDE - 10)])
    return places


@pytest.mark.parametrize("smooth", ["steady", "none", "reference"])
def test_a_face_that_leaves_is_never_blown_up(tmp_path, caplog, smooth):
    places = walking(tmp_path / "images")
    left = np.array([place[0][0] for place in places])
    inside = np.minimum(WIDTH - left, SIDE)
    faces = FaceOptions(KnownFaces(places), smooth=smooth)
    with (
        caplog.at_level(logging.WARNING),
        prepare(
            tmp_path / "images",
            tmp_path / "t",
            preset="wav2lip96",
            faces=faces,
            options=TemplateOptions(store=("bgr24",)),
        ) as template,
    ):
        seen = template.rects[:, 2] > 0
        np.testing.assert_array_equal(seen, 3 * inside >= 2 * SIDE)
        assert (template.rects[seen, 0] + template.rects[seen, 2] <= WIDTH).all()
        if smooth != "reference":
            assert (template.whole_rects[seen, 2:] == SIDE).all()
            for crop in template.crops[seen]:  # the disc is as wide as it is at first
                columns = (crop[48, :, 0] < 160) & (crop[48, :, 2] > 140)
                assert 90 <= columns.sum() <= 96
    gone = COUNT - seen.sum()
    assert f"in {gone} frames more than a third of the face lies outside" in caplog.text
