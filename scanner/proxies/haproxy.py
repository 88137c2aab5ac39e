"""What an HAProxy passes on: the servers of the backends that its frontends use.

Facts: https://docs.haproxy.org/3.2/configuration.html, sections 2.2 (format), 4.2 (bind, server, http-request).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from llmscan.commandline import Line
from llmscan.model import ConfigFile, Container, Setting
from llmscan.places import Place
from llmscan.proxies.onward import CREDENTIAL, Onward, address, known, line_of

SECTION = re.compile(r"(frontend|backend|listen|defaults|global|userlist|peers|resolvers|program|cache|ring|mailers)\b")
VARIABLE = re.compile(r"\$\{(\w{1,100})(?:-([^{}]{0,200}))?\}|\$(\w{1,100})")
BOUND = re.compile(r"(?P<host>[^\s,]*?):(?P<port>\d{1,5})\Z")


@dataclass
class _Section:
    """A frontend, backend or listen: each line's words, with its place."""

    kind: str
    name: str
    lines: list[tuple[list[str], Place | None]] = field(default_factory=list)

    def of(self, *names: str) -> Iterator[tuple[list[str], Place | None]]:
        return ((words, place) for words, place in self.lines if words[0] in names)


def onward(container: Container, lines: Sequence[Line]) -> Iterator[Onward]:
    """The upstreams of an HAProxy."""
    files = [file for file in container.files if file.path.endswith((".cfg", ".conf"))]
    sections = [section for file in files for section in _sections(file, container.env)]
    backends = {section.name: section for section in sections if section.kind in ("backend", "listen")}
    defaults = [
        words[1] for s in sections if s.kind == "defaults" for words, _ in s.of("default_backend") if len(words) > 1
    ]
    for section in sections:
        if section.kind in ("frontend", "listen"):
            yield from _entered(section, backends, defaults[:1])


def _sections(file: ConfigFile, env: Mapping[str, Setting]) -> Iterator[_Section]:
    current: _Section | None = None
    for number, line in enumerate(file.text.splitlines(), 1):
        words = _words(line, env)
        if not words:
            continue
        if SECTION.fullmatch(words[0]):
            if current is not None:
                yield current
            current = _Section(words[0], words[1] if len(words) > 1 else "")
        elif current is not None:
            current.lines.append((words, line_of(file, number)))
    if current is not None:
        yield current


def _words(line: str, env: Mapping[str, Setting]) -> list[str]:
    """The words of a line, its variables put in; one that was not seen stays as it is."""

    def put(match: re.Match[str]) -> str:
        value = known(match[1] or match[3], env)
        return value if value is not None else (match[2] or match[0])

    try:
        words = shlex.split(line[:4000], comments=True)
    except ValueError:
        words = line[:4000].split("#")[0].split()
    return [VARIABLE.sub(put, word) if "$" in word else word for word in words]


def _entered(front: _Section, backends: Mapping[str, _Section], default: Sequence[str]) -> Iterator[Onward]:
    """The upstreams to which callers of a frontend come."""
    listens = _listens(front)
    if listens is not None and not listens:
        return
    acls = _acls(front)
    asks = _asks(front, acls)
    if front.kind == "listen":
        yield from _servers(front, listens, asks)
    uses = [(words, place) for words, place in front.of("use_backend", "default_backend") if len(words) > 1]
    if not any(words[0] == "default_backend" for words, _ in uses):
        uses += [(["default_backend", name], None) for name in default]
    for words, _ in uses:
        backend = backends.get(words[1])
        if backend is not None:
            chosen = "HAProxy, by the condition of its use_backend" if _credential(words[2:], acls) else ""
            yield from _servers(backend, listens, asks or chosen or _asks(backend, {**acls, **_acls(backend)}))


def _listens(section: _Section) -> frozenset[int] | None:
    """The ports of a frontend that others than its own container reach; None where one is not known."""
    found: set[int] = set()
    for words, _ in section.of("bind"):
        for one in words[1].split(",") if len(words) > 1 else ():
            match = BOUND.match(one)
            if "$" in one or (match is None and ":" in one):
                return None
            if match and not match["host"].startswith(("127.", "localhost", "::1", "[::1]")):
                found.add(int(match["port"]))
    return frozenset(found)


def _acls(section: _Section) -> dict[str, str]:
    found: dict[str, str] = {}
    for words, _ in section.of("acl"):
        if len(words) > 2:
            found[words[1]] = f"{found.get(words[1], '')} {' '.join(words[2:])}"[:4000]
    return found


def _credential(words: Sequence[str], acls: Mapping[str, str]) -> bool:
    """Whether a condition looks at what the caller brings as a credential."""
    texts = [acls.get(word.lstrip("!"), word) for word in words]
    return any(CREDENTIAL.search(text) for text in texts)


def _asks(section: _Section, acls: Mapping[str, str]) -> str:
    """What a section asks its callers for: `http-request auth`, a refusal of those without a credential, or client certificates."""
    for words, _ in section.of("http-request", "tcp-request"):
        action, condition = (words[1] if len(words) > 1 else ""), _condition(words)
        negative = not condition or condition[0] == "unless" or any(word.startswith("!") for word in condition)
        if action == "auth" and negative:
            return "HAProxy, http-request auth"
        if action in ("deny", "reject", "return", "silent-drop") and negative and _credential(condition[1:], acls):
            return "HAProxy, a condition on the request"
    if any("verify" in words and "required" in words for words, _ in section.of("bind")):
        return "HAProxy, client certificates"
    return ""


def _condition(words: Sequence[str]) -> Sequence[str]:
    return next((words[index:] for index, word in enumerate(words) if word in ("if", "unless")), ())


def _servers(section: _Section, listens: frozenset[int] | None, asks: str) -> Iterator[Onward]:
    """The servers of a section; one without a port gets the port to which the caller came."""
    for words, place in section.of("server", "server-template"):
        target = (words[2 if words[0] == "server" else 3 :] or [""])[0]
        seen = "$" not in target and "disabled" not in words and not target.startswith(("unix@", "/"))
        found = address(target.removeprefix("ipv4@"), None) if seen else None
        if found is not None:
            host, port = found
            for one in [port] if port is not None else sorted(listens or ()):
                yield Onward(host, one, listens, asks, place)
