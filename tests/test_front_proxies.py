"""Reverse proxies of compose projects: which ways they open to what stands behind them, and what asks for a credential there."""

from __future__ import annotations

from pathlib import Path

import pytest
from file_scans import failing, scan_files

from llmscan.findings import Finding

VLLM = "  vllm:\n    image: vllm/vllm-openai:v0.33.0\n    command: --model /models/x\n"
OPEN = ["AUT001", "AUT002", "AUT003"]
CADDY = ("caddy:2.11.1", "/etc/caddy/Caddyfile")
NGINX = ("nginx:1.29.4", "/etc/nginx/conf.d/default.conf")
HAPROXY = ("haproxy:3.3.0", "/usr/local/etc/haproxy/haproxy.cfg")


def project(folder: Path, image: tuple[str, str], text: str, ports: str = "8080:80", more: str = "") -> list[Finding]:
    """What is said of open doors in a project of a proxy with one file, and a vLLM without key."""
    (folder / "proxy.conf").write_text(text)
    service = f'  proxy:\n    image: {image[0]}\n    ports: ["{ports}"]\n    volumes: ["./proxy.conf:{image[1]}:ro"]\n'
    (folder / "compose.yaml").write_text(f"services:\n{service}{more}{VLLM}")
    return failing(scan_files(folder), OPEN)


def of_labels(
    folder: Path, labels: list[str], command: str = "--providers.docker=true", more: str = ""
) -> list[Finding]:
    """The same of a Traefik and the labels of the vLLM."""
    traefik = f'  traefik:\n    image: traefik:v3.2.3\n    command: [{command}]\n    ports: ["82:80", "8080:8080"]\n'
    (folder / "compose.yaml").write_text(f"services:\n{traefik}{more}{VLLM}    labels: {labels}\n")
    return failing(scan_files(folder), OPEN)


HAPROXY_OPEN = "frontend f\n  bind *:80\n  default_backend b\nbackend b\n  server v vllm:8000 check\n"
WAYS_IN = [
    (CADDY, ":80 {\n  reverse_proxy vllm:8000\n}\n"),
    (CADDY, ":80\nreverse_proxy vllm:8000\n"),
    (CADDY, ":80 {\n  handle_path /v1/* {\n    reverse_proxy /x/* {\n      to http://vllm:8000\n    }\n  }\n}\n"),
    (CADDY, "(up) {\n  reverse_proxy {args[0]}:8000\n}\nhttp://llm.example.com {\n  import up vllm\n}\n"),
    (CADDY, "{\n  admin off\n}\nllm.example.com, x.org {\n  reverse_proxy {$UPSTREAM:vllm:8000}\n}\n"),
    (CADDY, ":80 {\n  basic_auth /admin/* {\n    a b\n  }\n  reverse_proxy vllm:8000\n}\n"),
    (
        CADDY,
        ":80 {\n  basic_auth {\n    a b\n  }\n  reverse_proxy vllm:8000\n}\nhttp://b {\n  reverse_proxy vllm:8000\n}\n",
    ),
    (NGINX, "server {\n listen 80;\n location / { proxy_pass http://vllm:8000; }\n}\n"),
    (NGINX, "upstream up {\n server vllm:8000;\n}\nserver {\n location / { proxy_pass http://up/v1; }\n}\n"),
    (NGINX, 'server {\n set $u "vllm:8000";\n location / { proxy_pass http://$u; }\n}\n'),
    (NGINX, "server {\n auth_basic x;\n location /a { auth_basic off; proxy_pass http://vllm:8000/; }\n}\n"),
    (HAPROXY, HAPROXY_OPEN),
    (HAPROXY, "listen l\n  bind :80\n  http-request auth if { path_beg /admin }\n  server v vllm:8000\n"),
]
GUARDED = [
    (CADDY, ":80 {\n  basic_auth {\n    a b\n  }\n  handle /x/* {\n    reverse_proxy vllm:8000\n  }\n}\n"),
    (CADDY, ":80 {\n  forward_auth authelia:9091 {\n    uri /x\n  }\n  reverse_proxy vllm:8000\n}\n"),
    (CADDY, ':80 {\n  @key header Authorization "Bearer x"\n  handle @key {\n    reverse_proxy vllm:8000\n  }\n}\n'),
    (NGINX, 'server {\n auth_basic "x";\n location / { proxy_pass http://vllm:8000; }\n}\n'),
    (NGINX, "server {\n location / {\n  auth_request /auth;\n  proxy_pass http://vllm:8000;\n }\n}\n"),
    (NGINX, 'server {\n location / { if ($http_x = "") { return 401; }\n proxy_pass http://vllm:8000; }\n}\n'),
    (HAPROXY, HAPROXY_OPEN.replace("  default", "  http-request auth unless { http_auth(u) }\n  default")),
    (HAPROXY, HAPROXY_OPEN.replace("  server", "  http-request auth\n  server")),
]
NO_WAY = [
    (CADDY, ":80 {\n  reverse_proxy {$UPSTREAM}\n}\n"),
    (CADDY, ":80 {\n  reverse_proxy vllm:9000\n}\n"),
    (CADDY, ":8081 {\n  reverse_proxy vllm:8000\n}\n"),
    (CADDY, ":80 {\n  import auth.caddy\n  reverse_proxy vllm:8000\n}\n"),
    (CADDY, ":80 {\n  # reverse_proxy vllm:8000\n  respond ok\n}\n"),
    (NGINX, "server {\n location / { proxy_pass http://$upstream:8000; }\n}\n"),
    (NGINX, "server {\n location / { proxy_pass http://vllm:9000; }\n}\n"),
    (NGINX, "server {\n listen 127.0.0.1:80;\n location / { proxy_pass http://vllm:8000; }\n}\n"),
    (NGINX, "server {\n location / { internal; proxy_pass http://vllm:8000; }\n}\n"),
    (NGINX, "server {\n location / { deny all; proxy_pass http://vllm:8000; }\n}\n"),
    (HAPROXY, HAPROXY_OPEN.replace("vllm:8000", "${WHERE}:8000")),
    (HAPROXY, HAPROXY_OPEN.replace("vllm:8000", "vllm:9000")),
    (HAPROXY, HAPROXY_OPEN.replace("default_backend b", "default_backend other")),
]


@pytest.mark.parametrize(("image", "text"), WAYS_IN)
def test_a_proxy_opens_what_it_passes_requests_to(tmp_path: Path, image: tuple[str, str], text: str) -> None:
    """A workload without published ports is open to the network of the host where a proxy that publishes one leads to it."""
    (found,) = project(tmp_path, image, text)
    assert found.rule == "AUT002"
    assert "'proxy' passes requests to it from port 8080, published on every interface of the host" in found.message


@pytest.mark.parametrize(("image", "text"), GUARDED)
def test_a_proxy_that_asks_opens_no_way_without_a_credential(tmp_path: Path, image: tuple[str, str], text: str) -> None:
    """What the proxy asks for on that route is named, and the way beside it, by the container network, stays open."""
    (found,) = project(tmp_path, image, text)
    assert found.rule == "AUT003"
    assert "Callers from outside are asked for a credential first" in found.message


@pytest.mark.parametrize(("image", "text"), NO_WAY)
def test_what_is_not_known_or_leads_elsewhere_is_no_way(tmp_path: Path, image: tuple[str, str], text: str) -> None:
    """An upstream that was not seen, another port, a server that nobody reaches: the workload is open to its network alone."""
    (found,) = project(tmp_path, image, text)
    assert found.rule == "AUT003"
    assert "proxy" not in found.message


@pytest.mark.parametrize(("image", "text"), [WAYS_IN[0], WAYS_IN[7], WAYS_IN[11]])
def test_a_proxy_on_loopback_opens_no_more_than_that(tmp_path: Path, image: tuple[str, str], text: str) -> None:
    """A proxy whose port is published on the host's loopback alone opens nothing to the network."""
    assert [found.rule for found in project(tmp_path, image, text, "127.0.0.1:8080:80")] == ["AUT003"]


def test_a_proxy_on_another_network_finds_nobody(tmp_path: Path) -> None:
    """Names are known on a common network alone."""
    found = project(tmp_path, CADDY, WAYS_IN[0][1], "8080:80", "    networks: [other]\n")
    assert [one.rule for one in found] == ["AUT003"]


def test_the_place_is_the_line_that_names_the_upstream(tmp_path: Path) -> None:
    """The exposed port is told once, at the line of the proxy's file, on the service that is the proxy."""
    project(tmp_path, NGINX, WAYS_IN[8][1])
    (found,) = failing(scan_files(tmp_path), ["EXP002"])
    assert found.place is not None
    assert (found.resource.name, Path(found.place.path).name, found.place.line) == ("proxy", "proxy.conf", 2)


HOSTILE = [
    *(part * 9000 for part in ('"', '"\\', "{", "{\n", "${", "a {$", "}\n", "`", "import x\n", "include *;")),
    "(x) {\nimport x\nimport x\n}\n:80 {\nimport x\n}\n",
    "\0:80 {\n",
]
PORT = "traefik.http.services.o.loadbalancer.server.port=8000"
ENABLED = ["traefik.enable=true", PORT]
ROUTER = "traefik.http.routers.o.middlewares=m@docker"


@pytest.mark.parametrize(
    ("labels", "command", "rule"),
    [
        (ENABLED, "--providers.docker=true", "AUT002"),
        (["traefik.enable=true"], "--providers.docker", "AUT002"),
        ([PORT], "--providers.docker=true, --entrypoints.web.address=:80", "AUT002"),
        ([*ENABLED, ROUTER, "traefik.http.middlewares.m.headers.stsSeconds=1"], "--providers.docker", "AUT002"),
        ([*ENABLED, ROUTER, "traefik.http.middlewares.m.basicauth.users=a:b"], "--providers.docker", "AUT003"),
        ([*ENABLED, ROUTER, "traefik.http.middlewares.m.forwardAuth.address=http://a"], "--providers.docker", "AUT003"),
        (
            [*ENABLED, "traefik.http.routers.o.entrypoints=in"],
            "--providers.docker, --entrypoints.in.address=:81",
            "AUT003",
        ),
        ([PORT], "--providers.docker=true, --providers.docker.exposedbydefault=false", "AUT003"),
        (["traefik.enable=false", PORT], "--providers.docker=true", "AUT003"),
        (["traefik.enable=true", PORT.replace("8000", "9000")], "--providers.docker=true", "AUT003"),
        (ENABLED, "--providers.file.directory=/x", "AUT003"),
    ],
)
def test_traefik_opens_what_labels_ask_for(tmp_path: Path, labels: list[str], command: str, rule: str) -> None:
    """Traefik leads to a workload with labels for it, by the entry points that are published, and asks what its middlewares ask."""
    assert [found.rule for found in of_labels(tmp_path, labels, command)] == [rule]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("image", [CADDY, NGINX, HAPROXY])
def test_hostile_text_is_read_quickly_and_raises_nothing(tmp_path: Path, image: tuple[str, str], text: str) -> None:
    """Broken and hostile configuration opens no way."""
    assert [found.rule for found in project(tmp_path, image, text)] == ["AUT003"]
