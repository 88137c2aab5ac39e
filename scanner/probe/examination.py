"""The examination of one endpoint: what answers, at which version, whom it asks for a credential, and which pages may call it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from packaging.version import InvalidVersion, Version

from llmscan.model import Reach
from llmscan.probe.asking import Answer, Asker, Trouble
from llmscan.probe.cors import ask_cors
from llmscan.probe.identification import Askable, Candidate, identify
from llmscan.probe.interview import GATEWAY, Interview, refused_everywhere, refuses
from llmscan.probe.matching import Match, match, request_line, shown, values
from llmscan.probe.observation import NOTHING_KNOWN, PRODUCT, REFUSED, SILENT, Observation, Seen
from llmscan.probe.routes import probes
from llmscan.products import TAG_VERSION, Product

NO_ANSWER_BEHIND = "answers every request with"


def examine(
    asker: Asker, url: str, port: int, reach: Reach, askable: Askable, expected: Sequence[Product] = ()
) -> Observation:
    """Ask one endpoint what may be asked. It never raises for what a server does."""
    interview = Interview(asker)
    try:
        found = identify(interview, askable, expected)
    except Trouble as trouble:
        return Observation(url, port, reach, SILENT, because=trouble.why, requests=interview.requests)
    if found is None:
        return _stranger(interview, url, port, reach)
    return _product(interview, found, url, port, reach)


def _stranger(interview: Interview, url: str, port: int, reach: Reach) -> Observation:
    """An endpoint that is none of the catalogue's products, as far as it lets itself be asked."""
    answers = list(interview.given)
    if refused_everywhere(answers):
        line = request_line(answers[0])
        return Observation(
            url, port, reach, REFUSED, because=f"every request is refused ({line})", requests=interview.requests
        )
    if answers and all(answer.status in GATEWAY for answer in answers):
        why = f"{NO_ANSWER_BEHIND} {answers[0].status}: what is behind it does not answer"
        return Observation(url, port, reach, SILENT, because=why, requests=interview.requests)
    if interview.trouble and interview.silences >= 2:
        return Observation(url, port, reach, SILENT, because=interview.trouble, requests=interview.requests)
    why = "none of its answers is one that the catalogue knows"
    return Observation(url, port, reach, NOTHING_KNOWN, because=why, requests=interview.requests)


def _product(interview: Interview, found: Candidate, url: str, port: int, reach: Reach) -> Observation:
    product, facts = found.product, probes(found.product)
    interview.guarded = (product,)
    decisions: dict[str, Seen] = {}
    unsettled: dict[str, str] = {}
    version = _version(interview, found)
    for block in ("authentication", "registration"):
        seen = settle(interview, facts.get(block, ()), version)
        if seen is not None:
            decisions[block] = seen
        else:
            unsettled[block] = _why_unsettled(interview, facts.get(block, ()))
    if not interview.asker.cross_origin:
        unsettled["cors"] = "the API server's proxy takes cross-origin headers out"
    elif (path := facts.get("cors", {}).get("path")) and (cors := ask_cors(interview, path)) is not None:
        decisions["cors"] = cors
    else:
        unsettled["cors"] = "no route of it is known to tell" if not path else "it did not answer"
    return Observation(
        url, port, reach, PRODUCT, product.id, version, found.because, decisions, unsettled, interview.requests
    )


def _version(interview: Interview, found: Candidate) -> str:
    """The version as the server tells it, cleaned; "" where it does not."""
    product = found.product
    for told in (found.version, *_told(interview, probes(product).get("version"))):
        if version := clean_version(told, product):
            return version
    return ""


def _told(interview: Interview, source: Any) -> Iterator[str]:
    for entry in source if isinstance(source, list) else [source] if source else []:
        answer = interview.get(entry["path"])
        if answer is None or answer.status >= 400:
            continue
        if "json" in entry:
            yield from (str(value) for value in values(answer.document, entry["json"]) if value)
        elif "body" in entry and (said := re.search(entry["body"], answer.text.strip())):
            yield said[1]
        for name, pattern in entry.get("header", {}).items():
            if said := re.search(pattern, answer.headers.get(name.lower(), "")):
                yield said[1] if said.groups() else said[0]


def clean_version(told: str, product: Product) -> str:
    """A version that can be compared, out of what a server says; "" where there is none in it."""
    for pattern in (TAG_VERSION, str(product.identify.get("version", TAG_VERSION))):
        if said := re.search(pattern, told.strip()):
            try:
                return str(Version(said[1]))
            except (InvalidVersion, IndexError):
                continue
    return ""


def settle(interview: Interview, entries: Sequence[Mapping[str, Any]], version: str = "") -> Seen | None:
    """The first of some questions whose answer decides."""
    for entry in entries:
        if not _in_range(entry, version):
            continue
        answer = interview.get(entry["path"])
        if answer is None:
            continue
        for key, said in ANSWERS.items():
            if key in entry and (decided := match(entry[key], answer)) is not None:
                return Seen(said, decided.quote)
        if "closed" in entry and refuses(answer):
            return Seen("required", _refusal(answer).quote)
    return None


ANSWERS = {"open": "open", "closed": "required", "first_visitor": "first-visitor", "application": "application"}


def _refusal(answer: Answer) -> Match:
    where = answer.headers.get("location", "").partition("?")[0]
    return Match(answer, f"location: {shown(where)}" if where else "")


def _in_range(entry: Mapping[str, Any], version: str) -> bool:
    """Whether a question is meant for this version; for an unknown one it is asked."""
    if not version:
        return True
    low, high = entry.get("since"), entry.get("before")
    return (low is None or Version(version) >= Version(low)) and (high is None or Version(version) < Version(high))


def _why_unsettled(interview: Interview, entries: Sequence[Mapping[str, Any]]) -> str:
    if not entries:
        return "nothing that may be asked would tell"
    told = [answer for entry in entries if (answer := interview.answers.get(entry["path"])) is not None]
    return f"the answer does not tell ({request_line(told[0])})" if told else "it did not answer"
