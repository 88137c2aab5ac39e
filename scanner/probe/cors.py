"""Which web pages may call an endpoint: a request and a preflight from a foreign origin, read as a browser would."""

from __future__ import annotations

from collections.abc import Iterable

from llmscan.probe.asking import Answer
from llmscan.probe.interview import Interview
from llmscan.probe.matching import request_line, shown
from llmscan.probe.observation import Seen

ORIGIN = "https://llmscan.invalid"
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
WORST_FIRST = ("reflected-with-credentials", "any-with-credentials", "reflected", "any", "null", "listed", "none")
ALLOWED = "access-control-allow-origin"
CREDENTIALS = "access-control-allow-credentials"


def ask_cors(interview: Interview, path: str) -> Seen | None:
    """What a foreign page may do with this path; None where nothing was answered."""
    answers = [
        interview.ask("GET", path, {"Origin": ORIGIN}),
        interview.ask("OPTIONS", path, {"Origin": ORIGIN} | PREFLIGHT),
    ]
    told = [(answer, ORIGIN) for answer in answers if answer is not None]
    if told and worst(told)[0] == "none" and (answer := interview.ask("GET", path, {"Origin": "null"})) is not None:
        told.append((answer, "null"))
    if not told:
        return None
    verdict, deciding = worst(told)
    lines = [_line(answer, origin) for answer, origin in (deciding or told[:2])]
    return Seen(verdict, "\n".join(lines))


def worst(told: Iterable[tuple[Answer, str]]) -> tuple[str, list[tuple[Answer, str]]]:
    """The most permissive reading of some answers to an origin, and the answers that give it (none for `none`)."""
    read = [(reading(answer, origin), answer, origin) for answer, origin in told]
    verdict = min((item[0] for item in read), key=WORST_FIRST.index, default="none")
    return verdict, [(answer, origin) for said, answer, origin in read if said == verdict and verdict != "none"]


def reading(answer: Answer, origin: str) -> str:
    """What one answer allows a page of `origin`, in the catalogue's words."""
    allowed = answer.headers.get(ALLOWED, "").strip()
    if not allowed:
        return "none"
    credentials = answer.headers.get(CREDENTIALS, "").strip().lower() == "true"
    if allowed == "*":
        return "any-with-credentials" if credentials else "any"
    if allowed == "null":
        return "null"
    if allowed == origin:
        return "reflected-with-credentials" if credentials else "reflected"
    return "listed"


def _line(answer: Answer, origin: str) -> str:
    headers = [f"{name}: {shown(answer.headers[name])}" for name in (ALLOWED, CREDENTIALS) if name in answer.headers]
    return f"{request_line(answer)} (Origin: {origin}): {', '.join(headers) or 'no access-control headers'}"
