"""The plugin host: loads plugins, takes what they bring, and calls rules, each in isolation.

pluggy isolates nothing by itself: one broken import ends the loading of all, and a misspelt hook passes silently. So each plugin is loaded, checked
and asked by itself, and whatever goes wrong becomes a `Failure` that names it. The one blanket `except` of the project is in `attempt`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from typing import Any, ParamSpec, TypeVar

import pluggy

from llmscan import hookspecs
from llmscan.brought import (
    BadPlugin,
    Progress,
    checked_collector,
    checked_format,
    checked_product,
    checked_rule,
    checked_stacks,
    checked_text,
    hook_problems,
    items,
    judge_on,
)
from llmscan.collectors import FileCollector
from llmscan.findings import Failure, Report, Verdict
from llmscan.formats import Format, RenderOptions
from llmscan.model import Stack
from llmscan.products import BadProduct, Product, builtin_products
from llmscan.records import Record, replace
from llmscan.rule_view import Case
from llmscan.rules import BadRule, Rule

P = ParamSpec("P")
T = TypeVar("T")
GROUP = "llmscan"
BUILTIN_RULES = (
    "exposed_ports",
    "authentication",
    "weak_authentication",
    "switched_off",
    "cors",
    "root_containers",
    "host_access",
    "pod_hardening",
    "log_retention",
    "plaintext_secrets",
    "images",
    "egress",
    "model_sources",
    "switches",
    "network_policy",
    "resource_limits",
    "engine_api",
)
BUILTIN_FORMATS = ("table", "json_report", "sarif", "html")
BUILTINS = (
    *(f"llmscan.plugins.{name}" for name in BUILTIN_RULES),
    *(f"llmscan.reports.{name}" for name in BUILTIN_FORMATS),
)
SENTENCES = (BadPlugin, BadProduct, BadRule)
"""Exceptions whose text says all that a plugin's author needs."""


class PluginNote(Record, frozen=True):
    """A plugin that was loaded: its name, from where, and what it brought."""

    name: str
    origin: str
    rules: tuple[str, ...] = ()
    products: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    collectors: tuple[str, ...] = ()


@dataclass
class Host:
    """The plugins, what they brought, and what went wrong with them."""

    rules: dict[str, Rule] = field(default_factory=dict)
    products: dict[str, Product] = field(default_factory=dict)
    formats: dict[str, Format] = field(default_factory=dict)
    collectors: dict[str, FileCollector] = field(default_factory=dict)
    plugins: list[PluginNote] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    manager: pluggy.PluginManager = field(default_factory=lambda: _manager())

    def attempt(self, kind: str, name: str, call: Callable[P, T], *given: P.args, **named: P.kwargs) -> T | None:
        """Call foreign code; whatever it raises, `sys.exit` too, becomes a Failure, and the answer None. Only an interrupt passes."""
        try:
            return call(*given, **named)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  (the one place: a plugin may raise anything)
            reason = self.attempt(kind, name, describe, error)  # an exception's own text may raise too
            if reason is not None:
                self.failures.append(Failure(kind, name, reason))
            return None

    def refuse(self, name: str, reason: str) -> None:
        """Note what is wrong with a plugin."""
        self.failures.append(Failure("plugin", name, reason))

    def load(self, name: str, origin: str, loader: Callable[[], Any]) -> None:
        """Load one plugin, check it, and take what it brings."""
        if self.manager.has_plugin(name):
            self.refuse(name, f"another plugin has this name already; the one from {origin} is left out")
            return
        before = len(self.failures)
        plugin = self.attempt("plugin", name, loader)
        if plugin is not None:
            self.attempt("plugin", name, self._take, name, origin, plugin)
        elif len(self.failures) == before:
            self.refuse(name, f"the one from {origin} is None, which implements no hook")

    def _take(self, name: str, origin: str, plugin: Any) -> None:
        for problem in hook_problems(plugin, lambda hook: self._marked(plugin, hook)):
            self.refuse(name, problem)
        self.manager.register(plugin, name)
        rules = self._keep(name, "rule", self.rules, self._ask(name, plugin, "llmscan_rules", checked_rule))
        products = self._keep(
            name, "product", self.products, self._ask(name, plugin, "llmscan_products", checked_product)
        )
        formats = self._keep(name, "format", self.formats, self._ask(name, plugin, "llmscan_formats", checked_format))
        given = self._ask(name, plugin, "llmscan_collectors", checked_collector)
        collectors = self._keep(name, "collector", self.collectors, given)
        self.plugins.append(PluginNote(name, origin, rules, products, formats, collectors))

    def _marked(self, plugin: Any, hook: str) -> bool:
        return hasattr(plugin, hook) and self.manager.parse_hookimpl_opts(plugin, hook) is not None

    def _ask(self, name: str, plugin: Any, hook: str, check: Callable[[Any], T]) -> list[T]:
        """What one hook of one plugin gives, without what does not pass its check."""
        if not self._marked(plugin, hook):
            return []
        given = self.attempt("plugin", name, lambda: items(hook, getattr(plugin, hook)()))
        checked = [self.attempt("plugin", name, check, one) for one in given or ()]
        return [one for one in checked if one is not None]

    def _keep(self, name: str, what: str, kept: dict[str, Any], given: Iterable[Any]) -> tuple[str, ...]:
        """Keep what has a new name; the first of two stays."""
        new = []
        for one in given:
            key = one.name if isinstance(one, Format | FileCollector) else one.id
            if key in kept:
                self.refuse(name, f"{what} {key} exists already; this one is left out")
            else:
                kept[key] = one
                new.append(key)
        return tuple(new)

    def verdicts(self, rule: Rule, cases: Sequence[Case]) -> list[tuple[Case, Verdict]]:
        """The verdicts of a rule on some cases, each with its case.

        Where it raises on one, that gives a Failure with the object's place and no verdict, and the next is judged.
        """
        found: list[tuple[Case, Verdict]] = []
        progress = Progress()
        while progress.next < len(cases):
            if self.attempt("rule", rule.id, judge_on, rule, cases, progress, found) is None:
                self.failures[-1] = replace(self.failures[-1], place=cases[progress.next - 1].place)
        return found

    def collect(self, collector: FileCollector, texts: Sequence[tuple[str, str]]) -> list[Stack]:
        """The stacks that a collector makes of its files; none, and a Failure, where it raises."""
        made = self.attempt("plugin", collector.name, lambda: checked_stacks(collector, collector.collect(texts)))
        return made or []

    def render(self, name: str, report: Report, options: RenderOptions) -> str | None:
        """A report in a format; None, and a Failure, where the format raises."""
        made = self.formats[name]
        return self.attempt("format", name, lambda: checked_text(made, made.render(report, options)))

    def told(self) -> tuple[Failure, ...]:
        """Each failure once: a rule that raises the same on every object is one failure, with the first of the objects."""
        first: dict[tuple[str, str, str], Failure] = {}
        count: dict[tuple[str, str, str], int] = {}
        for failure in self.failures:
            key = (failure.kind, failure.name, failure.reason)
            first.setdefault(key, failure)
            count[key] = count.get(key, 0) + 1
        return tuple(_counted(failure, count[key]) for key, failure in first.items())


def _counted(failure: Failure, times: int) -> Failure:
    if failure.kind != "rule" or times == 1:
        return failure
    return replace(failure, reason=f"{failure.reason}, and the same on {times - 1} more")


def _manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    return manager


def describe(error: BaseException) -> str:
    """An exception in one line, with the place in the plugin where it was raised; no values but those of its message."""
    text = " ".join(str(error).split())[:300]
    if isinstance(error, SENTENCES):
        return text
    if isinstance(error, pluggy.PluginValidationError):
        return f"a hook has arguments that its specification lacks: {text}"
    trace, last = error.__traceback__, ""
    while trace is not None:
        last = f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}"
        trace = trace.tb_next
    name = "exit" if isinstance(error, SystemExit) else type(error).__name__
    return f"{name}: {text} ({last})" if text else f"{name} ({last})"


def start(plugins: Iterable[tuple[str, Any]] = (), *, third_parties: bool = True) -> Host:
    """A host with the built-in plugins, then those of installed distributions by name, then `plugins` (name, object) given here."""
    host = Host()
    host.products = {product.id: product for product in builtin_products()}
    for name in BUILTINS:
        host.load(name, "llmscan", partial(importlib.import_module, name))
    for entry in sorted(entry_points(group=GROUP), key=lambda e: (e.name, e.value)) if third_parties else ():
        host.load(entry.name, _origin(entry), entry.load)
    for name, plugin in plugins:
        host.load(name, "caller", partial(_given, plugin))
    return host


def _origin(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value


def _given(plugin: Any) -> Any:
    return plugin
