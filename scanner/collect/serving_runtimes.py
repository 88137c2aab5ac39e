"""What KServe starts for an InferenceService that names a model alone: the container of a ServingRuntime that stands beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from llmscan.collect.fields import items, mapping
from llmscan.places import Place, PlacedList, PlacedMap, place_of

Resource = Mapping[str, Any]
Runtimes = Mapping[str, Resource]
KINDS = ("ServingRuntime", "ClusterServingRuntime")


def runtimes_of(resources: Iterable[Resource]) -> Runtimes:
    """The serving runtimes among some resources, by name."""
    return {
        str(mapping(resource, "metadata").get("name")): mapping(resource, "spec")
        for resource in resources
        if resource["kind"] in KINDS
    }


def started(container: Resource, model: Resource, runtimes: Runtimes) -> Resource:
    """The container of a model: its runtime's, with what the model adds; as it is where no runtime is there to read."""
    base = _container(_chosen(model, runtimes))
    if not base:
        return container
    result = PlacedMap({**base, **container})
    result.place = place_of(model) or Place("", 0, 0, 0)
    result.places = {key: place for key in result if (place := _entry_place(key, container, model, base))}
    result.tags = None
    for key in ("args", "env"):
        if key in base and key in container:
            result[key] = _after(base[key], container[key])
    result.pop("volumeMounts", None)
    return result if place_of(model) is not None else dict(result)


def _entry_place(key: str, container: Resource, model: Resource, base: Resource) -> Place | None:
    return place_of(model, key) if key in container and key in model else place_of(base, key)


def _chosen(model: Resource, runtimes: Runtimes) -> Resource:
    """The runtime that a model names, or the only one that says that it takes such models by itself."""
    name = model.get("runtime")
    if isinstance(name, str) and name:
        return runtimes.get(name, {})
    wanted = mapping(model, "modelFormat").get("name")
    fitting = [
        spec
        for spec in runtimes.values()
        if any(
            isinstance(one, dict) and one.get("name") == wanted and one.get("autoSelect") is True
            for one in items(spec, "supportedModelFormats")
        )
    ]
    return fitting[0] if len(fitting) == 1 else {}


def _container(runtime: Resource) -> Resource:
    containers = [one for one in items(runtime, "containers") if isinstance(one, dict)]
    return next(
        (one for one in containers if one.get("name") == "kserve-container"), containers[0] if containers else {}
    )


def _after(first: Any, second: Any) -> Any:
    """Two lists as one, each item keeping its place."""
    if not isinstance(first, PlacedList) or not isinstance(second, PlacedList):
        return [*first, *second]
    result = PlacedList([*first, *second])
    result.place, result.places, result.tags = first.place, [*first.places, *second.places], None
    return result
