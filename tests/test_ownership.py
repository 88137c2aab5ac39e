"""Pods are judged under the controller that owns them, over any depth, and each mistake is told once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from live_scans import NAMESPACE, controller, found, manifest, owned, pod, pod_spec, scan, workloads

from llmscan.testing import forbidden

Json = dict[str, Any]

FLEET = manifest("models.example.com/v1", "Fleet", "fleet", spec={"size": 1})
MODEL = manifest("models.example.com/v1", "Model", "llama", spec={}, metadata=owned(FLEET))
TOKENS = {
    "name": "kube-api-access-x7k2p",
    "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
    "readOnly": True,
}


def test_pods_of_the_controllers_of_kubernetes_are_one_workload_each(tmp_path: Path) -> None:
    """Deployment > ReplicaSet > Pod, CronJob > Job > Pod and the others: the controller that people wrote."""
    deployment, cron = controller("Deployment", "web"), controller("CronJob", "nightly")
    replicas, job = controller("ReplicaSet", "web-5d9c", deployment), controller("Job", "nightly-29381040", cron)
    others = [controller(kind, kind.lower()) for kind in ("StatefulSet", "DaemonSet", "Job", "ReplicaSet")]
    pods = [pod(f"{owner['metadata']['name']}-x1", owner) for owner in (replicas, job, *others)]
    document = scan([NAMESPACE, deployment, cron, replicas, job, *others, *pods], tmp_path)
    expected = ["CronJob/nightly", "DaemonSet/daemonset", "Deployment/web", "Job/job", "ReplicaSet/replicaset"]
    assert workloads(document) == [*expected, "StatefulSet/statefulset"]


def test_an_old_revision_is_not_judged(tmp_path: Path) -> None:
    """The ReplicaSets that a Deployment keeps for a rollback run nothing."""
    deployment = controller("Deployment", "web", pod=pod_spec("nginx:1.29.3"))
    old = controller("ReplicaSet", "web-old", deployment, pod=pod_spec("ollama/ollama:0.5.0"), replicas=0)
    assert workloads(scan([NAMESPACE, deployment, old], tmp_path)) == ["Deployment/web"]


def test_pods_without_a_controller_are_judged_by_themselves(tmp_path: Path) -> None:
    """A bare pod, and one that the kubelet of a node brought from a file."""
    node = {"apiVersion": "v1", "kind": "Node", "name": "cp-1", "uid": "node-1", "controller": True}
    mirror = pod("etcd-cp-1", ownerReferences=[node], annotations={"kubernetes.io/config.mirror": "x"})
    assert workloads(scan([NAMESPACE, pod("shell"), mirror], tmp_path)) == ["Pod/etcd-cp-1", "Pod/shell"]


def test_pods_of_an_unknown_resource_are_one_workload(tmp_path: Path) -> None:
    """They go under the topmost owner; what tells them apart by node, name or claim makes no second one."""
    pods = [pod(f"llama-{n}", MODEL, pod_spec() | {"nodeName": f"gpu-{n}"}) for n in range(3)]
    assert workloads(scan([NAMESPACE, FLEET, MODEL, *pods], tmp_path)) == ["Fleet/fleet"]


def test_each_spec_of_an_unknown_resource_counts(tmp_path: Path) -> None:
    """A head and its workers differ, and both are judged."""
    head = pod_spec("vllm/vllm-openai:v0.31.0", name="head", securityContext={"privileged": True})
    pods = [pod("head", MODEL, head), *(pod(f"worker-{n}", MODEL) for n in range(3))]
    document = scan([NAMESPACE, FLEET, MODEL, *pods], tmp_path)
    assert workloads(document) == ["Fleet/fleet", "Fleet/fleet"]
    assert found(document, "HST001") == {"Fleet/fleet"}


def test_an_owner_that_cannot_be_read_still_gives_its_name(tmp_path: Path) -> None:
    """Nobody needs the permission to get a resource for its pods to be judged."""
    document = scan([NAMESPACE, MODEL, pod("llama-0", MODEL)], tmp_path, faults=[forbidden("*/models/*")])
    assert workloads(document) == ["Model/llama"]


def test_a_controller_under_an_unknown_resource_speaks_for_itself(tmp_path: Path) -> None:
    """What an operator made of a resource without a pod spec is the Deployment that one can see."""
    deployment = controller("Deployment", "llama", MODEL)
    replicas = controller("ReplicaSet", "llama-5d9c", deployment)
    document = scan([NAMESPACE, FLEET, MODEL, deployment, replicas, pod("llama-5d9c-1", replicas)], tmp_path)
    assert workloads(document) == ["Deployment/llama"]


def test_a_resource_that_says_what_its_pods_run_stands_for_them(tmp_path: Path) -> None:
    """Its own template is judged, once; what the operator adds of its own choice is judged beside it."""
    template = {"template": {"spec": pod_spec("rayproject/ray:2.52.0")}}
    ray = manifest("ray.io/v1", "RayCluster", "batch", spec={"headGroupSpec": template})
    head = pod("batch-head", ray, pod_spec("rayproject/ray:2.52.0"), labels={"ray.io/node-type": "head"})
    cache = controller("StatefulSet", "batch-redis", ray, pod=pod_spec("redis:8.2.2"))
    document = scan([NAMESPACE, ray, head, cache, pod("batch-redis-0", cache, pod_spec("redis:8.2.2"))], tmp_path)
    assert workloads(document) == ["RayCluster/batch", "StatefulSet/batch-redis"]


def test_a_service_finds_pods_by_the_labels_of_their_operator(tmp_path: Path) -> None:
    """The template of a custom resource does not show the labels that its operator gives to pods."""
    template = {"template": {"spec": pod_spec("rayproject/ray:2.52.0")}}
    ray = manifest("ray.io/v1", "RayCluster", "batch", spec={"headGroupSpec": template})
    head = pod("batch-head", ray, pod_spec("rayproject/ray:2.52.0"), labels={"ray.io/node-type": "head"})
    ports = [{"port": 8265, "nodePort": 30265}]
    spec = {"type": "NodePort", "selector": {"ray.io/node-type": "head"}, "ports": ports}
    service = manifest("v1", "Service", "dashboard", spec=spec)
    assert found(scan([NAMESPACE, ray, head, service], tmp_path), "EXP002") == {"Service/dashboard"}


@pytest.mark.parametrize("lists", [["deployments"], ["replicasets"], ["deployments", "replicasets"]])
def test_forbidden_controllers_make_no_second_workload(tmp_path: Path, lists: list[str]) -> None:
    """Whichever of Deployments and ReplicaSets cannot be listed, the pods are those of the Deployment."""
    labels = {"app": "web", "pod-template-hash": "5d9c"}
    deployment = controller("Deployment", "web")
    replicas = [controller("ReplicaSet", f"web-{suffix}", deployment, replicas=0) for suffix in ("old", "older")]
    current = controller("ReplicaSet", "web-5d9c", deployment, replicas=2)
    pods = [pod(f"web-5d9c-{n}", current, labels=labels) for n in range(2)]
    faults = [forbidden(f"*/{plural}") for plural in lists]
    document = scan([NAMESPACE, deployment, *replicas, current, *pods], tmp_path, faults=faults)
    assert workloads(document) == ["Deployment/web"]


def test_a_forbidden_job_is_known_by_its_schedule(tmp_path: Path) -> None:
    """The pods of a Job that cannot be listed belong to the CronJob that it is named after."""
    cron = controller("CronJob", "nightly")
    job = controller("Job", "nightly-29381040", cron)
    document = scan([NAMESPACE, cron, job, pod("nightly-29381040-x", job)], tmp_path, faults=[forbidden("*/jobs")])
    assert workloads(document) == ["CronJob/nightly"]


def test_a_workload_scaled_to_nothing_exposes_nothing(tmp_path: Path) -> None:
    """It is judged for what it would run as, and not for what nobody can reach."""
    service = manifest(
        "v1", "Service", "web", spec={"type": "LoadBalancer", "selector": {"app": "web"}, "ports": [{"port": 8000}]}
    )
    idle, busy = (
        scan([NAMESPACE, controller("Deployment", "web", replicas=number), service], tmp_path) for number in (0, 1)
    )
    assert (found(idle, "EXP002"), found(busy, "EXP002")) == (set(), {"Service/web"})
    assert found(idle, "HRD001") == found(busy, "HRD001") == {"Deployment/web"}


def test_what_the_api_server_mounts_is_no_finding(tmp_path: Path) -> None:
    """A pod with the token that each gets is judged as the same pod without."""
    mounted = pod_spec(volumeMounts=[TOKENS])
    projected = {"sources": [{"configMap": {"name": "kube-root-ca.crt"}}, {"serviceAccountToken": {"path": "token"}}]}
    mounted |= {"volumes": [{"name": TOKENS["name"], "projected": projected}]}
    with_token, without = (scan([NAMESPACE, pod("shell", spec=spec)], tmp_path) for spec in (mounted, pod_spec()))
    assert with_token == without


def test_a_container_added_for_debugging_is_judged(tmp_path: Path) -> None:
    """It is in no template, and has what it was given."""
    deployment = controller("Deployment", "web")
    replicas = controller("ReplicaSet", "web-5d9c", deployment)
    debugging = {"name": "debugger", "image": "busybox:1.37", "securityContext": {"privileged": True}}
    spec = pod_spec() | {"ephemeralContainers": [debugging]}
    document = scan([NAMESPACE, deployment, replicas, pod("web-5d9c-1", replicas, spec)], tmp_path)
    assert found(document, "HST001") == {"Deployment/web"}
