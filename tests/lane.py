"""The cluster that LLMSCAN_TEST_KUBECONFIG names, as the tests of the cluster lane use it: namespaces of their own, and nothing else."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from time import monotonic, sleep
from typing import Any

import pytest

from llmscan.testing.resource_types import plural_of

Json = dict[str, Any]

KUBECONFIG = os.environ.get("LLMSCAN_TEST_KUBECONFIG", "")
ON_A_CLUSTER = [
    pytest.mark.cluster,
    pytest.mark.skipif(not KUBECONFIG, reason="LLMSCAN_TEST_KUBECONFIG names no cluster"),
]
LABEL = "llmscan-test"
CRD_PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


class Lane:
    """Requests to the cluster as the user of the kubeconfig, and what must be taken away afterwards."""

    def __init__(self) -> None:
        config: Any = import_module("kubernetes.config")
        self.client = config.new_client_from_config(KUBECONFIG, persist_config=False)
        self._pool = self.client.rest_client.pool_manager
        self._host = self.client.configuration.host
        self._headers = {"Content-Type": "application/json"}
        self._headers |= self._credential()
        self._served: dict[str, dict[str, Json]] = {}
        self._namespaces: list[str] = []
        self._definitions: list[str] = []

    def _credential(self) -> dict[str, str]:
        token = next(iter(self.client.configuration.api_key.values()), "")
        return {"Authorization": token} if token else {}

    def request(self, method: str, path: str, body: Json | None = None) -> tuple[int, Json, list[str]]:
        """Status, document and the warnings of the server."""
        sent = json.dumps(body) if body is not None else None
        answer = self._pool.request(method, self._host + path, body=sent, headers=self._headers)
        document = json.loads(answer.data) if answer.data.startswith(b"{") else {}
        return answer.status, document, answer.headers.getlist("Warning")

    def namespace(self, **labels: str) -> str:
        """A new namespace."""
        name = f"llmscan-{secrets.token_hex(4)}"
        self._namespaces.append(name)
        status, answer, _ = self.request(
            "POST", "/api/v1/namespaces", {"metadata": {"name": name, "labels": labels | {LABEL: "yes"}}}
        )
        assert status == 201, answer
        return name

    def served(self, api_version: str) -> dict[str, Json]:
        """The types under an apiVersion, by kind."""
        if api_version not in self._served:
            root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
            _, answer, _ = self.request("GET", root)
            rows = [row for row in answer.get("resources", ()) if "/" not in row["name"]]
            self._served[api_version] = {row["kind"]: row | {"root": root} for row in rows}
        return self._served[api_version]

    def create(self, item: Json, namespace: str, query: str = "") -> tuple[int, Json, list[str]]:
        """Create an object in a namespace; 404 where the cluster knows no such type."""
        offered = self.served(item["apiVersion"]).get(item["kind"])
        if offered is None or not offered["namespaced"]:
            return 404, {"message": f"{item['kind']} is not served in namespaces"}, []
        return self.request("POST", f"{offered['root']}/namespaces/{namespace}/{offered['name']}{query}", item)

    def define(self, kinds: Iterable[tuple[str, str, str]]) -> None:
        """Custom types that accept whatever they are given, where the cluster serves none: (group, version, kind)."""
        versions: dict[tuple[str, str], list[str]] = {}
        for group, version, kind in sorted(set(kinds)):
            if kind not in self.served(f"{group}/{version}"):
                versions.setdefault((group, kind), []).append(version)
        for (group, kind), offered in versions.items():
            self._define(group, kind, offered)
        deadline = monotonic() + 20
        for (group, kind), offered in versions.items():
            for version in offered:
                while kind not in self.served(f"{group}/{version}"):
                    assert monotonic() < deadline, f"{kind} is still not served"
                    del self._served[f"{group}/{version}"]
                    sleep(0.1)

    def _define(self, group: str, kind: str, versions: list[str]) -> None:
        anything = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
        offered = [
            {"name": version, "served": True, "storage": version == versions[-1], "schema": anything}
            for version in versions
        ]
        plural = plural_of(kind)
        names = {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"}
        approved = {"api-approved.kubernetes.io": "unapproved, for a test"}
        definition = {
            "metadata": {"name": f"{plural}.{group}", "annotations": approved},
            "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": offered},
        }
        status, answer, _ = self.request("POST", CRD_PATH, definition)
        assert status == 201, answer
        self._definitions.append(f"{plural}.{group}")

    def wait(self, path: str, enough: Any, seconds: float = 60) -> list[Json]:
        """The items of a list once `enough` holds of them."""
        deadline = monotonic() + seconds
        while True:
            items: list[Json] = self.request("GET", path)[1].get("items", [])
            if enough(items):
                return items
            assert monotonic() < deadline, f"{path}: {len(items)} items after {seconds} s"
            sleep(0.1)

    def clean(self) -> None:
        """Take away everything that was made here; namespaces go in their own time."""
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda name: self.request("DELETE", f"/api/v1/namespaces/{name}"), self._namespaces))
        for name in self._definitions:
            self.request("DELETE", f"{CRD_PATH}/{name}")


@pytest.fixture(scope="module")
def lane() -> Iterator[Lane]:
    made = Lane()
    try:
        yield made
    finally:
        made.clean()
