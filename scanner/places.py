"""Where in a source a value stands: `Place`, and the mappings and sequences that remember it.

A tree read from a file is made of `PlacedMap` and `PlacedList`, which are a dict and a list that also know the place of each
entry; a tree read from a live API is made of plain dicts and lists. Code that reads a tree treats both alike and asks
`place_of` where something stands: it answers None for what was not read from a file.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Place(NamedTuple):
    """A span of lines in a file. Lines and columns count from 1; `path` is relative to the working directory, with `/`.

    decided_by: for a line from which a tool made what is judged (a template of a chart, a resource under an overlay), where the value
    stands that decided it; None where the line itself says so.
    """

    path: str
    line: int
    column: int
    end_line: int
    decided_by: Place | None = None

    @property
    def start(self) -> Place:
        """The first line alone."""
        return self._replace(end_line=self.line)


class PlacedMap(dict[Any, Any]):
    """A mapping that knows its place, the place of each entry (from the key to the end of the value), and unusual tags."""

    __slots__ = ("place", "places", "tags")

    place: Place
    places: dict[Any, Place]
    tags: dict[Any, str] | None


class PlacedList(list[Any]):
    """A sequence that knows its place, the place of each item, and unusual tags by index."""

    __slots__ = ("place", "places", "tags")

    place: Place
    places: list[Place]
    tags: dict[Any, str] | None


PLACED = (PlacedMap, PlacedList)


def place_of(node: Any, key: Any = None) -> Place | None:
    """The place of `node`, or of its entry `key`; the place of `node` where it has no such entry; None if unknown."""
    if not isinstance(node, PLACED):
        return None
    if key is None:
        return node.place
    if isinstance(node, PlacedMap):
        return node.places.get(key, node.place)
    return node.places[key] if 0 <= key < len(node.places) else node.place


def tag_of(node: Any, key: Any) -> str | None:
    """The unusual tag (`!reset`) of the entry `key` of `node`, if it has one."""
    tags = getattr(node, "tags", None)
    return tags.get(key) if tags else None


def line_within(place: Place | None, text: str, index: int, *, block: bool = True) -> Place | None:
    """The line of `index` within a text that stands at `place`. block: the text of a key, which begins on the line after it."""
    if place is None:
        return None
    inside = text.count("\n", 0, index)
    line = place.line + inside + (1 if block and place.end_line > place.line else 0)
    line = min(line, max(place.end_line, place.line + inside))
    return Place(place.path, line, 1, line, place.decided_by)
