"""Made-up sounds round a voice: noises of a colour, hum, held vowels, and ways to mix them."""

import numpy as np

RATE = 16000
FRAME = RATE // 25
VOWEL = ((600, 80), (1100, 100), (2500, 150))  # Hz: formants and their widths


def noise(kind, seconds, seed=0):
    """Steady noise or hum of mean square 1, float64."""
    rng, count = np.random.default_rng(seed), int(seconds * RATE)
    time, hz = np.arange(count) / RATE, np.fft.rfftfreq(count, 1 / RATE)
    if kind in ("hum", "hum 60"):
        mains = 60 if kind == "hum 60" else 50
        sound = sum(np.sin(2 * np.pi * mains * k * time + k) / k for k in range(1, 1000 // mains))
    else:
        shapes = {
            "white": np.ones(len(hz)),
            "pink": 1 / np.sqrt(np.maximum(hz, 1)),
            "speech-shaped": np.minimum(1, 500 / np.maximum(hz, 1)) ** 1.5,
        }
        sound = np.fft.irfft(np.fft.rfft(rng.standard_normal(count)) * shapes[kind], count)
        if kind == "speech-shaped":
            sound = sound * (1 + 0.5 * np.sin(2 * np.pi * 4 * time + seed))
    return sound / np.sqrt(np.mean(sound**2))


def sung(seconds, hertz, level=-20.0, formants=VOWEL):
    """A vowel at a pitch that is a number or one for each sample; level in dB of full scale."""
    count = int(seconds * RATE)
    pitch = np.broadcast_to(np.asarray(hertz, float), count)
    phase, sound = 2 * np.pi * np.cumsum(pitch) / RATE, np.zeros(count)
    for k in range(1, 60):
        gain = 0.01 + sum(1 / (1 + ((k * pitch - f) / width) ** 2) for f, width in formants)
        sound += np.where(k * pitch < 7600, gain / np.sqrt(k), 0) * np.sin(k * phase)
    return scaled(sound, level)


def legato(level=-20.0):
    """Eight notes tied to each other, with vibrato: 9.6 s."""
    notes = np.repeat([220.0, 247, 262, 294, 262, 247, 220, 196], int(1.2 * RATE))
    tied = np.convolve(np.pad(notes, 800, "edge"), np.ones(1601) / 1601, "valid")
    time = np.arange(len(tied)) / RATE
    return sung(len(tied) / RATE, tied * (1 + 0.008 * np.sin(2 * np.pi * 5.5 * time)), level)


def scaled(sound, level):
    """The sound at a level in dB of full scale."""
    return (sound / np.sqrt(np.mean(np.square(sound))) * 10 ** (level / 20)).astype(np.float32)


def powers(sound):
    """Mean square of each whole 40 ms."""
    whole = len(sound) // FRAME * FRAME
    return np.mean(np.square(sound[:whole].reshape(-1, FRAME), dtype=np.float64), 1)


def clearly_voiced(sound):
    """Which frames of 40 ms lie within 25 dB of the loudest."""
    power = powers(sound)
    return power > power.max() * 10**-2.5


def voice_level(sound):
    """Level of the clearly voiced frames in dB."""
    return 10 * np.log10(powers(sound)[clearly_voiced(sound)].mean())


def with_noise(voice, kind, ratio, seed=0):
    """A voice with a noise that lies `ratio` dB below it."""
    level = voice_level(voice) - ratio
    return voice + scaled(noise(kind, len(voice) / RATE, seed), level)


def muted(before, after, where):
    """Share of the frames in which less than a quarter of the power is left."""
    left = powers(after) / np.maximum(powers(before), 1e-30)
    return float(np.mean(left[where] < 0.25))
