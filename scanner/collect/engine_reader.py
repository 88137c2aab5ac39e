"""Asks an engine for what a scan needs, and keeps a sentence for everything that it did not get."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from llmscan.collect.engine_connection import EngineConnection, EngineRefusal
from llmscan.collect.engine_container import Inspected
from llmscan.collect.engine_facts import EngineFacts, engine_facts
from llmscan.collect.engine_json import Json, as_list, as_map, as_text, plain, text_map, texts
from llmscan.collect.errors import TargetUnreachable
from llmscan.findings import Failure
from llmscan.model import Gap, Network
from llmscan.records import Record

MAX_SILENCES = 3
"""Questions in a row that an engine may leave unanswered before it is asked no more."""
SWARM_SERVICE = "com.docker.swarm.service.id"


class Summary(Record, frozen=True):
    """One line of the engine's list of containers."""

    id: str
    name: str
    labels: Mapping[str, str]
    running: bool
    image: str


class EngineReader:
    """One scan's questions. `gaps`: what the engine refused or no longer had; `failures`: what it did not answer as it should."""

    def __init__(self, connection: EngineConnection) -> None:
        self._connection = connection
        self._images: dict[str, Json | None] = {}
        self._services: dict[str, Json] = {}
        self._silences = 0
        self.gaps: list[Gap] = []
        self.failures: list[Failure] = []

    def summaries(self) -> list[Summary]:
        """All containers, running or not, by name. Raises TargetUnreachable: without this list there is nothing to scan."""
        try:
            listed = self._connection.get("/containers/json", all="1")
        except EngineRefusal as refusal:
            raise TargetUnreachable(f"The engine does not list its containers: it {refusal.why}.") from None
        if not isinstance(listed, list):
            raise TargetUnreachable("The engine does not list its containers: its answer is no list.")
        return sorted(map(_summary, map(as_map, listed)), key=lambda item: (item.name, item.id))

    def facts(self) -> EngineFacts:
        """The engine's own settings, as far as it tells them."""
        info = as_map(self._ask("the engine's own settings", "/info"))
        volumes = as_map(self._ask("the list of volumes", "/volumes"))
        return engine_facts(info, self._connection.version, volumes, self._connection.address.plain_tcp)

    def networks(self) -> dict[str, Network]:
        """The container networks by name."""
        listed = map(as_map, as_list(self._ask("the list of networks", "/networks")))
        names = ((plain(as_text(item.get("Name"))), item) for item in listed)
        return {name: Network(name, item.get("Internal") is True) for name, item in names}

    def inspect(self, chosen: Iterable[Summary], facts: EngineFacts) -> Iterator[Inspected]:
        """Each of the chosen containers that the engine describes."""
        for summary in chosen:
            if self._silences >= MAX_SILENCES:
                self.failures.append(
                    Failure("target", f"container {summary.name}", "was not asked for: the engine stopped answering")
                )
                continue
            container = as_map(self._ask(f"container {summary.name}", "/containers", summary.id, "json"))
            if container:
                yield Inspected(container, self._image(container), facts, self._swarm_ports(container))

    def _ask(self, what: str, *path: str) -> Any:
        """The reply, or None with a note why there is none."""
        try:
            reply = self._connection.get(*path)
        except EngineRefusal as refusal:
            self._silences = self._silences + 1 if refusal.hung else 0
            self._note(what, refusal)
            return None
        self._silences = 0
        return reply

    def _note(self, what: str, refusal: EngineRefusal) -> None:
        """What is gone or forbidden is a gap of the scan; what did not work is a failure."""
        if refusal.status == 404:
            self.gaps.append(Gap("api", what, "was gone before it could be read"))
        elif refusal.status in (401, 403):
            self.gaps.append(Gap("api", what, "may not be read: the engine refuses access"))
        else:
            self.failures.append(Failure("target", what, f"was not read: the engine {refusal.why}"))

    def _image(self, container: Json) -> Json | None:
        """The container's image; the name in the note is the one that it was started with."""
        identity = as_text(container.get("Image"))
        if identity and identity not in self._images:
            started_as = plain(as_text(as_map(container.get("Config")).get("Image")) or identity)
            reply = self._ask(f"image {started_as}", "/images", identity, "json")
            self._images[identity] = reply if isinstance(reply, dict) else None
        return self._images.get(identity)

    def _swarm_ports(self, container: Json) -> tuple[Json, ...]:
        """The ports that a swarm publishes for the service of this container: they stand in no container."""
        service = text_map(as_map(container.get("Config")).get("Labels")).get(SWARM_SERVICE)
        if not service:
            return ()
        if service not in self._services:
            self._services[service] = as_map(self._ask(f"swarm service {plain(service)}", "/services", service))
        endpoint = as_map(self._services[service].get("Endpoint"))
        return tuple(port for port in map(as_map, as_list(endpoint.get("Ports"))) if port.get("PublishMode") != "host")


def _summary(item: Json) -> Summary:
    """One entry of the list; of its names, the links that other containers have for it are left out."""
    identity = as_text(item.get("Id"))
    names = [name.removeprefix("/") for name in texts(item.get("Names"))]
    own = next((name for name in names if name and "/" not in name), identity[:12])
    running = as_text(item.get("State")) in ("running", "paused", "restarting")
    return Summary(identity, plain(own), text_map(item.get("Labels")), running, plain(as_text(item.get("Image"))))
