"""Kubernetes manifests in files: which documents are resources, and the units that they form, one a folder."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from llmscan.collect.resources import DEFAULT_NAMESPACE, Parts, collect, namespace_of, resources_in
from llmscan.collect.tree import FileTree, ancestors, folder_of
from llmscan.collect.yaml_tree import Unreadable, documents
from llmscan.findings import Failure
from llmscan.model import Gap, Policy, Route, Selector, Service, Stack, Workload
from llmscan.places import place_of
from llmscan.reach import matches, selects
from llmscan.records import replace

RESOURCE = re.compile(r"^[ \t]*(?:- )?[\"']?apiVersion[\"']?[ \t]*:|[{,\s]\"apiVersion\"\s*:", re.MULTILINE)
TEMPLATE = re.compile(r"\{\{-?\s|\{%")
Resource = Mapping[str, Any]


@dataclass(slots=True)
class Manifests:
    """The resources of each folder, what did not parse, and what was taken for what."""

    by_folder: dict[str, list[Resource]] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    objects: int = 0


def looks_like_manifest(text: str) -> bool:
    """Whether a text may hold Kubernetes resources, before it is parsed."""
    return "apiVersion" in text and RESOURCE.search(text) is not None


def read_manifests(tree: FileTree, texts: Iterable[tuple[str, str]]) -> Manifests:
    """The resources in texts of (path, text)."""
    result = Manifests()
    for path, text in texts:
        found = 0
        for document in documents(text, path):
            if isinstance(document, Unreadable):
                _unreadable(result, document, path, text)
                continue
            for resource in resources_in(document):
                result.by_folder.setdefault(folder_of(path), []).append(resource)
                found += 1
        result.objects += found
        result.notes.append(f"{path}: {found} Kubernetes objects")
    return result


def _unreadable(result: Manifests, document: Unreadable, path: str, text: str) -> None:
    if TEMPLATE.search(text) and "templates" in path.split("/")[:-1]:
        gap = Gap(
            "file", path, "is a template outside any chart that was found", "the rendered manifest", document.place
        )
        if gap.what not in [known.what for known in result.gaps]:
            result.gaps.append(gap)
        return
    result.failures.append(Failure("input", path, f"a document does not parse: {document.reason}", document.place))


def stacks(manifests: Manifests, source: str = "files") -> list[Stack]:
    """One stack a folder; a Service or policy that matches nothing there moves to the one subfolder where it does."""
    parts = {
        folder: _parts(folder, resources, manifests.by_folder) for folder, resources in manifests.by_folder.items()
    }
    _move_outward(parts)
    return [
        build_stack(folder or ".", source, part)
        for folder, part in sorted(parts.items())
        if part.workloads or _says_something(part)
    ]


def _says_something(part: Parts) -> bool:
    return bool(part.services or part.loose_values or part.routes or part.namespace_places)


def build_stack(unit: str, source: str, part: Parts, **more: Any) -> Stack:
    """A stack of collected parts."""
    declared = next(iter(part.namespace_places.values()), None)
    return Stack(
        unit=unit,
        source=source,
        workloads=tuple(part.workloads),
        services=tuple(part.services),
        routes=tuple(part.routes),
        gateways=tuple(part.gateways),
        policies=tuple(part.policies),
        configs=tuple(part.configs),
        loose_values=tuple(part.loose_values),
        declared_namespace=declared,
        **more,
    )


def _parts(folder: str, resources: Sequence[Resource], by_folder: Mapping[str, Sequence[Resource]]) -> Parts:
    namespace = _common_namespace(resources)
    above = [
        resource
        for around in list(ancestors(folder))[1:]
        for resource in by_folder.get(around, ())
        if resource["kind"] in ("ConfigMap", "Secret")
    ]
    own = {(r["kind"], _name(r)) for r in resources if isinstance(r.get("metadata"), dict)} if above else set()
    inherited = [resource for resource in above if (resource["kind"], _name(resource)) not in own]
    part = collect([*resources, *_unique(inherited)], namespace)
    if inherited:
        keep = {id(place_of(r)) for r in resources}
        part.loose_values = [
            v for v in part.loose_values if v.setting.place is None or folder_of(v.setting.place.path) == folder
        ]
        part.configs = [
            c for c in part.configs if c.place is None or id(c.place) in keep or folder_of(c.place.path) == folder
        ]
    return part


def _name(resource: Resource) -> str:
    metadata = resource.get("metadata")
    return str(metadata.get("name")) if isinstance(metadata, dict) else ""


def _unique(resources: Sequence[Resource]) -> list[Resource]:
    count = Counter((r["kind"], _name(r)) for r in resources)
    return [r for r in resources if count[(r["kind"], _name(r))] == 1]


def _common_namespace(resources: Sequence[Resource]) -> str:
    """What resources without a namespace are taken to be in: the one that the others name, where it is one."""
    named = {namespace_of(r, "") for r in resources} - {""}
    return named.pop() if len(named) == 1 else DEFAULT_NAMESPACE


def _move_outward(parts: dict[str, Parts]) -> None:
    inner: dict[str, list[Parts]] = {}
    for folder, part in parts.items():
        for around in list(ancestors(folder))[1:]:
            inner.setdefault(around, []).append(part)
    for folder, part in parts.items():
        below = inner.get(folder)
        if not below:
            continue
        for service in list(part.services):
            _move(service, part, below)
        for policy in list(part.policies):
            _move_policy(policy, part, below)


def _move(service: Service, part: Parts, below: Sequence[Parts]) -> None:
    if not service.selector or any(_chosen(service, w) for w in part.workloads):
        return
    homes = [p for p in below if any(_chosen(service, w) for w in p.workloads)]
    if len(homes) == 1 and sum(_chosen(service, w) for w in homes[0].workloads) == 1:
        part.services.remove(service)
        homes[0].services.append(service)
        routes = [r for r in part.routes if any(b.service == service.name for b in r.backends)]
        homes[0].routes += routes


def joined(built: Stack, beside: Stack) -> tuple[Stack, Stack]:
    """A stack that a tool rendered, with the Services and routes beside its files that lead to it; and what is left beside it."""
    spaces = {workload.namespace for workload in built.workloads}
    if len(spaces) != 1:
        return built, beside
    space = spaces.pop()

    def placed(one: Service | Route) -> Any:
        return replace(one, namespace=space) if one.namespace == DEFAULT_NAMESPACE else one

    services = [s for s in beside.services if any(selects(s.selector, w.labels) for w in built.workloads)]
    names = {service.name for service in (*built.services, *services)}
    routes = [route for route in beside.routes if route.backends and all(b.service in names for b in route.backends)]
    return (
        replace(
            built, services=(*built.services, *map(placed, services)), routes=(*built.routes, *map(placed, routes))
        ),
        replace(
            beside,
            services=tuple(one for one in beside.services if one not in services),
            routes=tuple(one for one in beside.routes if one not in routes),
        ),
    )


def _chosen(service: Service, workload: Workload) -> bool:
    return service.namespace in (workload.namespace, DEFAULT_NAMESPACE) and selects(service.selector, workload.labels)


def _move_policy(policy: Policy, part: Parts, below: Sequence[Parts]) -> None:
    if (
        policy.covers
        or policy.selector == Selector()
        or any(matches(policy.selector, w.labels) for w in part.workloads)
    ):
        return
    homes = [p for p in below if any(matches(policy.selector, w.labels) for w in p.workloads)]
    if len(homes) == 1:
        homes[0].policies.append(policy)
