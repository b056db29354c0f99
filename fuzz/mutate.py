"""Random changes to a corpus entry: bytes, lengths, numbers at their limits, words."""

from __future__ import annotations

import random
from collections.abc import Sequence

EDGES = (
    *(bytes([value]) for value in (0, 1, 0x7F, 0x80, 0xFE, 0xFF)),
    *(value.to_bytes(2, "little") for value in (0, 1, 0x7FFF, 0x8000, 0xFFFF)),
    *(value.to_bytes(4, "little") for value in (0, 1, 2**31 - 1, 2**31, 2**32 - 1)),
    *(value.to_bytes(4, "big") for value in (1, 2**31 - 1, 2**31)),
    *(value.to_bytes(8, "little") for value in (2**31, 2**63 - 1, 2**63, 2**64 - 1)),
    *(text.encode() for text in ("-1", "0", "1e400", "nan", "1/0", "9" * 25, "9" * 5000, "\0")),
)


def mutate(data: bytes, rng: random.Random, words: Sequence[bytes]) -> bytes:
    """Return a copy with one to six changes, or sometimes the entry itself."""
    out = bytearray(data)
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3, 6))):
        at = rng.randrange(len(out) + 1)
        kind = rng.randrange(8)
        if kind == 0 and out:
            out[at % len(out)] = rng.randrange(256)
        elif kind == 1 and out:
            out[at % len(out)] ^= 1 << rng.randrange(8)
        elif kind == 2:
            edge = rng.choice(EDGES)
            out[at : at + len(edge)] = edge
        elif kind == 3:
            out[at:at] = rng.choice(EDGES)
        elif kind == 4 and words:
            word = rng.choice(words)
            out[at : at + rng.choice((0, len(word)))] = word
        elif kind == 5:
            del out[at : at + rng.choice((1, 2, 4, 64))]
        elif kind == 6:
            del out[at:]
        else:
            start = rng.randrange(len(out) + 1)
            out[at:at] = out[start : start + rng.choice((1, 4, 32, 256))]
    return bytes(out)
