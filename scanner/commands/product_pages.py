"""The catalogue on a terminal: all products as a table, and what is known of one of them, version by version."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from packaging.version import Version

from llmscan.commands.columns import Row, table
from llmscan.facts_text import at, circumstances, decision_text, setting_text, source_text, span_text
from llmscan.products import Product
from llmscan.reports.terminal_text import BOLD, DIM, SEVERITY_STYLES, Pen, counted

Facts = Mapping[str, Any]
Lines = Iterator[str]
INDENT = 2
DECISIONS = {
    "listens": "Listens",
    "registration": "Self-registration",
    "cors": "CORS: which web pages may call it",
    "access_log": "Request log",
    "audit_log": "Audit log",
    "request_content_logged": "Prompts and answers in the log",
}
SEVERITIES = {str(severity): style for severity, style in SEVERITY_STYLES.items()}


def products_table(products: Iterable[Product], pen: Pen) -> str:
    """Every product: id, category, name."""
    rows = [
        Row((product.id, product.category, product.name), (BOLD, "", ""))
        for product in sorted(products, key=lambda product: product.id)
    ]
    end = f"{counted(len(rows), 'product')}. `llmscan products ID` explains one."
    return "\n".join([*table(pen, ("ID", "CATEGORY", "NAME"), rows), "", end])


def product_page(product: Product, pen: Pen, version: Version | None = None) -> str:
    """What is known of one product; of one version alone where it is given."""
    return "\n".join(_Page(product.facts, product, pen, version).lines())


class _Page:
    """Writes the sections of one product; a section about which nothing is known is left out."""

    def __init__(self, facts: Facts, product: Product, pen: Pen, version: Version | None) -> None:
        self.facts, self.product, self.pen, self.version = facts, product, pen, version
        self.settings: Facts = facts.get("settings", {})

    def lines(self) -> Lines:
        """The whole page."""
        yield from self._head()
        yield from self._identification()
        yield from self._image()
        yield from self._ports()
        yield from self._decision("listens")
        yield from self._authentication()
        yield from self._decision("registration")
        yield from self._entries(
            "What its key leaves open",
            self.facts.get("uncovered", ()),
            lambda entry: ", ".join(entry.get("routes", ())),
        )
        yield from self._entries("Looks like authentication, and is not", self.facts.get("misleading", ()), self._named)
        yield from self._entries("Well-known credentials", self.facts.get("default_credentials", ()), self._named)
        yield from self._decision("cors")
        yield from self._egress()
        yield from self._entries("Models", self.facts.get("models", ()), lambda entry: entry["id"])
        yield from self._switches()
        for block in ("access_log", "audit_log", "request_content_logged"):
            yield from self._decision(block)
        yield from self._retention()
        yield from self._probes()
        yield from self._sources()

    def _head(self) -> Lines:
        yield from self.pen.wrapped(f"{self.product.name}  {self.product.id}", style=BOLD)
        roles = ", ".join(role.replace("-", " ") for role in self.product.roles)
        yield self.product.category + (f": {roles}" if roles else "")
        checked = self.facts.get("verified", {})
        if checked:
            about = f"Checked against {checked.get('at', 'no version')} on {checked.get('date', '?')}, by {checked.get('by', '?')}."
            yield from self.pen.wrapped(about, style=DIM)
        if self.version is not None:
            yield f"What holds for version {self.version}:"

    def _section(self, heading: str, lines: Iterable[str]) -> Lines:
        body = list(lines)
        if body:
            yield from ("", self.pen.heading(heading), *body)

    def _items(self, texts: Iterable[str]) -> Lines:
        for text in texts:
            first, *rest = self.pen.wrapped(text, 2 * INDENT)
            yield " " * INDENT + "- " + first[2 * INDENT :]
            yield from rest

    def _identification(self) -> Lines:
        identify = self.product.identify
        kinds = {
            "images": "images",
            "commands": "commands",
            "env": "variables",
            "kinds": "resources",
            "clients": "clients",
        }
        rows = [(title, [_pattern(entry) for entry in identify.get(key, ())]) for key, title in kinds.items()]
        yield from self._section(
            "Known by", (line for title, texts in rows if texts for line in self.pen.labelled(title, texts, INDENT, 11))
        )

    def _image(self) -> Lines:
        entries = at(self.facts.get("image", {}).get("user", ()), self.version)
        yield from self._section("User of its image", self._items(_user_text(entry) for entry in entries))

    def _ports(self) -> Lines:
        ports = at(self.facts.get("ports", ()), self.version)
        yield from self._section("Ports", self._items(self._port_text(entry) for entry in ports))

    def _port_text(self, entry: Facts) -> str:
        where = " or ".join(source_text(source) for source in entry.get("from", ()))
        when = circumstances(entry, self.settings)
        port = f"{entry.get('port', '?')}/{entry.get('protocol', 'tcp')}"
        return (
            f"{port} {entry.get('role', '')}" + (f", set by {where}" if where else "") + (f" ({when})" if when else "")
        )

    def _authentication(self) -> Lines:
        block = self.facts.get("authentication")
        fixes = self.facts.get("authentication_fix", "")
        for role, clauses in block.items() if isinstance(block, Mapping) else [("", block or ())]:
            fix = fixes.get(role, "") if isinstance(fixes, Mapping) else fixes
            heading = "Authentication" + (f" of its {role} port" if role else "")
            yield from self._decided(heading, clauses, str(fix), "authentication")

    def _decision(self, block: str) -> Lines:
        yield from self._decided(
            DECISIONS[block], self.facts.get(block, ()), str(self.facts.get(f"{block}_fix", "")), block
        )

    def _decided(self, heading: str, clauses: Iterable[Facts], fix: str, block: str) -> Lines:
        texts = decision_text(list(clauses), self.settings, self.version, block)
        yield from self._section(heading, [*self._items(texts), *self._fix(fix if texts else "")])

    def _fix(self, fix: str) -> Lines:
        if fix:
            yield from self.pen.labelled("Fix:", [fix], INDENT, 5)

    def _entries(self, heading: str, entries: Iterable[Facts], name: Any) -> Lines:
        yield from self._section(
            heading, (line for entry in at(entries, self.version) for line in self._entry(entry, name(entry)))
        )

    def _entry(self, entry: Facts, name: str) -> Lines:
        when = circumstances(entry, self.settings)
        said = str(entry.get("say", "")).rstrip(".")
        named = said if name and name.partition(",")[0] in said else ": ".join(part for part in (name, said) if part)
        yield from self._items([named + (f" ({when})" if when else "")])
        for line in self._fix(str(entry.get("fix", ""))):
            yield " " * INDENT + line

    def _named(self, entry: Facts) -> str:
        return setting_text(entry["setting"], self.settings) if "setting" in entry else ""

    def _egress(self) -> Lines:
        entries = at(self.facts.get("egress", ()), self.version)
        yield from self._section("Telemetry and egress", (line for entry in entries for line in self._call(entry)))

    def _call(self, entry: Facts) -> Lines:
        yield from self._items(
            [f"{entry['kind']}: {entry['what'].rstrip('.')}" + (f", to {entry['to']}" if entry.get("to") else "")]
        )
        for text in decision_text(entry["decision"], self.settings, self.version):
            yield from self.pen.wrapped(text, 3 * INDENT, style=DIM)
        for wrong in entry.get("misspelt", ()):
            said = f"without effect: {setting_text(wrong['setting'], self.settings)}: {wrong.get('say', '')}"
            yield from self.pen.wrapped(said, 3 * INDENT, style=DIM)
        for line in self._fix(str(entry.get("fix", ""))):
            yield " " * INDENT + line

    def _switches(self) -> Lines:
        yield from self._entries("Dangerous switches", self.facts.get("switches", ()), lambda entry: entry["severity"])

    def _retention(self) -> Lines:
        facts = self.facts.get("retention")
        if facts:
            names = ", ".join(setting_text(entry["setting"], self.settings) for entry in facts.get("settings", ()))
            said = [
                f"set by {names}" if names else "",
                f"default: {facts.get('default', 'unknown')}",
                str(facts.get("say", "")),
            ]
            yield from self._section("How long it keeps logs", self._items(text for text in said if text))

    def _probes(self) -> Lines:
        probes = self.facts.get("probes", {})
        asked = [entry["path"] for key in ("fingerprints", "authentication") for entry in probes.get(key, ())]
        paths = ", ".join(dict.fromkeys(asked))
        never = ", ".join(probes.get("never", ()))
        texts = [f"asks only: {paths}" if paths else "", f"never requests: {never}" if never else ""]
        yield from self._section("Probes", self._items(text for text in texts if text))

    def _sources(self) -> Lines:
        sources = self.facts.get("sources", {})
        width = max((len(name) for name in sources), default=0) + 2
        yield from self._section(
            "Sources",
            (line for name, text in sources.items() for line in self.pen.labelled(name, [text], INDENT, width)),
        )


def _pattern(entry: Any) -> str:
    return entry if isinstance(entry, str) else str(entry.get("pattern", ""))


def _user_text(entry: Facts) -> str:
    who = "root" if entry.get("uid") == "0" else f"user {entry.get('name') or entry.get('uid')}"
    drops = f", and its entrypoint changes to {entry['drops_to']}" if entry.get("drops_to") else ""
    images = f" ({entry['images']})" if entry.get("images") else ""
    tags = f" (tags {entry['tags']})" if entry.get("tags") else ""
    span = span_text(entry)
    return f"{span + ': ' if span else ''}{who}{drops}{images}{tags}"
