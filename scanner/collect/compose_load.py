"""Load a compose project: its files, what they include and extend, and its variables, into one tree in the long form.

Follows Compose: each file is interpolated, brought into the long form, its `extends` resolved, its includes taken in, and then
laid upon the files before it. Nothing remote is fetched; what is not there, or goes round in a circle, is a gap with a name.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any, NamedTuple

from msgspec import field

from llmscan.collect.compose_defaults import shipped_defaults
from llmscan.collect.compose_env import EnvEntry, parse_env, variables
from llmscan.collect.compose_forms import canonical_service, items_of, scalar_text
from llmscan.collect.compose_interpolation import gap_of, interpolate_tree, is_known, limited
from llmscan.collect.compose_merge import merge_maps, merge_project, without_resets
from llmscan.collect.compose_sources import Sources, folder_of, is_remote, join, placed_map, shown
from llmscan.collect.yaml_tree import Unreadable
from llmscan.model import Gap
from llmscan.places import Place, PlacedMap, place_of
from llmscan.records import Record

ABSENT = "is not in the repository"
MAX_CHAIN = 60
"""Extends upon extends, includes within includes."""
SECTIONS = ("services", "networks", "volumes", "configs", "secrets", "models")

Chain = tuple[tuple[str, str], ...]


class Composed(Record, frozen=True):
    """A project as one tree.

    tree: `name` and SECTIONS in the long form. gaps, service_gaps: what was not seen, of the whole and by service. included: files
    that it took in. extended: (file, service) pairs that its services are made from. env_files: `.env` files that gave variables.
    """

    files: tuple[str, ...]
    directory: str
    tree: PlacedMap
    environment: Mapping[str, str] = field(default_factory=dict)
    gaps: tuple[Gap, ...] = ()
    service_gaps: Mapping[str, tuple[Gap, ...]] = field(default_factory=dict)
    included: frozenset[str] = frozenset()
    extended: frozenset[tuple[str, str]] = frozenset()
    env_files: Mapping[str, tuple[EnvEntry, ...]] = field(default_factory=dict)


def dotenv(sources: Sources, path: str, known: Mapping[str, str]) -> tuple[EnvEntry, ...]:
    """The entries of a `.env` file; none where there is no such file."""
    text = sources.text(path)
    return parse_env(text, path, known.get) if text is not None else ()


def compose_project(
    files: tuple[str, ...],
    directory: str,
    sources: Sources,
    allowed: Mapping[str, str],
    env_files: tuple[str, ...] = (),
) -> Composed | Unreadable:
    """The project that `files`, the later ones laid upon the earlier, make up in `directory`.

    allowed: variables from outside the tree. env_files: what is read in place of the `.env` in `directory`.
    """
    for path in files:
        parsed = sources.trees(path)
        if isinstance(parsed, Unreadable):
            return parsed
    loading = _Loading(sources)
    environment = dict(allowed)
    for path in env_files or (join(directory, ".env"),):
        if entries := dotenv(sources, path, environment):
            loading.env_files[path] = entries
            environment = environment | dict(variables(entries)) | dict(allowed)
    if not env_files and not loading.env_files:
        environment = loading.ship(directory, environment)
    tree = loading.files(files, directory, environment, files)
    return loading.result(files, directory, tree, environment)


class _Scope(NamedTuple):
    """Where a text stands: its file, the folder that its paths count from, and the variables that it sees."""

    path: str
    directory: str
    environment: Mapping[str, str]


class _Loading:
    """One project being loaded: what it has taken in, and what it could not."""

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self.gaps: list[Gap] = []
        self.service_gaps: dict[str, list[Gap]] = {}
        self.included: set[str] = set()
        self.extended: set[tuple[str, str]] = set()
        self.env_files: dict[str, tuple[EnvEntry, ...]] = {}
        self._filled: dict[tuple[str, int], tuple[Mapping[str, str], PlacedMap]] = {}

    def ship(self, directory: str, environment: Mapping[str, str]) -> dict[str, str]:
        """`environment`, below it what the project ships as defaults for the `.env` that it has not; the gap says so."""
        shipped = shipped_defaults(directory, self.sources)
        if shipped is None:
            return dict(environment)
        path, entries = shipped
        self.env_files[path] = entries
        why = f"{ABSENT}; {path}, which it ships, stands in for it"
        self.gaps.append(Gap("environment", join(directory, ".env"), why, "that file", Place(path, 1, 1, 1)))
        return dict(variables(entries)) | dict(environment)

    def result(
        self, files: tuple[str, ...], directory: str, tree: PlacedMap, environment: Mapping[str, str]
    ) -> Composed:
        resets = any("!reset" in (self.sources.text(path) or "") for path in {*files, *self.included})
        resets = resets or any("!reset" in (self.sources.text(path) or "") for path, _ in self.extended)
        by_service = {name: tuple(dict.fromkeys(gaps)) for name, gaps in self.service_gaps.items()}
        return Composed(
            files,
            directory,
            without_resets(tree) if resets else tree,
            environment,
            tuple(dict.fromkeys(self.gaps)),
            by_service,
            frozenset(self.included),
            frozenset(self.extended),
            dict(self.env_files),
        )

    def files(
        self, paths: tuple[str, ...], directory: str, environment: Mapping[str, str], chain: tuple[str, ...]
    ) -> PlacedMap:
        """Several files of one project, laid one upon the other."""
        tree = placed_map({}, Place(paths[0] if paths else directory, 1, 1, 1))
        for path in paths:
            parsed = self.sources.trees(path)
            for document in parsed if not isinstance(parsed, Unreadable) else ():
                if isinstance(document, PlacedMap):
                    one = self._document(document, _Scope(path, directory, environment), chain)
                    tree = merge_project(tree, one) if tree else one
        return tree

    def _document(self, document: PlacedMap, scope: _Scope, chain: tuple[str, ...]) -> PlacedMap:
        filled = interpolate_tree(document, limited(scope.environment.get))
        self._filled[scope.path, id(scope.environment)] = (scope.environment, filled)
        own = {key: value for key, value in filled.items() if key != "include"}
        made = placed_map(own, filled.place, dict(filled.places))
        made.tags = filled.tags
        services = filled.get("services")
        if isinstance(services, PlacedMap):
            made["services"] = self._services(services, scope)
        for item, at in items_or_maps(filled.get("include"), filled.place):
            made = _imported(made, self._include(item, at, scope, chain))
        return made

    def _services(self, services: PlacedMap, scope: _Scope) -> PlacedMap:
        made = placed_map({}, services.place, dict(services.places))
        made.tags = services.tags
        for name, service in services.items():
            if isinstance(service, PlacedMap):
                made[name] = self._service(str(name), services, name, scope, ())
            elif service is None:
                made[name] = placed_map({}, place_of(services, name) or services.place)
        return made

    def _service(self, owner: str, services: PlacedMap, name: Any, scope: _Scope, chain: Chain) -> PlacedMap:
        """A service with what it extends; gaps on the way are those of `owner`."""
        service = canonical_service(services[name], scope.directory)
        extends = service.pop("extends", None)
        if extends is None:
            return service
        place = place_of(service, "extends") or service.place
        base = self._extended(owner, extends, place, services, scope, (*chain, (scope.path, str(name))))
        return service if base is None else merge_maps(base, service)

    def _extended(
        self, owner: str, extends: Any, place: Place, services: PlacedMap, scope: _Scope, chain: Chain
    ) -> PlacedMap | None:
        """The service that is extended; None, with a gap, where it cannot be had."""
        wanted = extends if isinstance(extends, dict) else {"service": extends}
        written, name = scalar_text(wanted.get("file")), scalar_text(wanted.get("service")) or ""
        if written is not None:
            path = join(scope.directory, written)
            scope = _Scope(path, folder_of(path), scope.environment)
            services = self._other_file(scope) if not is_remote(written) else placed_map({}, place)
        if not isinstance(services.get(name), PlacedMap):
            gap = self._unextended(written, name, scope.path, services, place)
        elif (scope.path, name) in chain or len(chain) > MAX_CHAIN:
            gap = Gap("file", f"extends {name}", "goes round in a circle", "", place)
        else:
            self.extended.add((scope.path, name))
            return self._service(owner, services, name, scope, chain)
        self.service_gaps.setdefault(owner, []).append(gap)
        return None

    def _unextended(self, written: str | None, name: str, path: str, services: PlacedMap, place: Place) -> Gap:
        """Why there is no service to extend."""
        if written is not None and is_remote(written):
            return Gap("remote", f"extends {shown(written)}", "is remote and never fetched", "", place)
        if written is not None and not services:
            return gap_of(written, place, "file") or _not_read(self.sources, "extends", written, path, place)
        return Gap("file", f"service {name}", f"is extended and not in {path}", "", place)

    def _other_file(self, scope: _Scope) -> PlacedMap:
        """The services of another file, interpolated; empty if it cannot be read or has none."""
        kept = self._filled.get((scope.path, id(scope.environment)))
        filled = kept[1] if kept else self._fill(scope)
        services = filled.get("services")
        return services if isinstance(services, PlacedMap) else placed_map({}, filled.place)

    def _fill(self, scope: _Scope) -> PlacedMap:
        parsed = self.sources.trees(scope.path)
        filled = placed_map({}, Place(scope.path, 1, 1, 1))
        for one in parsed if not isinstance(parsed, Unreadable) else ():
            if isinstance(one, PlacedMap):
                new = interpolate_tree(one, limited(scope.environment.get))
                filled = merge_project(filled, new) if filled else new
        self._filled[scope.path, id(scope.environment)] = (scope.environment, filled)
        return filled

    def _include(self, item: Any, place: Place, scope: _Scope, chain: tuple[str, ...]) -> PlacedMap | None:
        """What an entry of `include` brings; None, with a gap, where it cannot be had."""
        directory = scope.directory
        wanted = item if isinstance(item, PlacedMap) else {"path": item}
        written = [text for one, _ in items_of(wanted.get("path"), place) if (text := scalar_text(one))]
        paths = tuple(join(directory, text) for text in written)
        for text, path in zip(written, paths, strict=True):
            if gap := self._unusable(text, path, place, chain):
                self.gaps.append(gap)
                return None
        if not paths:
            return None
        own = scalar_text(wanted.get("project_directory"))
        inner = join(directory, own) if own else folder_of(paths[0])
        inherited = self._include_environment(wanted, place, inner, scope)
        self.included.update(paths)
        return self.files(paths, inner, inherited, (*chain, *paths))

    def _unusable(self, written: str, path: str, place: Place, chain: tuple[str, ...]) -> Gap | None:
        if is_remote(written):
            return Gap("remote", f"include {shown(written)}", "is remote and never fetched", place=place)
        if not is_known(written):
            return gap_of(written, place, "file")
        if path in chain or len(chain) > MAX_CHAIN:
            return Gap("file", f"include {written}", "goes round in a circle", place=place)
        if isinstance(self.sources.trees(path), Unreadable):
            return _not_read(self.sources, "include", written, path, place)
        return None

    def _include_environment(
        self, wanted: Mapping[Any, Any], place: Place, inner: str, scope: _Scope
    ) -> Mapping[str, str]:
        """The variables of an included project: those of the one that includes it, then its own env files'."""
        written = [text for one, _ in items_of(wanted.get("env_file"), place) if (text := scalar_text(one))]
        known = dict(scope.environment)
        for path in [join(scope.directory, text) for text in written] or [posixpath.join(inner, ".env")]:
            path = posixpath.normpath(path)
            if written and self.sources.text(path) is None:
                self.gaps.append(Gap("environment", f"env_file {path}", ABSENT, "that file", place))
            entries = dotenv(self.sources, path, known)
            if entries:
                self.env_files[path] = entries
                known = dict(variables(entries)) | known
        return known


def items_or_maps(node: Any, place: Place) -> list[tuple[Any, Place]]:
    """The items of `include`: a sequence, or one entry alone."""
    return [(node, node.place)] if isinstance(node, PlacedMap) else [*items_of(node, place)]


def _not_read(sources: Sources, how: str, written: str, path: str, place: Place) -> Gap:
    parsed = sources.trees(path)
    if sources.text(path) is None:
        return Gap("file", f"{how} {written}", ABSENT, "that file", place)
    why = f"does not parse: {parsed.reason}" if isinstance(parsed, Unreadable) else "has no services"
    return Gap("file", f"{how} {written}", why, "", place)


def _imported(made: PlacedMap, brought: PlacedMap | None) -> PlacedMap:
    """`made` with what an include brought; on a conflict, which Compose refuses, the including file wins."""
    if brought is None:
        return made
    for section in SECTIONS:
        theirs, ours = brought.get(section), made.get(section)
        if isinstance(theirs, PlacedMap):
            made[section] = merge_maps(theirs, ours) if isinstance(ours, PlacedMap) else theirs
    return made
