"""What the tests of a plugin author import: a scan of files, an API server to scan, and the ways in which it can fail."""

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
from llmscan.testing.file_scan import scan_files

__all__ = [
    "ApiServer",
    "Fault",
    "Request",
    "cut_off",
    "expired",
    "failing",
    "forbidden",
    "garbage",
    "scan_files",
    "slow",
    "too_many_requests",
]
