"""JSON that was cut off: everything that is whole in it, since what tells a server stands at the front of documents of any size."""

from __future__ import annotations

import json
import re
from typing import Any

SPACE = re.compile(r"[\s,]*")
COLON = re.compile(r"\s*:?\s*")
DECODER = json.JSONDecoder()
DEEPEST = 20


def read(text: str) -> Any:
    """A whole document, or as much of a cut one as is whole; None where it is no JSON object or list at all."""
    text = text.lstrip("\ufeff \t\r\n")
    if text[:1] not in ("{", "[", '"') and not text[:1].isalnum() and text[:1] != "-":
        return None
    try:
        return json.loads(text)
    except RecursionError:
        return None
    except ValueError:
        return _front(text, 0, DEEPEST) if text[:1] == "{" else None


def _front(text: str, start: int, depth: int) -> dict[str, Any]:
    """The members of the object that begins at `start`, until one is not whole; of that one, its own front."""
    found: dict[str, Any] = {}
    at = SPACE.match(text, start + 1).end()  # type: ignore[union-attr]  # it matches nothing as well
    key = ""
    while text[at : at + 1] == '"':
        try:
            key, at = DECODER.raw_decode(text, at)
            at = _after(COLON, text, at)
            found[key], at = DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            if key and text[at : at + 1] == "{" and depth:
                found[key] = _front(text, at, depth - 1)
            break
        at = _after(SPACE, text, at)
    return found


def _after(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at
