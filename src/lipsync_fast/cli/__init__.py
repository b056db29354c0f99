"""The command line: one file a command, behind ``lipsync-fast`` and ``python -m lipsync_fast``."""

__all__: list[str] = []  # nothing here is public: programs call the package itself
