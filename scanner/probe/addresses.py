"""The addresses that a user gives: URLs read strictly, and from where such an address can be reached."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable, Iterator
from threading import Thread
from urllib.parse import urlsplit

from llmscan.model import Reach
from llmscan.records import Record

PRIVATE_SUFFIXES = (".local", ".internal", ".lan", ".home.arpa", ".localdomain", ".intranet", ".corp")
CLUSTER_SUFFIXES = (".svc", ".cluster.local")
DEFAULT_PORTS = {"http": 80, "https": 443}


class BadAddress(ValueError):
    """A URL that cannot be asked; the text says why."""


class Address(Record, frozen=True):
    """One endpoint as it was given: `url` without credentials, query and trailing slash."""

    url: str
    host: str
    port: int

    @property
    def name(self) -> str:
        """What a report calls it: host and port, and the path where there is one."""
        prefix = urlsplit(self.url).path.rstrip("/")
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}{prefix}"


def read_address(text: str) -> Address:
    """An address from `http://host:port/prefix` or `host:port`. Raises BadAddress."""
    given = text.strip()
    try:
        parts = urlsplit(given if "://" in given else f"http://{given}")
        port = parts.port
    except ValueError as error:
        raise BadAddress(f"{_shown(given)} is no URL: {error}") from None
    if parts.scheme not in DEFAULT_PORTS:
        raise BadAddress(f"{_shown(given)} is neither http nor https")
    if parts.username is not None or parts.password is not None:
        raise BadAddress(f"the URL of {parts.hostname} holds credentials, and llmscan sends none; leave them out")
    if not parts.hostname or any(not character.isprintable() or character.isspace() for character in given):
        raise BadAddress(f"{_shown(given)} names no host")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    number = port if port is not None else DEFAULT_PORTS[parts.scheme]
    return Address(f"{parts.scheme}://{host}:{number}{parts.path.rstrip('/')}", parts.hostname, number)


def _shown(text: str) -> str:
    return repr(text.rpartition("@")[2][:100])


def read_addresses(lines: Iterable[str]) -> Iterator[Address]:
    """The addresses of a list, one a line; blank lines and what follows a # are left out. Raises BadAddress."""
    for line in lines:
        text = line.split(" #")[0].strip()
        if text and not text.startswith("#"):
            yield read_address(text)


def reach_of(host: str, seconds: float) -> Reach:
    """From where a host can be reached, by the kind of its address. A name that does not resolve in time is taken as private."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return Reach.LOOPBACK
    if name.endswith(CLUSTER_SUFFIXES):
        return Reach.CLUSTER
    literal = _literal(name)
    if literal is not None:
        return _reach(literal)
    if "." not in name or name.endswith(PRIVATE_SUFFIXES):
        return Reach.HOST_NETWORK
    return max((_reach(address) for address in resolved(name, seconds)), default=Reach.HOST_NETWORK)


IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


def _literal(host: str) -> IpAddress | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _reach(address: IpAddress) -> Reach:
    if address.is_loopback:
        return Reach.LOOPBACK
    return Reach.INTERNET if address.is_global else Reach.HOST_NETWORK


def resolved(host: str, seconds: float) -> list[IpAddress]:
    """The addresses of a name; none where it has none, or where nobody says so in time. Name resolution itself knows no timeout."""
    found: list[IpAddress] = []
    asking = Thread(target=lambda: found.extend(_resolve(host)), daemon=True)
    asking.start()
    asking.join(seconds)
    return list(found)


def _resolve(host: str) -> list[IpAddress]:
    try:
        rows = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [address for row in rows if (address := _literal(str(row[4][0]))) is not None]
