"""Configuration files that a container mounts, read into trees: YAML, JSON, TOML, INI, properties and plain Python assignments."""

from __future__ import annotations

import ast
import configparser
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from llmscan.collect.yaml_tree import Unreadable, documents
from llmscan.model import ConfigFile
from llmscan.places import Place, PlacedMap, place_of

MAX_TEXT = 1_000_000
ASSIGNED = re.compile(r"^(?:c\.)?([A-Za-z_][\w.]*)\s*=\s*(.+?)\s*$")
INI_SECTION = re.compile(r"\[([^\]]+)\]")
INI_KEY = re.compile(r"([^\s#;:=\[][^:=]*?)\s*(?:[:=]|$)")
PROPERTY = re.compile(r"^\s*([A-Za-z_][\w.-]*)\s*[=:]\s*(.*?)\s*$")


def lookup(file: ConfigFile, key: str) -> Iterator[tuple[str, Place | None]]:
    """Each value that `key` (dotted, `*` for any step) has in `file`, as text, with its place in the file that brings it."""
    tree = _tree(file.path, file.text)
    for value, place in walk(tree, key.split(".")):
        yield as_text(value), _shifted(file, place)


def as_text(value: Any) -> str:
    """A value of a configuration file as it would stand in an environment variable."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return ""
    if isinstance(value, list):
        return ",".join(as_text(item) for item in value)
    return str(value)


def walk(node: Any, steps: Sequence[str]) -> Iterator[tuple[Any, Place | None]]:
    """The nodes at the end of `steps`; keys that hold dots themselves (`auth.enabled: true`) match joined steps too."""
    if not steps:
        yield node, None
        return
    yield from _step(node, steps)


def _step(node: Any, steps: Sequence[str]) -> Iterator[tuple[Any, Place | None]]:
    if isinstance(node, list):
        for index, item in enumerate(node):
            if steps[0] in ("*", str(index)):
                yield from _rest(item, steps[1:], place_of(node, index))
        return
    if not isinstance(node, dict):
        return
    for length in range(1, len(steps) + 1):
        name = ".".join(steps[:length])
        for key in list(node) if name == "*" else [name]:
            if key in node:
                yield from _rest(node[key], steps[length:], place_of(node, key))


def _rest(node: Any, steps: Sequence[str], place: Place | None) -> Iterator[tuple[Any, Place | None]]:
    if steps:
        yield from _step(node, steps)
    else:
        yield node, place


def _shifted(file: ConfigFile, place: Place | None) -> Place | None:
    """A place within the text, as a place in the file that holds the text."""
    if file.place is None:
        return None
    if place is None or file.place.end_line == file.place.line:
        return file.place
    offset = file.place.line - 1 + (1 if file.inline else 0)
    return Place(file.place.path, place.line + offset, place.column, place.end_line + offset)


@lru_cache(maxsize=256)
def _tree(path: str, text: str) -> Any:
    if len(text) > MAX_TEXT:
        return None
    suffix = path.rpartition(".")[2].lower()
    if suffix == "toml":
        return _toml(text)
    if suffix in ("ini", "cfg"):
        return _ini(text)
    if suffix == "py":
        return _python(text)
    if suffix in ("conf", "properties", "env"):
        return _properties(text)
    tree = next(iter(documents(text, path)), None)
    return None if isinstance(tree, Unreadable) else tree


def _toml(text: str) -> Any:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return None


def _ini(text: str) -> Any:
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    try:
        parser.read_string(text)
    except configparser.Error:
        return None
    lines = _ini_lines(text)
    return {section: _placed(dict(parser.items(section)), lines.get(section, {})) for section in parser.sections()}


def _ini_lines(text: str) -> dict[str, dict[str, int]]:
    """The line of each key, by its section."""
    result: dict[str, dict[str, int]] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := INI_SECTION.match(line):
            section = header[1]
        elif entry := INI_KEY.match(line):
            result.setdefault(section, {})[entry[1].rstrip().lower()] = number
    return result


def _placed(values: Mapping[str, Any], lines: Mapping[str, int]) -> PlacedMap:
    """Values with the lines of those that have one."""
    node = PlacedMap(values)
    node.place, node.tags = Place("", 1, 1, 1), None
    node.places = {key: Place("", line, 1, line) for key, line in lines.items()}
    return node


def _properties(text: str) -> PlacedMap:
    """`key = value` lines; `redis.conf` style `key value` lines too."""
    result: dict[str, str] = {}
    lines: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.split(" #", 1)[0].strip()
        if not line or line[0] in "#;[":
            continue
        match = PROPERTY.match(line)
        key, value = (match[1], match[2]) if match else line.partition(" ")[::2]
        result[key], lines[key] = value.strip().strip("\"'"), number
    return _placed(result, lines)


def _python(text: str) -> PlacedMap:
    """Plain assignments of a Python configuration file (`c.ServerApp.token = ''`); what is computed is left out."""
    result: dict[str, str] = {}
    lines: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if match := ASSIGNED.match(line.strip()):
            try:
                result[match[1]], lines[match[1]] = as_text(ast.literal_eval(match[2])), number
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                continue
    return _placed(result, lines)
