"""What a kustomization takes in, walked before any tool is: only a graph whose every file lies in the tree is ever built.

kustomize fetches what a kustomization names by URL, so a hostile repository could choose a host. Here nothing is fetched: a reference
leads to a file of the tree, or it is named as remote, as missing, or as outside of what is scanned, and then no tool runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from llmscan.collect.tree import FileTree, folder_of
from llmscan.collect.yaml_tree import Unreadable, documents
from llmscan.places import Place, place_of
from llmscan.records import Record

NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
GROUP = "kustomize.config.k8s.io/"
REMOTE = re.compile(r"://|^git@|^git::|[?&]ref=|^(?:[\w-]+\.)+[a-z]{2,}[/:]\S")
TAKEN_IN = ("resources", "bases", "components")
PARTS = ("crds", "configurations")
PLUGINS = ("generators", "transformers", "validators")
CHARTS = ("helmCharts", "helmChartInflationGenerator")
KNOWN = frozenset(
    {*TAKEN_IN, *PARTS, *PLUGINS, *CHARTS, "path", "patches", "patchesStrategicMerge", "patchesJson6902", "openapi"}
    | {"configMapGenerator", "secretGenerator", "files", "envs", "env", "replacements", "helmGlobals", "chartHome"}
)
"""Keys that lead to files, spelled as kustomize's documentation has them; its parser also takes other cases."""
FREE_TEXT = frozenset(
    {"literals", "labels", "annotations", "commonLabels", "commonAnnotations", "pairs", "patch", "options"}
)
MAX_KUSTOMIZATIONS = 300


class Reference(Record, frozen=True):
    """Something that a kustomization names: `role` is the key that names it, `path` where it is in the tree ("" if nowhere)."""

    role: str
    written: str
    place: Place
    path: str = ""
    why: str = ""
    """For what is not in the tree: `remote`, `missing`, `outside`."""


class Kustomization(Record, frozen=True):
    """A kustomization file. `whole`: its kind is not Component, so that it can be built by itself."""

    path: str
    tree: Mapping[str, Any]
    references: tuple[Reference, ...]
    whole: bool = True
    odd: str = ""
    """Why it must not be built whatever it refers to."""

    @property
    def folder(self) -> str:
        """Its folder."""
        return folder_of(self.path)


@dataclass(slots=True)
class Graph:
    """What a root takes in. files: everything that a build reads; resources: manifests among them; unresolved: what is not there."""

    root: Kustomization
    members: list[Kustomization] = field(default_factory=list)
    files: set[str] = field(default_factory=set)
    resources: set[str] = field(default_factory=set)
    unresolved: list[Reference] = field(default_factory=list)
    odd: list[tuple[str, Place]] = field(default_factory=list)

    @property
    def parts(self) -> set[str]:
        """Files that are no manifests of their own: patches, configuration, and the kustomizations."""
        return self.files - self.resources


def find_kustomizations(tree: FileTree, claimed: set[str]) -> tuple[dict[str, Kustomization], list[Unreadable]]:
    """The kustomizations of a tree by folder, and those that do not parse."""
    found: dict[str, Kustomization] = {}
    unreadable: list[Unreadable] = []
    for path in tree.paths:
        if path.rpartition("/")[2] not in NAMES or path in claimed:
            continue
        read = _read(tree, path)
        if isinstance(read, Unreadable):
            unreadable.append(read)
        elif read is not None:
            found.setdefault(read.folder, read)
    return found, unreadable


def _read(tree: FileTree, path: str) -> Kustomization | Unreadable | None:
    text = tree.read(path)
    parsed = list(documents(text, path)) if text is not None else []
    if not parsed:
        return None
    first = parsed[0]
    if isinstance(first, Unreadable):
        return first
    if not isinstance(first, dict) or not str(first.get("apiVersion", GROUP)).startswith(GROUP):
        return None
    odd = "it has more than one document" if len(parsed) > 1 else _odd(first)
    references = tuple(_references(first, path, tree))
    return Kustomization(path, first, references, first.get("kind") != "Component", odd)


def _odd(tree: Any) -> str:
    """Why a kustomization may mean more to kustomize than what was read here."""
    lowered = {known.lower() for known in KNOWN}
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            for key, value in node.items():
                if str(key).lower() in lowered and key not in KNOWN:
                    return "it spells a key in a way of its own"
                if key not in FREE_TEXT:
                    waiting.append(value)
        elif isinstance(node, list):
            waiting += node
    return ""


def _references(tree: Mapping[str, Any], path: str, files: FileTree) -> Iterator[Reference]:
    folder = folder_of(path)
    for role, written, place in _written(tree):
        if role in CHARTS:
            yield Reference(role, written, place, why="remote")
            continue
        found = join(folder, written)
        if found is not None and (found in files or _folder_with(found, files)):
            why = "remote" if role in PLUGINS and not _is_plain(found, files) else ""
            yield Reference(role, written, place, "" if why else found, why)
        elif REMOTE.search(written):
            yield Reference(role, written, place, why="remote")
        else:
            there = (files.absolute(path).parent / written).exists()
            yield Reference(role, written, place, why="outside" if there else "missing")


def _is_plain(path: str, files: FileTree) -> bool:
    """Whether a transformer's or generator's file names nothing remote."""
    text = files.read(path) if path in files else None
    return text is not None and not re.search(r"://|git@|git::|[?&]ref=|HelmChart|exec:|container:", text)


def _written(tree: Mapping[str, Any]) -> Iterator[tuple[str, str, Place]]:
    """(role, what is written, place) of everything that a kustomization names."""
    for role in (*TAKEN_IN, *PARTS):
        yield from _strings(tree, role, role)
    for role in (*PLUGINS, "patchesStrategicMerge"):
        yield from ((r, text, place) for r, text, place in _strings(tree, role, role) if "\n" not in text)
    for role in ("patches", "patchesJson6902", "replacements"):
        for entry in _entries(tree, role):
            yield from _strings(entry, "path", role)
    for role in ("configMapGenerator", "secretGenerator"):
        for entry in _entries(tree, role):
            for key in ("files", "envs", "env"):
                for _, text, place in _strings(entry, key, role):
                    yield role, text.partition("=")[2] if key == "files" and "=" in text else text, place
    if isinstance(tree.get("openapi"), dict):
        yield from _strings(tree["openapi"], "path", "openapi")
    for role in CHARTS:
        for entry in _entries(tree, role):
            yield role, str(entry.get("name") or entry.get("chartName") or "(unnamed)"), _at(entry, None)


def _strings(holder: Any, key: str, role: str) -> Iterator[tuple[str, str, Place]]:
    node = holder.get(key)
    if isinstance(node, str):
        yield role, node, _at(holder, key)
    elif isinstance(node, list):
        yield from ((role, item, _at(node, index)) for index, item in enumerate(node) if isinstance(item, str))


def _entries(tree: Mapping[str, Any], key: str) -> Iterator[Mapping[str, Any]]:
    node = tree.get(key)
    yield from (item for item in node if isinstance(item, dict)) if isinstance(node, list) else ()


def _at(node: Any, key: Any) -> Place:
    return place_of(node, key) or Place("", 1, 1, 1)


def join(folder: str, written: str) -> str | None:
    """A path of the tree from a relative one, or None where it leads out of it."""
    if written.startswith("/") or "\\" in written:
        return None
    steps = folder.split("/") if folder else []
    for step in written.split("/"):
        if step == "..":
            if not steps:
                return None
            steps.pop()
        elif step not in ("", "."):
            steps.append(step)
    return "/".join(steps)


def _folder_with(folder: str, files: FileTree) -> bool:
    return any((f"{folder}/{name}" if folder else name) in files for name in NAMES)


def roots_of(found: Mapping[str, Kustomization]) -> list[Kustomization]:
    """Kustomizations that no other takes in; of a circle, its first."""
    taken = {reference.path for one in found.values() for reference in one.references if reference.role in TAKEN_IN}
    roots = [one for folder, one in found.items() if folder not in taken and one.whole]
    reached = {member.folder for root in roots for member in walk(root, found).members}
    for folder, one in found.items():
        if one.whole and folder not in reached:
            roots.append(one)
            reached |= {member.folder for member in walk(one, found).members}
    return roots


def walk(root: Kustomization, found: Mapping[str, Kustomization]) -> Graph:
    """Everything that a root takes in, through other kustomizations too."""
    graph = Graph(root)
    waiting, seen = [root], {root.path}
    while waiting:
        one = waiting.pop()
        graph.members.append(one)
        graph.files.add(one.path)
        if one.odd or len(graph.members) > MAX_KUSTOMIZATIONS:
            graph.odd.append((one.odd or f"it takes in more than {MAX_KUSTOMIZATIONS} others", one.tree.place))  # type: ignore[attr-defined]
            continue
        for reference in one.references:
            inner = found.get(reference.path) if reference.role in TAKEN_IN and not reference.why else None
            if inner is not None and inner.path not in seen:
                seen.add(inner.path)
                waiting.append(inner)
            elif inner is None:
                _add(graph, reference)
    return graph


def _add(graph: Graph, reference: Reference) -> None:
    if reference.why:
        graph.unresolved.append(reference)
        return
    graph.files.add(reference.path)
    if reference.role in TAKEN_IN:
        graph.resources.add(reference.path)
