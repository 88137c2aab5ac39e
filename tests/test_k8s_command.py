"""`llmscan k8s`: what it judges, what it says of what it could not read, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from click.testing import CliRunner
from live_scans import NAMESPACE, controller, found, k8s, manifest, pod, pod_spec, report, scan, workloads

from llmscan.commands import group
from llmscan.testing import ApiServer, cut_off, expired, failing, forbidden, slow, too_many_requests
from llmscan.testing.demo import demo_objects

CANARY = "canary-3f1c7a9e5b"


@pytest.fixture(autouse=True)
def no_ambient_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No kubeconfig and no proxy of the machine that runs the tests takes part in them."""
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_it_finds_what_is_wrong_in_a_namespace(tmp_path: Path) -> None:
    """Reach comes from Services and routes, products from images, and what lies around from other namespaces."""
    document = scan(demo_objects(), tmp_path)
    assert document["failures"] == []
    assert document["coverage"]["units"] == ["ai"]
    assert found(document, "AUT001") == {"Deployment/ollama", "Deployment/open-webui"}
    assert found(document, "AUT002") == {"Deployment/triton", "RayCluster/batch", "StatefulSet/qdrant"}
    assert found(document, "EXP002") == {"Service/ollama", "Service/qdrant", "Service/ray-dashboard"}
    assert document["passed"]["LOG003"] == 1
    assert {one["live"] for one in document["findings"]} == {True}


def test_the_workload_that_is_right_in_everything_has_no_finding(tmp_path: Path) -> None:
    """Neither a failure nor an unknown verdict is about it."""
    document = scan(demo_objects(), tmp_path)
    assert "Deployment/assistant" in workloads(document)
    assert [one["rule"] for one in document["findings"] if one["resource"]["name"] == "assistant"] == []


def test_all_namespaces_are_units_of_their_own(tmp_path: Path) -> None:
    """-A judges each namespace that holds anything, and links none with another."""
    document = scan(demo_objects(), tmp_path, "-A")
    assert document["coverage"]["units"] == ["ai", "ingress-nginx", "kube-system", "logging"]
    assert "DaemonSet/kube-proxy" in found(document, "HST001")


def test_a_route_from_another_namespace_is_a_way_in(tmp_path: Path) -> None:
    """An HTTPRoute of a team that owns the gateway opens what it leads to."""
    route = {
        "parentRefs": [{"name": "edge"}],
        "rules": [{"backendRefs": [{"name": "vllm", "namespace": "ai", "port": 8000}]}],
    }
    service = {"selector": {"app": "vllm"}, "ports": [{"port": 8000}]}
    objects = [
        NAMESPACE,
        controller("Deployment", "vllm"),
        manifest("v1", "Service", "vllm", spec=service),
        manifest("gateway.networking.k8s.io/v1", "Gateway", "edge", "edge", spec={"gatewayClassName": "public"}),
        manifest("gateway.networking.k8s.io/v1", "HTTPRoute", "models", "edge", spec=route),
    ]
    assert found(scan(objects, tmp_path), "AUT001") == {"Deployment/vllm"}


UNSEEN = [
    ("*/services", ["EXP001", "EXP002", "AUT001"], "services"),
    ("*/ingresses", ["EXP002", "AUT001"], "ingresses.networking.k8s.io"),
    ("*/networkpolicies", ["NET001"], "networkpolicies.networking.k8s.io"),
]


@pytest.mark.parametrize(("path", "rules", "resource"), UNSEEN)
def test_what_rests_on_a_forbidden_list_is_unknown(tmp_path: Path, path: str, rules: list[str], resource: str) -> None:
    """The gap names the permission, no verdict that rests on it passes, and the scan is no failure."""
    document = scan(demo_objects(), tmp_path, faults=[forbidden(path)])
    (gap,) = document["coverage"]["gaps"][:1]
    assert gap["would"].startswith(f"permission to list {resource} ")
    assert str(gap["why"]) == "could not be listed: the API server answered 403"
    assert document["failures"] == []
    for rule in rules:
        assert found(document, rule, "unknown"), rule
        assert rule not in document["passed"]


def test_collectors_elsewhere_are_not_seen_without_permission(tmp_path: Path) -> None:
    """Pods or DaemonSets suffice to see one; without either, whether logs are collected is unknown."""
    elsewhere = [forbidden("/api/v1/pods"), forbidden("/apis/apps/v1/daemonsets")]
    for fault in elsewhere:
        assert scan(demo_objects(), tmp_path, faults=[fault])["passed"]["LOG003"] == 1
    document = scan(demo_objects(), tmp_path, faults=elsewhere)
    assert found(document, "LOG003", "unknown") == {"Namespace/ai"}
    assert "LOG003" not in document["passed"]


def test_a_cluster_without_a_collector_is_told_so(tmp_path: Path) -> None:
    """Where everything was seen and nothing collects, that is a finding on the namespace."""
    objects = [NAMESPACE, controller("Deployment", "web", pod=pod_spec("nginx:1.29.3"))]
    assert found(scan(objects, tmp_path), "LOG003") == {"Namespace/ai"}


def test_nothing_is_unknown_for_want_of_a_list_that_was_read(tmp_path: Path) -> None:
    """Where everything is readable, the only unknown verdicts are those of a floating tag."""
    document = scan(demo_objects(), tmp_path)
    missing = {gap["kind"] for one in document["findings"] for gap in one.get("missing", ())}
    assert missing <= {"version", "image"}


def test_a_policy_that_was_not_seen_condemns_nobody(tmp_path: Path) -> None:
    """The routes that a key leaves open are no finding where a policy might admit only those who have the key."""
    document = scan(demo_objects(), tmp_path, faults=[forbidden("*/networkpolicies")])
    assert "Deployment/assistant" not in found(document, "AUT005") | found(document, "NET001")
    assert "Deployment/assistant" in found(document, "AUT005", "unknown")


def test_strict_counts_what_was_not_seen(tmp_path: Path) -> None:
    """With --strict a forbidden list makes the scan incomplete."""
    objects = [NAMESPACE, controller("Deployment", "web", pod=pod_spec("nginx:1.29.3"))]
    with ApiServer(objects, faults=[forbidden("/api/v1/nodes")]) as server:
        assert k8s(server, tmp_path, "-n", "ai", "-q").exit_code == 0
        assert k8s(server, tmp_path, "-n", "ai", "-q", "--strict", "--fail-on", "never").exit_code == 3


TROUBLE = [
    [expired("*/pods")],
    [too_many_requests("*/deployments")],
    [cut_off("*/services")],
    [slow("*/configmaps", 0.3)],
    [failing("*/pods", 503, times=1)],
]


@pytest.mark.parametrize("faults", TROUBLE)
def test_passing_trouble_changes_nothing(tmp_path: Path, faults: list[object]) -> None:
    """410 on a page, 429, a connection that ends and a slow answer are got over."""
    calm = scan(demo_objects(), tmp_path, page_size_cap=7)
    assert scan(demo_objects(), tmp_path, page_size_cap=7, faults=faults) == calm


def test_a_list_that_never_comes_makes_the_scan_incomplete(tmp_path: Path) -> None:
    """No permission mends it, so that it is a failure; everything else is judged all the same."""
    objects = [NAMESPACE, controller("Deployment", "web", pod=pod_spec("nginx:1.29.3"))]
    with ApiServer(objects, faults=[failing("*/services", 405)]) as server:
        result = k8s(server, tmp_path, "-n", "ai", "--format", "json")
    assert result.exit_code == 3
    (failure,) = report(result)["failures"]
    assert failure["name"] == "services in namespace ai"
    assert found(report(result), "HRD001") == {"Deployment/web"}


def test_two_thousand_pods_are_one_workload(tmp_path: Path) -> None:
    """Replicas make one finding each, over as many pages as it takes."""
    deployment = controller("Deployment", "vllm", replicas=2000)
    replicas = controller("ReplicaSet", "vllm-abc", deployment, replicas=2000)
    pods = [pod(f"vllm-abc-{number}", replicas) for number in range(2000)]
    with ApiServer([NAMESPACE, deployment, replicas, *pods]) as server:
        document = report(k8s(server, tmp_path, "-n", "ai", "--format", "json"))
        pages = [request for request in server.requests if request.path == "/api/v1/pods"]
    assert workloads(document) == ["Deployment/vllm"]
    assert len(pages) == 4


@pytest.mark.parametrize("format_name", ["table", "json", "sarif", "html"])
def test_an_unreachable_cluster_is_one_sentence(tmp_path: Path, format_name: str) -> None:
    """Every format says it, within ten seconds, and the exit code is 3."""
    with ApiServer([]) as server:
        kubeconfig = server.write_kubeconfig(tmp_path / "kubeconfig")
    since = monotonic()
    result = CliRunner().invoke(group, ["k8s", "--kubeconfig", str(kubeconfig), "--format", format_name])
    assert monotonic() - since < 10
    assert result.exit_code == 3
    assert "cannot be reached" in " ".join(result.stdout.split())
    assert "Traceback" not in result.output


def test_refused_credentials_are_one_sentence(tmp_path: Path) -> None:
    """401 is told from a server that is not there."""
    with ApiServer([], token="right") as server:
        config = server.kubeconfig()
        config["users"][0]["user"]["token"] = "wrong"
        (tmp_path / "config").write_text(json.dumps(config))
        result = CliRunner().invoke(group, ["k8s", "--kubeconfig", str(tmp_path / "config"), "--format", "json"])
    assert result.exit_code == 3
    assert "refuses the credentials of demo (401)" in report(result)["failures"][0]["reason"]


def test_a_bad_kubeconfig_is_wrong_usage(tmp_path: Path) -> None:
    """A file that is not there, is no YAML, or lacks the context: exit 2, and a sentence that says so."""
    with ApiServer([]) as server:
        named = k8s(server, tmp_path, "--context", "elsewhere")
    (tmp_path / "broken").write_text("{")
    broken = CliRunner().invoke(group, ["k8s", "--kubeconfig", str(tmp_path / "broken")])
    absent = CliRunner().invoke(group, ["k8s", "--kubeconfig", str(tmp_path / "absent")])
    assert (named.exit_code, broken.exit_code, absent.exit_code) == (2, 2, 2)
    assert "no context elsewhere; its contexts are: demo" in named.output
    assert "is not YAML" in broken.output
    assert "There is no kubeconfig at" in absent.output


def test_namespaces_and_all_of_them_exclude_each_other(tmp_path: Path) -> None:
    """Whoever says both means one of them."""
    with ApiServer([]) as server:
        assert k8s(server, tmp_path, "-n", "ai", "-A").exit_code == 2


def test_a_namespace_that_does_not_exist_is_said(tmp_path: Path) -> None:
    """A misspelt name is no clean bill: exit 3."""
    with ApiServer(demo_objects()) as server:
        result = k8s(server, tmp_path, "-n", "aii", "--format", "json")
    assert result.exit_code == 3
    assert report(result)["failures"][0]["name"] == "namespace aii"


def test_an_empty_namespace_is_nothing_to_scan(tmp_path: Path) -> None:
    """What every namespace has from the start does not count."""
    with ApiServer(demo_objects()) as server:
        assert k8s(server, tmp_path, "-n", "default", "-q").exit_code == 3


def test_alerts_survive_a_renamed_context(tmp_path: Path) -> None:
    """With the same --target-name, fingerprints, category and paths are the same; with another, they are not."""
    with ApiServer(demo_objects()) as server:
        runs = {
            (context, name): k8s(
                server, tmp_path, "-n", "ai", "--format", "sarif", *(["--target-name", name] if name else []),
                context=context,
            ).stdout
            for context, name in (("one", "Prod EU"), ("two", "Prod EU"), ("two", ""))
        }  # fmt: skip
    assert runs["one", "Prod EU"] == runs["two", "Prod EU"]
    assert "llmscan/live/prod-eu/" in runs["one", "Prod EU"]
    assert "llmscan-live/kubernetes/prod-eu/ai/Deployment/ollama" in runs["one", "Prod EU"]
    other = json.loads(runs["two", ""])["runs"][0]
    assert other["automationDetails"]["id"] == "llmscan/live/two/"
    same = json.loads(runs["two", "Prod EU"])["runs"][0]
    prints = [{str(row["partialFingerprints"]) for row in run["results"]} for run in (same, other)]
    assert not prints[0] & prints[1]


@pytest.mark.parametrize("format_name", ["table", "json", "sarif", "html"])
def test_no_secret_is_read_or_shown(tmp_path: Path, format_name: str) -> None:
    """Secrets are never asked for, and values of variables, files and annotations are in no format."""
    container: dict[str, Any] = {
        "env": [{"name": "VLLM_API_KEY", "value": CANARY}, {"name": "OTHER", "value": f"{CANARY}-env"}],
        "args": [f"--api-key={CANARY}-argument"],
        "envFrom": [{"secretRef": {"name": "keys"}}],
    }
    objects = [
        NAMESPACE,
        controller("Deployment", "vllm", pod=pod_spec(**container)),
        manifest("v1", "Secret", "keys", data={"KEY": CANARY}),
        manifest("v1", "ConfigMap", "settings", data={"config.yaml": f"key: {CANARY}-config"}),
        pod("bare", spec=pod_spec(**container), annotations={"note": f"{CANARY}-annotation"}),
    ]
    with ApiServer(objects) as server:
        result = k8s(server, tmp_path, "-n", "ai", "--format", format_name, "-v")
        assert not [request for request in server.requests if "secrets" in request.path]
    assert result.exit_code in (0, 1)
    assert CANARY not in result.output


def test_the_access_check_says_what_is_missing(tmp_path: Path) -> None:
    """A line for each permission; exit 0 where nothing is missing, 3 otherwise; nothing is listed."""
    with ApiServer(demo_objects()) as server:
        full = k8s(server, tmp_path, "-n", "ai", "--check-access")
        assert not [request for request in server.requests if request.path.endswith("/pods")]
    with ApiServer(demo_objects(), faults=[forbidden("*/networkpolicies")]) as server:
        partial = k8s(server, tmp_path, "-n", "ai", "--check-access")
    assert full.exit_code == 0
    assert "a scan reads everything" in full.output
    assert partial.exit_code == 3
    (line,) = [line for line in partial.output.splitlines() if line.endswith("NO")]
    assert line.split() == ["networkpolicies.networking.k8s.io", "namespace", "ai", "NO"]


def test_the_access_check_of_an_unreachable_cluster_ends_with_3(tmp_path: Path) -> None:
    """It says the same sentence as a scan, on standard error."""
    with ApiServer([]) as server:
        kubeconfig = server.write_kubeconfig(tmp_path / "kubeconfig")
    result = CliRunner().invoke(group, ["k8s", "--kubeconfig", str(kubeconfig), "--check-access"])
    assert result.exit_code == 3
    assert "cannot be reached" in result.stderr
    assert result.stdout == ""
