"""Redaction: one step between judging and reporting, so that no format ever sees a secret.

What a report says is looked through for the values of the target, whole, in parts (the password of a URL, a word of a command line, an entry of a
file) and as base64 or a URL would write them, whoever wrote the sentence. What is public stays, and so do the words that the rules' own sources
are written in: a password that is such a word cannot be told from the sentence around it.
"""

from __future__ import annotations

import re
import sys
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from types import CodeType, FunctionType, ModuleType
from typing import Any, TypeVar, cast
from urllib.parse import quote

from llmscan.findings import Failure, Finding, InventoryItem, ProductNote, Related, Report, Resource
from llmscan.model import Gap, Workload
from llmscan.records import replace
from llmscan.rule_view import Scan
from llmscan.rules import Rule
from llmscan.sensitive import private_texts, public_texts

T = TypeVar("T")
R = TypeVar("R", Resource, Related, Gap, ProductNote)
SHOWN: dict[type, tuple[str, ...]] = {
    Resource: ("kind", "name", "namespace", "container"),
    Related: ("name", "kind", "namespace", "text"),
    Gap: ("what", "why", "would"),
    ProductNote: ("because",),
}
"""The texts of records that are parts of findings, by their kinds."""
HIDDEN = "[redacted]"
LEAST = 5
"""Shorter values are not looked for: they would take out parts of every sentence."""
LONGEST = 4000
SURE = 16
"""Values of this length, and shorter ones that mix letters with digits, are taken out within longer words too."""
TOKEN = re.compile(r"[^\s'\"`,;()\[\]{}<>=|&]{5,}")
NAMES = re.compile(r"[^\s'\"`,;()\[\]{}<>=|&/:@?]{5,}")
WORD = re.compile(r"\S{5,}")
PASSWORD = re.compile(r"://[^/\s@]*?:([^/\s]+)@")
ENTRY = re.compile(r"^[\s\-]*[\w.\-\"'\[\]]+\s*[:=]\s*(\S.*?)[\s,;]*$", re.MULTILINE)
VARIABLE = re.compile(r"\$[{(]([A-Za-z_]\w*)")
REFERENCE = re.compile(r"\$(?:\{\w+\}|\(\w+\)|\w+)")
FLAG = re.compile(r"(?<![^\s'\"])(--?[A-Za-z][\w.-]*)")
MARKS = "'\"`.,;:()[]{}"
LETTERS = re.compile(r"[A-Za-z]{5,15}")
KNOWN = re.compile(
    r"(?:hf_[A-Za-z0-9]{16,}|sk-[A-Za-z0-9_-]{8,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[abpr]-[\w-]{10,}"
    r"|AKIA[0-9A-Z]{16}|AIza[\w-]{30,}|nvapi-[\w-]{20,}|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*|-----BEGIN [A-Z ]*PRIVATE KEY-----)"
)
PEM = "-----BEGIN"
"""How the one known form begins that has spaces in it."""
CREDENTIALS = re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)")


class Secrets:
    """The values of some stacks that must not be shown. `rules`: those whose sentences are looked through."""

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self.private: set[str] = set()
        self.public: set[str] = set()
        self._sources: dict[str, str] = {}
        self._modules = {rule.call.__module__ for rule in rules}
        self._texts: dict[str, str] = {"": ""}
        self._words: dict[str, str] = {}
        self._clean: set[str] = set()
        self._records: dict[Any, Any] = {}
        self._starts: dict[str, list[str]] = {}

    def add(self, scan: Scan, workloads: Sequence[Workload], whole: bool) -> None:
        """Take in the values of some workloads; they are cut up only once it is known what was said. whole: those of the stack itself too."""
        if whole:
            self.private.update(private_texts(scan.stack))
        self.public.update(public_texts(scan, workloads))
        for workload in workloads:
            for container in workload.containers:
                for running in scan.products_of(container):
                    self._sources.setdefault(running.id, running.product.source)

    def learnt(self) -> tuple[set[str], set[str], dict[str, str]]:
        """What is known, to be handed from one process to another."""
        return self.private, self.public, self._sources

    def join(self, learnt: tuple[set[str], set[str], dict[str, str]]) -> None:
        """Take in what is known elsewhere."""
        self.private |= learnt[0]
        self.public |= learnt[1]
        self._sources |= learnt[2]

    @cached_property
    def shown(self) -> frozenset[str]:
        """What stays: public values whole and in words, names of variables and flags, and the vocabulary of the rules."""
        shown = set(self.public)
        for text in (*self.public, *self._sources.values()):
            shown.update(TOKEN.findall(text))
            shown.update(NAMES.findall(text))
        for source in self._sources.values():
            shown.update(word.strip(MARKS) for word in WORD.findall(source))
        for text in self.private:
            if "$" in text:
                shown.update(VARIABLE.findall(text))
            if "-" in text:
                shown.update(FLAG.findall(text))
        return frozenset(shown | _vocabulary(self._modules))

    @cached_property
    def values(self) -> frozenset[str]:
        """The texts that must not be shown."""
        found = {part for text in self.private for part in _parts(text)} - self.shown
        return frozenset(part for part in found if part.strip("/") not in self.shown)  # a path of one public name

    @cached_property
    def _by_start(self) -> dict[str, list[str]]:
        """Values without white space by their first letters, the longest first."""
        result: dict[str, list[str]] = {}
        for value in sorted(self.values, key=len, reverse=True):
            if not any(map(str.isspace, value)):
                result.setdefault(value[:LEAST], []).append(value)
        return result

    @cached_property
    def _phrases(self) -> dict[str, list[str]]:
        """Values with white space by their first word."""
        result: dict[str, list[str]] = {}
        for value in sorted(self.values, key=len, reverse=True):
            if any(map(str.isspace, value)):
                result.setdefault(value.split(maxsplit=1)[0], []).append(value)
        return result

    def hide(self, text: str) -> str:
        """`text` without secrets."""
        done = self._texts.get(text)
        if done is None:
            done = text if text in self.public else self._without(text)
            self._texts[text] = done
        return text if done == text else done

    def record(self, record: R) -> R:
        """A record that is a part of findings, without secrets: the same object again for the same record."""
        done = self._records.get(record)
        if done is None:
            shown = {name: self.hide(getattr(record, name)) for name in SHOWN[type(record)]}
            done = self._records[record] = _with(record, **shown)
        return cast(R, done)

    def _without(self, text: str) -> str:
        words = text.split()
        if self._clean.issuperset(words) or all(map(self._is_clean, words)):
            return text
        text = CREDENTIALS.sub(HIDDEN, KNOWN.sub(HIDDEN, text))
        if self._phrases:
            for phrase in [phrase for word in text.split() for phrase in self._beginning(word)]:
                text = text.replace(phrase, HIDDEN)
        return WORD.sub(self._word, text)

    def _is_clean(self, word: str) -> bool:
        """Whether a word is shown as it is in any sentence: most texts are made of such words alone."""
        if word in self._clean:
            return True
        private = PEM in word or KNOWN.search(word) or CREDENTIALS.search(word)
        if private or (self._phrases and self._beginning(word)) or (len(word) >= LEAST and self._hidden(word) != word):
            return False
        self._clean.add(word)
        return True

    def _beginning(self, word: str) -> list[str]:
        """The phrases whose first word this one ends with."""
        found = self._starts.get(word)
        if found is None:
            ends = (word[at:] for at in range(len(word)))
            found = self._starts[word] = [phrase for end in ends for phrase in self._phrases.get(end, ())]
        return found

    def _word(self, match: re.Match[str]) -> str:
        word = match[0]
        done = self._words.get(word)
        if done is None:
            done = self._words[word] = self._hidden(word)
        return done

    def _hidden(self, word: str) -> str:
        """One word without the values in it. Names that are public are not cut by values that are a part of them."""
        if self._by_start.keys().isdisjoint([word[at : at + LEAST] for at in range(len(word) - LEAST + 1)]):
            return word
        names = [match.span() for match in NAMES.finditer(word) if match[0].rstrip(".!") in self.shown]
        kept, at, result = 0, 0, ""
        while at <= len(word) - LEAST:
            end = self._value_at(word, at, names)
            if end:
                result += word[kept:at] + HIDDEN
                kept = at = end
            else:
                at += 1
        return result + word[kept:]

    def _value_at(self, word: str, at: int, names: list[tuple[int, int]]) -> int:
        for value in self._by_start.get(word[at : at + LEAST], ()):
            end = at + len(value)
            found = word.startswith(value, at) and (_sure(value) or _alone(word, at, end))
            if found and not any(start <= at and end <= stop for start, stop in names):
                return end
        return 0


def _sure(value: str) -> bool:
    return len(value) >= SURE or (len(value) >= 8 and value.isascii() and not value.isalpha())


def _alone(word: str, start: int, end: int) -> bool:
    return not (start and word[start - 1].isalnum()) and not (end < len(word) and word[end].isalnum())


def _parts(text: str) -> Iterator[str]:
    """A value, what stands in it, and how base64 and URLs would write it."""
    whole = text.strip()
    if LEAST <= len(whole) <= LONGEST and not REFERENCE.fullmatch(whole):
        yield whole
        yield from _encoded(whole)
    for found in TOKEN.findall(text):
        token = found.rstrip(".:!?")
        if len(token) >= LEAST:
            yield token
            yield from _encoded(token) if _sure(token) else ()
        if ":" in token and "://" not in token:
            yield from (part for part in (token.partition(":")[2],) if len(part) >= LEAST)
    if "://" in text:
        for password in PASSWORD.findall(text):
            if len(password) >= LEAST:
                yield password
                yield from _encoded(password)
    if "\n" in text:
        for entry in ENTRY.findall(text):
            value = entry.strip("'\"")
            if len(value) >= LEAST:
                yield value
                yield from _encoded(value)


def _encoded(text: str) -> Iterator[str]:
    """As base64 writes it, without the padding, and as URLs do where that differs."""
    encoded = b64encode(text.encode("utf-8", "surrogateescape")).decode()
    yield from {encoded, encoded.rstrip("=")}
    if not text.isalnum() and (written := quote(text, safe="", errors="replace")) != text:
        yield from {written, written.replace("%2F", "/"), written.replace("%20", "+")}


def _vocabulary(names: Iterable[str]) -> set[str]:
    """The words of letters alone that llmscan and the modules of rules are written in."""
    named = {name for name in sys.modules if name.split(".")[0] == "llmscan"} | set(names)
    modules = [module for name in named if isinstance(module := sys.modules.get(name), ModuleType)]
    return set(LETTERS.findall("\n".join(text for module in modules for text in _literals(module))))


def _literals(module: ModuleType) -> Iterator[str]:
    stack: list[Any] = [
        value for value in vars(module).values() if getattr(value, "__module__", module.__name__) == module.__name__
    ]
    while stack:
        value = stack.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, Rule):
            stack.append(value.call)
        elif isinstance(value, FunctionType):
            stack.append(value.__code__)
        elif isinstance(value, CodeType):
            stack += value.co_consts
        elif isinstance(value, property):
            stack.append(value.fget)
        elif isinstance(value, type) and value.__module__ == module.__name__:
            stack += vars(value).values()
        elif isinstance(value, tuple | list | frozenset | set):
            stack += value
        elif isinstance(value, dict) and len(value) < 100 and "__name__" not in value:
            stack += value.values()


def redact(report: Report, secrets: Secrets) -> Report:
    """The report without the secrets of the stacks that it is about, in every text that a format shows."""
    for rule in report.rules:
        secrets.public.update((rule.title, rule.why, rule.fix))
    secrets.public.update(failure.name for failure in report.failures if failure.kind == "input")
    secrets.public.update(note.partition(": ")[0] for note in report.coverage.notes)
    hide = secrets.hide
    return replace(
        report,
        target=_with(report.target, details={key: hide(value) for key, value in report.target.details.items()}),
        findings=tuple(_finding(item, secrets) for item in report.findings),
        failures=tuple(Failure(f.kind, hide(f.name), hide(f.reason), f.place) for f in report.failures),
        coverage=replace(
            report.coverage,
            gaps=tuple(map(secrets.record, report.coverage.gaps)),
            notes=tuple(hide(note) for note in report.coverage.notes),
        ),
        inventory=tuple(_item(item, secrets) for item in report.inventory),
    )


def _item(item: InventoryItem, secrets: Secrets) -> InventoryItem:
    observed = tuple(replace(note, because=secrets.hide(note.because)) for note in item.observed)
    return _with(item, image=CREDENTIALS.sub(HIDDEN, KNOWN.sub(HIDDEN, item.image)), observed=observed)


def _finding(item: Finding, secrets: Secrets) -> Finding:
    """A finding without secrets; itself where it holds none, as most do."""
    hide, record = secrets.hide, secrets.record
    message, fix, quote, setting = hide(item.message), hide(item.fix), hide(item.quote), hide(item.setting)
    resource = record(item.resource)
    via, product = item.via and record(item.via), item.product and record(item.product)
    related, missing = tuple(map(record, item.related)), tuple(map(record, item.missing))
    same = (
        (message is item.message and fix is item.fix and quote is item.quote and setting is item.setting)
        and (resource == item.resource and via == item.via and product == item.product)
        and (related == item.related and missing == item.missing)
    )
    if same:
        return item
    return replace(
        item, message=message, fix=fix, quote=quote, setting=setting, resource=resource, via=via, product=product,
        related=related, missing=missing,
    )  # fmt: skip


def _with(record: T, **new: Any) -> T:
    """A record with new values; the record itself where they are those that it has."""
    for name, value in new.items():
        if getattr(record, name) is not value and getattr(record, name) != value:
            return replace(record, **new)
    return record
