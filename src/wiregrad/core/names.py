"""Messages about names: the nearest known ones first, and all of them only where they are few."""

from __future__ import annotations

import difflib
from collections.abc import Collection

NEAREST = 3
"""Suggestions for one misspelt name, at most."""
LISTED = 20
"""Names that a message lists in full, at most."""
EXAMPLES = 5
"""Names that stand for a longer list."""


def did_you_mean(name: str, known: Collection[str]) -> str:
    """``; did you mean 'a', 'b' or 'c'?`` with the nearest names first, or an empty string."""
    near = [repr(each) for each in difflib.get_close_matches(name, known, n=NEAREST)]
    if not near:
        return ""
    *others, last = near
    return f"; did you mean {', '.join(others)}{' or ' if others else ''}{last}?"


def listing(known: Collection[str], word: str = "known") -> str:
    """``(known: a, b, c)``, or ``(73 are known, such as a, b, c)`` where there are too many."""
    names = list(known)
    if len(names) <= LISTED:
        return f"({word}: {', '.join(names) or 'none'})"
    return f"({len(names)} are {word}, such as {', '.join(names[:EXAMPLES])})"


def hint(name: str, known: Collection[str]) -> str:
    """What follows a misspelt name: the nearest known ones and, if they are few, all of them."""
    near = did_you_mean(name, known)
    many = len(known) > LISTED
    return near + ("" if near and many else f" {listing(known)}")


def unknown(what: str, name: str, known: Collection[str]) -> str:
    """``unknown WHAT 'NAME'``, with a `hint`."""
    return f"unknown {what} {name!r}{hint(name, known)}"
