"""Which product of the catalogue answers: a few questions shared by all products, then those of the best candidates alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from llmscan.probe.asking import Answer
from llmscan.probe.interview import Interview, random_path
from llmscan.probe.matching import Match, match, values
from llmscan.probe.routes import allowed, fingerprints, probes
from llmscan.products import Product

SHARED = 7
"""How many questions, beside the one for a path that does not exist, every unknown endpoint gets."""
OWN = 10
"""How many questions more, at most, tell the candidates apart."""
WEIGHTS = {"strong": 3, "weak": 1, "hint": 0}
ENOUGH = 3
SLOW = "openapi.json"
"""A document that large servers need long to make, and that is therefore asked for after the others."""
ANY = "*"
"""Stands for the path of a fingerprint that any answer may match."""
Fingerprint = Mapping[str, Any]


@dataclass
class Candidate:
    """A product that may be what answers, with what speaks for it."""

    product: Product
    strong: list[Match] = field(default_factory=list)
    weak: list[Match] = field(default_factory=list)
    hints: int = 0
    version: str = ""
    contradicted: bool = False

    @property
    def certain(self) -> bool:
        """One strong piece, or two weak ones from different answers where nothing speaks against it."""
        return bool(self.strong) or (len({found.answer.path for found in self.weak}) > 1 and not self.contradicted)

    @property
    def rank(self) -> tuple[int, int, int]:
        """What sorts candidates: strong pieces, weak ones, hints."""
        return len({found.answer.path for found in self.strong}), len(self.weak), self.hints

    @property
    def because(self) -> str:
        """What speaks for it, in a line."""
        return "; ".join(dict.fromkeys(found.quote for found in [*self.strong, *self.weak][:3]))


class Askable:
    """The products that the catalogue knows how to ask, and the questions that they share."""

    def __init__(self, products: Iterable[Product]) -> None:
        self.products = tuple(product for product in products if probes(product))

    @cached_property
    def shared(self) -> tuple[str, ...]:
        """The paths that together tell most products apart, none of which any product forbids."""
        chosen: list[str] = []
        told: dict[str, int] = {}
        worth = self._worth()
        while worth and len(chosen) < SHARED:
            path = min(worth, key=lambda path: (-_gain(worth[path], told), path))
            for product, weight in worth.pop(path).items():
                told[product] = min(ENOUGH, told.get(product, 0) + weight)
            chosen.append(path)
        return tuple(sorted(chosen, key=lambda path: path.endswith(SLOW)))

    def _worth(self) -> dict[str, dict[str, int]]:
        """By path that may be asked: how much it tells of which products."""
        worth: dict[str, dict[str, int]] = {}
        for product in self.products:
            for entry in fingerprints(product):
                path, weight = entry["path"], WEIGHTS[entry.get("weight", "weak")]
                if path != ANY and allowed(path, self.products):
                    by_product = worth.setdefault(path, {})
                    by_product[product.id] = max(by_product.get(product.id, 0), weight)
        return worth


def _gain(weights: Mapping[str, int], told: Mapping[str, int]) -> int:
    """How much a path tells beside those that are chosen already."""
    return sum(min(ENOUGH - told.get(product, 0), weight) for product, weight in weights.items())


def identify(interview: Interview, askable: Askable, expected: Sequence[Product] = ()) -> Candidate | None:
    """The product that answers, or None. `expected`: those that the deployment is known to run here, asked first. Raises Trouble."""
    known = askable.products
    nowhere = interview.get(random_path())
    interview.guarded = tuple(expected) or known
    if expected:
        found = _own(interview, list(expected), nowhere)
        if found is not None:
            return found
        interview.guarded = known
    interview.follow("/")
    for path in askable.shared:
        interview.get(path)
    candidates = [c for product in known if (c := judge(product, interview, nowhere)).rank > (0, 0, 0)]
    candidates.sort(key=lambda c: c.rank, reverse=True)
    asked = [candidate.product for candidate in candidates if not candidate.contradicted][:4]
    asked += [p for p in known if p not in asked and set(probes(p).get("instead_of", ())) & {a.id for a in asked[:2]}]
    interview.guarded = tuple(asked)
    return _own(interview, asked, nowhere)


def _own(interview: Interview, products: Sequence[Product], nowhere: Answer | None) -> Candidate | None:
    """Ask what tells these products alone, the strongest first, and take the best of them."""
    left = OWN
    entries = [(product, entry) for product in products for entry in fingerprints(product)]
    entries.sort(key=lambda item: -WEIGHTS[item[1].get("weight", "weak")])
    for product, entry in entries:
        path = entry["path"]
        if path == ANY or path in interview.answers or left <= 0 or _enough(product, products, interview, nowhere):
            continue
        left -= 1
        interview.get(path)
    return best([judge(product, interview, nowhere) for product in products])


def _enough(product: Product, products: Sequence[Product], interview: Interview, nowhere: Answer | None) -> bool:
    """Whether more answers would add nothing: the product has two strong pieces, or one and no rival."""
    strong = len({found.answer.path for found in judge(product, interview, nowhere).strong})
    return strong > 1 or (strong == 1 and len(products) == 1)


def best(candidates: Iterable[Candidate]) -> Candidate | None:
    """The most certain candidate; one that is built upon another wins over that one."""
    certain = [candidate for candidate in candidates if candidate.certain]
    beaten = {
        name for candidate in certain if candidate.strong for name in probes(candidate.product).get("instead_of", ())
    }
    left = [candidate for candidate in certain if candidate.product.id not in beaten]
    return max(left, key=lambda candidate: candidate.rank, default=None)


def judge(product: Product, interview: Interview, nowhere: Answer | None) -> Candidate:
    """What the answers so far say for a product and against it."""
    candidate = Candidate(product)
    matched: set[str] = set()
    disputed: set[str] = set()
    for entry in fingerprints(product):
        for answer in _answers(entry["path"], interview):
            found = match(entry, answer)
            if found is None:
                if entry.get("weight") == "strong" and answer.status < 400 and entry["path"] != ANY:
                    disputed.add(entry["path"])
                continue
            _count(candidate, entry, found, nowhere, matched)
    candidate.contradicted = bool(disputed - matched)
    return candidate


def _answers(path: str, interview: Interview) -> list[Answer]:
    """The answers that a fingerprint looks at; the page that a redirect from / led to speaks for / too."""
    if path == ANY:
        return list(interview.given)
    answer = interview.answers.get(path)
    return [answer] if answer is not None else []


def _count(candidate: Candidate, entry: Fingerprint, found: Match, nowhere: Answer | None, matched: set[str]) -> None:
    weight = entry.get("weight", "weak")
    if weight == "hint" or _says_nothing(entry, weight, nowhere):
        candidate.hints += bool({"header", "json", "body"} & set(entry))
        return
    matched.add(entry["path"])
    (candidate.strong if weight == "strong" else candidate.weak).append(found)
    if "version" in entry and not candidate.version:
        candidate.version = next((str(v) for v in values(found.answer.document, entry["version"]) if v), "")


def _says_nothing(entry: Fingerprint, weight: str, nowhere: Answer | None) -> bool:
    """Whether the server gives the same answer to a path that does not exist, and so to everything."""
    if nowhere is None or match(entry, nowhere) is None:
        return False
    return weight != "strong" or not ({"header", "json", "body"} & set(entry))
