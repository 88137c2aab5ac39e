"""The conversation with one endpoint: each question once, within a number of questions, and never a route that is not to be asked."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit

from llmscan.probe.asking import Answer, Asker, Trouble
from llmscan.probe.routes import allowed
from llmscan.products import Product

REFUSALS = frozenset({401, 403, 407, 511})
GATEWAY = frozenset({502, 503, 504})
REDIRECTS = frozenset({301, 302, 303, 307, 308})
MOST = 40
"""How many requests one endpoint gets at the very most."""
REDIRECTS_FOLLOWED = 2
HEALTH_CHECKS = 2
"""How many paths a proxy may leave open for those that watch over it."""
SIGN_IN = ("login", "signin", "sign-in", "sign_in", "oauth", "saml", "sso", "authorize", "auth")


@dataclass
class Interview:
    """What one endpoint was asked and answered. `guarded`: the products whose forbidden routes stay unasked."""

    asker: Asker
    guarded: tuple[Product, ...] = ()
    answers: dict[str, Answer | None] = field(default_factory=dict)
    """Answers to plain GETs by path; None where none came."""
    requests: int = 0
    silences: int = 0
    trouble: str = ""

    def get(self, path: str) -> Answer | None:
        """The answer to a plain GET, asked once; None where it must not be asked or nothing came.

        Raises Trouble where the endpoint cannot be reached at all.
        """
        if path not in self.answers:
            self.answers[path] = self.ask("GET", path, {})
        return self.answers[path]

    def ask(self, method: str, path: str, headers: Mapping[str, str]) -> Answer | None:
        """The answer to any question, asked now. Raises Trouble as `get` does."""
        if self.requests >= MOST or self.silences >= 2 or not allowed(path, self.guarded):
            return None
        self.requests += 1
        try:
            answer = self.asker.ask(method, path, headers)
        except Trouble as trouble:
            self.trouble = self.trouble or trouble.why
            self.silences += 2 if trouble.final else 1
            if self.silences >= 2 and not self.heard:
                raise Trouble(self.trouble) from None
            return None
        self.heard = True
        return answer

    heard: bool = False

    def follow(self, path: str) -> None:
        """Ask where a redirect leads, as long as that is the same server, and keep the answers by their own paths."""
        answer = self.get(path)
        for _ in range(REDIRECTS_FOLLOWED):
            target = same_server(answer)
            if target is None or target in self.answers:
                return
            answer = self.get(target)

    @property
    def given(self) -> Iterator[Answer]:
        """The answers that came."""
        return (answer for answer in self.answers.values() if answer is not None)


def random_path() -> str:
    """A path that no server has, so that an answer to it shows what the server says to everything."""
    return f"/llmscan-{secrets.token_hex(6)}"


def same_server(answer: Answer | None) -> str | None:
    """The path that a redirect leads to on the same server; None for any other answer, and for a redirect elsewhere."""
    if answer is None or answer.status not in REDIRECTS:
        return None
    try:
        target = urlsplit(urljoin(f"http://here.invalid{answer.path}", answer.headers.get("location", "")))
    except ValueError:
        return None
    if target.netloc != "here.invalid" or target.scheme != "http" or not target.path.startswith("/"):
        return None
    query = f"?{target.query}" if target.query else ""
    return f"{target.path}{query}"


def refuses(answer: Answer) -> bool:
    """Whether an answer asks for a credential: a refusal, or a redirect to a page to sign in."""
    if answer.status in REFUSALS:
        return True
    location = answer.headers.get("location", "").lower()
    return answer.status in REDIRECTS and any(word in location for word in SIGN_IN)


def refused_everywhere(answers: Iterable[Answer]) -> bool:
    """Whether a server refuses what it is asked: its front page, a path that does not exist, and all but a health check or two."""
    told = list(answers)
    refused = [answer for answer in told if refuses(answer)]
    front = {answer.path for answer in refused}
    return bool(told) and told[0].path in front and "/" in front and len(refused) >= len(told) - HEALTH_CHECKS
