"""`llmscan k8s` on a real cluster: pods under the controllers that really made them, and every way to log in."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.request import Request, urlopen

import pytest
from click.testing import CliRunner
from lane import KUBECONFIG, ON_A_CLUSTER, Lane, lane
from live_scans import controller, found, manifest, pod, report, workloads

from llmscan.commands import group

Json = dict[str, Any]

pytestmark = ON_A_CLUSTER
__all__ = ["lane"]

TOOLS = Path(os.environ.get("LLMSCAN_TEST_TOOLS") or os.environ.get("KUBEBUILDER_ASSETS") or "none")
FLEETS = ("models.example.com", "v1", "Fleet")
MADE: list[tuple[str, Json]] = [
    ("Deployment", {"replicas": 2}),
    ("StatefulSet", {"replicas": 2, "serviceName": "statefulset"}),
    ("DaemonSet", {}),
    ("Job", {}),
]


def fitting(item: Json) -> Json:
    """A controller as a real API server takes it: with a selector, no identity of ours, and pods that may end."""
    item["metadata"].pop("uid")
    item["metadata"].pop("namespace", None)
    template = item["spec"]["jobTemplate"]["spec"] if item["kind"] == "CronJob" else item["spec"]
    if "Job" in item["kind"]:
        template["template"]["spec"]["restartPolicy"] = "Never"
    else:
        item["spec"]["selector"] = {"matchLabels": template["template"]["metadata"]["labels"]}
    return item


def put(lane: Lane, item: Json, namespace: str) -> Json:
    """Create an object, and what the server made of it."""
    status, answer, _ = lane.create(item, namespace)
    assert status == 201, answer
    return answer | {"apiVersion": item["apiVersion"], "kind": item["kind"]}


def owned_pod(name: str, owner: Json) -> Json:
    """A pod as the controller of its owner would make it."""
    made = pod(name, owner)
    for key in ("uid", "namespace"):
        made["metadata"].pop(key)
    return made


def scan(namespace: str, kubeconfig: str = KUBECONFIG) -> Json:
    arguments = ["k8s", "-n", namespace, "--kubeconfig", kubeconfig, "--format", "json"]
    return report(CliRunner().invoke(group, arguments))


def test_pods_are_grouped_under_the_controllers_that_made_them(lane: Lane) -> None:
    """Each controller of Kubernetes, a CronJob's Job, and a custom resource whose controller made pods: one workload each."""
    lane.define([FLEETS])
    namespace = lane.namespace()
    for kind, fields in MADE:
        put(lane, fitting(controller(kind, kind.lower(), **fields)), namespace)
    put(lane, fitting(controller("Deployment", "idle", replicas=0)), namespace)
    cron = put(lane, never(fitting(controller("CronJob", "nightly"))), namespace)
    put(lane, fitting(controller("Job", "nightly-29381040", cron)), namespace)
    fleet = manifest(f"{FLEETS[0]}/{FLEETS[1]}", FLEETS[2], "fleet", None, spec={"size": 2})
    fleet["metadata"].pop("uid")
    owner = put(lane, fleet, namespace)
    for number in range(2):
        put(lane, owned_pod(f"fleet-{number}", owner), namespace)
    nodes = len(lane.request("GET", "/api/v1/nodes")[1]["items"])
    pods = lane.wait(f"/api/v1/namespaces/{namespace}/pods", lambda items: len(items) == 2 + 2 + nodes + 1 + 1 + 2)
    document = scan(namespace)
    expected = ["CronJob/nightly", "DaemonSet/daemonset", "Deployment/deployment", "Deployment/idle", "Fleet/fleet"]
    assert workloads(document) == [*expected, "Job/job", "StatefulSet/statefulset"]
    assert found(document, "HRD001") == set(workloads(document))
    assert document["failures"] == []
    assert all("kube-api-access" in json.dumps(item["spec"].get("volumes")) for item in pods)


def never(cron: Json) -> Json:
    """A CronJob that does not start anything while the test runs."""
    return cron | {"spec": cron["spec"] | {"schedule": "0 0 1 1 *", "suspend": True}}


def test_a_client_certificate_opens_a_cluster(tmp_path: Path) -> None:
    """A real API server takes the certificate of the kubeconfig, inline or as files, and refuses one of another authority."""
    if not (TOOLS / "kube-apiserver").exists() or not (TOOLS / "etcd").exists():
        pytest.skip("LLMSCAN_TEST_TOOLS names no folder with kube-apiserver and etcd")
    authority, stranger = Authority(tmp_path, "ours"), Authority(tmp_path, "theirs")
    with api_server(tmp_path, authority) as url:
        mine = kubeconfig(tmp_path, url, authority, authority)
        document = scan("default", str(mine))
        foreign = CliRunner().invoke(
            group, ["k8s", "--kubeconfig", str(kubeconfig(tmp_path, url, authority, stranger)), "--format", "json"]
        )
    assert document["coverage"]["gaps"] == []
    assert workloads(document) == ["Deployment/web"]
    assert foreign.exit_code == 3
    assert "refuses the credentials" in report(foreign)["failures"][0]["reason"]


class Authority:
    """A certificate authority, with a key pair for 127.0.0.1 and for an administrator."""

    def __init__(self, folder: Path, name: str) -> None:
        self.stem = folder / name
        self.certificate, self.pair = self.stem.with_suffix(".ca"), self.stem.with_suffix(".pem")
        self._openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                      "-subj", f"/CN={name}", "-keyout", self._file("ca.key"), "-out", str(self.certificate))  # fmt: skip
        self._openssl("req", "-newkey", "rsa:2048", "-nodes",
                      "-subj", "/O=system:masters/CN=admin", "-keyout", self._file("key"), "-out", self._file("csr"))  # fmt: skip
        Path(self._file("ext")).write_text("subjectAltName=IP:127.0.0.1")
        self._openssl("x509", "-req", "-in", self._file("csr"), "-CA", str(self.certificate), "-CAkey", self._file("ca.key"),
                      "-CAcreateserial", "-days", "2", "-extfile", self._file("ext"), "-out", str(self.pair))  # fmt: skip

    @property
    def key(self) -> str:
        """The private key of the pair."""
        return self._file("key")

    def _file(self, suffix: str) -> str:
        return str(self.stem.with_suffix(f".{suffix}"))

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def kubeconfig(folder: Path, url: str, trusted: Authority, identity: Authority) -> Path:
    """A kubeconfig with the certificate of one authority for a server of another."""
    user = {"client-certificate": str(identity.pair), "client-key": identity.key}
    config = {
        "current-context": "own",
        "clusters": [{"name": "own", "cluster": {"server": url, "certificate-authority": str(trusted.certificate)}}],
        "users": [{"name": "own", "user": user}],
        "contexts": [{"name": "own", "context": {"cluster": "own", "user": "own"}}],
    }
    path = folder / f"{identity.stem.name}.kubeconfig"
    path.write_text(json.dumps(config))
    return path


def free_ports(number: int) -> list[int]:
    """Ports that nothing listens on now."""
    found: list[int] = []
    for _ in range(number):
        with closing(socket.socket()) as taken:
            taken.bind(("127.0.0.1", 0))
            found.append(taken.getsockname()[1])
    return found


@contextmanager
def api_server(folder: Path, authority: Authority) -> Iterator[str]:
    """An API server that trusts client certificates of an authority, with a Deployment in it."""
    client, peer, secure = free_ports(3)
    store, door = f"http://127.0.0.1:{client}", f"https://127.0.0.1:{secure}"
    etcd: list[str | Path] = [TOOLS / "etcd", "--data-dir", folder / "etcd", "--listen-client-urls", store, "--advertise-client-urls", store,
            "--listen-peer-urls", f"http://127.0.0.1:{peer}"]  # fmt: skip
    server: list[str | Path] = [
        TOOLS / "kube-apiserver", "--etcd-servers", store, "--bind-address", "127.0.0.1", "--secure-port", str(secure),
        "--tls-cert-file", authority.pair, "--tls-private-key-file", authority.key, "--client-ca-file", authority.certificate,
        "--service-account-key-file", authority.key, "--service-account-signing-key-file", authority.key,
        "--service-account-issuer", "https://kubernetes.default.svc", "--service-cluster-ip-range", "10.96.0.0/16",
        "--advertise-address", "10.96.0.1", "--endpoint-reconciler-type", "none", "--authorization-mode", "RBAC",
        "--disable-admission-plugins", "ServiceAccount",
    ]  # fmt: skip
    with (folder / "servers.log").open("w") as log:
        started = [subprocess.Popen(command, stdout=log, stderr=log) for command in (etcd, server)]
        try:
            _deploy(door, authority)
            yield door
        finally:
            for process in reversed(started):
                process.terminate()
                process.wait(20)


def _deploy(door: str, authority: Authority) -> None:
    """Create a Deployment once the server is ready."""
    context = ssl.create_default_context(cafile=str(authority.certificate))
    context.load_cert_chain(str(authority.pair), authority.key)
    body = json.dumps(fitting(controller("Deployment", "web"))).encode()
    deadline = monotonic() + 40
    while True:
        path = f"{door}/apis/apps/v1/namespaces/default/deployments"
        request = Request(path, body, {"Content-Type": "application/json"})
        try:
            with urlopen(request, context=context, timeout=5):
                return
        except OSError as error:
            assert monotonic() < deadline, error
            sleep(0.2)
