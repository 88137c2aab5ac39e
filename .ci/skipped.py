"""Print what was skipped, and fail where a lane that had to run was skipped.

    python .ci/skipped.py FOLDER [--with-shared]

FOLDER holds the JUnit reports of the lanes. In the lane `test` the tests of other lanes are skipped, and those that run elsewhere.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

ELSEWHERE = ("LLMSCAN_TEST_KUBECONFIG",)
"""Reasons that are right in the lane `test`: the lane of that name runs these."""


def skipped(report: Path) -> tuple[int, Counter[str]]:
    """How many tests ran, and the reasons of those that were skipped."""
    cases = list(ElementTree.parse(report).iter("testcase"))  # noqa: S314  (our own report)
    reasons = Counter(node.get("message", "") for case in cases for node in case.findall("skipped"))
    return len(cases) - reasons.total(), reasons


def main() -> int:
    """The exit code: 1 where a lane did not run."""
    folder, lanes = Path(sys.argv[1]), ["test", "servers"] + (["cluster"] if "--with-shared" in sys.argv else [])
    failed = False
    for lane in lanes:
        ran, reasons = skipped(folder / f"{lane}.xml")
        print(f"{lane}: {ran} ran, {reasons.total()} skipped")
        for reason, count in reasons.most_common():
            allowed = lane == "test" and any(word in reason for word in ELSEWHERE)
            print(f"  {count} x {reason}{'' if allowed else '   <- had to run'}")
            failed |= not allowed
        failed |= ran == 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
