"""Host access: what gives a container more of its host than its own files, namespaces and capabilities."""

from __future__ import annotations

import re
from collections.abc import Iterator

from llmscan import Container, Rule, Scan, Severity, Verdict, Volume, Workload, fail, hookimpl, passed, rule

CATEGORY = "host-access"
REFS = ("CWE-250", "AML.T0105")
BASELINE = frozenset(
    {
        "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP",
        "SETUID", "SYS_CHROOT",
    }
)  # fmt: skip
"""Capabilities that may be added under the baseline of the Pod Security Standards; engines give most of them anyway."""
SOCKET = re.compile(
    r"(?:^|/)(?:docker|containerd|crio|podman|cri-dockerd|dockershim|k3s/containerd/containerd|buildkitd)\.sock$"
)
SENSITIVE = re.compile(
    r"^/$|^/(?:etc|proc|sys|boot|dev|root|home|var|usr|bin|sbin|lib|lib64|run)/?$"
    r"|^/etc/(?:kubernetes|shadow|passwd|ssh|sudoers|docker)(?:/|$)"
    r"|^/var/(?:run|lib)/?$|^/var/lib/(?:docker|containerd|kubelet|containers|etcd|rancher)(?:/|$)|^/(?:var/)?run/(?:containerd|docker|crio)/?$"
    r"|^/root/\.(?:ssh|kube|aws|docker)(?:/|$)|^(?:~|\$HOME|/home/[^/]+)/\.(?:ssh|kube|aws|docker)(?:/|$)"
)
HARMLESS = re.compile(
    r"^/etc/(?:localtime|timezone|hosts|resolv\.conf|machine-id|ssl|pki|ca-certificates)(?:/|$)|^/dev/(?:shm|dri|kfd|nvidia|null)"
)


@rule(
    "HST001",
    "Privileged container",
    Severity.HIGH,
    category=CATEGORY,
    refs=("PSS-1.37:privileged", "CIS-Docker-1.6.0:5.5", *REFS),
)
def privileged(container: Container, scan: Scan) -> Iterator[Verdict]:
    """A privileged container has every capability and every device of its host: whoever takes it over has the host.

    Remove `privileged: true`; give it the single device or capability that it needs (GPUs come through the device plugin or `gpus:`).
    """
    value = container.security.privileged
    if value.value:
        yield fail(f"Container '{container.name}' is privileged.", place=value.place, setting="privileged")
    else:
        yield passed()


@rule(
    "HST002",
    "Shares a namespace of its host",
    Severity.HIGH,
    category=CATEGORY,
    refs=("PSS-1.37:hostNamespaces", "CWE-653", *REFS),
)
def host_namespaces(workload: Workload, scan: Scan) -> Iterator[Verdict]:
    """In the host's namespaces a container sees other processes, their memory or their traffic, and no network policy holds for it.

    Remove `hostNetwork`, `hostPID` and `hostIPC` (`network_mode`, `pid` and `ipc: host`); a memory volume at /dev/shm serves where more shared memory is needed.
    """
    found = False
    for kind, value in (("network", workload.host_network), ("process", workload.host_pid), ("IPC", workload.host_ipc)):
        if value.value:
            found = True
            yield fail(
                f"{workload.kind} '{workload.name}' shares the {kind} namespace of its host.",
                place=value.place,
                setting=f"host {kind}",
            )
    if not found:
        yield passed()


@rule(
    "HST003", "Mounts a path of its node", Severity.MEDIUM, category=CATEGORY, refs=("PSS-1.37:hostPathVolumes", *REFS)
)
def node_paths(workload: Workload, scan: Scan) -> Iterator[Verdict]:
    """Files of the node are shared with whatever else uses them, and a writable path can be a way out of the container.

    Use a PersistentVolumeClaim, an emptyDir or an image volume instead of `hostPath`.
    """
    found = False
    for volume in workload.volumes:
        if volume.kind == "node-path":
            found = True
            yield fail(
                f"{workload.kind} '{workload.name}' mounts {volume.source} of its node.",
                place=volume.place,
                setting=f"hostPath {volume.source}",
            )
    if not found and workload.orchestrated:
        yield passed()


@rule(
    "HST004",
    "Mounts a socket or folder that controls its host",
    Severity.HIGH,
    category=CATEGORY,
    refs=("CIS-Docker-1.6.0:5.32", "CWE-552", *REFS),
)
def control_of_the_host(container: Container, scan: Scan) -> Iterator[Verdict]:
    """With the engine's socket a container starts others as it likes; with the host's system folders it reads keys and changes what runs. Read-only helps little: a socket obeys all the same.

    Remove the mount; where the service must see containers, put a proxy with a short list of allowed calls in between.
    """
    told: set[str] = set()
    for volume in container.mounts:
        if volume.source in told or not _controls(volume):
            continue
        told.add(volume.source)
        what = "the container engine's socket" if SOCKET.search(volume.source) else f"{volume.source} of its host"
        note = (
            " (read-only, which does not limit what is asked of a socket)"
            if volume.read_only and SOCKET.search(volume.source)
            else ""
        )
        yield fail(
            f"Container '{container.name}' mounts {what}{note}.", place=volume.place, setting=f"mount {volume.source}"
        )


def _controls(volume: Volume) -> bool:
    if volume.kind == "node-path":
        return SOCKET.search(volume.source) is not None
    if volume.kind != "host-path" or HARMLESS.search(volume.source):
        return False
    path = volume.source.rstrip("/") or "/"
    return SOCKET.search(path) is not None or SENSITIVE.search(path) is not None


@rule(
    "HST005",
    "Capabilities beyond the default set",
    Severity.HIGH,
    category=CATEGORY,
    refs=("PSS-1.37:capabilities_baseline", "CIS-Docker-1.6.0:5.4", *REFS),
)
def added_capabilities(container: Container, scan: Scan) -> Iterator[Verdict]:
    """Capabilities such as SYS_ADMIN, NET_ADMIN or SYS_PTRACE undo what keeps a container apart from its host.

    Remove them from `capabilities.add` (`cap_add`), and look for a setting of the product that does without.
    """
    beyond = [value for value in container.security.capabilities_added if value.value not in BASELINE]
    if beyond:
        names = ", ".join(str(value.value) for value in beyond)
        yield fail(f"Container '{container.name}' adds {names}.", place=beyond[0].place, setting="capabilities")
    else:
        yield passed()


@rule(
    "HST006",
    "Privilege escalation is switched on",
    Severity.MEDIUM,
    category=CATEGORY,
    refs=("CWE-250", "NSA-CISA-K8s-1.2:escalation"),
)
def escalation_on(container: Container, scan: Scan) -> Iterator[Verdict]:
    """A program in the container may then gain more rights than it was started with, through a setuid file.

    Set `allowPrivilegeEscalation: false` (`security_opt: [no-new-privileges:true]`).
    """
    value = container.security.allow_privilege_escalation
    if value.value and value.said_by in ("container", "pod") and not container.security.privileged.value:
        yield fail(
            f"Container '{container.name}' allows privilege escalation.",
            place=value.place,
            setting="allowPrivilegeEscalation",
        )


@rule(
    "HST007",
    "Seccomp is switched off",
    Severity.MEDIUM,
    category=CATEGORY,
    refs=("PSS-1.37:seccompProfile_baseline", "CIS-Docker-1.6.0:5.22", *REFS),
)
def seccomp_off(workload: Workload, scan: Scan) -> Iterator[Verdict]:
    """Without the filter a container may use every system call of the kernel, also those that break out.

    Set the profile to `RuntimeDefault` (remove `seccomp=unconfined`).
    """
    values = [workload.security.seccomp, *(container.security.seccomp for container in workload.containers)]
    off = [value for value in dict.fromkeys(values) if value.value == "Unconfined"]
    for value in off:
        yield fail(f"{workload.kind} '{workload.name}' runs without seccomp.", place=value.place, setting="seccomp")
    if not off:
        yield passed()


@rule(
    "HST008", "AppArmor is switched off", Severity.MEDIUM, category=CATEGORY, refs=("PSS-1.37:appArmorProfile", *REFS)
)
def apparmor_off(workload: Workload, scan: Scan) -> Iterator[Verdict]:
    """AppArmor's profile keeps a container away from the host's sensitive files; without it one layer is gone.

    Remove the override, or name `RuntimeDefault`.
    """
    values = [workload.security.app_armor, *(container.security.app_armor for container in workload.containers)]
    off = [value for value in dict.fromkeys(values) if value.value not in (None, "RuntimeDefault", "Localhost")]
    for value in off:
        yield fail(f"{workload.kind} '{workload.name}' runs without AppArmor.", place=value.place, setting="apparmor")
    if not off:
        yield passed()


@hookimpl
def llmscan_rules() -> list[Rule]:
    """The rules of this family."""
    return [
        privileged,
        host_namespaces,
        node_paths,
        control_of_the_host,
        added_capabilities,
        escalation_on,
        seccomp_off,
        apparmor_off,
    ]
