"""Fill a cluster with pods, and compare a scan of it with the bare listing of the same objects, in one run.

python bench/cluster.py fill KUBECONFIG [PODS]     Deployments of model servers in ten namespaces; waits for their pods
python bench/cluster.py measure KUBECONFIG [RUNS]  prints both times, their ratio and the scan's memory
python bench/cluster.py clear KUBECONFIG           deletes the namespaces
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from time import monotonic, sleep
from typing import Any

Json = dict[str, Any]

LABEL = "llmscan-bench"
NAMESPACES = 10
REPLICAS = 50
PAGE = 500
LISTS = (
    "/api/v1/namespaces", "/api/v1/nodes", "/api/v1/pods", "/api/v1/replicationcontrollers", "/api/v1/services",
    "/api/v1/configmaps", "/api/v1/serviceaccounts", "/apis/apps/v1/deployments", "/apis/apps/v1/replicasets",
    "/apis/apps/v1/statefulsets", "/apis/apps/v1/daemonsets", "/apis/batch/v1/jobs", "/apis/batch/v1/cronjobs",
    "/apis/discovery.k8s.io/v1/endpointslices", "/apis/networking.k8s.io/v1/ingresses",
    "/apis/networking.k8s.io/v1/networkpolicies",
)  # fmt: skip
IMAGES = (
    "vllm/vllm-openai:v0.31.0",
    "ollama/ollama:0.12.3",
    "qdrant/qdrant:v1.15.0",
    "ghcr.io/open-webui/open-webui:main",
)


class Api:
    """Requests to the API server of a kubeconfig."""

    def __init__(self, kubeconfig: str) -> None:
        config: Any = import_module("kubernetes.config")
        client = config.new_client_from_config(kubeconfig, persist_config=False)
        self._pool, self._host = client.rest_client.pool_manager, client.configuration.host
        self._headers = {"Authorization": next(iter(client.configuration.api_key.values()), "")}

    def get(self, path: str) -> Json:
        """A parsed document."""
        found: Json = json.loads(self._pool.request("GET", self._host + path, headers=self._headers).data)
        return found

    def post(self, path: str, body: Json) -> None:
        """Create an object, whether or not it is there already."""
        headers = self._headers | {"Content-Type": "application/json"}
        answer = self._pool.request("POST", self._host + path, body=json.dumps(body), headers=headers)
        if answer.status not in (201, 409):
            sys.exit(f"{path}: {answer.status} {answer.data[:200]!r}")

    def delete(self, path: str) -> None:
        """Delete an object."""
        self._pool.request("DELETE", self._host + path, headers=self._headers)


def deployment(number: int) -> Json:
    """A model server as people deploy it."""
    labels = {"app": f"server-{number}"}
    container = {
        "name": "server",
        "image": IMAGES[number % len(IMAGES)],
        "args": ["--port", "8000", "--served-model-name", f"model-{number}"],
        "ports": [{"name": "http", "containerPort": 8000}],
        "env": [
            {"name": "HF_HOME", "value": f"/models/cache-{number}"},
            {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "hub", "key": "token"}}},
        ],
        "resources": {"requests": {"cpu": "1m", "memory": "1Mi"}, "limits": {"memory": "24Gi"}},
        "readinessProbe": {"httpGet": {"path": "/health", "port": "http"}},
        "volumeMounts": [{"name": "models", "mountPath": "/models"}],
    }
    pod = {"containers": [container], "volumes": [{"name": "models", "emptyDir": {}}]}
    spec = {
        "replicas": REPLICAS,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": f"server-{number}", "labels": labels},
        "spec": spec,
    }


def fill(api: Api, pods: int) -> None:
    """Deployments with a Service each, until their pods are there."""
    for number in range(NAMESPACES):
        api.post("/api/v1/namespaces", {"metadata": {"name": f"bench-{number}", "labels": {LABEL: "yes"}}})
    for number in range(pods // REPLICAS):
        inside = f"namespaces/bench-{number % NAMESPACES}"
        api.post(f"/apis/apps/v1/{inside}/deployments", deployment(number))
        service = {"selector": {"app": f"server-{number}"}, "ports": [{"port": 80, "targetPort": "http"}]}
        api.post(f"/api/v1/{inside}/services", {"metadata": {"name": f"server-{number}"}, "spec": service})
    while (made := sum(1 for _ in listed(api, "/api/v1/pods"))) < pods:
        print(f"{made} pods", file=sys.stderr)
        sleep(5)


def clear(api: Api) -> None:
    """Delete what `fill` made."""
    for number in range(NAMESPACES):
        api.delete(f"/api/v1/namespaces/bench-{number}")


def listed(api: Api, path: str) -> Iterator[Json]:
    """Every object of a list, page by page."""
    token = ""
    while True:
        page = api.get(f"{path}?limit={PAGE}&continue={token}")
        yield from page["items"]
        token = page["metadata"].get("continue", "")
        if not token:
            return


def bare(api: Api) -> int:
    """Read every list as parsed JSON, one after another, and keep it all, as a scan does."""
    return len([item for path in LISTS for item in listed(api, path)])


def timed(command: list[str], environment: Mapping[str, str]) -> tuple[float, int]:
    """Seconds and peak memory (KB) of a process."""
    since = monotonic()
    process = subprocess.Popen(command, env=dict(environment), stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):
        sys.exit(f"{' '.join(command)} ended with {process.returncode}")
    return monotonic() - since, usage.ru_maxrss


def measure(kubeconfig: str, runs: int) -> None:
    """Both in turn, so that whatever else the machine does befalls both; the best of each counts."""
    environment = os.environ | {"KUBECONFIG": kubeconfig}
    own = [sys.executable, __file__, "bare", kubeconfig]
    scan = [sys.executable, "-m", "llmscan.cli", "k8s", "--all-namespaces", "--quiet"]
    rows = [(timed(own, environment), timed(scan, environment)) for _ in range(runs)]
    listing, scanning = (min(row[index][0] for row in rows) for index in (0, 1))
    memory = max(row[1][1] for row in rows) / 1024
    for (first, _), (second, _) in rows:
        print(f"listing {first:5.2f} s   scan {second:5.2f} s   ratio {second / first:4.2f}")
    print(
        f"best: listing {listing:.2f} s, scan {scanning:.2f} s, ratio {scanning / listing:.2f}; scan's peak {memory:.0f} MB"
    )


def main() -> None:
    """The command line."""
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    command, kubeconfig, *number = sys.argv[1:]
    if command == "measure":
        measure(kubeconfig, int(number[0]) if number else 3)
        return
    api = Api(kubeconfig)
    if command == "fill":
        fill(api, int(number[0]) if number else 5000)
    elif command == "clear":
        clear(api)
    elif command == "bare":
        print(bare(api))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
