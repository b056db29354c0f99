"""More than two channels: the centre, or the usual downmix, in what is heard and written."""

import numpy as np
import pytest
from tests.media.test_sound_in import wav_bytes

from lipsync_fast import media
from lipsync_fast.formats import VideoFormat
from lipsync_fast.media.channels import downmix, downmix_weights

av = pytest.importorskip("av")

RATE = 16000
HALF = np.sqrt(0.5)


def tones(channels):
    """(n, channels): each channel its own pitch, 0.5 loud."""
    t = np.arange(2 * RATE) / RATE
    return np.stack([0.5 * np.sin(2 * np.pi * 200 * (i + 1) * t) for i in range(channels)], 1)


def levels(samples, rate=RATE):
    """How loud each pitch of `tones` is, 1 as in its channel."""
    middle = np.asarray(samples, np.float64).ravel()[rate // 2 : rate * 3 // 2]
    t = np.arange(len(middle)) / rate
    pitches = [200 * (i + 1) for i in range(8)]
    spin = [np.exp(-2j * np.pi * f * t) for f in pitches]
    return np.array([abs(middle @ s) * 4 / len(middle) for s in spin])


def write_sound(path, layout, samples):
    """Write a file whose layout is named: floats, or AAC where its name ends in .m4a."""
    with av.open(str(path), "w", format="ipod" if path.suffix == ".m4a" else None) as file:
        coded = path.suffix == ".m4a"
        stream = file.add_stream("aac" if coded else "pcm_f32le", rate=RATE, layout=layout)
        if coded:
            stream.codec_context.bit_rate = 64000 * len(samples.T)
        packed = np.ascontiguousarray(samples, np.float32).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, "flt", layout)
        frame.sample_rate = RATE
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            file.mux(packet)
    return path


WANTED = {
    "5.1": [0, 0, 1, 0, 0, 0],
    "5.1(side)": [0, 0, 1, 0, 0, 0],
    "7.1": [0, 0, 1, 0, 0, 0, 0, 0],
    "3.0": [0, 0, 1],
    "3.1": [0, 0, 1, 0],
    "4.0": [0, 0, 1, 0],
    "2.1": [1 / 2, 1 / 2, 0],
    "quad": np.array([1, 1, HALF, HALF]) / (2 + 2 * HALF),
    "quad(side)": np.array([1, 1, HALF, HALF]) / (2 + 2 * HALF),
    "stereo": [1 / 2, 1 / 2],
    "mono": [1],
}


@pytest.mark.parametrize("layout", WANTED)
@pytest.mark.parametrize("ending", ["caf", "mov", "m4a"])
def test_named_layouts(tmp_path, layout, ending):
    wanted = np.array(WANTED[layout])
    samples = tones(len(wanted))
    if ending == "m4a" and layout in ("3.1", "quad(side)"):
        pytest.skip("FFmpeg's AAC does not name these channels")
    path = write_sound(tmp_path / f"a.{ending}", layout, samples)
    heard = levels(media.load_audio(path))[: len(wanted)]
    np.testing.assert_allclose(heard, wanted, atol=0.03 if ending == "m4a" else 0.01)


@pytest.mark.parametrize("layout", ["5.1", "7.1", "quad", "3.0", "2.1"])
def test_the_sound_written_is_the_sound_heard(tmp_path, layout):
    wanted = np.array(WANTED[layout])
    source = write_sound(tmp_path / "a.mov", layout, tones(len(wanted)))
    black = np.full(64 * 72, 128, np.uint8)
    with media.VideoWriter(tmp_path / "a.mp4", VideoFormat(64, 48), audio=source) as writer:
        for _ in range(50):
            writer.write(black)
    with av.open(str(tmp_path / "a.mp4")) as file:
        stream = file.streams.audio[0]
        assert stream.codec_context.channels == 1
        written = np.concatenate([f.to_ndarray() for f in file.decode(stream)], axis=1)
    np.testing.assert_allclose(levels(written)[: len(wanted)], wanted, atol=0.05)


MASKS = {
    "5.1": (0x3F, [0, 0, 1, 0, 0, 0]),
    "5.1(side)": (0x60F, [0, 0, 1, 0, 0, 0]),
    "7.1": (0x63F, [0, 0, 1, 0, 0, 0, 0, 0]),
    "quad": (0x33, WANTED["quad"]),
    "3.0": (0x7, [0, 0, 1]),
    "4.0": (0x107, [0, 0, 1, 0]),
    "front pair and LFE": (0xB, [1 / 2, 1 / 2, 0]),
    "unnamed 5.1": (0, [0, 0, 1, 0, 0, 0]),
    "unnamed 7.1": (0, [0, 0, 1, 0, 0, 0, 0, 0]),
    "four microphones": (0, [1 / 4] * 4),
    "three microphones": (0, [1 / 3] * 3),
    "a mask too short": (0x3, [1 / 3] * 3),
}


@pytest.mark.parametrize("kind", MASKS)
def test_wav_masks_without_av(tmp_path, monkeypatch, kind):
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    mask, wanted = MASKS[kind]
    path = tmp_path / "a.wav"
    data = bytearray(wav_bytes(tones(len(wanted)), RATE, "i2", extensible=mask > 0))
    if mask:
        data[40:44] = mask.to_bytes(4, "little")
    path.write_bytes(data)
    np.testing.assert_allclose(levels(media.load_audio(path))[: len(wanted)], wanted, atol=0.01)


def test_dialogue_of_the_centre_keeps_its_level(tmp_path):
    samples = np.zeros((2 * RATE, 6))
    samples[:, 2] = tones(1)[:, 0]
    path = tmp_path / "a.wav"
    path.write_bytes(wav_bytes(samples, RATE, "i2"))
    assert 20 * np.log10(levels(media.load_audio(path))[0]) == pytest.approx(0, abs=0.1)


def test_a_downmix_never_clips_and_keeps_one_channel():
    for count in range(1, 30):
        assert downmix_weights(count).sum() == pytest.approx(1)
    assert downmix_weights(1, ["LFE"]) == [1]
    assert downmix_weights(4, ["AMBI0", "AMBI1", "AMBI2", "AMBI3"]).tolist() == [1, 0, 0, 0]
    one = np.ones((1, 5), np.float32)
    assert downmix(one, downmix_weights(1)) is one
