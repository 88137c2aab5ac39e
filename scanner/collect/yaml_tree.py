"""Read YAML and JSON into trees that keep the place of every value.

Built on the events of PyYAML's C parser, since its loaders drop positions. A file is cut at its document markers first, so that
a document that does not parse takes none of its neighbours down. Nothing is ever constructed from a tag.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
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

from llmscan.places import PLACED, Place, PlacedList, PlacedMap

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
        return _parsed(chunk, path, line, words)
    except (yaml.YAMLError, TreeError) as error:
        if "\t" in chunk and (stripped := TRAILING_TAB.sub("", chunk)) != chunk:
            return _document(stripped, path, line, words)
        return _unreadable(error, path, line, chunk)


def _parsed(chunk: str, path: str, line: int, words: dict[str, Any]) -> Any:
    parser = CParser(chunk)
    try:
        return _build(parser.get_event, path, line + 1, words)
    finally:
        parser.dispose()


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


def _build(get: Callable[[], Any], path: str, offset: int, words: dict[str, Any]) -> Any:
    """Turn the events of one document into a tree, without recursion. offset: the line of the file on which it begins."""
    anchors: dict[str, tuple[Any, int]] = {}
    # What is open: the node, its anchor and tag, the nodes before it, and holder, key and mark around it.
    stack: list[tuple[Any, str | None, str | None, int, Any, Any, Any]] = []
    root: Any = None
    node: Any
    holder: Any = None  # the innermost open mapping or sequence
    key = mark = None  # in a mapping: the key whose value comes next, and its mark; no mark where a key comes next
    last = count = 0  # the line on which the node before ended; nodes so far
    while (event := get()) is not None:
        kind = type(event)
        if kind is ScalarEvent:
            node, tag, style = event.value, event.tag, event.style
            count += 1
            last = event.end_mark.line + offset
            if not style:
                if tag is None or event.implicit[0]:
                    if node[:1] in NUMERIC:
                        node = _number(node)
                    elif len(node) < 6:
                        node = words.get(node, node)
            elif style in "|>" and event.end_mark.column == 0 and event.end_mark.line > event.start_mark.line:
                last -= 1  # a block scalar ends before the next token
            if event.anchor is not None:
                anchors[event.anchor] = (node, 1)
            if tag is None and type(holder) is PlacedMap:  # most events: what the end of the loop does, at once
                if mark is None:
                    key, mark = node, event.start_mark
                    continue
                if key != "<<":
                    holder[key] = node
                    holder.places[key] = new_tuple(Place, (path, mark.line + offset, mark.column + 1, last, None))
                    mark = None
                    continue
        elif kind is MappingStartEvent or kind is SequenceStartEvent:
            if len(stack) >= MAX_DEPTH:
                raise TreeError(f"it is nested more than {MAX_DEPTH} levels deep", event.start_mark.line)
            count += 1
            node, mapping = (PlacedMap(), True) if kind is MappingStartEvent else (PlacedList(), False)
            start = event.start_mark
            node.place = new_tuple(Place, (path, start.line + offset, start.column + 1, 0, None))
            node.places, node.tags = {} if mapping else [], None
            stack.append((node, event.anchor, event.tag, count, holder, key, mark))
            holder, mark = node, None
            continue
        elif kind is MappingEndEvent or kind is SequenceEndEvent:
            node, anchor, tag, before, holder, key, mark = stack.pop()
            if event.end_mark.index > event.start_mark.index:  # closed by a bracket
                last = event.end_mark.line + offset
            _, line, column, _, _ = node.place
            if last < line:
                last = line
            node.place = new_tuple(Place, (path, line, column, last, None))
            if kind is MappingEndEvent and "<<" in node:
                _merge(node)
            if anchor is not None:
                anchors[anchor] = (node, count - before + 1)
        elif kind is AliasEvent:
            if event.anchor not in anchors:
                raise TreeError("an alias has no anchor before it", event.start_mark.line)
            node, size = anchors[event.anchor]
            tag = None
            count += size
            last = event.end_mark.line + offset
        else:
            continue
        if count > MAX_NODES:
            raise TreeError(f"it expands to more than {MAX_NODES} values", event.start_mark.line)
        if holder is None:
            root = node
        elif type(holder) is PlacedList:
            if kind is MappingEndEvent or kind is SequenceEndEvent:
                holder.places.append(node.place)
            else:
                start = event.start_mark
                holder.places.append(new_tuple(Place, (path, start.line + offset, start.column + 1, last, None)))
            holder.append(node)
            if tag is not None:
                _tag(holder, len(holder) - 1, tag)
        elif mark is None:
            if isinstance(node, PLACED):
                raise TreeError(
                    "a key is itself a mapping or a sequence (an unfilled template?)", node.place.line - offset
                )
            key, mark = node, event.start_mark
        else:
            if key == "<<" and "<<" in holder:
                node = [*_sources(holder["<<"]), *_sources(node)]
            holder[key] = node
            holder.places[key] = new_tuple(Place, (path, mark.line + offset, mark.column + 1, last, None))
            if tag is not None:
                _tag(holder, key, tag)
            mark = None
    return root


def _tag(holder: Any, key: Any, tag: str) -> None:
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
                    _tag(node, key, source.tags[key])
