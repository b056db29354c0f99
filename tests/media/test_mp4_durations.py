"""Every frame of an mp4 can be read, whatever its length."""

from fractions import Fraction

import numpy as np
import pytest
from tests.media.test_video_out import NTSC, format_of, frames_of, write
from tests.support.clips import decoded

av = pytest.importorskip("av")


@pytest.mark.parametrize("fps", [25, 30, NTSC])
@pytest.mark.parametrize("ending", ["mp4", "mov"])
def test_every_frame_can_be_read_whatever_the_length(tmp_path, fps, ending):
    """The last fragment, which begins each second, may hold nothing but reordered frames."""
    cv2 = pytest.importorskip("cv2")
    frames = frames_of(20, 32, 32)
    second = round(fps)
    seconds = (0, 1, 2, 3, 5) if ending == "mp4" else (1,)
    lengths = [second * k + more for k in seconds for more in (1, 2, 3, 4)]
    sound = np.zeros(160, np.float32)
    for count in lengths:
        audio = sound if count % 3 else None
        path = tmp_path / f"{count}.{ending}"
        write(path, (frames[i % 20] for i in range(count)), format_of(32, 32, fps), audio=audio)
        assert decoded(path)[1] == [i / Fraction(fps) for i in range(count)]
        with av.open(str(path)) as file:
            video = file.streams.video[0]
            assert video.duration * video.time_base == count / Fraction(fps)
            assert abs(Fraction(file.duration, 10**6) - count / Fraction(fps)) < Fraction(1, 1000)
        capture = cv2.VideoCapture(str(path))
        assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == count
        assert sum(iter(lambda: capture.read()[0], False)) == count  # noqa: B023
