"""Lists in pages of 500, with what a scan never looks at dropped while each page is read."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from llmscan.collect.api_client import ApiClient, ApiFailure

Json = dict[str, Any]

# A cluster has thousands of these that are nearly alike. Their fields have fixed types, so that equal means alike.
_TYPED = frozenset({"Pod", "ReplicaSet"})
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
    """The next page is on its way while this one is worked on: most of the time goes by in the server."""
    found: list[Json] = []
    with ThreadPoolExecutor(1) as ahead:
        page = client.get(path, {"limit": PAGE})
        while True:
            token = (page.get("metadata") or {}).get("continue")
            following = ahead.submit(client.get, path, {"limit": PAGE, "continue": token}) if token else None
            _take(found, page.get("items", ...), api_version, kind)
            if following is None:
                return found
            page = following.result()


def _take(found: list[Json], items: object, api_version: str, kind: str) -> None:
    if not isinstance(items, list | None) or not all(isinstance(item, dict) for item in items or []):
        raise ApiFailure("answered with a body that is no list of objects")
    for item in items or []:
        slim(item, api_version, kind)
        if found and kind in _TYPED:
            share(item, found[-1])
        found.append(item)


def slim(item: Json, api_version: str, kind: str) -> Json:
    """The same object without the bookkeeping of writers.

    Annotations in which tools keep the whole object as it once was go too: they may hold what has been mended since.
    """
    metadata = item.setdefault("metadata", {})
    metadata.pop("managedFields", None)
    annotations = metadata.get("annotations") or {}
    for copy in _COPIES:
        annotations.pop(copy, None)
    item["apiVersion"], item["kind"] = api_version, kind
    return item


def share(mine: Any, other: Any) -> None:
    """Take from a neighbour whatever part of it is equal: replicas then cost a tenth of the memory.

    What is shared belongs to several objects, so nothing of a listing may be changed in place.
    """
    if isinstance(mine, dict) and isinstance(other, dict):
        pairs = [(key, value, other[key]) for key, value in mine.items() if key in other]
    elif isinstance(mine, list) and isinstance(other, list):
        pairs = [(index, *values) for index, values in enumerate(zip(mine, other, strict=False))]
    else:
        return
    for key, value, theirs in pairs:
        if value == theirs:
            mine[key] = theirs
        elif isinstance(value, dict | list):
            share(value, theirs)
