"""The limits of a compose service, and where the engine puts what it prints."""

from __future__ import annotations

from typing import Any

from llmscan.collect.compose_forms import scalar_text
from llmscan.collect.compose_interpolation import gap_of
from llmscan.collect.compose_security import SAID_BY
from llmscan.collect.fields import UNSAID
from llmscan.model import Gap, Logging, Resources, Value
from llmscan.places import Place, PlacedMap, place_of

NAMES = {"cpus": "cpu", "memory": "memory", "pids": "pids"}
OLD_LIMITS = {"cpus": "cpu", "mem_limit": "memory", "pids_limit": "pids"}
OLD_REQUESTS = {"mem_reservation": "memory"}
OLD_KEYS = frozenset({*OLD_LIMITS, *OLD_REQUESTS, "gpus"})
GPU = "nvidia.com/gpu"


def logging_of(service: PlacedMap, place: Place) -> Logging:
    """The log driver and its options; no driver, and the service's place, where it says nothing."""
    node = service.get("logging")
    if not isinstance(node, PlacedMap):
        return Logging(place=place)
    at = place_of(service, "logging") or place
    options = node.get("options")
    texts = {str(key): scalar_text(value) or "" for key, value in options.items()} if isinstance(options, dict) else {}
    return Logging(_driver(node), texts, at)


def _driver(node: PlacedMap) -> Value[str]:
    driver = scalar_text(node.get("driver"))
    if not driver:
        return UNSAID
    place = place_of(node, "driver")
    gap = gap_of(driver, place)
    return Value(None, place, SAID_BY, gap) if gap else Value(str(driver), place, SAID_BY)


def resources_of(service: PlacedMap) -> Resources:
    """Limits and reservations, by `deploy` and by the older keys beside it."""
    deploy = service.get("deploy")
    node = deploy.get("resources") if isinstance(deploy, dict) else None
    if not isinstance(node, PlacedMap) and OLD_KEYS.isdisjoint(service):
        return Resources()
    given = node if isinstance(node, PlacedMap) else PlacedMap()
    limits = _picked(service, OLD_LIMITS) | _picked(given.get("limits"), NAMES)
    requests = _picked(service, OLD_REQUESTS) | _picked(given.get("reservations"), NAMES) | _gpus(service, given)
    place = node.place if isinstance(node, PlacedMap) else _old_place(service)
    return Resources(limits, requests, place, _gap((*limits.values(), *requests.values()), place))


def _picked(node: Any, names: dict[str, str]) -> dict[str, str]:
    if not isinstance(node, dict):
        return {}
    return {
        name: text for key, name in names.items() if key in node and (text := scalar_text(node[key])) and text != "0"
    }


def _old_place(service: PlacedMap) -> Place | None:
    keys = [key for key in (*OLD_LIMITS, *OLD_REQUESTS) if service.get(key) is not None]
    return place_of(service, keys[0]) if keys else None


def _gap(values: tuple[str, ...], place: Place | None) -> Gap | None:
    return next((gap for value in values if (gap := gap_of(value, place))), None)


def _gpus(service: PlacedMap, given: PlacedMap) -> dict[str, str]:
    """The GPUs that a service asks for, as a request of the resource that Kubernetes knows."""
    reservations = given.get("reservations")
    devices = reservations.get("devices") if isinstance(reservations, dict) else None
    if service.get("gpus") is not None:
        return {GPU: "all" if service["gpus"] == "all" else "1"}
    for device in devices if isinstance(devices, list) else ():
        wanted = device.get("capabilities") if isinstance(device, dict) else None
        if isinstance(wanted, list) and "gpu" in wanted:
            return {GPU: scalar_text(device.get("count")) or "all"}
    return {}
