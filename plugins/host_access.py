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
SAFE_SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_local_reserved_ports", "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_notsent_lowat", "net.ipv4.tcp_rmem", "net.ipv4.tcp_slow_start_after_idle",
        "net.ipv4.tcp_syncookies", "net.ipv4.tcp_wmem",
    }
)  # fmt: skip
"""Kernel settings that each pod has for itself, as of the Pod Security Standards 1.37."""
LOOSE_LABEL = re.compile(r"disable\b|(?:user|role)=|type=(?!container_(?:t|init_t|kvm_t|engine_t)$)")
SOCKET = re.compile(
    r"(?:^|/)(?:docker|containerd|crio|podman|cri-dockerd|dockershim|k3s/containerd/containerd|buildkitd)\.sock$"
)
SENSITIVE = re.compile(
    r"^/$|^/(?:etc|proc|sys|boot|dev|root|home|var|usr|bin|sbin|lib|lib64|run)/?$"
    r"|^/sys/(?:fs/bpf|fs/cgroup|kernel|firmware)(?:/|$)|^/proc/(?:sys|sysrq-trigger|1|self)(?:/|$)"
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
    refs=(
        "PSS-1.37:hostNamespaces",
        "CIS-Docker-1.6.0:5.10",
        "CIS-Docker-1.6.0:5.16",
        "CIS-Docker-1.6.0:5.17",
        "CWE-653",
        *REFS,
    ),
)
def host_namespaces(workload: Workload, scan: Scan) -> Iterator[Verdict]:
    """In the host's namespaces a container sees the processes, the memory or the traffic of others, and network policies do not hold for it.

    Remove `hostNetwork`, `hostPID` and `hostIPC` (`network_mode`, `pid` and `ipc: host`). For more shared memory, mount a memory volume at
    /dev/shm (`shm_size`).
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
    refs=("CIS-Docker-1.6.0:5.6", "CIS-Docker-1.6.0:5.32", "CWE-552", *REFS),
)
def control_of_the_host(container: Container, scan: Scan) -> Iterator[Verdict]:
    """With the engine's socket a container starts others as it likes; in the host's system folders it reads keys and changes what runs.
    Mounting a socket read-only does not limit what is asked of it.

    Remove the mount. Where the service must see containers, put a proxy in between that allows only the calls it needs.
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
    refs=("CWE-250", "CIS-Docker-1.6.0:5.26", "NSA-CISA-K8s-1.2:pods"),
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
    off = [value for value in values if value.value == "Unconfined"]
    for value in dict.fromkeys(off):
        yield fail(f"{workload.kind} '{workload.name}' runs without seccomp.", place=value.place, setting="seccomp")
    if not off:
        yield passed()


@rule(
    "HST008",
    "AppArmor is switched off",
    Severity.MEDIUM,
    category=CATEGORY,
    refs=("PSS-1.37:appArmorProfile", "CIS-Docker-1.6.0:5.2", *REFS),
)
def apparmor_off(workload: Workload, scan: Scan) -> Iterator[Verdict]:
    """AppArmor's profile keeps a container away from the host's sensitive files; without it one layer is gone.

    Remove the override, or name `RuntimeDefault`.
    """
    values = [workload.security.app_armor, *(container.security.app_armor for container in workload.containers)]
    off = [value for value in values if _off(value.value, workload.orchestrated)]
    for value in dict.fromkeys(off):
        yield fail(f"{workload.kind} '{workload.name}' runs without AppArmor.", place=value.place, setting="apparmor")
    if not off:
        yield passed()


def _off(profile: str | None, orchestrated: bool) -> bool:
    """Pods name a kind of profile; engines and compose files name the profile itself, and any but this one confines."""
    if orchestrated:
        return profile not in (None, "RuntimeDefault", "Localhost")
    return (profile or "").lower() == "unconfined"


@rule("HST009", "All of /proc is open", Severity.MEDIUM, category=CATEGORY, refs=("PSS-1.37:procMount", *REFS))
def proc_unmasked(container: Container, scan: Scan) -> Iterator[Verdict]:
    """Parts of /proc belong to the kernel of the host; unmasked, the container can read and change them.

    Remove `procMount: Unmasked` (`systempaths=unconfined`), or put the pod in a user namespace (`hostUsers: false`).
    """
    value = container.security.proc_mount
    if value.value in (None, "Default") or scan.workload_of(container).host_users.value is False:
        yield passed()
    else:
        yield fail(f"Container '{container.name}' mounts /proc unmasked.", place=value.place, setting="procMount")


@rule(
    "HST010",
    "Kernel setting outside the safe set",
    Severity.MEDIUM,
    category=CATEGORY,
    refs=("PSS-1.37:sysctls", *REFS),
)
def unsafe_sysctls(workload: Workload, scan: Scan) -> Iterator[Verdict]:
    """A setting of the kernel that is not kept apart for each pod changes its node for everybody on it.

    Remove it from `securityContext.sysctls`, or set it on the nodes that are meant to have it.
    """
    if not workload.orchestrated:
        return
    unsafe = [value for value in workload.sysctls if value.value not in SAFE_SYSCTLS]
    for value in unsafe:
        yield fail(
            f"{workload.kind} '{workload.name}' sets {value.value}.", place=value.place, setting=f"sysctl {value.value}"
        )
    if not unsafe:
        yield passed()


@rule(
    "HST011",
    "SELinux is loosened",
    Severity.MEDIUM,
    category=CATEGORY,
    refs=("PSS-1.37:seLinuxOptions", "CIS-Docker-1.6.0:5.3", *REFS),
)
def se_linux_loosened(workload: Workload, scan: Scan) -> Iterator[Verdict]:
    """SELinux keeps a container to its own files; another type, user or role, or none at all, opens those of the host to it.

    Remove the override, or name one of the types made for containers (`container_t`, `container_init_t`, `container_kvm_t`).
    """
    values = [
        *workload.security.se_linux,
        *(v for container in workload.containers for v in container.security.se_linux),
    ]
    loosened = [value for value in values if LOOSE_LABEL.match(value.value or "")]
    for value in dict.fromkeys(loosened):
        yield fail(
            f"{workload.kind} '{workload.name}' overrides its SELinux label ({value.value}).",
            place=value.place,
            setting=f"seLinux {value.value}",
        )
    if not loosened:
        yield passed()


@rule(
    "HST012",
    "Windows container runs as a process of its host",
    Severity.HIGH,
    category=CATEGORY,
    refs=("PSS-1.37:windowsHostProcess", *REFS),
)
def windows_host_process(workload: Workload, scan: Scan) -> Iterator[Verdict]:
    """A HostProcess container is no container: it runs on the node itself, with the node's files, network and accounts.

    Remove `windowsOptions.hostProcess: true`.
    """
    values = [workload.security.windows_host_process]
    values += [container.security.windows_host_process for container in workload.containers]
    chosen = [value for value in values if value.value]
    for value in dict.fromkeys(chosen):
        yield fail(
            f"{workload.kind} '{workload.name}' runs on its Windows node itself.",
            place=value.place,
            setting="hostProcess",
        )
    if not chosen:
        yield passed()


@rule(
    "HST013",
    "A probe or hook names a host",
    Severity.LOW,
    category=CATEGORY,
    refs=("PSS-1.37:hostProbesAndHostLifecycle", "CWE-918"),
)
def probes_elsewhere(container: Container, scan: Scan) -> Iterator[Verdict]:
    """The kubelet sends probes and hooks from the node: with a host of its own choosing a pod makes it call addresses that no pod should reach.

    Remove `host`; the kubelet then asks the pod itself.
    """
    for value in container.probed_hosts:
        yield fail(
            f"A probe or hook of container '{container.name}' goes to {value.value}.",
            place=value.place,
            setting=f"probe host {value.value}",
        )
    if not container.probed_hosts and scan.workload_of(container).orchestrated:
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
        proc_unmasked,
        unsafe_sysctls,
        se_linux_loosened,
        windows_host_process,
        probes_elsewhere,
    ]
