"""Disk without trust and without half-written output; nothing here is public."""

__all__: list[str] = []
