"""What an nginx passes on: `proxy_pass` of its servers and locations.

Facts: https://nginx.org/en/docs/http/ngx_http_proxy_module.html, .../ngx_http_upstream_module.html, ngx_http_auth_basic_module and
ngx_http_auth_request_module; the templates of the image: docker-library/docs nginx, 20-envsubst-on-templates.sh.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from llmscan.commandline import Line
from llmscan.model import ConfigFile, Container, Setting
from llmscan.proxies.blocks import Block, nginx_blocks, within
from llmscan.proxies.onward import ASKING_NAME, CREDENTIAL, Onward, address, known, line_of, named

PASSES = frozenset({"proxy_pass", "grpc_pass"})
ASKS = frozenset({"auth_basic", "auth_request", "auth_jwt", "auth_digest", "auth_oidc"})
IN_CODE = ("access_by_lua", "js_access")
MAIN = frozenset(
    {
        "/etc/nginx/nginx.conf",
        "/usr/local/openresty/nginx/conf/nginx.conf",
        "/opt/bitnami/nginx/conf/nginx.conf",
        "/usr/local/nginx/conf/nginx.conf",
    }
)
PARTS = ("/conf.d/", "/http.d/", "/server_blocks/", "/sites-enabled/", "/templates/")
"""Folders whose files the main file of an image brings in."""
VARIABLE = re.compile(r"\$\{(\w{1,100})\}|\$(\w{1,100})")
LISTEN = re.compile(r"(?:(?P<host>[^\s:\[\]]*|\*|\[[^\]]*\]):)?(?P<port>\d{1,5})\Z")
ENTERED = frozenset({"http", "stream", "server", "location", "if", "limit_except"})
MAX_INCLUDED = 20_000
"""Directives that includes may bring: files that include each other end there."""


class _Scope(NamedTuple):
    """What holds in a block: the ports of its server, what asks for a credential, the variables that it sets."""

    listens: frozenset[int] | None
    asks: str
    variables: Mapping[str, str]


def onward(container: Container, lines: Sequence[Line]) -> Iterator[Onward]:
    """The upstreams of an nginx."""
    yield from _Reader(container).read(_chosen(lines))


def _chosen(lines: Sequence[Line]) -> str:
    """The main file that its command names (`nginx -c FILE`)."""
    for line in lines:
        for index, word in enumerate(line[:-1]):
            if word.raw == "-c" and line[0].raw.rpartition("/")[2].startswith(("nginx", "openresty")):
                return line[index + 1].value or ""
    return ""


class _Reader:
    """Reads the files of one nginx."""

    def __init__(self, container: Container) -> None:
        self.env = container.env
        self.files = tuple(_as_loaded(file) for file in container.files)
        self.parsed: dict[str, list[Block]] = {}
        self.included = 0
        self.upstreams: dict[str, list[Block]] = {}

    def read(self, chosen: str) -> Iterator[Onward]:
        main = [file for file in self.files if file.path == chosen or (not chosen and file.path in MAIN)]
        parts = [
            file for file in self.files if any(part in file.path for part in PARTS) and file.path.endswith(".conf")
        ]
        blocks = [block for file in main or parts for block in self._blocks(file)]
        blocks = self._expanded(blocks)
        for block in within(blocks):
            if block.name == "upstream" and len(block.words) > 1:
                servers = self._expanded(block.inner or ())
                self.upstreams[block.words[1]] = [one for one in servers if one.name == "server"]
        yield from self._walk(blocks, _Scope(frozenset({80}), "", {}))

    def _blocks(self, file: ConfigFile) -> list[Block]:
        if file.path in self.parsed:
            return self.parsed[file.path]
        text = file.text
        if "/templates/" in file.source or "template" in file.source:
            text = _filled(text, self.env)
        self.parsed[file.path] = nginx_blocks(file, text)
        return self.parsed[file.path]

    def _expanded(self, blocks: Sequence[Block], depth: int = 0) -> list[Block]:
        """Directives with what they include, at every level; an include that was not seen stays."""
        found: list[Block] = []
        for block in blocks:
            if block.name == "include" and len(block.words) > 1 and depth < 10:
                found.extend(self._included(block, depth))
            elif block.inner is not None and block.name in (*ENTERED, "upstream"):
                found.append(Block(block.words, block.file, block.line, self._expanded(block.inner, depth)))
            else:
                found.append(block)
        return found

    def _included(self, block: Block, depth: int) -> list[Block]:
        if self.included > MAX_INCLUDED:
            return []
        files = named(self.files, posixpath.join("/etc/nginx", block.words[1]))
        read = [one for file in files for one in self._blocks(file)]
        self.included += len(read) + 1
        return self._expanded(read, depth + 1) if files else [block]

    def _walk(self, blocks: Sequence[Block], scope: _Scope) -> Iterator[Onward]:
        inner = _scope(blocks, scope)
        if inner is None:
            return
        for block in blocks:
            if block.name in PASSES and len(block.words) > 1:
                yield from self._passed(block, inner)
            elif block.inner is not None and block.name in ENTERED:
                listens = _listens(block.inner) if block.name == "server" else inner.listens
                if listens is None or listens:
                    yield from self._walk(block.inner, inner._replace(listens=listens))

    def _passed(self, block: Block, scope: _Scope) -> Iterator[Onward]:
        text = VARIABLE.sub(lambda match: scope.variables.get(match[1] or match[2], match[0]), block.words[1])
        if "$" in text.partition("://")[2].partition("/")[0] or "unix:" in text or text.startswith("$"):
            return
        found = address(text)
        if found is None:
            return
        servers = self.upstreams.get(found[0])
        if servers is None:
            yield Onward(*found, listens=scope.listens, asks=scope.asks, place=line_of(block.file, block.line))
        for server in servers or ():
            target = server.words[1] if len(server.words) > 1 else ""
            to = None if target.startswith("unix:") or "$" in target or "down" in server.words else address(target)
            if to is not None:
                yield Onward(*to, listens=scope.listens, asks=scope.asks, place=line_of(server.file, server.line))


def _as_loaded(file: ConfigFile) -> ConfigFile:
    """A file where nginx reads it: the image writes what templates give to conf.d. Its source tells whether it was one."""
    path = file.path
    if not path.endswith(".template"):
        return file
    path = path.removesuffix(".template").replace("/templates/", "/conf.d/")
    return ConfigFile(path, file.text, file.place, file.source or "template")


def _filled(text: str, env: Mapping[str, Setting]) -> str:
    def put(match: re.Match[str]) -> str:
        value = known(match[1], env) if match[1] else known(match[2], env)
        return match[0] if value is None or "\n" in value else value

    return VARIABLE.sub(put, text)


def _scope(blocks: Sequence[Block], outer: _Scope) -> _Scope | None:
    """What holds in a block by its own directives and those around it; None where nobody gets in, or it cannot be known."""
    asks, variables = outer.asks, dict(outer.variables)
    for block in blocks:
        if block.name in ASKS and len(block.words) > 1:
            asks = "" if block.words[1] == "off" else f"nginx, {block.name}"
        elif block.name == "ssl_verify_client" and block.words[1:] == ("on",):
            asks = "nginx, client certificates"
        elif block.name.startswith(IN_CODE):
            asks = f"nginx, {block.name}"
        elif block.name == "if" and _refuses(block):
            asks = "nginx, a condition on the request"
        elif block.name == "set" and len(block.words) == 3:
            variables[block.words[1].lstrip("$")] = block.words[2]
        elif block.name == "internal" or (block.name == "include" and ASKING_NAME.search(block.words[-1])):
            return None
    return None if _closed(blocks) else outer._replace(asks=asks, variables=variables)


def _refuses(block: Block) -> bool:
    """Whether an `if` turns away callers who bring no credential."""
    answers = {word for inner in block.inner or () if inner.name == "return" for word in inner.words[1:2]}
    return "401" in answers or ("403" in answers and bool(CREDENTIAL.search(" ".join(block.words))))


def _closed(blocks: Sequence[Block]) -> bool:
    """Whether a block denies all and allows nobody beyond the host itself."""
    allowed = [block.words[1] for block in blocks if block.name == "allow" and len(block.words) > 1]
    denied = any(block.name == "deny" and block.words[1:] == ("all",) for block in blocks)
    return denied and all(one.startswith(("127.", "::1")) for one in allowed)


def _listens(blocks: Sequence[Block]) -> frozenset[int] | None:
    """The ports of a server: 80 where it names none; empty where it listens on loopback alone; None where they are not known."""
    written = [block.words[1] for block in blocks if block.name == "listen" and len(block.words) > 1]
    found: set[int] = set()
    for one in written:
        if one.startswith(("127.", "localhost", "[::1]", "unix:")):
            continue
        match = LISTEN.match(one)
        if "$" in one:
            return None
        found.add(int(match["port"]) if match else 80)
    return frozenset(found) if written else frozenset({80})
