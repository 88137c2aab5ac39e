"""Every rule on its fixtures: a small deployment with one mistake, and the same one mended.

`fixtures/<RULE>/bad.<kind>` marks the line where the finding belongs with `# <- RULE`; `good.<kind>` differs in what the rule's fix names. Kinds:
`yaml` (Kubernetes manifests) and `compose.yaml` are files as `llmscan files` reads them, an env file beside them belongs to them; `cluster.yaml`
holds the objects of a live cluster; `engine.json` what is known of a live engine; `server.json` what a server answers to each path.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml
from file_scans import scan_files

from llmscan.collect.cluster import ClusterOptions
from llmscan.collection import Collection
from llmscan.commands.k8s import collection
from llmscan.commands.shared import host, make_report
from llmscan.findings import Finding, Report, Status, Target
from llmscan.host import start
from llmscan.model import Engine, Stack, Value
from llmscan.probe.addresses import read_address
from llmscan.probe.asking import Patience
from llmscan.probe.endpoints import EndpointScan, ProbeOptions
from llmscan.rules import Rule
from llmscan.testing import ApiServer

FIXTURES = Path(__file__).parent.parent / "fixtures"
KINDS = ("yaml", "compose.yaml", "cluster.yaml", "engine.json", "server.json")
RULES = start(third_parties=False).rules
ONLY_ON_PODS = {
    "EXP001",
    "EXP005",
    "EXP006",
    "AUT001",
    "AUT004",
    "HST003",
    "HST010",
    "HST012",
    "HST013",
    "LOG003",
    "MOD004",
    "NET001",
}
"""Rules that judge pods and nothing else, beside those of pod hardening."""
ONLY_ON_ENGINES = {"LOG001", "LOG002", "ENG001", "COR005"}
"""Rules that judge what an engine does for its containers or takes from env files, which a pod does not say."""
NEVER_CERTAIN = {"EXP006"}
"""Rules on what lies outside the files that were read: they say what is not known, and never that it is wrong."""


def kinds_of(rule: Rule) -> Iterator[str]:
    """The kinds of fixtures that a rule must have."""
    if rule.id == "LOG003":
        yield "cluster.yaml"
    elif rule.id == "AUT011":
        yield "server.json"
    elif rule.id == "ENG001":
        yield "engine.json"
    elif rule.id not in ONLY_ON_ENGINES:
        yield "yaml"
    if rule.id not in ONLY_ON_PODS | {"ENG001", "AUT011"} and rule.category != "pod-hardening":
        yield "compose.yaml"


CASES = [(rule.id, kind) for rule in RULES.values() for kind in kinds_of(rule)]


def judged(rule: str, name: str, scratch: Path) -> list[Finding]:
    """What one rule finds in one of its fixtures."""
    path = FIXTURES / rule / name
    if name.endswith("cluster.yaml"):
        report = live_report(path, scratch)
    elif name.endswith("engine.json"):
        report = engine_report(path)
    elif name.endswith("server.json"):
        report = endpoint_report(path)
    else:
        report = scan_files(*companions(path))
    assert report.failures == ()
    return [finding for finding in report.findings if finding.rule == rule]


def companions(path: Path) -> list[Path]:
    """A fixture and the env file that belongs to it."""
    env = path.with_name(path.name.partition(".")[0] + ".env")
    return [path, env] if env.exists() and "compose" in path.name else [path]


def live_report(path: Path, scratch: Path) -> Report:
    """A scan of the namespace `ai` of a cluster that serves the objects of a fixture."""
    with ApiServer(list(yaml.safe_load_all(path.read_text()))) as server:
        kubeconfig = server.write_kubeconfig(scratch / "kubeconfig")
        options = ClusterOptions(("ai",), kubeconfig=str(kubeconfig))
        return make_report(lambda: collection(options, "fixture"), {})


def engine_report(path: Path) -> Report:
    """A scan of an engine on which nothing runs."""
    known = json.loads(path.read_text())
    engine = Engine(known["name"], known["version"], Value(known["tcp_without_tls"]))
    stack = Stack("engine", "docker", engine=engine)
    return make_report(lambda: Collection(Target("docker", "fixture"), (stack,), live=True), {})


def endpoint_report(path: Path) -> Report:
    """A scan of a server on loopback that answers as the fixture says, and 404 to everything else."""
    with canned_server(json.loads(path.read_text())) as url:
        scan = EndpointScan(
            [read_address(url)], host().products.values(), ProbeOptions(Patience.within(10), True, False)
        )
        return make_report(scan.collect, {}, scan.observed)


@contextmanager
def canned_server(answers: Mapping[str, Any]) -> Iterator[str]:
    """The address of a server that gives each path its answer."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = answers.get(self.path, {"status": 404, "body": {}})
            body = json.dumps(answer["body"]).encode()
            self.send_response(answer["status"])
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            """Tests have nothing to log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def marked(rule: str, name: str) -> set[tuple[str, int]]:
    """The lines that carry a rule's mark, in a fixture and its env file."""
    mark = re.compile(rf"# <- {rule}\b")
    files = companions(FIXTURES / rule / name)
    lines = (
        (file.name, number, text) for file in files for number, text in enumerate(file.read_text().splitlines(), 1)
    )
    return {(file, number) for file, number, text in lines if mark.search(text)}


@pytest.mark.parametrize(("rule", "kind"), CASES)
def test_a_mistake_is_found_where_it_stands(rule: str, kind: str, tmp_path: Path) -> None:
    """The bad fixture has a failure of its rule on each marked line and on no other; where nothing has lines, it has one."""
    found = judged(rule, f"bad.{kind}", tmp_path)
    expected = Status.UNKNOWN if rule in NEVER_CERTAIN else Status.FAIL
    assert found and {finding.status for finding in found} == {expected}, [f.message for f in found]
    if not kind.endswith(("cluster.yaml", "json")):
        assert {(Path(f.place.path).name, f.place.line) for f in found if f.place} == marked(rule, f"bad.{kind}")


@pytest.mark.parametrize(("rule", "kind"), CASES)
def test_what_was_mended_is_quiet(rule: str, kind: str, tmp_path: Path) -> None:
    """The good fixture has neither a failure of its rule nor something that it could not know."""
    assert [f"{f.status}: {f.message}" for f in judged(rule, f"good.{kind}", tmp_path)] == []


def test_every_fixture_belongs_to_a_rule() -> None:
    """There is no folder of a rule that does not exist, and no file that no test reads."""
    folders = [folder for folder in FIXTURES.iterdir() if re.fullmatch(r"[A-Z]{2,8}\d{3}", folder.name)]
    assert {folder.name for folder in folders} == set(RULES)
    wanted = {f"{state}.{kind}" for state in ("bad", "good") for kind in (*KINDS, "env")}
    assert [str(file) for folder in folders for file in folder.iterdir() if file.name not in wanted] == []
