"""`llmscan files`: the deployment files of a repository."""

from __future__ import annotations

import os
from typing import Any

import click

from llmscan.commands.shared import finish, host, scan_options


@click.command("files")
@click.argument("paths", nargs=-1, required=True)
@click.option(
    "--exclude",
    multiple=True,
    metavar="PATTERN",
    help="Leave out what matches, in gitignore's syntax. May be repeated.",
)
@click.option(
    "--env",
    "env_names",
    multiple=True,
    metavar="NAME",
    help="Let compose files see this variable of the environment. May be repeated.",
)
@click.option("--profile", "profiles", multiple=True, help="A compose profile to take as active. May be repeated.")
@click.option(
    "--values", "-f", "values", multiple=True, metavar="FILE", help="A values file for charts. May be repeated."
)
@click.option("--set", "set_values", multiple=True, metavar="KEY=VALUE", help="A value for charts. May be repeated.")
@click.option("--release-name", default="", help="The release name for charts; by default the chart's own name.")
@click.option("--kube-version", default="", help="The Kubernetes version that charts are rendered for.")
@scan_options
def command(paths: tuple[str, ...], **given: Any) -> None:
    """Scan deployment files: Kubernetes YAML, Kustomize, Helm charts, compose files."""
    from llmscan.collect.files import FilesOptions, collect_files

    options = FilesOptions(
        exclude=given["exclude"],
        env={name: os.environ[name] for name in given["env_names"] if name in os.environ},
        profiles=given["profiles"],
        values=given["values"],
        set_values=given["set_values"],
        release_name=given["release_name"],
        kube_version=given["kube_version"],
    )
    finish(lambda: collect_files(paths, options, host(), parts=True), given)
