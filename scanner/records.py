"""Records: what is read, judged and reported, frozen, with fields in a fixed order.

They are msgspec's structs rather than dataclasses: a scan builds tens of them for each object that it reads, and takes a seventh less time so
(bench/README.md).
"""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


class Record(msgspec.Struct, frozen=True):
    """A record whose fields are its annotations."""


def replace(record: T, **changes: Any) -> T:
    """A record, or a dataclass, like `record` but for the changed fields."""
    if isinstance(record, msgspec.Struct):
        return msgspec.structs.replace(record, **changes)
    return dataclasses.replace(record, **changes)  # type: ignore[type-var]
