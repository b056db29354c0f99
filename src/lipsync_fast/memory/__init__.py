"""Buffers that return to their pool automatically."""

from ._pool import BufferPool, default_pool
from .stats import PoolStats

__all__ = ["BufferPool", "PoolStats", "default_pool"]
