"""The container engine itself: whether its API is open to more than those who own the host."""

from __future__ import annotations

from collections.abc import Iterator

from llmscan import Evidence, Rule, Scan, Severity, Stack, Verdict, fail, hookimpl, passed, rule


@rule(
    "ENG001",
    "Engine API open over TCP without TLS",
    Severity.CRITICAL,
    category="host-access",
    refs=("CWE-306", "CIS-Docker-1.6.0:2.7", "AML.T0105"),
)
def engine_api_without_tls(stack: Stack, scan: Scan) -> Iterator[Verdict]:
    """Whoever reaches the engine's port starts a privileged container on the host: no credential is asked for.

    Take `tcp://` out of the daemon's hosts, or set `tlsverify` with a client CA; reach a remote engine over ssh.
    """
    engine = stack.engine
    if engine.tcp_without_tls.value:
        yield fail(
            f"The engine's API answers on {engine.tcp_without_tls.value} without asking for a client certificate.",
            setting="engine tcp", evidence=Evidence.OBSERVED,
        )  # fmt: skip
    elif engine.name:
        yield passed()


@hookimpl
def llmscan_rules() -> list[Rule]:
    """The rules of this family."""
    return [engine_api_without_tls]
