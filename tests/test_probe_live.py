"""Probes of a live scan: through published ports, and what an observation does to what settings and defaults say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from strangers import Asked, Reply, self_signed, stranger

from llmscan.findings import Evidence, Finding, Report, Status, Target
from llmscan.host import start
from llmscan.model import Container, Published, Setting, Stack, Workload, parse_image
from llmscan.probe.endpoints import ProbeOptions
from llmscan.probe.live import published_ports
from llmscan.products import Catalogue
from llmscan.scan import Collection, run

TAGS = Reply(body={"models": []})
OLLAMA = {"/": Reply(body="Ollama is running"), "/api/version": Reply(body={"version": "0.12.3"}), "/api/tags": TAGS}


def vllm(*, key: bool) -> Any:
    """vLLM 0.31.0, with a key or without one."""

    def answer(request: Asked) -> Reply:
        if request.path == "/version":
            return Reply(body={"version": "0.31.0"})
        if request.path == "/v1/models":
            models = {"object": "list", "data": [{"id": "m", "owned_by": "vllm"}]}
            return Reply(401, {"error": "Unauthorized"}) if key else Reply(body=models)
        return Reply(404, {"detail": "Not Found"})

    return answer


def scan(
    image: str,
    url: str,
    inner: int,
    env: Mapping[str, Setting] | None = None,
    address: str = "",
    verify: bool | str = True,
) -> Report:
    """The report on one container that publishes a port where `url` answers."""
    published = Published(inner, urlsplit(url).port, address)
    container = Container("server", parse_image(image), env=env or {}, published=(published,))
    workload = Workload("container", "server", containers=(container,), networks=("bridge",), orchestrated=False)
    host = start(third_parties=False)
    collection = Collection(Target("docker", "here"), (Stack("engine", "docker", (workload,)),), live=True)
    probe = published_ports(host.products.values(), ProbeOptions(verify=verify))
    options = {option.name: option.default for rule in host.rules.values() for option in rule.options}
    return run(collection, host, Catalogue(host.products.values()), options, probe)


def of(report: Report, category: str) -> list[Finding]:
    """The findings of one category."""
    return [finding for finding in report.findings if finding.category == category]


def test_a_probe_upgrades_what_a_default_says_to_observed() -> None:
    """The finding is the one that settings would give, and quotes the answer."""
    with stranger(OLLAMA) as server:
        report = scan("ollama/ollama:0.12.3", server.url, 11434)
    (finding,) = of(report, "unauthenticated-endpoint")
    assert (finding.rule, finding.status, finding.evidence) == ("AUT002", Status.FAIL, Evidence.OBSERVED)
    assert finding.quote == "GET /api/tags -> 200: models = list of 0"


def test_a_probe_corrects_a_wrong_default() -> None:
    """No key is set in any way that a scan can see, and yet the server asks for one."""
    with stranger(vllm(key=True)) as server:
        report = scan("vllm/vllm-openai:v0.31.0", server.url, 8000)
    assert not of(report, "unauthenticated-endpoint")
    (item,) = report.inventory
    assert [note.authentication for note in item.observed] == ["closed"]


def test_a_probe_tells_the_version_that_a_floating_tag_hides() -> None:
    """What depends on the version is then no longer unknown."""
    with stranger(vllm(key=False)) as server:
        report = scan("vllm/vllm-openai:latest", server.url, 8000)
    assert str(report.inventory[0].products[0].version) == "0.31.0"
    assert not [f for f in report.findings if f.status is Status.UNKNOWN and "the version of vLLM" in f.message]


def test_a_probe_recognises_what_an_unknown_image_runs() -> None:
    """The image is the owner's own; its answers tell."""
    with stranger(OLLAMA) as server:
        report = scan("registry.example/ai/gateway:1", server.url, 9000)
    assert [product.id for product in report.inventory[0].products] == ["ollama"]


def test_a_port_that_is_not_published_is_a_gap() -> None:
    """What was not asked is named, and nothing is concluded from it."""
    with stranger({"/": Reply(body="hello")}) as server:
        report = scan("ollama/ollama:0.12.3", server.url, 5555)
    assert any(gap.kind == "probe" and "11434" in gap.what for gap in report.coverage.gaps)
    assert not of(report, "unauthenticated-endpoint")[0].quote


def test_a_server_that_answers_as_something_else_upgrades_nothing() -> None:
    """A web page on that port is no Ollama: the default stands, and the gap says that the probe told nothing."""
    with stranger({"/": Reply(body="hello")}) as server:
        report = scan("ollama/ollama:0.12.3", server.url, 11434)
    (finding,) = of(report, "unauthenticated-endpoint")
    assert finding.evidence is Evidence.DEFAULT
    assert any("tells nothing" in gap.why for gap in report.coverage.gaps)


def test_a_server_that_speaks_tls_alone_is_asked_in_tls(tmp_path: Path) -> None:
    """Nothing in the deployment says so; a certificate that cannot be trusted is what the gap tells then."""
    certificate, key = self_signed(tmp_path)
    with stranger(OLLAMA, tls=(certificate, key)) as server:
        trusted = scan("ollama/ollama:0.12.3", server.url, 11434, verify=str(certificate))
        doubted = scan("ollama/ollama:0.12.3", server.url, 11434)
    (finding,) = of(trusted, "unauthenticated-endpoint")
    assert finding.evidence is Evidence.OBSERVED
    (note,) = trusted.inventory[0].observed
    assert note.url == server.url
    assert of(doubted, "unauthenticated-endpoint")[0].evidence is Evidence.DEFAULT
    assert any("certificate that cannot be trusted" in gap.why for gap in doubted.coverage.gaps)


def test_a_proxy_that_wants_tls_says_so_and_is_believed(tmp_path: Path) -> None:
    """A server that answers plain requests with 400 is asked again; one that speaks plain HTTP alone keeps what it said."""
    with stranger({}, otherwise=Reply(400, "The plain HTTP request was sent to HTTPS port")) as server:
        report = scan("ollama/ollama:0.12.3", server.url, 11434)
    assert any("none of its answers" in gap.why for gap in report.coverage.gaps)
