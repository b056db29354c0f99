"""Counts of a BufferPool."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PoolStats:
    """Counts of a BufferPool at one instant, consistent with each other.

    Attributes
    ----------
    hits : int
        Times that an idle block was lent again.
    misses : int
        Times that no idle block had the size, so the system was asked or the limit refused.
    lent : int
        Blocks in use now.
    lent_bytes : int
        Bytes of those blocks, at their class sizes.
    idle : int
        Blocks waiting to be lent.
    bytes : int
        Bytes held, lent and idle together; `limit` bounds them.
    peak : int
        Greatest value of `bytes` so far.
    trimmed : int
        Idle blocks returned to the system, by `trim()` or at the limit.
    served_bytes : int
        Sum of the requested bytes of all loans so far.
    limit : int or None
        The pool's limit in bytes.
    """

    hits: int
    misses: int
    lent: int
    lent_bytes: int
    idle: int
    bytes: int
    peak: int
    trimmed: int
    served_bytes: int
    limit: int | None
