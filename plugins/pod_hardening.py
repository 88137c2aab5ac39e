"""Pod hardening: what a deployment merely does not demand, control by control of the Pod Security Standards."""

from __future__ import annotations

from collections.abc import Iterator

from llmscan import Container, Rule, Scan, Severity, Verdict, Workload, fail, hookimpl, passed, rule

CATEGORY = "pod-hardening"
CONFINING = ("RuntimeDefault", "Localhost")
"""Seccomp profiles under which not every system call is open."""
PLAIN_VOLUMES = frozenset({"csi", "downwardAPI", "ephemeral", "image"})
"""Types that the model names by their key and that touch nothing of the node."""


def _judged(container: Container, scan: Scan) -> bool:
    """Whether the standards look at it: pods only, and these controls not for Windows."""
    workload = scan.workload_of(container)
    return workload.orchestrated and workload.os != "windows"


@rule(
    "HRD001",
    "Running as non-root is not demanded",
    Severity.LOW,
    category=CATEGORY,
    refs=("PSS-1.37:runAsNonRoot", "CIS-Kubernetes-2.0.1:5.2.7"),
)
def non_root_not_demanded(container: Container, scan: Scan) -> Iterator[Verdict]:
    """Nothing stops an image that runs as root from being put here tomorrow.

    Set `runAsNonRoot: true` in the pod's security context.
    """
    workload = scan.workload_of(container)
    if not workload.orchestrated:
        return
    value, pod = container.security.run_as_non_root, workload.security.run_as_non_root
    if workload.host_users.value is False or (value.value is True and pod.value is not False):
        yield passed()
    else:
        yield fail(
            f"Container '{container.name}' is not required to run as a user other than root.",
            place=pod.place if value.value else value.place,
            setting="runAsNonRoot",
        )


@rule(
    "HRD002",
    "Privilege escalation is not ruled out",
    Severity.LOW,
    category=CATEGORY,
    refs=("PSS-1.37:allowPrivilegeEscalation", "CIS-Kubernetes-2.0.1:5.2.6"),
)
def escalation_not_ruled_out(container: Container, scan: Scan) -> Iterator[Verdict]:
    """A setuid program in the image can raise the rights of the process that runs it.

    Set `allowPrivilegeEscalation: false`.
    """
    if not _judged(container, scan):
        return
    value = container.security.allow_privilege_escalation
    if value.value is False:
        yield passed()
    else:
        yield fail(
            f"Container '{container.name}' does not rule out privilege escalation.",
            place=value.place,
            setting="allowPrivilegeEscalation",
        )


@rule(
    "HRD003",
    "Capabilities are not all dropped",
    Severity.LOW,
    category=CATEGORY,
    refs=("PSS-1.37:capabilities_restricted", "CIS-Kubernetes-2.0.1:5.2.9"),
)
def capabilities_kept(container: Container, scan: Scan) -> Iterator[Verdict]:
    """A model server needs none of the capabilities that a container has by default.

    Drop `ALL`, and add back NET_BIND_SERVICE alone where a low port is needed.
    """
    if not _judged(container, scan):
        return
    security = container.security
    dropped = any(value.value == "ALL" for value in security.capabilities_dropped)
    beyond = [value for value in security.capabilities_added if value.value != "NET_BIND_SERVICE"]
    if dropped and not beyond:
        yield passed()
    else:
        place = beyond[0].place if beyond else None
        yield fail(f"Container '{container.name}' keeps capabilities.", place=place, setting="capabilities")


@rule(
    "HRD004",
    "No seccomp profile is set",
    Severity.LOW,
    category=CATEGORY,
    refs=("PSS-1.37:seccompProfile_restricted", "CIS-Kubernetes-2.0.1:5.6.2"),
)
def no_seccomp_profile(container: Container, scan: Scan) -> Iterator[Verdict]:
    """Unless the node's own default says otherwise, every system call of the kernel is open to the container.

    Set `seccompProfile: {type: RuntimeDefault}` in the pod's security context.
    """
    if not _judged(container, scan):
        return
    value, pod = container.security.seccomp, scan.workload_of(container).security.seccomp
    if value.value not in CONFINING:
        yield fail(f"Container '{container.name}' has no seccomp profile.", place=value.place, setting="seccompProfile")
    elif pod and pod.value not in CONFINING:
        yield fail(
            "The pod switches seccomp off for whatever is added to it.", place=pod.place, setting="seccompProfile"
        )
    else:
        yield passed()


@rule(
    "HRD005", "The pod names root as its user", Severity.LOW, category=CATEGORY, refs=("PSS-1.37:runAsUser", "CWE-250")
)
def pod_names_root(workload: Workload, scan: Scan) -> Iterator[Verdict]:
    """Every container here says otherwise, and the next one that is added will run as root.

    Remove `runAsUser: 0` from the pod's security context.
    """
    value = workload.security.run_as_user
    overridden = all(container.security.run_as_user.value != 0 for container in workload.containers)
    if value.value == 0 and overridden and workload.host_users.value is not False:
        yield fail(
            f"{workload.kind} '{workload.name}' names user 0 for its pod.", place=value.place, setting="runAsUser"
        )


@rule(
    "HRD006", "/proc is not masked as usual", Severity.LOW, category=CATEGORY, refs=("PSS-1.37:procMount_restricted",)
)
def proc_mount_changed(container: Container, scan: Scan) -> Iterator[Verdict]:
    """Few programs need all of /proc, and a user namespace is then all that keeps the container from its host's kernel.

    Remove `procMount` unless the container itself starts containers.
    """
    if not scan.workload_of(container).orchestrated:
        return
    value = container.security.proc_mount
    if value.value in (None, "Default"):
        yield passed()
    else:
        yield fail(
            f"Container '{container.name}' mounts /proc as '{value.value}'.", place=value.place, setting="procMount"
        )


@rule("HRD007", "Volume of a restricted type", Severity.LOW, category=CATEGORY, refs=("PSS-1.37:restrictedVolumes",))
def restricted_volume(workload: Workload, scan: Scan) -> Iterator[Verdict]:
    """A volume that names a path of the node, or a storage server itself, bypasses the claims by which an administrator gives out storage.

    Mount a PersistentVolumeClaim, and let its storage class name the server.
    """
    if not workload.orchestrated:
        return
    restricted = [
        v for v in workload.volumes if v.kind == "node-path" or (v.kind == "other" and v.source not in PLAIN_VOLUMES)
    ]
    for volume in restricted:
        what = f"{volume.source} of its node" if volume.kind == "node-path" else f"a volume of type {volume.source}"
        yield fail(
            f"{workload.kind} '{workload.name}' mounts {what} directly.",
            place=volume.place,
            setting=f"volume {volume.source}",
        )
    if not restricted:
        yield passed()


@hookimpl
def llmscan_rules() -> list[Rule]:
    """The rules of this family."""
    return [
        non_root_not_demanded,
        escalation_not_ruled_out,
        capabilities_kept,
        no_seccomp_profile,
        pod_names_root,
        proc_mount_changed,
        restricted_volume,
    ]
