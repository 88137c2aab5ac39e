"""Resource limits: whether one service can take its host's memory from all others."""

from __future__ import annotations

from collections.abc import Iterator

from llmscan import Container, Rule, Scan, Severity, Verdict, fail, hookimpl, passed, rule, unknown

REFS = ("CWE-770", "LLM06:2026", "AML.T0029", "CIS-Docker-1.6.0:5.11")


@rule("RES001", "No memory limit", Severity.LOW, category="no-resource-limits", refs=REFS)
def no_memory_limit(container: Container, scan: Scan) -> Iterator[Verdict]:
    """A long prompt, a leak or many callers at once take the memory of everything else on the host. A GPU limit does not limit memory.

    Set a memory limit (`resources.limits.memory`, `mem_limit`, `deploy.resources.limits.memory`) with room for the model.
    """
    if container.role != "regular":
        return
    resources = container.resources
    if "memory" in resources.limits:
        yield passed()
    elif resources.gap is not None:
        yield unknown(
            f"Whether container '{container.name}' has a memory limit is not known.",
            resources.gap,
            place=resources.place,
            setting="memory limit",
        )
    else:
        yield fail(f"Container '{container.name}' has no memory limit.", place=resources.place, setting="memory limit")


@hookimpl
def llmscan_rules() -> list[Rule]:
    """The rules of this family."""
    return [no_memory_limit]
