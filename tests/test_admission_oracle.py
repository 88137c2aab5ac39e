"""A real API server's Pod Security admission and our rules agree on every control that the rules claim."""

from __future__ import annotations

import json
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from lane import ON_A_CLUSTER, Lane, lane

from llmscan.commands import group
from llmscan.host import start

Json = dict[str, Any]

pytestmark = ON_A_CLUSTER
__all__ = ["lane"]

CLAIM = "PSS-1.37:"
HEADINGS = {
    "restricted": {
        "allowPrivilegeEscalation != false": "allowPrivilegeEscalation",
        "unrestricted capabilities": "capabilities_restricted",
        "runAsNonRoot != true": "runAsNonRoot",
        "runAsUser=0": "runAsUser",
        "seccompProfile": "seccompProfile_restricted",
        "restricted volume types": "restrictedVolumes",
        "procMount": "procMount_restricted",
    },
    "baseline": {
        "forbidden AppArmor profile": "appArmorProfile",
        "forbidden AppArmor profiles": "appArmorProfile",
        "non-default capabilities": "capabilities_baseline",
        "host namespaces": "hostNamespaces",
        "hostPath volumes": "hostPathVolumes",
        "hostPort": "hostPorts",
        "probe or lifecycle host": "hostProbesAndHostLifecycle",
        "privileged": "privileged",
        "procMount": "procMount",
        "seLinuxOptions": "seLinuxOptions",
        "seccompProfile": "seccompProfile_baseline",
        "forbidden sysctls": "sysctls",
    },
}
"""What the warnings of each level call a control. `restricted` says some of `baseline` in other words, so each is asked."""
NEVER_TAKEN = {"procMount"}
"""Violated only by pods without users of their own, which the API server refuses for that very reason."""
CHECKED = {control for headings in HEADINGS.values() for control in headings.values()}


def maybe(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    """A mapping that has some of these fields."""
    return st.fixed_dictionaries({}, optional=fields)


ids = st.sampled_from([0, 1000])
flags = st.booleans()
seccomp = st.sampled_from(
    [{"type": "RuntimeDefault"}, {"type": "Unconfined"}, {"type": "Localhost", "localhostProfile": "a.json"}]
)
armour = st.sampled_from(
    [{"type": "RuntimeDefault"}, {"type": "Unconfined"}, {"type": "Localhost", "localhostProfile": "a"}]
)
labels = maybe(
    type=st.sampled_from(["", "container_t", "container_kvm_t", "spc_t"]),
    user=st.sampled_from(["", "system_u"]),
    role=st.sampled_from(["", "system_r"]),
    level=st.just("s0:c1"),
)
names = st.lists(st.sampled_from(["NET_BIND_SERVICE", "CHOWN", "NET_RAW", "SYS_TIME", "ALL"]), max_size=2, unique=True)
drops = st.lists(st.sampled_from(["ALL", "NET_RAW", "CHOWN"]), max_size=2, unique=True)
contexts = maybe(
    runAsUser=ids, runAsNonRoot=flags, privileged=flags, allowPrivilegeEscalation=flags, seccompProfile=seccomp,
    appArmorProfile=armour, seLinuxOptions=labels, capabilities=maybe(add=names, drop=drops),
    procMount=st.sampled_from(["Default", "Unmasked"]),
)  # fmt: skip
pod_contexts = maybe(
    runAsUser=ids, runAsNonRoot=flags, seccompProfile=seccomp, appArmorProfile=armour, seLinuxOptions=labels,
    sysctls=st.lists(
        st.sampled_from(["net.ipv4.tcp_syncookies", "kernel.shm_rmid_forced", "net.core.somaxconn", "kernel.msgmax"]),
        max_size=2, unique=True,
    ).map(lambda found: [{"name": name, "value": "1"} for name in found]),
)  # fmt: skip
ports = st.sampled_from(
    [
        [],
        [{"containerPort": 8000}],
        [{"containerPort": 8000, "hostPort": 8000}],
        [{"containerPort": 8000, "hostPort": 0}],
    ]
)
probes = st.sampled_from(
    [
        {"tcpSocket": {"port": 8000}},
        {"httpGet": {"port": 8000, "host": "node"}},
        {"tcpSocket": {"port": 1, "host": "a"}},
    ]
)
volumes: st.SearchStrategy[Json] = st.sampled_from(
    [
        {"emptyDir": {}},
        {"hostPath": {"path": "/srv"}},
        {"nfs": {"server": "files", "path": "/"}},
        {"configMap": {"name": "settings"}},
        {"persistentVolumeClaim": {"claimName": "models"}},
        {"image": {"reference": "models:1"}},
        {"projected": {"sources": []}},
        {"iscsi": {"targetPortal": "10.0.0.1", "iqn": "iqn.2001-04.com.example:a", "lun": 0}},
    ]
)


def containers(prefix: str, smallest: int) -> st.SearchStrategy[list[Json]]:
    fields: dict[str, st.SearchStrategy[Any]] = {"securityContext": contexts, "ports": ports}
    if prefix == "c":
        fields["livenessProbe"] = probes
    rows = st.lists(maybe(**fields), min_size=smallest, max_size=2)
    return rows.map(
        lambda found: [{"name": f"{prefix}{number}", "image": "model:1"} | one for number, one in enumerate(found)]
    )


unmasked: st.SearchStrategy[Json] = contexts.map(
    lambda context: context | {"procMount": "Unmasked", "privileged": False}
)
"""Only a pod with users of its own may have that, so that chance alone would never make one."""
own_users: st.SearchStrategy[Json] = maybe(securityContext=pod_contexts).flatmap(
    lambda spec: unmasked.map(
        lambda context: (
            {"hostUsers": False}
            | spec
            | {"containers": [{"name": "c0", "image": "model:1", "securityContext": context}]}
        )
    )
)
always: dict[str, st.SearchStrategy[Any]] = {"containers": containers("c", 1)}
sometimes: dict[str, st.SearchStrategy[Any]] = {
    "initContainers": containers("i", 0),
    "securityContext": pod_contexts,
    "hostNetwork": flags,
    "hostPID": flags,
    "hostIPC": flags,
    "hostUsers": flags,
    "volumes": st.lists(volumes, max_size=2).map(
        lambda found: [{"name": f"v{number}"} | one for number, one in enumerate(found)]
    ),
}
specs: st.SearchStrategy[Json] = st.fixed_dictionaries(always, optional=sometimes)
pods_of_all_kinds = st.lists(st.one_of(specs, specs, specs, own_users), min_size=12, max_size=12)


@pytest.fixture(scope="module")
def levels(lane: Lane) -> dict[str, str]:
    """A namespace that warns of each level."""
    return {level: lane.namespace(**{"pod-security.kubernetes.io/warn": level}) for level in HEADINGS}


def warned(lane: Lane, levels: dict[str, str], pod: Json) -> set[str] | None:
    """The controls that admission warns of; None for a pod that the API server refuses for another reason."""
    found: set[str] = set()
    for level, namespace in levels.items():
        status, _, warnings = lane.create(pod, namespace, "?dryRun=All")
        if status != 201:
            return None
        text = " ".join(warnings)
        told = re.findall(r'(?:(?<=latest\\": )|(?<=\), ))([^()"]+?) \(', text)
        assert bool(told) == ("would violate" in text)
        found |= {HEADINGS[level][heading] for heading in told if heading in HEADINGS[level]}
    return found


def judged(pods: list[Json], folder: Path) -> dict[str, set[str]]:
    """The controls of the failing findings on each pod, by name."""
    path = folder / "pods.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": pods}))
    result = CliRunner().invoke(group, ["files", str(path), "--format", "json"])
    document = json.loads(result.stdout)
    assert document["failures"] == []
    found: dict[str, set[str]] = {pod["metadata"]["name"]: set() for pod in pods}
    for one in document["findings"]:
        controls = {ref.removeprefix(CLAIM) for ref in one["refs"] if ref.startswith(CLAIM)}
        if one["status"] == "fail" and one["resource"]["kind"] == "Pod":
            for name in [one["resource"]["name"], *(other["name"] for other in one["related"])]:
                found[name] |= controls
    return found


def claimed() -> set[str]:
    """The controls that the rules claim and whose warnings this test can read."""
    refs = {ref for rule in start(third_parties=False).rules.values() for ref in rule.refs}
    return {ref.removeprefix(CLAIM) for ref in refs if ref.startswith(CLAIM)} & CHECKED


def test_the_rules_agree_with_admission(
    lane: Lane, levels: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever a pod's spec, a finding stands for a control exactly where admission warns of it."""
    seen: Counter[str] = Counter()
    controls = claimed()

    @settings(max_examples=50, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(pods_of_all_kinds)
    def agree(found: list[Json]) -> None:
        pods: list[Json] = [
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"pod-{number}"}, "spec": spec}
            for number, spec in enumerate(found)
        ]
        with ThreadPoolExecutor(4) as pool:
            said = list(pool.map(lambda pod: warned(lane, levels, pod), pods))
        taken = [pod for pod, controls in zip(pods, said, strict=True) if controls is not None]
        seen.update(control for theirs in said for control in theirs or ())
        ours = judged(taken, tmp_path_factory.mktemp("pods")) if taken else {}
        for pod, theirs in zip(pods, said, strict=True):
            if theirs is not None:
                note(json.dumps(pod["spec"]))
                assert ours[pod["metadata"]["name"]] & controls == theirs & controls

    agree()
    assert controls - NEVER_TAKEN <= seen.keys()


def test_the_rules_claim_what_was_promised() -> None:
    """The controls of which admission and rules must agree are those of both standards that matter for a container's host."""
    promised = {
        "runAsNonRoot", "runAsUser", "privileged", "allowPrivilegeEscalation", "capabilities_baseline",
        "capabilities_restricted", "hostNamespaces", "hostPathVolumes", "hostPorts", "seccompProfile_baseline",
        "seccompProfile_restricted",
    }  # fmt: skip
    assert promised <= claimed()
