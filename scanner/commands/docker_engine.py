"""`llmscan docker`: a live container engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from llmscan.commands.probe_option import probe_option, published_probe
from llmscan.commands.shared import empty, finish, progress, scan_options

if TYPE_CHECKING:
    from llmscan.collect.engine import EngineOptions
    from llmscan.collection import Collection


@click.command("docker")
@click.option(
    "--container",
    "containers",
    multiple=True,
    metavar="NAME",
    help="A container to scan, by name or id. May be repeated.",
)
@click.option(
    "--label", "labels", multiple=True, metavar="KEY[=VALUE]", help="Scan containers with this label. May be repeated."
)
@click.option("--compose-project", metavar="NAME", help="Scan the containers of this compose project.")
@click.option("--all", "-a", "stopped", is_flag=True, help="Scan stopped containers too.")
@click.option("--context", help="The docker context to use.")
@click.option(
    "--host",
    "-H",
    metavar="URL",
    help="The engine's address; else DOCKER_HOST, the context, the local socket, Podman's.",
)
@click.option(
    "--target-name", default="", metavar="NAME", help="What reports call the engine; by default its context's name."
)
@probe_option
@scan_options
def command(containers: tuple[str, ...], labels: tuple[str, ...], **given: Any) -> None:
    """Scan a live Docker or Podman engine: all running containers, or those that are chosen. Nothing is changed.

    With --probe it also asks the servers that run there, through the ports that are published.
    """
    from llmscan.collect.engine import EngineOptions

    options = EngineOptions(
        containers, labels, given["compose_project"], given["stopped"], given["context"], given["host"]
    )
    probe = published_probe(given, lambda: engine_host(options))
    finish(lambda: collection(options, given["target_name"]), given, probe)


def engine_host(options: EngineOptions) -> str:
    """Where the engine publishes ports, as seen from here."""
    from urllib.parse import urlsplit

    from llmscan.collect.engine_address import find_engine

    address = find_engine(options.context, options.host)
    return "127.0.0.1" if address.local else urlsplit(address.url).hostname or "127.0.0.1"


def collection(options: EngineOptions, target_name: str) -> Collection:
    """What was read of an engine; of one that does not answer, a failure that says so in one sentence."""
    from llmscan.collect.engine import read_engine
    from llmscan.collect.errors import TargetUnreachable
    from llmscan.collection import Collection
    from llmscan.findings import Failure, Target

    progress("reading the container engine")
    try:
        listing = read_engine(options)
    except TargetUnreachable as error:
        name = target_name or options.context or "local"
        return empty(Target("docker", name), Failure("target", name, str(error)))
    return Collection(
        Target("docker", target_name or listing.name),
        listing.stacks,
        listing.failures,
        listing.gaps,
        objects=sum(len(stack.workloads) for stack in listing.stacks),
        live=True,
    )
