"""The files of a repository as the compose collector may see them: read once, and never outside the tree."""

from __future__ import annotations

import os
import posixpath
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llmscan.collect.yaml_tree import Unreadable, documents
from llmscan.places import Place, PlacedList, PlacedMap

MAX_BYTES = 4_000_000
REMOTE = re.compile(r"(?:[a-z][a-z0-9+.-]*://|git@|github\.com/|oci:)", re.IGNORECASE)
CREDENTIALS = re.compile(r"//[^/@\s]*@")


def join(directory: str, path: str) -> str:
    """`path` as written in a file of `directory`, relative to where `directory` is."""
    return posixpath.normpath(posixpath.join(directory or ".", path))


def folder_of(path: str) -> str:
    """The folder of a file, `.` for the working directory."""
    return posixpath.dirname(path) or "."


def is_remote(path: str) -> bool:
    """Whether `path` names something to fetch (a URL, a git or OCI reference)."""
    return bool(REMOTE.match(path))


def shown(path: str) -> str:
    """A path or URL without credentials in it."""
    return CREDENTIALS.sub("//", path)


class Sources:
    """The tree under `root`. Paths are relative to `start` (by default the working directory), with `/`; each file is read once."""

    def __init__(
        self, root: Path, parsed: Mapping[str, tuple[Any, ...]] | None = None, start: Path | None = None
    ) -> None:
        self.root = os.path.realpath(root)
        self._start = str(start or "")
        self._modes: dict[str, int] = {}
        self._folders: dict[str, str] = {}
        self._texts: dict[str, str | None] = {}
        self._trees: dict[str, tuple[Any, ...] | Unreadable] = dict(parsed or {})

    def inside(self, path: str) -> bool:
        """Whether `path` is there and, with all links followed, within the tree."""
        return self._mode(path) != 0

    def is_folder(self, path: str) -> bool:
        return stat.S_ISDIR(self._mode(path))

    def _mode(self, path: str) -> int:
        """The type of the file at `path`; 0 for what is not there or lies outside the tree."""
        if path not in self._modes:
            try:
                self._modes[path] = self._looked_up(path)
            except (OSError, ValueError):
                self._modes[path] = 0
        return self._modes[path]

    def _at(self, path: str) -> str:
        return os.path.join(self._start, path)  # noqa: PTH118

    def _looked_up(self, path: str) -> int:
        path = self._at(path)
        mode = os.lstat(path).st_mode
        if not stat.S_ISLNK(mode):
            return mode if self._holds(folder_of(path), path.rpartition("/")[2]) else 0
        folder, name = os.path.split(os.path.realpath(path))
        return os.lstat(os.path.join(folder, name)).st_mode if self._holds(folder, name) else 0  # noqa: PTH118

    def _holds(self, folder: str, name: str) -> bool:
        """Whether what is called `name` in `folder`, itself no link, is in the tree. Folders are resolved once: it is costly."""
        if folder not in self._folders:
            self._folders[folder] = os.path.realpath(folder)
        real = self._folders[folder]
        if name in ("", ".", ".."):
            real = os.path.realpath(f"{real}/{name}")
        return f"{real}/".startswith(f"{self.root.rstrip('/')}/") or f"{real.rstrip('/')}/{name}" == self.root

    def entries(self, folder: str) -> list[str]:
        """The names in a folder, sorted; none if it cannot be listed."""
        try:
            return sorted(one.name for one in Path(self._at(folder)).iterdir()) if self.is_folder(folder) else []
        except OSError:
            return []

    def text(self, path: str) -> str | None:
        """The text of a file; None if it is not there, not in the tree, too large, or no text."""
        if path not in self._texts:
            self._texts[path] = self._read(path)
        return self._texts[path]

    def _read(self, path: str) -> str | None:
        try:
            if not stat.S_ISREG(self._mode(path)):
                return None
            with open(self._at(path), "rb") as file:  # noqa: PTH123 - thousands of files, and a Path costs more than the reading
                content = file.read(MAX_BYTES + 1)
        except (OSError, ValueError):
            return None
        return (
            None
            if b"\0" in content or len(content) > MAX_BYTES
            else content.decode("utf-8", "replace").removeprefix("\ufeff")
        )

    def trees(self, path: str) -> tuple[Any, ...] | Unreadable:
        """The documents of a YAML file; `Unreadable` if one of them does not parse or the file cannot be read."""
        if path not in self._trees:
            self._trees[path] = self._parse(path)
        return self._trees[path]

    def _parse(self, path: str) -> tuple[Any, ...] | Unreadable:
        text = self.text(path)
        if text is None:
            return Unreadable(Place(path, 1, 1, 1), "it cannot be read as text inside the tree")
        found = tuple(documents(text, path, legacy_booleans=False))
        return next((one for one in found if isinstance(one, Unreadable)), found)


def placed_map(entries: dict[Any, Any], place: Place, places: dict[Any, Place] | None = None) -> PlacedMap:
    """A mapping that stands at `place`; `places` for entries that stand elsewhere."""
    made = PlacedMap(entries)
    made.place, made.places, made.tags = place, places or {}, None
    return made


def placed_list(items: list[Any], place: Place, places: list[Place]) -> PlacedList:
    """A sequence that stands at `place`, its items at `places`."""
    made = PlacedList(items)
    made.place, made.places, made.tags = place, places, None
    return made
