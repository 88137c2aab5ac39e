"""Read env files (`.env`, `env_file`) as Compose does, with the line of every value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import NamedTuple

from llmscan.collect.compose_interpolation import Lookup, gap_of, given, interpolate, is_known, limited
from llmscan.model import LooseValue, Origin, Setting
from llmscan.places import Place

BLANK = " \t\v\f\r\x85\xa0"
KEY = re.compile(r"(?:export[ \t]+)?(?P<key>[\w.\-\[\] \t]*?)[ \t]*(?:(?P<sign>[=:])|(?=\n|\Z))")
ESCAPE = re.compile(r"\\(?:([abcfnrtv$\"\\])|0([0-7]{0,3}))")
ESCAPES = {
    "a": "\a",
    "b": "\b",
    "c": "\\c",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    "$": "$$",
    '"': '"',
    "\\": "\\",
}
MAX_LINES = 20_000
ENV_FILE_NAME = re.compile(
    r"(?:[\w.-]*\.)env(?:[._-][\w-]+)*\Z|[\w-]*env\.(?:default|dist|example|local|sample|template)\Z|env\Z",
    re.IGNORECASE,
)
PROGRAMS = frozenset(
    {".go", ".j2", ".java", ".js", ".json", ".md", ".mjs", ".py", ".rb", ".rs", ".sh", ".toml", ".ts", ".yaml", ".yml"}
)
"""What ends so is a program or a document about the environment, not a file of it."""


class EnvEntry(NamedTuple):
    """A line of an env file. `value` None: only the name is given, the value is the starting shell's."""

    name: str
    value: str | None
    place: Place


class _Raw(NamedTuple):
    """An entry before its references are filled in. `quote` is `'`, `"` or nothing."""

    name: str
    value: str | None
    quote: str
    place: Place


def parse_env(text: str, path: str, lookup: Lookup, *, raw: bool = False) -> tuple[EnvEntry, ...]:
    """The entries of an env file, later ones able to refer to earlier ones; `lookup` goes before them.

    `raw`: the text after `=` is the value, as `format: raw` of an `env_file` has it. Lines that Compose would refuse are left
    out: what they meant is not known, and the other lines still tell something.
    """
    if raw:
        return tuple(_raw_lines(text, path))
    known: dict[str, str] = {}

    def either(name: str) -> str | None:
        outer = lookup(name)
        return outer if outer is not None else known.get(name)

    find = limited(either)
    entries = []
    for entry in _statements(text.replace("\r\n", "\n"), path):
        value = _filled(entry, find)
        if value is not None:
            known[entry.name] = value
        entries.append(EnvEntry(entry.name, value, entry.place))
    return tuple(entries)


def _filled(entry: _Raw, find: Lookup) -> str | None:
    if entry.value is None:
        return find(entry.name)
    return entry.value if entry.quote == "'" else interpolate(entry.value, find)


def _raw_lines(text: str, path: str) -> Iterator[EnvEntry]:
    for number, line in enumerate(text.splitlines(), 1):
        name, sign, value = line.partition("=")
        if name.strip() and not name.lstrip().startswith("#"):
            yield EnvEntry(name.strip(), value if sign else None, Place(path, number, 1, number))


def _statements(text: str, path: str) -> Iterator[_Raw]:
    at, line = (1 if text.startswith("\ufeff") else 0), 1
    while at < len(text) and line <= MAX_LINES:
        char = text[at]
        if char == "\n" or char in BLANK:
            line += char == "\n"
            at += 1
            continue
        entry, after = _statement(text, at, line, path) if char != "#" else (None, _line_end(text, at))
        if entry is not None:
            yield entry
        line += text.count("\n", at, after)
        at = after


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _statement(text: str, at: int, line: int, path: str) -> tuple[_Raw | None, int]:
    """The entry that begins at `at`, and where it ends; None for a line that is no entry."""
    found = KEY.match(text, at)
    if not found or not found["key"]:
        return None, _line_end(text, at)
    name, start = found["key"], found.end()
    if not found["sign"]:
        return _Raw(name, None, "", Place(path, line, 1, line)), start
    while start < len(text) and text[start] in BLANK:
        start += 1
    if text[start : start + 1] in ("'", '"'):
        return _quoted(text, start, name, line, path)
    end = _line_end(text, start)
    value = text[start:end].split(" #", 1)[0].rstrip()
    return _Raw(name, value, "", Place(path, line, 1, line)), end


def _quoted(text: str, start: int, name: str, line: int, path: str) -> tuple[_Raw | None, int]:
    quote, at = text[start], start + 1
    while at < len(text) and text[at] != quote:
        at += 2 if text[at] == "\\" else 1
    if at >= len(text):
        return None, _line_end(text, start)
    value = text[start + 1 : at].replace(f"\\{quote}", quote)
    place = Place(path, line, 1, line + value.count("\n"))
    return _Raw(name, _unescaped(value) if quote == '"' else value, quote, place), at + 1


def _unescaped(value: str) -> str:
    return ESCAPE.sub(lambda found: ESCAPES[found[1]] if found[1] else chr(int(found[2] or "0", 8)), value)


def is_env_file(path: str) -> bool:
    """Whether `path` is called as env files are: `.env`, `x.env`, `.env.example`, `prod.env.sample`."""
    name = path.rpartition("/")[2]
    return bool(ENV_FILE_NAME.match(name)) and PurePosixPath(name).suffix not in PROGRAMS


def loose_values(entries: tuple[EnvEntry, ...]) -> tuple[LooseValue, ...]:
    """The entries as values that stand outside any container."""
    return tuple(LooseValue("env file", "(env file)", _setting(entry)) for entry in entries if entry.value is not None)


def _setting(entry: EnvEntry) -> Setting:
    if entry.value is None or is_known(entry.value):
        return Setting(entry.name, None if entry.value is None else str(entry.value), entry.place)
    return Setting(entry.name, None, entry.place, Origin.UNRESOLVED, gap_of(entry.value, entry.place))


def env_file_values(path: str, text: str) -> tuple[LooseValue, ...]:
    """The values of an env file that no project uses (`.env.example`, `prod.env`)."""
    return loose_values(parse_env(text, path, lambda name: None))


def variables(entries: tuple[EnvEntry, ...]) -> Mapping[str, str]:
    """What the entries set, for interpolation."""
    return {entry.name: given(entry.value, entry.place) for entry in entries if entry.value is not None}
