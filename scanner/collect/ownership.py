"""Which controller every pod belongs to, over any depth, and which object says what that controller runs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from llmscan.collect.fields import items, mapping
from llmscan.collect.pods import BUILT_IN, find_pod_specs
from llmscan.records import Record

Json = dict[str, Any]

DEPTH = 10
SCHEDULED_JOB = re.compile(r"^(.+)-\d{8,10}$")
"""How a CronJob names its Jobs: its own name and the scheduled minute."""


class Owner(Record, frozen=True):
    """One step up from a pod. `item` is None where the object itself could not be read."""

    api_version: str
    kind: str
    name: str
    item: Json | None = None

    @property
    def built_in(self) -> bool:
        """Whether it is a controller of Kubernetes itself."""
        return is_built_in(self.kind, self.api_version)


class Root(Record, frozen=True):
    """What a pod or controller is judged as: the identity of its workload, and the object whose pod specs it runs."""

    api_version: str
    kind: str
    name: str
    item: Json


def is_built_in(kind: str, api_version: str) -> bool:
    """Whether a kind is one of Kubernetes' own that run pods."""
    return kind in BUILT_IN and (api_version in ("v1", "apps/v1") or api_version.startswith("batch/"))


class Ownership:
    """The owners among the objects of a cluster."""

    def __init__(self, objects: Iterable[Json]) -> None:
        self._by_uid: dict[str, Json] = {}
        self._by_name: dict[tuple[str, str, str], Json] = {}
        for item in objects:
            metadata = item["metadata"]
            if metadata.get("uid"):
                self._by_uid[metadata["uid"]] = item
            self._by_name[item["kind"], metadata.get("namespace", ""), metadata["name"]] = item
        self._images: dict[int, frozenset[str]] = {}

    def owners(self, item: Json) -> Iterator[Owner]:
        """From an object upwards. What cannot be read ends the way, but for what its name gives away."""
        for _ in range(DEPTH):
            reference = _reference(item)
            if reference is None:
                return
            found = self._by_uid.get(reference["uid"]) or self._named(item, reference)
            if found is None:
                yield _unread(item, reference)
                return
            yield Owner(found["apiVersion"], found["kind"], found["metadata"]["name"], found)
            item = found

    def root(self, item: Json) -> Root:
        """The topmost owner that says what the object runs; for a pod that none explains, the topmost owner there is."""
        best = Root(item["apiVersion"], item["kind"], item["metadata"]["name"], item)
        for owner in self.owners(item):
            source = owner.item if owner.item is not None and self._explains(owner, item) else best.item
            if source is not best.item or owner.built_in or best.item["kind"] == "Pod":
                best = Root(owner.api_version, owner.kind, owner.name, source)
        return best

    def _named(self, item: Json, reference: Json) -> Json | None:
        """The controller above one that could not be read: a ReplicaSet's Deployment, a Job's CronJob."""
        namespace = item["metadata"].get("namespace", "")
        if reference["kind"] == "ReplicaSet":
            return self._by_name.get(("Deployment", namespace, _deployment_name(item, reference)))
        match = SCHEDULED_JOB.match(reference["name"]) if reference["kind"] == "Job" else None
        return self._by_name.get(("CronJob", namespace, match[1])) if match else None

    def _explains(self, owner: Owner, item: Json) -> bool:
        """Whether an owner's own pod specs say what the object runs: an operator may make pods of its own choice too."""
        if owner.built_in or owner.item is None:
            return owner.item is not None
        return bool(self.images(owner.item) & self.images(item))

    def images(self, item: Json) -> frozenset[str]:
        """The images in the pod specs of an object."""
        key = id(item)
        if key not in self._images:
            containers = (c for pod in find_pod_specs(item) for c in _containers(pod.spec))
            self._images[key] = frozenset(str(container.get("image")) for container in containers)
        return self._images[key]


def _containers(spec: Any) -> Iterator[Json]:
    for container in (*items(spec, "containers"), *items(spec, "initContainers"), mapping(spec, "container")):
        if isinstance(container, dict) and container:
            yield container


def _reference(item: Json) -> Json | None:
    """The reference to the controller of an object, or to its first owner; a node owns the pods that its kubelet brought."""
    references: list[Json] = item["metadata"].get("ownerReferences") or []
    chosen = next((row for row in references if row.get("controller")), references[0] if references else None)
    return None if chosen is None or chosen["kind"] == "Node" else chosen


def _deployment_name(item: Json, reference: Json) -> str:
    """A ReplicaSet of a Deployment is named after it and the hash that its pods have as a label; else "" ."""
    suffix = "-" + str((item["metadata"].get("labels") or {}).get("pod-template-hash", ""))
    name = str(reference["name"])
    return name.removesuffix(suffix) if len(suffix) > 1 and name.endswith(suffix) else ""


def _unread(item: Json, reference: Json) -> Owner:
    deployment = _deployment_name(item, reference) if reference["kind"] == "ReplicaSet" else ""
    if deployment:
        return Owner("apps/v1", "Deployment", deployment)
    return Owner(reference["apiVersion"], reference["kind"], reference["name"])
