"""Sound that is joined, damaged, or changes on the way: skipped, in time, and said."""

import io
import struct

import numpy as np
import pytest

from lipsync_fast import errors, media
from lipsync_fast.formats import VideoFormat

av = pytest.importorskip("av")

CONTAINERS = {"mp3": ("libmp3lame", "mp3"), "aac": ("aac", "adts"), "mp4": ("aac", "mp4")}
CONTAINERS |= {"mka": ("libopus", "matroska"), "flac": ("flac", "flac")}


def coded(kind, pitch, seconds=3.0, rate=48000, channels=1):
    """Return a tone, 0.3 loud, as a file of `kind`."""
    codec, container = CONTAINERS[kind]
    layout = ("mono", "stereo")[channels - 1]
    tone = 0.3 * np.sin(2 * np.pi * pitch * np.arange(int(seconds * rate)) / rate)
    packed = np.repeat(tone[:, None], channels, 1).reshape(1, -1).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(packed, "flt", layout)
    frame.sample_rate = rate
    target = io.BytesIO()
    with av.open(target, "w", format=container) as file:
        stream = file.add_stream(codec, rate=rate, layout=layout)
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            file.mux(packet)
    return target.getvalue()


def id3(size, seed=0):
    """Return an ID3v2 tag with a picture of so many random bytes."""
    body = np.random.default_rng(seed).integers(0, 256, size).astype(np.uint8).tobytes()
    frame = b"APIC" + struct.pack(">IH", len(body), 0) + body
    size = len(frame)
    return b"ID3\3\0\0" + bytes(size >> shift & 127 for shift in (21, 14, 7, 0)) + frame


def pitches(samples):
    """Return the loudest pitch of each twentieth of a second, 0 where there is silence."""
    pieces = samples[: len(samples) // 800 * 800].reshape(-1, 800) * np.hanning(800)
    spectra = np.abs(np.fft.rfft(pieces, 16000, axis=1))
    return np.where(spectra.max(axis=1) > 10, spectra.argmax(axis=1), 0)


def read(path, data):
    path.write_bytes(data)
    return media.load_audio(path)


def damage(data, path, packets):
    """Return `data` with the contents of some packets overwritten."""
    path.write_bytes(data)
    with av.open(str(path)) as file:
        found = [(data.index(bytes(p), p.pos), p.size) for p in file.demux(audio=0) if p.size]
    spoilt = bytearray(data)
    for position, size in found[packets]:
        spoilt[position : position + size] = b"\xff" * size
    return bytes(spoilt)


@pytest.mark.parametrize("tag", [0, 100, 3000, 400_000])
def test_joined_mp3s_with_tags_between(tmp_path, tag, caplog):
    parts = [coded("mp3", 400), coded("mp3", 700), coded("mp3", 1000)]
    joined = parts[0] + b"".join(id3(tag, i) + part for i, part in enumerate(parts[1:]))
    samples = read(tmp_path / "a.mp3", joined)
    assert abs(len(samples) / 16000 - 9) < 0.2
    heard = pitches(samples)
    for start, pitch in ((0, 400), (3, 700), (6, 1000)):
        middle = heard[int(start * 20) + 6 : int(start * 20) + 54]
        assert (abs(middle - pitch) <= 10).all()
    assert len(caplog.records) <= 1


@pytest.mark.parametrize("kind", ["mp3", "aac", "mp4", "mka", "flac"])
@pytest.mark.parametrize("packets", [slice(60, 61), slice(60, 63)])
def test_damaged_frames_are_skipped_in_time(tmp_path, kind, packets, caplog):
    whole = coded(kind, 400, 8)
    clean = read(tmp_path / "clean", whole)
    samples = read(tmp_path / "a", damage(whole, tmp_path / "b", packets))
    # Parsers of bare frames stamp what they find, and Opus conceals: there a little is lost.
    exact = kind == "mp4"
    assert abs(len(samples) - len(clean)) <= (16 if exact else 0.3 * 16000)
    heard = pitches(samples)
    assert (abs(heard - 400) > 10).sum() <= 9
    assert (abs(heard[-60:-4] - 400) <= 10).all()
    if exact:  # what follows lies where it lay
        assert np.abs(samples[80000:] - clean[80000 : len(samples)]).max() < 0.05
        (record,) = caplog.records
        assert " s from " in record.getMessage()


def test_the_place_and_the_length_are_told(tmp_path, caplog):
    whole = coded("mp4", 400, 8)
    read(tmp_path / "a.mp4", damage(whole, tmp_path / "b.mp4", slice(100, 110)))
    (record,) = caplog.records
    place, length = 99 * 1024 / 48000, 10 * 1024 / 48000
    words = record.getMessage().split()
    assert float(words[words.index("from") + 1]) == pytest.approx(place, abs=0.05)
    assert float(words[words.index("s") - 1]) == pytest.approx(length, abs=0.05)


@pytest.mark.parametrize("packets", [slice(100, 160), slice(0, 60), slice(-60, None)])
def test_more_than_a_tenth_is_refused(tmp_path, packets):
    whole = coded("mp4", 400, 8)
    path = tmp_path / "a.mp4"
    path.write_bytes(damage(whole, tmp_path / "b.mp4", packets))
    with pytest.raises(errors.MediaError, match=r"a\.mp4 is damaged: 1\.\d\d of \d\.\d\d s"):
        media.load_audio(path)


@pytest.mark.parametrize("kind", ["mp3", "aac"])
@pytest.mark.parametrize(
    ("rate", "channels"), [(44100, 1), (24000, 1), (48000, 2), (44100, 2), (16000, 2)]
)
@pytest.mark.parametrize("first", [1, 2])
def test_a_change_on_the_way(tmp_path, kind, rate, channels, first, caplog):
    joined = coded(kind, 400, channels=first) + coded(kind, 700, rate=rate, channels=channels)
    samples = read(tmp_path / f"a.{kind}", joined)
    assert abs(len(samples) / 16000 - 6) < 0.25
    heard = pitches(samples)
    assert (abs(heard[4:56] - 400) <= 10).all()
    assert (abs(heard[66:114] - 700) <= 10).all()
    loud = np.sqrt(np.mean(samples[:80000].reshape(-1, 8000) ** 2, axis=1))
    assert loud[7:10] == pytest.approx(loud[2:5], rel=0.1)
    said = [r.getMessage() for r in caplog.records if "changes from" in r.getMessage()]
    assert len(said) == ((rate, channels) != (48000, first))


def test_the_sound_track_of_a_damaged_file(tmp_path):
    source = tmp_path / "a.m4a"
    source.write_bytes(damage(coded("mp4", 400, 4), tmp_path / "b", slice(60, 63)))
    with media.VideoWriter(tmp_path / "a.mp4", VideoFormat(64, 48), audio=source) as writer:
        for _ in range(100):
            writer.write(np.full(64 * 72, 128, np.uint8))
    heard = pitches(media.load_audio(tmp_path / "a.mp4"))
    assert abs(len(heard) - 80) <= 2
    assert (abs(heard - 400) > 10).sum() <= 4


def test_stamps_that_leap_leave_silence(tmp_path, caplog):
    """As recorders write that leave out the packets of silence."""
    path = tmp_path / "a.mka"
    path.write_bytes(coded("mka", 400, 8))
    with av.open(str(path)) as old, av.open(str(tmp_path / "b.mka"), "w") as new:
        stream = new.add_stream_from_template(old.streams.audio[0])
        for i, packet in enumerate(old.demux(audio=0)):
            if packet.size and not 100 <= i < 250:
                packet.stream = stream
                new.mux(packet)
    samples = media.load_audio(tmp_path / "b.mka")
    assert abs(len(samples) - 128000) <= 320
    heard = pitches(samples)
    assert (abs(heard[4:38] - 400) <= 10).all()
    assert (heard[42:98] == 0).all()
    assert (abs(heard[102:156] - 400) <= 10).all()
    (record,) = caplog.records
    assert "has no sound for 3.0" in record.getMessage()


def test_stamps_that_tremble_change_nothing(tmp_path, caplog):
    rng = np.random.default_rng(0)
    path = tmp_path / "a.mka"
    path.write_bytes(coded("mka", 400, 8))
    with av.open(str(path)) as old, av.open(str(tmp_path / "b.mka"), "w") as new:
        stream = new.add_stream_from_template(old.streams.audio[0])
        for packet in old.demux(audio=0):
            if packet.size:
                packet.stream = stream
                packet.pts = packet.dts = packet.pts + int(rng.integers(0, 15)) + 100
                new.mux(packet)
    whole = media.load_audio(path)
    np.testing.assert_array_equal(media.load_audio(tmp_path / "b.mka"), whole)
    assert not caplog.records
