"""Runs the credential plugin that a kubeconfig names (`exec`), with the limits that the Kubernetes client lacks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Json = dict[str, Any]

TIMEOUT = 30.0


class PluginFailure(Exception):
    """Why the plugin gave no credentials, in one sentence that repeats nothing of what it printed."""


def credentials(plugin: Mapping[str, Any], cluster: Mapping[str, Any], folder: Path, timeout: float) -> Json:
    """The kubeconfig user that the plugin stands for: a `token`, or a client certificate and its key as `-data`.

    plugin: the `exec` section. cluster: its `cluster` section, told to plugins that ask for it.
    folder: the kubeconfig's, to which a relative command belongs. Raises PluginFailure.
    """
    name = Path(str(plugin.get("command") or "")).name
    if not name or not plugin.get("apiVersion"):
        raise PluginFailure("the credential plugin in the kubeconfig lacks its command or its apiVersion")
    if plugin.get("interactiveMode") == "Always":
        raise PluginFailure(f"the credential plugin {name} wants a terminal (interactiveMode: Always)")
    printed = _run(name, _command(plugin, folder), _environment(plugin, cluster), timeout)
    return _user(name, printed, str(plugin["apiVersion"]))


def _command(plugin: Mapping[str, Any], folder: Path) -> list[str]:
    command = str(plugin["command"])
    if os.sep in command and not Path(command).is_absolute():
        command = str(folder / command)
    return [command, *(str(argument) for argument in plugin.get("args") or [])]


def _environment(plugin: Mapping[str, Any], cluster: Mapping[str, Any]) -> dict[str, str]:
    spec: Json = {"interactive": False}
    if plugin.get("provideClusterInfo"):
        spec["cluster"] = _cluster_info(cluster)
    asked = {"apiVersion": plugin["apiVersion"], "kind": "ExecCredential", "spec": spec}
    own = {str(row["name"]): str(row["value"]) for row in plugin.get("env") or []}
    return dict(os.environ) | own | {"KUBERNETES_EXEC_INFO": json.dumps(asked)}


def _cluster_info(cluster: Mapping[str, Any]) -> Json:
    told = ("server", "tls-server-name", "insecure-skip-tls-verify", "certificate-authority-data", "proxy-url")
    info = {key: cluster[key] for key in told if key in cluster}
    for extension in cluster.get("extensions") or []:
        if extension.get("name") == "client.authentication.k8s.io/exec":
            info["config"] = extension.get("extension")
    return info


def _run(name: str, command: list[str], environment: dict[str, str], timeout: float) -> bytes:
    """What the plugin printed. It gets no input, its complaints go nowhere, and it dies with its children."""
    try:
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        reason = "is not installed" if isinstance(error, FileNotFoundError) else "cannot be started"
        raise PluginFailure(f"the credential plugin {name} {reason}") from error
    try:
        printed, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        raise PluginFailure(f"the credential plugin {name} did not finish within {timeout:g} seconds") from None
    finally:
        _end(process)
    if process.returncode:
        raise PluginFailure(f"the credential plugin {name} failed with exit code {process.returncode}")
    return printed


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.stdout:
        process.stdout.close()


def _user(name: str, printed: bytes, api_version: str) -> Json:
    try:
        answer = json.loads(printed)
        status = answer["status"] if answer["kind"] == "ExecCredential" else {}
        spoken = answer["apiVersion"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise PluginFailure(f"the credential plugin {name} printed no ExecCredential") from None
    if spoken != api_version:
        raise PluginFailure(f"the credential plugin {name} does not speak the apiVersion that the kubeconfig names")
    return _static(name, status if isinstance(status, dict) else {})


def _static(name: str, status: Json) -> Json:
    user: Json = {}
    if status.get("token"):
        user["token"] = str(status["token"])
    if status.get("clientCertificateData") and status.get("clientKeyData"):
        user["client-certificate-data"] = b64encode(str(status["clientCertificateData"]).encode()).decode()
        user["client-key-data"] = b64encode(str(status["clientKeyData"]).encode()).decode()
    if not user:
        raise PluginFailure(f"the credential plugin {name} gave neither a token nor a client certificate with its key")
    return user
