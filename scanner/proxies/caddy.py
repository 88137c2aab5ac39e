"""What a Caddy passes on: its Caddyfile, or the words of `caddy reverse-proxy`.

Facts: https://caddyserver.com/docs/caddyfile/concepts and .../directives/reverse_proxy, Caddy 2.11.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from llmscan.commandline import Line
from llmscan.model import ConfigFile, Container, Setting
from llmscan.proxies.blocks import Block, caddy_blocks
from llmscan.proxies.onward import ASKING_NAME, CREDENTIAL, Onward, address, known, line_of, named

VARIABLE = re.compile(r"\{\$([A-Za-z_]\w{0,99})(?::([^{}\n]{0,300}))?\}|\{env\.([A-Za-z_]\w{0,99})\}")
ASKS = frozenset({"basic_auth", "basicauth", "forward_auth", "jwtauth", "authorize", "authentication", "client_auth"})
USUAL_PORTS = (80, 443)
MAX_IMPORTED = 20_000
"""Directives that imports may bring: files and snippets that import each other end there."""
SITE = re.compile(r"(?:(?P<scheme>https?)://)?(?P<host>[^:/]*|\[[^\]]*\])(?::(?P<port>\d{1,5}))?(?:/.*)?\Z", re.DOTALL)


class _Scope(NamedTuple):
    """What holds around a directive: who asks for a credential there, and the site's named matchers."""

    listens: frozenset[int] | None
    asks: str
    matchers: Mapping[str, Block]


def onward(container: Container, lines: Sequence[Line]) -> Iterator[Onward]:
    """The upstreams of a Caddy."""
    yield from _of_command(lines)
    reader = _Reader(container)
    for file in _roots(container, lines):
        yield from reader.file(file)


def _roots(container: Container, lines: Sequence[Line]) -> list[ConfigFile]:
    chosen = _flags(lines, "--config") + _flags(lines, "-c")
    found = [file for file in container.files if file.path in chosen]
    if found or chosen:
        return found
    return [file for file in container.files if file.path in ("/etc/caddy/Caddyfile", "/srv/Caddyfile", "/Caddyfile")]


def _flags(lines: Sequence[Line], name: str) -> list[str]:
    found = []
    for line in lines:
        for index, word in enumerate(line):
            if word.raw == name and index + 1 < len(line):
                found.append(line[index + 1].value or "")
            elif word.raw.startswith(f"{name}="):
                found.append((word.value or "").partition("=")[2])
    return found


def _of_command(lines: Sequence[Line]) -> Iterator[Onward]:
    """`caddy reverse-proxy --from :80 --to vllm:8000`."""
    for line in lines:
        if not any(word.raw == "reverse-proxy" for word in line):
            continue
        listens = _ports(_flags([line], "--from") or ["localhost"], USUAL_PORTS)
        for target in _flags([line], "--to") + _flags([line], "-t"):
            if found := address(target):
                place = line[0].place.start if line[0].place is not None else None
                yield Onward(*found, listens=listens, place=place)


class _Reader:
    """Reads the Caddyfile of one container, with what it imports."""

    def __init__(self, container: Container) -> None:
        self.files, self.env = container.files, container.env
        self.snippets: dict[str, Block] = {}
        self.ports = USUAL_PORTS
        self.parsed: dict[str, list[Block]] = {}
        self.imported = 0

    def file(self, file: ConfigFile) -> Iterator[Onward]:
        """The upstreams of all sites of a file."""
        blocks = self._imported(self._blocks(file))
        for block in blocks:
            if block.words == () and block.inner is not None:
                self._options(block.inner)
            elif block.name.startswith("(") and block.name.endswith(")"):
                self.snippets[block.name[1:-1]] = block
        sites = [block for block in blocks if block.inner is not None and block.words and block.name[:1] not in "(&"]
        if (not sites and blocks and not any(block.inner is not None and not block.words for block in blocks)) or (
            blocks and blocks[0].inner is None and not blocks[0].name.startswith("(")
        ):
            yield from self._site(blocks[0].words, blocks[1:])
        else:
            for site in sites:
                yield from self._site(site.words, site.inner or [])

    def _blocks(self, file: ConfigFile) -> list[Block]:
        if file.path not in self.parsed:
            self.parsed[file.path] = caddy_blocks(file, _filled(file.text, self.env))
        return self.parsed[file.path]

    def _options(self, blocks: Sequence[Block]) -> None:
        http, https = self.ports
        for block in blocks:
            number = block.words[1] if len(block.words) > 1 and block.words[1].isdecimal() else ""
            if block.name == "http_port" and number and len(number) < 6:
                http = int(number)
            if block.name == "https_port" and number and len(number) < 6:
                https = int(number)
        self.ports = (http, https)

    def _imported(self, blocks: Sequence[Block]) -> list[Block]:
        """Directives, with those of the files that they import put in their place."""
        found: list[Block] = []
        for block in blocks:
            found.extend(self._meant(block) if block.name == "import" else [block])
        return found

    def _meant(self, block: Block) -> list[Block]:
        """What an `import` means: a snippet or files; itself, where that was not seen."""
        name = block.words[1] if len(block.words) > 1 else ""
        if self.imported > MAX_IMPORTED:
            return []
        if name in self.snippets:
            given = block.words[2:]
            self.imported += len(self.snippets[name].inner or ()) + 1
            return [_with(inner, given) for inner in self.snippets[name].inner or []]
        files = named(self.files, posixpath.join(posixpath.dirname(block.file.path), name))
        read = [one for file in files for one in self._blocks(file)]
        self.imported += len(read) + 1
        return read if files else [block]

    def _site(self, words: Sequence[str], blocks: Sequence[Block]) -> Iterator[Onward]:
        addresses = [one for word in words for one in word.split(",") if one]
        inside = self._expanded(blocks)
        if any(block.name == "bind" and _loopback(block.words[1:]) for block in inside):
            return
        yield from self._walk(inside, _Scope(_ports(addresses, self.ports), "", {}))

    def _expanded(self, blocks: Sequence[Block], depth: int = 0) -> list[Block]:
        found = self._imported(blocks)
        again = depth < 5 and any(block.name == "import" for block in found)
        return self._expanded(found, depth + 1) if again and found != list(blocks) else found

    def _walk(self, blocks: Sequence[Block], scope: _Scope) -> Iterator[Onward]:
        """The upstreams that a block and those in it name."""
        blocks = self._expanded(blocks)
        matchers = {**scope.matchers, **{block.name: block for block in blocks if block.name.startswith("@")}}
        scope = scope._replace(matchers=matchers)
        if any(block.name == "import" and ASKING_NAME.search(" ".join(block.words)) for block in blocks):
            return  # it asks or not in a file that was not seen
        for block in blocks:
            if block.name in ("reverse_proxy", "handle", "handle_path", "route"):
                asks = scope.asks or _asked(block, blocks, matchers)
                inner = scope._replace(asks=asks)
                yield from (
                    _upstreams(block, inner) if block.name == "reverse_proxy" else self._walk(block.inner or (), inner)
                )
            elif block.inner and block.name in ("handle_errors", "intercept"):
                yield from self._walk(block.inner, scope)


def _with(block: Block, given: Sequence[str]) -> Block:
    """A directive of a snippet with the arguments of its import put in."""
    if not given:
        return block

    def put(word: str) -> str:
        for index, value in enumerate(given[:9]):
            word = word.replace(f"{{args[{index}]}}", value).replace(f"{{args.{index}}}", value)
        return word

    inner = [_with(one, given) for one in block.inner] if block.inner is not None else None
    return Block(tuple(put(word) for word in block.words), block.file, block.line, inner)


def _filled(text: str, env: Mapping[str, Setting]) -> str:
    """A Caddyfile with its variables put in; those that were not seen stay as they are."""

    def put(match: re.Match[str]) -> str:
        name = match[1] or match[3]
        value = known(name, env)
        if value is None and name not in env:
            value = match[2]
        return match[0] if value is None or "\n" in value else value

    return VARIABLE.sub(put, text)


def _loopback(addresses: Sequence[str]) -> bool:
    return bool(addresses) and all(one.startswith(("127.", "localhost", "::1", "[::1]", "unix/")) for one in addresses)


def _ports(addresses: Sequence[str], usual: tuple[int, int]) -> frozenset[int] | None:
    """The ports on which a site listens; None where an address is not known."""
    found: set[int] = set()
    for one in addresses:
        match = SITE.match(one)
        if match is None or "{" in one:
            return None
        if match["port"]:
            found.add(int(match["port"]))
        else:
            found.update({"http": usual[:1], "https": usual[1:]}.get(match["scheme"] or "", usual))
    return frozenset(found) or None


def _asked(block: Block, beside: Sequence[Block], matchers: Mapping[str, Block]) -> str:
    """What asks for a credential before a directive, of those beside it and of its own matcher."""
    own = _matcher(block)
    if own in matchers and CREDENTIAL.search(_text(matchers[own])):
        return f"Caddy, by its matcher {own}"
    for other in beside:
        matcher = _matcher(other)
        if other.name in ASKS and _covers(matcher, own, matchers):
            return f"Caddy, {other.name}"
        if (
            other is not block
            and _refuses(other)
            and matcher in matchers
            and CREDENTIAL.search(_text(matchers[matcher]))
        ):
            return f"Caddy, by its matcher {matcher}"
        if other.name == "tls" and any(inner.name == "client_auth" for inner in other.inner or ()):
            return "Caddy, client certificates"
    return ""


def _matcher(block: Block) -> str:
    return block.words[1] if len(block.words) > 1 else ""


def _refuses(block: Block) -> bool:
    """Whether a directive turns callers away, or a `handle` has one that does."""
    if block.name in ("handle", "route"):
        return any(_refuses(inner) for inner in block.inner or () if inner.name not in ("handle", "route"))
    refused = block.name in ("respond", "error") and bool({"401", "403"}.intersection(block.words))
    return refused or block.name == "abort"


def _covers(matcher: str, own: str, matchers: Mapping[str, Block]) -> bool:
    """Whether a directive with one matcher holds for all that another one, with its own, is for."""
    if matcher.startswith("@"):
        return matcher == own or "not" in _text(matchers[matcher]).split() if matcher in matchers else matcher == own
    if not matcher.startswith("/"):
        return True
    stem = matcher.rstrip("*")
    return stem == "/" or (own.startswith("/") and own.startswith(stem))


def _text(block: Block) -> str:
    """The words of a matcher and of the lines in its braces; its own name says nothing."""
    return " ".join([*block.words[1:], *(word for inner in block.inner or () for word in inner.words)])


def _upstreams(block: Block, scope: _Scope) -> Iterator[Onward]:
    words = block.words[1:]
    if words and words[0][:1] in ("/", "@", "*"):
        words = words[1:]
    named_here = [(word, block.line) for word in words]
    for inner in block.inner or ():
        if inner.name == "to":
            named_here += [(word, inner.line) for word in inner.words[1:]]
        elif inner.name == "dynamic" and len(inner.words) == 4 and inner.words[1] == "a":
            named_here.append((":".join(inner.words[2:]), inner.line))
    for word, line in named_here:
        if "{" not in word and not word.startswith("unix") and (found := address(word)):
            yield Onward(*found, listens=scope.listens, asks=scope.asks, place=line_of(block.file, line))
