"""What one proxy passes on, as every reader of a proxy's configuration says it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase

from llmscan.model import ConfigFile, Setting
from llmscan.places import Place
from llmscan.records import Record

LOCAL = frozenset({"localhost", "127.0.0.1", "0.0.0.0", "[::1]", "::1"})  # noqa: S104  (an address to compare, none to bind)
UPSTREAM_ADDRESS = re.compile(
    r"(?:(?P<scheme>[a-z][a-z0-9+]{0,15})://)?(?P<host>\[[0-9a-fA-F:]{2,45}\]|[A-Za-z0-9_][A-Za-z0-9_.-]{0,252})?"
    r"(?::(?P<port>\d{1,5}))?(?:[/?].*)?\Z",
    re.DOTALL,
)
TLS = frozenset({"https", "grpcs", "wss"})
CREDENTIAL = re.compile(r"auth|api.?key|token|bearer|secret|cookie|password|client_verify|ssl_c_", re.IGNORECASE)
"""What a condition names that lets only callers with a credential pass."""
ASKING_NAME = re.compile(r"auth|sso|oidc|login|secur|access|protect|guard|forward.?auth", re.IGNORECASE)
"""How people call a file or middleware that asks for a credential, where it was not seen."""


class Onward(Record, frozen=True):
    """One upstream that a proxy passes requests to.

    host, port: as its configuration names them; port None: whichever is the only one there. listens: the ports of the proxy where callers
    knock for it; None: not known. asks: what asks them for a credential first, or "".
    """

    host: str
    port: int | None
    listens: frozenset[int] | None = None
    asks: str = ""
    place: Place | None = None


def address(text: str, default: int | None = 80) -> tuple[str, int | None] | None:
    """Host and port of an upstream (`http://vllm:8000/v1`, `vllm`, `:8000`); None where it is none, or not known."""
    found = UPSTREAM_ADDRESS.match(text)
    if found is None or not (found["host"] or found["port"]):
        return None
    port = int(found["port"]) if found["port"] else (443 if found["scheme"] in TLS else default)
    return found["host"] or "localhost", port


def line_of(file: ConfigFile, line: int) -> Place | None:
    """The place of one line of a file, counted from 1; compose places a text that stands in its own file where it begins."""
    if file.place is None:
        return None
    number = file.place.line + line - 1
    return Place(file.place.path, number, 1, number)


def known(name: str, env: Mapping[str, Setting]) -> str | None:
    """The value of a variable of the proxy's container, None where it has none or was not seen."""
    setting = env.get(name)
    return setting.value if setting is not None else None


def named(files: tuple[ConfigFile, ...], pattern: str) -> list[ConfigFile]:
    """The files that an `include` or `import` means, in their order."""
    if not any(sign in pattern for sign in "*?["):
        return [file for file in files if file.path == pattern]
    return sorted((file for file in files if fnmatchcase(file.path, pattern)), key=lambda file: file.path)
