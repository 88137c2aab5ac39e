"""The command line of a compose service, word by word, each with the line that it stands on."""

from __future__ import annotations

import re
from typing import Any

from llmscan.collect.compose_forms import items_of, scalar_text
from llmscan.collect.compose_interpolation import Interpolated, decided, gap_of, piece
from llmscan.collect.compose_sources import Sources
from llmscan.model import Word
from llmscan.places import Place, PlacedMap, place_of

PART = re.compile(
    r"""
    (?P<space>[ \t\r\n]+)
    | \\(?P<escaped>.)
    | '(?P<single>[^']*)'
    | "(?P<double>(?:[^"\\]|\\.)*)"
    | (?P<kept>`[^`]*` | \$\([^)]*\) | \$\{[^}]*\})
    | (?P<end>[;&|<>])
    | (?P<plain>.)
    """,
    re.DOTALL | re.VERBOSE,
)
ESCAPED = re.compile(r"\\(.)", re.DOTALL)
DIGITS = "0123456789"
MAX_LENGTH = 20_000
"""Characters of a command that are cut into words."""
MAX_AHEAD = 50
"""Lines of a command in which its next word is looked for."""


def words_of(service: PlacedMap, key: str, sources: Sources) -> tuple[Word, ...] | None:
    """The words of `command` or `entrypoint`; None where the image decides."""
    node = service.get(key)
    place = place_of(service, key) or service.place
    if isinstance(node, list):
        texts = [(scalar_text(item), at) for item, at in items_of(node, place)]
        return tuple([_word(text, at) for text, at in texts if text is not None])
    text = scalar_text(node)
    return None if text is None else _split(text, place, sources)


def _split(text: str, place: Place, sources: Sources) -> tuple[Word, ...]:
    lines = _Lines(place, sources)
    words = []
    for part in shell_words(text):
        words.append(_word(piece(part, text), lines.place_of(part)))
    return tuple(words)


def _word(text: str, place: Place) -> Word:
    if not isinstance(text, Interpolated):
        return Word(text, place)
    at = decided(place, text)
    return Word(str(text), at, gap_of(text, at))


def shell_words(text: str) -> list[str]:
    """A command line's words as Compose cuts them: it starts no shell, and takes nothing from the first `;`, `&`, `|`, `<` or `>` on."""
    words: list[str] = []
    word: str | None = None
    for found in PART.finditer(text[:MAX_LENGTH]):
        kind, value = found.lastgroup, found[found.lastgroup or 0]
        if kind == "end":
            word = None if value == ">" and word and word[0] in DIGITS else word  # the number of a file, as in 2>&1
            break
        if kind == "space":
            words += [] if word is None else [word]
            word = None
        else:
            word = (word or "") + (ESCAPED.sub(r"\1", value) if kind == "double" else value)
    return words if word is None else [*words, word]


class _Lines:
    """The lines of a command that is written over several, walked once from the first word to the last."""

    def __init__(self, place: Place, sources: Sources) -> None:
        self.place, self.at = place, place.line
        several = place.end_line > place.line
        self.lines = (sources.text(place.path) or "").splitlines() if several else []

    def place_of(self, word: str) -> Place:
        for line in range(self.at, min(self._last(), self.at + MAX_AHEAD) + 1):
            if word in self.lines[line - 1]:
                self.at = line
                break
        return Place(self.place.path, self.at, self.place.column, self.at) if self.lines else self.place

    def _last(self) -> int:
        return min(self.place.end_line, len(self.lines))


def is_cleared(node: Any) -> bool:
    """Whether an entrypoint is set to nothing, which leaves the image's out."""
    return node in ("", []) and node is not None
