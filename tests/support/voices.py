"""Sounds for tests: the shared real voices, a synthetic one, and random ways to cut them."""

import wave

import numpy as np

VOICES = ["jfk_16k", "librivox_16k"]


def read_voice(assets, name):
    """A shared voice as float32 samples."""
    with wave.open(str(assets / "audio" / f"{name}.wav")) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (16000, 1, 2)
        samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2")
    return samples.astype(np.float32) / np.float32(32768)


def synthetic_voice(seconds, seed=0):
    """Noise in bursts over a hum: loud, quiet and silent stretches."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * 16000)) / 16000
    loudness = np.maximum(0.0, np.sin(2 * np.pi * 1.3 * time)) ** 2
    sound = loudness * rng.normal(0, 0.1, time.size) + 0.05 * np.sin(2 * np.pi * 180 * time)
    sound[time.size // 3 : time.size // 2] = 0.0
    return sound.astype(np.float32)


def random_cuts(rng, size, longest):
    """Chunk sizes that add up to size, from 0 and 1 to longest."""
    while size > 0:
        cut = int(min(size, rng.choice([0, 1, 1, 2, 199, 200, 201, rng.integers(1, longest + 1)])))
        yield cut
        size -= cut


def silence(seconds):
    """Digital silence, float32 at 16 kHz."""
    return np.zeros(int(seconds * 16000), np.float32)
