"""The files of a repository as the compose collector may see them: read once, and never outside the tree."""

from __future__ import annotations

import os
import posixpath
import re
import stat
import sys
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from llmscan.collect.yaml_tree import Unreadable, documents
from llmscan.places import Place, PlacedList, PlacedMap

MAX_BYTES = 4_000_000
MAX_LISTED = 5_000
"""Names of one folder that are kept: in a larger one each is looked up by itself."""
EXACT_NAMES = sys.platform != "darwin"
"""Whether a file is there under the name that is listed alone: macOS finds it by other cases and accents too, so that it has to be asked."""
NOT_NAMES = frozenset({"", ".", ".."})
"""Last parts of a path that name nothing in the folder before them."""
REMOTE = re.compile(r"(?:[a-z][a-z0-9+.-]*://|git@|github\.com/|oci:)", re.IGNORECASE)
CREDENTIALS = re.compile(r"//[^/@\s]*@")


def join(directory: str, path: str) -> str:
    """`path` as written in a file of `directory` (a plain path), relative to where `directory` is."""
    if "/" not in path and path not in NOT_NAMES:
        return path if directory in ("", ".") else f"{directory.rstrip('/')}/{path}"
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
        self._within = f"{self.root.rstrip('/')}/"
        self._start = f"{str(start).rstrip('/')}/" if start else ""
        self._modes: dict[str, int] = {}
        self._resolved: dict[str, str] = {}
        self._listed: dict[str, Mapping[str, int] | None] = {}
        self._folders: dict[str, tuple[str, ...]] = {}
        self._texts: dict[str, str | None] = {}
        self._trees: dict[str, tuple[Any, ...] | Unreadable] = dict(parsed or {})

    def inside(self, path: str) -> bool:
        """Whether `path` is there and, with all links followed, within the tree."""
        return self._mode(path) != 0

    def those_inside(self, folder: str, names: Iterable[str]) -> list[str]:
        """The paths of those of `names` that are in a folder, and within the tree."""
        there = self._names(self._at(folder))
        return [path for name in names if (there is None or name in there) and self.inside(path := join(folder, name))]

    def is_folder(self, path: str) -> bool:
        return stat.S_ISDIR(self._mode(path))

    def _mode(self, path: str) -> int:
        """The type of the file at `path`; 0 for what is not there or lies outside the tree."""
        mode = self._modes.get(path)
        if mode is None:
            try:
                mode = self._looked_up(self._at(path))
            except (OSError, ValueError):
                mode = 0
            self._modes[path] = mode
        return mode

    def _at(self, path: str) -> str:
        return path if path.startswith("/") else self._start + path

    def _looked_up(self, path: str) -> int:
        above, slash, name = path.rpartition("/")
        folder = above or slash or "."
        names = self._names(folder) if name not in NOT_NAMES else None
        mode = names.get(name, 0) if names is not None else os.lstat(path).st_mode
        if not stat.S_ISLNK(mode):
            return mode if names is not None or self._holds(folder, name) else 0
        folder, name = os.path.split(os.path.realpath(path))
        return os.lstat(os.path.join(folder, name)).st_mode if self._holds(folder, name) else 0  # noqa: PTH118

    def _names(self, folder: str) -> Mapping[str, int] | None:
        """The types of what is in a folder of the tree, by name; None where it lies outside, is too large, or cannot be listed."""
        if folder not in self._listed:
            try:
                real = self._real(folder)
                inside = EXACT_NAMES and f"{real}/".startswith(self._within)
                self._listed[folder] = _types(real) if inside else None
            except (OSError, ValueError):
                self._listed[folder] = None
        return self._listed[folder]

    def _holds(self, folder: str, name: str) -> bool:
        """Whether what is called `name` in `folder`, itself no link, is in the tree."""
        real = self._real(folder)
        if name in NOT_NAMES:
            real = os.path.realpath(f"{real}/{name}")
        return f"{real}/".startswith(self._within) or f"{real.rstrip('/')}/{name}" == self.root

    def _real(self, folder: str) -> str:
        """Where a folder is with all links followed. Only the folder around it is resolved step by step, and once: it is costly."""
        if folder not in self._resolved:
            above, _, name = folder.rpartition("/")
            if not above or name in NOT_NAMES:
                self._resolved[folder] = os.path.realpath(folder)
                return self._resolved[folder]
            if above not in self._resolved:
                self._resolved[above] = os.path.realpath(above)
            here = f"{self._resolved[above].rstrip('/')}/{name}"
            names = self._listed.get(above)
            linked = os.path.islink(here) if names is None else stat.S_ISLNK(names.get(name, 0))  # noqa: PTH114
            self._resolved[folder] = os.path.realpath(here) if linked else here
        return self._resolved[folder]

    def entries(self, folder: str) -> list[str]:
        """The names in a folder, sorted; none if it cannot be listed."""
        if not self.is_folder(folder):
            return []
        at = self._at(folder)
        names = self._names(at)
        try:
            return sorted(os.listdir(at) if names is None else names)  # noqa: PTH208 - names are all that is wanted
        except OSError:
            return []

    def folders(self, folder: str) -> tuple[str, ...]:
        """The names of the folders in a folder, sorted; they are looked for once."""
        if folder not in self._folders:
            names = self.entries(folder)
            self._folders[folder] = tuple(name for name in names if self.is_folder(join(folder, name)))
        return self._folders[folder]

    def text(self, path: str) -> str | None:
        """The text of a file; None if it is not there, not in the tree, too large, or no text."""
        if path not in self._texts:
            self._texts[path] = self._read(path)
        return self._texts[path]

    def _read(self, path: str) -> str | None:
        try:
            if not stat.S_ISREG(self._mode(path)):
                return None
            with open(self._at(path), "rb", buffering=0) as file:  # noqa: PTH123 - a Path costs more than the reading
                content = file.read(min(os.fstat(file.fileno()).st_size, MAX_BYTES) + 1)
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


def _types(folder: str) -> Mapping[str, int] | None:
    """The type of everything in a folder, links not followed; None where it is too large. Raises OSError."""
    with os.scandir(folder) as entries:
        found = {entry.name: _type(entry) for entry in islice(entries, MAX_LISTED + 1)}
    return found if len(found) <= MAX_LISTED else None


def _type(entry: os.DirEntry[str]) -> int:
    if entry.is_file(follow_symlinks=False):
        return stat.S_IFREG
    return stat.S_IFDIR if entry.is_dir(follow_symlinks=False) else entry.stat(follow_symlinks=False).st_mode


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
