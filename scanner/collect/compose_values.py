"""The environment of a compose service: `env_file` below, `environment` above, each value with its own line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmscan.collect.compose_env import EnvEntry, parse_env
from llmscan.collect.compose_interpolation import Interpolated, decided, gap_of, is_demanded, is_supplied
from llmscan.collect.compose_load import ABSENT
from llmscan.collect.compose_sources import Sources
from llmscan.model import Gap, Origin, Setting
from llmscan.places import Place, PlacedMap, place_of


class Environments:
    """The environments of the services of one project; each env file is read once."""

    def __init__(self, variables: Mapping[str, str], sources: Sources) -> None:
        self.variables, self.sources = variables, sources
        self._read: dict[tuple[str, bool], tuple[EnvEntry, ...]] = {}

    @property
    def used(self) -> dict[str, tuple[EnvEntry, ...]]:
        """The env files that services named, by path."""
        return {path: entries for (path, _), entries in self._read.items()}

    def of(self, service: PlacedMap) -> tuple[dict[str, Setting], tuple[Gap, ...]]:
        """The variables of a service, and the env files that are not there."""
        settings: dict[str, Setting] = {}
        gaps: list[Gap] = []
        node = service.get("env_file")
        for index, item in enumerate(node if isinstance(node, list) else ()):
            place = place_of(node, index) or service.place
            entries = self._entries(item, place, gaps)
            settings.update((entry.name, self._from_file(entry, place)) for entry in entries)
        environment = service.get("environment")
        if isinstance(environment, PlacedMap):
            for name, value in environment.items():
                place = place_of(environment, name) or service.place
                settings[str(name)] = self._setting(str(name), value, place)
        return settings, tuple(gaps)

    def _entries(self, item: Mapping[Any, Any], place: Place, gaps: list[Gap]) -> tuple[EnvEntry, ...]:
        path = item["path"]
        if unknown := gap_of(path, place):
            gaps.append(unknown)
            return ()
        raw = item.get("format") == "raw"
        key = (str(path), raw)
        if key not in self._read:
            text = self.sources.text(path)
            if text is None:
                gaps.append(Gap("environment", f"env_file {item['written']}", ABSENT, "that file", place))
                return ()
            self._read[key] = parse_env(text, str(path), self.variables.get, raw=raw)
        return self._read[key]

    def _from_file(self, entry: EnvEntry, place: Place) -> Setting:
        """A line of an env file: it stands where the service names the file, and the line in the file decides."""
        at = place._replace(decided_by=entry.place)
        if entry.value is None:
            return passed_through(entry.name, at)
        return literal(entry.name, entry.value, at, Origin.CONFIG)

    def _setting(self, name: str, value: str | None, place: Place) -> Setting:
        """A line of `environment`; without a value it passes on what the project knows, and never what an env file says."""
        if value is not None:
            return literal(name, value, place, Origin.LITERAL)
        given = self.variables.get(name)
        if given is not None:
            return literal(name, given, place, Origin.CONFIG)
        return passed_through(name, place)


def passed_through(name: str, place: Place) -> Setting:
    """A variable whose value is that of the shell that starts the project."""
    gap = Gap("environment", name, "is passed on from the shell that starts it", "a .env file that sets it", place)
    return Setting(name, None, place, Origin.UNRESOLVED, gap)


def literal(name: str, value: str, place: Place, origin: Origin) -> Setting:
    """A variable with the value that the file gives; UNRESOLVED where a part of it is not known, SECRET where `:?` demands that part."""
    if not isinstance(value, Interpolated):
        return Setting(name, value, place, origin)
    if not value.complete:
        seen = Origin.SECRET if is_demanded(value) else Origin.UNRESOLVED
        return Setting(name, None, place, seen, gap_of(value, place))
    return Setting(name, str(value), decided(place, value), Origin.CONFIG if is_supplied(value) else origin)
