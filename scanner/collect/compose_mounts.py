"""What a compose service mounts, and the configuration files that come with it."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from llmscan.collect.compose_forms import items_of, scalar_text, truth
from llmscan.collect.compose_interpolation import Interpolated, decided, gap_of
from llmscan.collect.compose_load import ABSENT
from llmscan.collect.compose_sources import Sources, join
from llmscan.model import ConfigData, ConfigFile, Gap, Setting, Volume
from llmscan.places import Place, PlacedMap, place_of

CONFIG_SUFFIXES = frozenset(
    {".cfg", ".cnf", ".conf", ".config", ".env", ".hcl", ".ini", ".js", ".json", ".json5", ".properties"}
    | {".py", ".sh", ".template", ".tmpl", ".toml", ".txt", ".xml", ".yaml", ".yml"}
)
MAX_CONFIG_BYTES = 256_000
MAX_FILES = 20
"""Files of one mounted folder that are looked at."""
USUAL = frozenset({"HOME", "PWD", "USER"})
"""Variables that every shell sets: a path made from them is a path of the host, whatever it is."""
KINDS = {"tmpfs": "memory", "image": "image", "npipe": "host-path", "cluster": "named"}

Mounted = Volume | ConfigFile | Gap


class Mounts:
    """The mounts of the services of one project."""

    def __init__(self, tree: PlacedMap, directory: str, sources: Sources) -> None:
        self.sources, self.directory = sources, directory
        self.volumes = section(tree, "volumes")
        self.configs = section(tree, "configs")

    def of(self, service: PlacedMap) -> tuple[Mounted, ...]:
        """Every mount of a service, the text files that come with them, and what of them is not there."""
        found: list[Mounted] = []
        for item, place in _entries(service, "volumes"):
            found.extend(self._volume(item, place))
        for item, place in _entries(service, "configs"):
            found.extend(self._config(item, place))
        for item, place in _entries(service, "secrets"):
            found.append(_secret(item, place))
        tmpfs = service.get("tmpfs")
        for item, place in items_of(tmpfs, service.place):
            found.append(Volume("memory", "", str(item).partition(":")[0], place=place))
        for item, place in items_of(service.get("devices"), service.place):
            source, _, rest = str(item).partition(":")
            found.append(Volume("device", source, rest.partition(":")[0] or source, place=place))
        return tuple(found)

    def _volume(self, item: Mapping[Any, Any], place: Place) -> Iterator[Mounted]:
        source, target = scalar_text(item.get("source")) or "", scalar_text(item.get("target")) or ""
        kind, path = self._kind(item, source)
        gap = None if _usual(source) else gap_of(source, place, "config")
        volume = item.get("volume")
        sub_path = scalar_text(volume.get("subpath")) if isinstance(volume, dict) else None
        propagation = str(item.get("propagation") or "")
        read_only = truth(item.get("read_only"))
        yield Volume(kind, str(path), str(target), sub_path or "", read_only, decided(place, source), gap, propagation)
        if kind == "project-path" and gap is None:
            yield from self._brought(path, target, place)

    def _kind(self, item: Mapping[Any, Any], source: str) -> tuple[str, str]:
        kind = str(item.get("type") or "volume")
        if kind == "bind":
            return ("project-path" if item.get("scope") == "project" else "host-path"), source
        if kind == "volume":
            return self._named(source)
        return KINDS.get(kind, "other"), source if kind in KINDS else kind

    def _named(self, source: str) -> tuple[str, str]:
        """A named volume; one that its driver binds to a path of the host is that path."""
        declared = self.volumes.get(source)
        options = declared.get("driver_opts") if isinstance(declared, dict) else None
        if isinstance(options, dict) and "bind" in str(options.get("o", "")).split(","):
            device = scalar_text(options.get("device")) or ""
            relative = device.startswith(".")
            return ("project-path", join(self.directory, device)) if relative else ("host-path", device)
        return "named", source

    def _brought(self, path: str, target: str, place: Place) -> Iterator[ConfigFile | Gap]:
        """The configuration that a bind mount brings from the repository."""
        if self.sources.is_folder(path):
            names = [name for name in self.sources.entries(path) if _is_config(name)][:MAX_FILES]
            pairs = [(posixpath.join(path, name), posixpath.join(target, name)) for name in names]
        else:
            pairs = [(path, target)]
        for source, mounted_at in pairs:
            if file := self._file(source, mounted_at):
                yield file
            elif _is_config(source) and not self.sources.inside(source):
                yield Gap("config", source, ABSENT, "that file", place)

    def _file(self, path: str, target: str) -> ConfigFile | None:
        text = self.sources.text(path)
        if text is None or len(text) > MAX_CONFIG_BYTES:
            return None
        return ConfigFile(target, text, Place(path, 1, 1, text.count("\n") + 1), path)

    def _config(self, item: Mapping[Any, Any], place: Place) -> Iterator[Mounted]:
        name = scalar_text(item.get("source")) or ""
        target = scalar_text(item.get("target")) or f"/{name}"
        yield Volume("config", name, target, read_only=True, place=place)
        declared = self.configs.get(name)
        if not isinstance(declared, PlacedMap):
            return
        if content := inline(declared):
            yield ConfigFile(target, content.value or "", content.place, content.place.path if content.place else name)
        elif file := scalar_text(declared.get("file")):
            yield from self._brought(join(self.directory, file), target, place_of(declared, "file") or place)


def section(tree: PlacedMap, name: str) -> Mapping[Any, Any]:
    """A top-level section of a project, empty where it is none."""
    found = tree.get(name)
    return found if isinstance(found, dict) else {}


def _entries(service: PlacedMap, key: str) -> Sequence[tuple[Mapping[Any, Any], Place]]:
    found = items_of(service.get(key), service.place)
    return [entry for entry in found if isinstance(entry[0], dict)] if found else ()


def _secret(item: Mapping[Any, Any], place: Place) -> Volume:
    name = scalar_text(item.get("source")) or ""
    target = scalar_text(item.get("target")) or name
    return Volume("secret", name, posixpath.join("/run/secrets", target), read_only=True, place=place)


def _is_config(path: str) -> bool:
    name = posixpath.basename(path)
    return name in (".env", "Caddyfile") or posixpath.splitext(name)[1].lower() in CONFIG_SUFFIXES


def _usual(source: str) -> bool:
    """Whether all that is unknown of a path is where somebody's home is."""
    return isinstance(source, Interpolated) and not source.demanded and USUAL.issuperset(source.missing)


def inline(declared: PlacedMap) -> Setting | None:
    """The text that a config carries in the compose file itself, placed where its first line stands."""
    content = scalar_text(declared.get("content"))
    if content is None:
        return None
    return Setting("content", content, block_start(place_of(declared, "content") or declared.place))


def block_start(place: Place) -> Place:
    """Where the text of an entry begins: below its key if it is written as a block of lines."""
    return place._replace(line=place.line + 1) if place.end_line > place.line else place


def config_data(tree: PlacedMap) -> tuple[ConfigData, ...]:
    """The configs that a project carries inline."""
    found = []
    for name, declared in section(tree, "configs").items():
        if isinstance(declared, PlacedMap) and (content := inline(declared)):
            found.append(ConfigData(str(name), "", {"content": content}, declared.place))
    return tuple(found)
