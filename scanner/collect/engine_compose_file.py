"""Reads what compose files say of one service, each value with its line, for comparison with a running container.

Labels of containers name the files, and anyone who can label a container can name any file of this machine. So a file counts only if it is
a regular YAML file of bounded size below its project's own folder; and nothing of it is taken but where values stand.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from llmscan.collect.engine_json import plain
from llmscan.collect.yaml_tree import Unreadable, documents
from llmscan.places import Place, PlacedMap, place_of
from llmscan.records import Record

CONFIG_FILES = "com.docker.compose.project.config_files"
WORKING_DIR = "com.docker.compose.project.working_dir"
MAX_FILE = 4_000_000
MAX_FILES = 20
INTERPOLATED = re.compile(r"\$\{(?:[^{}]|\{[^{}]*\})*\}|\$[A-Za-z_]\w*")


class Entry(Record, frozen=True):
    """One value of a compose file and where it stands."""

    value: Any
    place: Place | None

    def says(self, value: str | None) -> bool:
        """Whether the entry stands for `value`: literally, or through a variable, whose value is not in the file."""
        written = _written(self.value)
        return written == value or bool(INTERPOLATED.search(written.replace("$$", "")))


class ComposeService(Record, frozen=True):
    """What the files say of one service, the file that counts most last."""

    definitions: tuple[PlacedMap, ...]
    place: Place | None

    def entry(self, *keys: str) -> Entry | None:
        """The entry under a path of keys, from the last file that has it."""
        for definition in reversed(self.definitions):
            holder: Any = definition
            for key in keys[:-1]:
                holder = holder.get(key) if isinstance(holder, dict) else None
            if isinstance(holder, dict) and keys[-1] in holder:
                return Entry(holder[keys[-1]], place_of(holder, keys[-1]))
        return None

    def items(self, key: str) -> Iterator[Entry]:
        """The items of a list that the files add to each other, the last file's first."""
        for definition in reversed(self.definitions):
            items = definition.get(key)
            if isinstance(items, list):
                yield from (Entry(item, place_of(items, index)) for index, item in enumerate(items))

    def pair(self, key: str, name: str) -> Entry | None:
        """The value of `name` in a mapping, or in a list of `name=value` (environment, labels, sysctls)."""
        for definition in reversed(self.definitions):
            found = _pair(definition.get(key), name)
            if found:
                return found
        return None


def _pair(pairs: Any, name: str) -> Entry | None:
    if isinstance(pairs, dict):
        return Entry(pairs[name], place_of(pairs, name)) if name in pairs else None
    for index, item in enumerate(pairs if isinstance(pairs, list) else ()):
        key, separator, value = str(item).partition("=")
        if key == name:
            return Entry(value if separator else None, place_of(pairs, index))
    return None


def _written(value: Any) -> str:
    """A scalar as the engine gets it; a variable that is only named takes its value from elsewhere, as `$NAME` does."""
    if value is None:
        return "$NAME"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if not isinstance(value, dict | list) else ""


class ComposeFiles:
    """The compose files that labels name, each read once."""

    def __init__(self) -> None:
        self._trees: dict[tuple[str, str], PlacedMap | None] = {}

    def trees(self, labels: Mapping[str, str]) -> tuple[PlacedMap, ...]:
        """The files of the project that the labels belong to, as far as they may and can be read."""
        folder = labels.get(WORKING_DIR, "")
        names = labels.get(CONFIG_FILES, "").split(",")[:MAX_FILES]
        trees = (self._tree(name.strip(), folder) for name in names if folder and name.strip())
        return tuple(tree for tree in trees if tree is not None)

    def service(self, labels: Mapping[str, str], name: str) -> ComposeService | None:
        """What the files say of the service; None where none of them knows it."""
        holders = [tree.get("services") for tree in self.trees(labels)]
        found = [
            holder for holder in holders if isinstance(holder, PlacedMap) and isinstance(holder.get(name), PlacedMap)
        ]
        if not found:
            return None
        return ComposeService(tuple(holder[name] for holder in found), place_of(found[0], name))

    def _tree(self, name: str, folder: str) -> PlacedMap | None:
        if (name, folder) not in self._trees:
            self._trees[name, folder] = _parse(name, folder)
        return self._trees[name, folder]


def _parse(name: str, folder: str) -> PlacedMap | None:
    text = _read(name, folder)
    if text is None:
        return None
    tree = next(documents(text, _shown(name, folder), legacy_booleans=False), None)
    return tree if isinstance(tree, PlacedMap) and not isinstance(tree, Unreadable) else None


def _read(name: str, folder: str) -> str | None:
    """The text of the file, or None where the label names something else than a YAML file of its project."""
    if "\0" in name + folder or name != plain(name) or not name.endswith((".yaml", ".yml")):
        return None
    base = Path(os.path.realpath(folder))
    path = Path(os.path.realpath(base / name))
    if not Path(folder).is_absolute() or base == Path(base.anchor) or not path.is_relative_to(base):
        return None
    try:
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0))
        with os.fdopen(number, "rb") as file:
            status = os.fstat(number)
            if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_FILE:
                return None
            return file.read(MAX_FILE).decode("utf-8-sig")
    except (OSError, ValueError):
        return None


def _shown(name: str, folder: str) -> str:
    """The path as reports show it: relative to the working directory where it lies below that."""
    path = Path(folder) / name
    here = Path.cwd()
    for candidate in (path, Path(os.path.realpath(path))):
        if candidate.is_relative_to(here):
            return candidate.relative_to(here).as_posix()
    return path.as_posix()
