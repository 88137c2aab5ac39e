"""What Acme's platform team adds to llmscan: a product, a rule with an option, a kind of file, and a format."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from llmscan import (
    Container,
    FileCollector,
    Format,
    Gap,
    Image,
    Option,
    Place,
    RenderOptions,
    Report,
    Rule,
    Scan,
    Setting,
    Severity,
    Stack,
    Verdict,
    Workload,
    fail,
    hookimpl,
    passed,
    rule,
    unknown,
)

GATEWAY: Mapping[str, Any] = {
    "id": "acme-gateway",
    "name": "Acme Gateway",
    "category": "gateway",
    "roles": ["serves-models"],
    "sources": {"manual": "https://acme.example/gateway/manual"},
    "identify": {"images": ["(^|/)acme/gateway$"]},
    "ports": [{"port": "9000", "protocol": "http", "role": "inference"}],
    "settings": {"key": {"title": "API key", "from": [{"env": "ACME_KEY"}]}},
    "authentication": [
        {"when": {"key": "set"}, "then": "required"},
        {"then": "open", "say": "Without ACME_KEY everybody may call the gateway.", "source": "manual: Keys"},
    ],
    "authentication_fix": "Set ACME_KEY from a secret.",
}
QUOTA = Option("acme_quota", int, 100, "The most requests a minute that a gateway may let through.")


@rule("ACME002", "Gateway lets too much through", Severity.MEDIUM, category="quotas", options=[QUOTA])
def lets_too_much_through(container: Container, scan: Scan) -> Iterator[Verdict]:
    """One caller can use up what all of them share.

    Lower ACME_QUOTA.
    """
    for running in scan.products_of(container):
        if running.id == GATEWAY["id"]:
            quota = container.env.get("ACME_QUOTA")
            if quota is None or quota.value is None:
                gap = Gap("environment", "ACME_QUOTA", "has no value here", "the value that the gateway starts with")
                yield unknown("The gateway's quota is not known.", gap, setting="ACME_QUOTA", product=running)
            elif int(quota.value) > scan.options.acme_quota:
                yield fail("ACME_QUOTA is too high.", place=quota.place, setting="ACME_QUOTA", product=running)
            else:
                yield passed()


def read_apps(texts: Sequence[tuple[str, str]]) -> Iterator[Stack]:
    """A stack for each .acme.json file: {"app": name, "image": reference, "env": {...}}."""
    for path, text in texts:
        app, place = json.loads(text), Place(path, 1, 1, text.count("\n") + 1)
        env = {name: Setting(name, str(value), place) for name, value in app.get("env", {}).items()}
        name, _, tag = app["image"].partition(":")
        container = Container("app", Image(app["image"], name, tag, place=place), env=env, place=place)
        yield Stack(path, "files", (Workload("App", app["app"], containers=(container,), place=place),))


def render(report: Report, options: RenderOptions) -> str:
    """One line a finding, for a chat."""
    return "\n".join(f"{finding.severity} {finding.resource}: {finding.message}" for finding in report.findings)


@hookimpl
def llmscan_rules() -> Iterable[Rule]:
    return [lets_too_much_through]


@hookimpl
def llmscan_products() -> Iterable[Mapping[str, Any]]:
    return [GATEWAY]


@hookimpl
def llmscan_formats() -> Iterable[Format]:
    return [Format("chat", (".chat",), render)]


@hookimpl
def llmscan_collectors() -> Iterable[FileCollector]:
    return [FileCollector("acme-apps", (".acme.json",), read_apps)]
