"""Unsafe model sources: code from model repositories, formats that run code, revisions that move, hubs over plain http."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from llmscan import (
    Container,
    Evidence,
    Found,
    Place,
    Reading,
    Rule,
    Running,
    Scan,
    Severity,
    Verdict,
    Workload,
    fail,
    hookimpl,
    rule,
)
from llmscan.commandline import line_text
from llmscan.decisions import holds
from llmscan.places import line_within, place_of
from llmscan.products import Product

CATEGORY = "unsafe-model-source"
REFS = ("CWE-829", "LLM04:2026", "AML.T0010.003", "AML.T0011.000", "AISVS-1.0:C6")
IDS: Mapping[str, tuple[str, ...]] = {
    "MOD001": ("remote-code",),
    "MOD002": ("unsafe-format", "runtime-loading", "plain-http-hub"),
    "MOD003": ("unpinned-revision",),
}
"""The ids of the entries that each rule tells of."""
Entry = Mapping[str, Any]
HUB_NAME = re.compile(r"^(?:hf://)?[A-Za-z0-9][\w.-]*/[\w.-]+$")
COMMIT = re.compile(r"^[0-9a-f]{40}$")
TRUSTS = re.compile(
    r"trust[_-]remote[_-]code[\"']?\s*[=:]\s*[\"']?(?:true|1|yes)\b|--trust-remote-code\b(?!\s*[= ]\s*false)",
    re.IGNORECASE,
)
REVISION = re.compile(r"\brevision[\"']?\s*[=:]\s*[\"']?[0-9a-f]{7,40}", re.IGNORECASE)
MODEL_KEY = re.compile(
    r"^\s*(?:-\s*)?[\"']?(?:model_source|model_id|hf_model_id|pretrained_model_name_or_path|MODEL_ID|model)[\"']?\s*[=:]\s*[\"']?([A-Za-z0-9][\w.-]*/[\w.-]+)[\"',]*\s*(?:#.*)?$",
    re.MULTILINE,
)
HUB_URI = re.compile(r"\bhf://([A-Za-z0-9][\w.-]*/[\w.-]+)(?P<revision>[:@][\w.-]+)?")
DOWNLOADS = re.compile(r"\b(?:huggingface-cli|hf)\s+download\s+[\w.-]+/[\w.-]+(?!.*--revision)")
CALLS = re.compile(
    r"\b(?:snapshot_download|hf_hub_download)\(\s*(?:repo_id\s*=\s*)?[\"']+[\w.-]+/[\w.-]+[\"'](?![^)]*revision)"
    r"|https?://huggingface\.co/(?:datasets/)?[\w.-]+/[\w.-]+/resolve/(?![0-9a-f]{40}/)[\w.-]+/"
)
"""Downloads from a hub within a script: by its library without a revision, or of a file on a branch."""
URI_KEYS = frozenset({"uri", "storageUri", "modelUri"})
HTTP_HUB = re.compile(r"^http://(?!localhost|127\.|\[::1\])")
HUB_VARIABLES = ("HF_ENDPOINT", "HF_HUB_ENDPOINT", "MODELSCOPE_ENDPOINT")
MAX_TEXT = 200_000
UNPINNED_URI = "A model is named by hf:// without a revision."


def _entries(container: Container, scan: Scan, rule: str) -> Iterator[tuple[Running, Reading, Entry]]:
    """What is known of how the products of a container take their models, as far as a rule tells of it."""
    if not scan.workload_of(container).runs:
        return
    for running in scan.products_of(container):
        for entry in running.product.once(_by_rule)[rule]:
            yield running, scan.reading(running, container), entry


def _by_rule(product: Product) -> Mapping[str, list[Entry]]:
    entries = product.facts.get("models", ())
    return {rule: [entry for entry in entries if entry.get("id") in ids] for rule, ids in IDS.items()}


def _declared(entry: Entry, reading: Reading) -> Found | None:
    """The setting of the deployment by which an entry holds, or None where it does not hold or holds by default alone."""
    held = holds(entry, reading)
    return next((item for item in held.found if item.declared), None) if held.truth else None


@rule("MOD001", "Runs code from model repositories", Severity.HIGH, category=CATEGORY, refs=REFS)
def remote_code(container: Container, scan: Scan) -> Iterator[Verdict]:
    """Whoever can change the model repository runs code in this server, with its files, its keys and its network.

    Use models that need no remote code; else review it, pin the revision to a commit, and run it without network.
    """
    told = False
    for running, reading, entry in _entries(container, scan, "MOD001"):
        found = _declared(entry, reading)
        if found is not None:
            told = True
            yield fail(
                f"{running.name}: {str(entry['say']).rstrip('.')}.",
                fix=str(entry.get("fix", "")),
                place=found.place,
                setting=found.name,
                product=running,
            )
    if not told:
        yield from _trusting_texts(container, scan)


def _trusting_texts(container: Container, scan: Scan) -> Iterator[Verdict]:
    """Remote code trusted in a command, a variable or a mounted file, whatever program reads it."""
    for line in scan.command_lines(container):
        if TRUSTS.search(line_text(line)):
            word = next((w for w in line if "trust" in w.raw), line[0])
            yield fail(
                "Its command line trusts code from the model's repository.",
                place=word.place,
                setting="trust-remote-code",
            )
            return
    for setting in container.env.values():
        if setting.value and TRUSTS.search(f"{setting.name}={setting.value}"):
            yield fail(
                f"{setting.name} trusts code from the model's repository.", place=setting.place, setting=setting.name
            )
            return
    for file in container.files:
        match = TRUSTS.search(file.text[:MAX_TEXT])
        if match:
            place = line_within(file.place, file.text, match.start(), block=file.inline)
            yield fail(
                f"{file.path} trusts code from the model's repository.", place=place, setting=f"file {file.path}"
            )
            return


@rule("MOD002", "Takes models in unsafe ways", Severity.MEDIUM, category=CATEGORY, refs=("CWE-502", *REFS))
def unsafe_ways(container: Container, scan: Scan) -> Iterator[Verdict]:
    """Pickle formats run code when they are loaded, callers who may load models choose what runs, and plain http lets the network change them.

    Serve safetensors or GGUF from a source that you control, over https, and keep loading to administrators.
    """
    for running, reading, entry in _entries(container, scan, "MOD002"):
        found = _declared(entry, reading)
        if found is not None:
            yield fail(
                f"{running.name}: {str(entry['say']).rstrip('.')}.",
                fix=str(entry.get("fix", "")),
                place=found.place,
                setting=found.name,
                product=running,
            )
    for name in HUB_VARIABLES:
        setting = container.env.get(name)
        if setting is not None and setting.value and HTTP_HUB.match(setting.value):
            yield fail(f"{name} takes models over plain http.", place=setting.place, setting=name)


@rule("MOD003", "Model revision is not pinned", Severity.LOW, category=CATEGORY, refs=REFS)
def unpinned_revision(container: Container, scan: Scan) -> Iterator[Verdict]:
    """What is loaded tomorrow is what the repository holds then; nobody can say which weights answered yesterday.

    Pin the revision to a full commit id (`--revision`), or serve the files from storage of your own.
    """
    if not scan.workload_of(container).runs:
        return
    yield from _hub_arguments(container, scan)
    for running, reading, entry in _entries(container, scan, "MOD003"):
        if not running.serves or not scan.first(container, ("revision", running.id)):
            continue
        model = _setting(entry, "model", reading)
        revision = _setting(entry, "revision", reading)
        if model is None or not model.present or model.value is None or not HUB_NAME.match(model.value):
            continue
        pinned = revision is not None and (
            revision.present is None or (revision.present and COMMIT.match(revision.value or ""))
        )
        if not pinned and holds(entry, reading).truth is not False:
            yield fail(
                f"{running.name} loads its model by a name that moves: {str(entry['say']).rstrip('.')}.", fix=str(entry.get("fix", "")),
                place=model.place, setting="revision", product=running,
            )  # fmt: skip


def _setting(entry: Entry, what: str, reading: Reading) -> Found | None:
    """The setting that an entry names for its model or revision; by default the one that is called so."""
    name = entry.get(what, what)
    return reading.setting(name) if name in reading.running.product.facts.get("settings", {}) else None


def _fetches(product: Product) -> tuple[re.Pattern[str], ...]:
    """The command lines by which a product fetches a model."""
    return tuple(re.compile(pattern) for pattern in product.facts.get("fetches", ()))


def _hub_arguments(container: Container, scan: Scan) -> Iterator[Verdict]:
    """Models fetched by a command or a `hf://` argument."""
    fetches = [pattern for running in scan.products_of(container) for pattern in running.product.once(_fetches)]
    for line in scan.command_lines(container):
        text = line_text(line)
        if (DOWNLOADS.search(text) or any(pattern.search(text) for pattern in fetches)) and "@sha256" not in text:
            yield fail(
                "A command fetches a model by a name that moves.",
                place=line[-1].place,
                setting="model fetch",
                evidence=Evidence.DECLARED,
            )
            return
        for word in line:
            found = HUB_URI.search(word.raw)
            if found and not found["revision"]:
                yield fail(UNPINNED_URI, place=word.place, setting="hf uri")
                return
    for script in (*(container.command or ()), *(container.args or ())):
        if call := CALLS.search(script.text):
            place = line_within(script.place, script.text, call.start())
            yield fail("A script fetches a model by a name that moves.", place=place, setting="model fetch")
            return


@rule("MOD004", "A model is named without its revision in a configuration", Severity.LOW, category=CATEGORY, refs=REFS)
def unpinned_in_texts(workload: Workload, scan: Scan) -> Iterator[Verdict]:
    """A serving configuration inside a resource names a model of a hub, and no revision: its content moves.

    Pin the revision in the same place (`revision: <commit>`), or name files of your own storage.
    """
    for place in _unpinned_uris(workload.resource, 0):
        yield fail(UNPINNED_URI, place=place, setting="hf uri")
    for text, place in _texts(workload.resource, 0):
        match = MODEL_KEY.search(text)
        if match and not REVISION.search(text):
            yield fail(
                "A configuration text names a model of a hub without a revision.",
                place=line_within(place, text, match.start(1)),
                setting="model in text",
            )
            return


def _unpinned_uris(node: Any, depth: int) -> Iterator[Place | None]:
    """Where a custom resource names a model by hf:// and no revision."""
    if depth > 12:
        return
    entries = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in entries:
        if key in URI_KEYS and isinstance(value, str):
            found = HUB_URI.match(value)
            if found and not found["revision"]:
                yield place_of(node, key)
        elif key != "status":
            yield from _unpinned_uris(value, depth + 1)


def _texts(node: Any, depth: int) -> Iterator[tuple[str, Place | None]]:
    """Long texts inside a custom resource: configurations within a configuration."""
    if depth > 12:
        return
    entries = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in entries:
        if isinstance(value, str):
            if "\n" in value and len(value) < MAX_TEXT:
                yield value, place_of(node, key)
        elif key != "status":
            yield from _texts(value, depth + 1)


@hookimpl
def llmscan_rules() -> list[Rule]:
    """The rules of this family."""
    return [remote_code, unsafe_ways, unpinned_revision, unpinned_in_texts]
