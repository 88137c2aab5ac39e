"""Lists in pages of 500, with what a scan never looks at dropped while each page is read."""

from __future__ import annotations

from typing import Any

from llmscan.collect.api_client import ApiClient, ApiFailure

Json = dict[str, Any]

PAGE = 500
RESTARTS = 3
_COPIES = (
    "kubectl.kubernetes.io/last-applied-configuration",
    "kapp.k14s.io/original",
    "objectset.rio.cattle.io/applied",
)


def list_all(client: ApiClient, path: str, api_version: str, kind: str) -> list[Json]:
    """Every object under a list path, with kind and apiVersion put back into each.

    A `continue` token that the server no longer knows (410) starts the list again, a few times. Raises ApiFailure.

    No resourceVersion is sent: with "0" a server answers from its cache, and many then ignore the limit.
    """
    for _ in range(RESTARTS):
        try:
            return _all_pages(client, path, api_version, kind)
        except ApiFailure as failure:
            if failure.status != 410:
                raise
    raise ApiFailure(f"answered 410 in {RESTARTS} attempts at one list", 410)


def _all_pages(client: ApiClient, path: str, api_version: str, kind: str) -> list[Json]:
    found: list[Json] = []
    query: dict[str, str | int] = {"limit": PAGE}
    while True:
        page = client.get(path, query)
        items = page.get("items")
        if not isinstance(items, list):
            raise ApiFailure("answered with a body that is no list")
        found += [slim(item, api_version, kind) for item in items]
        token = (page.get("metadata") or {}).get("continue")
        if not token:
            return found
        query["continue"] = token


def slim(item: Json, api_version: str, kind: str) -> Json:
    """The same object without the bookkeeping of writers.

    Annotations in which tools keep the whole object as it once was go too: they may hold what has been mended since.
    """
    metadata = item.get("metadata") or {}
    metadata.pop("managedFields", None)
    annotations = metadata.get("annotations") or {}
    for copy in _COPIES:
        annotations.pop(copy, None)
    item["apiVersion"], item["kind"] = api_version, kind
    return item
