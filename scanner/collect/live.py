"""A live cluster as stacks: one for each namespace that is judged, with the cluster as its surroundings."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from llmscan.collect.cluster import Cluster, Listing
from llmscan.collect.fields import items, mapping
from llmscan.collect.manifests import build_stack
from llmscan.collect.ownership import Ownership, Root, is_built_in
from llmscan.collect.pods import Configs, PodSpec, workload
from llmscan.collect.resources import Parts, collect
from llmscan.collection import Collection
from llmscan.findings import Failure, Target
from llmscan.model import ELSEWHERE, Container, Gap, Stack, Surroundings, Workload
from llmscan.records import replace

Json = dict[str, Any]

PLAIN = frozenset({"Ingress", "NetworkPolicy", "Gateway"})
"""Kinds that are translated as they are, beside the routes."""
ROUTES = frozenset({"HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute"})
NO_WORKLOADS = PLAIN | ROUTES | {"Namespace", "Node", "ServiceAccount", "EndpointSlice", "ConfigMap", "Pod"}
TOKENS = "/var/run/secrets/kubernetes.io/serviceaccount"
TOLD = (
    "containers",
    "initContainers",
    "ephemeralContainers",
    "securityContext",
    "hostNetwork",
    "hostPID",
    "hostIPC",
    "hostUsers",
    "os",
)
"""What makes two pods of one owner differ; nodes, names and claims do not."""
ENDED = frozenset({"Succeeded", "Failed"})
STANDARD = frozenset({("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")})
"""What every namespace has, so that it says nothing of whether there is anything to scan."""


def collect_cluster(cluster: Cluster, name: str) -> Collection:
    """Read a cluster and translate the namespaces that are judged."""
    listing = cluster.list()
    namespaces = cluster.namespaces or _all_namespaces(listing)
    view = _View(listing)
    found = [_stack(view, namespace) for namespace in namespaces]
    return Collection(
        target=Target("kubernetes", name),
        stacks=tuple(stack for stack, _ in found if stack.workloads or stack.services or cluster.namespaces),
        failures=(*listing.failures, *_missing(listing, cluster.namespaces)),
        gaps=listing.gaps,
        objects=sum(count for _, count in found),
        live=True,
    )


def _all_namespaces(listing: Listing) -> list[str]:
    named = {item["metadata"]["name"] for item in listing.objects.get("Namespace", ())}
    held = {item["metadata"].get("namespace", "") for group in listing.objects.values() for item in group}
    return sorted((named | held) - {""})


def _missing(listing: Listing, asked: Sequence[str]) -> list[Failure]:
    """A namespace that is not there, where the list of them could be read: most likely it is misspelt."""
    known = {item["metadata"]["name"] for item in listing.objects.get("Namespace", ())}
    return [
        Failure("target", f"namespace {name}", "does not exist in this cluster")
        for name in asked
        if known and name not in known
    ]


class _View:
    """A listing, by namespace, with its owners."""

    def __init__(self, listing: Listing) -> None:
        everything = [item for group in listing.objects.values() for item in group]
        self.gaps = listing.gaps
        self.ownership = Ownership(item for item in everything if item["kind"] not in ("ConfigMap", "EndpointSlice"))
        self.inside: dict[str, list[Json]] = {}
        for item in everything:
            self.inside.setdefault(item["metadata"].get("namespace", ""), []).append(item)
        self.shared = [item for item in everything if item["kind"] == "Gateway" or item["kind"] in ROUTES]
        self.surroundings = Surroundings(
            seen=not any(gap.resource in ("pods", "daemonsets.apps") for gap in listing.gaps),
            images=tuple(self._images(listing)),
            namespace_labels={
                item["metadata"]["name"]: item["metadata"].get("labels") or {}
                for item in listing.objects.get("Namespace", ())
            },
        )

    def _images(self, listing: Listing) -> Iterator[tuple[str, str]]:
        """Each image once. DaemonSets stand beside pods, since one may have none at the moment."""
        told: set[str] = set()
        for item in (*listing.objects.get("DaemonSet", ()), *listing.objects.get("Pod", ())):
            new = self.ownership.images(item) - told
            if new:
                told |= new
                root = self.ownership.root(item)
                owner = f"{item['metadata'].get('namespace', '')}/{root.kind}/{root.name}"
                yield from ((image, owner) for image in sorted(new))


def _stack(view: _View, namespace: str) -> tuple[Stack, int]:
    """The stack of one namespace, and how many objects it holds beside those of every namespace."""
    mine = view.inside.get(namespace, [])
    workloads = _Workloads(view.ownership, mine)
    resources = [*_translated(mine), *_routes_to(view.shared, namespace), *workloads.resources()]
    parts = collect(resources, namespace)
    _complete(parts, workloads, namespace)
    stack = build_stack(
        namespace, "kubernetes", parts,
        namespace=namespace, surroundings=view.surroundings, gaps=tuple(_gaps(view.gaps, namespace)),
    )  # fmt: skip
    return stack, sum((item["kind"], item["metadata"]["name"]) not in STANDARD for item in mine)


def _gaps(gaps: Iterable[Gap], namespace: str) -> Iterator[Gap]:
    return (gap for gap in gaps if gap.scope in ("", ELSEWHERE, namespace))


def _translated(mine: Iterable[Json]) -> Iterator[Json]:
    for item in mine:
        if item["kind"] in PLAIN - {"Gateway"} or item["kind"] == "ConfigMap" or _is_core_service(item):
            yield item


def _is_core_service(item: Json) -> bool:
    return bool(item["kind"] == "Service" and item["apiVersion"] == "v1")


def _routes_to(shared: Iterable[Json], namespace: str) -> Iterator[Json]:
    """Gateways, and the routes that are in a namespace or lead into it from another."""
    for item in shared:
        if (
            item["kind"] == "Gateway"
            or item["metadata"].get("namespace") == namespace
            or any(
                reference.get("namespace") == namespace
                for rule in items(item.get("spec"), "rules")
                for reference in items(rule, "backendRefs")
            )
        ):
            yield item


@dataclass(slots=True)
class _Group:
    """What stands for one workload: the object with its pod specs, if any, and its pods."""

    root: Root
    sources: list[Json] = field(default_factory=list)
    pods: list[Json] = field(default_factory=list)


class _Workloads:
    """The workloads of one namespace, each as the object that says what it runs."""

    def __init__(self, ownership: Ownership, mine: Sequence[Json]) -> None:
        self.groups: dict[tuple[str, str], _Group] = {}
        self._parents: set[int] = set()
        controllers = [item for item in mine if item["kind"] not in NO_WORKLOADS and not _is_core_service(item)]
        for item in (*controllers, *(item for item in mine if item["kind"] == "Pod")):
            self._add(item, ownership)
        self._others = [
            item
            for item in controllers
            if not is_built_in(item["kind"], item["apiVersion"])
            and not ownership.images(item)
            and id(item) not in self._parents
        ]

    def _add(self, item: Json, ownership: Ownership) -> None:
        if item["kind"] != "Pod" and not ownership.images(item):
            return
        root = ownership.root(item)
        self._parents.update(id(owner.item) for owner in ownership.owners(item))
        group = self.groups.setdefault((root.kind, root.name), _Group(root))
        if item["kind"] == "Pod":
            group.pods.append(item)
        if root.item is item:
            group.sources.append(item)

    def resources(self) -> Iterator[Json]:
        """An object for each workload; those without pod specs that have no pods either may still name an image."""
        for group in self.groups.values():
            controllers = [item for item in group.sources if item["kind"] != "Pod"]
            if controllers:
                yield _as(group.root, _current(controllers))
            pods = [item for item in group.sources if item["kind"] == "Pod"]
            if pods and not controllers:
                yield from _from_pods(group.root, pods)
        yield from self._others


def _as(root: Root, item: Json) -> Json:
    """An object under the identity of its owner, which could not be read."""
    if (item["kind"], item["metadata"]["name"]) == (root.kind, root.name):
        return item
    metadata = item["metadata"] | {"name": root.name}
    return item | {"apiVersion": root.api_version, "kind": root.kind, "metadata": metadata}


def _current(controllers: Sequence[Json]) -> Json:
    """Of several ReplicaSets of one Deployment, the one that has pods, else the newest."""
    return max(
        controllers,
        key=lambda item: (
            bool(mapping(item, "spec").get("replicas")),
            str(item["metadata"].get("creationTimestamp", "")),
        ),
    )


def _from_pods(root: Root, pods: Sequence[Json]) -> Iterator[Json]:
    """One object with a pod spec for each that differs. Pods that ended count where none is left."""
    if root.kind == "Pod":
        yield from (pod | {"spec": _plain(pod["spec"])} for pod in pods)
        return
    living = [pod for pod in pods if mapping(pod, "status").get("phase") not in ENDED] or pods
    templates: dict[str, Json] = {}
    for pod in living:
        spec = _plain(pod["spec"])
        template = {"name": _variant(spec), "metadata": {"labels": mapping(pod["metadata"], "labels")}, "spec": spec}
        templates.setdefault(json.dumps({key: spec[key] for key in TOLD if key in spec}, sort_keys=True), template)
    chosen = list(templates.values())
    yield {
        "apiVersion": root.api_version,
        "kind": root.kind,
        "metadata": {"name": root.name, "namespace": pods[0]["metadata"].get("namespace", "")},
        "spec": {"template": chosen[0]} if len(chosen) == 1 else {"templates": chosen},
    }


def _variant(spec: Json) -> str:
    return "+".join(str(container.get("name")) for container in items(spec, "containers"))


def _plain(spec: Json) -> Json:
    """A pod's spec without the token volume that the API server gives to each."""
    tokens = {
        mount.get("name")
        for key in ("containers", "initContainers", "ephemeralContainers")
        for container in items(spec, key)
        for mount in items(container, "volumeMounts")
        if mount.get("mountPath") == TOKENS and str(mount.get("name")).startswith("kube-api-access-")
    }
    if not tokens:
        return spec
    lists = {
        key: [_unmounted(container, tokens) for container in spec[key]]
        for key in ("containers", "initContainers", "ephemeralContainers")
        if key in spec
    }
    return spec | lists | {"volumes": [row for row in items(spec, "volumes") if row.get("name") not in tokens]}


def _unmounted(container: Json, tokens: set[Any]) -> Json:
    mounts = [mount for mount in items(container, "volumeMounts") if mount.get("name") not in tokens]
    return container | {"volumeMounts": mounts}


def _complete(parts: Parts, workloads: _Workloads, namespace: str) -> None:
    """What only pods tell: the labels that an operator gives them, and containers that were added for debugging."""
    configs = {(config.namespace, config.name): config for config in parts.configs}
    for index, made in enumerate(parts.workloads):
        group = workloads.groups.get((made.kind, made.name))
        if group is not None and group.pods and group.root.kind != "Pod":
            parts.workloads[index] = _completed(made, group, namespace, configs)


def _completed(made: Workload, group: _Group, namespace: str, configs: Configs) -> Workload:
    debugged = [pod for pod in group.pods if mapping(pod, "spec").get("ephemeralContainers")]
    known = {container.name for container in made.containers}
    added = [c for pod in debugged for c in _ephemeral(pod, namespace, configs) if c.name not in known]
    labels: Mapping[str, str] = made.labels
    if not is_built_in(made.kind, made.api_version):
        alike = next((pod for pod in group.pods if _runs(pod, made)), None)
        labels = {**(mapping(alike["metadata"], "labels") if alike else {}), **labels}
    return replace(made, labels=labels, containers=(*made.containers, *_distinct(added)))


def _ephemeral(pod: Json, namespace: str, configs: Configs) -> Iterator[Container]:
    made = workload(pod, PodSpec(pod["spec"], pod, ""), namespace, configs)
    return (container for container in made.containers if container.role == "ephemeral")


def _distinct(containers: Iterable[Container]) -> list[Container]:
    return list({container.name: container for container in containers}.values())


def _runs(pod: Json, made: Workload) -> bool:
    """Whether a pod was made from this one of its owner's templates."""
    running = {(str(row.get("name")), str(row.get("image"))) for row in items(pod["spec"], "containers")}
    wanted = {(c.name, c.image.reference if c.image else "") for c in made.containers if c.role == "regular"}
    return bool(wanted) and wanted <= running
