"""Containers that run as root: an effective uid 0, by the deployment's word or by the image's default."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from llmscan import (
    Container,
    Evidence,
    Gap,
    Image,
    Place,
    Rule,
    Running,
    Scan,
    Severity,
    Verdict,
    fail,
    hookimpl,
    passed,
    rule,
    unknown,
)
from llmscan.commandline import SHELLS
from llmscan.decisions import in_range
from llmscan.products import Product
from llmscan.records import Record

CATEGORY = "runs-as-root"
REFS = ("CWE-250", "AML.T0105", "CIS-Docker-1.6.0:4.1", "NSA-CISA-K8s-1.2:pods")

ROOT_FLAGS = frozenset({"--allow-root", "--ServerApp.allow_root=True", "--NotebookApp.allow_root=True"})


class User(Record, frozen=True):
    """Who a container runs as. `root` None: not known. `drops_to`: the user to which the image's entrypoint changes by itself."""

    root: bool | None
    because: str
    place: Place | None = None
    declared: bool = False
    gap: Gap | None = None
    drops_to: str = ""
    running: Running | None = None


def user_of(container: Container, scan: Scan) -> User:
    """The effective user: what the deployment says, else what the image does."""
    return scan.memo(("user", id(container)), lambda: _user(container, scan))


def _user(container: Container, scan: Scan) -> User:
    security = container.security
    if scan.workload_of(container).host_users.value is False:
        return User(False, "its root is an ordinary user of the host (a user namespace)")
    uid, name = security.run_as_user, security.user_name
    if uid.gap is not None or name.gap is not None:
        gap = uid.gap or name.gap
        return User(None, f"the user is not known: {gap}", uid.place or name.place, gap=gap)
    if uid.value is not None:
        return User(uid.value == 0, f"it is set to run as user {uid.value}", uid.place, declared=True)
    if name.value is not None:
        return User(name.value == "root", f"it is set to run as user '{name.value}'", name.place, declared=True)
    if security.windows_host_process.value or scan.workload_of(container).os == "windows":
        return User(False, "it is a Windows container")
    if security.run_as_non_root.value is True:
        return User(False, "the kubelet refuses to start it as root", security.run_as_non_root.place, declared=True)
    user = _image_user(container.image, container, scan)
    return _by_flag(container, scan) or user if user.root is None else user


def _by_flag(container: Container, scan: Scan) -> User | None:
    """Root by a flag that programs demand of root alone."""
    words = (word for line in scan.command_lines(container) for word in line)
    word = next((word for word in words if word.raw in ROOT_FLAGS), None)
    return User(True, f"it is started with {word.raw}, which only root needs", word.place) if word is not None else None


def _image_user(image: Image | None, container: Container, scan: Scan) -> User:
    if image is None:
        return User(None, "it names no image", gap=Gap("image", "the image", "is chosen elsewhere"))
    if image.user is not None:
        return _declared_by_image(image)
    source = image.base if image.local and image.base is not None else image
    if image.local and image.base is None and not any(running.by_image for running in scan.products_of(container)):
        gap = Gap(
            "image",
            "the user of the locally built image",
            "is not known",
            "its Dockerfile, or a scan of the live engine",
            image.place,
        )
        return User(None, "the image is built here, and its user is not known", gap=gap)
    if image.gap is not None:
        return User(None, f"the image is not known: {image.gap}", gap=image.gap)
    return _known_user(source, container, scan)


def _declared_by_image(image: Image) -> User:
    text = (image.user.value if image.user else "") or ""
    name = text.partition(":")[0]
    if name in ("", "0", "root"):
        return User(
            True, "the image's own user is root" if name else "the image sets no user, so it runs as root", image.place
        )
    return User(False, f"the image runs as user '{name}'")


def _known_user(image: Image, container: Container, scan: Scan) -> User:
    for running in scan.products_of(container):
        if not running.because.startswith("image "):
            continue
        user = _by_entries(running, image, container, scan)
        if user is not None:
            return user
    gap = Gap(
        "image",
        f"the user of image '{image.name}'",
        "is not known here",
        "a scan of the live engine, or its Dockerfile",
        image.place,
    )
    return User(None, "the deployment sets no user, and the image's own is not known here", gap=gap)


class Entry(Record, frozen=True):
    """What the catalogue knows of the user of some images of a product."""

    facts: Mapping[str, Any]
    images: re.Pattern[str]
    tags: re.Pattern[str]

    def is_about(self, image: Image) -> bool:
        """Whether an image is one of these."""
        return self.images.search(image.name) is not None and self.tags.search(image.tag or "") is not None


def _entries(product: Product) -> tuple[Entry, ...]:
    entries = product.facts.get("image", {}).get("user", ())
    return tuple(Entry(e, re.compile(e.get("images", "")), re.compile(e.get("tags", ""))) for e in entries)


def _by_entries(running: Running, image: Image, container: Container, scan: Scan) -> User | None:
    possible: list[Mapping[str, Any]] = []
    for entry in running.product.once(_entries):
        if not entry.is_about(image):
            continue
        held = in_range(entry.facts, scan.reading(running, container))
        if held.truth is False:
            continue
        possible.append(entry.facts)
        if held.truth:
            break
    if not possible:
        return None
    kinds = {(facts.get("uid") == "0", bool(facts.get("drops_to"))) for facts in possible}
    if len(kinds) > 1:
        gap = Gap(
            "version",
            f"the version of {running.name}",
            "is not known, and its image's user depends on it",
            f"--assume-version {running.id}=VERSION",
        )
        return User(None, "which user the image runs as depends on its version", gap=gap, running=running)
    facts = possible[0]
    root = facts.get("uid") == "0"
    who = facts.get("name") or facts.get("uid")
    because = f"nothing sets a user, and image '{image.name}' runs as {'root' if root else f'user {who}'}"
    drops_to = str(facts.get("drops_to", "")) if _own_entrypoint(container) else ""
    return User(root, because, drops_to=drops_to, running=running)


def _own_entrypoint(container: Container) -> bool:
    """Whether the image's entrypoint runs, by itself or called by a script, and is not just handed a shell."""
    words = (*(container.command or ()), *(container.args or ()))
    if any("docker-entrypoint.sh" in word.text for word in words):
        return True
    first = container.args[0].text if container.args else ""
    return container.command is None and first.rpartition("/")[2] not in SHELLS


@rule("ROO001", "Container is set to run as root", Severity.HIGH, category=CATEGORY, refs=("PSS-1.37:runAsUser", *REFS))
def set_to_root(container: Container, scan: Scan) -> Iterator[Verdict]:
    """A flaw in the server is then a flaw of root: every file of the container, and a short way to the host.

    Set a user other than 0 (`runAsUser: 1000` with `runAsNonRoot: true`, or `user: "1000:1000"`), and give it the folders that it writes.
    """
    user = user_of(container, scan)
    if user.root and user.declared:
        yield fail(f"Container '{container.name}' runs as root: {user.because}.", place=user.place, setting="user")
    elif user.root is False:
        yield passed()


@rule("ROO002", "Container runs as root because its image does", Severity.MEDIUM, category=CATEGORY, refs=REFS)
def root_by_default(container: Container, scan: Scan) -> Iterator[Verdict]:
    """Nobody chose root here, and the server has it all the same: what breaks out of it owns the container and is close to the host.

    Set a user other than 0 (`runAsUser: 1000` with `runAsNonRoot: true`, or `user: "1000:1000"`), and give it the folders that it writes.
    """
    user = user_of(container, scan)
    if user.root is None:
        gaps = (user.gap,) if user.gap else ()
        yield unknown(
            f"Whether container '{container.name}' runs as root is not known: {user.because}.", *gaps, setting="user"
        )
    elif user.root and not user.declared and user.drops_to:
        gap = Gap(
            "image",
            f"the entrypoint of '{container.image.name if container.image else ''}'",
            f"starts as root and changes to user '{user.drops_to}' by itself",
        )
        yield unknown(
            f"Container '{container.name}' starts as root, and its entrypoint then changes to user '{user.drops_to}'.",
            gap,
            setting="user",
        )
    elif user.root and not user.declared:
        yield fail(
            f"Container '{container.name}' runs as root: {user.because}.",
            evidence=Evidence.DEFAULT,
            setting="user",
            product=user.running,
        )
    elif user.root is False:
        yield passed()


@hookimpl
def llmscan_rules() -> list[Rule]:
    """The rules of this family."""
    return [set_to_root, root_by_default]
