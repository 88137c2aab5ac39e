"""Kustomizations of a tree: each root built by `kustomize` or `kubectl`, and what came out placed in the files that it came from."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import yaml

from llmscan.collect.kustomize_graph import Graph, Kustomization, Reference, find_kustomizations, roots_of, walk
from llmscan.collect.kustomize_places import Sources, place_object
from llmscan.collect.rendered import Rendered
from llmscan.collect.resources import resources_in
from llmscan.collect.tool_runs import ToolRun, run_tool, tool, workspace
from llmscan.collect.tree import FileTree
from llmscan.collect.yaml_tree import Unreadable, documents
from llmscan.findings import Failure
from llmscan.model import Gap
from llmscan.places import Place

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]+")
DIVIDER = re.compile(rb"^---(?=[ \t\r\n])", re.MULTILINE)
DEFINITION = re.compile(rb"^kind:[ \t]*CustomResourceDefinition[ \t]*\r?$", re.MULTILINE)
NAME_IN_METADATA = re.compile(
    rb"^metadata:[ \t]*\r?\n(?:[ \t]+.*\n)*?[ \t]+name:[ \t]*([\w.-]+)[ \t]*\r?$", re.MULTILINE
)
LONGEST = 300
AS_THEY_ARE = "its resource files are judged as they are, without its patches"
HELP = "`kustomize` or `kubectl` on PATH"


def load_kustomizations(tree: FileTree, claimed: set[str]) -> Rendered:
    """Build every root; where that cannot be, its resource files are left to be read as they are, and it is said."""
    result = Rendered()
    found, unreadable = find_kustomizations(tree, claimed)
    for one in unreadable:
        reason = f"a kustomization does not parse: {one.reason}"
        result.failures.append(Failure("input", one.place.path, reason, one.place))
    graphs = [walk(root, found) for root in roots_of(found)]
    for graph in graphs:
        result.claimed |= graph.parts
    buildable = [graph for graph in graphs if _may_be_built(graph, result)]
    with ThreadPoolExecutor(max(2, os.cpu_count() or 2)) as pool:
        for graph, run in zip(buildable, pool.map(lambda graph: _build(graph, tree), buildable), strict=True):
            _take(graph, run, tree, result)
    return result


def _may_be_built(graph: Graph, result: Rendered) -> bool:
    """Whether nothing but files of the tree is in a graph, and a tool is there; what hinders is said."""
    unit, place = graph.root.folder or ".", _start(graph.root)
    if not graph.unresolved and not graph.odd and tool("kustomize", "kubectl"):
        return True
    for reference in graph.unresolved:
        _say(reference, unit, result)
    for reason, where in graph.odd:
        result.failures.append(Failure("input", unit, f"a kustomization was not built: {reason}", where))
    if not graph.odd and not any(reference.why == "missing" for reference in graph.unresolved):
        why = f"was not built, since {_reason(graph)}; {AS_THEY_ARE}"
        result.gaps.append(Gap("file", f"kustomization {unit}", why, _would(graph), place))
    result.notes.append(f"{unit}: a kustomization, not built")
    return False


def _reason(graph: Graph) -> str:
    if any(reference.why == "remote" for reference in graph.unresolved):
        return "it takes in what is remote"
    if graph.unresolved:
        return "it takes in what lies outside of the scan"
    return "neither kustomize nor kubectl is on PATH"


def _would(graph: Graph) -> str:
    if not graph.unresolved:
        return HELP
    return (
        "a local copy of what it takes in"
        if _reason(graph).endswith("remote")
        else "a scan of the folder that holds both"
    )


def _say(reference: Reference, unit: str, result: Rendered) -> None:
    written = _safe(reference.written)
    if reference.why == "missing":
        reason = f"a kustomization was not built: {reference.role} names {written}, which is not there; {AS_THEY_ARE}"
        result.failures.append(Failure("input", unit, reason, reference.place))
    elif reference.why == "remote":
        what = f"chart {written}" if reference.role.startswith("helmChart") else written
        result.gaps.append(
            Gap(
                "remote",
                what,
                f"is remote ({reference.role}) and was not fetched",
                "a copy of it in the repository",
                reference.place,
            )
        )
    else:
        result.gaps.append(
            Gap(
                "file",
                written,
                "lies outside of what is scanned",
                "a scan of the folder that holds it",
                reference.place,
            )
        )


def _safe(text: str) -> str:
    """What a kustomization names, without credentials in URLs and control characters."""
    shown = CONTROL.sub(" ", re.sub(r"//[^/@\s]+@", "//***@", text))
    return shown if len(shown) <= LONGEST else shown[:LONGEST] + "…"


def _start(one: Kustomization) -> Place:
    return Place(one.path, 1, 1, 1)


def _build(graph: Graph, tree: FileTree) -> ToolRun:
    """Build a copy of the graph's files, which holds nothing else; with the schemas of custom resources only where it must be."""
    run = _build_copy(graph, tree, whole=False)
    return run if run.worked or run.stopped else _build_copy(graph, tree, whole=True)


def _build_copy(graph: Graph, tree: FileTree, whole: bool) -> ToolRun:
    with workspace() as folder:
        copy = folder / "tree"
        try:
            for path in graph.files:
                target = copy / path
                target.parent.mkdir(parents=True, exist_ok=True)
                data = tree.absolute(path).read_bytes()
                target.write_bytes(data if whole else without_schemas(data))
            for member in graph.members:
                (copy / member.path).write_text(yaml.safe_dump(_plain(member, graph.root)), "utf-8")
        except OSError as error:
            return ToolRun("", f"its files cannot be copied: {error.strerror}", 1)
        start = str(copy / graph.root.folder)
        kustomize = tool("kustomize")
        run = run_tool([kustomize, "build", start] if kustomize else ["kubectl", "kustomize", start], folder)
        return ToolRun(run.output, run.errors.replace(str(copy), ""), run.code, run.stopped)


def without_schemas(data: bytes) -> bytes:
    """A file with each CustomResourceDefinition cut to its name: kustomize takes seconds for schemas, which nothing here reads."""
    if b"CustomResourceDefinition" not in data:
        return data
    return b"---".join(_cut(part) for part in DIVIDER.split(data))


def _cut(document: bytes) -> bytes:
    name = NAME_IN_METADATA.search(document)
    if name is None or not DEFINITION.search(document):
        return document
    return (
        b"\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n  name: " + name[1] + b"\n"
    )


def _plain(member: Kustomization, root: Kustomization) -> Any:
    """A kustomization as plain data, written anew so that the tool reads no more in it than was read here."""
    data = _unplaced(member.tree)
    if member is root:
        data["buildMetadata"] = ["originAnnotations"]
    return data


def _unplaced(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _unplaced(value) for key, value in node.items()}
    return [_unplaced(item) for item in node] if isinstance(node, list) else node


def _take(graph: Graph, run: ToolRun, tree: FileTree, result: Rendered) -> None:
    unit = graph.root.folder or "."
    if not run.worked:
        why = f"it was stopped: {run.stopped}" if run.stopped else f"kustomize says: {_sentence(run.errors)}"
        reason = f"a kustomization was not built: {why}; {AS_THEY_ARE}"
        result.failures.append(Failure("input", unit, reason, _start(graph.root)))
        return
    sources = Sources(tree, graph)
    resources = list(_objects(run.output, sources, graph, result))
    result.claimed |= graph.files
    result.take(unit, resources, _start(graph.root), "kustomize")
    result.files += len(graph.files)
    result.notes.append(
        f"{unit}: a kustomization of {len(graph.files)} files, built: {len(resources)} Kubernetes objects"
    )


def _objects(output: str, sources: Sources, graph: Graph, result: Rendered) -> Iterator[Mapping[str, Any]]:
    for document in documents(output, graph.root.path):
        if isinstance(document, Unreadable):
            reason = f"what was built does not parse: {document.reason}"
            result.failures.append(Failure("input", graph.root.path, reason, _start(graph.root)))
            continue
        for resource in resources_in(document):
            place_object(resource, sources)
            yield resource


def _sentence(errors: str) -> str:
    """The tool's own sentence. It quotes paths and identities of objects, which are no secrets, and is cut short."""
    lines = [
        line for line in errors.splitlines() if line.strip() and not line.lstrip().startswith(("#", "Warning", "W"))
    ]
    text = _safe(" ".join(" ".join(lines).split()).removeprefix("Error: ").removeprefix("error: "))
    return text or "nothing"
