from llmscan import Severity, Workload, fail, hookimpl, rule


@rule("ACME001", "Workload without an owner", Severity.LOW, category="ownership")
def has_no_owner(workload: Workload, scan):
    """Nobody is called when it fails or is attacked.

    Add the label acme.example/owner with the name of a team.
    """
    if "acme.example/owner" not in workload.labels:
        yield fail(f"{workload.kind} '{workload.name}' has no owner.")


@hookimpl
def llmscan_rules():
    return [has_no_owner]
