"""The API server for tests answers like a real one, fails like a real one, and remembers what it was asked."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection, HTTPResponse, IncompleteRead
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from llmscan.collect.cluster import Cluster, ClusterOptions, connect
from llmscan.testing import (
    ApiServer,
    Request,
    cut_off,
    expired,
    failing,
    forbidden,
    garbage,
    slow,
    too_many_requests,
)

Json = dict[str, Any]

KUBECONFIG = os.environ.get("LLMSCAN_TEST_KUBECONFIG", "")


def pod(name: str, namespace: str = "ai", **spec: object) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"containers": [{"name": "main", "image": "ollama/ollama:0.12.0"}], **spec},
    }


def ray_cluster(name: str) -> Json:
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayCluster",
        "metadata": {"name": name, "namespace": "ai"},
        "spec": {"rayVersion": "2.52.0"},
    }


OBJECTS = [
    *(pod(f"pod-{number}") for number in range(5)),
    pod("other", "web"),
    ray_cluster("ray"),
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ai", "labels": {"team": "ml"}}},
]


def exchange(server: ApiServer, path: str, method: str = "GET", body: Json | None = None) -> tuple[HTTPResponse, bytes]:
    with closing(HTTPConnection(urlsplit(server.url).netloc, timeout=10)) as connection:
        connection.request(method, path, body=json.dumps(body) if body else None)
        response = connection.getresponse()
        return response, response.read()


def get(server: ApiServer, path: str) -> Json:
    response, body = exchange(server, path)
    assert response.status == 200, body
    document: Json = json.loads(body)
    return document


def names(listing: Json) -> list[str]:
    return [item["metadata"]["name"] for item in listing["items"]]


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer(OBJECTS) as running:
        yield running


def test_lists_a_namespace_and_the_whole_cluster(server: ApiServer) -> None:
    """A namespaced path lists that namespace, the plain one all of them, each as a typed list."""
    everywhere = get(server, "/api/v1/pods")
    assert everywhere["kind"] == "PodList"
    assert names(everywhere) == ["pod-0", "pod-1", "pod-2", "pod-3", "pod-4", "other"]
    assert names(get(server, "/api/v1/namespaces/web/pods")) == ["other"]
    assert names(get(server, "/api/v1/namespaces/none/pods")) == []


def test_items_of_builtin_lists_have_no_kind_and_custom_ones_have(server: ApiServer) -> None:
    """Real servers leave kind and apiVersion out of the items of built-in lists, and keep them in custom ones."""
    assert "kind" not in get(server, "/api/v1/pods")["items"][0]
    assert get(server, "/apis/ray.io/v1/rayclusters")["items"][0]["kind"] == "RayCluster"


def test_fills_in_what_a_server_fills_in(server: ApiServer) -> None:
    """Objects get uid, resourceVersion, creationTimestamp and managedFields when they came without."""
    metadata = get(server, "/api/v1/namespaces/ai/pods/pod-0")["metadata"]
    assert metadata.keys() >= {"uid", "resourceVersion", "creationTimestamp", "managedFields"}


def test_gets_one_object_of_any_kind(server: ApiServer) -> None:
    """Single objects carry kind and apiVersion, whether namespaced, cluster-wide or custom."""
    assert get(server, "/api/v1/namespaces/ai/pods/pod-1")["kind"] == "Pod"
    assert get(server, "/api/v1/namespaces/ai")["metadata"]["labels"] == {"team": "ml"}
    assert get(server, "/apis/ray.io/v1/namespaces/ai/rayclusters/ray")["spec"]["rayVersion"] == "2.52.0"


def test_discovers_builtin_and_custom_types(server: ApiServer) -> None:
    """Discovery names every group, version and plural that is served, with whether it is namespaced."""
    assert get(server, "/version")["minor"] == "37"
    assert get(server, "/api")["versions"] == ["v1"]
    groups = {group["name"] for group in get(server, "/apis")["groups"]}
    assert groups >= {"apps", "batch", "networking.k8s.io", "ray.io"}
    assert get(server, "/apis/ray.io")["preferredVersion"]["groupVersion"] == "ray.io/v1"
    rows = {row["name"]: row for row in get(server, "/apis/ray.io/v1")["resources"]}
    assert rows["rayclusters"]["kind"] == "RayCluster"
    assert rows["rayclusters"]["namespaced"] is True
    assert {"pods", "secrets", "endpoints"} <= {row["name"] for row in get(server, "/api/v1")["resources"]}


def test_serves_an_irregular_plural_where_it_is_given() -> None:
    """A custom kind whose plural follows no rule is served under the plural that the test names."""
    goose = {"apiVersion": "farm.example/v1", "kind": "Goose", "metadata": {"name": "g", "namespace": "ai"}}
    with ApiServer([goose], plurals={"Goose": "geese"}) as server:
        assert names(get(server, "/apis/farm.example/v1/geese")) == ["g"]


def test_pages_with_continue_until_the_end(server: ApiServer) -> None:
    """Every page but the last has a `continue` token and a count of what remains."""
    first = get(server, "/api/v1/pods?limit=4")
    assert first["metadata"]["remainingItemCount"] == 2
    last = get(server, f"/api/v1/pods?limit=4&continue={quote(first['metadata']['continue'])}")
    assert len(names(first)) == 4
    assert len(names(last)) == 2
    assert "continue" not in last["metadata"]


def test_caps_pages_below_what_the_client_asks() -> None:
    """A server may give fewer objects than the limit that was asked."""
    with ApiServer(OBJECTS, page_size_cap=2) as server:
        assert len(get(server, "/api/v1/pods?limit=500")["items"]) == 2
        assert len(get(server, "/api/v1/pods")["items"]) == 2


def test_answers_404_as_a_real_server_does(server: ApiServer) -> None:
    """A missing object is a Status with a reason; a path that nothing serves is plain text."""
    response, body = exchange(server, "/api/v1/namespaces/ai/pods/none")
    assert (response.status, json.loads(body)["reason"]) == (404, "NotFound")
    response, body = exchange(server, "/apis/nothing.example/v1/things")
    assert (response.status, response.getheader("Content-Type")) == (404, "text/plain; charset=utf-8")


def test_asks_for_its_token_and_hands_it_out_in_the_kubeconfig() -> None:
    """With a token, a request without it is refused with 401, and the kubeconfig carries it."""
    with ApiServer(OBJECTS, token="t0ken") as server:
        assert exchange(server, "/api/v1/pods")[0].status == 401
        assert server.kubeconfig()["users"][0]["user"] == {"token": "t0ken"}


def test_a_foreign_continue_token_is_refused(server: ApiServer) -> None:
    """A token that this server never gave out is a bad request; one that is too old would be 410."""
    assert exchange(server, "/api/v1/pods?limit=1&continue=foreign")[0].status == 400


def test_faults_strike_their_paths_as_often_as_they_say() -> None:
    """Each fault spoils what it matches, no more often than it says, and leaves the rest alone."""
    faults = [
        forbidden("*/namespaces"),
        too_many_requests("/api/v1/pods", times=2, retry_after=7),
        failing("*/services", 503, times=1),
        expired("*/configmaps"),
        garbage("*/nodes"),
    ]
    with ApiServer(OBJECTS, faults=faults) as server:
        response, body = exchange(server, "/api/v1/namespaces")
        assert (response.status, json.loads(body)["reason"]) == (403, "Forbidden")
        refused = exchange(server, "/api/v1/pods")[0]
        assert (refused.status, refused.getheader("Retry-After")) == (429, "7")
        assert [exchange(server, "/api/v1/pods")[0].status for _ in range(2)] == [429, 200]
        assert [exchange(server, "/api/v1/services")[0].status for _ in range(2)] == [503, 200]
        assert exchange(server, "/api/v1/configmaps")[0].status == 200
        assert exchange(server, "/api/v1/configmaps?continue=x")[0].status == 410
        with pytest.raises(ValueError, match="Expecting value"):
            get(server, "/api/v1/nodes")


def test_faults_can_be_slow_and_cut_off_at_once() -> None:
    """Faults on one path add up: this body comes late and ends in its middle, once."""
    with ApiServer(OBJECTS, faults=[slow("*/pods", 0.2, times=1), cut_off("*/pods")]) as server:
        start = monotonic()
        with pytest.raises(IncompleteRead):
            exchange(server, "/api/v1/pods")
        assert monotonic() - start >= 0.2
        assert len(get(server, "/api/v1/pods")["items"]) == 6


@pytest.mark.parametrize(
    ("attributes", "allowed"),
    [
        ({"verb": "list", "resource": "pods", "namespace": "ai"}, True),
        ({"verb": "list", "resource": "secrets", "namespace": "ai"}, False),
        ({"verb": "list", "resource": "rayclusters", "group": "ray.io"}, True),
        ({"verb": "delete", "resource": "pods", "namespace": "ai"}, False),
    ],
)
def test_access_reviews_agree_with_what_is_served(attributes: Json, allowed: bool) -> None:
    """A review allows to read what no fault forbids, and never to write."""
    with ApiServer(OBJECTS, faults=[forbidden("*/secrets")]) as server:
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        response, body = exchange(server, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", "POST", review)
        assert response.status == 201
        assert json.loads(body)["status"]["allowed"] is allowed


def test_refuses_to_write(server: ApiServer) -> None:
    """The server only reads: a DELETE is 405 and changes nothing."""
    assert exchange(server, "/api/v1/namespaces/ai/pods/pod-0", "DELETE")[0].status == 405
    assert len(get(server, "/api/v1/pods")["items"]) == 6


def test_remembers_every_request(server: ApiServer) -> None:
    """Tests can assert what was asked, in order, with the query apart."""
    get(server, "/api/v1/pods?limit=3")
    exchange(server, "/api/v1/pods", "DELETE")
    assert server.requests == (Request("GET", "/api/v1/pods", {"limit": "3"}), Request("DELETE", "/api/v1/pods"))


def test_nothing_answers_after_the_block() -> None:
    """A connection that a client keeps alive is ended with the server."""
    with ApiServer(OBJECTS) as server:
        connection = HTTPConnection(urlsplit(server.url).netloc, timeout=5)
        connection.request("GET", "/version")
        connection.getresponse().read()
    with closing(connection), pytest.raises(ConnectionError):
        connection.auto_open = False
        connection.request("GET", "/version")
        connection.getresponse()


def test_lists_two_thousand_pods_quickly() -> None:
    """2,000 pods come in four pages within two seconds, on one connection."""
    with ApiServer([pod(f"pod-{number:04}") for number in range(2000)]) as server:
        start, token, found = monotonic(), "", 0
        with closing(HTTPConnection(urlsplit(server.url).netloc, timeout=10)) as connection:
            for _ in range(4):
                connection.request("GET", f"/api/v1/pods?limit=500&continue={quote(token)}")
                page = json.loads(connection.getresponse().read())
                token, found = page["metadata"].get("continue", ""), found + len(page["items"])
        assert (found, token) == (2000, "")
        assert monotonic() - start < 2


def shape(cluster: Cluster, path: str) -> Json:
    """What a client can tell of an answer without looking at whose objects these are."""
    reply = cluster.request("GET", path, limit=10_000_000)
    content_type = reply.headers["Content-Type"].partition(";")[0]
    told: Json = {"status": reply.status, "type": content_type}
    if content_type != "application/json":
        return told | {"body": reply.body}
    document = json.loads(reply.body)
    told |= {key: document[key] for key in ("kind", "apiVersion", "reason", "code") if key in document}
    if reply.status == 404:
        told["message"] = document["message"]
    return told | {"fields": document.keys() - {"serverAddressByClientCIDRs", "details"}, "items": _item(document)}


def _item(document: Json) -> object:
    items = document.get("items") or []
    return (items[0].keys() & {"kind", "apiVersion", "metadata"}) if items else None


@pytest.mark.cluster
@pytest.mark.skipif(not KUBECONFIG, reason="LLMSCAN_TEST_KUBECONFIG names no cluster")
@pytest.mark.parametrize(
    "path",
    [
        "/api",
        "/apis",
        "/apis/apps",
        "/apis/apps/v1",
        "/api/v1",
        "/api/v1/namespaces",
        "/api/v1/namespaces/default",
        "/api/v1/namespaces/default/serviceaccounts/default",
        "/api/v1/namespaces/no-such-namespace/pods",
        "/api/v1/namespaces/default/pods/no-such-pod",
        "/apis/apps/v1/namespaces/default/deployments/none",
        "/apis/no-such-group.example/v1/things",
        "/api/v1/namespaces?limit=1&continue=foreign",
    ],
)
def test_answers_in_the_shapes_of_a_real_server(tmp_path: Path, path: str) -> None:
    """Status, content type, kind, reason, the message of a 404 and the fields of the document are those of a real API server."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "default"}}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}, "spec": {}, "status": {}}
    with ApiServer([account, namespace]) as server:
        ours = connect(ClusterOptions(kubeconfig=str(server.write_kubeconfig(tmp_path / "kubeconfig"))))
        real = connect(ClusterOptions(kubeconfig=KUBECONFIG))
        assert shape(ours, path) == shape(real, path)
