"""Which compose files make up which project, when a whole repository is scanned.

In each folder Compose's default file and its override, or what COMPOSE_FILE in `.env` says, are a project. A file whose services
lack an image that a file beside it gives them is laid upon that file: a variant, of which only the overlaid file is judged. Every other
file is a project of its own, unless another one takes it in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from llmscan.collect.compose_env import variables
from llmscan.collect.compose_forms import items_of, scalar_text
from llmscan.collect.compose_load import Composed, dotenv
from llmscan.collect.compose_sources import Sources, folder_of, join, placed_map
from llmscan.collect.yaml_tree import Unreadable
from llmscan.places import PlacedMap
from llmscan.records import Record, replace

DEFAULTS = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
OVERRIDES = (
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
)


class Plan(Record, frozen=True):
    """The files of a project, in the order in which they are laid one upon the other, and the folder that paths count from.

    overlay: the files that are judged, where the others belong to another project; empty: all. default: `docker compose up` in
    that folder takes it.
    """

    files: tuple[str, ...]
    directory: str
    overlay: tuple[str, ...] = ()
    default: bool = False


def plan_projects(paths: Sequence[str], sources: Sources, allowed: Mapping[str, str]) -> list[Plan]:
    """The projects that `paths` make up, default ones of a folder before its others."""
    folders: dict[str, list[str]] = {}
    for path in paths:
        folders.setdefault(folder_of(path), []).append(path)
    plans: list[Plan] = []
    taken: set[str] = set()
    for folder, files in folders.items():
        if plan := _default(folder, files, sources, allowed):
            plans.append(plan)
            taken.update(plan.files)
    for folder, files in folders.items():
        plans.extend(_others(folder, [path for path in files if path not in taken], files, sources))
    return plans


def _default(folder: str, files: list[str], sources: Sources, allowed: Mapping[str, str]) -> Plan | None:
    path = join(folder, ".env")
    named = "COMPOSE_FILE" in (sources.text(path) or "")
    known = (dict(variables(dotenv(sources, path, allowed))) if named else {}) | dict(allowed)
    if chosen := _chosen(folder, known, sources):
        return Plan(chosen, folder, default=True) if set(chosen) & set(files) else None
    base = _first(folder, DEFAULTS, files)
    if base is None:
        return None
    override = _first(folder, OVERRIDES, files)
    return Plan((base, override) if override else (base,), folder, default=True)


def _chosen(folder: str, known: Mapping[str, str], sources: Sources) -> tuple[str, ...]:
    """The files that COMPOSE_FILE names and that are there."""
    written = known.get("COMPOSE_FILE", "")
    separator = known.get("COMPOSE_PATH_SEPARATOR") or (";" if ";" in written else ":")
    paths = (join(folder, part.strip()) for part in written.split(separator) if part.strip())
    return tuple(path for path in paths if services_in(path, sources))


def _first(folder: str, names: Iterable[str], files: list[str]) -> str | None:
    there = {path.rpartition("/")[2] for path in files}
    return next((path for name in names if name in there and (path := join(folder, name)) in files), None)


def _others(folder: str, rest: list[str], files: list[str], sources: Sources) -> Iterator[Plan]:
    givers = _givers([*(join(folder, name) for name in DEFAULTS), *files], sources) if rest else {}
    directories = _directories(folder, files, sources) if rest else {}
    for path in rest:
        base = _base_for(path, _lacking(path, sources), givers)
        if base is not None:
            yield Plan((base, path), directories.get(base, folder), overlay=(path,))
        else:
            yield Plan((path,), directories[path], default=PurePosixPath(path).name in DEFAULTS)


def _givers(paths: list[str], sources: Sources) -> dict[Any, dict[str, int]]:
    """For each service, the files that give it an image, with how many things each says of it."""
    found: dict[Any, dict[str, int]] = {}
    for path in paths:
        for name, service in services_in(path, sources).items():
            if _is_whole(service):
                found.setdefault(name, {})[path] = len(service)
    return found


def services_in(path: str, sources: Sources) -> dict[Any, Any]:
    """The services of a file as written, of all its documents; empty where it has none or cannot be read."""
    parsed = sources.trees(path)
    found: dict[Any, Any] = {}
    for document in parsed if not isinstance(parsed, Unreadable) else ():
        services = document.get("services") if isinstance(document, dict) else None
        found |= services if isinstance(services, dict) else {}
    return found


def _is_whole(service: Any) -> bool:
    return isinstance(service, dict) and any(key in service for key in ("build", "extends", "image", "provider"))


def _lacking(path: str, sources: Sources) -> set[Any]:
    """The services of a file that have no image, so that something else must give it."""
    return {name for name, service in services_in(path, sources).items() if not _is_whole(service)}


def _base_for(path: str, lacking: set[Any], givers: dict[Any, dict[str, int]]) -> str | None:
    """The file that gives `lacking` their images: the folder's default one, else the one that says most of them."""
    said: Counter[str] = Counter()
    for name in lacking:
        said.update({other: count for other, count in givers.get(name, {}).items() if other != path})
    for name in DEFAULTS:
        if (default := join(folder_of(path), name)) in said:
            return default
    most = said.most_common(2)
    return most[0][0] if len(most) == 1 or (most and most[0][1] > most[1][1]) else None


def _directories(folder: str, files: list[str], sources: Sources) -> dict[str, str]:
    """The folder that the paths of each file count from.

    It is the file's own, unless nothing that the file names is there and some of it is further up, beside a default compose file:
    parts of a larger project are started with that file before them. A file that tells nothing goes with the others of its folder.
    """
    evident = {path: _evident_directory(path, folder, sources) for path in files}
    told = {where for where in evident.values() if where is not None}
    together = told.pop() if len(told) == 1 else folder
    return {
        path: folder if PurePosixPath(path).name in DEFAULTS else where or together for path, where in evident.items()
    }


def _evident_directory(path: str, own: str, sources: Sources) -> str | None:
    """Where the files are that a compose file names; None if they are nowhere, or if it is a default one and so no part."""
    named = _named(path, sources) if PurePosixPath(path).name not in DEFAULTS else []
    for folder in (own, *_above(own, sources)) if named else ():
        is_project = folder == own or any(sources.inside(join(folder, name)) for name in DEFAULTS)
        if is_project and any(sources.inside(join(folder, one)) for one in named):
            return folder
    return None


def _above(folder: str, sources: Sources) -> Iterator[str]:
    while folder not in (".", "/", "") and not folder.endswith(".."):
        folder = folder_of(folder)
        if not sources.is_folder(folder):
            return
        yield folder


def _named(path: str, sources: Sources) -> list[str]:
    """The relative paths that a file names, variables aside."""
    found: list[str] = []
    for service in services_in(path, sources).values():
        if isinstance(service, PlacedMap):
            env_files = [
                item.get("path") if isinstance(item, dict) else item for item, _ in _items(service, "env_file")
            ]
            volumes = [item.split(":")[0] for item, _ in _items(service, "volumes") if isinstance(item, str)]
            build = service.get("build")
            context = build.get("context") if isinstance(build, dict) else build
            found += [
                text
                for one in (*env_files, *volumes, context)
                if (text := scalar_text(one)) and text.startswith("./") and len(text) > 2
            ]
    return [one for one in found if "$" not in one]


def _items(service: PlacedMap, key: str) -> Iterable[tuple[Any, Any]]:
    node = service.get(key)
    return [(node, None)] if isinstance(node, dict) else items_of(node, service.place)


def without_taken(projects: Sequence[tuple[Plan, Composed]]) -> Iterator[tuple[Plan, Composed]]:
    """`projects` without what others of them take in: a file that is included, a service that is extended elsewhere."""
    order = sorted(range(len(projects)), key=lambda index: -len(projects[index][1].included))
    included: set[str] = set()
    kept: dict[int, tuple[Plan, Composed]] = {}
    for index in order:
        plan, composed = projects[index]
        own = tuple(path for path in plan.files if path not in included)
        if own and not (plan.overlay and included.issuperset(plan.overlay)):
            kept[index] = (plan if own == plan.files else replace(plan, overlay=plan.overlay or own), composed)
            included |= composed.included
    extended = _extended_elsewhere(list(kept.values()))
    for index in sorted(kept):
        plan, composed = kept[index]
        left = composed if plan.default or plan.overlay else _alone(composed, extended)
        if left is not None:
            yield plan, left


def _extended_elsewhere(projects: list[tuple[Plan, Composed]]) -> set[tuple[str, str]]:
    """(file, service) pairs that a project extends out of a file that is not its own."""
    return {pair for plan, composed in projects for pair in composed.extended if pair[0] not in plan.files}


def _alone(composed: Composed, extended: set[tuple[str, str]]) -> Composed | None:
    """`composed` without the services that others extend; of a file of such parts, only what is published stands alone."""
    services = composed.tree.get("services")
    taken = {name for path, name in extended if path in composed.files}
    if not taken or not isinstance(services, PlacedMap):
        return composed
    left = {name: service for name, service in services.items() if str(name) not in taken and _stands_alone(service)}
    if not left:
        return None
    tree = placed_map(dict(composed.tree), composed.tree.place, composed.tree.places)
    tree["services"] = placed_map(left, services.place, services.places)
    return replace(composed, tree=tree)


def _stands_alone(service: Any) -> bool:
    return _is_whole(service) and bool(service.get("ports") or service.get("network_mode") == "host")
