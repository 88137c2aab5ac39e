"""`llmscan k8s`: a live cluster."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from llmscan.commands.probe_option import cluster_probe, probe_option
from llmscan.commands.shared import empty, finish, progress, scan_options

if TYPE_CHECKING:
    from llmscan.collect.cluster import Access, Cluster, ClusterOptions
    from llmscan.collection import Collection


@click.command("k8s")
@click.option("--namespace", "-n", "namespaces", multiple=True, help="A namespace to judge. May be repeated.")
@click.option("--all-namespaces", "-A", is_flag=True, help="Judge every namespace.")
@click.option("--context", help="The context of the kubeconfig to use.")
@click.option("--kubeconfig", metavar="FILE", help="The kubeconfig; else KUBECONFIG, ~/.kube/config, or the pod's own.")
@click.option(
    "--target-name", default="", metavar="NAME", help="What reports call the cluster; by default its context's name."
)
@click.option("--check-access", is_flag=True, help="Say what a scan may read, and scan nothing.")
@probe_option
@scan_options
def command(namespaces: tuple[str, ...], all_namespaces: bool, **given: Any) -> None:
    """Scan a live Kubernetes cluster: the namespace of the context, those that -n names, or all with -A.

    It only lists objects, and never Secrets; with --probe it also asks servers through the API server. docs/rbac.yaml has the permissions.
    """
    from llmscan.collect.cluster import ClusterOptions

    if namespaces and all_namespaces:
        raise click.UsageError("--namespace and --all-namespaces exclude each other")
    options = ClusterOptions(namespaces, all_namespaces, given["context"], given["kubeconfig"])
    if given["check_access"]:
        sys.exit(check_access(options))
    connected: list[Cluster] = []
    finish(lambda: collection(options, given["target_name"], connected), given, cluster_probe(given, connected))


def collection(options: ClusterOptions, target_name: str, connected: list[Cluster] | None = None) -> Collection:
    """What was read of a cluster; of one that cannot be reached, a failure that says so in one sentence.

    connected: takes the cluster, for probes that ask through it.
    """
    from llmscan.collect.cluster import BadKubeconfig, TargetUnreachable, connect, context_name, safe_name
    from llmscan.collect.live import collect_cluster
    from llmscan.findings import Failure, Target

    try:
        name = safe_name(target_name or context_name(options))
        progress(f"reading cluster {name}")
        cluster = connect(options)
        if connected is not None:
            connected.append(cluster)
        return collect_cluster(cluster, name)
    except BadKubeconfig as error:
        raise click.UsageError(str(error)) from None
    except TargetUnreachable as error:
        return empty(Target("kubernetes", name), Failure("target", name, str(error)))


def check_access(options: ClusterOptions) -> int:
    """Print what the caller may list. 0 where a scan would read everything, else 3."""
    from llmscan.collect.cluster import BadKubeconfig, TargetUnreachable, connect

    try:
        cluster = connect(options)
        rows = cluster.check_access()
    except BadKubeconfig as error:
        raise click.UsageError(str(error)) from None
    except TargetUnreachable as error:
        print(error, file=sys.stderr)
        return 3
    print("\n".join(access_table(rows)))
    return 0 if all(row.allowed for row in rows) else 3


def access_table(rows: Iterable[Access]) -> list[str]:
    """A line for each permission, those that are missing marked, and a sum."""
    told = [(row.resource + (f".{row.group}" if row.group else ""), _where(row), row.allowed) for row in rows]
    wide = max(len(name) for name, _, _ in told)
    wider = max(len(where) for _, where, _ in told)
    lines = [f"{'list':<{wide}}  {'where':<{wider}}  allowed"]
    lines += [f"{name:<{wide}}  {where:<{wider}}  {'yes' if allowed else 'NO'}" for name, where, allowed in told]
    missing = sum(not allowed for _, _, allowed in told)
    if missing:
        lines.append(f"\n{missing} of {len(told)} permissions are missing: what rests on them will be unknown.")
        lines.append("docs/rbac.yaml has a Role and a ClusterRole that grant them.")
    else:
        lines.append(f"\nAll {len(told)} permissions are there: a scan reads everything.")
    return lines


def _where(row: Access) -> str:
    return f"namespace {row.namespace}" if row.namespace else "everywhere"
