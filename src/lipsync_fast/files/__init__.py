"""Safe reading of untrusted files, and output that is never half-written; nothing is public."""

__all__: list[str] = []
