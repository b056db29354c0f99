"""The rate of films that state none: as a person would name it from the frames' times."""

from fractions import Fraction

import numpy as np
import pytest
from tests.support.clips import write_clip

from lipsync_fast import errors, media, prepare
from lipsync_fast.media.video_rate import rate_of_times

av = pytest.importorskip("av")

MS, MPEG = Fraction(1, 1000), Fraction(1, 90000)


def grey(index):
    """A frame that tells its number, modulo 100."""
    frame = np.full((72, 64), 128, np.uint8)
    frame[:48] = 20 + 2 * (index % 100)
    return frame


def trembling(rate, count, by, seed=0, pauses=()):
    """Times in seconds of `count` frames, each off by up to `by` seconds, with pauses between."""
    rng = np.random.default_rng(seed)
    times = np.arange(count) / float(rate) + rng.uniform(-by, by, count)
    for index, seconds in pauses:
        times[index:] += seconds
    return np.sort(times - times.min())


def film(path, times, tick, stated=1000):
    pts = [round(t / float(tick)) for t in times]
    pts = sorted(set(pts))
    frames = [grey(i) for i in range(len(pts))]
    codec = "libvpx" if path.suffix == ".webm" else ("libx264", {"bf": "0"})
    return write_clip(path, frames, codec=codec, rate=Fraction(stated), times=(pts, tick))


@pytest.mark.parametrize("rate", [10, 15, 24, 25, 30, 50, 60])
@pytest.mark.parametrize("kind", ["webm", "ts", "mp4", "mkv"])
def test_trembling_times_name_a_usual_rate(tmp_path, rate, kind):
    tick = MS if kind in ("webm", "mkv") else MPEG
    times = trembling(rate, 100, 0.006 if rate < 50 else 0.003, seed=rate)
    reader = media.VideoReader(film(tmp_path / f"a.{kind}", times, tick))
    assert reader.fps == rate
    assert reader.format.fps == rate
    count = sum(1 for _ in reader)
    assert abs(count - times[-1] * rate) <= 2


def test_the_film_of_a_browser(tmp_path):
    """50 frames of 1.6 seconds once became 1622."""
    path = film(tmp_path / "a.webm", trembling(30, 50, 0.008), MS)
    reader = media.VideoReader(path)
    assert reader.fps == 30
    assert abs(sum(1 for _ in reader) - 50) <= 1
    template = prepare(path, tmp_path / "t", preset="wav2lip96", rects="4,4,40,40")
    with template:
        assert (template.fps, abs(template.count - 50) <= 1) == (30, True)


@pytest.mark.parametrize("kind", ["webm", "ts"])
def test_pauses_do_not_slow_the_rate(tmp_path, kind):
    times = trembling(25, 120, 0.005, pauses=[(30, 1.5), (60, 0.4), (90, 3)])
    path = film(tmp_path / f"a.{kind}", times, MS if kind == "webm" else MPEG)
    assert media.VideoReader(path).fps == 25


@pytest.mark.parametrize("rate", [24, 30, 60])
def test_an_ntsc_grid_with_holes_stays_ntsc(rate):
    exact = Fraction(rate * 1000, 1001)
    kept = [i / exact for i in range(300) if i % 7]
    kept = [round(t / MPEG) * MPEG for t in kept]
    assert rate_of_times(kept, MPEG, exact) == exact
    assert rate_of_times(kept, MPEG, Fraction(90000)) == exact


@pytest.mark.parametrize(
    ("rate", "tick", "stated", "wanted"),
    [
        (Fraction(30000, 1001), MS, Fraction(30000, 1001), Fraction(30000, 1001)),
        (240, MPEG, Fraction(240), 240),
        (Fraction(55, 2), MPEG, Fraction(55, 2), Fraction(55, 2)),
        (25, MS, Fraction(1000), 25),
        (22, MS, Fraction(1000), 22),
        (1, MS, Fraction(1000), 1),
        (143, MS, Fraction(1000), 143),
    ],
)
def test_rates_from_times(rate, tick, stated, wanted):
    times = [round(i / Fraction(rate) / tick) * tick for i in range(200)]
    assert rate_of_times(times, tick, stated) == wanted


def test_too_few_times():
    assert rate_of_times([], MS, Fraction(25)) == 25
    assert rate_of_times([Fraction(0)], MS, Fraction(1000)) == 25
    assert rate_of_times([Fraction(0)] * 3, MPEG, Fraction(90000)) == 25


def test_a_rate_above_120_asks(tmp_path):
    path = film(tmp_path / "a.mkv", trembling(200, 200, 0.002), MS)
    reader = media.VideoReader(path)
    with pytest.raises(errors.InputError, match=r"a\.mkv states no frame rate.*--fps"):
        _ = reader.format
    options = {"preset": "wav2lip96", "rects": "4,4,40,40"}
    with pytest.raises(errors.InputError, match="--fps"):
        prepare(path, tmp_path / "t", **options)
    assert not (tmp_path / "t").exists()
    with prepare(path, tmp_path / "t", fps=25, **options) as template:
        assert template.fps == 25
        assert abs(template.count - 25) <= 1


def test_a_stated_rate_above_120_stays(tmp_path):
    frames = [grey(i) for i in range(200)]
    path = write_clip(tmp_path / "a.mp4", frames, codec="libx264", rate=Fraction(240))
    assert media.VideoReader(path).format.fps == 240


def test_fps_of_a_video(tmp_path):
    path = film(tmp_path / "a.mp4", np.arange(50) / 25, MPEG, stated=25)
    options = {"rects": "4,4,40,40"}
    with prepare(path, tmp_path / "t", preset="wav2lip96", fps=10, **options) as template:
        assert (template.fps, template.count) == (10, 20)
    with pytest.raises(errors.InputError, match="needs 25 frames a second, got fps=30"):
        prepare(path, tmp_path / "u", preset="synctalk328", fps=30, **options)
    with prepare(path, tmp_path / "u", preset="synctalk328", fps=25, **options) as template:
        assert template.fps == 25
