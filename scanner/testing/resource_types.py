"""Which resource types the tests' API server offers: those of every real one, and those of the objects it is given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

_NAMESPACED = {
    "v1": "Pod Service ConfigMap Secret ServiceAccount ReplicationController Endpoints Event PersistentVolumeClaim "
    "LimitRange ResourceQuota",
    "apps/v1": "Deployment ReplicaSet StatefulSet DaemonSet",
    "batch/v1": "Job CronJob",
    "networking.k8s.io/v1": "NetworkPolicy Ingress",
    "discovery.k8s.io/v1": "EndpointSlice",
    "rbac.authorization.k8s.io/v1": "Role RoleBinding",
    "policy/v1": "PodDisruptionBudget",
    "autoscaling/v2": "HorizontalPodAutoscaler",
}
_CLUSTER_WIDE = {
    "v1": "Node Namespace PersistentVolume",
    "networking.k8s.io/v1": "IngressClass",
    "rbac.authorization.k8s.io/v1": "ClusterRole ClusterRoleBinding",
    "storage.k8s.io/v1": "StorageClass",
    "apiextensions.k8s.io/v1": "CustomResourceDefinition",
    "authorization.k8s.io/v1": "SelfSubjectAccessReview SelfSubjectRulesReview",
}
_SAME_IN_PLURAL = {"Endpoints": "endpoints"}


@dataclass(frozen=True, slots=True)
class ResourceType:
    """One row of discovery. A built-in leaves kind and apiVersion out of the items of its lists, as real servers do."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool
    builtin: bool

    @property
    def group(self) -> str:
        """The API group, empty for the core group."""
        return self.api_version.rpartition("/")[0]

    @property
    def qualified(self) -> str:
        """As servers name the type in messages: deployments.apps."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def root(self) -> str:
        """The path under which the resources of this group and version are served."""
        return f"/apis/{self.api_version}" if self.group else f"/api/{self.api_version}"


def plural_of(kind: str) -> str:
    """The plural that code generators derive from a kind: Proxy -> proxies, Ingress -> ingresses, Pod -> pods."""
    word = kind.lower()
    if kind in _SAME_IN_PLURAL:
        return _SAME_IN_PLURAL[kind]
    if word.endswith(("s", "x", "ch", "sh")):
        return f"{word}es"
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        return f"{word[:-1]}ies"
    return f"{word}s"


def builtin_types() -> list[ResourceType]:
    """The types that every real API server offers, with or without objects."""
    rows = [(names, namespaced) for names, namespaced in ((_NAMESPACED, True), (_CLUSTER_WIDE, False))]
    return [
        ResourceType(api_version, kind, plural_of(kind), namespaced, builtin=True)
        for kinds, namespaced in rows
        for api_version, names in kinds.items()
        for kind in names.split()
    ]


def types_for(objects: Iterable[Json], plurals: Mapping[str, str]) -> dict[tuple[str, str], ResourceType]:
    """The built-in types and one for every other kind among the objects, by (apiVersion, kind).

    A custom kind is namespaced when one of its objects is. `plurals` says the plural of a kind where it is irregular.
    """
    types = {(known.api_version, known.kind): known for known in builtin_types()}
    for item in objects:
        key = (item["apiVersion"], item["kind"])
        known = types.get(key)
        namespaced = "namespace" in item["metadata"]
        if known is None or (namespaced and not known.namespaced and not known.builtin):
            types[key] = ResourceType(*key, plurals.get(key[1]) or plural_of(key[1]), namespaced, builtin=False)
    return types


def groups_document(types: Iterable[ResourceType]) -> Json:
    """The answer to /apis."""
    versions: dict[str, list[str]] = {}
    for offered in types:
        known = versions.setdefault(offered.group, [])
        if offered.api_version not in known:
            known.append(offered.api_version)
    groups = [group_document(group, found) for group, found in versions.items() if group]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def group_document(group: str, api_versions: list[str]) -> Json:
    """The answer to /apis/GROUP, also one row of the answer to /apis."""
    rows = [{"groupVersion": found, "version": found.rpartition("/")[2]} for found in api_versions]
    return {"kind": "APIGroup", "apiVersion": "v1", "name": group, "versions": rows, "preferredVersion": rows[0]}


def resources_document(api_version: str, types: Iterable[ResourceType]) -> Json:
    """The answer to /api/v1 and /apis/GROUP/VERSION; the former has no apiVersion on real servers either."""
    rows = [
        {
            "name": offered.plural,
            "singularName": offered.kind.lower(),
            "namespaced": offered.namespaced,
            "kind": offered.kind,
            "verbs": ["create"] if offered.kind.startswith("SelfSubject") else ["get", "list", "watch"],
        }
        for offered in types
    ]
    document = {"kind": "APIResourceList", "groupVersion": api_version, "resources": rows}
    return document | {"apiVersion": "v1"} if "/" in api_version else document
