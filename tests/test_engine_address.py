"""Which engine is talked to: as the docker command would choose, with TLS where that is asked for."""

from __future__ import annotations

import hashlib
import json
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

from llmscan.collect.engine import EngineOptions, read_engine
from llmscan.collect.engine_address import find_engine
from llmscan.collect.errors import TargetUnreachable
from llmscan.testing.fake_engine import FakeEngine


def store_context(folder: Path, name: str, host: str, **more: object) -> Path:
    """A context as `docker context create` stores it. Returns where its TLS files belong."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    meta = folder / "contexts" / "meta" / digest
    meta.mkdir(parents=True)
    (meta / "meta.json").write_text(json.dumps({"Name": name, "Endpoints": {"docker": {"Host": host, **more}}}))
    return folder / "contexts" / "tls" / digest / "docker"


def test_the_order_is_that_of_the_docker_command(tmp_path: Path) -> None:
    """--context or --host, then DOCKER_HOST, then DOCKER_CONTEXT, then the configured context, then the usual socket."""
    for name in ("flag", "variable", "current"):
        store_context(tmp_path, name, f"tcp://{name}.example:2375")
    (tmp_path / "config.json").write_text('{"currentContext": "current"}')
    env = {"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "variable", "DOCKER_HOST": "tcp://host.example:2375"}
    assert find_engine("flag", None, env).url == "tcp://flag.example:2375"
    assert find_engine(None, "tcp://option.example:2375", env).url == "tcp://option.example:2375"
    assert find_engine(None, None, env).url == "tcp://host.example:2375"
    del env["DOCKER_HOST"]
    assert find_engine(None, None, env).url == "tcp://variable.example:2375"
    del env["DOCKER_CONTEXT"]
    assert (found := find_engine(None, None, env)).url == "tcp://current.example:2375"
    assert (found.name, found.local, found.plain_tcp) == ("current", False, "current.example:2375")
    assert find_engine("default", None, env).name == "local"


def test_podmans_socket_is_found_where_docker_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Docker's socket, the one that Podman keeps for the user is taken."""
    monkeypatch.setattr("llmscan.collect.engine_address.DOCKER_SOCKET", tmp_path / "none.sock")
    (tmp_path / "podman").mkdir()
    with socket.socket(socket.AF_UNIX) as line:
        line.bind(f"{tmp_path}/podman/podman.sock")
        found = find_engine(None, None, {"DOCKER_CONFIG": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)})
    assert (found.url, found.name, found.local) == (f"unix://{tmp_path}/podman/podman.sock", "local", True)


@pytest.mark.parametrize(
    ("context", "host", "sentence"),
    [
        ("nope\x1b[2J", None, "There is no docker context called nope\N{REPLACEMENT CHARACTER}[2J."),
        ("empty", None, "The docker context empty names no engine."),
        ("broken", None, "meta.json of the docker command cannot be read as JSON."),
        (None, "gopher://x", "The engine's address begins with gopher://, which is no way to an engine."),
        (None, "tcp://[::1", "The engine's address is not a URL that can be read."),
        ("a", "tcp://b", "Give either a docker context or a host, not both."),
    ],
)
def test_what_names_no_engine(tmp_path: Path, context: str | None, host: str | None, sentence: str) -> None:
    """One sentence for each way to name an engine that there is not."""
    store_context(tmp_path, "empty", "")
    store_context(tmp_path, "broken", "")
    digest = hashlib.sha256(b"broken").hexdigest()
    (tmp_path / "contexts" / "meta" / digest / "meta.json").write_text("{")
    with pytest.raises(TargetUnreachable) as raised:
        find_engine(context, host, {"DOCKER_CONFIG": str(tmp_path)})
    assert str(raised.value) == sentence


def test_credentials_in_an_address_are_not_repeated() -> None:
    """A password in DOCKER_HOST stands in no sentence and in no name."""
    found = find_engine(None, "tcp://admin:hunter2@127.0.0.1:1", {})
    assert "hunter2" not in f"{found} {found.name} {found.plain_tcp}"
    with pytest.raises(TargetUnreachable) as raised:
        read_engine(EngineOptions(host="tcp://admin:hunter2@127.0.0.1:1"))
    assert "hunter2" not in str(raised.value)


def make_certificates(folder: Path) -> None:
    """An authority, and one certificate of it that serves both sides."""
    folder.mkdir(parents=True)
    (folder / "ext").write_text("subjectAltName=IP:127.0.0.1\n")
    for command in (
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem",
        "req -newkey rsa:2048 -nodes -subj /CN=engine -keyout key.pem -out request",
        "x509 -req -in request -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out cert.pem",
    ):
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)


def mutual(folder: Path) -> ssl.SSLContext:
    """What a server does that lets in only clients of its own authority."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(folder / "ca.pem"))
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def test_tls_with_both_sides_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DOCKER_TLS_VERIFY with DOCKER_CERT_PATH, and the files of a context, open a connection that proves both sides."""
    certs = tmp_path / "certs"
    make_certificates(certs)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with FakeEngine(tls=mutual(certs)) as engine:
        monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
        monkeypatch.setenv("DOCKER_CERT_PATH", str(certs))
        assert read_engine(EngineOptions(host=engine.url)).stacks == ()
        monkeypatch.delenv("DOCKER_TLS_VERIFY")
        stored = store_context(tmp_path, "secured", engine.url)
        stored.parent.mkdir(parents=True)
        stored.symlink_to(certs)
        assert read_engine(EngineOptions(context="secured")).name == "secured"


def test_tls_that_does_not_verify_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine of another authority, and one that wants a certificate that there is not, are not talked to."""
    for name in ("mine", "theirs"):
        make_certificates(tmp_path / name)
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    with FakeEngine(tls=mutual(tmp_path / "theirs")) as engine:
        monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path / "mine"))
        with pytest.raises(TargetUnreachable, match="presents a certificate that cannot be verified"):
            read_engine(EngineOptions(host=engine.url))
        (tmp_path / "theirs" / "key.pem").unlink()
        monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path / "theirs"))
        with pytest.raises(TargetUnreachable, match=r"or asks for one of the client|breaks the connection off"):
            read_engine(EngineOptions(host=engine.url))
