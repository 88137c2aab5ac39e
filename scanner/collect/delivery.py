"""Objects that tell a controller to install a chart: Flux HelmRelease, Argo CD Application, K3s HelmChart.

The chart is elsewhere and is not fetched. Its inline values are judged for what they plainly set: images, variables, security contexts,
service types. All else is not known, and each record says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from llmscan.collect.pods import PodSpec, workload
from llmscan.collect.relocation import relocate
from llmscan.collect.resources import DEFAULT_NAMESPACE, namespace_of, service
from llmscan.collect.yaml_tree import Unreadable, documents
from llmscan.model import Container, Gap, Image, Security, Service, Stack, Value, Workload
from llmscan.places import Place, PlacedList, PlacedMap, place_of
from llmscan.records import Record, replace

GROUPS = {
    "HelmRelease": "helm.toolkit.fluxcd.io/",
    "Application": "argoproj.io/",
    "ApplicationSet": "argoproj.io/",
    "HelmChart": "helm.cattle.io/",
}
ENVIRONMENT = ("env", "extraEnv", "extraEnvVars", "envVars", "environment", "extraEnvironmentVars")
CONTAINER_SECURITY = ("securityContext", "containerSecurityContext")
POD_SECURITY = ("podSecurityContext",)
SWITCHES = ("hostNetwork", "hostPID", "hostIPC")
PLAIN = frozenset({*ENVIRONMENT, *CONTAINER_SECURITY, *POD_SECURITY, *SWITCHES, "image", "service"})
OPEN_TYPES = ("NodePort", "LoadBalancer")
PART = "llmscan/part"
MAX_DEPTH = 4
Resource = Mapping[str, Any]


@dataclass(slots=True)
class Delivered:
    """What the inline values of some objects say."""

    workloads: list[Workload] = field(default_factory=list)
    services: list[Service] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)

    def added_to(self, stack: Stack) -> Stack:
        """A stack with these in it."""
        return replace(
            stack,
            workloads=(*stack.workloads, *self.workloads),
            services=(*stack.services, *self.services),
            gaps=(*stack.gaps, *self.gaps),
        )


class _Source(Record, frozen=True):
    """A chart and the values that are given for it."""

    chart: str
    values: Any
    place: Place | None


def is_delivery(resource: Resource) -> bool:
    """Whether an object installs a chart."""
    group = GROUPS.get(resource["kind"])
    return group is not None and str(resource.get("apiVersion", "")).startswith(group)


def take_delivered(resources: list[Resource], namespace: str = DEFAULT_NAMESPACE) -> Delivered:
    """Take the objects that install charts out of `resources`, and judge their inline values."""
    chosen = [resource for resource in resources if is_delivery(resource)]
    resources[:] = [resource for resource in resources if not is_delivery(resource)]
    return delivered(chosen, namespace)


def delivered(resources: Sequence[Resource], namespace: str) -> Delivered:
    """What the inline values of objects that install charts say; those without a namespace of their own are in `namespace`."""
    result = Delivered()
    for resource in resources:
        for source in _sources(resource):
            if source.chart:
                result.gaps.append(
                    _gap(source, "is not here and was not fetched: of it only the inline values were judged")
                )
            if isinstance(source.values, PlacedMap):
                _Reader(resource, source, namespace, result).read()
    return result


def _gap(source: _Source, why: str, kind: str = "remote", what: str = "") -> Gap:
    return Gap(kind, what or f"chart {source.chart or '(unnamed)'}", why, "the rendered chart", source.place)


def _mapping(node: Any, *keys: str) -> Any:
    for key in keys:
        node = node.get(key) if isinstance(node, dict) else None
    return node if isinstance(node, dict) else {}


def _sources(resource: Resource) -> Iterator[_Source]:
    spec = _mapping(resource, "spec")
    kind = resource["kind"]
    if kind == "HelmRelease":
        chart = _mapping(spec, "chart", "spec").get("chart") or _mapping(spec, "chartRef").get("name")
        yield _Source(str(chart or "(unnamed)"), spec.get("values"), place_of(spec, "chart"))
    elif kind == "HelmChart":
        yield _Source(str(spec.get("chart") or "(inline)"), _parsed(spec, "valuesContent"), place_of(spec, "chart"))
    else:
        inner = _mapping(spec, "template", "spec") if kind == "ApplicationSet" else spec
        listed = inner.get("sources")
        for source in [inner.get("source"), *(listed if isinstance(listed, list) else ())]:
            if isinstance(source, dict):
                yield _argo(source)


def _argo(source: Mapping[str, Any]) -> _Source:
    """A source of an Application: parameters win over `valuesObject`, which wins over `values`."""
    helm = _mapping(source, "helm")
    values = helm.get("valuesObject") if isinstance(helm.get("valuesObject"), dict) else _parsed(helm, "values")
    parameters = helm.get("parameters")
    if isinstance(parameters, PlacedList):
        values = _with_parameters(values, parameters)
    return _Source(str(source.get("chart") or source.get("path") or ""), values, place_of(source))


def _parsed(holder: Any, key: str) -> Any:
    """Values that are given as a text, placed in the block that holds them."""
    text, block = holder.get(key), place_of(holder, key)
    if not isinstance(text, str) or block is None:
        return None
    found = next(iter(documents(text, block.path)), None)
    if isinstance(found, Unreadable):
        return None

    def inside(inner: Place) -> Place:
        first, last = (min(block.line + line, block.end_line) for line in (inner.line, inner.end_line))
        return Place(block.path, first, inner.column, last)

    relocate(found, inside)
    return found


def _with_parameters(values: Any, parameters: PlacedList) -> PlacedMap:
    result = _copy(values) if isinstance(values, PlacedMap) else _map(parameters.place)
    for index, entry in enumerate(parameters):
        if isinstance(entry, dict) and isinstance(entry.get("name"), str):
            place = parameters.places[index]
            *steps, last = entry["name"].replace("\\.", "\0").split(".")
            holder = result
            for step in steps:
                if not isinstance(holder.get(step), PlacedMap):
                    _put(holder, step, _map(place), place)
                holder = holder[step]
            value = entry.get("value")
            _put(holder, last.replace("\0", "."), value if entry.get("forceString") else _typed(value), place)
    return result


def _typed(value: Any) -> Any:
    """What helm makes of the text of a parameter."""
    if value in ("true", "false"):
        return value == "true"
    return int(value) if isinstance(value, str) and value.isdecimal() and value.isascii() and len(value) < 10 else value


def _copy(node: PlacedMap) -> PlacedMap:
    made = _map(node.place)
    for key, value in node.items():
        _put(made, key, _copy(value) if isinstance(value, PlacedMap) else value, node.places[key])
    return made


def _map(place: Place) -> PlacedMap:
    made = PlacedMap()
    made.place, made.places, made.tags = place, {}, None
    return made


def _put(holder: PlacedMap, key: Any, value: Any, place: Place) -> None:
    holder[key] = value
    holder.places[key] = place


class _Reader:
    """Reads the inline values of one object."""

    def __init__(self, resource: Resource, source: _Source, namespace: str, result: Delivered) -> None:
        self.resource, self.source, self.result = resource, source, result
        spec = _mapping(resource, "spec")
        target = spec.get("targetNamespace") or _mapping(spec, "destination").get("namespace")
        self.namespace = str(target or namespace_of(resource, namespace))
        self.unseen = _gap(source, "is not here: what else it sets is not known")

    def read(self) -> None:
        for path, part in _parts(self.source.values):
            if spec := _pod_spec(path[-1] if path else self._name(), part):
                self.result.workloads.append(self._workload(path, part, spec))
                self.result.services += self._services(path, part)

    def _name(self) -> str:
        return str(_mapping(self.resource, "metadata").get("name") or "(unnamed)")

    def _label(self, path: tuple[str, ...]) -> str:
        return "/".join((self._name(), *path))

    def _workload(self, path: tuple[str, ...], part: PlacedMap, spec: PlacedMap) -> Workload:
        made = workload(self.resource, PodSpec(spec, {}, "/".join(path)), self.namespace, {})
        return replace(
            made,
            labels={PART: self._label(path)},
            containers=tuple(self._container(one, part) for one in made.containers),
            security=_unknown(made.security, self.unseen),
            resource=None,
            place=part.place if path else place_of(self.resource),
            partial=self.unseen,
        )

    def _container(self, made: Container, part: PlacedMap) -> Container:
        resources = made.resources if made.resources.limits else replace(made.resources, gap=self.unseen)
        return replace(
            made,
            image=_image(made.image, part, self.unseen),
            security=_unknown(made.security, self.unseen),
            resources=resources,
            gaps=(*made.gaps, *self._gaps()),
        )

    def _gaps(self) -> Iterator[Gap]:
        for kind, what in (("environment", "variables"), ("arguments", "arguments"), ("config", "configuration files")):
            yield _gap(
                self.source, "are not known, since the chart is not here", kind, f"{what} of chart {self.source.chart}"
            )

    def _services(self, path: tuple[str, ...], part: PlacedMap) -> Iterator[Service]:
        said = part.get("service")
        if (
            not isinstance(said, PlacedMap)
            or said.get("type") not in OPEN_TYPES
            or not isinstance(said.get("port"), int)
        ):
            return
        spec = _map(said.place)
        port = _map(said.places["port"])
        _put(port, "port", said["port"], said.places["port"])
        if isinstance(said.get("targetPort"), int):
            _put(port, "targetPort", said["targetPort"], said.places["targetPort"])
        ports = PlacedList([port])
        ports.place, ports.places, ports.tags = said.places["port"], [said.places["port"]], None
        _put(spec, "type", said["type"], said.places["type"])
        _put(spec, "ports", ports, said.places["port"])
        made = service(
            {"metadata": {"name": self._name(), "annotations": said.get("annotations") or {}}, "spec": spec},
            self.namespace,
        )
        yield replace(made, kind=self.resource["kind"], selector={PART: self._label(path)}, place=said.place)


def _parts(values: PlacedMap) -> Iterator[tuple[tuple[str, ...], PlacedMap]]:
    """The values themselves, and each mapping within that sets an image of its own and is not switched off: a component, or a chart in the chart."""
    waiting: list[tuple[tuple[str, ...], PlacedMap]] = [((), values)]
    while waiting:
        path, node = waiting.pop(0)
        if path and node.get("enabled") is False:
            continue
        if not path or _reference(node):
            yield path, node
        for key, child in node.items():
            if isinstance(child, PlacedMap) and key not in PLAIN and len(path) < MAX_DEPTH:
                waiting.append(((*path, str(key)), child))


def _pod_spec(name: str, part: PlacedMap) -> PlacedMap | None:
    """A pod spec of what a part of the values says plainly; None where that is nothing."""
    container = _map(part.place)
    _put(container, "name", name, part.place)
    if reference := _reference(part):
        _put(container, "image", reference, _image_place(part))
    for key, target in (*((k, "securityContext") for k in CONTAINER_SECURITY), ("resources", "resources")):
        if isinstance(part.get(key), PlacedMap):
            _put(container, target, part[key], part.places[key])
    if (env := _environment(part)) is not None:
        _put(container, "env", env, env.place)
    spec = _map(part.place)
    for key, target in (*((k, "securityContext") for k in POD_SECURITY), *((k, k) for k in SWITCHES)):
        if key in part:
            _put(spec, target, part[key], part.places[key])
    if len(container) == 1 and not spec and not _opens(part):
        return None
    containers = PlacedList([container])
    containers.place, containers.places, containers.tags = part.place, [part.place], None
    _put(spec, "containers", containers, part.place)
    return spec


def _opens(part: PlacedMap) -> bool:
    return _mapping(part, "service").get("type") in OPEN_TYPES


def _reference(part: PlacedMap) -> str:
    """The image that a part of the values names: a text, or `repository` with `registry` and `tag`."""
    image = part.get("image")
    if isinstance(image, str):
        return image
    if not isinstance(image, dict) or not isinstance(image.get("repository"), str):
        return ""
    registry, digest = image.get("registry"), image.get("digest")
    name = f"{registry}/{image['repository']}" if isinstance(registry, str) and registry else image["repository"]
    name += f":{image['tag']}" if image.get("tag") not in (None, "") else ""
    return f"{name}@{digest}" if isinstance(digest, str) and digest else name


def _image_place(part: PlacedMap) -> Place:
    image = part["image"]
    if isinstance(image, PlacedMap):
        return image.places.get("tag") or image.places["repository"]
    return part.places["image"]


def _image(made: Image | None, part: PlacedMap, unseen: Gap) -> Image | None:
    """The image, of which the chart chooses the tag where the values do not."""
    if made is None:
        return None
    inherited = isinstance(part.get("image"), dict) and made.tag is None and made.digest is None
    return replace(made, gap=unseen) if inherited else made


def _environment(part: PlacedMap) -> PlacedList | None:
    """Variables, given as a list like a container's, or as a mapping."""
    for key in ENVIRONMENT:
        said = part.get(key)
        if isinstance(said, PlacedList) and said:
            return said
        if isinstance(said, PlacedMap) and said:
            return _as_list(said)
    return None


def _as_list(said: PlacedMap) -> PlacedList:
    made = PlacedList()
    made.place, made.places, made.tags = said.place, [], None
    for name, value in said.items():
        entry = _map(said.places[name])
        _put(entry, "name", str(name), said.places[name])
        if isinstance(value, PlacedMap):
            entry.update({key: value[key] for key in ("value", "valueFrom") if key in value})
        else:
            _put(entry, "value", value, said.places[name])
        made.append(entry)
        made.places.append(said.places[name])
    return made


def _unknown(security: Security, unseen: Gap) -> Security:
    """A security context in which what is not said is not known."""
    changed: dict[str, Any] = {
        name: replace(value, gap=unseen)
        for name in security.__struct_fields__
        if name != "user_name" and isinstance(value := getattr(security, name), Value) and value.value is None
    }
    return replace(security, **changed)
