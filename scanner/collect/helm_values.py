"""Where the value stands that decided a rendered line: in values.yaml, in a parent chart's, or in a file given with `--values`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec import field

from llmscan.collect.helm_lines import ACTION, key_of
from llmscan.places import Place, PlacedList, PlacedMap, place_of
from llmscan.records import Record

WORDS = re.compile(
    r"\.Values((?:\.[A-Za-z_][\w-]*)+)|(?<![\w$)\]\"'])\.((?:[A-Za-z_][\w-]*)(?:\.[A-Za-z_][\w-]*)*)|(?<=[\s(])(\.)(?=[\s)}|])"
)
BUILT_IN = ("Values", "Release", "Chart", "Template", "Files", "Capabilities", "Subcharts")
INCLUDED = re.compile(r"(?:include|template)\s+\"([^\"]+)\"")
DEFINE = re.compile(r"\{\{-?\s*define\s+\"([^\"]+)\"\s*-?\}\}(.*?)(?=\{\{-?\s*define\s+\"|\Z)", re.DOTALL)
BLOCK = re.compile(r"\{\{-?\s*(if|with|range|define|block|end|else)\b([^}]*)\}\}")
RENDERED = re.compile(r"^\s*(?:-\s+)*(?:[^\s:]+:\s+)?[\"']?(.*?)[\"']?\s*$")
VARIABLE = re.compile(r"\$(\w+)")
ASSIGNMENT = re.compile(r"\$(\w+)\s*(?:,\s*\$(\w+)\s*)?:?=\s*([^}]*)")
MAX_INCLUDES = 3
NEAR = 4
"""As many lines below an `if` its condition is taken for what put a line in: further down it is what put the whole file in."""
Path = tuple[str, ...]


class Layer(Record, frozen=True):
    """One values file as a chart sees it: its tree, and the keys that lead in it to the chart's own values."""

    tree: Any
    prefix: Path = ()


class Deciding(Record, frozen=True):
    """The values that a chart's templates are rendered with, the strongest layer first.

    set_paths: what the command line sets, which stands in no file. defines: the bodies of named templates.
    """

    layers: tuple[Layer, ...] = ()
    set_paths: tuple[Path, ...] = ()
    defines: Mapping[str, str] = field(default_factory=dict)

    def node(self, path: Path) -> tuple[Any, Place | None]:
        """What a path of values leads to and where it is set; (None, None) where nothing, or the command line, sets it."""
        if any(path[: len(one)] == one for one in self.set_paths):
            return None, None
        for layer in self.layers:
            for prefix in dict.fromkeys((layer.prefix, ()) if path[0] == "global" else (layer.prefix,)):
                holder, key = _find(layer.tree, (*prefix, *path))
                if holder is not None:
                    return holder[key], place_of(holder, key)
        return None, None


def _find(tree: Any, path: Path) -> tuple[Any, Any]:
    holder = tree
    for step in path[:-1]:
        holder = holder.get(step) if isinstance(holder, dict) else None
    return (holder, path[-1]) if isinstance(holder, dict) and path[-1] in holder else (None, None)


def defines_in(texts: Sequence[str]) -> dict[str, str]:
    """The named templates of a chart's files."""
    return {match[1]: match[2] for text in texts for match in DEFINE.finditer(text)}


class LineReferences(Record, frozen=True):
    """What a line of a template takes from the values, and the conditions under which it is there, the nearest first."""

    own: tuple[Path, ...] = ()
    conditions: tuple[Path, ...] = ()


class _Block(NamedTuple):
    """An `if`, `with`, `range` or `define` that is open: what it asks of the values, and what a dot in it means."""

    word: str
    conditions: tuple[Path, ...]
    dot: Path | None
    line: int


def references(template: Sequence[str], deciding: Deciding) -> list[LineReferences]:
    """The references of each line; inside `with` and `range` a leading dot means what these were given."""
    blocks: list[_Block] = []
    variables: dict[str, tuple[Path, ...]] = {}
    result: list[LineReferences] = []
    for number, line in enumerate(template):
        dot = next((block.dot for block in reversed(blocks) if block.word in ("with", "range")), ())
        own = tuple(_paths(line, dot, deciding.defines, 0)) if "{{" in line else ()
        own += tuple(path for name in VARIABLE.findall(line) for path in variables.get(name, ()))
        near = [block for block in reversed(blocks) if number - block.line <= NEAR]
        conditions = tuple(path for block in near for path in block.conditions)
        opened = [match for match in BLOCK.finditer(line) if match[1] != "else"]
        result.append(LineReferences(own if not opened or ACTION.sub("", line).strip() else (), conditions))
        for match in ASSIGNMENT.finditer(line):
            paths = tuple(_paths(match[3], dot, deciding.defines, MAX_INCLUDES))
            variables |= {name: paths for name in match.group(1, 2) if name}
        for match in opened:
            _step(match, blocks, dot, deciding.defines, number)
    return result


def _step(
    match: re.Match[str], blocks: list[_Block], dot: Path | None, defines: Mapping[str, str], number: int
) -> None:
    word, said = match[1], match[2]
    if word == "end":
        if blocks:
            blocks.pop()
        return
    paths = tuple(_paths(said, dot, defines, MAX_INCLUDES))
    plain = word != "define" and not re.search(r"\b(?:not|ne|or|empty)\b", said)
    blocks.append(_Block(word, paths if plain else (), paths[0] if paths else None, number))


def _paths(text: str, dot: Path | None, defines: Mapping[str, str], depth: int) -> Iterator[Path]:
    for match in WORDS.finditer(text):
        if match[1]:
            yield tuple(match[1][1:].split("."))
        elif dot and match[2] and match[2].split(".")[0] not in BUILT_IN:
            yield (*dot, *match[2].split("."))
        elif dot and match[3]:
            yield dot
    if depth < MAX_INCLUDES:
        for name in INCLUDED.findall(text):
            yield from _paths(defines.get(name, ""), None, defines, depth + 1)


def produces(path_sets: Sequence[LineReferences], deciding: Deciding, line: int, key: str) -> bool:
    """Whether a value that a line of the template puts in holds a key, at any depth."""
    nodes = (deciding.node(path)[0] for path in path_sets[line].own)
    return any(_holding(node, key) is not None for node in nodes)


def decided_by(found: LineReferences, deciding: Deciding, rendered: str) -> Place | None:
    """Where the value stands that made a rendered line what it is."""
    text = RENDERED.sub(r"\1", rendered)
    best: tuple[int, Place] | None = None
    for path in found.own:
        node, place = deciding.node(path)
        score, where = _score(node, place, key_of(rendered), text)
        if where is not None and score and (best is None or score >= best[0]):
            best = (score, where)
    if best is not None:
        return best[1]
    return None if found.own else _condition(found.conditions, deciding)


def _score(node: Any, place: Place | None, key: str, text: str) -> tuple[int, Place | None]:
    """How surely a node made a line: the same scalar, a scalar within it, or an entry of a mapping."""
    if isinstance(node, PlacedMap | PlacedList):
        entry = _holding(node, key, text) or _holding(node, key)
        return (3, entry) if entry is not None else (0, None)
    if node is None or place is None:
        return 0, None
    said = "true" if node is True else "false" if node is False else str(node)
    if said and said == text:
        return 4, place
    return (2, place) if said and said in text else (0, None)


def _holding(node: Any, key: str, text: str | None = None) -> Place | None:
    """The place of the first entry of a tree that has a key, and a value if that is asked for."""
    waiting = [node]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, PlacedMap):
            value = one.get(key)
            if key in one and (text is None or _same(value, text)):
                return one.places.get(key)
            waiting += one.values()
        elif isinstance(one, PlacedList):
            for index, item in enumerate(one):
                if not key and text is not None and _same(item, text):
                    return one.places[index]
            waiting += one
    return None


def _same(value: Any, text: str) -> bool:
    said = "true" if value is True else "false" if value is False else str(value)
    return not isinstance(value, dict | list) and said == text


def _condition(conditions: Sequence[Path], deciding: Deciding) -> Place | None:
    """The switch that put a line in: the nearest condition that is a plain `true`."""
    for path in conditions:
        node, place = deciding.node(path)
        if node is True:
            return place
    return None
