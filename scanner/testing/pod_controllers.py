"""What the controllers of a cluster do: turn Deployments, StatefulSets, DaemonSets and Ray clusters into running pods."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from llmscan.testing.resource_types import Json

_TOKEN_MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a path
_POD_DEFAULTS = {
    "restartPolicy": "Always",
    "terminationGracePeriodSeconds": 30,
    "dnsPolicy": "ClusterFirst",
    "schedulerName": "default-scheduler",
    "enableServiceLinks": True,
    "serviceAccountName": "default",
}
_CONTAINER_DEFAULTS = {
    "resources": {},
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
}


@dataclass(frozen=True, slots=True)
class _Plan:
    """A pod that some controller wants: its name, its owner, and the template with the labels to add."""

    name: str
    owner: Json
    template: Json
    labels: dict[str, str]
    node: str | None = None


def replica_sets(objects: Iterable[Json]) -> Iterator[Json]:
    """The ReplicaSet of each Deployment, named by a hash of its template."""
    for item in objects:
        if item["kind"] != "Deployment":
            continue
        mark = _hash(item["spec"]["template"])
        template = _labelled(item["spec"]["template"], {"pod-template-hash": mark})
        replicas = item["spec"].get("replicas", 1)
        yield {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": f"{item['metadata']['name']}-{mark}",
                "namespace": item["metadata"]["namespace"],
                "labels": template["metadata"]["labels"],
                "ownerReferences": [_reference(item)],
            },
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": template["metadata"]["labels"]},
                "template": template,
            },
            "status": {"replicas": replicas, "readyReplicas": replicas},
        }


def pods_of(objects: Iterable[Json], nodes: Sequence[str]) -> list[Json]:
    """The running pods of every controller among the objects, spread over the nodes."""
    plans = [plan for item in objects for plan in _plans(item, nodes)]
    return [_pod(plan, number, nodes) for number, plan in enumerate(plans)]


def node_address(number: int) -> str:
    """The internal address of the node at this place in the list of nodes."""
    return f"10.0.0.{11 + number}"


def _plans(item: Json, nodes: Sequence[str]) -> Iterator[_Plan]:
    name, spec = item["metadata"]["name"], item.get("spec") or {}
    if item["kind"] == "ReplicaSet":
        for number in range(spec["replicas"]):
            yield _Plan(f"{name}-{_hash([name, number])[:5]}", item, spec["template"], {})
    elif item["kind"] == "StatefulSet":
        for number in range(spec.get("replicas", 1)):
            labels = {
                "statefulset.kubernetes.io/pod-name": f"{name}-{number}",
                "apps.kubernetes.io/pod-index": str(number),
            }
            yield _Plan(f"{name}-{number}", item, spec["template"], labels)
    elif item["kind"] == "DaemonSet":
        for node in nodes:
            yield _Plan(f"{name}-{_hash([name, node])[:5]}", item, spec["template"], {}, node)
    elif item["kind"] == "RayCluster":
        yield from _ray_plans(item)


def _ray_plans(item: Json) -> Iterator[_Plan]:
    name, spec = item["metadata"]["name"], item["spec"]
    head = {"ray.io/cluster": name, "ray.io/node-type": "head", "ray.io/group": "headgroup"}
    start = "ulimit -n 65536; ray start --head --dashboard-host=0.0.0.0 --metrics-export-port=8080 --block"
    yield _Plan(f"{name}-head-{_hash(name)[:5]}", item, _started(spec["headGroupSpec"]["template"], start), head)
    for group in spec.get("workerGroupSpecs", []):
        labels = {"ray.io/cluster": name, "ray.io/node-type": "worker", "ray.io/group": group["groupName"]}
        start = f"ulimit -n 65536; ray start --address={name}-head-svc.{item['metadata']['namespace']}.svc:6379 --block"
        for number in range(group["replicas"]):
            mark = _hash([name, group["groupName"], number])[:5]
            yield _Plan(f"{name}-{group['groupName']}-worker-{mark}", item, _started(group["template"], start), labels)


def head_services(objects: Iterable[Json]) -> list[Json]:
    """The Service through which the workers of a Ray cluster, and everybody else in the cluster, reach its head."""
    ports = {"client": 10001, "dashboard": 8265, "gcs-server": 6379}
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {
                "name": f"{item['metadata']['name']}-head-svc",
                "namespace": item["metadata"]["namespace"],
                "ownerReferences": [_reference(item)],
            },
            "spec": {
                "clusterIP": "None",
                "clusterIPs": ["None"],
                "selector": {"ray.io/cluster": item["metadata"]["name"], "ray.io/node-type": "head"},
                "ports": [{"name": name, "port": port, "targetPort": port} for name, port in ports.items()],
            },
        }
        for item in objects
        if item["kind"] == "RayCluster"
    ]


def _started(template: Json, command: str) -> Json:
    """The operator replaces the command of the first container by the one that starts Ray."""
    started = deepcopy(template)
    started["spec"]["containers"][0] |= {"command": ["/bin/bash", "-c", "--"], "args": [command]}
    return started


def _pod(plan: _Plan, number: int, nodes: Sequence[str]) -> Json:
    template = _labelled(plan.template, plan.labels)
    node = plan.node or nodes[number % len(nodes)]
    address = f"10.244.{number // 250}.{number % 250 + 2}"
    spec = _running(template["spec"], plan.name, node)
    host = node_address(nodes.index(node))
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": template["metadata"]
        | {
            "name": plan.name,
            "namespace": plan.owner["metadata"]["namespace"],
            "ownerReferences": [_reference(plan.owner)],
        },
        "spec": spec,
        "status": {
            "phase": "Running",
            "hostIP": host,
            "podIP": host if spec.get("hostNetwork") else address,
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [_status(container) for container in spec["containers"]],
        },
    }


def _running(spec: Json, name: str, node: str) -> Json:
    """A pod's spec with what admission and the scheduler fill in."""
    filled = {**_POD_DEFAULTS, "securityContext": {}, **deepcopy(spec), "nodeName": node}
    filled["containers"] = [_container(container) for container in filled["containers"]]
    if filled.get("automountServiceAccountToken") is not False:
        volume = f"kube-api-access-{_hash(name)[:5]}"
        filled["volumes"] = [*filled.get("volumes", []), {"name": volume, "projected": {"sources": _TOKEN_SOURCES}}]
        mount = {"name": volume, "readOnly": True, "mountPath": _TOKEN_MOUNT}
        for container in filled["containers"]:
            container["volumeMounts"] = [*container.get("volumeMounts", []), mount]
    return filled


_TOKEN_SOURCES = [
    {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
    {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
    {
        "downwardAPI": {
            "items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]
        }
    },
]


def _container(container: Json) -> Json:
    floating = container["image"].endswith(":latest") or ":" not in container["image"].rpartition("/")[2]
    filled = {**_CONTAINER_DEFAULTS, "imagePullPolicy": "Always" if floating else "IfNotPresent", **container}
    if "ports" in filled:
        filled["ports"] = [{"protocol": "TCP"} | port for port in filled["ports"]]
    return filled


def _status(container: Json) -> Json:
    image = container["image"]
    repository = image.partition("@")[0].rpartition(":")[0] or image
    digest = image.partition("@")[2] or f"sha256:{sha256(image.encode()).hexdigest()}"
    return {
        "name": container["name"],
        "image": image,
        "imageID": f"{repository}@{digest}",
        "ready": True,
        "started": True,
        "restartCount": 0,
        "state": {"running": {"startedAt": "2026-01-05T09:00:10Z"}},
    }


def _labelled(template: Json, labels: dict[str, str]) -> Json:
    copy = deepcopy(template)
    metadata = copy.setdefault("metadata", {})
    metadata["labels"] = metadata.get("labels", {}) | labels
    return copy


def _reference(owner: Json) -> Json:
    metadata = owner["metadata"]
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _hash(value: Any) -> str:
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:10]
