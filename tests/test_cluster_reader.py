"""The cluster reader reads everything that it may, names what it may not, and never asks for a Secret."""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import stat
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from llmscan.collect.cluster import BadKubeconfig, Cluster, ClusterOptions, TargetUnreachable, connect, safe_name
from llmscan.collect.kubeconfig import SERVICE_ACCOUNT
from llmscan.model import Gap
from llmscan.testing import ApiServer, Fault, cut_off, expired, failing, forbidden, garbage, slow, too_many_requests

Json = dict[str, Any]


def manifest(api_version: str, kind: str, name: str, namespace: str | None = "ai", **fields: Any) -> Json:
    metadata = {"name": name, "uid": f"{kind}-{name}"} | ({"namespace": namespace} if namespace else {})
    metadata |= fields.pop("metadata", {})
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **fields}


def pod(name: str, namespace: str = "ai", owner: Json | None = None) -> Json:
    spec = {"containers": [{"name": "main", "image": "ollama/ollama:0.12.0"}]}
    metadata = {"ownerReferences": [reference(owner)]} if owner else {}
    return manifest("v1", "Pod", name, namespace, spec=spec, metadata=metadata)


def reference(owner: Json) -> Json:
    metadata = owner["metadata"]
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
    }


FLEET = manifest("models.example.com/v1", "Fleet", "fleet", spec={"replicas": 1})
MODEL = manifest("models.example.com/v1", "Model", "llama", metadata={"ownerReferences": [reference(FLEET)]})
OBJECTS = [
    manifest("v1", "Namespace", "ai", None, metadata={"labels": {"pod-security.kubernetes.io/enforce": "baseline"}}),
    manifest("v1", "Namespace", "logging", None),
    manifest("v1", "Node", "node-1", None),
    manifest("v1", "Secret", "keys", data={"API_KEY": "aHVudGVyMg=="}),
    manifest("v1", "ConfigMap", "settings", data={"OLLAMA_ORIGINS": "*"}),
    manifest("apps/v1", "DaemonSet", "fluent-bit", "logging"),
    manifest("v1", "Service", "ollama"),
    manifest("v1", "Service", "elsewhere", "logging"),
    manifest("ray.io/v1", "RayCluster", "ray"),
    manifest("gateway.networking.k8s.io/v1", "Gateway", "edge", "logging"),
    manifest("gateway.networking.k8s.io/v1alpha2", "TCPRoute", "raw"),
    FLEET,
    MODEL,
    pod("ollama-0"),
    pod("llama-0", owner=MODEL),
    pod("collector", "logging"),
]


@pytest.fixture(autouse=True)
def no_ambient_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No kubeconfig and no proxy of the machine that runs the tests takes part in them."""
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def join(server: ApiServer, folder: Path, *namespaces: str, context: str = "demo") -> Cluster:
    """A reader of that server: of these namespaces, or of all when there are none."""
    kubeconfig = str(server.write_kubeconfig(folder / "kubeconfig", context))
    return connect(ClusterOptions(namespaces, not namespaces, kubeconfig=kubeconfig))


def found(cluster: Cluster, kind: str) -> list[str]:
    return [item["metadata"]["name"] for item in cluster.list().objects[kind]]


def test_reads_what_is_judged_and_the_context_around_it(tmp_path: Path) -> None:
    """With a namespace, its objects come, and nodes, namespaces, gateways, pods and daemonsets of the whole cluster."""
    with ApiServer(OBJECTS) as server:
        listing = join(server, tmp_path, "ai").list()
    names = {kind: [item["metadata"]["name"] for item in items] for kind, items in listing.objects.items()}
    assert listing.gaps == ()
    assert names["Pod"] == ["llama-0", "ollama-0", "collector"]
    assert names["DaemonSet"] == ["fluent-bit"]
    assert names["Service"] == ["ollama"]
    assert names["Gateway"] == ["edge"]
    assert names["TCPRoute"] == ["raw"]
    assert names["RayCluster"] == ["ray"]
    assert (names["Namespace"], names["Node"]) == (["ai", "logging"], ["node-1"])
    assert listing.objects["ConfigMap"][0]["data"] == {"OLLAMA_ORIGINS": "*"}


def test_reads_every_namespace_when_asked(tmp_path: Path) -> None:
    """With --all-namespaces, the services of all of them come."""
    with ApiServer(OBJECTS) as server:
        assert found(join(server, tmp_path), "Service") == ["ollama", "elsewhere"]


def test_falls_back_to_the_namespace_of_the_context(tmp_path: Path) -> None:
    """Without a choice, the context's own namespace is judged, `default` when it names none."""
    with ApiServer(OBJECTS) as server:
        config = server.kubeconfig()
        config["contexts"][0]["context"]["namespace"] = "logging"
        path = tmp_path / "config.json"
        path.write_text(json.dumps(config))
        assert connect(ClusterOptions(kubeconfig=str(path))).namespaces == ("logging",)
        server.write_kubeconfig(path)
        assert connect(ClusterOptions(kubeconfig=str(path))).namespaces == ("default",)


def test_only_reads_and_never_asks_for_secrets(tmp_path: Path) -> None:
    """Every request is a GET or an access review, and no path leads to Secrets."""
    with ApiServer(OBJECTS, token="t0ken") as server:
        cluster = join(server, tmp_path, "ai")
        cluster.list()
        cluster.check_access()
        asked = server.requests
    assert {request.method for request in asked} == {"GET", "POST"}
    posts = {request.path for request in asked if request.method == "POST"}
    assert posts == {"/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"}
    assert not [request for request in asked if "secret" in request.path]


def test_puts_kind_and_version_back_and_drops_the_bookkeeping(tmp_path: Path) -> None:
    """Objects carry apiVersion and kind, no managedFields, and no copy of what was applied once."""
    copy = {"kubectl.kubernetes.io/last-applied-configuration": '{"token":"hunter2"}', "team": "ml"}
    with ApiServer([manifest("v1", "Service", "ollama", metadata={"annotations": copy})]) as server:
        (service,) = join(server, tmp_path, "ai").list().objects["Service"]
    assert (service["apiVersion"], service["kind"]) == ("v1", "Service")
    assert service["metadata"]["annotations"] == {"team": "ml"}
    assert "managedFields" not in service["metadata"]


def test_reads_pages_until_the_last(tmp_path: Path) -> None:
    """Lists that come in pages are read to their end, also when the server's pages are smaller than asked."""
    with ApiServer([pod(f"pod-{number:03}") for number in range(23)], page_size_cap=5) as server:
        assert len(found(join(server, tmp_path, "ai"), "Pod")) == 23
        assert [request.query.get("limit") for request in server.requests if request.path.endswith("/pods")] == [
            "500"
        ] * 5


def test_an_expired_page_starts_the_list_again(tmp_path: Path) -> None:
    """410 on a later page: the list is read anew, and nothing comes twice."""
    with ApiServer([pod(f"pod-{n}") for n in range(9)], page_size_cap=4, faults=[expired("*/pods")]) as server:
        cluster = join(server, tmp_path, "ai")
        listing = cluster.list()
    assert len(listing.objects["Pod"]) == 9
    assert listing.gaps == ()


def test_pages_that_always_expire_are_a_gap(tmp_path: Path) -> None:
    """A list that expires every time is given up after a few attempts, and named."""
    with ApiServer([pod(f"pod-{n}") for n in range(9)], page_size_cap=4, faults=[expired("*/pods", None)]) as server:
        (gap,) = join(server, tmp_path, "ai").list().gaps
    assert (gap.what, gap.why) == (
        "pods in all namespaces",
        "could not be listed: the API server answered 410 in 3 attempts at one list",
    )


def test_a_forbidden_list_is_a_gap_that_names_the_permission(tmp_path: Path) -> None:
    """403 on one type in a namespace: the rest is read, and the gap says what is missing."""
    with ApiServer(OBJECTS, faults=[forbidden("*/networkpolicies")]) as server:
        listing = join(server, tmp_path, "ai").list()
    assert listing.gaps == (
        Gap(
            "api",
            "networkpolicies in namespace ai",
            "could not be listed: the API server answered 403",
            "permission to list networkpolicies.networking.k8s.io in namespace ai",
            resource="networkpolicies.networking.k8s.io",
            scope="ai",
        ),
    )
    assert listing.objects["Service"]


ROLE_ONLY = [
    forbidden(path)
    for path in (
        "/api/v1/pods",
        "/api/v1/configmaps",
        "/api/v1/nodes",
        "/api/v1/namespaces",
        "/apis/apps/v1/daemonsets",
    )
]


def test_with_a_role_the_namespace_is_read_and_the_rest_is_a_gap(tmp_path: Path) -> None:
    """What is forbidden for the whole cluster is read in the namespace; the gaps name what lies outside."""
    with ApiServer(OBJECTS, faults=ROLE_ONLY) as server:
        listing = join(server, tmp_path, "ai").list()
    assert [item["metadata"]["name"] for item in listing.objects["Pod"]] == ["llama-0", "ollama-0"]
    assert sorted(gap.what for gap in listing.gaps) == [
        "configmaps outside namespace ai",
        "daemonsets outside namespace ai",
        "namespaces in the cluster",
        "nodes in the cluster",
        "pods outside namespace ai",
    ]
    assert {gap.would for gap in listing.gaps if "pods" in gap.what} == {"permission to list pods in all namespaces"}


def test_all_namespaces_one_by_one_leave_no_gap(tmp_path: Path) -> None:
    """Where only the cluster-wide list is forbidden, every namespace is read by itself and nothing is missing."""
    with ApiServer(OBJECTS, faults=[forbidden("/api/v1/pods")]) as server:
        listing = join(server, tmp_path).list()
    assert len(listing.objects["Pod"]) == 3
    assert listing.gaps == ()


def test_access_is_asked_for_every_type_without_reading_any(tmp_path: Path) -> None:
    """The access check says for each type, and for the namespace where the cluster is closed, what is allowed."""
    with ApiServer(OBJECTS, faults=[*ROLE_ONLY, forbidden("*/services")]) as server:
        cluster = join(server, tmp_path, "ai")
        rows = {(row.resource, row.namespace): row.allowed for row in cluster.check_access()}
        listed = [request for request in server.requests if request.query]
    assert rows["pods", None] is False
    assert rows["pods", "ai"] is True
    assert rows["services", "ai"] is False
    assert rows["ingresses", "ai"] is True
    assert listed == []


def test_unknown_owners_are_fetched_over_any_depth(tmp_path: Path) -> None:
    """A pod's custom owner, and the owner's owner, are read by name."""
    with ApiServer(OBJECTS) as server:
        objects = join(server, tmp_path, "ai").list().objects
    assert [item["metadata"]["name"] for item in objects["Model"]] == ["llama"]
    assert [item["spec"] for item in objects["Fleet"]] == [{"replicas": 1}]


@pytest.mark.parametrize("status", [403, 404])
def test_an_owner_that_cannot_be_read_leaves_its_pod(tmp_path: Path, status: int) -> None:
    """An owner that is forbidden or gone is no gap: the pod's reference still tells kind and name."""
    with ApiServer(OBJECTS, faults=[Fault("*/models/llama", status=status)]) as server:
        listing = join(server, tmp_path, "ai").list()
    (owned,) = [item for item in listing.objects["Pod"] if item["metadata"]["name"] == "llama-0"]
    assert owned["metadata"]["ownerReferences"][0]["kind"] == "Model"
    assert "Model" not in listing.objects
    assert listing.gaps == ()


@pytest.mark.parametrize(
    "fault",
    [
        too_many_requests("*/pods", times=2, retry_after=0),
        failing("*/pods", 503, times=2, retry_after=0),
        failing("*/pods", 500, times=1),
        cut_off("*/pods"),
        garbage("*/pods", times=1),
        slow("*/pods", 0.3),
    ],
)
def test_passing_trouble_leaves_no_trace(tmp_path: Path, fault: Fault) -> None:
    """A busy, slow or interrupted server is asked again, and everything is read once."""
    with ApiServer(OBJECTS, faults=[fault]) as server:
        listing = join(server, tmp_path, "ai").list()
    assert len(listing.objects["Pod"]) == 3
    assert listing.gaps == ()


def test_waits_as_long_as_the_server_says(tmp_path: Path) -> None:
    """Retry-After is honoured."""
    with ApiServer(OBJECTS, faults=[too_many_requests("*/pods", times=1, retry_after=1)]) as server:
        cluster = join(server, tmp_path, "ai")
        start = monotonic()
        cluster.list()
    assert 1 <= monotonic() - start < 5


def test_a_server_that_asks_for_too_much_patience_is_a_gap(tmp_path: Path) -> None:
    """A Retry-After beyond half a minute is not waited for."""
    with ApiServer(OBJECTS, faults=[too_many_requests("*/pods", None, retry_after=3600)]) as server:
        (gap,) = join(server, tmp_path, "ai").list().gaps
    assert (gap.what, gap.why) == ("pods in all namespaces", "could not be listed: the API server answered 429")


def test_discovery_that_is_forbidden_is_a_gap(tmp_path: Path) -> None:
    """Without discovery the built-in types are read all the same, and custom ones are named as unseen."""
    with ApiServer(OBJECTS, faults=[forbidden("/apis")]) as server:
        listing = join(server, tmp_path, "ai").list()
    assert [gap.what for gap in listing.gaps] == ["custom resources and gateway routes"]
    assert len(listing.objects["Pod"]) == 3


def test_reads_two_thousand_pods(tmp_path: Path) -> None:
    """2,000 pods are read within three seconds."""
    with ApiServer([pod(f"pod-{number:04}") for number in range(2000)]) as server:
        cluster = join(server, tmp_path, "ai")
        start = monotonic()
        assert len(found(cluster, "Pod")) == 2000
        assert monotonic() - start < 3


def test_raw_requests_read_only(tmp_path: Path) -> None:
    """The raw door gives status and a bounded body, and refuses methods that could change something."""
    with ApiServer(OBJECTS) as server:
        cluster = join(server, tmp_path, "ai")
        reply = cluster.request("GET", "/api/v1/pods", limit=10)
        assert (reply.status, len(reply.body)) == (200, 10)
        with pytest.raises(ValueError, match="DELETE could change the target"):
            cluster.request("DELETE", "/api/v1/namespaces/ai/pods/ollama-0")
        assert {request.method for request in server.requests} == {"GET"}


@pytest.mark.parametrize(
    ("context", "name"),
    [
        ("kind-ai", "kind-ai"),
        ("arn:aws:eks:eu-west-1:123456789012:cluster/Prod", "arn-aws-eks-eu-west-1-123456789012-cluster-prod"),
        ("***", "cluster"),
    ],
)
def test_the_context_names_the_target(context: str, name: str) -> None:
    """A target's default name is its context's, in lower case letters, digits and hyphens."""
    assert safe_name(context) == name


# Servers and credentials that do not answer


def written(folder: Path, content: str | bytes | Json) -> str:
    path = folder / "config"
    text = json.dumps(content) if isinstance(content, dict) else content
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


def kubeconfig_for(url: str, user: Json | None = None, cluster: Json | None = None) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "here", "cluster": {"server": url, **(cluster or {})}}],
        "users": [{"name": "me", "user": user or {}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
    }


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A port that accepts connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_port_that_nobody_listens_on_is_one_sentence(tmp_path: Path) -> None:
    """A refused connection is said at once, with the address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(TargetUnreachable) as raised:
        connect(ClusterOptions(kubeconfig=written(tmp_path, kubeconfig_for(url))))
    assert str(raised.value) == f"The API server at {url} cannot be reached: it refuses connections."


def test_a_server_that_says_nothing_is_one_sentence_within_ten_seconds(tmp_path: Path, deaf_port: int) -> None:
    """A server that accepts and then keeps silent is given up in time."""
    start = monotonic()
    with pytest.raises(TargetUnreachable, match="did not answer in time"):
        connect(ClusterOptions(kubeconfig=written(tmp_path, kubeconfig_for(f"http://127.0.0.1:{deaf_port}"))))
    assert monotonic() - start < 10


def test_a_name_that_leads_nowhere_is_one_sentence(tmp_path: Path) -> None:
    """A host that cannot be resolved is said as such."""
    with pytest.raises(TargetUnreachable, match=r"https://cluster\.invalid cannot be reached"):
        connect(ClusterOptions(kubeconfig=written(tmp_path, kubeconfig_for("https://cluster.invalid"))))


def test_refused_credentials_are_one_sentence_without_the_token(tmp_path: Path) -> None:
    """401 names the context and not the token."""
    with ApiServer(OBJECTS, token="right") as server:
        config = written(tmp_path, kubeconfig_for(server.url, {"token": "wr0ng-t0ken"}))
        with pytest.raises(TargetUnreachable) as raised:
            connect(ClusterOptions(kubeconfig=config))
    assert str(raised.value) == f"The API server at {server.url} refuses the credentials of here (401)."


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("a: [1", "is not YAML (line 1, column 6)."),
        (b"\xff\xfe\x00broken", "is not YAML"),
        ("just words", "is YAML, but no kubeconfig"),
        ("", "is YAML, but no kubeconfig"),
        ("contexts: nonsense", "is YAML, but no kubeconfig"),
        ("apiVersion: v1\nkind: Config", "has no current-context"),
    ],
)
def test_a_file_that_is_no_kubeconfig_is_one_sentence(tmp_path: Path, content: str | bytes, sentence: str) -> None:
    """Whatever the file holds, the sentence says what is wrong with it."""
    with pytest.raises(BadKubeconfig) as raised:
        connect(ClusterOptions(kubeconfig=written(tmp_path, content)))
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_kubeconfig_that_is_not_there_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file that was named, or those that were looked for, are said."""
    with pytest.raises(BadKubeconfig, match="There is no kubeconfig at /nowhere/config"):
        connect(ClusterOptions(kubeconfig="/nowhere/config"))
    monkeypatch.setenv("KUBECONFIG", "/nowhere/one:/nowhere/two")
    with pytest.raises(BadKubeconfig, match="There is no kubeconfig at /nowhere/one, /nowhere/two"):
        connect(ClusterOptions())


def test_a_context_that_does_not_exist_is_one_sentence_with_those_that_do(tmp_path: Path) -> None:
    """An unknown context is answered with the names to choose from."""
    config = written(tmp_path, kubeconfig_for("http://127.0.0.1:1"))
    with pytest.raises(BadKubeconfig) as raised:
        connect(ClusterOptions(context="production", kubeconfig=config))
    assert str(raised.value) == "The kubeconfig has no context production; its contexts are: here."


def test_a_context_whose_cluster_is_missing_is_one_sentence(tmp_path: Path) -> None:
    """A context that refers to nothing is said, not a traceback."""
    config = kubeconfig_for("http://127.0.0.1:1") | {"clusters": []}
    with pytest.raises(BadKubeconfig, match="The context here cannot be used"):
        connect(ClusterOptions(kubeconfig=written(tmp_path, config)))


def test_the_first_file_of_several_names_the_context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """KUBECONFIG with several files is merged, and the first current-context holds, as with kubectl."""
    with ApiServer(OBJECTS) as server:
        first = server.write_kubeconfig(tmp_path / "first", "first")
        second = server.write_kubeconfig(tmp_path / "second", "second")
        monkeypatch.setenv("KUBECONFIG", f"{first}{os.pathsep}/nowhere/config{os.pathsep}{second}")
        assert connect(ClusterOptions()).name == "first"
        assert connect(ClusterOptions(context="second")).name == "second"


def test_a_pod_without_its_token_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a cluster, without any kubeconfig, the pod's service account is used, and said when it is not mounted."""
    if SERVICE_ACCOUNT.exists():
        pytest.skip("these tests run in a pod that has a service account")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
    with pytest.raises(TargetUnreachable, match="The pod's service account cannot be used"):
        connect(ClusterOptions())


def test_the_client_is_imported_only_when_a_cluster_is_read() -> None:
    """Scans of files and --version do not pay for the Kubernetes client."""
    program = "import sys, llmscan.collect.cluster; print({'kubernetes', 'urllib3'} & set(sys.modules))"
    printed = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert printed == "set()\n"


# Ways to authenticate


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ({"token": "t0ken"}, "Bearer t0ken"),
        ({"tokenFile": "token"}, "Bearer t0ken"),
        ({"username": "ann", "password": "t0ken"}, "Basic YW5uOnQwa2Vu"),
        ({"auth-provider": {"name": "oidc", "config": {"id-token": "t0ken"}}}, "Bearer t0ken"),
    ],
)
def test_static_credentials_are_sent(tmp_path: Path, user: Json, expected: str) -> None:
    """A token, a token file beside the kubeconfig, a password and an identity token end up in the header."""
    (tmp_path / "token").write_text("t0ken\n")
    with ApiServer(OBJECTS) as server:
        connect(ClusterOptions(kubeconfig=written(tmp_path, kubeconfig_for(server.url, user))))
        assert [request.headers["Authorization"] for request in server.requests] == [expected]


def plugin(folder: Path, script: str, **settings: object) -> Json:
    """The user section of a kubeconfig with a credential plugin: a script beside the kubeconfig."""
    path = folder / "plugin"
    path.write_text(f"#!{sys.executable}\n{script}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "./plugin", **settings}}


WORKING = """
import json, os, sys
asked = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
assert asked["spec"]["interactive"] is False and asked["spec"]["cluster"]["server"].startswith("http://127.0.0.1")
assert sys.stdin.read() == ""
token = sys.argv[1] + os.environ["SUFFIX"]
print(json.dumps({"apiVersion": asked["apiVersion"], "kind": "ExecCredential", "status": {"token": token}}))
"""


def test_a_credential_plugin_is_run_as_the_kubeconfig_says(tmp_path: Path) -> None:
    """Arguments, environment, cluster information and a closed input reach the plugin, and its token is used."""
    settings = {"args": ["t0"], "env": [{"name": "SUFFIX", "value": "ken"}], "provideClusterInfo": True}
    with ApiServer(OBJECTS, token="t0ken") as server:
        user = plugin(tmp_path, WORKING, **settings)
        assert connect(ClusterOptions(kubeconfig=written(tmp_path, kubeconfig_for(server.url, user)))).name == "here"


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("print('hunter2')", "printed no ExecCredential"),
        ("print('{}')", "printed no ExecCredential"),
        ("import sys; print('hunter2', file=sys.stderr); sys.exit(3)", "failed with exit code 3"),
        (
            'print(\'{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {}}\')',
            "gave neither a token nor a client certificate with its key",
        ),
        (
            'print(\'{"apiVersion": "v0", "kind": "ExecCredential", "status": {"token": "hunter2"}}\')',
            "does not speak the apiVersion that the kubeconfig names",
        ),
    ],
)
def test_a_broken_credential_plugin_is_one_sentence(tmp_path: Path, script: str, sentence: str) -> None:
    """What the plugin printed is not repeated, on the terminal or in the message."""
    config = written(tmp_path, kubeconfig_for("http://127.0.0.1:1", plugin(tmp_path, script)))
    with pytest.raises(TargetUnreachable) as raised:
        connect(ClusterOptions(kubeconfig=config))
    assert str(raised.value) == f"No credentials for the cluster: the credential plugin plugin {sentence}."


def test_a_credential_plugin_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    """The plugin's time is bounded, also when a child of it holds the output open."""
    script = "import subprocess, time; print(1); subprocess.Popen(['sleep', '60']); time.sleep(60)"
    config = written(tmp_path, kubeconfig_for("http://127.0.0.1:1", plugin(tmp_path, script)))
    start = monotonic()
    with pytest.raises(TargetUnreachable, match=r"did not finish within 0\.5 seconds"):
        connect(ClusterOptions(kubeconfig=config, plugin_timeout=0.5))
    assert monotonic() - start < 5


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"command": "no-such-plugin"}, "the credential plugin no-such-plugin is not installed"),
        ({"interactiveMode": "Always"}, "wants a terminal"),
        ({"command": ""}, "lacks its command"),
    ],
)
def test_a_credential_plugin_that_cannot_run_is_one_sentence(tmp_path: Path, settings: Json, sentence: str) -> None:
    """A plugin that is missing, interactive or unnamed is said as such."""
    user = plugin(tmp_path, "", **settings)
    with pytest.raises(TargetUnreachable, match=sentence):
        connect(ClusterOptions(kubeconfig=written(tmp_path, kubeconfig_for("http://127.0.0.1:1", user))))


def test_the_proxy_of_the_kubeconfig_is_used_and_that_of_the_environment_not_for_loopback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deaf_port: int
) -> None:
    """proxy-url is honoured also for loopback; http_proxy is not."""
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{deaf_port}")
    with ApiServer(OBJECTS) as server:
        direct = written(tmp_path, kubeconfig_for(server.url))
        assert connect(ClusterOptions(kubeconfig=direct)).name == "here"
        behind = kubeconfig_for("http://cluster.invalid", cluster={"proxy-url": server.url})
        assert connect(ClusterOptions(kubeconfig=written(tmp_path, behind))).name == "here"


def test_acts_as_whom_the_kubeconfig_says(tmp_path: Path) -> None:
    """Impersonation is asked of the server, since without it the scan would see more than was meant."""
    user = {"token": "t0ken", "as": "auditor", "as-groups": ["readers", "guests"]}
    with ApiServer(OBJECTS) as server:
        connect(ClusterOptions(kubeconfig=written(tmp_path, kubeconfig_for(server.url, user))))
        (request,) = server.requests
    assert request.headers["Impersonate-User"] == "auditor"
    assert request.headers.get_all("Impersonate-Group") == ["readers", "guests"]


def test_a_kubeconfig_may_trust_any_server(tmp_path: Path, certificates: Certificates) -> None:
    """insecure-skip-tls-verify is honoured, without a warning for every request."""
    context = certificates.server_context()
    context.verify_mode = ssl.CERT_NONE
    with ApiServer(OBJECTS, tls=context) as server:
        config = kubeconfig_for(server.url, cluster={"insecure-skip-tls-verify": True})
        assert connect(ClusterOptions(("ai",), kubeconfig=written(tmp_path, config))).list().gaps == ()


def test_an_access_check_that_gets_no_answer_is_one_sentence(tmp_path: Path) -> None:
    """A server that answers no access review is said, rather than taken for one that forbids everything."""
    with (
        ApiServer(OBJECTS, faults=[forbidden("*/selfsubjectaccessreviews")]) as server,
        pytest.raises(TargetUnreachable) as raised,
    ):
        join(server, tmp_path, "ai").check_access()
    assert str(raised.value) == "The API server does not say what is allowed: it answered 403."


# TLS


@dataclass(frozen=True, slots=True)
class Certificates:
    """Files of a certificate authority, and of a key pair that it signed for 127.0.0.1 and for clients alike."""

    authority: Path
    certificate: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        context.load_verify_locations(self.authority)
        context.verify_mode = ssl.CERT_REQUIRED
        return context


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    if not shutil.which("openssl"):
        pytest.skip("openssl is not on PATH")
    folder = tmp_path_factory.mktemp("tls")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    pair = ["-newkey", "rsa:2048", "-nodes", "-days", "2"]
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    openssl("req", "-x509", *pair, "-subj", "/CN=test-ca", "-keyout", "ca.key", "-out", "ca.crt")
    openssl("req", *pair[:3], "-subj", "/CN=anyone", "-keyout", "tls.key", "-out", "tls.csr")
    signing = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names"]
    openssl("x509", "-req", "-in", "tls.csr", *signing, "-out", "tls.crt")
    return Certificates(folder / "ca.crt", folder / "tls.crt", folder / "tls.key")


def encoded(path: Path) -> str:
    return b64encode(path.read_bytes()).decode()


@pytest.mark.parametrize("inline", [True, False])
def test_client_certificates_are_presented(tmp_path: Path, certificates: Certificates, inline: bool) -> None:
    """Certificates in the kubeconfig or in files beside it open a server that asks for them."""
    user: Json = {"client-certificate": str(certificates.certificate), "client-key": str(certificates.key)}
    if inline:
        user = {
            "client-certificate-data": encoded(certificates.certificate),
            "client-key-data": encoded(certificates.key),
        }
    with ApiServer(OBJECTS, tls=certificates.server_context()) as server:
        config = kubeconfig_for(server.url, user, {"certificate-authority": str(certificates.authority)})
        assert connect(ClusterOptions(("ai",), kubeconfig=written(tmp_path, config))).list().gaps == ()


def test_a_credential_plugin_may_give_a_client_certificate(tmp_path: Path, certificates: Certificates) -> None:
    """A certificate and its key from a plugin are presented like those of the kubeconfig."""
    script = f"""
import json, pathlib
files = {{"clientCertificateData": {str(certificates.certificate)!r}, "clientKeyData": {str(certificates.key)!r}}}
status = {{field: pathlib.Path(path).read_text() for field, path in files.items()}}
print(json.dumps({{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}}))
"""
    with ApiServer(OBJECTS, tls=certificates.server_context()) as server:
        authority = {"certificate-authority-data": encoded(certificates.authority)}
        config = kubeconfig_for(server.url, plugin(tmp_path, script), authority)
        assert connect(ClusterOptions(kubeconfig=written(tmp_path, config))).name == "here"


def test_a_server_that_cannot_be_trusted_is_one_sentence(tmp_path: Path, certificates: Certificates) -> None:
    """A certificate of an unknown authority is refused, with the reason."""
    with ApiServer(OBJECTS, tls=certificates.server_context()) as server:
        config = written(tmp_path, kubeconfig_for(server.url))
        with pytest.raises(TargetUnreachable, match=r"cannot be trusted: .*certificate") as raised:
            connect(ClusterOptions(kubeconfig=config))
    assert "\n" not in str(raised.value)
    assert str(raised.value).startswith(f"The API server at {server.url} cannot be reached")
