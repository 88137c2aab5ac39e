"""The embedded cluster of `llmscan demo`: what demo.yaml says, and what a real cluster's controllers make of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import deepcopy
from hashlib import sha256
from importlib.resources import files
from itertools import chain
from uuid import NAMESPACE_URL, uuid5

from llmscan.testing.pod_controllers import head_services, node_address, pods_of, replica_sets
from llmscan.testing.resource_types import Json

NODES = ("gpu-1", "gpu-2", "cpu-1")
_SERVICE_DEFAULTS: Json = {"type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster"}
_CREATED = "2026-01-05T09:00:00Z"


def demo_objects() -> list[Json]:
    """Every object of the embedded cluster, as its API server would serve it."""
    import yaml

    text = files("llmscan.testing").joinpath("demo.yaml").read_text(encoding="utf-8")
    return cluster_of(yaml.safe_load_all(text))


def cluster_of(manifests: Iterable[Json]) -> list[Json]:
    """What a cluster holds once these manifests are applied: owners have their pods, Services their endpoints.

    Deployments get a ReplicaSet, and every controller its running pods; namespaces get their standard objects.
    """
    given = [_admitted(deepcopy(manifest), number) for number, manifest in enumerate(manifests)]
    given += [_admitted(found, len(given)) for found in head_services(given)]
    sets = [_admitted(found, 0) for found in replica_sets(given)]
    pods = [_admitted(pod, 0) for pod in pods_of([*given, *sets], NODES)]
    namespaces = [item["metadata"]["name"] for item in given if item["kind"] == "Namespace"]
    standard = chain(_nodes(), chain.from_iterable(_standard(namespace) for namespace in namespaces))
    slices = [found for item in given if item["kind"] == "Service" for found in _endpoint_slice(item, pods)]
    return [*given, *sets, *pods, *(_admitted(item, 0) for item in chain(standard, slices))]


def _admitted(item: Json, number: int) -> Json:
    """What the API server itself adds: an identity, a time, and the defaults of some kinds."""
    metadata = item["metadata"]
    name = f"{item['kind']}/{metadata.get('namespace', '')}/{metadata['name']}"
    metadata |= {"uid": str(uuid5(NAMESPACE_URL, name)), "creationTimestamp": _CREATED}
    if item["kind"] == "Service":
        address = f"10.96.0.{10 + number}"
        item["spec"] = _SERVICE_DEFAULTS | {"clusterIP": address, "clusterIPs": [address]} | item["spec"]
        item["spec"]["ports"] = [{"protocol": "TCP"} | port for port in item["spec"]["ports"]]
        item.setdefault("status", {"loadBalancer": {}})
    if item["kind"] == "Namespace":
        metadata["labels"] = {"kubernetes.io/metadata.name": metadata["name"]} | metadata.get("labels", {})
        item |= {"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}
    return item


def _nodes() -> Iterator[Json]:
    for number, name in enumerate(NODES):
        yield {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": {"kubernetes.io/os": "linux", "kubernetes.io/hostname": name}},
            "spec": {"podCIDR": f"10.244.{number}.0/24"},
            "status": {
                "addresses": [{"type": "InternalIP", "address": node_address(number)}],
                "nodeInfo": {
                    "containerRuntimeVersion": "containerd://2.2.0",
                    "kubeletVersion": "v1.37.2",
                    "operatingSystem": "linux",
                    "architecture": "amd64",
                },
            },
        }


def _standard(namespace: str) -> Iterator[Json]:
    """What every namespace has: the default service account and the bundle with the cluster's own certificate."""
    metadata = {"name": "default", "namespace": namespace}
    yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
    bundle = {"ca.crt": "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"}
    named = {"name": "kube-root-ca.crt", "namespace": namespace}
    yield {"apiVersion": "v1", "kind": "ConfigMap", "metadata": named, "data": bundle}


def _endpoint_slice(service: Json, pods: Iterable[Json]) -> Iterator[Json]:
    """The addresses of the pods that a Service selects."""
    metadata, selector = service["metadata"], service["spec"].get("selector")
    chosen = [pod for pod in pods if selector and _selects(selector, metadata["namespace"], pod)]
    if not chosen:
        return
    suffix = sha256(metadata["name"].encode()).hexdigest()[:5]
    yield {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{metadata['name']}-{suffix}",
            "namespace": metadata["namespace"],
            "labels": {"kubernetes.io/service-name": metadata["name"]},
        },
        "addressType": "IPv4",
        "endpoints": [_endpoint(pod) for pod in chosen],
        "ports": [
            {
                "name": port.get("name", ""),
                "protocol": port.get("protocol", "TCP"),
                "port": _number(port.get("targetPort", port["port"]), chosen[0]),
            }
            for port in service["spec"]["ports"]
        ],
    }


def _selects(selector: Json, namespace: str, pod: Json) -> bool:
    labels: Json = pod["metadata"].get("labels", {})
    return bool(pod["metadata"]["namespace"] == namespace) and selector.items() <= labels.items()


def _endpoint(pod: Json) -> Json:
    target = {"kind": "Pod", "name": pod["metadata"]["name"], "namespace": pod["metadata"]["namespace"]}
    return {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {"ready": True, "serving": True, "terminating": False},
        "nodeName": pod["spec"]["nodeName"],
        "targetRef": target,
    }


def _number(target: int | str, pod: Json) -> int | str:
    ports = [port for container in pod["spec"]["containers"] for port in container.get("ports", [])]
    return next((port["containerPort"] for port in ports if port.get("name") == target), target)
