"""Pod specs, wherever a resource nests them, as workloads with effective values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from llmscan.collect.fields import as_text, flag, items, mapping, texts
from llmscan.collect.pod_security import container_security, effective, pod_security
from llmscan.collect.pod_volumes import config_references, mounted, volume_kind
from llmscan.model import (
    ConfigData,
    ConfigFile,
    Container,
    ContainerRole,
    Gap,
    Image,
    Origin,
    Port,
    Published,
    Resources,
    Security,
    Setting,
    Value,
    Volume,
    Word,
    Workload,
    parse_image,
)
from llmscan.places import Place, PlacedList, place_of
from llmscan.records import Record

CONTAINER_LISTS: tuple[tuple[str, ContainerRole], ...] = (
    ("containers", "regular"),
    ("initContainers", "init"),
    ("ephemeralContainers", "ephemeral"),
)
CONTAINER_KEYS = frozenset({"image", "command", "args", "env", "ports", "resources", "volumeMounts", "securityContext"})
VARIABLE_IMAGE = re.compile(r"\$[{(\w]|\{\{|<[^>]*>")
REFERENCE = re.compile(r"\$\(([A-Za-z_][\w.-]*)\)")
MAX_DEPTH = 40
NESTED = (dict, list)
NO_PODS = frozenset({"metadata", "status", "openAPIV3Schema"})
"""Keys of a resource under which nothing runs, whatever its shape."""
QUEUE = "kueue.x-k8s.io/queue-name"
"""The label of a job that a queue holds back, suspended, until it has room for it."""
Configs = Mapping[tuple[str, str], ConfigData]


class PodSpec(Record, frozen=True):
    """A pod spec found in a resource: the spec, the metadata of its template, and which of several it is."""

    spec: Any
    template: Any
    variant: str


def find_pod_specs(resource: Any) -> list[PodSpec]:
    """Every mapping of a resource that has the shape of a pod spec, with the template that holds it."""
    found: list[PodSpec] = []
    _search(resource, (), None, found)
    if len(found) == 1:
        return [PodSpec(found[0].spec, found[0].template, "")]
    return found


def _search(node: Any, path: tuple[str, ...], parent: Any, found: list[PodSpec]) -> None:
    """Add to `found` what is in `node`, to which the keys of `path` lead."""
    if len(path) > MAX_DEPTH:
        return
    if isinstance(node, list):
        for index, item in enumerate(node):
            if isinstance(item, NESTED):
                _search(item, (*path, _item_name(item, index)), node, found)
    elif _is_pod_spec(node):
        found.append(PodSpec(node, parent if isinstance(parent, dict) else {}, _variant(path)))
    else:
        for key, child in node.items():
            if isinstance(child, NESTED) and key not in NO_PODS:
                _search(child, (*path, str(key)), node, found)


def _item_name(item: Any, index: int) -> str:
    if isinstance(item, dict):
        for key in ("groupName", "name"):
            if isinstance(item.get(key), str):
                return str(item[key])
    return str(index)


def _variant(path: tuple[str, ...]) -> str:
    """A short name for where in its resource a pod template stands."""
    plain = {"spec", "template", "podTemplate", "rayClusterConfig", "podSpec"}
    steps = [step for step in path if step not in plain]
    return re.sub(r"(GroupSpecs?|Template|Specs?)$", "", steps[-1]) if steps else ""


def _is_pod_spec(node: Mapping[str, Any]) -> bool:
    containers = node.get("containers")
    if isinstance(containers, list) and any(map(_is_container, containers)):
        return True
    single = node.get("container")
    return isinstance(single, dict) and isinstance(single.get("image"), str) and _is_container(single)


def _is_container(item: Any) -> bool:
    return isinstance(item, dict) and (
        isinstance(item.get("image"), str) or ("name" in item and bool(CONTAINER_KEYS & item.keys()))
    )


def workload(resource: Mapping[str, Any], pod: PodSpec, namespace: str, configs: Configs) -> Workload:
    """A workload from one pod spec of a resource."""
    spec, metadata = pod.spec, mapping(resource, "metadata")
    context = mapping(spec, "securityContext")
    security = pod_security(context)
    volumes = {str(v.get("name")): v for v in items(spec, "volumes") if isinstance(v, dict)}
    template = mapping(pod.template, "metadata") or (metadata if pod.spec is resource.get("spec") else {})
    parts = _Pod(spec, security, volumes, namespace, configs, mapping(template, "annotations"))
    built_in = resource.get("kind") in BUILT_IN
    return Workload(
        kind=str(resource.get("kind", "")),
        name=str(metadata.get("name") or metadata.get("generateName") or "(unnamed)"),
        namespace=namespace,
        labels=texts(mapping(template, "labels")),
        annotations=texts(mapping(metadata, "annotations")),
        containers=tuple(parts.containers()),
        volumes=tuple(parts.volume(name, "", "", False, None) for name in volumes),
        security=security,
        host_network=flag(spec, "hostNetwork"),
        host_pid=flag(spec, "hostPID"),
        host_ipc=flag(spec, "hostIPC"),
        host_users=flag(spec, "hostUsers"),
        sysctls=_sysctls(context),
        os=str(mapping(spec, "os").get("name", "linux")),
        replicas=_replicas(resource),
        service_account=str(spec.get("serviceAccountName") or ""),
        place=(place_of(spec) if pod.variant else None) or place_of(resource),
        variant=pod.variant,
        resource=None if built_in else resource,
        api_version=str(resource.get("apiVersion", "")),
    )


BUILT_IN = frozenset(
    [
        "Pod",
        "Deployment",
        "StatefulSet",
        "DaemonSet",
        "ReplicaSet",
        "ReplicationController",
        "Job",
        "CronJob",
        "PodTemplate",
    ]
)


def _sysctls(context: Mapping[str, Any]) -> tuple[Value[str], ...]:
    found = items(context, "sysctls")
    return tuple([Value(str(s.get("name")), place_of(s, "name"), "pod") for s in found if isinstance(s, dict)])


def _replicas(resource: Mapping[str, Any]) -> Value[int]:
    """How many run: none of what is suspended, but for jobs that a queue starts when it has room."""
    spec = mapping(resource, "spec")
    if spec.get("suspend") is True and QUEUE not in mapping(mapping(resource, "metadata"), "labels"):
        return Value(0, place_of(spec, "suspend"))
    if isinstance(spec.get("replicas"), int) and not isinstance(spec["replicas"], bool):
        return Value(spec["replicas"], place_of(spec, "replicas"))
    return Value()


class _Pod:
    """Builds the containers of one pod spec."""

    def __init__(
        self,
        spec: Any,
        security: Security,
        volumes: Mapping[str, Any],
        namespace: str,
        configs: Configs,
        annotations: Mapping[str, Any],
    ) -> None:
        self.spec, self.security, self.volumes = spec, security, volumes
        self.namespace, self.configs, self.annotations = namespace, configs, annotations
        self.host_network = flag(spec, "hostNetwork").value is True

    def containers(self) -> Iterator[Container]:
        single = self.spec.get("container")
        if isinstance(single, dict):
            yield self._container(single, "regular", place_of(self.spec, "container"))
        for key, role in CONTAINER_LISTS:
            group = self.spec.get(key)
            for index, item in enumerate(items(self.spec, key)):
                if isinstance(item, dict):
                    sidecar = role == "init" and item.get("restartPolicy") == "Always"
                    yield self._container(item, "sidecar" if sidecar else role, place_of(group, index))

    def _container(self, item: Mapping[str, Any], role: ContainerRole, place: Place | None) -> Container:
        env, gaps = self._environment(item)
        mounts, files, unseen = self._mounts(item)
        ports = tuple(_ports(item))
        return Container(
            name=str(item.get("name") or ""),
            image=_image(item),
            role=role,
            command=_words(item, "command"),
            args=_words(item, "args"),
            env=env,
            ports=ports,
            published=tuple(_host_ports(item, self.host_network and role != "ephemeral")),
            mounts=mounts,
            files=files,
            security=effective(self.security, container_security(item, self.annotations)),
            resources=_resources(item),
            gaps=(*gaps, *unseen),
            place=place or place_of(item),
            probed_hosts=tuple(_probed_hosts(item)),
        )

    def _environment(self, item: Mapping[str, Any]) -> tuple[dict[str, Setting], list[Gap]]:
        env: dict[str, Setting] = {}
        gaps: list[Gap] = []
        for source in items(item, "envFrom"):
            if isinstance(source, dict):
                self._env_from(source, env, gaps)
        for entry in items(item, "env"):
            if isinstance(entry, dict) and isinstance(entry.get("name"), str):
                env[entry["name"]] = self._variable(entry, env)
        return env, gaps

    def _env_from(self, source: Mapping[str, Any], env: dict[str, Setting], gaps: list[Gap]) -> None:
        prefix = str(source.get("prefix") or "")
        for key, secret in (("configMapRef", False), ("secretRef", True)):
            name = mapping(source, key).get("name")
            if not isinstance(name, str):
                continue
            config = self.configs.get((self.namespace, name))
            if config is None or config.secret != secret:
                if mapping(source, key).get("optional") is not True:
                    gaps.append(_unseen_source(name, secret, place_of(source, key)))
                continue
            for entry, setting in config.entries.items():
                origin = Origin.SECRET if secret else Origin.CONFIG
                value = None if secret else setting.value
                env[prefix + entry] = Setting(prefix + entry, value, setting.place, origin)

    def _variable(self, entry: Mapping[str, Any], env: Mapping[str, Setting]) -> Setting:
        name = entry["name"]
        reference = mapping(entry, "valueFrom")
        place = place_of(entry, "valueFrom" if reference else "value") or place_of(entry)
        if "secretKeyRef" in reference:
            return Setting(name, None, place, Origin.SECRET)
        if "configMapKeyRef" in reference:
            return self._from_config_map(name, mapping(reference, "configMapKeyRef"), place)
        if reference:
            gap = Gap("environment", f"the value of {name}", "is filled in when the pod starts")
            return Setting(name, None, place, Origin.UNRESOLVED, gap)
        value = as_text(entry.get("value"))
        return self._expanded(name, value, place, env)

    def _expanded(self, name: str, value: str, place: Place | None, env: Mapping[str, Setting]) -> Setting:
        """`$(OTHER)` in a value stands for a variable defined before it."""
        if "$(" not in value:
            return Setting(name, value, place)
        for match in REFERENCE.finditer(value):
            other = env.get(match[1])
            if other is not None and other.value is None:
                return Setting(name, None, place, other.origin, other.gap)
        expanded = REFERENCE.sub(lambda m: (env[m[1]].value or "") if m[1] in env else m[0], value)
        return Setting(name, expanded, place)

    def _from_config_map(self, name: str, reference: Mapping[str, Any], place: Place | None) -> Setting:
        config = self.configs.get((self.namespace, str(reference.get("name"))))
        entry = config.entries.get(str(reference.get("key"))) if config else None
        if entry is not None:
            return Setting(name, entry.value, entry.place, Origin.CONFIG)
        gap = Gap(
            "environment",
            f"ConfigMap '{reference.get('name')}'",
            "was not there to read" if config is None else f"has no key '{reference.get('key')}'",
            "the ConfigMap",
            place,
        )
        return Setting(name, None, place, Origin.UNRESOLVED, gap)

    def _mounts(self, item: Mapping[str, Any]) -> tuple[tuple[Volume, ...], tuple[ConfigFile, ...], list[Gap]]:
        mounts: list[Volume] = []
        found: list[ConfigFile] = []
        gaps: list[Gap] = []
        for index, mount in enumerate(items(item, "volumeMounts")):
            if not isinstance(mount, dict) or not isinstance(mount.get("mountPath"), str):
                continue
            place = place_of(item.get("volumeMounts"), index)
            volume = self.volume(
                str(mount.get("name")), mount["mountPath"], str(mount.get("subPath") or ""), mount.get("readOnly") is True,
                str(mount.get("mountPropagation") or ""),
            )  # fmt: skip
            mounts.append(volume)
            if volume.kind in ("config", "secret"):
                found += self._files(mount, volume, gaps, place)
        return tuple(mounts), tuple(found), gaps

    def volume(self, name: str, path: str, sub_path: str, read_only: bool, propagation: str | None) -> Volume:
        definition = self.volumes.get(name, {})
        kind, source, place = volume_kind(definition, name)
        return Volume(kind, source, path, sub_path, read_only, place, propagation=propagation or "")

    def _files(
        self, mount: Mapping[str, Any], volume: Volume, gaps: list[Gap], place: Place | None
    ) -> Iterator[ConfigFile]:
        definition = self.volumes.get(str(mount.get("name")), {})
        for reference in config_references(definition):
            if "secretName" in reference or reference.get("_secret"):
                gaps.append(Gap("config", f"Secret mounted at {volume.mounted_at}", "is never read", "", place))
                continue
            config = self.configs.get((self.namespace, str(reference.get("name"))))
            if config is None:
                what = f"ConfigMap '{reference.get('name')}'"
                gaps.append(Gap("config", what, "was not there to read", "the ConfigMap", place))
                continue
            yield from mounted(config, reference, volume)


def _image(item: Mapping[str, Any]) -> Image | None:
    reference = item.get("image")
    if not isinstance(reference, str) or not reference:
        return None
    place = place_of(item, "image")
    if VARIABLE_IMAGE.search(reference):
        gap = Gap(
            "image", "the image name", "holds a placeholder that is filled in elsewhere", "the rendered manifest", place
        )
        return parse_image(reference, place, gap=gap)
    return parse_image(reference, place)


def _words(item: Mapping[str, Any], key: str) -> tuple[Word, ...] | None:
    words = item.get(key)
    if isinstance(words, str):
        return (Word(words, place_of(item, key)),)
    if not isinstance(words, list):
        return None
    if isinstance(words, PlacedList) and len(words) == len(words.places):
        return tuple([Word(as_text(word), place) for word, place in zip(words, words.places, strict=True)])
    return tuple([Word(as_text(word), place_of(words, index)) for index, word in enumerate(words)])


def _ports(item: Mapping[str, Any]) -> Iterator[Port]:
    for index, port in enumerate(items(item, "ports")):
        if isinstance(port, dict) and isinstance(port.get("containerPort"), int):
            yield Port(
                port["containerPort"],
                str(port.get("protocol") or "TCP").lower(),
                str(port.get("name") or ""),
                place_of(item.get("ports"), index),
            )


def _host_ports(item: Mapping[str, Any], host_network: bool) -> Iterator[Published]:
    """The ports that a container takes of its node; on the host's network the API server makes one of each port that is declared."""
    for index, port in enumerate(items(item, "ports")):
        if not isinstance(port, dict):
            continue
        number = port.get("containerPort") if isinstance(port.get("containerPort"), int) else None
        asked = port.get("hostPort") or (number if host_network else None)
        if isinstance(asked, int) and asked > 0:
            place = place_of(port, "hostPort" if port.get("hostPort") else "containerPort")
            yield Published(
                number,
                asked,
                str(port.get("hostIP") or ""),
                str(port.get("protocol") or "TCP").lower(),
                place or place_of(item.get("ports"), index),
                kind="hostPort",
            )


def _resources(item: Mapping[str, Any]) -> Resources:
    body = mapping(item, "resources")
    return Resources(
        texts(mapping(body, "limits")),
        texts(mapping(body, "requests")),
        place_of(item, "resources") if "resources" in item else None,
    )


def _probed_hosts(item: Mapping[str, Any]) -> Iterator[Value[str]]:
    lifecycle = mapping(item, "lifecycle")
    handlers = [item.get(key) for key in ("livenessProbe", "readinessProbe", "startupProbe")]
    handlers += [lifecycle.get("postStart"), lifecycle.get("preStop")]
    for handler in handlers:
        for key in ("httpGet", "tcpSocket") if isinstance(handler, dict) else ():
            host = mapping(handler, key).get("host")
            if isinstance(host, str) and host:
                yield Value(host, place_of(mapping(handler, key), "host"), "container")


def _unseen_source(name: str, secret: bool, place: Place | None) -> Gap:
    if secret:
        return Gap("secret", f"the keys of Secret '{name}'", "are not read", f"what keys Secret '{name}' holds", place)
    return Gap("environment", f"ConfigMap '{name}'", "was not there to read", "the ConfigMap", place)
