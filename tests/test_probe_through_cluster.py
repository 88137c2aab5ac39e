"""Probes through the proxy of a real API server, to servers that answer at the addresses of pods in a network namespace of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.cluster

DATA = Path(os.environ.get("LLMSCAN_TEST_DATA") or "none")
PORT = "18443"
Json = dict[str, Any]

OBJECTS = """
apiVersion: v1
kind: Namespace
metadata: {name: ai}
---
apiVersion: v1
kind: Pod
metadata: {name: chat, namespace: ai, labels: {app: chat}}
spec: {containers: [{name: ollama, image: "ollama/ollama:latest"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: serve, namespace: ai, labels: {app: serve}}
spec: {containers: [{name: vllm, image: "vllm/vllm-openai:latest"}]}
---
apiVersion: v1
kind: Service
metadata: {name: chat, namespace: ai}
spec: {selector: {app: chat}, ports: [{port: 80, targetPort: 11434}]}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: looker, namespace: ai}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: caller, namespace: ai}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: caller, namespace: ai}
rules: [{apiGroups: [""], resources: [services/proxy], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: caller, namespace: ai}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: caller}
subjects: [{kind: ServiceAccount, name: caller, namespace: ai}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: readers, namespace: ai}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{kind: ServiceAccount, name: looker, namespace: ai}, {kind: ServiceAccount, name: caller, namespace: ai}]
"""


class Island:
    """A cluster in a network namespace, with servers at the addresses of its pods."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.tool = folder, str(DATA / "tools" / "cluster")
        self.log = folder / "pods.log"
        environment = os.environ | {"NETNS": f"llmscan-{os.getpid()}", "PORT": PORT}
        subprocess.run(
            [self.tool, "up", str(folder), "1"], env=environment, check=True, capture_output=True, timeout=180
        )
        self.run("kubectl", "apply", "-f", "-", input=OBJECTS)
        with self.log.open("wb") as log:
            command = [self.tool, "run", str(folder), sys.executable, str(Path(__file__).parent / "pod_server.py")]
            self.pods = subprocess.Popen(command, stdout=log, stderr=log)

    def run(self, *command: str, **more: Any) -> str:
        """What a command prints inside."""
        whole = [self.tool, "run", str(self.folder), *command]
        return subprocess.run(whole, capture_output=True, text=True, timeout=120, check=True, **more).stdout

    def scan(self, *arguments: str) -> Json:
        """The report of a scan with probes."""
        command = [
            str(Path(sys.executable).parent / "llmscan"),
            "k8s",
            "-n",
            "ai",
            "--probe",
            "--fail-on",
            "never",
            "--format",
            "json",
        ]
        document: Json = json.loads(self.run(*command, *arguments))
        return document

    def as_account(self, name: str) -> tuple[str, str]:
        """The arguments that make a scan log in as a service account."""
        config = json.loads(self.run("kubectl", "config", "view", "--raw", "-o", "json"))
        config["users"][0]["user"] = {"token": self.run("kubectl", "create", "token", name, "-n", "ai").strip()}
        path = self.folder / f"{name}.kubeconfig"
        path.write_text(json.dumps(config))
        return "--kubeconfig", str(path)

    def ready(self) -> None:
        """Wait until the pods run and answer."""
        end = time.monotonic() + 90
        path = "/api/v1/namespaces/ai/pods/{}/proxy/version"
        while time.monotonic() < end:
            try:
                self.run("kubectl", "get", "--raw", path.format("serve:8000"))
                self.run("kubectl", "get", "--raw", path.format("chat:11434").replace("/version", "/api/version"))
                return
            except subprocess.CalledProcessError:
                time.sleep(0.5)
        raise TimeoutError("no pod answered through the API server")

    def close(self) -> None:
        """End all of it."""
        self.pods.terminate()
        self.pods.wait(10)
        subprocess.run([self.tool, "down", str(self.folder)], capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def island(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Island]:
    if not (DATA / "tools" / "cluster").exists() or os.geteuid() != 0:
        pytest.skip("needs LLMSCAN_TEST_DATA with its cluster, and the right to make a network namespace")
    made = Island(tmp_path_factory.mktemp("island"))
    try:
        made.ready()
        yield made
    finally:
        made.close()


def seen(document: Json) -> dict[str, tuple[str, str, str]]:
    """By pod: product, version, open or closed."""
    rows = [(item["resource"]["name"], one) for item in document["inventory"] for one in item.get("observed", ())]
    return {name: (one["product"], one["version"], one["authentication"]) for name, one in rows}


def gaps(document: Json) -> str:
    """What was not asked, in one text."""
    return "\n".join(f"{gap['what']} {gap['why']}" for gap in document["coverage"]["gaps"] if gap["kind"] == "probe")


def test_pods_are_asked_through_the_api_server(island: Island) -> None:
    """Whom a server asks for a credential is seen, with its version; the scanner's own credential does not reach it."""
    document = island.scan()
    assert seen(document) == {"chat": ("ollama", "0.12.3", "open"), "serve": ("vllm", "0.31.0", "closed")}
    (finding,) = (f for f in document["findings"] if f["category"] == "unauthenticated-endpoint")
    assert (finding["rule"], finding["evidence"], finding["resource"]["name"]) == ("AUT003", "observed", "chat")
    asked = island.log.read_text()
    assert "(read-only security probe)" in asked
    assert "Bearer" not in asked


def test_cors_is_not_concluded_from_what_the_proxy_lets_through(island: Island) -> None:
    """The servers allow every origin, and the API server takes that out of their answers: it stays with settings and defaults."""
    document = island.scan()
    assert "CORS on port 11434" in gaps(document)
    assert not [f for f in document["findings"] if f["category"] == "permissive-cors" and f["evidence"] == "observed"]


def test_a_caller_that_may_reach_services_alone_asks_through_them(island: Island) -> None:
    """What has a Service is asked through it; the other is a gap."""
    document = island.scan(*island.as_account("caller"))
    assert seen(document) == {"chat": ("ollama", "0.12.3", "open")}
    assert "port 8000 of Pod serve" in gaps(document)


def test_a_caller_that_may_not_use_the_proxy_learns_so(island: Island) -> None:
    """Nothing is asked then, and coverage names what was not."""
    document = island.scan(*island.as_account("looker"))
    assert seen(document) == {}
    assert gaps(document).count("the caller may not use the API server's proxy") == 2
