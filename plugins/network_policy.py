"""Network policies: whether anything limits who may reach a workload."""

from __future__ import annotations

from collections.abc import Iterator

from llmscan import Evidence, Resource, Rule, Scan, Severity, Verdict, Workload, fail, hookimpl, passed, rule, unknown

REFS = ("CWE-923", "CIS-Kubernetes-2.0.1:5.3.2", "NSA-CISA-K8s-1.2:network", "AISVS-1.0:C4")


@rule("NET001", "No network policy", Severity.LOW, category="missing-network-policy", refs=REFS)
def no_policy(workload: Workload, scan: Scan) -> Iterator[Verdict]:
    """Every pod of the cluster can reach every port of this one; one compromised workload is enough to try them all.

    Add a NetworkPolicy that denies ingress to the namespace, and one that admits the callers that need it. The cluster's network plugin must
    enforce them.
    """
    if not workload.orchestrated or not workload.containers:
        return
    if any(policy.ingress is not None for policy in scan.links.policies_of(workload)):
        yield passed()
        return
    unseen = scan.unseen("networkpolicies.networking.k8s.io")
    if unseen:
        what = f"Whether a network policy limits who may reach {workload.kind} '{workload.name}' is not known."
        yield unknown(what, *unseen, setting="network policy")
        return
    stack = scan.stack
    namespace = Resource("Namespace", workload.namespace) if stack.declared_namespace else None
    yield fail(
        f"No network policy limits who may reach {workload.kind} '{workload.name}'.",
        place=stack.declared_namespace or (workload.place.start if workload.place else None), setting="network policy",
        resource=namespace, evidence=Evidence.DEFAULT,
    )  # fmt: skip


@hookimpl
def llmscan_rules() -> list[Rule]:
    """The rules of this family."""
    return [no_policy]
