"""What is applied to a real cluster and scanned there gives the findings that its file gives."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from lane import KUBECONFIG, ON_A_CLUSTER, Lane, lane

from llmscan.commands import group

Json = dict[str, Any]

pytestmark = ON_A_CLUSTER
__all__ = ["lane"]

FIXTURES = Path(__file__).parent.parent / "fixtures"
DATA = os.environ.get("LLMSCAN_TEST_DATA", "")
LEFT_OUT: Mapping[str, str] = {
    "Secret": "a live scan never reads one, so that what its file shows is not there to compare",
    "Namespace": "every file gets one of its own",
    "PersistentVolumeClaim": "a scan does not list it",
    "ServiceAccount": "it makes no workload",
    "Role": "a scan does not list it",
    "RoleBinding": "a scan does not list it",
}
LISTED: Mapping[str, frozenset[str]] = {
    "ray.io": frozenset({"RayCluster", "RayService", "RayJob"}),
    "serving.kserve.io": frozenset({"InferenceService", "LLMInferenceService", "ServingRuntime"}),
    "gateway.networking.k8s.io": frozenset({"Gateway", "HTTPRoute", "GRPCRoute"}),
    "jobset.x-k8s.io": frozenset({"JobSet"}),
    "leaderworkerset.x-k8s.io": frozenset({"LeaderWorkerSet"}),
    "serving.knative.dev": frozenset({"Service"}),
    "argoproj.io": frozenset({"Rollout", "Workflow", "CronWorkflow"}),
}
"""Custom types that a scan lists; it knows others by their pods alone, and the lane has nobody who would make those."""
MEANT: Mapping[str, str] = {
    "EXP006": "what a Service of a file leads to may stand in another; of a cluster every pod was seen",
    "LOG003": "no file tells whether a cluster collects logs; a live scan sees the whole cluster",
}
"""Rules whose findings differ, and why."""


@dataclass
class Case:
    """One file, what the cluster took of it, what it refused and why, and the namespace that holds it."""

    path: Path
    items: list[Json]
    refused: list[str] = field(default_factory=list)
    namespace: str = ""


@dataclass(frozen=True)
class Key:
    """What two findings share if they are the same."""

    rule: str
    status: str
    kind: str
    name: str
    container: str = ""
    setting: str = ""

    @property
    def whole(self) -> Key:
        """The same without the container: a file's finding tells those that one line decides together."""
        return Key(self.rule, self.status, self.kind, self.name)


def manifests() -> Iterator[Path]:
    """The Kubernetes files of fixtures/ and of the corpus."""
    for root in [FIXTURES, *([Path(DATA) / "corpus" / "files"] if DATA else [])]:
        for path in sorted([*root.rglob("*.yaml"), *root.rglob("*.yml")]):
            if "apiVersion:" in path.read_text(encoding="utf-8", errors="replace"):
                yield path


def documents(path: Path) -> list[Json]:
    """The resources of a file; none where it is no YAML by itself (a template)."""
    try:
        found = list(yaml.load_all(path.read_text(encoding="utf-8"), yaml.CSafeLoader))
    except (yaml.YAMLError, ValueError):
        return []
    rows = [row for one in found if isinstance(one, dict) for row in one.get("items") or [one]]
    return [row for row in rows if isinstance(row, dict) and row.get("kind") and "apiVersion" in row]


def why_not(item: Json) -> str:
    """Why an object is not compared, or "" ."""
    owner = str(item["apiVersion"]).rpartition("/")[0]
    custom = owner in LISTED or ("." in owner and not owner.endswith(".k8s.io"))
    if custom and item["kind"] not in LISTED.get(owner, ()):
        return "a scan knows it by its pods, and nobody makes them here"
    return LEFT_OUT.get(item["kind"], "") if not custom else ""


def applied(lane: Lane) -> list[Case]:
    """Every file in a namespace of its own."""
    cases = [Case(path, documents(path)) for path in manifests()]
    lane.define({pair for case in cases for item in case.items for pair in custom_type(item)})
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda case: apply(lane, case), cases))
    return [case for case in cases if case.namespace]


def apply(lane: Lane, case: Case) -> None:
    case.refused = [f"{item['kind']}: {why_not(item)}" for item in case.items if why_not(item)]
    items, case.items = [item for item in case.items if not why_not(item)], []
    case.namespace = lane.namespace() if items else ""
    for item in items:
        offer(lane, case, item)


def custom_type(item: Json) -> Iterator[tuple[str, str, str]]:
    owner, _, version = item["apiVersion"].rpartition("/")
    if item["kind"] in LISTED.get(owner, ()):
        yield owner, version, item["kind"]


def offer(lane: Lane, case: Case, item: Json) -> None:
    """Create an object in the namespace of its case."""
    item = item | {"metadata": (item.get("metadata") or {}) | {"namespace": case.namespace}}
    status, answer, _ = lane.create(item, case.namespace)
    if status == 201:
        case.items.append(item)
    else:
        case.refused.append(f"{item['kind']} {item['metadata'].get('name')}: {answer.get('message', status)}")


def settle(lane: Lane) -> None:
    """Until the controllers have made their pods: none more for a second."""
    deadline, known, since = monotonic() + 15, -1, monotonic()
    while monotonic() < min(deadline, since + 1):
        number = len(lane.request("GET", "/api/v1/pods?resourceVersion=0")[1]["items"])
        if number != known:
            known, since = number, monotonic()
        sleep(0.2)


def scan(*arguments: str) -> list[Json]:
    """The findings of a scan."""
    result = CliRunner().invoke(group, [*arguments, "--format", "json"])
    document = json.loads(result.stdout)
    assert document["failures"] == []
    return list(document["findings"])


def keys(findings: Iterable[Json]) -> set[Key]:
    """Findings, without those that are meant to differ."""
    return {
        Key(
            one["rule"], one["status"], one["resource"]["kind"], one["resource"]["name"], one["resource"]["container"],
            one.get("setting", ""),
        )
        for one in findings
        if one["rule"] not in MEANT
    }  # fmt: skip


def told_together(findings: Iterable[Json]) -> set[Key]:
    """The objects of findings that stand for several, since one line decides them all."""
    return {
        Key(one["rule"], one["status"], other.get("kind", ""), other["name"])
        for one in findings
        for other in one["related"]
    }


def test_a_live_scan_finds_what_the_file_gives(lane: Lane, tmp_path: Path) -> None:
    """Rule, resource, container, setting and status are the same, whatever the API server and controllers made of the file."""
    cases = applied(lane)
    settle(lane)
    live = scan("k8s", "--kubeconfig", KUBECONFIG, "--all-namespaces")
    for case in cases:
        folder = tmp_path / case.namespace
        folder.mkdir()
        (folder / "all.yaml").write_text(yaml.dump_all(case.items, Dumper=yaml.CSafeDumper, sort_keys=False))
    static = scan("files", str(tmp_path))
    compared = 0
    differences: list[str] = []
    for case in cases:
        print("\n".join(f"not compared: {case.path.name}: {' '.join(reason.split())}" for reason in case.refused))
        mine = [one for one in static if one["unit"] == case.namespace]
        theirs = keys(one for one in live if one["unit"] == case.namespace)
        together = told_together(mine)
        compared += len(theirs)
        differences += [f"{case.path.name}: only in the file: {key}" for key in keys(mine) - theirs]
        differences += [
            f"{case.path.name}: only live: {key}" for key in theirs - keys(mine) if key.whole not in together
        ]
    assert not differences, "\n".join(differences)
    assert compared > (400 if DATA else 10)


def test_nothing_is_left_out_in_vain() -> None:
    """Each kind that is left out is in one of the files, so that the list does not outlive its reasons."""
    if not DATA:
        pytest.skip("LLMSCAN_TEST_DATA names no folder with the corpus")
    kinds = {item["kind"] for path in manifests() for item in documents(path)}
    assert kinds >= LEFT_OUT.keys()
