"""Read YAML and JSON into trees that keep the place of every value.

Built on the events of PyYAML's C parser, since its loaders drop positions. A file is cut at its document markers first, so that
a document that does not parse takes none of its neighbours down. Nothing is ever constructed from a tag.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml
from yaml._yaml import CParser
from yaml.events import (
    AliasEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from yaml.reader import ReaderError

from llmscan.places import Place, PlacedList, PlacedMap

MAX_NODES = 1_000_000
"""Nodes of one document, aliases counted as what they stand for: more is an alias bomb, not a deployment."""
MAX_DEPTH = 200
NUMERIC = frozenset("0123456789+-.")
new_tuple = tuple.__new__
MARKER = re.compile(r"^(?:---(?=[ \t\r\n]|$)|\.\.\.(?=[ \t\r\n]|$))", re.MULTILINE)
CONTENT = re.compile(r"^[ \t]*[^\s#%]", re.MULTILINE)
SURROGATES = re.compile(r"(?<!\\)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
TRAILING_TAB = re.compile(r"[ \t]*\t[ \t]*(?=\r?$)", re.MULTILINE)
INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9_]*)\Z")
BASED = re.compile(r"[-+]?(?:0x[0-9a-fA-F_]+|0o?[0-7_]+|0b[01_]+)\Z")
FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
WORDS: dict[str, Any] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
LEGACY: dict[str, Any] = WORDS | {
    word: value
    for value, words in ((True, "y Y yes Yes YES on On ON"), (False, "n N no No NO off Off OFF"))
    for word in words.split()
}
STANDARD_TAG = "tag:yaml.org,2002:"


class Unreadable(NamedTuple):
    """A document that does not parse: where, and why, in words that hold nothing of its content."""

    place: Place
    reason: str


class TreeError(Exception):
    """A document that parses and still cannot be a tree; `line` counts from 0 within the document."""

    def __init__(self, reason: str, line: int) -> None:
        super().__init__(reason)
        self.reason, self.line = reason, line


def documents(text: str, path: str, *, legacy_booleans: bool = True) -> Iterator[Any | Unreadable]:
    """Each document of `text` as a tree, or as `Unreadable`; empty documents are left out.

    `legacy_booleans`: `yes` and `on` are booleans, as Kubernetes' parser has it (and Compose's has not).
    """
    words = LEGACY if legacy_booleans else WORDS
    for chunk, line in _cut(text):
        if CONTENT.search(chunk):
            yield _document(chunk, path, line, words)


def _cut(text: str) -> Iterator[tuple[str, int]]:
    """The text between document markers, with the number of lines before it."""
    start = line = 0
    for marker in MARKER.finditer(text):
        chunk = text[start : marker.start()]
        if chunk:
            yield chunk, line
        line += chunk.count("\n")
        start = marker.end()
    yield text[start:], line


def _document(chunk: str, path: str, line: int, words: dict[str, Any]) -> Any | Unreadable:
    first = chunk.lstrip()[:1]
    if first in "{[" and "\t" in chunk:
        chunk = chunk.replace("\t", " ")  # JSON indented with tabs; a JSON string cannot hold a bare one
    if first in "{[" and "\\u" in chunk:
        chunk = SURROGATES.sub(_joined, chunk)  # JSON writes in two escapes what YAML writes in one
    try:
        return _Builder(path, line, words).build(chunk)
    except (yaml.YAMLError, TreeError) as error:
        if "\t" in chunk and (stripped := TRAILING_TAB.sub("", chunk)) != chunk:
            return _document(stripped, path, line, words)
        return _unreadable(error, path, line, chunk)


def _joined(pair: re.Match[str]) -> str:
    return chr(0x10000 + (int(pair[1], 16) - 0xD800) * 0x400 + int(pair[2], 16) - 0xDC00)


def _unreadable(error: Exception, path: str, line: int, chunk: str) -> Unreadable:
    mark = getattr(error, "problem_mark", None)
    if isinstance(error, ReaderError):
        within = chunk.encode()[: error.position].count(b"\n")
    else:
        within = error.line if isinstance(error, TreeError) else mark.line if mark else 0
    at = line + within + 1
    reason = getattr(error, "reason", None) or getattr(error, "problem", None) or "it is not YAML"
    return Unreadable(Place(path, at, (mark.column + 1) if mark else 1, at), str(reason))


def _number(text: str) -> Any:
    """The number that a plain scalar stands for; the text itself where it is none, or none that fits (thousands of digits)."""
    try:
        return _read_number(text)
    except ValueError:
        return text


def _read_number(text: str) -> Any:
    if INTEGER.match(text):
        return int(text.replace("_", ""))
    if BASED.match(text):
        digits = text.replace("_", "")
        sign = -1 if digits.startswith("-") else 1
        body = digits.lstrip("+-")
        base = {"0x": 16, "0o": 8, "0b": 2}.get(body[:2], 8)
        return sign * int(body[2:] if base != 8 or body[:2] == "0o" else body, base)
    return float(text) if FLOAT.match(text) else text


class _Builder:
    """Turns the events of one document into a tree, without recursion."""

    def __init__(self, path: str, line: int, words: dict[str, Any]) -> None:
        self.path, self.offset, self.words = path, line + 1, words
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.count = 0
        self.last_line = 0

    def build(self, chunk: str) -> Any:
        parser = CParser(chunk)
        try:
            return self._build(parser)
        finally:
            parser.dispose()

    def _build(self, parser: Any) -> Any:
        get = parser.get_event
        # A frame: container, pending key, place of that key, anchor, nodes counted when it began.
        stack: list[list[Any]] = []
        root: Any = None
        while (event := get()) is not None:
            kind = type(event)
            if kind is ScalarEvent and stack and event.tag is None and event.anchor is None:
                self._plain(event, stack[-1])
                continue
            if kind is ScalarEvent:
                value = self._scalar(event)
                self.last_line = self._end(event)
                node, tag = value, event.tag
                if event.anchor:
                    self.anchors[event.anchor] = (node, 1)
                self.count += 1
            elif kind is MappingStartEvent or kind is SequenceStartEvent:
                self.count += 1
                node = PlacedMap() if kind is MappingStartEvent else PlacedList()
                node.places = {} if kind is MappingStartEvent else []
                node.tags = None
                mark = event.start_mark
                node.place = Place(self.path, mark.line + self.offset, mark.column + 1, 0)
                if len(stack) >= MAX_DEPTH:
                    raise TreeError(f"it is nested more than {MAX_DEPTH} levels deep", mark.line)
                stack.append([node, None, None, event.anchor, self.count, event.tag])
                continue
            elif kind is MappingEndEvent or kind is SequenceEndEvent:
                frame = stack.pop()
                node, tag = frame[0], frame[5]
                first = node.place
                node.place = Place(first.path, first.line, first.column, max(self._end(event), first.line))
                self.last_line = node.place.end_line
                if kind is MappingEndEvent and "<<" in node:
                    _merge(node)
                if frame[3]:
                    self.anchors[frame[3]] = (node, self.count - frame[4] + 1)
            elif kind is AliasEvent:
                if event.anchor not in self.anchors:
                    raise TreeError("an alias has no anchor before it", event.start_mark.line)
                node, size = self.anchors[event.anchor]
                tag = None
                self.count += size
                self.last_line = event.end_mark.line + self.offset
            else:
                continue
            if self.count > MAX_NODES:
                raise TreeError(f"it expands to more than {MAX_NODES} values", event.start_mark.line)
            if not stack:
                root = node
                continue
            self._attach(stack[-1], node, tag, event)
        return root

    def _plain(self, event: Any, frame: list[Any]) -> None:
        """A scalar without tag and anchor, nine events of ten: what `_attach` does, in one step."""
        text, style = event.value, event.style
        if style:
            last = event.end_mark.line + self.offset if style in "'\"" else self._end(event)
        else:
            last = event.end_mark.line + self.offset
            if text[:1] in NUMERIC:
                text = _number(text)
            elif len(text) < 6:
                text = self.words.get(text, text)
        self.last_line = last
        self.count += 1
        holder, at = frame[0], frame[2]
        if type(holder) is PlacedList:
            mark = event.start_mark
            holder.places.append(new_tuple(Place, (self.path, mark.line + self.offset, mark.column + 1, last, None)))
            holder.append(text)
        elif at is None:
            frame[1], frame[2] = text, event.start_mark
        else:
            key = frame[1]
            frame[1] = frame[2] = None
            holder[key] = text
            holder.places[key] = new_tuple(Place, (self.path, at.line + self.offset, at.column + 1, last, None))

    def _end(self, event: Any) -> int:
        """The line on which the node of `event` ends: block scalars and collections end before the next token."""
        start, mark = event.start_mark, event.end_mark
        line = int(mark.line) + self.offset
        if type(event) is ScalarEvent:
            ends_before = event.style in ("|", ">") and mark.column == 0 and mark.line > start.line
            return line - 1 if ends_before else line
        flow = mark.index > start.index
        return line if flow else self.last_line

    def _scalar(self, event: Any) -> Any:
        text = event.value
        if event.style or not event.implicit[0]:
            return text
        if text[:1] in NUMERIC:
            return _number(text)
        return self.words.get(text, text) if len(text) < 6 else text

    def _attach(self, frame: list[Any], node: Any, tag: str | None, event: Any) -> None:
        holder = frame[0]
        mark = event.start_mark
        if type(holder) is PlacedList:
            if isinstance(node, PlacedMap | PlacedList) and type(event) is not AliasEvent:
                holder.places.append(node.place)
            else:
                holder.places.append(Place(self.path, mark.line + self.offset, mark.column + 1, self.last_line))
            holder.append(node)
            self._tag(holder, len(holder) - 1, tag)
            return
        if frame[2] is None:
            if isinstance(node, PlacedMap | PlacedList):
                raise TreeError(
                    "a key is itself a mapping or a sequence (an unfilled template?)", node.place.line - self.offset
                )
            frame[1], frame[2] = node, mark
            return
        key, at = frame[1], frame[2]
        frame[1] = frame[2] = None
        if key == "<<" and "<<" in holder:
            node = [*_sources(holder["<<"]), *_sources(node)]
        holder[key] = node
        holder.places[key] = Place(self.path, at.line + self.offset, at.column + 1, self.last_line)
        self._tag(holder, key, tag)

    @staticmethod
    def _tag(holder: Any, key: Any, tag: str | None) -> None:
        if tag and not tag.startswith(STANDARD_TAG):
            holder.tags = holder.tags or {}
            holder.tags[key] = tag


def _sources(node: Any) -> list[Any]:
    return list(node) if isinstance(node, list) else [node]


def _merge(node: PlacedMap) -> None:
    """Put in the entries of the merge key `<<` that `node` has not itself: earlier sources win."""
    sources = [source for source in _sources(node["<<"]) if isinstance(source, PlacedMap)]
    del node["<<"]
    node.places.pop("<<", None)
    for source in sources:
        for key, value in source.items():
            if key not in node:
                node[key] = value
                node.places[key] = source.places[key]
                if source.tags and key in source.tags:
                    _Builder._tag(node, key, source.tags[key])
