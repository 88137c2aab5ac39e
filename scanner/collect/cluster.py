"""Reads a live cluster as raw JSON objects, names what it could not read, and never asks for a Secret."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from llmscan.collect.api_client import WORKERS, ApiClient, ApiFailure, Reply
from llmscan.collect.api_resources import BUILTIN, ApiResource, custom_resources
from llmscan.collect.kubeconfig import BadKubeconfig, BadTarget, ClusterOptions, TargetUnreachable, context_name, log_in
from llmscan.collect.owners import OwnerReference, OwnerSearch, fetch_owners
from llmscan.collect.paging import list_all
from llmscan.findings import Failure
from llmscan.model import ELSEWHERE, Gap
from llmscan.records import Record

Json = dict[str, Any]

CUSTOM_RESOURCES = "custom resources"
_REVIEW_VERSION = "authorization.k8s.io/v1"
_REVIEW_PATH = f"/apis/{_REVIEW_VERSION}/selfsubjectaccessreviews"


class Listing(Record, frozen=True):
    """Everything that was read, by kind, each object with its apiVersion and kind; and what could not be read.

    A kind alone is no key: Knative's Service and the core one share theirs, so look at apiVersion too.
    failures: those of the gaps that no missing permission explains.
    """

    objects: dict[str, list[Json]]
    gaps: tuple[Gap, ...]
    failures: tuple[Failure, ...] = ()


class Access(Record, frozen=True):
    """Whether the caller may do something; namespace None means in all of them."""

    verb: str
    resource: str
    group: str
    namespace: str | None
    allowed: bool


class _Part(Record, frozen=True):
    """What one list request brought: objects, or why not. `denied` is a 403."""

    resource: ApiResource
    namespace: str | None
    items: list[Json]
    why: str = ""
    denied: bool = False


def connect(options: ClusterOptions) -> Cluster:
    """A cluster that answers and accepts the credentials. Raises BadKubeconfig and TargetUnreachable."""
    login = log_in(options)
    client = ApiClient(login)
    client.reach()
    namespaces = () if options.all_namespaces else (options.namespaces or (login.namespace,))
    return Cluster(client, safe_name(login.context), namespaces, login.namespace)


def safe_name(context: str) -> str:
    """A context's name as a target name: lower case letters, digits and single hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", context.lower()).strip("-") or "cluster"


class Cluster:
    """A cluster to scan. `namespaces` are those that are judged, none meaning all; more than those is read."""

    def __init__(self, client: ApiClient, name: str, namespaces: tuple[str, ...], home: str) -> None:
        self._client = client
        self._home = home
        self.name = name
        self.namespaces = namespaces

    def list(self) -> Listing:
        """Read every resource type that a scan looks at, several at a time."""
        with self._workers() as pool:
            resources, gaps = self._resources()
            parts = list(pool.map(lambda row: self._part(*row), self._wanted(resources)))
            parts += self._inside(pool, parts)
            owners = self._owners(pool, parts)
        failures = (*_failures(parts), *_owner_failures(owners))
        return Listing(_by_kind(parts, owners), (*gaps, *self._gaps(parts), *_owner_gaps(owners)), failures)

    def check_access(self) -> tuple[Access, ...]:
        """Ask the API server whether the caller may list each resource type that a scan reads.

        Raises TargetUnreachable when it does not answer that.
        """
        with self._workers() as pool:
            resources, _ = self._resources()
            found = list(pool.map(lambda row: self._access(*row), self._wanted(resources)))
            denied = {(row.group, row.resource) for row in found if not row.allowed and row.namespace is None}
            inside = [row for row in resources if row.namespaced and (row.group, row.plural) in denied]
            again = [(resource, namespace) for resource in inside for namespace in self.namespaces]
            return (*found, *pool.map(lambda row: self._access(*row), again))

    def may_proxy(self, resource: str, namespace: str) -> bool:
        """Whether the caller may send requests through the API server to `pods` or `services` of a namespace. Raises TargetUnreachable."""
        return self._allowed({"verb": "get", "resource": resource, "subresource": "proxy", "namespace": namespace})

    def running_pods(self, namespace: str, labels: Mapping[str, str]) -> Iterator[str]:
        """The names of some running pods with these labels. Raises ApiFailure."""
        selector = ",".join(f"{name}={value}" for name, value in labels.items())
        query: dict[str, str | int] = {"labelSelector": selector, "limit": 20}
        for item in self._client.get(f"/api/v1/namespaces/{namespace}/pods", query).get("items") or ():
            if (item.get("status") or {}).get("phase") == "Running" and not item["metadata"].get("deletionTimestamp"):
                yield item["metadata"]["name"]

    def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        timeout: float = 5.0,
        limit: int = 65536,
    ) -> Reply:
        """One reading request as it is, for instance to a pod through the API server's proxy.

        Raises ApiFailure when no answer came and ValueError for a method that could change something.
        """
        return self._client.raw(method, path, headers or {}, timeout, limit)

    @contextmanager
    def _workers(self) -> Iterator[Executor]:
        """Threads that are not waited for longer than a request when the user interrupts."""
        pool, done = ThreadPoolExecutor(WORKERS), False
        try:
            yield pool
            done = True
        finally:
            if not done:
                self._client.stop()
            pool.shutdown(cancel_futures=True)

    def _resources(self) -> tuple[tuple[ApiResource, ...], tuple[Gap, ...]]:
        """The types to read, namespaces first, and a gap when the cluster does not say which others it serves."""
        try:
            return (*BUILTIN, *custom_resources(self._client)), ()
        except ApiFailure as failure:
            what, why = "custom resources and gateway routes", f"could not be listed: the API server {failure.why}"
            return BUILTIN, (Gap("api", what, why, "permission to get /apis", resource=CUSTOM_RESOURCES),)

    def _wanted(self, resources: Iterable[ApiResource]) -> Sequence[tuple[ApiResource, str | None]]:
        """What to list: in the whole cluster where that is a type's place, else in each namespace that is judged."""
        return [
            (resource, namespace)
            for resource in resources
            for namespace in ([None] if self._is_wide(resource) else self.namespaces)
        ]

    def _is_wide(self, resource: ApiResource) -> bool:
        return resource.context or not resource.namespaced or not self.namespaces

    def _inside(self, pool: Executor, parts: Sequence[_Part]) -> Sequence[_Part]:
        """Read by namespace what the API forbade for the whole cluster."""
        listed = tuple(item["metadata"]["name"] for item in parts[0].items)
        namespaces = self.namespaces or listed or (self._home,)
        denied = [part.resource for part in parts if part.denied and not part.namespace and part.resource.namespaced]
        again = [(resource, namespace) for resource in denied for namespace in namespaces]
        return list(pool.map(lambda row: self._part(*row), again))

    def _part(self, resource: ApiResource, namespace: str | None) -> _Part:
        try:
            items = list_all(self._client, resource.path(namespace), resource.api_version, resource.kind)
        except ApiFailure as failure:
            if failure.status == 404:
                return _Part(resource, namespace, [])
            return _Part(resource, namespace, [], failure.why, failure.status == 403)
        return _Part(resource, namespace, items)

    def _owners(self, pool: Executor, parts: Iterable[_Part]) -> OwnerSearch:
        objects = [item for part in parts if part.resource.namespaced for item in part.items]
        return fetch_owners(self._client, pool, objects, frozenset(self.namespaces))

    def _gaps(self, parts: Sequence[_Part]) -> Sequence[Gap]:
        """What could not be read. What was read namespace by namespace instead lacks only what lies elsewhere."""
        inside = {part.resource for part in parts if part.namespace}
        complete = bool(parts[0].items) and not self.namespaces
        return [
            _gap(part, self.namespaces if part.resource in inside else ())
            for part in parts
            if part.why and not (complete and part.namespace is None and part.resource in inside)
        ]

    def _access(self, resource: ApiResource, namespace: str | None) -> Access:
        attributes = {"verb": "list", "group": resource.group, "resource": resource.plural}
        if namespace:
            attributes["namespace"] = namespace
        return Access("list", resource.plural, resource.group, namespace, self._allowed(attributes))

    def _allowed(self, attributes: Mapping[str, str]) -> bool:
        review = {
            "apiVersion": _REVIEW_VERSION,
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": dict(attributes)},
        }
        try:
            status = self._client.review(_REVIEW_PATH, review).get("status") or {}
        except ApiFailure as failure:
            raise TargetUnreachable(f"The API server does not say what is allowed: it {failure.why}.") from None
        return bool(status.get("allowed"))


def _gap(part: _Part, inside: tuple[str, ...]) -> Gap:
    what, where = _scope(part)
    if part.namespace is None and inside:
        what = f"{part.resource.plural} outside namespace {', '.join(inside)}"
    would = f"permission to list {part.resource.qualified} {where}" if part.denied else "an answer from the API server"
    scope = part.namespace or (ELSEWHERE if inside else "")
    why = f"could not be listed: the API server {part.why}"
    return Gap("api", what, why, would, resource=part.resource.qualified, scope=scope)


def _failures(parts: Iterable[_Part]) -> list[Failure]:
    """Lists that did not come though nobody forbade them: the scan is incomplete then."""
    return [
        Failure("target", _scope(part)[0], f"could not be listed: the API server {part.why}")
        for part in parts
        if part.why and not part.denied
    ]


def _scope(part: _Part) -> tuple[str, str]:
    if part.namespace:
        return f"{part.resource.plural} in namespace {part.namespace}", f"in namespace {part.namespace}"
    where = "in all namespaces" if part.resource.namespaced else "in the cluster"
    return f"{part.resource.plural} {where}", where


def _by_kind(parts: Iterable[_Part], owners: OwnerSearch) -> dict[str, list[Json]]:
    objects: dict[str, list[Json]] = {}
    for part in parts:
        objects.setdefault(part.resource.kind, []).extend(part.items)
    for owner in owners.found:
        objects.setdefault(owner["kind"], []).append(owner)
    return objects


def _owner_gaps(owners: OwnerSearch) -> list[Gap]:
    gaps = [
        Gap("api", _owner_name(ref), f"could not be read: the API server {why}", scope=ref.namespace)
        for ref, why in owners.failed
    ]
    if owners.skipped:
        gaps.append(Gap("api", f"{owners.skipped} owners of pods", "were not read: a scan fetches only so many"))
    return gaps


def _owner_failures(owners: OwnerSearch) -> list[Failure]:
    return [
        Failure("target", _owner_name(ref), f"could not be read: the API server {why}") for ref, why in owners.failed
    ]


def _owner_name(ref: OwnerReference) -> str:
    return f"{ref.kind} {ref.name} in namespace {ref.namespace}"


__all__ = [
    "CUSTOM_RESOURCES",
    "Access",
    "BadKubeconfig",
    "BadTarget",
    "Cluster",
    "ClusterOptions",
    "Listing",
    "TargetUnreachable",
    "connect",
    "context_name",
    "safe_name",
]
