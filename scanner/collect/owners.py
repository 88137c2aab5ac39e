"""Owners that no list brought: resources of custom controllers, fetched one by one as references name them."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Executor
from typing import Any

from llmscan.collect.api_client import ApiClient, ApiFailure
from llmscan.collect.api_resources import ApiResource, served
from llmscan.collect.paging import slim
from llmscan.records import Record

Json = dict[str, Any]

DEPTH = 8
MOST = 500


class OwnerReference(Record, frozen=True):
    """Which object owns another; `namespace` is that of the owned one."""

    api_version: str
    kind: str
    name: str
    uid: str
    namespace: str


class OwnerSearch(Record, frozen=True):
    """The owners that were found, and the references to those that could not be read though they may be there.

    An owner that is gone, forbidden, or of a type that is not served is in neither: its reference says kind and name.
    """

    found: list[Json]
    failed: list[tuple[OwnerReference, str]]
    skipped: int


def fetch_owners(client: ApiClient, pool: Executor, objects: Iterable[Json], namespaces: frozenset[str]) -> OwnerSearch:
    """Walk up from the objects of these namespaces (none given: all) to owners that are not among the objects."""
    level = list(objects)
    known = {item["metadata"].get("uid") for item in level}
    search = OwnerSearch([], [], 0)
    catalogue = _Catalogue(client)
    skipped = 0
    for _ in range(DEPTH):
        wanted = {ref for item in level for ref in _references(item, namespaces) if ref.uid not in known}
        chosen = sorted(wanted, key=lambda ref: (ref.api_version, ref.kind, ref.namespace, ref.name))
        taken = chosen[: max(0, MOST - len(search.found) - len(search.failed))]
        skipped += len(chosen) - len(taken)
        known |= {ref.uid for ref in wanted}
        answers = list(pool.map(lambda ref: (ref, _fetch(client, catalogue, ref)), taken))
        search.failed.extend((ref, answer) for ref, answer in answers if isinstance(answer, str))
        level = [answer for _, answer in answers if isinstance(answer, dict)]
        search.found.extend(level)
        if not level:
            break
    return OwnerSearch(search.found, search.failed, skipped)


def _references(item: Json, namespaces: frozenset[str]) -> list[OwnerReference]:
    """References to owners of custom groups; those of Kubernetes itself came with the lists, or are nodes."""
    metadata = item["metadata"]
    namespace = metadata.get("namespace", "")
    if namespaces and namespace not in namespaces:
        return []
    return [
        OwnerReference(row["apiVersion"], row["kind"], row["name"], row["uid"], namespace)
        for row in metadata.get("ownerReferences") or []
        if _is_custom(row["apiVersion"])
    ]


def _is_custom(api_version: str) -> bool:
    group = api_version.rpartition("/")[0]
    return "." in group and not group.endswith(".k8s.io")


class _Catalogue:
    """What the cluster serves under an apiVersion, remembered. Two threads may ask the same, which does no harm."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self._served: dict[str, list[ApiResource]] = {}

    def find(self, ref: OwnerReference) -> ApiResource | None:
        if ref.api_version not in self._served:
            self._served[ref.api_version] = served(self._client, ref.api_version)
        return next((found for found in self._served[ref.api_version] if found.kind == ref.kind), None)


def _fetch(client: ApiClient, catalogue: _Catalogue, ref: OwnerReference) -> Json | str | None:
    try:
        offered = catalogue.find(ref)
        if offered is None:
            return None
        return slim(client.get(offered.path(ref.namespace, ref.name)), ref.api_version, ref.kind)
    except ApiFailure as failure:
        return None if failure.status in (403, 404) else failure.why
