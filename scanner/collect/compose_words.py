"""The command line of a compose service, word by word, each with the line that it stands on."""

from __future__ import annotations

import shlex
from typing import Any

from llmscan.collect.compose_forms import scalar_text
from llmscan.collect.compose_interpolation import decided, gap_of, piece
from llmscan.collect.compose_sources import Sources
from llmscan.model import Word
from llmscan.places import Place, PlacedMap, place_of


def words_of(service: PlacedMap, key: str, sources: Sources) -> tuple[Word, ...] | None:
    """The words of `command` or `entrypoint`; None where the image decides."""
    node = service.get(key)
    place = place_of(service, key) or service.place
    if isinstance(node, list):
        return tuple(
            Word(str(text), at := decided(place_of(node, index) or place, text), gap_of(text, at))
            for index, item in enumerate(node)
            if (text := scalar_text(item)) is not None
        )
    text = scalar_text(node)
    return None if text is None else _split(text, place, sources)


def _split(text: str, place: Place, sources: Sources) -> tuple[Word, ...]:
    try:
        parts = shlex.split(text)
    except ValueError:
        parts = text.split()
    lines = _Lines(place, sources)
    words = []
    for part in parts:
        known = piece(part, text)
        at = decided(lines.place_of(part), known)
        words.append(Word(str(known), at, gap_of(known, at)))
    return tuple(words)


class _Lines:
    """The lines of a command that is written over several, walked once from the first word to the last."""

    def __init__(self, place: Place, sources: Sources) -> None:
        self.place, self.at = place, place.line
        several = place.end_line > place.line
        self.lines = (sources.text(place.path) or "").splitlines() if several else []

    def place_of(self, word: str) -> Place:
        for line in range(self.at, self._last() + 1):
            if word in self.lines[line - 1]:
                self.at = line
                break
        return Place(self.place.path, self.at, self.place.column, self.at) if self.lines else self.place

    def _last(self) -> int:
        return min(self.place.end_line, len(self.lines))


def is_cleared(node: Any) -> bool:
    """Whether an entrypoint is set to nothing, which leaves the image's out."""
    return node in ("", []) and node is not None
