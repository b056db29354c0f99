"""The format of a video: numbers are checked and become exact."""

from fractions import Fraction

import numpy as np
import pytest

from lipsync_fast.errors import InputError
from lipsync_fast.formats import FRAME_FORMATS, PACKED_CHANNELS, VideoFormat


def test_numbers_become_exact():
    video = VideoFormat(np.int64(1920), 1080, "29.97", "bt709", full_range=True, tagged=True)
    assert (type(video.width), video.size) == (int, (1920, 1080))
    assert video.fps == Fraction(30000, 1001)
    assert video == VideoFormat(1920, 1080, Fraction(30000, 1001), "bt709", True, True)


def test_an_untagged_source_is_bt601_and_limited():
    video = VideoFormat(2, 2)
    assert (video.fps, video.matrix) == (25, "bt601")
    assert (video.full_range, video.tagged) == (False, False)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"width": 0}, "width must be a whole number of pixels, 1 to 16777216, got 0"),
        ({"height": 1.5}, "height must be a whole number of pixels"),
        ({"fps": "fast"}, "fps must be a number"),
        ({"fps": 0}, "fps must be between 1 and 1000"),
        ({"matrix": "bt2020"}, "matrix must be one of bt601, bt709, got 'bt2020'"),
    ],
)
def test_what_cannot_be_is_refused(fields, says):
    with pytest.raises(InputError, match=says):
        VideoFormat(**({"width": 4, "height": 4} | fields))


def test_packed_formats_are_frame_formats_but_grey():
    assert set(PACKED_CHANNELS) - set(FRAME_FORMATS) == {"gray"}
