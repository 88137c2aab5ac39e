"""A real container engine for tests: images from scratch under the names that they stand in for, and containers that go away again."""

from __future__ import annotations

import fcntl
import hashlib
import io
import shutil
import tarfile
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import docker
import docker.errors
from docker.models.containers import Container

from llmscan.collect.engine_address import find_engine
from llmscan.collect.engine_connection import connect
from llmscan.collect.errors import TargetUnreachable

APPLETS = ("sh", "sleep", "httpd", "nc", "id", "cat", "true")
USERS = "root:x:0:0::/:/bin/sh\napp:x:1000:1000::/:/bin/sh\n"
LABEL = "llmscan.test"


class NoEngine(Exception):
    """Why there is no engine to test against, for the reason of a skip."""


class EngineLab:
    """An engine (DOCKER_HOST, or the default socket) and what one test put on it. Close it to remove that.

    One at a time: others wait, in other processes too, since tests stand in for the same images under the same names.
    """

    def __init__(self) -> None:
        """Raises NoEngine."""
        busybox = shutil.which("busybox")
        if busybox is None:
            raise NoEngine("busybox is not installed (Debian: busybox-static)")
        self._busybox = Path(busybox)
        try:
            address = find_engine(None, None)
            connect(address).close()
        except TargetUnreachable as error:
            raise NoEngine(str(error)) from None
        self.url = address.url
        self._turn = _turn_at(address.url)
        self.client = docker.DockerClient(base_url=address.url, timeout=30)
        self.token = uuid.uuid4().hex[:12]
        self._volumes: list[str] = []
        self._networks: list[str] = []
        self._images: list[str] = []

    @property
    def label(self) -> str:
        """The label that tells this lab's containers from all others."""
        return f"{LABEL}={self.token}"

    def image(self, reference: str, *changes: str) -> str:
        """Make an image of busybox under `reference`; `changes` are Dockerfile lines (`USER 1000`). Returns its id."""
        name, _, tag = reference.rpartition(":")
        self.client.api.import_image_from_data(self._root(), repository=name, tag=tag, changes=list(changes))
        self._images.append(reference)
        return str(self.client.images.get(reference).id)

    def run(
        self, image: str, name: str = "", *, start: bool = True, command: Sequence[str] = ("1000",), **options: Any
    ) -> Container:
        """A container of the image that sleeps; `options` are those of the docker package."""
        options["labels"] = {LABEL: self.token, **options.get("labels", {})}
        options.setdefault("entrypoint", ["/bin/sleep"])
        made: Container = self.client.containers.create(image, list(command), name=self._full(name or "box"), **options)
        if start:
            made.start()
        return made

    def run_raw(self, image: str, name: str, host: dict[str, Any], **config: Any) -> Container:
        """The same with the engine's own words: `host` is the HostConfig, for what the docker package has no option."""
        labels = {LABEL: self.token, **config.pop("Labels", {})}
        asked = {"Image": image, "Entrypoint": ["/bin/sleep"], "Cmd": ["1000"], "Labels": labels, "HostConfig": host}
        made: dict[str, str] = self.client.api.create_container_from_config(  # type: ignore[no-untyped-call] # the stubs lack it
            {**asked, **config}, self._full(name)
        )
        container: Container = self.client.containers.get(made["Id"])
        container.start()
        return container

    def _full(self, name: str) -> str:
        return f"{name}-{self.token}"

    def network(self, name: str, *, internal: bool = False) -> str:
        """A bridge network. Returns its full name."""
        full = self._full(name)
        self.client.networks.create(full, driver="bridge", internal=internal)
        self._networks.append(full)
        return full

    def volume(self, name: str, **options: str) -> str:
        """A named volume of the local driver, with its options. Returns its full name."""
        full = self._full(name)
        self.client.volumes.create(full, driver_opts=options)
        self._volumes.append(full)
        return full

    def close(self) -> None:
        """Remove the containers, then what they used."""
        try:
            self._remove_all()
        finally:
            self.client.close()
            self._turn.close()

    def _remove_all(self) -> None:
        for container in self.client.containers.list(all=True, filters={"label": self.label}):
            container.remove(force=True, v=True)
        for network in self._networks:
            self.client.networks.get(network).remove()
        for volume in self._volumes:
            self.client.volumes.get(volume).remove()
        for image in dict.fromkeys(self._images):
            self._remove_image(image)

    def _remove_image(self, image: str) -> None:
        """Take the name away; another test that stands in for the same image may still use it."""
        try:
            self.client.images.remove(image)
        except docker.errors.APIError as error:
            if error.status_code not in (404, 409):
                raise

    def _root(self) -> bytes:
        """A root file system: busybox, its applets as links, and two users."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for folder in ("bin", "etc"):
                made = tarfile.TarInfo(folder)
                made.type, made.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(made)
            archive.add(str(self._busybox.resolve()), "bin/busybox")
            for applet in APPLETS:
                link = tarfile.TarInfo(f"bin/{applet}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                archive.addfile(link)
            users = tarfile.TarInfo("etc/passwd")
            users.size = len(USERS)
            archive.addfile(users, io.BytesIO(USERS.encode()))
        return buffer.getvalue()


def _turn_at(url: str) -> IO[bytes]:
    """Wait for the turn at an engine; it ends when the file is closed."""
    name = f"llmscan-engine-{hashlib.sha256(url.encode()).hexdigest()[:12]}.lock"
    turn = (Path(tempfile.gettempdir()) / name).open("ab")
    fcntl.flock(turn, fcntl.LOCK_EX)
    return turn
