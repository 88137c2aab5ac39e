"""What the tests of a plugin author import: an API server to scan, and the ways in which it can fail."""

from llmscan.testing.api_server import ApiServer, Request
from llmscan.testing.faults import (
    Fault,
    cut_off,
    expired,
    failing,
    forbidden,
    garbage,
    slow,
    too_many_requests,
)

__all__ = [
    "ApiServer",
    "Fault",
    "Request",
    "cut_off",
    "expired",
    "failing",
    "forbidden",
    "garbage",
    "slow",
    "too_many_requests",
]
