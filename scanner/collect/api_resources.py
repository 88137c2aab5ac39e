"""Which resource types a scan reads, and where a cluster serves them. Secrets are not among them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from llmscan.collect.api_client import ApiClient, ApiFailure
from llmscan.records import Record

Json = dict[str, Any]


class ApiResource(Record, frozen=True):
    """A resource type as a server serves it.

    context: it is read in the whole cluster even when the scan judges some namespaces only, since log collectors,
    gateways and the configuration of log stores live elsewhere.
    """

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True
    context: bool = False

    @property
    def group(self) -> str:
        """The API group, empty for the core group."""
        return self.api_version.rpartition("/")[0]

    @property
    def qualified(self) -> str:
        """As RBAC and kubectl name it: deployments.apps."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str | None = None, name: str | None = None) -> str:
        """The path of the list, in one namespace or in all, or of one object."""
        root = f"/apis/{self.api_version}" if self.group else f"/api/{self.api_version}"
        inside = f"/namespaces/{namespace}" if namespace and self.namespaced else ""
        return f"{root}{inside}/{self.plural}" + (f"/{name}" if name else "")


BUILTIN = (
    ApiResource("v1", "Namespace", "namespaces", namespaced=False, context=True),
    ApiResource("v1", "Node", "nodes", namespaced=False, context=True),
    ApiResource("v1", "Pod", "pods", context=True),
    ApiResource("v1", "ReplicationController", "replicationcontrollers"),
    ApiResource("v1", "Service", "services"),
    ApiResource("v1", "ConfigMap", "configmaps", context=True),
    ApiResource("v1", "ServiceAccount", "serviceaccounts"),
    ApiResource("apps/v1", "Deployment", "deployments"),
    ApiResource("apps/v1", "ReplicaSet", "replicasets"),
    ApiResource("apps/v1", "StatefulSet", "statefulsets"),
    ApiResource("apps/v1", "DaemonSet", "daemonsets", context=True),
    ApiResource("batch/v1", "Job", "jobs"),
    ApiResource("batch/v1", "CronJob", "cronjobs"),
    ApiResource("discovery.k8s.io/v1", "EndpointSlice", "endpointslices"),
    ApiResource("networking.k8s.io/v1", "Ingress", "ingresses"),
    ApiResource("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
)
CUSTOM = {
    "gateway.networking.k8s.io": ("gateways", "httproutes", "grpcroutes", "tcproutes", "tlsroutes"),
    "ray.io": ("rayclusters", "rayservices", "rayjobs"),
    "serving.kserve.io": ("inferenceservices", "llminferenceservices", "servingruntimes", "clusterservingruntimes"),
    "serving.knative.dev": ("services",),
    "jobset.x-k8s.io": ("jobsets",),
    "leaderworkerset.x-k8s.io": ("leaderworkersets",),
    "argoproj.io": ("rollouts", "workflows", "cronworkflows"),
    "apps.nvidia.com": ("nimservices",),
    "route.openshift.io": ("routes",),
    "traefik.io": ("ingressroutes", "middlewares"),
    "networking.istio.io": ("gateways", "virtualservices"),
    "security.istio.io": ("authorizationpolicies",),
    "gateway.envoyproxy.io": ("securitypolicies",),
    "kuadrant.io": ("authpolicies",),
}
"""What owns pods, opens ways in, or asks callers for a credential, by API group."""
_CONTEXT_GROUPS = frozenset(
    {
        "gateway.networking.k8s.io", "networking.istio.io", "security.istio.io", "gateway.envoyproxy.io", "kuadrant.io",
    }
)  # fmt: skip


def custom_resources(client: ApiClient) -> list[ApiResource]:
    """The custom types of CUSTOM that this cluster serves, each at the version that its server prefers.

    Raises ApiFailure when the cluster does not say what it serves.
    """
    groups = {row["name"]: row for row in client.get("/apis").get("groups") or []}
    return [
        found
        for name, plurals in CUSTOM.items()
        if name in groups
        for found in _of_group(client, groups[name], plurals)
    ]


def _of_group(client: ApiClient, group: Mapping[str, Any], plurals: Iterable[str]) -> list[ApiResource]:
    """A type that the preferred version lacks is taken from the first other version that has it."""
    preferred = (group.get("preferredVersion") or {}).get("groupVersion")
    versions = [row["groupVersion"] for row in group.get("versions") or []]
    found: dict[str, ApiResource] = {}
    for version in sorted(versions, key=lambda version: version != preferred):
        if found.keys() < set(plurals):
            found = {row.plural: row for row in served(client, version) if row.plural in plurals} | found
    return [found[plural] for plural in plurals if plural in found]


def served(client: ApiClient, api_version: str) -> list[ApiResource]:
    """What a cluster serves under one apiVersion, none when it does not know that one. Raises ApiFailure."""
    root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    try:
        rows = client.get(root).get("resources") or []
    except ApiFailure as failure:
        if failure.status == 404:
            return []
        raise
    context = api_version.partition("/")[0] in _CONTEXT_GROUPS
    return [
        ApiResource(api_version, row["kind"], row["name"], bool(row["namespaced"]), context)
        for row in rows
        if "/" not in row["name"]
    ]
