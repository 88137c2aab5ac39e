"""Make the model of a compose project from its resolved tree: a `Stack` with a `Workload` for each service."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from llmscan.collect.compose_dockerfile import Built, read_dockerfile
from llmscan.collect.compose_env import loose_values
from llmscan.collect.compose_forms import scalar_text
from llmscan.collect.compose_interpolation import decided, gap_of, is_known
from llmscan.collect.compose_load import ABSENT, Composed
from llmscan.collect.compose_mounts import Mounts, block_start, config_data, section
from llmscan.collect.compose_networks import declared_networks, expose, networks_of, published, shared_with
from llmscan.collect.compose_resources import logging_of, resources_of
from llmscan.collect.compose_security import SAID_BY, security_of
from llmscan.collect.compose_sources import Sources, is_remote, join, shown
from llmscan.collect.compose_values import Environments
from llmscan.collect.compose_words import is_cleared, words_of
from llmscan.collect.fields import UNSAID
from llmscan.model import (
    ConfigFile,
    Container,
    Gap,
    Image,
    LooseValue,
    Stack,
    Value,
    Volume,
    Workload,
    parse_image,
)
from llmscan.places import Place, PlacedMap, place_of
from llmscan.records import replace

T = TypeVar("T")
NOT_BUILT = Built()


def stack_of(composed: Composed, sources: Sources, profiles: tuple[str, ...] = ()) -> Stack:
    """The project as a unit; `profiles` are active beside those of COMPOSE_PROFILES."""
    project = _Project(composed, sources, profiles)
    workloads = tuple(project.workloads())
    return Stack(
        unit=" + ".join(composed.files),
        source="files",
        workloads=workloads,
        configs=config_data(composed.tree),
        networks=declared_networks(composed.tree, workloads),
        loose_values=project.loose_values(),
        gaps=composed.gaps,
        place=composed.tree.place,
    )


class _Project:
    """One project being made into records: what its services share."""

    def __init__(self, composed: Composed, sources: Sources, profiles: tuple[str, ...]) -> None:
        self.composed, self.sources = composed, sources
        self.environments = Environments(composed.environment, sources)
        self.mounts = Mounts(composed.tree, composed.directory, sources)
        set_here = composed.environment.get("COMPOSE_PROFILES", "")
        self.profiles = {*profiles, *(name.strip() for name in set_here.split(",") if name.strip())} or {""}
        """Where none is chosen, Compose starts what names the empty profile."""
        self.services = section(composed.tree, "services")
        self.built: dict[tuple[str, str, str], Built] = {}

    def workloads(self) -> Iterator[Workload]:
        for name, service in self.services.items():
            if isinstance(service, PlacedMap):
                yield self._workload(str(name), service)

    def loose_values(self) -> tuple[LooseValue, ...]:
        """The values of the env files that the project reads."""
        files = {**self.composed.env_files, **self.environments.used}
        return tuple(value for entries in files.values() for value in loose_values(entries))

    def _workload(self, name: str, service: PlacedMap) -> Workload:
        place = place_of(self.services, name) or service.place
        return Workload(
            kind="service",
            name=name,
            labels=_texts(service.get("labels")),
            annotations=_texts(service.get("annotations")),
            containers=(self._container(name, service, place),),
            host_network=_is(service, "network_mode", "host"),
            host_pid=_is(service, "pid", "host"),
            host_ipc=_is(service, "ipc", "host"),
            host_users=_is(service, "userns_mode", "host"),
            sysctls=_sysctls(service),
            replicas=_replicas(service),
            networks=networks_of(service),
            shares_network_with=shared_with(service, self.services),
            place=place,
            conditional=self._condition(service),
            orchestrated=False,
        )

    def _condition(self, service: PlacedMap) -> str:
        node = service.get("profiles")
        names = [str(name) for name in node] if isinstance(node, list) else []
        if not names or self.profiles & {*names, "*"}:
            return ""
        return "profile " + " or ".join(names)

    def _container(self, name: str, service: PlacedMap, place: Place) -> Container:
        built = self._built(service)
        env, env_gaps = self.environments.of(service)
        brought = self.mounts.of(service)
        entrypoint, command = self._command_line(service, built)
        image = _image(name, service, built, place)
        own = (*self.composed.service_gaps.get(name, ()), *env_gaps, *_only(brought, Gap), *self._unbuilt(service))
        return Container(
            name=name,
            image=image,
            command=entrypoint,
            args=command,
            env={**(built.env or {}), **env},
            ports=(*expose(service), *built.ports),
            published=published(service),
            mounts=_only(brought, Volume),
            files=_only(brought, ConfigFile),
            security=security_of(service),
            resources=resources_of(service),
            logging=logging_of(service, place),
            gaps=own if image is not None else (*own, _imageless(name, place)),
            place=place,
        )

    def _command_line(self, service: PlacedMap, built: Built) -> tuple[Any, Any]:
        """Entrypoint and command; what the Dockerfile says holds where the service says nothing."""
        entrypoint = words_of(service, "entrypoint", self.sources)
        command = words_of(service, "command", self.sources)
        if entrypoint is not None or is_cleared(service.get("entrypoint")):
            return entrypoint, command
        return built.entrypoint, command if command is not None else built.command

    def _built(self, service: PlacedMap) -> Built:
        """What the Dockerfile of a service says; nothing where there is none in the tree."""
        build = service.get("build")
        if not isinstance(build, PlacedMap) or is_remote(str(build["context"])):
            return NOT_BUILT
        arguments = {key: value for key, value in _texts(build.get("args")).items() if is_known(value)}
        target = scalar_text(build.get("target")) or ""
        if inline := scalar_text(build.get("dockerfile_inline")):
            at = block_start(place_of(build, "dockerfile_inline") or build.place)
            return read_dockerfile(inline, at.path, arguments, target, at.line - 1)
        path = _dockerfile(build)
        key = (path, target, repr(sorted(arguments.items())))
        if key not in self.built:
            text = self.sources.text(path)
            self.built[key] = Built() if text is None else read_dockerfile(text, path, arguments, target)
        return self.built[key]

    def _unbuilt(self, service: PlacedMap) -> Iterator[Gap]:
        """The Dockerfile of a service, where it is not there to read."""
        build = service.get("build")
        if not isinstance(build, PlacedMap) or build.get("dockerfile_inline"):
            return
        context, place = str(build["context"]), place_of(service, "build")
        if is_remote(context):
            yield Gap("remote", f"build {shown(context)}", "is remote and never fetched", "", place)
        elif self.sources.text(_dockerfile(build)) is None:
            yield Gap("image", _dockerfile(build), ABSENT, "that file", place)


def _dockerfile(build: PlacedMap) -> str:
    return join(str(build["context"]), scalar_text(build.get("dockerfile")) or "Dockerfile")


def _only(found: Sequence[object], kind: type[T]) -> tuple[T, ...]:
    return tuple([one for one in found if isinstance(one, kind)]) if found else ()


def _texts(node: Any) -> dict[str, str]:
    return {str(key): value or "" for key, value in node.items()} if isinstance(node, dict) else {}


def _is(service: PlacedMap, key: str, wanted: str) -> Value[bool]:
    """Whether a namespace is the host's; no value where the service says nothing, a gap where it cannot be known."""
    written = service.get(key)
    if written is None:
        return UNSAID
    place = place_of(service, key)
    if not is_known(written):
        return Value(None, place, SAID_BY, gap_of(written, place))
    return Value(True, place, SAID_BY) if written == wanted else Value(False, place, SAID_BY)


def _sysctls(service: PlacedMap) -> tuple[Value[str], ...]:
    node = service.get("sysctls")
    if not isinstance(node, PlacedMap):
        return ()
    return tuple(Value(f"{key}={value}", place_of(node, key), SAID_BY) for key, value in node.items())


def _replicas(service: PlacedMap) -> Value[int]:
    deploy = service.get("deploy")
    holder = deploy if isinstance(deploy, PlacedMap) and "replicas" in deploy else service
    written = scalar_text(holder.get("replicas" if holder is deploy else "scale"))
    if written is None:
        return UNSAID
    place = place_of(holder, "replicas" if holder is deploy else "scale")
    return (
        Value(int(written), place, SAID_BY)
        if len(written) < 9 and written.isdecimal()
        else Value(None, place, SAID_BY, gap_of(written, place))
    )


def _image(name: str, service: PlacedMap, built: Built, place: Place) -> Image | None:
    """The image of a service; None where it has neither image nor build."""
    written = scalar_text(service.get("image"))
    builds = service.get("build") is not None
    if not written:
        where = place_of(service, "build")
        return Image("", place=where, local=True, user=built.user, base=built.base) if builds else None
    local = builds and (service.get("pull_policy") == "build" or not _is_published(written))
    at = decided(place_of(service, "image") or place, written)
    image = parse_image(
        str(written), at, local=local, gap=gap_of(written, at, "image"), user=built.user, base=built.base
    )
    return replace(image, tag=None) if image.gap and image.tag and "${" in image.tag else image


def _is_published(reference: str) -> bool:
    """Whether an image is called by a registry's host: such a one Compose pulls before it thinks of building it."""
    host, slash, _ = reference.partition("/")
    return bool(slash) and ("." in host or ":" in host)


def _imageless(name: str, place: Place) -> Gap:
    return Gap(
        "image", f"service {name}", "has neither image nor build in these files", "the file that it is laid upon", place
    )
