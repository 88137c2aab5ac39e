"""The charts of a tree: what their Chart.yaml says, which files are theirs, and a copy of them that can be rendered.

The copy holds regular files alone, so that no link leads a template out of its chart, and only those dependencies that are there:
the others are named and left out, never fetched.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from llmscan.collect.tree import MAX_BYTES, FileTree, folder_of
from llmscan.collect.yaml_tree import Unreadable, documents
from llmscan.places import Place, place_of
from llmscan.records import Record

CHART = "Chart.yaml"
MAX_CHART = 64 * 1024 * 1024
MAX_DEPTH = 6
OWN_FOLDERS = ("templates/", "charts/", "crds/", "ci/", "files/", "tests/")
FOREIGN = re.compile(r"^examples?/|compose[^/]*\.ya?ml$")
"""What may lie in a chart's folder and be deployed by other means than the chart."""
VALUES = re.compile(
    r"values[^/]*\.(?:ya?ml|json)$|(?:^|/)Chart\.(?:yaml|lock)$|(?:^|/)requirements\.(?:yaml|lock)$|\.tpl$"
)
NAME = re.compile(r"[A-Za-z0-9](?:[-\w.]*[A-Za-z0-9])?\Z", re.ASCII)


class Dependency(Record, frozen=True):
    """An entry of a chart's dependencies; `place` is its entry."""

    name: str
    alias: str = ""
    repository: str = ""
    condition: str = ""
    place: Place | None = None

    @property
    def shown(self) -> str:
        """The name under which the chart knows it."""
        return self.alias or self.name


class Chart(Record, frozen=True):
    """A chart of the tree. `folder` "" is the working directory, or the only PATH elsewhere; `at` where that is."""

    folder: str
    at: Path
    name: str
    library: bool
    dependencies: tuple[Dependency, ...] = ()

    def inside(self, relative: str) -> str:
        """The path of a file of the chart, as the report names it."""
        return f"{self.folder}/{relative}" if self.folder else relative

    def files(self, tree: FileTree) -> list[str]:
        """The paths of all files in the chart's folder; without a name of its own, also those of other PATHs look as if they were."""
        start = f"{self.folder}/" if self.folder else ""
        return [
            path
            for path in tree.paths
            if path.startswith(start) and (start or tree.absolute(path).is_relative_to(self.at))
        ]

    def owned(self, tree: FileTree) -> set[str]:
        """The files that are parts of the chart: templates, values, and files that templates take in, which are no manifests.

        A chart at the top of a repository has the rest of the repository in its folder, and owns only what charts have.
        """
        return {path for path in self.files(tree) if self._owns(path[len(self.folder) + 1 :] if self.folder else path)}

    def _owns(self, relative: str) -> bool:
        if relative.startswith(OWN_FOLDERS) or VALUES.search(relative):
            return True
        return bool(self.folder) and FOREIGN.search(relative) is None

    def called(self, relative: str) -> Place:
        """The first line of a file of the chart."""
        return Place(self.inside(relative), 1, 1, 1)


@dataclass(slots=True)
class Staged:
    """A chart's copy. folders: the folder of the tree for each path with which helm names templates; missing: what was left out."""

    path: Path
    folders: dict[str, str] = field(default_factory=dict)
    missing: list[Dependency] = field(default_factory=list)
    taken_in: set[str] = field(default_factory=set)
    """Folders of other charts of the tree that became part of the copy."""
    left_out: list[str] = field(default_factory=list)
    """Templates, as helm names them, that need a chart that is missing."""

    def leave_out(self, source: str) -> bool:
        """Take a template of the chart itself out of the copy."""
        file = self.path / source.partition("/")[2]
        if source.startswith("/") or ".." in source or not file.is_file():
            return False
        file.unlink()
        self.left_out.append(source)
        return True


class ChartTooLarge(Exception):
    """A chart holds more than is copied."""


def chart_folders(tree: FileTree) -> list[str]:
    """Folders with a Chart.yaml that are not a dependency inside of another chart."""
    found = {folder_of(path): tree.absolute(path).parent for path in tree.paths if path.rpartition("/")[2] == CHART}
    return sorted(
        folder
        for folder, at in found.items()
        if not any(parent in found and at.is_relative_to(found[parent]) for parent in _charts_above(folder))
    )


def _charts_above(folder: str) -> Iterator[str]:
    """The charts in whose `charts/` a folder would lie."""
    steps = folder.split("/")
    for index, step in enumerate(steps):
        if step == "charts" and index < len(steps) - 1:
            yield "/".join(steps[:index])


def read_chart(tree: FileTree, folder: str) -> Chart | Unreadable | None:
    """What the Chart.yaml of a folder says; None where it cannot be read, which the tree has said already."""
    path = f"{folder}/{CHART}" if folder else CHART
    text = tree.read(path)
    if text is None:
        return None
    found = next(iter(documents(text, path)), None)
    if isinstance(found, Unreadable):
        return found
    if not isinstance(found, dict):
        return Unreadable(Place(path, 1, 1, 1), "its Chart.yaml is no mapping")
    name = found.get("name")
    if not isinstance(name, str) or not NAME.match(name):
        return Unreadable(Place(path, 1, 1, 1), "it gives the chart no usable name")
    listed = found.get("dependencies") or _requirements(tree, folder)
    at = tree.absolute(path).parent
    return Chart(folder, at, name, found.get("type") == "library", tuple(_dependencies(listed)))


def _requirements(tree: FileTree, folder: str) -> Any:
    """The dependencies of a chart of the first format, which stand in a file of their own."""
    path = f"{folder}/requirements.yaml" if folder else "requirements.yaml"
    text = tree.read(path) if path in tree else None
    found = next(iter(documents(text, path)), None) if text else None
    return found.get("dependencies") if isinstance(found, dict) else None


def _dependencies(listed: Any) -> Iterator[Dependency]:
    for index, entry in enumerate(listed if isinstance(listed, list) else ()):
        if isinstance(entry, dict) and isinstance(entry.get("name"), str):
            texts = [str(entry.get(key) or "") for key in ("alias", "repository", "condition")]
            yield Dependency(entry["name"], texts[0], texts[1], texts[2], place_of(listed, index))


def stage(chart: Chart, tree: FileTree, target: Path) -> Staged:
    """Copy a chart to `target`. Raises ChartTooLarge, and OSError where a file cannot be read."""
    staged = Staged(target)
    _Copy(tree, staged).chart(chart, target, chart.name, 0)
    return staged


class _Copy:
    """One copy under way, with what is left of its size."""

    def __init__(self, tree: FileTree, staged: Staged) -> None:
        self.tree, self.staged, self.left = tree, staged, MAX_CHART

    def chart(self, chart: Chart, target: Path, called: str, depth: int) -> None:
        self.staged.folders[called] = chart.folder
        for path in chart.files(self.tree):
            self._file(self.tree.absolute(path), target / PurePosixPath(path).relative_to(chart.folder or "."))
        self._vendored(chart, target)
        missing = [one for one in chart.dependencies if not self._present(one, chart, target, called, depth)]
        if missing:
            _without(chart, missing, target)
            self.staged.missing += missing

    def _file(self, source: Path, target: Path) -> None:
        size = source.stat().st_size
        if size > MAX_BYTES or target.exists():
            return
        self.left -= size
        if self.left < 0:
            raise ChartTooLarge
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target, follow_symlinks=False)

    def _vendored(self, chart: Chart, target: Path) -> None:
        """What `helm dependency build` brought, which repositories leave to .gitignore."""
        source = chart.at / "charts"
        for folder, folders, files in os.walk(source):
            folders[:] = [name for name in folders if not (Path(folder) / name).is_symlink()]
            for name in files:
                path = Path(folder) / name
                if path.is_file() and not path.is_symlink() and not source.is_symlink():
                    self._file(path, target / "charts" / path.relative_to(source))

    def _present(self, wanted: Dependency, chart: Chart, target: Path, called: str, depth: int) -> bool:
        inside = f"{called}/charts/{wanted.shown}"
        if found := _in_charts(wanted, target / "charts"):
            if found.is_dir():
                self.staged.folders.setdefault(inside, chart.inside(f"charts/{found.name}"))
            return True
        local = _local(wanted, chart, self.tree)
        if local is None or depth >= MAX_DEPTH:
            return False
        read = read_chart(self.tree, local)
        if not isinstance(read, Chart) or read.name != wanted.name:
            return False
        self.staged.taken_in.add(local)
        self.staged.folders[inside] = local
        copied = target / "charts" / wanted.name
        if not copied.exists():
            self.chart(read, copied, inside, depth + 1)
        return True


def _in_charts(wanted: Dependency, charts: Path) -> Path | None:
    """A dependency as it lies in `charts/`, as a folder or packed."""
    if not charts.is_dir():
        return None
    for entry in sorted(charts.iterdir()):
        if entry.is_dir() and _name_in(entry / CHART) == wanted.name:
            return entry
        if entry.suffix == ".tgz" and re.fullmatch(re.escape(wanted.name) + r"-v?\d.*\.tgz", entry.name):
            return entry
    return None


def _name_in(path: Path) -> str:
    try:
        match = re.search(r"^name:[ \t]*[\"']?([^\s\"'#]+)", path.read_text("utf-8", errors="replace"), re.MULTILINE)
    except OSError:
        return ""
    return match[1] if match else ""


def _local(wanted: Dependency, chart: Chart, tree: FileTree) -> str | None:
    """The folder of the tree that a `file://` repository means."""
    if not wanted.repository.startswith("file://"):
        return None
    steps = chart.folder.split("/") if chart.folder else []
    for step in wanted.repository.removeprefix("file://").split("/"):
        if step == "..":
            if not steps:
                return None
            steps.pop()
        elif step not in ("", "."):
            steps.append(step)
    folder = "/".join(steps)
    return folder if (f"{folder}/{CHART}" if folder else CHART) in tree else None


def _without(chart: Chart, missing: list[Dependency], target: Path) -> None:
    """Write the copy's Chart.yaml anew without some dependencies."""
    gone = {(one.name, one.alias) for one in missing}
    for name in (CHART, "requirements.yaml"):
        file = target / name
        try:
            data = yaml.safe_load(file.read_text("utf-8")) if file.exists() else None
        except (yaml.YAMLError, OSError, UnicodeDecodeError):
            continue
        if isinstance(data, dict) and isinstance(data.get("dependencies"), list):
            data["dependencies"] = [
                entry
                for entry in data["dependencies"]
                if not isinstance(entry, dict) or (entry.get("name"), str(entry.get("alias") or "")) not in gone
            ]
            file.write_text(yaml.safe_dump(data), "utf-8")
    for name in ("Chart.lock", "requirements.lock"):
        (target / name).unlink(missing_ok=True)
