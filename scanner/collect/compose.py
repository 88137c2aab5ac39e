"""Compose files: recognise them, group them into projects, and make a `Stack` of each.

What Compose v2 does, with the place of every value kept. The environment of the scanner is never read: a variable that neither the
file nor a `.env` gives is unknown, unless `ComposeOptions.env` allows it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import field

from llmscan.collect.compose_env import env_file_values, is_env_file
from llmscan.collect.compose_load import Composed, compose_project
from llmscan.collect.compose_projects import Plan, plan_projects, without_taken
from llmscan.collect.compose_services import stack_of
from llmscan.collect.compose_sources import Sources, folder_of
from llmscan.collect.yaml_tree import Unreadable
from llmscan.model import Stack
from llmscan.places import Place
from llmscan.records import Record, replace

__all__ = [
    "ComposeOptions",
    "env_file_values",
    "is_compose",
    "is_env_file",
    "load_projects",
    "resolved_project",
]

TOP_LEVEL = frozenset({"configs", "include", "models", "name", "networks", "secrets", "services", "version", "volumes"})
SERVICE_KEYS = frozenset(
    """
    annotations build cap_add cap_drop cgroup command configs container_name cpus depends_on deploy develop devices dns
    entrypoint env_file environment expose extends extra_hosts gpus group_add healthcheck hostname image init ipc labels
    links logging mem_limit models network_mode networks pid platform ports privileged profiles provider pull_policy
    read_only restart runtime scale secrets security_opt shm_size stdin_open stop_grace_period sysctls tmpfs tty ulimits
    user userns_mode volumes volumes_from working_dir
    """.split()  # noqa: SIM905 - a list of words reads better as words
)
SERVICE_NAME = re.compile(r"[A-Za-z0-9._-]+\Z")
COMPOSE_NAME = re.compile(r"(?:docker-)?compose\b[\w.-]*\.ya?ml\Z")
INCLUDED = re.compile(r".*\.ya?ml\Z")


class ComposeOptions(Record, frozen=True):
    """What the user adds to the files.

    env: variables of the scanner's own environment that they allowed. profiles: active ones, beside COMPOSE_PROFILES. env_files: read
    in place of `.env`, relative to the working directory and within the tree.
    """

    env: Mapping[str, str] = field(default_factory=dict)
    profiles: tuple[str, ...] = ()
    env_files: tuple[str, ...] = ()


def is_compose(tree: Any) -> bool:
    """Whether `tree` is a compose file or a part of one: not a values file, not a Kubernetes object."""
    if not isinstance(tree, dict) or not all(map(_top_level, tree)):
        return False
    services = tree.get("services")
    if isinstance(services, dict) and services:
        return all(_is_service(name, service) for name, service in services.items())
    return services is None and _is_include(tree.get("include"))


def _top_level(key: Any) -> bool:
    return key in TOP_LEVEL or (isinstance(key, str) and key.startswith("x-"))


def _is_service(name: Any, service: Any) -> bool:
    if not SERVICE_NAME.match(str(name)):
        return False
    return service is None or (isinstance(service, dict) and (not service or not SERVICE_KEYS.isdisjoint(service)))


def _is_include(node: Any) -> bool:
    entries = node if isinstance(node, list) else [node]
    return bool(entries) and all(
        (isinstance(entry, str) and bool(INCLUDED.match(entry))) or (isinstance(entry, dict) and "path" in entry)
        for entry in entries
    )


def resolved_project(
    files: Sequence[str], root: Path, options: ComposeOptions | None = None, directory: str | None = None
) -> Composed | Unreadable:
    """One project from `files` (relative to the working directory), the later laid upon the earlier, as Compose would resolve it."""
    options = options or ComposeOptions()
    where = folder_of(files[0]) if directory is None else directory
    return compose_project(tuple(files), where, Sources(root), options.env, options.env_files)


def load_projects(
    paths: Sequence[str],
    root: Path,
    options: ComposeOptions | None = None,
    parsed: Mapping[str, tuple[Any, ...]] | None = None,
    start: Path | None = None,
) -> Iterator[Stack | Unreadable]:
    """A `Stack` for each compose project among `paths`, and an `Unreadable` for each file that should make one and cannot.

    paths: YAML files that may be compose files, relative to `start` (by default the working directory); what is none is passed over,
    unless it is called one. root: the tree that nothing is read outside of. parsed: the documents of files that were parsed already (with
    `legacy_booleans=False`). A stack with `overlay` is a variant: only what stands in those files is its own.
    """
    options = options or ComposeOptions()
    sources = Sources(root, parsed, start)
    readable = []
    for path in paths:
        trees = sources.trees(path)
        if isinstance(trees, Unreadable):
            yield trees
        elif any(map(is_compose, trees)):
            readable.append(path)
        elif COMPOSE_NAME.match(path.rpartition("/")[2]) and not any(map(_only_shared, trees)):
            yield Unreadable(Place(path, 1, 1, 1), "it is no compose file: its services are not what Compose would run")
    yield from _stacks(plan_projects(readable, sources, options.env), sources, options)


def _only_shared(tree: Any) -> bool:
    """Whether a file declares only what others use (networks, volumes), so that nothing runs from it alone."""
    return isinstance(tree, dict) and "services" not in tree and all(map(_top_level, tree))


def _stacks(plans: Sequence[Plan], sources: Sources, options: ComposeOptions) -> Iterator[Stack | Unreadable]:
    loaded: list[tuple[Plan, Composed]] = []
    for plan in plans:
        made = _composed(plan, sources, options)
        if isinstance(made, Unreadable):
            yield made
        else:
            loaded.append((plan, made))
    judged: set[str] = set()
    for plan, composed in without_taken(loaded):
        stack = stack_of(composed, sources, options.profiles)
        if stack.workloads or stack.gaps:
            yield _only_own(stack, plan, composed, judged)


def _only_own(stack: Stack, plan: Plan, composed: Composed, judged: set[str]) -> Stack:
    """`stack` with what was judged in a stack before left out of its own: a file that several projects include, a shared `.env`."""
    values = tuple(one for one in stack.loose_values if one.setting.place and one.setting.place.path not in judged)
    environments = {one.setting.place.path for one in values if one.setting.place}
    files = {*composed.files, *composed.included}
    own = {*plan.overlay} if plan.overlay else files - judged
    partly = own != files
    own |= environments | {path for path, _ in composed.extended if path not in judged}
    judged |= own
    if not partly and len(values) == len(stack.loose_values):
        return stack
    return replace(stack, loose_values=values, overlay=tuple(sorted(own)) if partly else ())


def _composed(plan: Plan, sources: Sources, options: ComposeOptions) -> Composed | Unreadable:
    try:
        return compose_project(plan.files, plan.directory, sources, options.env, options.env_files)
    except RecursionError:
        return Unreadable(Place(plan.files[-1], 1, 1, 1), "its aliases nest too deeply")
