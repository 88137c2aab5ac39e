"""Which routes may be asked: what the catalogue lists as never to be requested stays unasked, however a path is spelt."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urlsplit

from llmscan.products import Product


def plain(path: str) -> str:
    """A path as a server may come to read it: decoded, with neither doubled slashes nor dot segments."""
    text = urlsplit("http://host" + path if path.startswith("/") else path).path
    for _ in range(3):
        decoded = unquote(text)
        if decoded == text:
            break
        text = decoded
    text = re.sub(r"/+", "/", text.replace("\\", "/").partition(";")[0]) or "/"
    ends = text.endswith("/") and text != "/"
    return posixpath.normpath(text) + ("/" if ends else "")


def allowed(path: str, products: Iterable[Product]) -> bool:
    """Whether none of these products forbids a path, as written and as servers may read it."""
    spellings = {path.partition("?")[0], plain(path), plain(path).rstrip("/") or "/"}
    spellings |= {spelling.lower() for spelling in spellings}
    return not any(
        pattern.search(spelling) for product in products for pattern in never(product) for spelling in spellings
    )


def never(product: Product) -> tuple[re.Pattern[str], ...]:
    """The routes of a product that are never requested."""
    return _patterns(tuple(probes(product).get("never", ())))


@lru_cache(maxsize=512)
def _patterns(texts: tuple[str, ...]) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(text) for text in texts)


def probes(product: Product) -> Mapping[str, Any]:
    """What the catalogue says of asking a product; empty where it says nothing."""
    found = product.facts.get("probes", {})
    return found if isinstance(found, Mapping) else {}


def fingerprints(product: Product) -> Iterator[Mapping[str, Any]]:
    """The answers that identify a product."""
    yield from probes(product).get("fingerprints", ())
