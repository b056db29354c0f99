"""Sound in: WAV files without PyAV, other files through it, resampling."""

import struct
import sys
import wave
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from lipsync_fast import errors, media
from lipsync_fast.media import sound_in as sound


def wav_bytes(samples, rate, code, *, extensible=False, size=None):
    """Return a WAV of (n, channels) floats; code: u1, i2, i3, i4, f4, f8; size: as stated."""
    width = int(code[1])
    if code == "u1":
        raw = (np.round(samples * 128) + 128).clip(0, 255).astype(np.uint8).tobytes()
    elif code[0] == "i":
        top = 2 ** (8 * width - 1)
        whole = np.round(samples * top).clip(-top, top - 1).astype("<i8")
        raw = whole.reshape(-1, 1).view(np.uint8)[:, :width].tobytes()
    else:
        raw = samples.astype(f"<{code}").tobytes()
    channels = samples.shape[1]
    tag = 3 if code[0] == "f" else 1
    fmt = struct.pack(
        "<HHIIHH",
        0xFFFE if extensible else tag,
        channels,
        rate,
        rate * channels * width,
        channels * width,
        8 * width,
    )
    if extensible:
        guid = struct.pack("<H", tag) + bytes.fromhex("000000001000800000aa00389b71")
        fmt += struct.pack("<HHI", 22, 8 * width, 0) + guid
    listed = b"LIST" + struct.pack("<I", 5) + b"INFOx\0"
    body = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt + listed
    body += b"data" + struct.pack("<I", len(raw) if size is None else size) + raw
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.fixture
def av():
    """The module av; skips the test where it is absent."""
    return pytest.importorskip("av")


@pytest.fixture
def without_av(monkeypatch):
    """PyAV cannot be imported during the test."""
    monkeypatch.setitem(sys.modules, "av", None)


@pytest.fixture
def voice():
    """(n, 2) float64: two different channels, whole 8-bit steps so that every code holds them."""
    t = np.arange(20000)
    left = np.round(100 * np.sin(t / 17)) / 128
    return np.stack([left, np.roll(left, 5) / 2], axis=1).round(7)


@pytest.mark.parametrize("extensible", [False, True])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("code", ["u1", "i2", "i3", "i4", "f4", "f8"])
def test_wav_of_every_kind_without_av(tmp_path, without_av, voice, code, channels, extensible):
    path = tmp_path / "a.wav"
    path.write_bytes(wav_bytes(voice[:, :channels], 16000, code, extensible=extensible))
    got = media.load_audio(path)
    assert got.dtype == np.float32
    steps = {"u1": 2**-8, "i2": 2**-15}.get(code, 1e-7)
    np.testing.assert_allclose(got, voice[:, :channels].mean(axis=1), atol=1.01 * steps)


@pytest.mark.parametrize("code", ["u1", "i2", "i3", "i4", "f4", "f8"])
def test_wav_equals_what_ffmpeg_decodes(tmp_path, av, voice, code):
    path = tmp_path / "a.wav"
    path.write_bytes(wav_bytes(voice, 44100, code))
    ours = np.concatenate(list(sound.WavFile(path).blocks()), axis=1)
    theirs = np.concatenate(list(sound.DecodedSound(path).blocks()), axis=1)
    np.testing.assert_array_equal(ours, theirs)


def test_wav_written_by_the_standard_library(tmp_path, without_av):
    path = tmp_path / "a.wav"
    samples = np.arange(-300, 300, dtype="<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(samples.tobytes())
    np.testing.assert_array_equal(media.load_audio(path), samples / np.float32(32768))


def test_real_wav_without_av(assets, without_av):
    with wave.open(str(assets / "audio/jfk_16k.wav")) as file:
        raw = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    source = media.AudioSource(assets / "audio/jfk_16k.wav")
    assert (source.rate, source.channels, source.duration) == (16000, 1, 11)
    np.testing.assert_array_equal(np.concatenate(list(source)), raw / np.float32(32768))


PLACEHOLDERS = (0, 0xFFFFFFFF, 0xFFFFFFDB, 0x7FFFFFFF, 0x7FFFF000, 0x7FFFFFDB, 0x80000000)


@pytest.mark.parametrize("size", PLACEHOLDERS)
def test_size_that_a_pipe_leaves_runs_to_the_end(tmp_path, without_av, voice, size, caplog):
    path = tmp_path / "a.wav"
    path.write_bytes(wav_bytes(voice, 16000, "i2", size=size))
    assert media.load_audio(path).shape == (20000,)
    assert media.duration(path) == Fraction(20000, 16000)
    assert not caplog.records


@pytest.mark.parametrize("missing", [1, 100, 40000])
def test_a_wav_that_is_cut_off_runs_to_its_end(tmp_path, without_av, voice, missing, caplog):
    path = tmp_path / "a.wav"
    whole = wav_bytes(voice, 16000, "i2")
    path.write_bytes(whole[:-missing])
    assert media.load_audio(path).size == (80000 - missing) // 4
    (record,) = caplog.records
    assert "a.wav is cut off: its header promises 80000 bytes" in record.getMessage()


def rf64_bytes(samples, rate, code, *, size, kind=b"RF64"):
    """Return wav_bytes as RF64 with `size` as its 64-bit size of the samples."""
    riff = wav_bytes(samples, rate, code, size=0xFFFFFFFF)
    ds64 = b"ds64" + struct.pack("<IQQQI", 28, len(riff) + 28, size, len(samples), 0)
    return kind + b"\xff\xff\xff\xffWAVE" + ds64 + riff[12:]


@pytest.mark.parametrize("size", [80000, 0, 2**64 - 1, 2**63 - 1, 90000])
@pytest.mark.parametrize("kind", [b"RF64", b"BW64"])
def test_rf64(tmp_path, without_av, voice, size, kind, caplog):
    path = tmp_path / "a.wav"
    # More follows the samples where the size can tell.
    after = b"LIST\4\0\0\0INFO" if size == 80000 else b""
    path.write_bytes(rf64_bytes(voice, 16000, "i2", size=size, kind=kind) + after)
    np.testing.assert_allclose(media.load_audio(path), voice.mean(axis=1), atol=2**-15)
    assert len(caplog.records) == (size == 90000)


@pytest.mark.parametrize("ending", ["au", "caf"])
def test_other_containers_of_a_pipe(tmp_path, av, voice, ending):
    """Sizes that were never filled in, as of a writer that cannot seek."""

    class Pipe:
        def __init__(self):
            self.data = b""

        def write(self, data):
            self.data += bytes(data)
            return len(data)

    pipe = Pipe()
    codec = "pcm_s16be" if ending == "au" else "pcm_s16le"
    with av.open(pipe, "w", format=ending) as file:
        stream = file.add_stream(codec, rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(
            (voice[:, :1].T * 32767).astype(np.int16).copy(), "s16", "mono"
        )
        frame.sample_rate = 16000
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    path = tmp_path / f"a.{ending}"
    path.write_bytes(pipe.data)
    assert abs(media.load_audio(path).size - 20000) <= 16


def test_other_rate_without_av_names_the_extra(tmp_path, without_av, voice):
    path = tmp_path / "a.wav"
    path.write_bytes(wav_bytes(voice, 44100, "i2"))
    source = media.AudioSource(path)
    assert source.rate == 44100
    with pytest.raises(errors.MissingExtraError, match=r"lipsync_fast\[video\]"):
        list(source)


def test_other_format_without_av_names_the_extra(tmp_path, without_av):
    path = tmp_path / "a.flac"
    path.write_bytes(b"fLaC" + bytes(100))
    with pytest.raises(errors.MissingExtraError, match=r"lipsync_fast\[video\]"):
        media.load_audio(path)


def test_coded_wav_goes_to_ffmpeg(tmp_path, av):
    path = tmp_path / "a.wav"
    samples = (np.sin(np.arange(16000) / 20) * 20000).astype(np.int16)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("pcm_mulaw", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None], "s16", "mono")
        frame.sample_rate = 16000
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    got = media.load_audio(path)
    np.testing.assert_allclose(got, samples / 32768, atol=0.02)


BAD_WAVS = {
    "one byte": lambda good: good[:1],
    "no chunks": lambda good: good[:12],
    "half a format": lambda good: good[:30],
    "no data": lambda good: good[: good.index(b"data")],
    "huge chunk": lambda good: good.replace(b"LIST\x05\0\0\0", b"LIST\xff\xff\xff\xff"),
    "no channels": lambda good: good[:22] + b"\0\0" + good[24:],
    "60000 channels": lambda good: good[:22] + b"\x60\xea" + good[24:],
    "rate 0": lambda good: good[:24] + bytes(4) + good[28:],
    "rate 4e9": lambda good: good[:24] + b"\xff\xff\xff\xff" + good[28:],
    "no bits": lambda good: good[:34] + b"\0\0" + good[36:],
    "odd block": lambda good: good[:32] + b"\x05\0" + good[34:],
    "format of 65 kB": lambda good: good[:16] + b"\xff\xff\0\0" + good[20:],
    "empty": lambda good: good[: good.index(b"data")] + b"data\0\0\0\0",
    "not a WAV": lambda good: b"plain text" * 100,
}


@pytest.mark.parametrize("damage", BAD_WAVS)
def test_bad_wav_is_one_clear_error(tmp_path, av, voice, damage):
    path = tmp_path / "a.wav"
    path.write_bytes(BAD_WAVS[damage](wav_bytes(voice, 16000, "i2")))
    with pytest.raises(errors.MediaError) as caught:
        media.load_audio(path)
    assert "a.wav" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_samples_that_are_no_numbers(tmp_path, voice, bad):
    path = tmp_path / "a.wav"
    voice[1234, 1] = bad
    path.write_bytes(wav_bytes(voice, 16000, "f4"))
    with pytest.raises(errors.MediaError, match="NaN or infinite"):
        media.load_audio(path)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(errors.FileMissingError, match="no such file"):
        media.load_audio(tmp_path / "none.wav")
    with pytest.raises(errors.MediaError, match="is a folder"):
        media.load_audio(tmp_path)


def test_ten_milliseconds(tmp_path, av, voice):
    path = tmp_path / "a.wav"
    path.write_bytes(wav_bytes(voice[:441], 44100, "i2"))
    assert media.load_audio(path).shape == (160,)


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000, 96000])
def test_resampling_keeps_time_and_level(rate, av):
    seconds = 1.37
    samples = int(seconds * rate)
    tone = np.sin(2 * np.pi * 440 * np.arange(samples) / rate).astype(np.float32)[None]
    blocks = [tone[:, :777], tone[:, 777:7777], tone[:, 7777:]]
    got = np.concatenate(list(sound.resampled(blocks, rate, 16000)), axis=1)[0]
    assert got.size == -(-samples * 16000 // rate)
    ideal = np.sin(2 * np.pi * 440 * np.arange(got.size) / 16000)
    assert np.abs(got - ideal)[100:-100].max() < 1e-3


def test_resampling_does_not_depend_on_the_cut(av):
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 0.1, (2, 50000)).astype(np.float32)
    whole = np.concatenate(list(sound.resampled([noise], 44100, 16000)), axis=1)
    edges = [0, *sorted(rng.integers(1, 50000, 40).tolist()), 50000]
    cut = [noise[:, a:b] for a, b in pairwise(edges) if b > a]
    np.testing.assert_array_equal(
        np.concatenate(list(sound.resampled(cut, 44100, 16000)), 1), whole
    )


def mel_librosa(samples):
    """The mel of the wav2lip family by librosa (see the table of contracts)."""
    librosa = pytest.importorskip("librosa")
    emphasised = np.append(samples[0], samples[1:] - 0.97 * samples[:-1])
    spectrum = np.abs(librosa.stft(emphasised, n_fft=800, hop_length=200, pad_mode="constant"))
    bands = librosa.filters.mel(sr=16000, n_fft=800, n_mels=80, fmin=55, fmax=7600)
    level = 20 * np.log10(np.maximum(1e-5, bands @ spectrum)) - 20
    return np.clip(8 * (level + 100) / 100 - 4, -4, 4)


def test_mel_of_resampled_stereo_equals_that_of_16_khz(assets, av):
    reference = media.load_audio(assets / "audio/jfk_16k.wav")
    source = media.AudioSource(assets / "audio/jfk_44k1.flac")
    assert (source.rate, source.channels, source.duration) == (44100, 2, 11)
    samples = media.load_audio(source.path)
    assert samples.shape == reference.shape
    assert np.abs(mel_librosa(samples) - mel_librosa(reference)).mean() <= 0.01


def test_sound_of_a_video(assets, av):
    path = assets / "video/woman_1080x1920_25fps.mp4"
    source = media.AudioSource(path)
    assert (source.rate, source.channels) == (44100, 2)
    assert source.duration == Fraction(441353, 44100)
    samples = np.concatenate(list(source))
    with av.open(str(path)) as file:
        frames = [f.to_ndarray() for f in file.decode(audio=0)]
    decoded = np.concatenate(frames, axis=1).mean(axis=0)
    assert samples.size == -(-decoded.size * 16000 // 44100)
    ours, theirs = np.std(samples), np.std(decoded)
    assert abs(ours / theirs - 1) < 0.01, "averaging must not change the level"


def test_reading_twice_gives_the_same(assets, av):
    source = media.AudioSource(assets / "audio/jfk_44k1.flac")
    for a, b in zip(source, source, strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.size < 20000


def test_files_without_sound(assets, av, tmp_path):
    with pytest.raises(errors.MediaError, match="no sound"):
        media.load_audio(assets / "video/liteavatar_890x1920_30fps.mp4")
    path = tmp_path / "a.mp3"
    path.write_bytes(bytes(10000))
    with pytest.raises(errors.MediaError, match="not a media file"):
        media.load_audio(path)


def test_junk_at_the_end_is_passed_over(tmp_path, av, assets):
    path = tmp_path / "a.flac"
    path.write_bytes((assets / "audio/jfk_44k1.flac").read_bytes() + b"TAG" + b"junk" * 100)
    assert media.load_audio(path).size == 176000


def test_titles_that_are_no_utf8_do_no_harm(tmp_path, av, voice):
    """Old MP3 and FLAC files carry Latin-1 titles."""
    path = tmp_path / "a.flac"
    with av.open(str(path), "w") as file:
        file.metadata["title"] = "Muenchen"
        stream = file.add_stream("flac", rate=16000, layout="mono")
        samples = (voice[:, :1].T * 32768).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples, "s16", "mono")
        frame.sample_rate = 16000
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    path.write_bytes(path.read_bytes().replace(b"Muenchen", b"M\xfcnche\xdf."))
    assert media.load_audio(path).size == 20000


@pytest.mark.parametrize("part", ["middle", "end"])
def test_damaged_packets(tmp_path, av, assets, part, caplog):
    original = assets / "video/woman_1080x1920_25fps.mp4"
    with av.open(str(original)) as file:
        packets = [(p.pos, p.size) for p in file.demux(audio=0) if p.size]
    chosen = packets[200:203] if part == "middle" else packets[-3:]
    damaged = bytearray(original.read_bytes())
    for position, size in chosen:
        damaged[position : position + size] = b"\xff" * size
    path = tmp_path / "a.mp4"
    path.write_bytes(damaged)
    whole, read = media.load_audio(original).size, media.load_audio(path).size
    (record,) = caplog.records
    assert "cannot be decoded" in record.getMessage()
    if part == "middle":
        assert abs(read - whole) <= 1
    else:
        assert 0 < whole - read <= 3 * 1024 * 16000 // 44100 + 1
