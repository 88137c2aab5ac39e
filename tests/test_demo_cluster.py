"""The embedded cluster of the demonstration looks like one that real controllers have worked on."""

from __future__ import annotations

from typing import Any

import pytest

from llmscan.collect.cluster import ClusterOptions, Listing, connect
from llmscan.testing import ApiServer
from llmscan.testing.demo import demo_objects

Json = dict[str, Any]


@pytest.fixture(scope="module")
def listing(tmp_path_factory: pytest.TempPathFactory) -> Listing:
    with ApiServer(demo_objects(), token="demo") as server:
        path = server.write_kubeconfig(tmp_path_factory.mktemp("demo") / "kubeconfig")
        return connect(ClusterOptions(("ai",), kubeconfig=str(path))).list()


def every(listing: Listing) -> list[Json]:
    return [item for items in listing.objects.values() for item in items]


def test_the_namespace_is_read_without_a_gap(listing: Listing) -> None:
    """Everything in it can be listed, the Ray cluster's custom resource included."""
    assert listing.gaps == ()
    workloads = [*listing.objects["Deployment"], *listing.objects["StatefulSet"], *listing.objects["RayCluster"]]
    names = {item["metadata"]["name"] for item in workloads}
    assert names == {"assistant", "batch", "litellm", "loki", "ollama", "open-webui", "qdrant", "triton", "vllm"}


def test_every_pod_leads_to_a_controller_that_exists(listing: Listing) -> None:
    """Owner references resolve by uid, over a ReplicaSet where there is one, and uids are unique."""
    uids = [item["metadata"]["uid"] for item in every(listing)]
    assert len(uids) == len(set(uids))
    pods = [pod for pod in listing.objects["Pod"] if pod["metadata"]["namespace"] == "ai"]
    owners = {pod["metadata"]["ownerReferences"][0]["uid"] for pod in pods}
    assert owners <= set(uids)
    sets = {found["metadata"]["ownerReferences"][0]["uid"] for found in listing.objects["ReplicaSet"]}
    assert sets <= set(uids)


def test_every_service_of_the_namespace_has_endpoints(listing: Listing) -> None:
    """Each Service selects running pods, and its slice lists their addresses and the number of the port."""
    slices = {
        found["metadata"]["labels"]["kubernetes.io/service-name"]: found for found in listing.objects["EndpointSlice"]
    }
    addresses = {pod["status"]["podIP"] for pod in listing.objects["Pod"]}
    for service in listing.objects["Service"]:
        found = slices[service["metadata"]["name"]]
        assert {address for endpoint in found["endpoints"] for address in endpoint["addresses"]} <= addresses
        assert all(isinstance(port["port"], int) for port in found["ports"])


def test_the_cluster_holds_no_secret() -> None:
    """Keys are only referred to, as in a cluster whose Secrets nobody reads."""
    assert "Secret" not in {item["kind"] for item in demo_objects()}


def test_the_cluster_is_the_same_every_time() -> None:
    """Names, uids and addresses never change, so that reports of it can be compared."""
    assert demo_objects() == demo_objects()
