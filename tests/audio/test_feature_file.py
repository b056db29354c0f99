"""Features made elsewhere: the scripts' own windows, from files and arrays."""

import logging
import math

import numpy as np
import pytest
from tests.support.scripts import HEARS, row_window
from tests.support.voices import synthetic_voice

from lipsync_fast.audio import FeatureStream, frame_count
from lipsync_fast.audio.feature_file import FeatureFile
from lipsync_fast.errors import FileMissingError, InputError, LayoutError
from lipsync_fast.presets import PRESETS


def rows_of(name, count, dtype=np.float32, seed=4):
    """(count, …) rows as people have them saved for a preset."""
    row = HEARS[name][1]
    return np.random.default_rng(seed).normal(0, 1, (count, *row)).astype(dtype)


def all_windows(rows, name):
    """The script's windows of every frame."""
    reach, _, shape = HEARS[name]
    return np.stack([row_window(rows, i, reach, shape) for i in range(len(rows))])


# ---- windows ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("count", [1, 3, 8, 40])
@pytest.mark.parametrize("name", HEARS)
def test_windows_are_the_scripts(name, count, dtype, tmp_path):
    rows = rows_of(name, count, dtype)
    np.save(tmp_path / "rows.npy", rows)
    stream = FeatureFile(tmp_path / "rows.npy", name)
    assert stream.shape == PRESETS[name].audio_shape == HEARS[name][2]
    assert stream.fps == PRESETS[name].feature_rate
    assert (stream.ready, stream.flush()) == (0, count)
    windows = stream.take(count)
    assert windows.dtype == np.float32
    np.testing.assert_array_equal(windows, all_windows(rows, name))
    assert (stream.taken, stream.ready) == (count, 0)


def test_every_preset_of_rows_is_covered():
    assert set(HEARS) == {
        n for n, p in PRESETS.items() if p.features in ("ave", "hubert", "wenet", "file")
    }


def test_windows_come_in_any_portions():
    rows = rows_of("ultralight168-hubert", 30)
    wanted = all_windows(rows, "ultralight168-hubert")
    stream = FeatureFile(rows, "ultralight168-hubert")
    stream.flush()
    out = np.full((30, 16, 32, 32), np.nan, np.float32)
    taken = 0
    for count in (0, 1, 7, 20, 2):
        assert np.shares_memory(stream.take(count, out=out[taken : taken + count]), out) == (
            count > 0
        )
        taken += count
    np.testing.assert_array_equal(out, wanted)


@pytest.mark.parametrize("shape", [(12, 2048), (12, 2, 1024), (12, 1, 2, 1, 1024)])
def test_rows_of_any_shape(shape):
    rows = rows_of("synctalk328-hubert", 12)
    stream = FeatureFile(rows.reshape(shape), "synctalk328-hubert")
    stream.flush()
    np.testing.assert_array_equal(stream.take(12), all_windows(rows, "synctalk328-hubert"))


@pytest.mark.parametrize("name", ["liteavatar384", "wav2lip96", "edtalk256"])
def test_presets_of_speech_take_a_window_a_row(name):
    shape = PRESETS[name].audio_shape
    rows = np.random.default_rng(1).normal(0, 1, (6, math.prod(shape))).astype(np.float32)
    stream = FeatureFile(rows, name)
    stream.flush()
    np.testing.assert_array_equal(stream.take(6), rows.reshape(6, *shape))


def test_ave_rows_are_those_of_a_stream(tmp_path):
    """`aud_ave.npy` holds the encoder's rows with the first and the last one doubled."""
    samples = synthetic_voice(2.0)
    weights = np.random.default_rng(2).normal(0, 0.02, (1280, 512)).astype(np.float32)
    made = []

    def encoder(window):
        made.append(window.reshape(1, 1280) @ weights)
        return made[-1]

    stream = FeatureStream("ave", 25, encoder=encoder)
    stream.push(samples)
    wanted = stream.take(stream.flush())
    rows = np.concatenate([made[0], *made, made[-1]])
    given = FeatureFile(rows, "synctalk328")
    given.push(samples)
    assert given.flush() == len(wanted)
    np.testing.assert_array_equal(given.take(len(wanted)), wanted)


# ---- beside a sound --------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0.01, 1.0, 1.52, 3.0])
def test_the_sound_tells_the_frames(seconds, caplog):
    rows = rows_of("ultralight168-wenet", 30)
    samples = np.zeros(int(seconds * 16000), np.float32)
    stream = FeatureFile(rows, "ultralight168-wenet")
    ready = 0
    for cut in np.array_split(samples, 5):
        ready = stream.push(cut)
    assert ready == frame_count(len(samples), 20)
    assert stream.flush() == ready
    beyond = np.concatenate([rows, np.zeros((40, 1, 16, 512), np.float32)])
    wanted = all_windows(beyond, "ultralight168-wenet")[:ready]
    np.testing.assert_array_equal(stream.take(ready), wanted)
    assert ("are they of this speech" in caplog.text) == (abs(ready - 30) > 20)


def test_a_stream_ends_once_and_gives_what_it_has():
    stream = FeatureFile(rows_of("synctalk328", 5), "synctalk328")
    stream.push(np.zeros(0, np.float32))
    with pytest.raises(InputError, match="at least one sample, got none"):
        stream.flush()
    stream.push(np.zeros(640, np.float32))
    with pytest.raises(InputError, match="2 frames were asked for and 1 are ready"):
        stream.take(2)
    assert stream.flush() == 1
    ended = "the sound of this FeatureFile has ended; make a new one for the next sound"
    with pytest.raises(InputError, match=ended):
        stream.flush()
    with pytest.raises(InputError, match=ended):
        stream.push(np.zeros(640, np.float32))


# ---- bad files -------------------------------------------------------------------------------


def saved(tmp_path, array):
    np.save(tmp_path / "f.npy", array, allow_pickle=True)
    return tmp_path / "f.npy"


@pytest.mark.parametrize(
    ("array", "error", "says"),
    [
        (np.zeros((10, 1024), np.float32), InputError, r"2048 numbers .* shape \(10, 1024\)"),
        (np.zeros((0, 2, 1024), np.float32), InputError, r"shape \(0, 2, 1024\)"),
        (np.zeros((2048,), np.float32), InputError, r"shape \(2048,\)"),
        (np.zeros((10, 2, 1024), np.int16), LayoutError, "int16"),
        (np.zeros((10, 2, 1024), ">f4"), LayoutError, ">f4"),
        (np.array([{"a": 1}]), InputError, "plain .npy"),
    ],
)
def test_files_that_hold_something_else(tmp_path, array, error, says):
    with pytest.raises(error, match=says) as caught:
        FeatureFile(saved(tmp_path, array), "synctalk328-hubert")
    assert "f.npy" in str(caught.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(FileMissingError, match=r"none\.npy"):
        FeatureFile(tmp_path / "none.npy", "synctalk328")
    with pytest.raises(InputError, match="it is not a plain file"):
        FeatureFile(tmp_path, "synctalk328")
    for data in (b"", b"text", b"\x93NUMPY\x01\x00"):
        (tmp_path / "f.npy").write_bytes(data)
        with pytest.raises(InputError, match=r"f\.npy cannot be read"):
            FeatureFile(tmp_path / "f.npy", "synctalk328")
    good = saved(tmp_path, rows_of("synctalk328", 4))
    good.write_bytes(good.read_bytes()[:-8])
    with pytest.raises(InputError, match=r"f\.npy cannot be read"):
        FeatureFile(good, "synctalk328")
    np.savez(tmp_path / "f.npz", rows_of("synctalk328", 4))
    with pytest.raises(InputError, match=r"f\.npz cannot be read"):
        FeatureFile(tmp_path / "f.npz", "synctalk328")


def test_numbers_that_are_none():
    rows = rows_of("synctalk328", 600)
    rows[517, 3] = np.nan
    with pytest.raises(InputError, match="row 517"):
        FeatureFile(rows, "synctalk328")


def test_the_warning_is_logged_by_the_package(caplog):
    with caplog.at_level(logging.WARNING, logger="lipsync_fast"):
        stream = FeatureFile(rows_of("synctalk328", 100), "synctalk328")
        stream.push(np.zeros(16000, np.float32))
        stream.flush()
    assert "100 rows for the 25 frames" in caplog.text
