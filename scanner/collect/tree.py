"""The files of a scan: found once, read once, named as the report names them, and never through a link out of their tree."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

from llmscan.findings import Failure
from llmscan.model import Gap
from llmscan.places import Place

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

MAX_BYTES = 16 * 1024 * 1024
"""Larger files are named and not read: no deployment is written by hand in more."""
SUFFIXES = (".yaml", ".yml", ".json")
NAME_OF = attrgetter("name")
SKIPPED_FOLDERS = frozenset(
    {
        ".git",
        ".hg",
        ".svn",
        "node_modules",
        ".venv",
        "venv",
        "__pycache__",
        ".terraform",
        ".tox",
        ".mypy_cache",
        ".pytest_cache",
    }
)


@dataclass(slots=True)
class FileTree:
    """What was found under the PATHs of a scan.

    paths: every file, as the report names it (relative to the working directory, or to its PATH where that lies elsewhere), sorted.
    """

    paths: tuple[str, ...] = ()
    failures: list[Failure] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    given: frozenset[str] = frozenset()
    """Those that were named themselves."""
    _absolute: dict[str, str] = field(default_factory=dict)
    _roots: dict[str, Path] = field(default_factory=dict)
    _here: Path = field(default_factory=lambda: Path.cwd().resolve())
    _elsewhere: Path | None = None
    _failed: set[str] = field(default_factory=set)

    def absolute(self, path: str) -> Path:
        """Where the file is. Raises KeyError for a path that is not of this tree."""
        return Path(self._absolute[path])

    def root(self, path: str) -> Path:
        """The folder out of which nothing belonging to `path` may lead."""
        return self._roots[path]

    def base(self, path: str) -> Path:
        """The folder that `path` counts from: the working directory, or for what lies elsewhere the folder of its PATH."""
        return self._base(self._absolute[path])

    def _base(self, file: str) -> Path:
        return self._here if self._elsewhere is None or is_within(file, str(self._here)) else self._elsewhere

    def name(self, file: str) -> str:
        """How reports name a file or folder. Bytes that are no UTF-8 are shown by their numbers."""
        return _legible(file[len(_started(str(self._base(file)))) :] or ".")

    def add(self, file: str, shown: str, root: Path) -> None:
        """Take in a file that reports name `shown`."""
        if self._absolute.setdefault(shown, file) != file:
            self.failures.append(
                Failure("input", file, f"another file is called {shown} in this report: scan it by itself")
            )
        self._roots.setdefault(shown, root)

    def __contains__(self, path: str) -> bool:
        return path in self._absolute

    def read(self, path: str) -> str | None:
        """The text of a file, or None with a failure where it is too large, no text, or not readable."""
        try:
            file = self._absolute[path]
            if (size := os.stat(file).st_size) > MAX_BYTES:  # noqa: PTH116 - a Path costs more than the reading, as below
                self._fail(
                    path, f"it has {size // 1_000_000} MB, and more than {MAX_BYTES // 1_000_000} MB are not read"
                )
                return None
            with open(file, "rb", buffering=0) as opened:  # noqa: PTH123
                data = opened.read()
        except OSError as error:
            self._fail(path, f"it cannot be read: {error.strerror or 'error'}")
            return None
        return self._decoded(path, data)

    def _decoded(self, path: str, data: bytes) -> str | None:
        wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
        if b"\0" in data and not wide:
            self._fail(path, "it is binary")
            return None
        try:
            return data.decode("utf-16" if wide else "utf-8-sig")
        except UnicodeDecodeError as error:
            line = data[: error.start].count(b"\n") + 1
            self._fail(path, f"it is not {'UTF-16' if wide else 'UTF-8'} text", line)
            return None

    def _fail(self, path: str, reason: str, line: int = 1) -> None:
        if path not in self._failed:
            self._failed.add(path)
            self.failures.append(Failure("input", path, reason, Place(path, line, 1, line)))


def find_files(paths: Sequence[str], exclude: Sequence[str] = ()) -> FileTree:
    """Walk the PATHs. A missing one is a failure; ignored and excluded files and links are left out."""
    tree = FileTree()
    starts = [(name, Path(name).resolve()) for name in paths]
    tree._elsewhere = _elsewhere((start for _, start in starts), tree._here)
    given = set()
    for name, start in starts:
        if start.is_file():
            shown = tree.name(str(start))
            tree.add(str(start), shown, start.parent)
            given.add(shown)
        elif start.is_dir():
            _walk(start, tree, _Ignores(start, exclude))
        else:
            reason = "it is neither a file nor a folder" if start.exists() else "there is no such file or folder"
            tree.failures.append(Failure("input", name, reason))
    tree._absolute = dict(sorted(tree._absolute.items()))
    tree.paths = tuple(tree._absolute)
    tree.given = frozenset(given)
    return tree


def _elsewhere(starts: Iterable[Path], here: Path) -> Path | None:
    """The folder that holds all PATHs that lie outside the working directory; None where there are none."""
    outside = [start if start.is_dir() else start.parent for start in starts if not start.is_relative_to(here)]
    return Path(os.path.commonpath(outside)) if outside else None


def _legible(path: str) -> str:
    """A path with bytes that are no UTF-8 shown by their numbers."""
    return path if path.isascii() else os.fsencode(path).decode("utf-8", "backslashreplace")


def _started(folder: str) -> str:
    """What the paths of everything in `folder` begin with."""
    return folder if folder.endswith("/") else f"{folder}/"


def is_within(path: str, folder: str) -> bool:
    """Whether a path is that of `folder` or of something in it, both absolute and without `..`."""
    return path == folder or path.startswith(_started(folder))


def _walk(root: Path, tree: FileTree, ignores: _Ignores) -> None:
    stack = [str(root)]
    while stack:
        folder = stack.pop()
        name = tree.name(folder)
        try:
            entries = sorted(os.scandir(folder), key=NAME_OF)
        except OSError as error:
            reason = f"the folder cannot be read: {error.strerror or 'error'}"
            tree.failures.append(Failure("input", name, reason))
            continue
        ignores.enter(folder, entries)
        before = "" if name == "." else f"{name}/"
        for entry in entries:
            if entry.is_symlink():
                _link(entry.path, root, tree)
            elif ignores.skips(entry):
                continue
            elif entry.is_dir(follow_symlinks=False):
                stack.append(entry.path)
            elif entry.is_file(follow_symlinks=False):
                tree.add(entry.path, before + _legible(entry.name), root)
            elif entry.name.endswith(SUFFIXES):
                tree.notes.append(f"{before}{_legible(entry.name)}: neither a file nor a folder")


def _link(link: str, root: Path, tree: FileTree) -> None:
    """Links are not followed: what they lead to is read under its own name, or lies outside and is not seen."""
    name, target = tree.name(link), os.path.realpath(link)
    if is_within(target, str(root)):
        tree.notes.append(f"{name}: a link, not followed")
    elif link.endswith(SUFFIXES) or Path(target).is_dir():
        tree.gaps.append(
            Gap(
                "file",
                name,
                "is a link that leads out of the scanned folder, and was not followed",
                "a scan of what it leads to",
            )
        )


class _Ignores:
    """`.gitignore` files and `--exclude` patterns, both in gitignore's syntax."""

    def __init__(self, root: Path, exclude: Sequence[str]) -> None:
        self.specs: list[tuple[str, GitIgnoreSpec]] = []
        """Each with what the paths of everything begin with that it is about."""
        if exclude:
            self._add(str(root), exclude)
        for parent in [root, *root.parents]:
            if (parent / ".git").exists():
                for folder in [parent, *[p for p in root.parents if p != parent and p.is_relative_to(parent)]]:
                    self._read(str(folder))
                break

    def enter(self, folder: str, entries: Sequence[os.DirEntry[str]]) -> None:
        """Read the folder's own `.gitignore`."""
        for entry in entries:
            if entry.name == ".gitignore" and entry.is_file():
                self._read(folder)

    def _read(self, folder: str) -> None:
        try:
            text = Path(folder, ".gitignore").read_text("utf-8", errors="replace")
        except OSError:
            return
        self._add(folder, text.splitlines())

    def _add(self, folder: str, lines: Sequence[str]) -> None:
        from pathspec import GitIgnoreSpec

        self.specs.append((_started(folder), GitIgnoreSpec.from_lines(lines)))

    def skips(self, entry: os.DirEntry[str]) -> bool:
        """Whether an entry of the folder that is walked is left out."""
        folder = entry.is_dir(follow_symlinks=False)
        if folder and entry.name in SKIPPED_FOLDERS:
            return True
        for start, spec in self.specs:
            if entry.path.startswith(start):
                relative = entry.path[len(start) :] + ("/" if folder else "")
                if spec.match_file(relative):
                    return True
        return False


def folder_of(path: str) -> str:
    """The folder of a path as the report names it; "" for the working directory."""
    return path.rpartition("/")[0]


def ancestors(folder: str) -> Iterator[str]:
    """A folder and the folders around it, the nearest first."""
    while True:
        yield folder
        if not folder:
            return
        folder = folder_of(folder)
