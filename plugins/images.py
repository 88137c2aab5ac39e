"""Images: which content a deployment starts is decided by the tag or digest that it names."""

from __future__ import annotations

import re
from collections.abc import Iterator

from llmscan import Container, Gap, Image, Rule, Scan, Severity, Verdict, fail, hookimpl, passed, rule, unknown

CATEGORY = "unpinned-image"
REFS = ("CWE-494", "LLM04:2026", "AML.T0010.004", "AISVS-1.0:C6")
ALWAYS_MOVES = re.compile(r"latest", re.IGNORECASE)
MOVES = re.compile(
    r"nightly|(?:^|[-_.])(?:main|master|dev|develop|edge|stable|canary|head|trunk|release|rolling|unstable|beta|preview)(?:$|[-_.])",
    re.IGNORECASE,
)
FULL_VERSION = re.compile(
    r"(?:^|[-_.]|[a-z])v?\d+\.\d+\.\d+|(?:^|[-_])b\d{3,}(?:$|[-_])|(?:^|[-_.])\d{4}[-_.]?\d{2}[-_.]?\d{2}|(?:^|[-_.])(?=[a-f]*\d)[0-9a-f]{7,40}$",
    re.IGNORECASE,
)
"""A version down to its last number, a build, a date or a commit: `1.2.3-beta`, `RELEASE.2023-03-20T20-16-18Z`, `main-8bd0d6e`."""
SHORT_VERSION = re.compile(r"^[a-z]{0,12}[-_.]?v?\d+\.\d+", re.IGNORECASE)
"""A version of two numbers, which for some is a whole one (`postgres:16.2`); a word such as `dev` beside it makes it a branch."""
PLACEHOLDER_TAG = re.compile(r"^(?:replace|tag|version|placeholder|todo|change-?me|dev-local|local)$", re.IGNORECASE)


def pinned(image: Image) -> bool | None:
    """Whether an image names one content: by digest or a full version. None: something else names it later."""
    if image.digest:
        return True
    if image.gap is not None or (image.tag and PLACEHOLDER_TAG.match(image.tag)):
        return None
    if image.tag is None:
        return False
    if ALWAYS_MOVES.search(image.tag):
        return False
    return bool(FULL_VERSION.search(image.tag) or (SHORT_VERSION.search(image.tag) and not MOVES.search(image.tag)))


@rule("IMG001", "Image is not pinned", Severity.MEDIUM, category=CATEGORY, refs=REFS)
def unpinned(container: Container, scan: Scan) -> Iterator[Verdict]:
    """What runs tomorrow is what somebody pushes tonight: a broken or hostile release arrives with the next restart, and nobody can say what ran.

    Name a full version, or better its digest (`image:1.2.3@sha256:...`), and update it on purpose.
    """
    image = container.image
    if image is None or image.local or not image.name:
        return
    state = pinned(image)
    built_here = (
        scan.workload_of(container).orchestrated
        and "/" not in image.name
        and image.tag is None
        and not scan.products_of(container)
    )
    if state is None or (state is False and built_here):
        gap = image.gap or Gap(
            "image",
            f"image '{image.reference}'",
            "is a name that something else replaces or loads",
            "the rendered manifest",
            image.place,
        )
        yield unknown(f"Whether image '{image.name}' is pinned is not known.", gap, place=image.place, setting="image")
    elif state:
        yield passed()
    else:
        why = f"the tag '{image.tag}' moves" if image.tag else "no tag means latest"
        yield fail(f"Image '{image.name}' is not pinned: {why}.", place=image.place, setting="image")


@hookimpl
def llmscan_rules() -> list[Rule]:
    """The rules of this family."""
    return [unpinned]
