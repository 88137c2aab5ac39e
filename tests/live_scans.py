"""Scans of the tests' API server through the command, and small objects to serve there."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from llmscan.commands import group
from llmscan.testing import ApiServer

Json = dict[str, Any]


def k8s(server: ApiServer, folder: Path, *arguments: str, context: str = "demo") -> Result:
    """`llmscan k8s` against a server, as the command line runs it."""
    kubeconfig = server.write_kubeconfig(folder / "kubeconfig", context)
    return CliRunner().invoke(group, ["k8s", "--kubeconfig", str(kubeconfig), *arguments])


def report(result: Result) -> Json:
    """The JSON report of a run that got as far as one."""
    assert result.exit_code in (0, 1, 3), result.output
    document: Json = json.loads(result.stdout)
    return document


def scan(objects: Iterable[Json], folder: Path, *arguments: str, **serving: Any) -> Json:
    """The JSON report on the namespace `ai` of a cluster with these objects."""
    with ApiServer(objects, **serving) as server:
        return report(k8s(server, folder, "--format", "json", *(arguments or ("-n", "ai"))))


def found(document: Json, rule: str, status: str = "fail") -> set[str]:
    """The objects on which a rule has this verdict, as `Kind/name`."""
    return {
        f"{one['resource']['kind']}/{one['resource']['name']}"
        for one in document["findings"]
        if (one["rule"], one["status"]) == (rule, status)
    }


def workloads(document: Json) -> list[str]:
    """What was judged, as `Kind/name`, once for each container."""
    return sorted(f"{row['resource']['kind']}/{row['resource']['name']}" for row in document["inventory"])


def manifest(api_version: str, kind: str, name: str, namespace: str | None = "ai", **fields: Any) -> Json:
    """An object with an identity."""
    metadata: Json = {"name": name, "uid": f"{kind}-{namespace}-{name}"} | (
        {"namespace": namespace} if namespace else {}
    )
    metadata |= fields.pop("metadata", {})
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **fields}


def pod_spec(image: str = "vllm/vllm-openai:v0.31.0", **fields: Any) -> Json:
    """A pod spec with one container."""
    return {"containers": [{"name": "main", "image": image, **fields}]}


def controller(kind: str, name: str, owner: Json | None = None, **fields: Any) -> Json:
    """A controller of Kubernetes itself with a template, owned by another where one is given."""
    api_version = "batch/v1" if "Job" in kind else "apps/v1"
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": fields.pop("pod", pod_spec())}
    spec = {"jobTemplate": {"spec": {"template": template}}} if kind == "CronJob" else {"template": template}
    return manifest(api_version, kind, name, spec=spec | fields, metadata=owned(owner))


def pod(name: str, owner: Json | None = None, spec: Json | None = None, **metadata: Any) -> Json:
    """A running pod."""
    made = manifest("v1", "Pod", name, spec=spec or pod_spec(), metadata=owned(owner) | metadata)
    return made | {"status": {"phase": "Running"}}


def owned(owner: Json | None) -> Json:
    """Metadata with a reference to a controller."""
    if owner is None:
        return {}
    reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "controller": True}
    return {"ownerReferences": [reference | {key: owner["metadata"][key] for key in ("name", "uid")}]}


NAMESPACE = manifest("v1", "Namespace", "ai", None)
