"""The plugin host: loads plugins, takes what they bring, and calls rules, each in isolation.

pluggy isolates nothing by itself: one broken import ends the loading of all, and a misspelt hook passes silently. So each plugin is loaded, checked
and asked by itself, and whatever goes wrong becomes a `Failure` that names it. The one blanket `except` of the project is in `attempt`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

import pluggy

from llmscan import hookspecs
from llmscan.findings import Failure
from llmscan.formats import Format
from llmscan.products import Product, builtin_products, product_from_mapping
from llmscan.rules import Rule

T = TypeVar("T")
GROUP = "llmscan"
BUILTIN_RULES = (
    "exposed_ports",
    "authentication",
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
HOOKS = frozenset(name for name in vars(hookspecs) if name.startswith("llmscan_"))


@dataclass(frozen=True, slots=True)
class PluginNote:
    """A plugin that was loaded: its name, from where, and what it brought."""

    name: str
    origin: str
    rules: tuple[str, ...] = ()
    products: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()


@dataclass
class Host:
    """The plugins, what they brought, and what went wrong with them."""

    rules: dict[str, Rule] = field(default_factory=dict)
    products: dict[str, Product] = field(default_factory=dict)
    formats: dict[str, Format] = field(default_factory=dict)
    collectors: list[Any] = field(default_factory=list)
    plugins: list[PluginNote] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    manager: pluggy.PluginManager = field(default_factory=lambda: _manager())

    def attempt(self, kind: str, name: str, call: Callable[[], T]) -> T | None:
        """Call foreign code; whatever it raises, `sys.exit` too, becomes a Failure. Only an interrupt passes."""
        try:
            return call()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  (the one place: a plugin may raise anything)
            self.failures.append(Failure(kind, name, describe(error)))
            return None

    def load(self, name: str, origin: str, loader: Callable[[], Any]) -> None:
        """Load one plugin, check it, and take what it brings."""
        if self.manager.has_plugin(name):
            self.failures.append(
                Failure("plugin", name, f"another plugin has this name already; the one from {origin} is left out")
            )
            return
        plugin = self.attempt("plugin", name, loader)
        if plugin is None:
            return
        misspelt = sorted(set(_hook_names(plugin)) - HOOKS)
        for hook in misspelt:
            self.failures.append(
                Failure("plugin", name, f"there is no hook {hook!r}; there are {', '.join(sorted(HOOKS))}")
            )
        before = len(self.failures)
        self.attempt("plugin", name, lambda: self.manager.register(plugin, name))
        if len(self.failures) == before:
            self._take(name, origin, plugin)

    def _take(self, name: str, origin: str, plugin: Any) -> None:
        rules = [rule.id for rule in self._ask(name, plugin, "llmscan_rules") if self._add_rule(name, rule)]
        products = [p for raw in self._ask(name, plugin, "llmscan_products") if (p := self._add_product(name, raw))]
        formats = [f.name for f in self._ask(name, plugin, "llmscan_formats") if self._add_format(name, f)]
        self.collectors += self._ask(name, plugin, "llmscan_collectors")
        self.plugins.append(PluginNote(name, origin, tuple(rules), tuple(products), tuple(formats)))

    def _ask(self, name: str, plugin: Any, hook: str) -> list[Any]:
        function = getattr(plugin, hook, None)
        if function is None or self.manager.parse_hookimpl_opts(plugin, hook) is None:
            return []
        return self.attempt("plugin", name, lambda: list(function())) or []

    def _add_rule(self, name: str, rule: Any) -> bool:
        if not isinstance(rule, Rule):
            self.failures.append(
                Failure("plugin", name, f"llmscan_rules gave {type(rule).__name__}, not a rule (is @rule missing?)")
            )
        elif rule.id in self.rules:
            self.failures.append(Failure("plugin", name, f"rule {rule.id} exists already; this one is left out"))
        else:
            self.rules[rule.id] = rule
            return True
        return False

    def _add_product(self, name: str, raw: Any) -> str | None:
        product = self.attempt("plugin", name, lambda: _checked_product(raw))
        if product is None:
            return None
        if product.id in self.products:
            self.failures.append(Failure("plugin", name, f"product {product.id} exists already; this one is left out"))
            return None
        self.products[product.id] = product
        return product.id

    def _add_format(self, name: str, made: Any) -> bool:
        if not isinstance(made, Format):
            self.failures.append(Failure("plugin", name, f"llmscan_formats gave {type(made).__name__}, not a Format"))
        elif made.name in self.formats:
            self.failures.append(Failure("plugin", name, f"format {made.name} exists already; this one is left out"))
        else:
            self.formats[made.name] = made
            return True
        return False

    def call(self, rule: Rule, target: Any, scan: Any) -> list[Any]:
        """The verdicts of a rule on one object; a rule that raises gives a Failure and none."""
        try:
            return list(rule.call(target, scan))
        except Exception:  # noqa: BLE001  (the fast path of `attempt`, which names the failure)
            self.attempt("rule", rule.id, lambda: list(rule.call(target, scan)))
            return []


def _manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    return manager


def _checked_product(raw: Any) -> Product:
    from llmscan.catalogue_schema import check

    product = product_from_mapping(raw)
    check(product)
    return product


def _hook_names(plugin: Any) -> Iterator[str]:
    for name in dir(plugin):
        if name.startswith("llmscan_") and callable(getattr(plugin, name, None)):
            yield name


def describe(error: BaseException) -> str:
    """An exception in one line, with the place in the plugin where it was raised; no values but those of its message."""
    text = " ".join(str(error).split())[:300]
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
        host.load(name, "llmscan", lambda name=name: importlib.import_module(name))  # type: ignore[misc]
    for entry in sorted(entry_points(group=GROUP), key=lambda e: (e.name, e.value)) if third_parties else ():
        host.load(entry.name, _origin(entry), entry.load)
    for name, plugin in plugins:
        host.load(name, "caller", lambda plugin=plugin: plugin)  # type: ignore[misc]
    return host


def _origin(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value
