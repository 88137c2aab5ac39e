"""`llmscan demo`: the whole scan, of a cluster that this process itself serves."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from signal import SIGTERM, default_int_handler, signal
from threading import Event
from typing import Any

import click

from llmscan.commands.shared import emit, make_report

REPORTS = ("llmscan-report.html", "llmscan-report.sarif")
TOKEN = "demo"  # noqa: S105  (it opens nothing but the embedded server)


@click.command("demo")
@click.option("--serve", is_flag=True, help="Keep the embedded API server up, print its kubeconfig, and scan nothing.")
@click.option("--port", type=int, default=0, help="The port of the embedded API server; by default any that is free.")
def command(serve: bool, port: int) -> None:
    """Scan an embedded, deliberately misconfigured cluster, and write llmscan-report.html and llmscan-report.sarif.

    It exits 0 whatever it finds.
    """
    from llmscan.testing import ApiServer
    from llmscan.testing.demo import demo_objects

    with tempfile.TemporaryDirectory(prefix="llmscan-demo-") as folder:
        try:
            server = ApiServer(demo_objects(), token=TOKEN, port=port)
        except OSError as error:
            raise click.UsageError(f"cannot listen on port {port}: {error.strerror}") from None
        with server:
            path = server.write_kubeconfig(Path(folder) / "kubeconfig")
            _wait(server.url, path) if serve else _scan(path)


def _scan(kubeconfig: Path) -> None:
    from llmscan.collect.cluster import ClusterOptions
    from llmscan.commands.k8s import collection

    given: dict[str, Any] = {"outputs": REPORTS}
    options = ClusterOptions(("ai",), kubeconfig=str(kubeconfig))
    emit(make_report(lambda: collection(options, "demo"), given), given)


def _wait(url: str, kubeconfig: Path) -> None:
    """Until Ctrl-C or a TERM signal. The kubeconfig's path alone is standard output, so that scripts can take it."""
    print(f"{url} serves the demonstration cluster until Ctrl-C. Scan it with", file=sys.stderr)
    print(f"  llmscan k8s --namespace ai --kubeconfig {kubeconfig}", file=sys.stderr)
    signal(SIGTERM, default_int_handler)
    print(kubeconfig, flush=True)
    try:
        Event().wait()
    except KeyboardInterrupt:
        return
