"""`--probe`, for commands that scan something live."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from llmscan.collect.cluster import Cluster
    from llmscan.probe.observation import Observations
    from llmscan.rule_view import Scan


def probe_option(function: Callable[..., None]) -> Callable[..., None]:
    """The option `--probe`: off unless it is given."""
    option = click.option(
        "--probe",
        is_flag=True,
        help="Ask the servers that run there as well: only what the catalogue calls safe, by GET, HEAD and OPTIONS.",
    )
    return option(function)


def published_probe(given: dict[str, Any], host: Callable[[], str]) -> Callable[[Scan], Observations] | None:
    """What `finish` takes as probe for an engine's published ports; None without `--probe`. host: says where the engine runs, seen from here."""
    if not given.get("probe"):
        return None
    from llmscan.commands.shared import host as plugins
    from llmscan.probe.endpoints import ProbeOptions
    from llmscan.probe.live import published_ports

    return lambda scan: published_ports(plugins().products.values(), ProbeOptions(), host())(scan)


def cluster_probe(given: dict[str, Any], connected: list[Cluster]) -> Callable[[Scan], Observations] | None:
    """What `finish` takes as probe for a cluster; None without `--probe`. connected: holds the cluster once it is connected to."""
    if not given.get("probe"):
        return None
    from llmscan.commands.shared import host as plugins
    from llmscan.probe.endpoints import ProbeOptions
    from llmscan.probe.live import through_cluster

    return lambda scan: through_cluster(connected[0], plugins().products.values(), ProbeOptions())(scan)
