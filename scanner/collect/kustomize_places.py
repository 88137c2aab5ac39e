"""Give what kustomize has built the places of the files that it came from, and of the patches that changed it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import field

from llmscan.collect.kustomize_graph import Graph, Kustomization, join
from llmscan.collect.relocation import relocate
from llmscan.collect.resources import resources_in
from llmscan.collect.tree import FileTree
from llmscan.collect.yaml_tree import Unreadable, documents
from llmscan.places import Place, PlacedList, PlacedMap, place_of
from llmscan.records import Record

ORIGIN = "config.kubernetes.io/origin"
ITEM_KEYS = ("name", "mountPath", "containerPort", "port", "key", "host")
Path = tuple[str, ...]


class Patch(Record, frozen=True):
    """A patch: a part of an object, or operations on paths. `kind` and `name` say on what: "" is anything, `name` may be a pattern."""

    kind: str
    name: str
    part: Any = None
    operations: Mapping[Path, Place] = field(default_factory=dict)

    def concerns(self, kind: str, names: Sequence[str]) -> bool:
        """Whether it is for an object of this kind, known by these names."""
        if self.kind not in ("", kind):
            return False
        return not self.name or any(_matches(self.name, name) for name in names)


def _matches(pattern: str, name: str) -> bool:
    """kustomize anchors the patterns of targets. A pattern of a repository is not run: only `.*` is understood in it."""
    return re.fullmatch(".*".join(re.escape(part) for part in pattern.split(".*")[:4]), name) is not None


class Sources:
    """The files of a graph as trees, each parsed once."""

    def __init__(self, tree: FileTree, graph: Graph) -> None:
        self.tree, self.graph = tree, graph
        self._trees: dict[str, list[Any]] = {}
        self.patches = [patch for member in graph.members for patch in self._patches(member)]

    def trees(self, path: str) -> list[Any]:
        """The documents of a file that parse."""
        if path not in self._trees:
            text = self.tree.read(path) if path in self.tree else None
            found = documents(text, path) if text else ()
            self._trees[path] = [one for one in found if not isinstance(one, Unreadable)]
        return self._trees[path]

    def resource(self, kind: str, name: str, path: str) -> Any:
        """The object of a file that became `kind`/`name`; prefixes and suffixes may have been put on its name."""
        paths = [path] if path else sorted(self.graph.resources)
        found = [r for p in paths for tree in self.trees(p) for r in resources_in(tree) if r["kind"] == kind]
        named = [r for r in found if _name(r) and _name(r) in name]
        if named:
            return max(named, key=lambda one: len(_name(one)))
        return found[0] if path and len(found) == 1 else None

    def _patches(self, member: Kustomization) -> Iterator[Patch]:
        for index, item in enumerate(_list(member.tree, "patchesStrategicMerge")):
            yield from self._strategic(
                self._documents(member, item, place_of(member.tree["patchesStrategicMerge"], index))
            )
        for key in ("patches", "patchesJson6902"):
            for entry in _list(member.tree, key):
                if isinstance(entry, dict):
                    source = entry.get("path") or entry.get("patch")
                    parts = self._documents(member, source, place_of(entry, "patch"))
                    yield from self._targeted(parts, entry.get("target"))

    def _documents(self, member: Kustomization, written: Any, place: Place | None) -> list[Any]:
        """The documents of a patch that stands in a file, or inline."""
        if not isinstance(written, str):
            return []
        path = join(member.folder, written) if "\n" not in written and "{" not in written else None
        if path is not None and path in self.tree:
            return self.trees(path)
        found = [one for one in documents(written, member.path) if not isinstance(one, Unreadable)]
        for one in found:
            relocate(one, lambda inner: _inside(inner, place))
        return found

    @staticmethod
    def _strategic(parts: Sequence[Any]) -> Iterator[Patch]:
        for part in parts:
            if isinstance(part, dict):
                yield Patch(str(part.get("kind") or ""), re.escape(_name(part)).replace("\\", ""), part)

    def _targeted(self, parts: Sequence[Any], target: Any) -> Iterator[Patch]:
        if not isinstance(target, dict):
            yield from self._strategic(parts)
            return
        kind, name = str(target.get("kind") or ""), str(target.get("name") or "")
        for part in parts:
            if isinstance(part, dict):
                yield Patch(kind, name, part)
            elif isinstance(part, list):
                yield Patch(kind, name, operations=dict(_operations(part)))


def _inside(inner: Place, block: Place | None) -> Place:
    """The place of a line of a text that stands as a block below its key."""
    if block is None:
        return inner
    lines = [min(block.line + line, block.end_line) for line in (inner.line, inner.end_line)]
    return Place(block.path, lines[0], inner.column, lines[1])


def _operations(part: Sequence[Any]) -> Iterator[tuple[Path, Place]]:
    for index, entry in enumerate(part):
        if isinstance(entry, dict) and isinstance(entry.get("path"), str) and (place := place_of(part, index)):
            steps = tuple(step.replace("~1", "/").replace("~0", "~") for step in entry["path"].split("/")[1:])
            yield steps, place


def _list(tree: Mapping[str, Any], key: str) -> Sequence[Any]:
    node = tree.get(key)
    return node if isinstance(node, list) else ()


def _name(resource: Any) -> str:
    metadata = resource.get("metadata") if isinstance(resource, dict) else None
    return str(metadata.get("name") or "") if isinstance(metadata, dict) else ""


def place_object(built: Any, sources: Sources) -> None:
    """Give a built object its places, and take kustomize's notes about it away."""
    origin = _origin(built)
    folder = sources.graph.root.folder
    path = join(folder, str(origin.get("path") or "")) if origin.get("path") else ""
    source = sources.resource(built["kind"], _name(built), path or "")
    names = [name for name in (_name(source), _name(built)) if name]
    patches = [patch for patch in sources.patches if patch.concerns(built["kind"], names)]
    start = source.place if isinstance(source, PlacedMap) else _generated(built, origin, sources)
    _Graft(patches, sources.graph).map(built, source, [p.part for p in patches if p.part is not None], start, ())
    built.place = start


def _origin(built: Any) -> Mapping[str, Any]:
    """What kustomize notes of an object's origin."""
    metadata = built.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    text = annotations.pop(ORIGIN, "") if isinstance(annotations, dict) else ""
    if isinstance(annotations, dict) and not annotations:
        del metadata["annotations"]
    found = next(iter(documents(str(text), "")), None)
    return found if isinstance(found, dict) else {}


def _generated(built: Any, origin: Mapping[str, Any], sources: Sources) -> Place:
    """Where the entry of a generator stands that made an object, or the kustomization."""
    path = join(sources.graph.root.folder, str(origin.get("configuredIn") or ""))
    member = next((one for one in sources.graph.members if one.path == path), sources.graph.root)
    for key in ("configMapGenerator", "secretGenerator"):
        entries = member.tree.get(key)
        for index, entry in enumerate(_list(member.tree, key)):
            if isinstance(entry, dict) and str(entry.get("name") or "\0") in _name(built):
                return place_of(entries, index) or Place(member.path, 1, 1, 1)
    return Place(member.path, 1, 1, 1)


class _Graft:
    """Walks a built object beside its source and its patches."""

    def __init__(self, patches: Sequence[Patch], graph: Graph) -> None:
        self.operations = {path: place for patch in patches for path, place in patch.operations.items()}
        self.graph = graph

    def node(self, node: Any, source: Any, patches: Sequence[Any], around: Place, path: Path) -> None:
        if isinstance(node, PlacedMap):
            self.map(node, source, patches, around, path)
        elif isinstance(node, PlacedList):
            self.list(node, source, patches, around, path)

    def map(self, node: PlacedMap, source: Any, patches: Sequence[Any], around: Place, path: Path) -> None:
        node.place = source.place if isinstance(source, PlacedMap) else around
        inside = [patch for patch in patches if isinstance(patch, PlacedMap)]
        for key, value in node.items():
            known = isinstance(source, PlacedMap) and key in source
            place = source.places[key] if known else around
            if not known or (source[key] != value and not isinstance(value, dict | list)):
                place = _decided(place, self._by(key, value, source, inside, (*path, str(key))))
            node.places[key] = place
            deeper = [patch[key] for patch in inside if key in patch]
            self.node(value, source[key] if known else None, deeper, place, (*path, str(key)))

    def list(self, node: PlacedList, source: Any, patches: Sequence[Any], around: Place, path: Path) -> None:
        node.place = source.place if isinstance(source, PlacedList) else around
        lists = [patch for patch in patches if isinstance(patch, PlacedList)]
        for index, item in enumerate(node):
            at = _counterpart(item, source)
            place = source.places[at] if at is not None else around
            found = [(patch, n) for patch in lists if (n := _counterpart(item, patch)) is not None]
            if at is None:
                by = found[-1][0].places[found[-1][1]] if found else self._operation((*path, str(index)))
                place = _decided(place, by)
            node.places[index] = place
            self.node(
                item, source[at] if at is not None else None, [p[n] for p, n in found], place, (*path, str(index))
            )

    def _by(self, key: Any, value: Any, source: Any, patches: Sequence[PlacedMap], path: Path) -> Place | None:
        """What changed an entry: the last patch that has it, an operation, or the kustomization's own words on images."""
        for patch in reversed(patches):
            if key in patch:
                return patch.places[key]
        if (place := self._operation(path)) is not None:
            return place
        if key == "image" and isinstance(source, dict):
            return self._image(str(source.get("image") or ""))
        return self._whole(key)

    def _operation(self, path: Path) -> Place | None:
        for length in range(len(path), 1, -1):
            for known in (path[:length], (*path[: length - 1], "-")):
                if known in self.operations:
                    return self.operations[known]
        return None

    def _image(self, reference: str) -> Place | None:
        """The entry of `images` that is for an image."""
        whole = reference.partition("@")[0]
        head, slash, last = whole.rpartition("/")
        names = (whole, f"{head}{slash}{last.partition(':')[0]}")
        for member in self.graph.members:
            for index, entry in enumerate(_list(member.tree, "images")):
                if isinstance(entry, dict) and entry.get("name") in names:
                    return place_of(member.tree["images"], index)
        return None

    def _whole(self, key: Any) -> Place | None:
        """Fields that a kustomization sets for all: namespace, replicas."""
        if key in ("namespace", "replicas"):
            return next((place_of(m.tree, key) for m in self.graph.members if key in m.tree), None)
        return None


def _decided(place: Place, by: Place | None) -> Place:
    return place if by is None or by == place else place._replace(decided_by=by)


def _counterpart(item: Any, others: Any) -> int | None:
    """The index of the item of a list that stands for the same thing: by its name or port, else the equal one."""
    if not isinstance(others, PlacedList):
        return None
    if isinstance(item, dict):
        for key in ITEM_KEYS:
            if key in item:
                return next((n for n, o in enumerate(others) if isinstance(o, dict) and o.get(key) == item[key]), None)
    return next((n for n, other in enumerate(others) if other == item), None)
