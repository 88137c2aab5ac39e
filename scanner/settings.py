"""One place that says what a setting of a product is in a deployment, wherever the deployment may say it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from packaging.version import Version

from llmscan import config_files
from llmscan.commandline import (
    Expanded,
    Line,
    WrittenFlag,
    alike,
    arguments,
    command_lines,
    expand,
    find_flag,
    line_text,
    written_flags,
)
from llmscan.model import Container, Gap, Origin, Workload
from llmscan.places import Place
from llmscan.products import Product, Running
from llmscan.records import Record


class Found(Record, frozen=True):
    """What a deployment says of one setting.

    present None: it cannot be known (`gap`). value None with `present`: set, its value not seen. `name`: where it was found (`--api-key`).
    """

    present: bool | None
    value: str | None = None
    name: str = ""
    place: Place | None = None
    origin: Origin = Origin.LITERAL
    gap: Gap | None = None
    public: bool = False

    @property
    def declared(self) -> bool:
        """Whether the deployment itself says it, and not the image's default."""
        return bool(self.present) and self.origin != Origin.IMAGE

    @property
    def shown(self) -> str:
        """The setting and, where that is public, its value."""
        return f"{self.name}={self.value}" if self.public and self.value is not None else self.name


ABSENT = Found(False)
SILENT, NOWHERE = Container("", None, command=()), Workload("", "")
"""A container that says nothing, not even what its image's entrypoint would."""
NAMED_FOR_FLAGS = re.compile(r"arg|opt|flag|extra|param|command|cmd", re.IGNORECASE)
"""Names of variables that hold whole flags rather than the value of one."""


class Sayings(Record, frozen=True):
    """By what a container can say something of the settings of one product, each with their names."""

    variables: Mapping[str, Set[str]]
    flags: Mapping[str, Set[str]]
    """By the flag, as `alike` has it."""
    any_flag: Set[str]
    arguments: Set[str]
    files: Set[str]
    fields: Set[str]


def _sayings(product: Product) -> Sayings:
    variables: dict[str, set[str]] = {}
    flags: dict[str, set[str]] = {}
    others: dict[str, set[str]] = {"flag": set(), "argument": set(), "config": set(), "field": set()}
    for name, definition in product.facts.get("settings", {}).items():
        for source in definition.get("from", ()):
            if "env" in source:
                variables.setdefault(source["env"], set()).add(name)
            if "flag" in source:
                for flag in (source["flag"], *source.get("aliases", ()), source.get("negative", "")):
                    flags.setdefault(alike(flag), set()).add(name)
            for kind in others.keys() & source.keys():
                others[kind].add(name)
    return Sayings(variables, flags, others["flag"], others["argument"], others["config"], others["field"])


@dataclass(frozen=True)
class Reading:
    """The settings of one product as one container has them."""

    running: Running
    container: Container
    workload: Workload
    plain_lines: tuple[Line, ...] = ()
    """The command lines without what the image adds."""
    cache: dict[str, Found] = field(default_factory=dict)

    def setting(self, name: str) -> Found:
        """What holds for the product's setting `name`. Raises KeyError where the product has none of that name."""
        found = self.cache.get(name)
        if found is None:
            if self.said is None or name in self.said:
                found = self._resolve(name, self.running.product.facts.get("settings", {})[name])
            else:
                found = self.silent.setting(name)
            self.cache[name] = found
        return found

    @cached_property
    def said(self) -> frozenset[str] | None:
        """The settings of which the container says anything, or may; None: of any, as a part of it was not seen."""
        if self.container.gaps or self.container is SILENT:
            return None
        sayings = self.running.product.once(_sayings)
        said: set[str] = set()
        for name in sayings.variables.keys() & self.container.env.keys():
            said |= sayings.variables[name]
        if self.container.files:
            said |= sayings.files
        if self.workload.resource is not None:
            said |= sayings.fields
        if sayings.arguments and self.lines:
            said |= sayings.arguments
        if sayings.flags:
            said.update(self._said_by_flags(sayings))
        return frozenset(said)

    def _said_by_flags(self, sayings: Sayings) -> Iterator[str]:
        if any(word.gap is not None for line in self.lines for word in line):
            yield from sayings.any_flag
        for written in self.flags:
            yield from sayings.flags.get(written.head, ())
            yield from sayings.flags.get(written.text[:2], ())  # a short one with its value attached

    @cached_property
    def silent(self) -> Reading:
        """The reading of a container that says nothing: one for all containers that run the same version."""
        running = self.running
        readings = running.product.once(_silent_readings)
        key = (running.version, running.unknown_because, running.by_image)
        if key not in readings:
            readings[key] = Reading(running, SILENT, NOWHERE)
        return readings[key]

    @cached_property
    def answers(self) -> dict[Any, Any]:
        """What `llmscan.decisions` concluded from this reading."""
        return {}

    @cached_property
    def flags(self) -> tuple[WrittenFlag, ...]:
        """The flags on the command lines."""
        return written_flags(self.lines)

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        """The command lines that start the product, or all where none is known to; the image's entrypoint is in front where nothing replaces it."""
        prefix = self.running.product.facts.get("image", {}).get("command", ())
        extra = self.running.product.facts.get("arguments_from", ())
        plain = not extra and (not prefix or self.container.command is not None)
        lines = self.plain_lines if plain else command_lines(self.container, prefix, extra)
        own = tuple(line for line in lines if self._starts(line)) if len(lines) > 1 else ()
        return own or lines

    def _starts(self, line: Line) -> bool:
        """Whether a line starts the product: on other lines, flags are those of other programs (`ray start --port`)."""
        text = line_text(line)
        return any(command.matches(text) for command in self.running.product.commands)

    def _resolve(self, name: str, definition: Mapping[str, Any]) -> Found:
        public = definition.get("public") == "true"
        gap: Gap | None = None
        for source in definition.get("from", ()):
            found = self.source(source)
            if found.present and definition.get("blank") == "unset" and found.value == "":
                continue
            if found.present:
                return _replace(found, public)
            gap = gap or found.gap
        if gap is not None:
            return Found(None, None, _first_name(definition, name), gap=gap, public=public)
        if "default" in definition:
            return Found(False, str(definition["default"]), _first_name(definition, name), public=public)
        return Found(False, None, _first_name(definition, name), public=public)

    def source(self, source: Mapping[str, Any]) -> Found:
        """What one source (`{env: NAME}`, `{flag: --x}`, ...) says."""
        if "env" in source:
            return self._from_env(source["env"])
        if "flag" in source:
            return self._from_flag(source)
        if "config" in source:
            return self._from_config(source)
        if "field" in source:
            return self._from_field(source["field"])
        if "argument" in source:
            return self._from_argument(source)
        return ABSENT

    def _from_env(self, name: str) -> Found:
        setting = self.container.env.get(name)
        if setting is None:
            default = self.running.product.facts.get("image", {}).get("env", {}).get(name)
            if default is not None and self.running.by_image:
                return Found(True, str(default), name, origin=Origin.IMAGE)
            return Found(None, name=name, gap=gap) if (gap := self.gap("environment", "secret")) else ABSENT
        value, origin, gap = setting.value, setting.origin, setting.gap
        if value is not None and "$(" in value:
            value, origin, gap = expand(value, self.container.env)
        return Found(True, value, name, setting.place, origin, gap)

    def gap(self, *kinds: str) -> Gap | None:
        """The first thing of these kinds that was not seen of the container."""
        return next((gap for gap in self.container.gaps if gap.kind in kinds), None)

    def _from_flag(self, source: Mapping[str, Any]) -> Found:
        names = [source["flag"], *source.get("aliases", ())]
        switch = source.get("switch") == "true"
        flag = find_flag(self.flags, names, switch=switch, negative=source.get("negative", ""))
        if flag is not None:
            return Found(True, flag.value, names[0], flag.place, flag.origin, flag.gap)
        unseen = next((word for line in self.lines for word in _may_hold_flags(line)), None)
        if unseen is not None:
            return Found(None, name=names[0], gap=unseen.gap)
        return Found(None, name=names[0], gap=gap) if (gap := self.gap("arguments")) else ABSENT

    def _from_config(self, source: Mapping[str, Any]) -> Found:
        key = source["config"]
        for file in self.container.files:
            if "files" in source and not re.search(source["files"], file.path):
                continue
            for value, place in config_files.lookup(file, key):
                if value.startswith("os.environ/"):
                    return _named(self._from_env(value.removeprefix("os.environ/")), key, place)
                expanded, origin, gap = expand(value, self.container.env)
                kind = Origin.CONFIG if origin == Origin.LITERAL else origin
                return Found(True, expanded, key, place, kind, gap)
        return Found(None, name=key, gap=gap) if (gap := self.gap("config")) else ABSENT

    def _from_field(self, path: str) -> Found:
        if self.workload.resource is None:
            return ABSENT
        for value, place in config_files.walk(self.workload.resource, path.split(".")):
            return Found(True, config_files.as_text(value), path, place)
        return ABSENT

    def _from_argument(self, source: Mapping[str, Any]) -> Found:
        index = int(source["argument"])
        for line in self.lines:
            if source.get("after") and not any(word.raw == source["after"] for word in line):
                continue
            words = arguments(line, source.get("after", ""))
            if index < len(words):
                word = words[index]
                return Found(True, word.value, word.raw, word.place, word.origin, word.gap)
        return ABSENT


def _may_hold_flags(line: Line) -> Iterator[Expanded]:
    """The words of a line that were not seen and may hold flags: all but the values of flags (`--api-key ${KEY}`, not `--jinja ${EXTRA_ARGS}`)."""
    for index, word in enumerate(line):
        if word.gap is None or word.origin != Origin.UNRESOLVED or word.value is not None or word.raw.startswith("-"):
            continue
        before = line[index - 1].raw if index else ""
        if not before.startswith("-") or "=" in before or NAMED_FOR_FLAGS.search(word.raw):
            yield word


def _replace(found: Found, public: bool) -> Found:
    return Found(found.present, found.value, found.name, found.place, found.origin, found.gap, public)


def _named(found: Found, name: str, place: Place | None) -> Found:
    return Found(found.present, found.value, name, found.place or place, found.origin, found.gap)


def _first_name(definition: Mapping[str, Any], name: str) -> str:
    sources: Sequence[Mapping[str, Any]] = definition.get("from", ())
    for source in sources:
        for kind in ("env", "flag", "config", "field"):
            if kind in source:
                return str(source[kind])
    return name


def _silent_readings(product: Product) -> dict[tuple[Version | None, str, bool], Reading]:
    """The reading of a container that says nothing, by what is known of the version and of the image."""
    return {}
