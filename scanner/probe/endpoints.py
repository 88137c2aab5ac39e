"""Endpoints by their addresses: many asked at the same time, each made a workload of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from msgspec import field

from llmscan.collection import Collection
from llmscan.findings import Failure, Target
from llmscan.model import Container, Port, Stack, Workload
from llmscan.probe.addresses import Address, reach_of
from llmscan.probe.asking import Patience
from llmscan.probe.direct import Direct
from llmscan.probe.examination import examine
from llmscan.probe.identification import Askable
from llmscan.probe.observation import SILENT, Observation, Observations
from llmscan.products import Product
from llmscan.records import Record
from llmscan.rule_view import Scan


class ProbeOptions(Record, frozen=True):
    """How to ask. verify: whether to verify certificates, or the path of a file of authorities."""

    patience: Patience = field(default_factory=Patience)
    verify: bool | str = True
    use_env: bool = False


class EndpointScan:
    """Asks endpoints, and gives what a scan takes: a collection, and what was seen."""

    def __init__(self, addresses: Iterable[Address], products: Iterable[Product], options: ProbeOptions) -> None:
        self._addresses = tuple(dict.fromkeys(addresses))
        self._askable, self._options = Askable(products), options
        self._found: list[Observation] = []

    def collect(self) -> Collection:
        """Ask every endpoint. Those that give no usable answer are failures."""
        found = self._found = each(self._addresses, self._ask, self._options.patience.at_once)
        workloads = tuple(_workload(address) for address in self._addresses)
        silent = [seen for seen in found if seen.outcome == SILENT]
        name = "; ".join(address.name for address in self._addresses[:3]) + (" ..." if len(self._addresses) > 3 else "")
        return Collection(
            Target("endpoints", name),
            (Stack("endpoints", "endpoints", workloads),),
            tuple(Failure("target", seen.url, seen.because) for seen in silent),
            live=True,
        )

    def observed(self, scan: Scan) -> Observations:
        """What was seen, by the containers of the scan's stack."""
        pairs = zip(scan.containers(), self._found, strict=True)
        return Observations({(id(container), seen.port): seen for (_, container), seen in pairs})

    def _ask(self, address: Address) -> Observation:
        options = self._options
        asker = Direct(address.url, options.patience, verify=options.verify, use_env=options.use_env)
        try:
            reach = reach_of(address.host, options.patience.connect)
            return examine(asker, address.url, address.port, reach, self._askable)
        finally:
            asker.close()


def _workload(address: Address) -> Workload:
    container = Container(address.name, None, ports=(Port(address.port),))
    return Workload("endpoint", address.name, containers=(container,), orchestrated=False)


def each(items: Sequence[Any], ask: Callable[[Any], Observation], at_once: int) -> list[Observation]:
    """Ask many things at the same time; the answers in the order of the things."""
    if not items:
        return []
    with ThreadPoolExecutor(max_workers=max(1, min(at_once, len(items))), thread_name_prefix="probe") as pool:
        return list(pool.map(ask, items))
