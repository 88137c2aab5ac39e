"""Security contexts of pods and containers, and what holds when they are taken together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmscan.collect.fields import items, mapping, typed
from llmscan.model import Security, Value
from llmscan.places import place_of
from llmscan.records import replace

ARMOR_ANNOTATION = "container.apparmor.security.beta.kubernetes.io/"
"""The older way to name a container's AppArmor profile, which Kubernetes 1.37 still reads."""
ARMOR_NAMES = {"runtime": "RuntimeDefault", "localhost": "Localhost", "unconfined": "Unconfined"}
SILENT = Security()
"""Of what has no security context."""


def pod_security(context: Any) -> Security:
    """What a pod's own security context says."""
    return _security(context, "pod")


def container_security(item: Mapping[str, Any], annotations: Mapping[str, Any]) -> Security:
    """What the security context of a container says, and the older annotation of its pod."""
    own = _security(mapping(item, "securityContext"), "container")
    if not annotations:
        return own
    key = f"{ARMOR_ANNOTATION}{item.get('name')}"
    text = annotations.get(key)
    if own.app_armor or not isinstance(text, str) or not text:
        return own
    name = ARMOR_NAMES.get(text.partition("/")[0], text)
    return replace(own, app_armor=Value(name, place_of(annotations, key), "container"))


def _security(context: Any, by: str) -> Security:
    if not context:
        return SILENT
    capabilities, seccomp = mapping(context, "capabilities"), mapping(context, "seccompProfile")
    armor, windows = mapping(context, "appArmorProfile"), mapping(context, "windowsOptions")
    return Security(
        run_as_user=typed(context, "runAsUser", int, by),
        run_as_group=typed(context, "runAsGroup", int, by),
        run_as_non_root=typed(context, "runAsNonRoot", bool, by),
        privileged=typed(context, "privileged", bool, by),
        allow_privilege_escalation=typed(context, "allowPrivilegeEscalation", bool, by),
        capabilities_added=_capabilities(capabilities, "add", by),
        capabilities_dropped=_capabilities(capabilities, "drop", by),
        seccomp=typed(seccomp, "type", str, by),
        app_armor=typed(armor, "type", str, by),
        se_linux=_labels(mapping(context, "seLinuxOptions"), by),
        proc_mount=typed(context, "procMount", str, by),
        read_only_root=typed(context, "readOnlyRootFilesystem", bool, by),
        windows_host_process=typed(windows, "hostProcess", bool, by),
    )


def _labels(labels: Mapping[str, Any], by: str) -> tuple[Value[str], ...]:
    if not labels:
        return ()
    return tuple(
        Value(f"{key}={labels[key]}", place_of(labels, key), by) for key in ("type", "user", "role") if labels.get(key)
    )


def _capabilities(node: Any, key: str, by: str) -> tuple[Value[str], ...]:
    """As written: the admission of an API server knows `CHOWN`, and neither `chown` nor `CAP_CHOWN`."""
    if not node:
        return ()
    return tuple(Value(str(name), place_of(node.get(key), index), by) for index, name in enumerate(items(node, key)))


def effective(pod: Security, own: Security) -> Security:
    """What holds for a container: its own context, and the pod's where that is silent."""
    if pod is SILENT:
        return own
    return Security(
        run_as_user=own.run_as_user if own.run_as_user else pod.run_as_user,
        run_as_group=own.run_as_group if own.run_as_group else pod.run_as_group,
        run_as_non_root=own.run_as_non_root if own.run_as_non_root else pod.run_as_non_root,
        privileged=own.privileged,
        allow_privilege_escalation=own.allow_privilege_escalation,
        capabilities_added=own.capabilities_added,
        capabilities_dropped=own.capabilities_dropped,
        seccomp=own.seccomp if own.seccomp else pod.seccomp,
        app_armor=own.app_armor if own.app_armor else pod.app_armor,
        se_linux=own.se_linux or pod.se_linux,
        proc_mount=own.proc_mount,
        read_only_root=own.read_only_root,
        windows_host_process=own.windows_host_process if own.windows_host_process else pod.windows_host_process,
    )
