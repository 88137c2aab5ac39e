"""`llmscan endpoint`: servers that run outside any container, known by their addresses alone."""

from __future__ import annotations

from typing import Any

import click

from llmscan.commands.shared import finish, host, scan_options


@click.command("endpoint")
@click.argument("urls", nargs=-1, metavar="URL...")
@click.option(
    "--from-file",
    type=click.File(encoding="utf-8"),
    help="Read more URLs from a file, one a line; - is standard input.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0.1, 600),
    default=30.0,
    show_default=True,
    help="Seconds for all requests to one endpoint.",
)
@click.option("--insecure", is_flag=True, help="Go on where a certificate cannot be verified.")
@click.option(
    "--ca-file",
    type=click.Path(exists=True, dir_okay=False),
    help="Verify certificates against the authorities in this file.",
)
@click.option("--use-env", is_flag=True, help="Take proxies and certificate authorities from the environment.")
@scan_options
def command(urls: tuple[str, ...], **given: Any) -> None:
    """Ask endpoints what they are, whom they let in, and which web pages may call them.

    Only GET, HEAD and OPTIONS requests are sent, only to routes that the catalogue calls safe, and never a credential.
    """
    from llmscan.probe.addresses import BadAddress, read_address, read_addresses
    from llmscan.probe.asking import Patience
    from llmscan.probe.endpoints import EndpointScan, ProbeOptions

    try:
        addresses = [*map(read_address, urls), *read_addresses(given["from_file"] or ())]
    except BadAddress as error:
        raise click.UsageError(str(error)) from None
    if not addresses:
        raise click.UsageError("give at least one URL, or --from-file")
    verify: bool | str = given["ca_file"] or not given["insecure"]
    options = ProbeOptions(Patience.within(given["timeout"]), verify, given["use_env"])
    scan = EndpointScan(addresses, host().products.values(), options)
    finish(scan.collect, given, scan.observed)
