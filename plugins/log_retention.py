"""Missing log retention: logs that are switched off, unbounded, lost with the pod, or kept for less than is asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from llmscan import (
    Container,
    Evidence,
    Found,
    Gap,
    Option,
    Resource,
    Rule,
    Running,
    Scan,
    Severity,
    Stack,
    Verdict,
    fail,
    hookimpl,
    passed,
    rule,
    unknown,
)
from llmscan.decisions import holds
from llmscan.places import line_within

CATEGORY = "no-log-retention"
REFS = ("CWE-778", "AISVS-1.0:C12", "EU-AI-Act-2024/1689:19(1)", "EU-AI-Act-2024/1689:26(6)")
DAYS = Option(
    "log_retention_days", int, 180,
    "Days that logs must be kept. 180 is the floor of EU AI Act art. 19(1) and 26(6), which binds high-risk systems from 2 December 2027.",
)  # fmt: skip
REMOTE_DRIVERS = frozenset(
    {"syslog", "gelf", "fluentd", "awslogs", "splunk", "gcplogs", "etwlogs", "journald", "loki", "logentries"}
)
DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w|M|y)?")
LIFECYCLE = re.compile(r"[\"']?(?:phases|ism_template|default_state)[\"']?\s*:")
LIFECYCLE_DELETES = re.compile(
    r"[\"']?delete[\"']?\s*:\s*\{?\s*[\"']?min_age[\"']?\s*:\s*[\"']?(?P<age>\d+[dhm])"
    r"|[\"']?min_index_age[\"']?\s*:\s*[\"']?(?P<ism>\d+[dhm])"
)
"""The delete phase of an index lifecycle policy, or the age at which a state policy moves on."""
IN_DAYS: Mapping[str, float] = {
    "ms": 1 / 86_400_000,
    "s": 1 / 86_400,
    "m": 1 / 1440,
    "h": 1 / 24,
    "d": 1,
    "w": 7,
    "M": 30,
    "y": 365,
}


@rule("LOG001", "Container logs are switched off", Severity.MEDIUM, category=CATEGORY, refs=REFS)
def logs_off(container: Container, scan: Scan) -> Iterator[Verdict]:
    """After an incident nobody can tell who called the model, when, and from where.

    Remove `driver: none`; use `json-file` or `local` with bounds, and ship the logs to a store.
    """
    if container.logging is None:
        return
    if container.logging.driver.value == "none":
        place = container.logging.driver.place or container.logging.place
        yield fail(
            f"Container '{container.name}' throws away what it prints (logging driver 'none').",
            place=place,
            setting="logging driver",
        )
    else:
        yield passed()


@rule("LOG002", "Container logs have no bounds and no home", Severity.LOW, category=CATEGORY, refs=("CWE-770", *REFS))
def logs_unbounded(container: Container, scan: Scan) -> Iterator[Verdict]:
    """The engine's default driver keeps logs without limit in the container's folder: they fill the disk, and go when the container is removed.

    Set `logging` with a driver and its bounds (`max-size`, `max-file`), or a driver that ships logs to a store.
    """
    logging = container.logging
    if logging is None or logging.driver.value == "none":
        return
    engine = scan.stack.engine
    driver = logging.driver.value or engine.log_driver.value or "json-file"
    options = logging.options or (engine.log_options if not logging.driver.value else {})
    if driver in REMOTE_DRIVERS or driver == "local" or "max-size" in options:
        yield passed()
    elif driver == "json-file":
        declared = bool(logging.driver.value)
        where = "sets no logging options" if not declared else "uses json-file without max-size"
        yield fail(
            f"Container '{container.name}' {where}: its logs grow without limit and are lost with it.",
            place=logging.driver.place if declared else None,
            evidence=Evidence.DECLARED if declared or engine.log_driver.value else Evidence.DEFAULT,
            setting="logging",
        )


@rule("LOG003", "No log collector in the cluster", Severity.MEDIUM, category=CATEGORY, refs=REFS)
def no_collector(stack: Stack, scan: Scan) -> Iterator[Verdict]:
    """The kubelet keeps a few megabytes of each container's output, and drops it with the pod: without a collector logs are gone when needed.

    Run a collector on every node (Fluent Bit, Vector, Grafana Alloy, the OpenTelemetry Collector, or your cloud's agent) and a store that
    keeps what it ships.
    """
    if not any(workload.orchestrated for workload in stack.workloads):
        return
    unseen = scan.unseen("pods", "daemonsets.apps")
    if any(_collects(scan.products_of(container)) for _, container in scan.containers()) or _collector_around(scan):
        yield passed()
    elif unseen:
        yield unknown(
            "Whether anything in the cluster collects container logs is not known.", *unseen, setting="collector"
        )
    elif stack.surroundings.seen:
        yield fail(
            "No workload of the cluster is known to collect container logs.",
            setting="collector",
            evidence=Evidence.DEFAULT,
        )
    else:
        gap = Gap(
            "file",
            "log collection",
            "is set up for a whole cluster and not in these files",
            "a scan of the live cluster, or the collector's manifests",
        )
        yield unknown("Whether anything keeps the logs of these workloads is not known.", gap, setting="collector")


def _collects(products: Iterable[Running]) -> bool:
    return any("collects-logs" in running.product.roles for running in products)


def _collector_around(scan: Scan) -> bool:
    """Whether any image that the cluster runs is that of a collector."""
    return any(_collects(scan.catalogue.of_image(image)) for image, _ in scan.stack.surroundings.images)


@rule("LOG004", "Logs are kept for too short a time", Severity.MEDIUM, category=CATEGORY, refs=REFS, options=(DAYS,))
def kept_too_short(container: Container, scan: Scan) -> Iterator[Verdict]:
    """Logs that are gone before anybody asks for them answer nothing; for high-risk AI systems six months are the law's floor from 2 December 2027.

    Raise the store's retention to the days that you must keep, or lower `--log-retention-days` where less is right for you.
    """
    wanted = int(scan.options.log_retention_days)
    for running in scan.products_of(container):
        facts = running.product.facts.get("retention")
        if not facts or container.role == "init":
            continue
        found = _retention(facts, running, container, scan)
        if found is None:
            continue
        setting, days = found
        if days is None:
            gap = setting.gap or Gap("config", f"the retention of {running.name}", "was not read", "its configuration")
            yield unknown(
                f"How long {running.name} keeps logs is not known.", gap, setting="retention", product=running
            )
        elif days < wanted:
            yield fail(
                f"{running.name} keeps logs for {days:g} days, and {wanted} are asked for ({setting.name}).",
                place=setting.place, setting="retention", product=running,
                evidence=Evidence.DECLARED if setting.declared else Evidence.DEFAULT,
            )  # fmt: skip
        else:
            yield passed()


def _retention(
    facts: Mapping[str, Any], running: Running, container: Container, scan: Scan
) -> tuple[Found, float | None] | None:
    reading = scan.reading(running, container)
    unseen: Found | None = None
    for entry in facts.get("settings", ()):
        if holds({"when": entry.get("when", {})}, reading).truth is False:
            continue
        setting = reading.setting(entry["setting"])
        if setting.present and setting.value is not None:
            return setting, _days(setting.value, entry.get("unit", "go-duration"))
        if setting.present is None or (setting.present and setting.value is None):
            unseen = unseen or setting
    if unseen is not None:
        return unseen, None
    default = str(facts.get("default", ""))
    if default == "forever" or default == "":
        return None
    return Found(False, name=f"{running.name}'s default"), _days(default, "days")


def _days(text: str, unit: str) -> float | None:
    """A retention in days; None where it cannot be read. Zero and `off` mean for ever."""
    text = text.strip()
    if text in ("0", "0s", "0h", "off", "false", ""):
        return float("inf")
    default = {"days": "d", "hours": "h", "ms": "ms", "months": "M"}.get(unit, "s")
    total = 0.0
    for number, suffix in DURATION.findall(text):
        total += float(number) * IN_DAYS[suffix or default]
    return total or None


@rule("LOG006", "A lifecycle policy deletes logs early", Severity.MEDIUM, category=CATEGORY, refs=REFS)
def lifecycle_too_short(stack: Stack, scan: Scan) -> Iterator[Verdict]:
    """The index lifecycle that the deployment brings along deletes logs before the days that they must be kept.

    Raise the age of the policy's delete phase, or lower `--log-retention-days` where less is right for you.
    """
    wanted = int(scan.options.log_retention_days)
    for config in stack.configs:
        for setting in config.entries.values():
            text = setting.value or ""
            match = LIFECYCLE_DELETES.search(text) if LIFECYCLE.search(text) else None
            days = _days(match["age"] or match["ism"], "days") if match else None
            if match is None or days is None or days >= wanted:
                continue
            age = match.start("age" if match["age"] else "ism")
            yield fail(
                f"{setting.name} deletes indices after {days:g} days, and {wanted} are asked for.",
                place=line_within(setting.place, text, age),
                setting=f"lifecycle {setting.name}",
                resource=Resource("ConfigMap", config.name, config.namespace),
            )


@rule("LOG005", "Requests are not logged", Severity.LOW, category=CATEGORY, refs=REFS)
def requests_not_logged(container: Container, scan: Scan) -> Iterator[Verdict]:
    """A setting of the product switches off the record of who called it, so that misuse leaves no trace.

    Leave access logging on, and ship it to a store; filter out the health checks instead.
    """
    if container.role == "init":
        return
    for running in scan.products_of(container):
        for block, what in (("access_log", "requests"), ("audit_log", "an audit trail")):
            decision = scan.decision(block, running, container)
            if decision is None or not running.serves:
                continue
            found = decision.deciding
            if decision.answer == "off" and found is not None and found.declared:
                yield fail(
                    f"{running.name} is told not to log {what}: {decision.say.rstrip('.') or found.shown}.",
                    fix=str(running.product.facts.get(f"{block}_fix", "")), place=found.place, setting=found.name, product=running,
                )  # fmt: skip
            elif decision.answer == "on":
                yield passed()


@hookimpl
def llmscan_rules() -> list[Rule]:
    """The rules of this family."""
    return [logs_off, logs_unbounded, no_collector, kept_too_short, requests_not_logged, lifecycle_too_short]
