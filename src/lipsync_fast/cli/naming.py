"""Errors that name the option to change: the library knows values, the command line options."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterator
from pathlib import Path

from ..errors import InputError

__all__ = ["name_option", "reject_dashes", "reject_empty"]

# A folder may have the name of a word that sentences start with.
_WORDS = frozenset(("a", "an", "frames", "give", "given", "its", "model", "none", "rects", "the"))


def name_option(options: argparse.Namespace, message: str) -> str:
    """Return an error's sentence with the option that it is about.

    Parameters
    ----------
    options : Namespace
        What was given, with the `parser` of the command.
    message : str
        The library's sentence, which holds the option's value or starts with its word.

    Returns
    -------
    str
        As it is where it names an option already, or none can be told.
    """
    given = list(_given(options))
    named = [(name, word) for name, word, _ in given if name.startswith("--")]
    if any(re.search(rf"(?<![\w-]){name}(?![\w-])", message) for name, _ in named):
        return message
    for name, word in named:
        # One entry, several, or with an article.
        if re.match(rf"{word}s? \d|{word}s |(the|an?) {word}(?!\w)", message):
            return f"{name}: {message}"
        if re.match(rf"{word}(?= )", message):
            return name + message[len(word) :]
    places = [
        (place, -len(text), name, text)
        for name, _, value in given
        for text in _spellings(value)
        if (place := _find(text, message)) is not None
    ]
    if not places:
        return message
    first = min(places)
    same = dict.fromkeys(
        name for place, _, name, text in places if (place, -len(text)) == first[:2]
    )
    name = " or ".join(same)
    return f"{name} {message}" if first[0] == 0 else f"{name}: {message}"


def _given(options: argparse.Namespace) -> Iterator[tuple[str, str, str]]:
    """Yield name, word and value of everything that was given, positional arguments last."""
    actions = options.parser._actions
    positional = [a for a in actions if not a.option_strings]
    for action in sorted(actions, key=lambda a: not a.option_strings):
        value = getattr(options, action.dest, None)
        if value is None or value is False or value == action.default:
            continue
        name = action.option_strings[-1] if action.option_strings else action.metavar
        if not action.option_strings and len(positional) == 1:
            continue  # it goes without saying
        for one in value if isinstance(value, list) else [value]:
            yield name or action.dest, action.dest.replace("_", " "), str(one)


def _spellings(value: str) -> list[str]:
    """Return a value as messages spell it: as given, as a Path, with links followed."""
    if value in ("", "-") or value.isdigit():
        return []
    return sorted({value, str(Path(value)), os.path.realpath(value)}, key=len, reverse=True)


def _find(text: str, message: str) -> int | None:
    """Return where a message speaks of a value, None where it does not."""
    escaped = re.escape(text)
    plain = re.search(rf"(?<=: ){escaped}$|(?<='){escaped}(?=')", message)
    if text.lower() not in _WORDS:
        plain = re.match(rf"{escaped}(?=$|[ :,;/])", message) or plain
    if plain is None and not text.isalpha():
        plain = re.search(rf"(?<![\w./-]){escaped}(?![\w-]|\.\w)", message)
    return None if plain is None else plain.start()


# ---- values that no command can use --------------------------------------------------------


def reject_empty(options: argparse.Namespace) -> None:
    """Reject empty arguments (an unset shell variable); "" would mean the current folder."""
    for action in options.parser._actions:
        value = getattr(options, action.dest, None)
        if value == "" or (isinstance(value, list) and "" in value):
            raise InputError(f"{_called(action)} is empty; give it a value, or leave it out")


def reject_dashes(options: argparse.Namespace, allowed: tuple[str, ...] = ()) -> None:
    """Reject - where a file or a folder is named, which would be made, or missed, by that name."""
    for action in options.parser._actions:
        if action.dest not in allowed and getattr(options, action.dest, None) == "-":
            raise InputError(
                f"{_called(action)} - stands for standard input or output, which cannot be used "
                "here; name a file or a folder, ./- for one of that name"
            )


def _called(action: argparse.Action) -> str:
    name = action.option_strings[-1] if action.option_strings else action.metavar
    return str(name or action.dest)
