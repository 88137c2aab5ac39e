"""Volumes of pods: what they are, and the files that they bring."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from llmscan.collect.fields import items, mapping
from llmscan.model import ConfigData, ConfigFile, Volume
from llmscan.places import Place, place_of


def config_references(definition: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The ConfigMaps and Secrets that a volume is filled from; those of Secrets are marked `_secret`."""
    if isinstance(definition.get("configMap"), dict):
        yield definition["configMap"]
    if isinstance(definition.get("secret"), dict):
        yield definition["secret"] | {"_secret": True}
    for source in items(mapping(definition, "projected"), "sources"):
        if isinstance(source, dict):
            if isinstance(source.get("configMap"), dict):
                yield source["configMap"]
            if isinstance(source.get("secret"), dict):
                yield source["secret"] | {"_secret": True}


def mounted(config: ConfigData, reference: Mapping[str, Any], volume: Volume) -> Iterator[ConfigFile]:
    """The files that a ConfigMap becomes where a container mounts it."""
    paths = {str(i.get("key")): str(i.get("path")) for i in items(reference, "items") if isinstance(i, dict)}
    for key, setting in config.entries.items():
        if paths and key not in paths:
            continue
        name = paths.get(key, key)
        if volume.sub_path and volume.sub_path != name:
            continue
        path = volume.mounted_at if volume.sub_path else f"{volume.mounted_at.rstrip('/')}/{name}"
        yield ConfigFile(path, setting.value or "", setting.place, f"ConfigMap '{config.name}'")


def volume_kind(definition: Mapping[str, Any], name: str) -> tuple[str, str, Place | None]:
    """The kind, source and place of a volume, as `Volume` names them."""
    for key in definition:
        if key == "name" or definition.get(key) is None:
            continue
        body, place = definition.get(key), place_of(definition, key)
        if key == "hostPath":
            return "node-path", str(mapping(definition, key).get("path", "")), place_of(body, "path") or place
        if key == "configMap":
            return "config", str(mapping(definition, key).get("name", "")), place
        if key == "secret":
            return "secret", str(mapping(definition, key).get("secretName", "")), place
        if key == "emptyDir":
            return ("memory" if mapping(definition, key).get("medium") == "Memory" else "empty"), name, place
        if key == "persistentVolumeClaim":
            return "claim", str(mapping(definition, key).get("claimName", "")), place
        if key == "projected":
            return "config", name, place
        return "other", str(key), place
    return "claim" if not definition else "empty", name, None
