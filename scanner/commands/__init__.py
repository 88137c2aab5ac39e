"""The commands of the command line, one module each."""

from __future__ import annotations

import click

from llmscan.commands.shared import LazyGroup
from llmscan.version import __version__


@click.group(
    cls=LazyGroup,
    commands_in={
        "k8s": "llmscan.commands.k8s:command",
        "docker": "llmscan.commands.docker_engine:command",
        "files": "llmscan.commands.files:command",
        "endpoint": "llmscan.commands.endpoint:command",
        "demo": "llmscan.commands.demo:command",
        "rules": "llmscan.commands.catalogue:rules",
        "products": "llmscan.commands.catalogue:products",
        "plugins": "llmscan.commands.catalogue:plugins",
    },
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
@click.version_option(__version__, "-V", "--version", message="llmscan %(version)s")
def group() -> None:
    """Find what is misconfigured in self-hosted language model deployments, and how to mend it.

    Exit codes: 0 nothing at or above --fail-on; 1 something is; 2 wrong usage; 3 incomplete (a plugin failed, an input could not be read,
    the target could not be reached, or nothing was found to scan).
    """
