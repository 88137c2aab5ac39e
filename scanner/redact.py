"""Redaction: one step between judging and reporting, so that no format ever sees a secret.

Every value that comes from a target is held to be secret unless it is a name, an image, a path or a setting that the catalogue calls public.
What a report says is cut into tokens, and a token that is one of those values is taken out, whoever wrote the sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property

from llmscan.findings import Failure, Finding, InventoryItem, Related, Report
from llmscan.model import Container, Gap, Stack, Workload
from llmscan.scan import Scan

HIDDEN = "[redacted]"
TOKEN = re.compile(r"[^\s'\"`,;()\[\]{}<>=|]{5,}")
KNOWN = re.compile(
    r"(?:hf_[A-Za-z0-9]{16,}|sk-[A-Za-z0-9_-]{8,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[abpr]-[\w-]{10,}"
    r"|AKIA[0-9A-Z]{16}|AIza[\w-]{30,}|nvapi-[\w-]{20,}|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*|-----BEGIN [A-Z ]*PRIVATE KEY-----)"
)
CREDENTIALS = re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)")


class Secrets:
    """The values of some stacks that must not be shown."""

    def __init__(self) -> None:
        self.private: set[str] = set()
        self.public: set[str] = set()
        self._sources: dict[str, str] = {}

    def add(self, scan: Scan) -> None:
        """Take in the values of one stack; they are cut up only once it is known what was said."""
        self.private.update(_private(scan.stack))
        self.public.update(_public(scan))
        for _, container in scan.containers():
            for running in scan.products_of(container):
                self._sources.setdefault(running.id, running.product.source)

    @cached_property
    def values(self) -> frozenset[str]:
        """The tokens that must not be shown."""
        shown = {token for text in (*self.public, *self._sources.values()) for token in TOKEN.findall(text)}
        hidden = {token for text in self.private for token in TOKEN.findall(text)}
        hidden.update(text for text in self.private if 5 <= len(text) <= 200 and "\n" not in text)
        return frozenset(hidden - shown - self.public)

    def hide(self, text: str) -> str:
        """`text` without secrets."""
        if not text:
            return text
        text = CREDENTIALS.sub(HIDDEN, KNOWN.sub(HIDDEN, text))
        return TOKEN.sub(self._token, text)

    def _token(self, match: re.Match[str]) -> str:
        token = match[0]
        for candidate in (token, token.rstrip(".:!?/"), token.partition(":")[2], token.partition("=")[2]):
            if len(candidate) >= 5 and candidate in self.values:
                return token.replace(candidate, HIDDEN)
        return token


def _private(stack: Stack) -> Iterator[str]:
    for workload in stack.workloads:
        yield from workload.annotations.values()
        for container in workload.containers:
            yield from _container_values(container)
    for config in stack.configs:
        yield from (setting.value for setting in config.entries.values() if setting.value)
    for loose in stack.loose_values:
        yield from (text for text in (loose.setting.value, loose.decoded) if text)
    for service in stack.services:
        yield from service.annotations.values()
    for route in stack.routes:
        yield from route.annotations.values()


def _container_values(container: Container) -> Iterator[str]:
    yield from (setting.value for setting in container.env.values() if setting.value)
    yield from (word.text for word in (*(container.command or ()), *(container.args or ())))
    yield from (file.text for file in container.files)
    if container.logging is not None:
        yield from container.logging.options.values()


def _public(scan: Scan) -> Iterator[str]:
    stack = scan.stack
    yield from (stack.unit, stack.namespace)
    for workload in stack.workloads:
        yield from _workload_names(workload)
        for container in workload.containers:
            yield from _container_names(container)
            for running in scan.products_of(container):
                reading = scan.reading(running, container)
                for name, definition in running.product.facts.get("settings", {}).items():
                    if definition.get("public") == "true":
                        yield from (text for text in (reading.setting(name).value,) if text)
    for named in (*stack.services, *stack.routes, *stack.policies, *stack.configs, *stack.networks):
        yield named.name
        yield from ((named.place.path,) if named.place else ())


def _workload_names(workload: Workload) -> Iterator[str]:
    yield from (workload.kind, workload.name, workload.namespace, workload.variant)
    yield from workload.labels.values()
    yield from (volume.source for volume in workload.volumes)
    if workload.place:
        yield workload.place.path


def _container_names(container: Container) -> Iterator[str]:
    yield container.name
    yield from container.env
    image = container.image
    while image is not None:
        yield from (image.reference, image.name)
        image = image.base
    for volume in container.mounts:
        yield from (volume.source, volume.mounted_at)
    yield from (file.path for file in container.files)


def redact(report: Report, secrets: Secrets) -> Report:
    """The report without secrets, in every text that a format shows."""
    for rule in report.rules:
        for text in (rule.title, rule.why, rule.fix):
            secrets.public.add(text)
    hide = secrets.hide
    return replace(
        report,
        findings=tuple(_finding(item, secrets) for item in report.findings),
        failures=tuple(Failure(f.kind, hide(f.name), hide(f.reason), f.place) for f in report.failures),
        coverage=replace(
            report.coverage,
            gaps=tuple(_gaps(report.coverage.gaps, secrets)),
            notes=tuple(hide(note) for note in report.coverage.notes),
        ),
        inventory=tuple(_item(item, secrets) for item in report.inventory),
    )


def _item(item: InventoryItem, secrets: Secrets) -> InventoryItem:
    return replace(item, image=CREDENTIALS.sub(HIDDEN, KNOWN.sub(HIDDEN, item.image)))


def _finding(item: Finding, secrets: Secrets) -> Finding:
    hide = secrets.hide
    return replace(
        item,
        message=hide(item.message),
        fix=hide(item.fix),
        quote=hide(item.quote),
        setting=hide(item.setting),
        via=_related(item.via, secrets) if item.via else None,
        related=tuple(_related(other, secrets) for other in item.related),
        missing=tuple(_gaps(item.missing, secrets)),
    )


def _related(item: Related, secrets: Secrets) -> Related:
    return replace(item, text=secrets.hide(item.text))


def _gaps(gaps: Iterable[Gap], secrets: Secrets) -> Iterator[Gap]:
    for gap in gaps:
        yield replace(gap, what=secrets.hide(gap.what), why=secrets.hide(gap.why), would=secrets.hide(gap.would))
