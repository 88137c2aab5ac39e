"""The objects that the API server of the tests serves, already encoded, so that long lists are quick."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import NAMESPACE_URL, uuid5

from llmscan.testing.resource_types import Json, ResourceType, types_for

_RESOURCE_VERSION = "4711"
_CREATED = "2026-01-05T09:00:00Z"


class ForeignToken(Exception):
    """A `continue` token that this server never gave out."""


@dataclass(frozen=True, slots=True)
class _Stored:
    namespace: str
    name: str
    item: bytes


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list: the JSON document, and whether another follows."""

    body: bytes
    more: bool


class ObjectStore:
    """Objects by resource type, sorted by namespace and name as etcd keeps them.

    What a server fills in is filled in where it is missing: uid, resourceVersion, creationTimestamp, managedFields.
    """

    def __init__(self, objects: Iterable[Json], plurals: Mapping[str, str]) -> None:
        given = list(objects)
        self.types = types_for(given, plurals)
        self._by_path = {(offered.root, offered.plural): offered for offered in self.types.values()}
        self._rows: dict[ResourceType, list[_Stored]] = {offered: [] for offered in self.types.values()}
        for item in given:
            offered = self.types[item["apiVersion"], item["kind"]]
            self._rows[offered].append(_stored(item, offered))
        for rows in self._rows.values():
            rows.sort(key=lambda row: (row.namespace, row.name))

    def type_at(self, root: str, plural: str) -> ResourceType | None:
        """The type served under /api/v1/PLURAL or /apis/GROUP/VERSION/PLURAL."""
        return self._by_path.get((root, plural))

    def get(self, offered: ResourceType, namespace: str, name: str) -> bytes | None:
        """One object as a JSON document, None when there is none of that name."""
        for row in self._rows[offered]:
            if row.name == name and row.namespace == namespace:
                return _whole(row.item, offered)
        return None

    def page(self, offered: ResourceType, namespace: str | None, limit: int, token: str) -> Page:
        """Up to `limit` objects (0: all), from where the token of the page before says.

        Raises ForeignToken for a token that is not from here.
        """
        rows = [row for row in self._rows[offered] if namespace is None or row.namespace == namespace]
        start = _offset(token)
        end = start + limit if limit else len(rows)
        metadata: Json = {"resourceVersion": _RESOURCE_VERSION}
        if end < len(rows):
            metadata |= {"continue": _token(end), "remainingItemCount": len(rows) - end}
        head = {"kind": f"{offered.kind}List", "apiVersion": offered.api_version, "metadata": metadata}
        items = b",".join(row.item for row in rows[start:end])
        return Page(json.dumps(head).encode()[:-1] + b',"items":[' + items + b"]}", more=end < len(rows))


def _stored(item: Json, offered: ResourceType) -> _Stored:
    metadata = dict(item["metadata"])
    name = str(metadata["name"])
    namespace = str(metadata.get("namespace") or "default") if offered.namespaced else ""
    if namespace:
        metadata["namespace"] = namespace
    metadata.setdefault("uid", str(uuid5(NAMESPACE_URL, f"{offered.root}/{offered.plural}/{namespace}/{name}")))
    metadata.setdefault("resourceVersion", _RESOURCE_VERSION)
    metadata.setdefault("creationTimestamp", _CREATED)
    metadata.setdefault("managedFields", [_managed_fields(item)])
    whole = item | {"metadata": metadata}
    if offered.builtin:
        whole = {key: value for key, value in whole.items() if key not in ("apiVersion", "kind")}
    return _Stored(namespace, name, json.dumps(whole, separators=(",", ":")).encode())


def _managed_fields(item: Json) -> Json:
    fields: Json = {f"f:{key}": {} for key in item if key not in ("apiVersion", "kind", "metadata")}
    return {
        "manager": "kubectl-client-side-apply",
        "operation": "Update",
        "apiVersion": item["apiVersion"],
        "time": _CREATED,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }


def _whole(item: bytes, offered: ResourceType) -> bytes:
    if not offered.builtin:
        return item
    head = json.dumps({"apiVersion": offered.api_version, "kind": offered.kind}).encode()
    return head[:-1] + b"," + item[1:]


def _token(offset: int) -> str:
    return urlsafe_b64encode(json.dumps({"v": _RESOURCE_VERSION, "start": offset}).encode()).decode()


def _offset(token: str) -> int:
    if not token:
        return 0
    try:
        return int(json.loads(urlsafe_b64decode(token))["start"])
    except (ValueError, KeyError, TypeError) as error:
        raise ForeignToken(token) from error
