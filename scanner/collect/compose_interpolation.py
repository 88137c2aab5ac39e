"""Fill in `${}` as Compose does, and remember what could not be filled in.

A variable that nothing gives a value stays in the text as `${NAME}`, so that the text can still be split at its colons and shown
to people; the text is then an `Interpolated`, which says which of its variables are unknown. Plain `str` is plainly known.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from operator import is_
from typing import Any

from llmscan.model import Gap
from llmscan.places import Place, PlacedList, PlacedMap

Lookup = Callable[[str], str | None]

REFERENCE = re.compile(r"\$(?:(?P<escaped>\$)|(?P<named>[A-Za-z_][A-Za-z0-9_]*)|(?P<braced>\{))")
BRACED = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(:?[-?+])?", re.ASCII)
BRACE = re.compile(r"[{}]")
MAX_NESTING = 40
"""Defaults within defaults: nobody writes more, and recursion ends somewhere."""

MAX_FILLED = 32_000_000
"""Characters that the variables of one file may bring in all: doubled and doubled again, a few lines would fill any memory."""


def limited(lookup: Lookup) -> Lookup:
    """`lookup` until it has given MAX_FILLED characters; from then on it knows nothing."""
    left = MAX_FILLED

    def find(name: str) -> str | None:
        nonlocal left
        value = lookup(name)
        left -= len(value or "")
        return value if left >= 0 else None

    return find


class Interpolated(str):
    """A text in which variables were replaced.

    missing: variables without default and value, left in the text as `${NAME}`. demanded: those that `:?` makes whoever starts
    it set. supplied: a part of it came from a `.env` file or from an allowed variable, not from this file. given_at: the line of
    that `.env` file.
    """

    __slots__ = ("demanded", "given_at", "missing", "supplied")

    missing: tuple[str, ...]
    demanded: tuple[str, ...]
    supplied: bool
    given_at: Place | None

    @classmethod
    def of(
        cls,
        text: str,
        missing: tuple[str, ...] = (),
        demanded: tuple[str, ...] = (),
        supplied: bool = False,
        given_at: Place | None = None,
    ) -> str:
        """`text` with what is to be known about it; a plain string if there is nothing."""
        if not (missing or demanded or supplied):
            return text
        made = cls(text)
        made.missing, made.demanded, made.supplied, made.given_at = missing, demanded, supplied, given_at
        return made

    @property
    def complete(self) -> bool:
        return not (self.missing or self.demanded)


def interpolate(text: str, lookup: Lookup) -> str:
    """`text` with its references replaced: a plain string, or an `Interpolated` where something is to be said about it."""
    if "$" not in text:
        return text
    reading = _Reading(lookup)
    filled = reading.fill(text, 0)
    return Interpolated.of(filled, tuple(reading.missing), tuple(reading.demanded), reading.supplied, reading.given_at)


def interpolate_tree(node: Any, lookup: Lookup) -> Any:
    """`node` with every string in it interpolated; what holds no reference is the same object, not a copy."""
    if isinstance(node, str):
        return interpolate(node, lookup) if "$" in node else node
    if isinstance(node, PlacedMap):
        return _interpolated_map(node, lookup)
    if isinstance(node, PlacedList):
        return _interpolated_list(node, lookup)
    return node


def _interpolated_map(node: PlacedMap, lookup: Lookup) -> PlacedMap:
    changed = {}
    for key, value in node.items():
        if type(value) is str and "$" not in value:  # what most are
            continue
        new = interpolate_tree(value, lookup)
        if new is not value:
            changed[key] = new
    if not changed:
        return node
    copy = PlacedMap(node)
    copy.update(changed)
    copy.place, copy.places, copy.tags = node.place, node.places, node.tags
    return copy


def _interpolated_list(node: PlacedList, lookup: Lookup) -> PlacedList:
    new = [value if type(value) is str and "$" not in value else interpolate_tree(value, lookup) for value in node]
    if all(map(is_, new, node)):
        return node
    copy = PlacedList(new)
    copy.place, copy.places, copy.tags = node.place, node.places, node.tags
    return copy


def piece(text: str, whole: object) -> str:
    """`text`, a part cut out of `whole`, with what `whole` knew about the variables that are in this part."""
    if not isinstance(whole, Interpolated):
        return text
    missing = tuple(name for name in whole.missing if f"${{{name}}}" in text)
    demanded = tuple(name for name in whole.demanded if f"${{{name}}}" in text)
    return Interpolated.of(text, missing, demanded, whole.supplied, whole.given_at)


def is_known(value: object) -> bool:
    """False where a variable in `value` has no value that could be seen."""
    return not isinstance(value, Interpolated) or value.complete


def decided(place: Place, *values: object) -> Place:
    """`place` with the line of the `.env` file that gave one of `values` its text, if one did."""
    for value in values:
        if isinstance(value, Interpolated) and value.given_at is not None and place.decided_by is None:
            return place._replace(decided_by=value.given_at)
    return place


def given(value: str, place: Place) -> str:
    """The value of a variable that a `.env` file gives, with its line."""
    missing, demanded = (value.missing, value.demanded) if isinstance(value, Interpolated) else ((), ())
    return Interpolated.of(value, missing, demanded, True, place)


def is_demanded(value: object) -> bool:
    """True where all that is missing is what `:?` makes whoever starts it set: not known here, and never empty."""
    return isinstance(value, Interpolated) and bool(value.demanded) and not value.missing


def is_supplied(value: object) -> bool:
    """True where a part of `value` came from a `.env` file or an allowed variable."""
    return isinstance(value, Interpolated) and value.supplied


def gap_of(value: object, place: Place | None, kind: str = "environment") -> Gap | None:
    """What is missing in `value`; None if nothing is."""
    if not isinstance(value, Interpolated) or value.complete:
        return None
    if value.missing:
        names = ", ".join(f"${{{name}}}" for name in value.missing)
        verb = "has" if len(value.missing) == 1 else "have"
        return Gap(kind, names, f"{verb} no default, and no .env gives a value", "a .env file that sets it", place)
    names = ", ".join(f"${{{name}}}" for name in value.demanded)
    return Gap(kind, names, "must be set by whoever starts it, to a value that is not here to see", place=place)


class _Reading:
    """One text being filled in, and what was learned on the way."""

    def __init__(self, lookup: Lookup) -> None:
        self.lookup = lookup
        self.missing: dict[str, None] = {}
        self.demanded: dict[str, None] = {}
        self.supplied = False
        self.given_at: Place | None = None

    def fill(self, text: str, depth: int) -> str:
        out: list[str] = []
        at, closings = 0, _closings(text)
        while (found := REFERENCE.search(text, at)) is not None:
            out.append(text[at : found.start()])
            filled, at = self._reference(text, found, closings, depth)
            out.append(filled)
        out.append(text[at:])
        return "".join(out)

    def _reference(self, text: str, found: re.Match[str], closings: dict[int, int], depth: int) -> tuple[str, int]:
        if found["escaped"]:
            return "$", found.end()
        if found["named"]:
            return self._value(found["named"]), found.end()
        end = closings.get(found.end() - 1)
        if end is None or depth > MAX_NESTING:
            return found[0], found.end()
        return self._braced(text[found.end() : end], depth), end + 1

    def _braced(self, body: str, depth: int) -> str:
        found = BRACED.match(body)
        if not found or (not found[2] and found.end() != len(body)):
            return f"${{{body}}}"  # Compose refuses it; whatever it is, it is no reference
        name, operator, rest = found[1], found[2] or "", body[found.end() :]
        if not operator:
            return self._value(name)
        value = self.lookup(name)
        given = value is not None and (value != "" or not operator.startswith(":"))
        return self._operated(name, operator[-1], rest, given, depth)

    def _operated(self, name: str, operator: str, rest: str, given: bool, depth: int) -> str:
        if operator == "+":
            if self.lookup(name) is None:
                return self._miss(name)
            return self.fill(rest, depth + 1) if given else ""
        if given and operator == "-" and self.lookup(name) == rest:
            return rest  # the file says the same itself
        if given:
            return self._value(name)
        if operator == "-":
            return self.fill(rest, depth + 1)
        self.demanded[name] = None
        return f"${{{name}}}"

    def _value(self, name: str) -> str:
        value = self.lookup(name)
        if value is None:
            return self._miss(name)
        self.supplied = True
        if isinstance(value, Interpolated):
            self.missing.update(dict.fromkeys(value.missing))
            self.demanded.update(dict.fromkeys(value.demanded))
            self.given_at = self.given_at or value.given_at
        return str(value)

    def _miss(self, name: str) -> str:
        self.missing[name] = None
        return f"${{{name}}}"


def _closings(text: str) -> dict[int, int]:
    """For each opening brace of `text` the index of the one that closes it."""
    found: dict[int, int] = {}
    if "{" not in text:
        return found
    open_ones: list[int] = []
    for brace in BRACE.finditer(text):
        if brace[0] == "{":
            open_ones.append(brace.start())
        elif open_ones:
            found[open_ones.pop()] = brace.start()
    return found
