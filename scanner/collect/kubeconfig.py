"""Credentials for a cluster: from a kubeconfig, or from the service account of the pod that llmscan runs in.

    BadTarget
    +-- BadKubeconfig        the file is missing, no YAML, or lacks the context: wrong usage
    +-- TargetUnreachable    the credentials or the server do not answer: the scan is incomplete

Both say one sentence for the user, which never repeats a token or what a credential plugin printed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from llmscan.collect.exec_plugin import TIMEOUT, PluginFailure, credentials
from llmscan.records import Record

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_STATIC = ("token", "tokenFile", "client-certificate", "client-certificate-data", "username")


class BadTarget(Exception):
    """There is no cluster to scan, for a reason that the user can mend."""


class BadKubeconfig(BadTarget):
    """The kubeconfig is missing, no YAML, or lacks what was asked for."""


class TargetUnreachable(BadTarget):
    """The target's credentials or the target itself do not answer."""


class ClusterOptions(Record, frozen=True):
    """What the user said: `--namespace` (repeatable), `--all-namespaces`, `--context`, `--kubeconfig`.

    plugin_timeout: seconds for a credential plugin.
    """

    namespaces: tuple[str, ...] = ()
    all_namespaces: bool = False
    context: str | None = None
    kubeconfig: str | None = None
    plugin_timeout: float = TIMEOUT


class Login(Record, frozen=True):
    """A way into a cluster. `configuration` is the Kubernetes client's; `namespace` is the context's default.

    headers: sent with every request, for those who act as somebody else (`as`, `as-groups` of a kubeconfig's user).
    """

    context: str
    namespace: str
    configuration: Any
    headers: tuple[tuple[str, str], ...] = ()


def log_in(options: ClusterOptions) -> Login:
    """Credentials as kubectl finds them: `--kubeconfig`, KUBECONFIG, ~/.kube/config, else the pod's service account.

    Raises BadKubeconfig and TargetUnreachable. A credential plugin may take up to 30 seconds.
    """
    paths = _paths(options.kubeconfig)
    asked = options.kubeconfig or options.context
    if not any(path.exists() for path in paths) and not asked and os.environ.get("KUBERNETES_SERVICE_HOST"):
        return _in_cluster()
    for path in paths:
        _check(path)
    if not any(path.exists() for path in paths):
        where = ", ".join(str(path) for path in paths)
        raise BadKubeconfig(f"There is no kubeconfig at {where}: name one with --kubeconfig or KUBECONFIG.")
    return _from_files([path for path in paths if path.exists()], options)


def context_name(options: ClusterOptions) -> str:
    """The context that would be used, without logging in; "in-cluster" where none is named. Raises BadKubeconfig."""
    paths = [path for path in _paths(options.kubeconfig) if path.exists()]
    for path in paths:
        _check(path)
    return options.context or _current_context(paths) or "in-cluster"


def _paths(named: str | None) -> list[Path]:
    if named:
        return [Path(named).expanduser()]
    listed = [part for part in os.environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    return [Path(part).expanduser() for part in listed or ["~/.kube/config"]]


def _check(path: Path) -> None:
    """Raises BadKubeconfig unless the file, where it exists, has the outline of a kubeconfig."""
    import yaml

    if not path.exists():
        return
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadKubeconfig(f"The kubeconfig {path} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise BadKubeconfig(f"The kubeconfig {path} is not YAML{place}.") from None
    if not isinstance(document, dict) or not all(_is_section(document, name) for name in _SECTIONS):
        raise BadKubeconfig(
            f"The file {path} is YAML, but no kubeconfig: it lacks lists of named contexts and clusters."
        )


_SECTIONS = {"contexts": "context", "clusters": "cluster", "users": "user"}


def _is_section(document: Mapping[str, Any], name: str) -> bool:
    rows = document.get(name) or []
    part = _SECTIONS[name]
    return isinstance(rows, list) and all(
        isinstance(row, dict) and "name" in row and isinstance(row.get(part) or {}, dict) for row in rows
    )


def _from_files(paths: list[Path], options: ClusterOptions) -> Login:
    from kubernetes.client.configuration import Configuration
    from kubernetes.config.config_exception import ConfigException

    loading = _untyped("kubernetes.config.kube_config")
    merged = loading.KubeConfigMerger(os.pathsep.join(str(path) for path in paths)).config
    chosen = options.context or _current_context(paths)
    if chosen is None:
        raise BadKubeconfig("The kubeconfig has no current-context: choose one with --context.")
    row = _named(merged.value["contexts"], chosen)
    if row is None:
        known = ", ".join(sorted(str(found.value["name"]) for found in merged.value["contexts"])) or "none"
        raise BadKubeconfig(f"The kubeconfig has no context {chosen}; its contexts are: {known}.")
    place = row.value.get("context") or {}
    configuration = Configuration()
    try:
        _resolve_user(merged.value, place, options.plugin_timeout)
        loading.KubeConfigLoader(merged, active_context=chosen, config_base_path=None).load_and_set(configuration)
    except ConfigException as error:
        raise BadKubeconfig(f"The context {chosen} cannot be used: {_first_line(error)}.") from error
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadKubeconfig(
            f"The credentials of the context {chosen} cannot be read ({type(error).__name__})."
        ) from None
    _choose_proxy(configuration, _named(merged.value["clusters"], place.get("cluster")))
    acting = _impersonation(_named(merged.value["users"], place.get("user")))
    return Login(chosen, str(place.get("namespace") or "default"), configuration, acting)


def _impersonation(row: Any) -> tuple[tuple[str, str], ...]:
    """The Kubernetes client ignores these settings, and would read as somebody who may see more than was meant."""
    user = (row.value.get("user") or {}) if row else {}
    single = [("Impersonate-User", user.get("as")), ("Impersonate-Uid", user.get("as-uid"))]
    groups = [("Impersonate-Group", group) for group in user.get("as-groups") or []]
    return tuple((name, str(value)) for name, value in [*single, *groups] if value)


def _untyped(module: str) -> Any:
    return import_module(module)


def _current_context(paths: list[Path]) -> str | None:
    """The first file that names one wins, as with kubectl; the Kubernetes client would take the last."""
    import yaml

    for path in paths:
        found = yaml.safe_load(path.read_text(encoding="utf-8")).get("current-context")
        if found:
            return str(found)
    return None


def _named(rows: list[Any], name: object) -> Any:
    return next((row for row in rows if row.value["name"] == name), None)


def _resolve_user(merged: Mapping[str, Any], place: Mapping[str, Any], timeout: float) -> None:
    """Replace what would run a command or ask a third party by the static credentials that it stands for."""
    row = _named(merged["users"], place.get("user"))
    user = (row.value.get("user") or {}) if row else {}
    if row:
        row.value["user"] = user
    provider = user.pop("auth-provider", None)
    if isinstance(provider, dict) and not any(user.get(key) for key in _STATIC):
        user |= _provided(provider)
    plugin = user.pop("exec", None)
    if isinstance(plugin, dict) and not any(user.get(key) for key in ("token", "tokenFile")):
        cluster = _named(merged["clusters"], place.get("cluster"))
        told = (cluster.value.get("cluster") or {}) if cluster else {}
        try:
            user |= credentials(plugin, told, Path(row.path).parent, timeout)
        except PluginFailure as failure:
            raise TargetUnreachable(f"No credentials for the cluster: {failure}.") from None


def _provided(provider: Mapping[str, Any]) -> dict[str, str]:
    settings = provider.get("config") or {}
    token = settings.get("id-token") or settings.get("access-token")
    if not token:
        name = provider.get("name")
        raise TargetUnreachable(f"The auth-provider {name} has no token: log in again, or use an exec plugin.")
    return {"token": str(token)}


def _choose_proxy(configuration: Any, cluster: Any) -> None:
    """A proxy-url of the kubeconfig holds without exceptions, one of the environment not for this machine itself."""
    if cluster and (cluster.value.get("cluster") or {}).get("proxy-url"):
        configuration.no_proxy = None
    elif is_loopback(configuration.host):
        configuration.proxy = None


def is_loopback(url: str) -> bool:
    """Whether a URL's host is this machine."""
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def _in_cluster() -> Login:
    from kubernetes.client.configuration import Configuration
    from kubernetes.config.config_exception import ConfigException

    configuration = Configuration()
    try:
        _untyped("kubernetes.config.incluster_config").load_incluster_config(client_configuration=configuration)
        namespace = (SERVICE_ACCOUNT / "namespace").read_text(encoding="utf-8").strip()
    except ConfigException as error:
        raise TargetUnreachable(f"The pod's service account cannot be used: {_first_line(error)}.") from error
    except OSError:
        namespace = "default"
    return Login("in-cluster", namespace or "default", configuration)


def _first_line(error: Exception) -> str:
    """The client's own sentence: it names files, sections and contexts, never a value."""
    return (str(error).splitlines() or ["unknown reason"])[0].rstrip(".")
