"""`llmscan endpoint` on servers that behave: products, imitators, innocents, and what stands in front of them."""

from __future__ import annotations

import re
import ssl
from pathlib import Path

import pytest
from endpoint_scans import endpoint, observed, report, verdict
from strangers import Asked, Reply, self_signed, stranger

from llmscan.probe.identification import Askable
from llmscan.probe.routes import allowed, fingerprints, probes
from llmscan.products import builtin_products

OLLAMA = {
    "/": Reply(body="Ollama is running"),
    "/api/version": Reply(body={"version": "0.12.3"}),
    "/api/tags": Reply(body={"models": []}),
}
REFUSED = Reply(401, {"error": "Unauthorized"}, {"WWW-Authenticate": "Bearer"})


def vllm(request: Asked) -> Reply:
    """vLLM with a key: /v1 asks for it, the rest does not."""
    if request.path.startswith("/v1"):
        return REFUSED
    known = {"/version": Reply(body={"version": "0.31.0"}), "/load": Reply(body={"server_load": 0})}
    return known.get(request.path, Reply(404, {"detail": "Not Found"}, {"Server": "uvicorn"}))


def test_an_open_server_is_told_with_product_version_and_what_was_seen() -> None:
    """The finding is observed, and quotes the request, the status and the field that decided; the server was only read from."""
    with stranger(OLLAMA) as server:
        document = report(server.url)
    (finding,) = document["findings"]
    assert (finding["rule"], finding["evidence"], finding["reach"]) == ("AUT011", "observed", "loopback")
    assert finding["product"]["version"] == "0.12.3"
    assert finding["quote"] == "GET /api/tags -> 200: models = list of 0"
    assert {request.method for request in server.asked} <= {"GET", "HEAD", "OPTIONS"}


def test_a_secured_server_is_told_as_closed() -> None:
    """Two weak pieces identify it, since the strong one asks for the key."""
    with stranger(vllm) as server:
        assert verdict(server.url) == ("vllm", "0.31.0", "closed", "none")


@pytest.mark.parametrize(
    ("headers", "cors", "rule"),
    [
        ({"Access-Control-Allow-Origin": "*"}, "any", "COR001"),
        ({"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Credentials": "true"}, "any-with-credentials", "COR002"),
        ({"Access-Control-Allow-Origin": "https://own.example"}, "listed", None),
        ({}, "none", None),
    ],
)  # fmt: skip
def test_cors_is_read_as_a_browser_does(headers: dict[str, str], cors: str, rule: str | None) -> None:
    """The answer to a foreign origin decides, and no rule fires for a list of one's own origins."""
    with stranger(
        lambda request: Reply(
            OLLAMA.get(request.path, Reply(404)).status, OLLAMA.get(request.path, Reply()).body, headers
        )
    ) as server:
        document = report(server.url)
    assert document["inventory"][0]["observed"][0]["cors"] == cors
    assert {f["rule"] for f in document["findings"]} - {"AUT011"} == ({rule} if rule else set())


@pytest.mark.parametrize(
    ("credentials", "cors"),
    [({}, "reflected"), ({"Access-Control-Allow-Credentials": "true"}, "reflected-with-credentials")],
)
def test_a_reflected_origin_is_told(credentials: dict[str, str], cors: str) -> None:
    """A server that answers every origin with its own name allows all of them."""

    def reflecting(request: Asked) -> Reply:
        origin = request.headers.get("origin")
        known = OLLAMA.get(request.path, Reply(404))
        return Reply(known.status, known.body, {"Access-Control-Allow-Origin": origin, **credentials} if origin else {})

    with stranger(reflecting) as server:
        assert observed(server.url)["cors"] == cors


def test_the_null_origin_is_asked_for_by_itself() -> None:
    """A server that allows nothing but `null` allows every sandboxed frame."""

    def null_only(request: Asked) -> Reply:
        known = OLLAMA.get(request.path, Reply(404))
        allowed_ = {"Access-Control-Allow-Origin": "null"} if request.headers.get("origin") == "null" else {}
        return Reply(known.status, known.body, allowed_)

    with stranger(null_only) as server:
        assert observed(server.url)["cors"] == "null"


def test_an_origin_is_never_sent_along_with_the_question_about_authentication() -> None:
    """Servers that refuse foreign origins would look closed."""

    def strict(request: Asked) -> Reply:
        return Reply(403) if "origin" in request.headers else OLLAMA.get(request.path, Reply(404))

    with stranger(strict) as server:
        assert verdict(server.url) == ("ollama", "0.12.3", "open", "none")


def test_no_credential_is_ever_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not from a .netrc file, not as a guess, and the scanner says who it is."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login owner password hunter2\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    with stranger(OLLAMA) as server:
        observed(server.url)
        observed(server.url, "--use-env")
    assert not any({"authorization", "cookie", "x-api-key"} & set(request.headers) for request in server.asked)
    assert all(request.headers["user-agent"].startswith("llmscan/") for request in server.asked)


def test_an_imitator_is_not_taken_for_the_product_that_it_imitates() -> None:
    """Answers like Ollama's beside another's own mark mean that other."""
    imitator = {
        "/api/version": Reply(body={"version": "0.7.0"}),
        "/api/tags": Reply(body={"models": []}),
        "/v1/models": Reply(body={"object": "list", "data": [{"id": "koboldcpp/m", "owned_by": "koboldcpp"}]}),
        "/api/extra/version": Reply(body={"result": "KoboldCpp", "version": "1.95", "protected": False}),
    }
    with stranger(imitator) as server:
        assert verdict(server.url)[:3] == ("koboldcpp", "1.95", "open")


@pytest.mark.parametrize(
    "routes",
    [
        {"/": Reply(body="<title>Shop</title>"), "/v1/models": Reply(body={"object": "list", "data": [{"id": "shoe", "owned_by": "the shop"}]}),
         "/health": Reply(body={"status": "ok"}), "/version": Reply(body={"version": "3.1.0"})},
        {"/": Reply(body="<h1>Index of /</h1>")},
        {"/": Reply(body="Welcome"), "/api/version": Reply(body={"version": "1.0.0"}), "/api/tags": Reply(body={"models": ["sedan"]})},
        {"/openapi.json": Reply(body={"openapi": "3.1.0", "info": {"title": "FastAPI", "version": "0.1.0"}, "paths": {"/v1/chat/completions": {}}})},
        {},
    ],
    ids=["web shop", "directory", "car tags", "own API", "nothing"],
)  # fmt: skip
def test_an_innocent_is_called_none(routes: dict[str, Reply]) -> None:
    """However much its answers look like those of a product."""
    with stranger(routes) as server:
        document = report(server.url)
    assert document["inventory"][0]["observed"][0]["outcome"] == "no known product"
    assert not document["findings"]


def test_a_page_for_every_path_proves_nothing() -> None:
    """A bare 200 means nothing where every path gets one."""
    for body in ("<html>app</html>", "", "OK", '{"status": "ok"}'):
        with stranger({}, otherwise=Reply(body=body)) as server:
            assert verdict(server.url)[0] == "no known product", body


@pytest.mark.parametrize(
    "refusal",
    [
        REFUSED,
        Reply(403, "Forbidden"),
        Reply(302, "", {"Location": "https://login.example/oauth2/start?rd=x"}),
        Reply(302, "", {"Location": "/oauth2/sign_in"}),
    ],
    ids=["401", "403", "elsewhere", "sign in"],
)  # fmt: skip
def test_what_is_behind_a_proxy_that_refuses_everything_stays_unknown(refusal: Reply) -> None:
    """It is closed, and nobody can say what it is."""
    with stranger({}, otherwise=refusal) as server:
        assert verdict(server.url) == ("refuses everything", "", "closed", "unknown")


def test_a_proxy_may_leave_its_health_check_open() -> None:
    """That one path answers says nothing of what is behind."""
    with stranger({"/healthz": Reply(body="OK")}, otherwise=REFUSED) as server:
        assert verdict(server.url) == ("refuses everything", "", "closed", "unknown")


def test_a_page_in_front_of_an_api_that_asks_for_a_key_is_no_refusal_of_everything() -> None:
    """Its front page answers everybody, so it is seen, and known to nobody."""
    with stranger({"/": Reply(body="<title>Portal</title>")}, otherwise=REFUSED) as server:
        assert verdict(server.url)[0] == "no known product"


def test_an_unknown_server_gets_a_handful_of_requests() -> None:
    """The questions are shared by all products, not one for each."""
    with stranger({}) as server:
        verdict(server.url)
    assert len(server.asked) <= 20


def test_shared_questions_are_harmless_to_every_product() -> None:
    """No product lists a shared question as one that is never to be asked, and no product's own questions are on its own list."""
    products = builtin_products()
    shared = Askable(products).shared
    for product in products:
        known = probes(product)
        own = [entry["path"] for entry in fingerprints(product) if entry["path"] != "*"]
        own += [entry["path"] for block in ("authentication", "registration") for entry in known.get(block, ())]
        own += [known["cors"]["path"]] if "cors" in known else []
        assert [path for path in (*shared, *own) if not allowed(path, (product,))] == []


@pytest.mark.parametrize(
    "path",
    [
        "/api/pull",
        "//api/pull",
        "/api/./pull",
        "/x/../api/pull",
        "/api/%70ull",
        "/API/pull",
        "/api/pull;x",
        "/api/pull?a=b",
        "/api/pull/",
    ],
)
def test_a_forbidden_route_stays_forbidden_however_it_is_spelt(path: str) -> None:
    """Servers fold, decode and normalise paths, so the check does as well."""
    (ollama,) = (product for product in builtin_products() if product.id == "ollama")
    assert not allowed(path, (ollama,))


def test_a_redirect_is_followed_on_the_same_server_alone_and_never_to_a_forbidden_route() -> None:
    """Not to another host, and not where a server would like to be asked to delete something."""
    with stranger(OLLAMA) as elsewhere:
        with stranger({"/": Reply(302, "", {"Location": elsewhere.url + "/"})}) as server:
            assert verdict(server.url)[0] == "no known product"
        with stranger({"/": Reply(307, "", {"Location": "/api/v1/auto_login"})}) as trap:
            verdict(trap.url)
    assert not elsewhere.asked
    assert "/api/v1/auto_login" not in trap.paths


def test_a_base_path_is_kept() -> None:
    """A server behind a prefix of a proxy is asked below that prefix."""
    with stranger({f"/llm{path}": reply for path, reply in OLLAMA.items()}) as server:
        assert verdict(server.url + "/llm/")[0] == "ollama"
        assert all(path.startswith("/llm/") for path in server.paths)


def test_secrets_in_answers_are_not_shown() -> None:
    """Neither tokens that a server hands out, nor keys in its configuration."""
    leaky = {
        **OLLAMA,
        "/api/tags": Reply(body={"models": [{"name": "hunter2-model"}], "token": "eyJhbGciOiJIUzI1NiJ9.e30.c2VjcmV0"}),
    }
    with stranger(leaky) as server:
        for form in ("json", "table", "sarif", "html"):
            text = endpoint(server.url, "--format", form, "-v").output
            assert "hunter2" not in text
            assert "eyJ" not in text


def test_an_endpoint_that_cannot_be_reached_is_a_failure() -> None:
    """The run is incomplete then, and says so in a sentence."""
    with stranger({}) as server:
        pass
    result = endpoint(server.url)
    assert result.exit_code == 3
    assert "refuses connections" in result.output


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://host/", "neither http nor https"),
        ("http://owner:hunter2@host/", "holds credentials"),
        ("http://", "names no host"),
        ("http://host:99999", "is no URL"),
    ],
)  # fmt: skip
def test_a_url_that_cannot_be_asked_is_wrong_usage(url: str, why: str) -> None:
    """Said at once, without showing credentials that stand in it."""
    result = endpoint(url)
    assert result.exit_code == 2
    assert why in result.output
    assert "hunter2" not in result.output


def test_urls_come_from_a_file_as_well(tmp_path: Path) -> None:
    """One a line, with comments, and each endpoint once."""
    with stranger(OLLAMA) as one, stranger({}) as other:
        listed = tmp_path / "urls"
        listed.write_text(f"# ours\n{one.url}\n\n{other.url}/   # the other\n{one.url}/\n")
        document = report("--from-file", str(listed))
    assert sorted(item["observed"][0]["product"] for item in document["inventory"]) == ["", "ollama"]


def test_the_environment_counts_only_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Proxies in variables would send the questions elsewhere."""
    with stranger({}, otherwise=Reply(body="I am a proxy")) as proxy, stranger(OLLAMA) as server:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        assert verdict(server.url)[0] == "ollama"
        assert not proxy.asked
        verdict(server.url, "--use-env")
        assert proxy.asked


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself."""
    return self_signed(tmp_path_factory.mktemp("tls"))


def test_certificates_are_verified_whatever_the_environment_says(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failure is told; --ca-file trusts it, --insecure goes on without trust."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate[0]))
    with stranger(OLLAMA, tls=certificate) as server:
        result = endpoint(server.url)
        assert (result.exit_code, bool(re.search(r"certificate that\s+cannot be trusted", result.output))) == (3, True)
        assert verdict(server.url, "--ca-file", str(certificate[0]))[0] == "ollama"
        assert verdict(server.url, "--insecure")[0] == "ollama"


def test_a_plain_server_that_is_asked_in_tls_is_told_as_such() -> None:
    """And the other way round nothing crashes."""
    assert ssl.OPENSSL_VERSION
    with stranger(OLLAMA) as server:
        result = endpoint(server.url.replace("http://", "https://"))
    assert result.exit_code == 3
    assert "does not speak TLS" in " ".join(result.output.split())
