"""The catalogue: which products there are, and which of them a container runs, at which version, and why that is believed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib.resources import files
from typing import Any, TypeVar

import yaml
from packaging.version import InvalidVersion, Version

from llmscan.commandline import Line, line_text
from llmscan.config_files import walk
from llmscan.findings import ProductNote
from llmscan.model import Container, Image, Workload, parse_image
from llmscan.records import Record, replace

TAG_VERSION = r"^v?(\d+\.\d+(?:\.\d+)*(?:\.?(?:post|rc|a|b|alpha|beta|dev)\.?\d+)?)(?![\d.]*-?latest)"
TOP_LEVEL = re.compile(r"^([a-z_]+):", re.MULTILINE)
ESCAPED_DOT = re.compile(r"\\\.")
NOT_PLAIN = re.compile(r"\\[A-Za-z]|\[[^\]]*\]|[.^$]")
GROUP = re.compile(r"\([^()]*\)(?:[?*]|\{[^}]*\})?")
OPTIONAL = re.compile(r".(?:[?*]|\{[^}]*\})", re.DOTALL)
Facts = Mapping[str, Any]
T = TypeVar("T")
NO_SERVERS = frozenset(
    {
        "[", "awk", "aws", "cat", "cd", "chmod", "chown", "cp", "curl", "date", "done", "echo", "exit", "export", "false", "fi", "find", "for",
        "git", "grep", "gsutil", "hf", "huggingface-cli", "if", "kubectl", "ln", "ls", "mc", "mkdir", "mv", "nc", "pg_isready", "pip", "printf",
        "psql", "redis-cli", "rm", "sed", "set", "sleep", "tail", "tar", "test", "touch", "trap", "true", "ulimit", "unzip", "until", "wait",
        "wget", "while",
    }
)  # fmt: skip
"""Programs that start no server: a container whose command line has nothing else only uses its image."""


class BadProduct(Exception):
    """A product that does not fit the catalogue's schema; the text says which and why."""


BATCH = frozenset({"Job", "CronJob", "Workflow", "CronWorkflow", "WorkflowTemplate", "ClusterWorkflowTemplate"})
"""Kinds whose pods run to an end."""


class ImagePattern(Record, frozen=True):
    """A regular expression on an image's name, and how its tags tell the version (None: they do not)."""

    pattern: str
    version: re.Pattern[str] | None
    weak: bool = False
    tags: str | None = None
    """Only images with such a tag hold it."""
    literal: str = ""
    """A text that every matching name holds: most names lack it, and the pattern is then never compiled."""

    def matches(self, image: Image) -> bool:
        """Whether an image is one of these."""
        return (
            self.literal in image.name
            and re.compile(self.pattern).search(image.name) is not None
            and (self.tags is None or re.search(self.tags, image.tag or "") is not None)
        )


class CommandPattern(Record, frozen=True):
    """A regular expression on a command line; a weak one needs a second piece of evidence."""

    pattern: str
    weak: bool = False
    literal: str = ""

    def matches(self, text: str) -> bool:
        """Whether a command line is one of these."""
        return self.literal in text and re.compile(self.pattern).search(text) is not None


@dataclass(frozen=True)
class Product:
    """One product of the catalogue. `facts` is its whole file; identification alone is read before it is needed."""

    id: str
    source: str = field(repr=False)
    identify: Facts = field(repr=False, default_factory=dict)
    _made: dict[Any, Any] = field(init=False, repr=False, compare=False, default_factory=dict)

    def once(self, make: Callable[[Product], T]) -> T:
        """What a function makes of this product's facts, which never change: made when it is first asked for."""
        if make not in self._made:
            self._made[make] = make(self)
        return self._made[make]  # type: ignore[no-any-return]

    @cached_property
    def facts(self) -> Facts:
        """The whole file as nested mappings; every scalar is a text."""
        return _parse(self.source, self.id)

    @cached_property
    def name(self) -> str:
        """The name that people know it by."""
        return str(self.facts.get("name", self.id))

    @cached_property
    def category(self) -> str:
        """`inference-server`, `ui`, `log-collector`, ..."""
        return str(self.facts.get("category", ""))

    @cached_property
    def roles(self) -> tuple[str, ...]:
        """`serves-models`, `collects-logs`, ..."""
        return tuple(self.facts.get("roles", ()))

    @cached_property
    def images(self) -> tuple[ImagePattern, ...]:
        """How its images are told."""
        default = str(self.identify.get("version", TAG_VERSION))
        return tuple(_image_pattern(entry, default) for entry in self.identify.get("images", ()))

    @cached_property
    def commands(self) -> tuple[CommandPattern, ...]:
        """How its command lines are told."""
        return tuple(_command_pattern(entry) for entry in self.identify.get("commands", ()))

    @cached_property
    def variables(self) -> frozenset[str]:
        """Environment variables that only it reads."""
        return frozenset(self.identify.get("env", ()))

    @cached_property
    def unless(self) -> frozenset[str]:
        """Products whose image wins over what a command line or a variable says of this one."""
        return frozenset(self.identify.get("unless", ()))

    @cached_property
    def credentials(self) -> frozenset[str]:
        """Environment variables by which it lets callers in: their values are its own secrets."""
        known = {entry.get("setting") for entry in self.facts.get("default_credentials", ())}
        return frozenset(
            source["env"]
            for name, setting in self.facts.get("settings", {}).items()
            if setting.get("public") != "true" and (name in known or _mentions(self.facts.get("authentication"), name))
            for source in setting.get("from", ())
            if "env" in source
        )

    @cached_property
    def clients(self) -> tuple[re.Pattern[str], ...]:
        """Command lines on which it serves nobody (`ollama pull`)."""
        return tuple(re.compile(entry) for entry in self.identify.get("clients", ()))

    @cached_property
    def kinds(self) -> frozenset[str]:
        """Custom resources whose pods run it."""
        return frozenset(self.identify.get("kinds", ()))


def _mentions(node: Any, setting: str) -> bool:
    """Whether a decision asks for a setting."""
    if isinstance(node, Mapping):
        return setting in node or any(_mentions(item, setting) for item in node.values())
    return isinstance(node, list) and any(_mentions(item, setting) for item in node)


def _only_uses(line: Line) -> bool:
    """Whether a command line runs a program that starts no server."""
    return line[0].raw.rpartition("/")[2] in NO_SERVERS


def _image_pattern(entry: Any, default: str) -> ImagePattern:
    fields = {"pattern": entry} if isinstance(entry, str) else entry
    version = fields.get("version", default)
    return ImagePattern(
        fields["pattern"],
        None if version == "none" else re.compile(version),
        fields.get("identifies") == "weak",
        fields.get("tags"),
        required_literal(fields["pattern"]),
    )


def required_literal(pattern: str) -> str:
    """The longest plain text that whatever matches a regular expression must hold; "" where that is not plain to see."""
    flat = ESCAPED_DOT.sub("\1", pattern)
    flat = NOT_PLAIN.sub("\0", flat)
    while (shorter := GROUP.sub("\0", flat)) != flat:
        flat = shorter
    if "|" in flat or "\\" in flat or "(?i" in pattern:
        return ""
    flat = OPTIONAL.sub("\0", flat).replace("+", "\0").replace("\1", ".")
    return max(flat.split("\0"), key=len)


def _command_pattern(entry: Any) -> CommandPattern:
    fields = {"pattern": entry} if isinstance(entry, str) else entry
    return CommandPattern(fields["pattern"], fields.get("identifies") == "weak", required_literal(fields["pattern"]))


@dataclass(frozen=True)
class Running:
    """A product that a container runs. `version` None: not known, and `unknown_because` says why."""

    product: Product
    version: Version | None = None
    because: str = ""
    unknown_because: str = ""
    by_image: bool = False
    """Its image was recognised, so what that image brings holds."""
    weak: bool = False
    """Believed on one weak piece of evidence, which does not suffice alone."""
    serves: bool = True
    """False where the container only uses the product's image or program, for a client, a job or a wait."""

    @property
    def id(self) -> str:
        """The product's id."""
        return self.product.id

    @property
    def name(self) -> str:
        """The product's name."""
        return self.product.name

    def note(self) -> ProductNote:
        """What a finding says of it."""
        return self._note

    @cached_property
    def _note(self) -> ProductNote:
        return ProductNote(self.id, self.name, str(self.version or ""), self.because)


class Catalogue:
    """All products, and identification."""

    def __init__(self, products: Iterable[Product], assumed: Mapping[str, Version] | None = None) -> None:
        self.products = {product.id: product for product in products}
        self.assumed = dict(assumed or {})
        self._by_image: dict[tuple[str, str | None, str | None], tuple[Running, ...]] = {}
        self._by_command: dict[str, tuple[tuple[Product, bool], ...]] = {}
        self._by_reason: dict[tuple[str, str, bool], Running] = {}

    def identify(self, container: Container, workload: Workload, lines: tuple[Line, ...]) -> tuple[Running, ...]:
        """The products that a container runs, from image, command lines, variables and its owner's kind; never from given names."""
        texts = [line_text(line) for line in lines]
        found = {running.id: _used(running, container, lines) for running in self._from_image(container.image)}
        started = list(self._from_commands(texts))
        for running in (*started, *self._from_variables(container), *self._from_kind(container, workload)):
            known = found.get(running.id)
            found[running.id] = running if known is None else _joined(known, running)
        if not found:
            return ()
        ends, ids = _ends(container, workload), {running.id for running in started}
        for id, running in found.items():
            serves = not ends and (id in ids or (running.serves and not _is_client(running.product, texts)))
            found[id] = self._dated(_serving(running, serves), workload)
        strong = [running for running in found.values() if not running.weak or _on_its_port(running, container)]
        images = {running.id for running in strong if running.by_image}
        return tuple(r for r in strong if r.by_image or not (r.product.unless & images))

    def _from_commands(self, texts: Sequence[str]) -> Iterable[Running]:
        for text in texts:
            for product, weak in self._from_command(text):
                yield self._seen(product, "its command line starts it", weak=weak)

    def _from_variables(self, container: Container) -> Iterable[Running]:
        for name in container.env:
            if name in self._variables:
                for product in self._variables[name]:
                    yield self._seen(product, f"variable {name}")

    def _from_kind(self, container: Container, workload: Workload) -> Iterable[Running]:
        if workload.kind in self._kinds and _is_operators(container, workload):
            for product in self._kinds[workload.kind]:
                yield self._seen(product, f"a {workload.kind} runs it")

    def _dated(self, running: Running, workload: Workload) -> Running:
        """With the version that the custom resource names, where the image tells none."""
        if running.version is not None or workload.resource is None:
            return running
        for path in running.product.identify.get("version_fields", ()):
            for value, _ in walk(workload.resource, path.split(".")):
                with suppress(InvalidVersion):
                    return replace(running, version=Version(str(value)), unknown_because="")
        return running

    def of_image(self, reference: str) -> tuple[Running, ...]:
        """The products that an image is known to hold, whatever a container does with it."""
        return self._from_image(parse_image(reference))

    @cached_property
    def _kinds(self) -> Mapping[str, list[Product]]:
        result: dict[str, list[Product]] = {}
        for product in self.products.values():
            for kind in product.kinds:
                result.setdefault(kind, []).append(product)
        return result

    @cached_property
    def _commands(self) -> Mapping[str, list[tuple[str, CommandPattern]]]:
        """What tells the command lines of products, by the text that a line must hold for it."""
        result: dict[str, list[tuple[str, CommandPattern]]] = {}
        for product in self.products.values():
            for entry in product.commands:
                result.setdefault(entry.literal, []).append((product.id, entry))
        return result

    @cached_property
    def _variables(self) -> Mapping[str, list[Product]]:
        result: dict[str, list[Product]] = {}
        for product in self.products.values():
            for name in product.variables:
                result.setdefault(name, []).append(product)
        return result

    def _seen(self, product: Product, because: str, *, weak: bool = False) -> Running:
        key = (product.id, because, weak)
        if key not in self._by_reason:
            version = self.assumed.get(product.id)
            why = "" if version else "the image does not tell it"
            self._by_reason[key] = Running(product, version, because, why, weak=weak)
        return self._by_reason[key]

    def _from_image(self, image: Image | None) -> tuple[Running, ...]:
        if image is None:
            return ()
        if image.local:
            below = self._from_image(image.base)
            known = {running.id for running in below}
            return (*below, *(one for one in self._by_name(image) if one.id not in known))
        return self._by_name(image)

    def _by_name(self, image: Image) -> tuple[Running, ...]:
        """By the name alone: what is built here under a product's full name (`build` beside `image: org/product`) is that product too."""
        if not image.name or (image.local and "/" not in image.name):
            return ()
        key = (image.name, image.tag, image.digest)
        if key not in self._by_image:
            self._by_image[key] = tuple(self._match(image))
        return self._by_image[key]

    def _match(self, image: Image) -> Iterable[Running]:
        for product in self.products.values():
            for entry in product.images:
                if entry.matches(image):
                    version, why = self._version(product, entry, image)
                    yield Running(product, version, f"image '{image.name}'", why, by_image=True, weak=entry.weak)
                    break

    def _version(self, product: Product, entry: ImagePattern, image: Image) -> tuple[Version | None, str]:
        if product.id in self.assumed:
            return self.assumed[product.id], ""
        if image.gap is not None:
            return None, f"{image.gap}"
        if image.tag is None:
            return None, "the image is named by digest alone" if image.digest else "the image has no tag"
        if entry.version is None:
            return None, f"the tags of '{image.name}' are not the product's versions"
        match = entry.version.search(image.tag)
        try:
            return (Version(match[1]), "") if match else (None, f"the tag '{image.tag}' floats")
        except InvalidVersion:
            return None, f"the tag '{image.tag}' is no version"

    def _from_command(self, text: str) -> tuple[tuple[Product, bool], ...]:
        """The products that a command line starts, each with whether that is weak evidence."""
        known = self._by_command.get(text)
        if known is None:
            weak: dict[str, bool] = {}
            for literal, entries in self._commands.items():
                if literal in text:
                    for id, entry in entries:
                        if entry.matches(text):
                            weak[id] = entry.weak and weak.get(id, True)
            known = tuple((product, weak[id]) for id, product in self.products.items() if id in weak) if weak else ()
            self._by_command[text] = known
        return known


def _ends(container: Container, workload: Workload) -> bool:
    """Whether a container belongs to a job that offers no port: a server that it starts is there for the job itself."""
    return workload.kind in BATCH and not container.ports


def _used(running: Running, container: Container, lines: tuple[Line, ...]) -> Running:
    """A product whose image is recognised, and whether the container starts it or only uses what the image holds."""
    busy = container.command is not None and bool(lines) and all(map(_only_uses, lines))
    return _serving(running, not busy)


def _serving(running: Running, serves: bool) -> Running:
    return running if running.serves == serves else replace(running, serves=serves)


def _is_client(product: Product, texts: Sequence[str]) -> bool:
    """Whether a command line is one on which the product serves nobody."""
    return any(pattern.search(text) for text in texts for pattern in product.clients)


def _joined(known: Running, other: Running) -> Running:
    """Two pieces of evidence for one product; the image's, which comes first, tells the version."""
    return replace(known, weak=False) if known.weak else known


def _on_its_port(running: Running, container: Container) -> bool:
    """Whether a container declares or publishes the port that its product listens on: a second piece of evidence."""
    numbers = {port.number for port in container.ports} | {
        published.container_port for published in container.published
    }
    return any(entry.get("port", "") in map(str, numbers) for entry in running.product.facts.get("ports", ()))


def _is_operators(container: Container, workload: Workload) -> bool:
    """Whether a custom resource's operator runs its product in this container: the first one, or one that names no image; not a sidecar."""
    first = next((one for one in workload.containers if one.role == "regular"), None)
    return container is first or (container.image is None and container.role == "regular")


def read_product(source: str, name: str) -> Product:
    """A product from the text of its file: identification now, the rest when it is asked for."""
    return Product(name, source, _parse(_block(source, "identify"), name).get("identify", {}))


def _block(source: str, key: str) -> str:
    """The lines of one top-level block."""
    start = None
    for match in TOP_LEVEL.finditer(source):
        if start is not None:
            return source[start : match.start()]
        if match[1] == key:
            start = match.start()
    return source[start:] if start is not None else ""


def _parse(source: str, name: str) -> Facts:
    try:
        tree = yaml.load(source, Loader=yaml.CBaseLoader)  # noqa: S506  (every scalar stays a text)
    except yaml.YAMLError as error:
        raise BadProduct(f"{name}: not YAML: {error}") from None
    return tree if isinstance(tree, dict) else {}


@lru_cache(maxsize=1)
def builtin_products() -> tuple[Product, ...]:
    """The products that come with llmscan, sorted by id."""
    folder = files("llmscan.plugins").joinpath("products")
    entries = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".yaml")), key=lambda e: e.name)
    return tuple(read_product(entry.read_text("utf-8"), entry.name.removesuffix(".yaml")) for entry in entries)


def product_from_mapping(mapping: Facts) -> Product:
    """A product that a plugin brings as a mapping."""
    return read_product(yaml.safe_dump(dict(mapping), sort_keys=False), str(mapping.get("id", "")))


def assumed_versions(texts: Sequence[str]) -> dict[str, Version]:
    """`product=1.2.3` texts as versions. Raises `ValueError` with a sentence."""
    result: dict[str, Version] = {}
    for text in texts:
        name, equals, version = text.partition("=")
        try:
            result[name] = Version(version)
        except InvalidVersion:
            raise ValueError(f"{text!r} is not PRODUCT=VERSION, as in vllm=0.31.0") from None
        if not equals:
            raise ValueError(f"{text!r} is not PRODUCT=VERSION, as in vllm=0.31.0")
    return result
