"""No secret of a target is ever shown: a canary stands in every place that a value can come from, and is looked for in every format."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
from installed import MANIFEST, Run, install, llmscan

from llmscan.collect.files import collect_files
from llmscan.findings import Report
from llmscan.host import Host, start
from llmscan.products import Catalogue
from llmscan.redact import HIDDEN, Secrets, redact
from llmscan.scan import option_defaults, run

CANARIES: dict[str, str] = {}


def canary(place: str, secret: str = "") -> str:
    """A secret of its own for a place."""
    return CANARIES.setdefault(place, secret or f"Cnry{len(CANARIES):02}-{place.replace(' ', '')}-x7Q")


def encoded(place: str) -> str:
    """The canary of a place as base64."""
    return base64.b64encode(canary(place).encode()).decode()


BLABBERMOUTH = '''
import base64
from urllib.parse import quote, quote_plus, urlsplit

import yaml

from llmscan import Container, Gap, Place, Related, Resource, Scan, Severity, Stack, Workload, fail, hookimpl, rule, unknown


def texts(scan):
    stack = scan.stack
    for workload in stack.workloads:
        yield from workload.annotations.values()
        yield from [] if workload.orchestrated else workload.labels.values()
        yield from every(workload.resource)
        for container in workload.containers:
            yield from (s.value for s in container.env.values() if s.value)
            yield from (w.text for w in (*(container.command or ()), *(container.args or ())))
            for file in container.files:
                yield file.text
                yield from file.text.split()
                yield from (part.strip(" '\\",") for line in file.text.splitlines() for part in line.replace("=", ":").split(":"))
            yield from (h.value for h in container.probed_hosts if h.value)
            yield from container.logging.options.values() if container.logging else ()
    for config in stack.configs:
        yield from (s.value for s in config.entries.values() if s.value)
    for loose in stack.loose_values:
        yield from (t for t in (loose.setting.value, loose.decoded) if t)
    for named in (*stack.services, *stack.routes):
        yield from named.annotations.values()


def every(node):
    if isinstance(node, dict):
        for value in node.values():
            yield from every(value)
    elif isinstance(node, list):
        for value in node:
            yield from every(value)
    elif isinstance(node, str):
        yield node


def forms(text):
    yield text
    yield base64.b64encode(text.encode()).decode()
    yield quote(text, safe="")
    yield quote_plus(text)
    yield f"'{text}'."
    yield f"key={text}"
    yield f"http://somebody:{text}@host/"
    yield f"x{text}y"
    yield " ".join(text.split())
    try:
        yield urlsplit(text).password or ""
    except ValueError:
        pass
    for word in text.split():
        yield word
        yield word.partition("=")[2]


@rule("BLA001", "Tells all", Severity.LOW, category="blabber")
def tells_all(stack: Stack, scan: Scan):
    """Why.

    How.
    """
    told = [form for text in dict.fromkeys(texts(scan)) if len(text) > 4 for form in forms(text) if form]
    for line, form in enumerate(told, 1):
        place = Place("all.yaml", line, 1, line)
        resource = Resource("Pod", form, "n", form)
        yield fail(
            form, fix=f"not {form}", setting=form, quote=form, place=place, resource=resource, via=Related(form, text=form)
        )
        yield unknown(f"{form}?", Gap("config", form, f"is {form}", f"{form}!"), setting=form, place=place)


@rule("BLA002", "Raises it", Severity.LOW, category="blabber")
def raises_it(container: Container, scan: Scan):
    """Why.

    How.
    """
    raise ValueError(" ".join(s.value for s in container.env.values() if s.value))


@hookimpl
def llmscan_rules():
    return [tells_all, raises_it]
'''


def manifests() -> str:
    """Kubernetes objects with a canary in every value."""
    return f"""\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: vllm
  annotations: {{note: "{canary("annotation")}"}}
spec:
  selector: {{matchLabels: {{app: vllm}}}}
  template:
    metadata:
      labels: {{app: vllm}}
      annotations: {{note: "{canary("pod annotation")}"}}
    spec:
      containers:
        - name: vllm
          image: vllm/vllm-openai:v0.6.0
          command: [sh, -c, "vllm serve m --api-key {canary("shell word")} --other={canary("shell flag")} | tee"]
          args: ["--api-key", "{canary("argument")}", "--token={canary("argument with name")}"]
          env:
            - {{name: VLLM_API_KEY, value: "{canary("literal")}"}}
            - {{name: DATABASE_URL, value: "postgres://user:{canary("password of a URL")}@db/x?sslmode=off"}}
            - {{name: PROXY, value: "http://{canary("user of a URL")}:p@proxy:3128"}}
            - {{name: QUERY, value: "https://host/path?token={canary("query of a URL")}&x=1"}}
            - {{name: PUNCTUATED, value: 'p({canary("punctuated")}),;=|<x>'}}
            - {{name: PHRASE, value: "{canary("phrase", "zebra quilt 4 xylophone-mango tree")}"}}
            - {{name: COMPOSED, value: "Bearer $(VLLM_API_KEY) {canary("composed")}"}}
            - {{name: NUMBER, value: "{canary("number", "83641729")}"}}
            - {{name: FROM_MAP, valueFrom: {{configMapKeyRef: {{name: settings, key: KEY}}}}}}
          envFrom: [{{configMapRef: {{name: settings}}}}]
          volumeMounts: [{{name: files, mountPath: /etc/files}}]
          livenessProbe:
            exec: {{command: [curl, "-H", "X-Key: {canary("probe command")}"]}}
            httpGet: {{port: 80, path: /, httpHeaders: [{{name: Authorization, value: "{canary("probe header")}"}}]}}
      volumes: [{{name: files, configMap: {{name: files}}}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: settings}}
data: {{KEY: "{canary("key of a map")}", OTHER: "{canary("map")}"}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: files}}
data:
  a.yaml: |
    server: {{password: {canary("flow yaml")}}}
    token: "{canary("block yaml")}"
    words: {canary("words in yaml", "walrus and 2 umbrellas")}
  b.json: |
    {{"key": "{canary("json")}",
     "more": ["{canary("json list")}"]}}
  c.ini: |
    [main]
    password = {canary("ini")}
  d.py: |
    c.ServerApp.token = '{canary("python")}'
  e.toml: |
    key = "{canary("toml")}"
---
apiVersion: v1
kind: Secret
metadata:
  name: secret
  annotations: {{kubectl.kubernetes.io/last-applied-configuration: '{{"data": {{"k": "{encoded("last applied")}"}}}}'}}
data: {{KEY: {encoded("data")}}}
stringData: {{OTHER: "{canary("string data")}"}}
---
apiVersion: v1
kind: Service
metadata: {{name: vllm, annotations: {{note: "{canary("service annotation")}"}}}}
spec: {{type: LoadBalancer, selector: {{app: vllm}}, ports: [{{port: 8000}}]}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: vllm
  annotations: {{nginx.ingress.kubernetes.io/configuration-snippet: "proxy_set_header Authorization '{canary("snippet")}';"}}
spec: {{rules: [{{host: a.example.com, http: {{paths: [{{backend: {{service: {{name: vllm, port: {{number: 8000}}}}}}}}]}}}}]}}
---
apiVersion: serving.example.com/v1
kind: Model
metadata: {{name: custom}}
spec:
  apiKey: {canary("custom resource")}
  template: {{spec: {{containers: [{{name: m, image: "example.com/m:1", env: [{{name: K, value: "{canary("custom env")}"}}]}}]}}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: broken}}
data: {{KEY: {canary("parse error")}, [: {canary("second parse error")}
"""


def compose() -> str:
    """A compose project with a canary in every value."""
    return f"""\
x-common: &common {{SHARED: "{canary("x block")}"}}
services:
  webui:
    image: ghcr.io/open-webui/open-webui:v0.5.0
    build: {{context: ., args: {{TOKEN: "{canary("build argument")}"}}}}
    environment:
      <<: *common
      WEBUI_SECRET_KEY: "{canary("compose environment")}"
      DEFAULTED: "${{UNSET_VARIABLE:-{canary("default of a variable")}}}"
      FROM_DOTENV: "${{IN_DOTENV}}"
      DEMANDED: "${{DEMANDED_ONE:?{canary("error message of a variable")}}}"
    env_file: [app.env]
    command: ["serve", "--key={canary("compose command")}"]
    healthcheck: {{test: "curl -H 'X: {canary("health check")}' localhost"}}
    labels: {{traefik.http.middlewares.a.basicauth.users: "u:{canary("label")}"}}
    logging: {{driver: syslog, options: {{syslog-address: "tcp://{canary("logging option")}:1"}}}}
    configs: [{{source: inline, target: /etc/inline.yaml}}]
    ports: ["8080:8080"]
configs:
  inline:
    content: |
      password: {canary("config content")}
"""


def charts(folder: Path) -> None:
    """A chart with a canary in its values, and one whose own error message holds one."""
    template = MANIFEST.replace(
        "image:",
        "env: [{name: KEY, value: {{ .Values.key | quote }}}, {name: SET, value: {{ .Values.set | quote }}}], image:",
    )
    for name, text in (
        ("sound", template),
        ("broken", "{{ fail .Values.key }}\n"),
        ("unread", "a: {{ .Values.key }}: [\n"),
    ):
        (folder / name / "templates").mkdir(parents=True)
        (folder / name / "Chart.yaml").write_text(f"apiVersion: v2\nname: {name}\nversion: 1.0.0\n")
        (folder / name / "values.yaml").write_text(f"key: {canary(f'value of {name} chart')}\nset: x\n")
        (folder / name / "templates" / "pod.yaml").write_text(text)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A scan with a rule that tells every value that it can see, in every form and every field."""
    folder = tmp_path_factory.mktemp("canaries")
    (folder / "site").mkdir()
    install(folder / "site", "blabbermouth", BLABBERMOUTH)
    (folder / "all.yaml").write_text(manifests())
    (folder / "compose.yaml").write_text(compose())
    (folder / ".env").write_text(f'IN_DOTENV="{canary("dotenv")}"\nUNUSED={canary("unused dotenv")}\n')
    (folder / "app.env").write_text(f"IN_ENV_FILE={canary('env file')}\n")
    (folder / "values.yaml").write_text(f"password: {canary('a file that is none')}\n")
    charts(folder / "charts")
    words = ("--set", f"set={canary('set on the command line')}", "--verbose", "--fail-on", "never")
    return llmscan(folder, "files", ".", *words, path=folder / "site")


manifests()
compose()
for name in ("dotenv", "unused dotenv", "env file", "a file that is none", "set on the command line"):
    canary(name)
for name in ("sound", "broken", "unread"):
    canary(f"value of {name} chart")


def test_the_canaries_were_there_to_be_told(told: Run) -> None:
    """The rule has told every value that it saw, and redaction has taken out hundreds of them."""
    assert {"BLA001", "EXP002"} <= told.rules
    assert len([failure for failure in told.json["failures"] if failure["name"] == "BLA002"]) >= 2
    assert told.reports["json"].count(HIDDEN) > 300


def kubeconfig(user: str, server: str = "https://127.0.0.1:9") -> str:
    """A kubeconfig of one context, whose server does not answer."""
    return (
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
        f"clusters: [{{name: c, cluster: {{server: '{server}'}}}}]\n"
        f"contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\nusers: [{{name: u, user: {user}}}]\n"
    )


CREDENTIALS = {
    "token": kubeconfig("{token: SECRET}"),
    "password": kubeconfig("{username: admin, password: SECRET}"),
    "broken file": kubeconfig("{token: SECRET}") + "token: SECRET: [\n",
    "broken certificate": kubeconfig("{client-certificate-data: SECRET, client-key-data: SECRET}"),
    "password in the address": kubeconfig("{token: x}", "https://user:SECRET@127.0.0.1:9"),
    "program that prints it and fails": kubeconfig(
        "{exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: sh, "
        "args: ['-c', 'echo SECRET; echo SECRET >&2; exit 3']}}"
    ),
    "program that answers nonsense": kubeconfig(
        '{exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: echo, args: [\'{"kind": "SECRET"}\']}}'
    ),
    "token of a program": kubeconfig(
        "{exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: echo, env: [{name: KEY, value: SECRET}], "
        'args: [\'{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "SECRET"}}\']}}'
    ),
}


@pytest.mark.parametrize("kind", CREDENTIALS)
def test_credentials_for_a_cluster_are_not_shown(kind: str, tmp_path: Path) -> None:
    """Whatever fails on the way to a cluster, the sentence about it holds nothing of what was to be proved with."""
    secret = "Cnry-kubeconfig-x7Q"
    (tmp_path / "config").write_text(CREDENTIALS[kind].replace("SECRET", secret))
    done = llmscan(tmp_path, "k8s", "-n", "ai", "--kubeconfig", "config")
    assert done.code in (2, 3)
    assert "Traceback" not in done.errors
    for shown in (done.table, done.errors, *done.reports.values()):
        assert secret not in shown
        assert base64.b64encode(secret.encode()).decode() not in shown


@pytest.mark.parametrize("place", CANARIES)
def test_no_canary_is_shown(place: str, told: Run) -> None:
    """Neither as it is nor as base64 or a URL writes it, in the table, in any report, or on standard error."""
    secret = CANARIES[place]
    written = {secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode().rstrip("=")}
    for shown in (told.table, told.errors, *told.reports.values()):
        assert not [form for form in written if form in shown]


def test_what_is_public_stays(told: Run) -> None:
    """Names, images, paths, ports, variables and flags are shown all the same."""
    for text in ("vllm/vllm-openai", "open-webui", "all.yaml", "compose.yaml", "VLLM_API_KEY", "8080", "DATABASE_URL"):
        assert text in told.table


def scanned(host: Host, secrets: Secrets) -> Report:
    """The report of the working directory before redaction."""
    collection = collect_files(["."])
    options = option_defaults(host.rules.values())
    return run(collection, host, Catalogue(host.products.values()), options, None, secrets)


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The report of a pod with some variables, and what hides its values."""
    monkeypatch.chdir(tmp_path)

    def make(**variables: str) -> Secrets:
        env = json.dumps([{"name": name, "value": value} for name, value in variables.items()])
        (tmp_path / "pod.yaml").write_text(
            "apiVersion: v1\nkind: Pod\nmetadata: {name: my-llama3-server}\nspec:\n  containers:\n"
            f"    - {{name: main, image: 'vllm/vllm-openai:v0.6.0', env: {env}, ports: [{{containerPort: 11434}}]}}\n"
        )
        host = start(third_parties=False)
        secrets = Secrets(host.rules.values())
        redact(scanned(host, secrets), secrets)
        return secrets

    yield make


def test_sentences_stay_readable(small: Any) -> None:
    """Values that are words, ports or parts of public names take nothing out of a sentence."""
    secrets = small(
        MODE="published", PORT="11434", MODEL="llama3", SECRET="hunter22x", TEXT="a container that runs as root"
    )
    for text in (
        "Port 11434 is published on every interface of the host.",
        "Pod 'my-llama3-server' runs as root.",
        "SECRET of container main",
    ):
        assert secrets.hide(text) == text
    assert secrets.hide("SECRET=hunter22x") == f"SECRET={HIDDEN}"
    assert secrets.hide("the password (hunter22x).") == f"the password ({HIDDEN})."
    assert secrets.hide("model llama3") == f"model {HIDDEN}"


def test_tokens_that_are_known_by_their_form(small: Any) -> None:
    """A token of a well-known form goes wherever it came from, and so does the password of any URL."""
    secrets = small()
    for token in ("hf_" + "a1" * 12, "sk-proj-" + "b2" * 12, "ghp_" + "c3" * 18, "AKIA" + "ABCD" * 4):
        assert token not in secrets.hide(f"the answer holds {token}.")
    assert "swordfish" not in secrets.hide("cannot reach https://admin:swordfish@host/")


def test_redaction_is_quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The report of 2,000 workloads is redacted in a small part of the time that making it takes."""
    monkeypatch.chdir(tmp_path)
    for number in range(200):
        documents = "---\n".join(
            "apiVersion: v1\nkind: Pod\n"
            f"metadata: {{name: pod-{number}-{part}}}\nspec:\n  containers:\n    - name: main\n      image: ollama/ollama:0.5.0\n"
            f"      env: [{{name: KEY, value: secret-{number}-{part}-value}}, {{name: URL, value: 'http://u:pw{number}{part}word@host'}}]\n"
            for part in range(10)
        )
        (tmp_path / f"{number}.yaml").write_text(documents)
    host = start(third_parties=False)
    secrets = Secrets(host.rules.values())
    began = time.process_time()
    report = scanned(host, secrets)
    judged = time.process_time()
    assert len(redact(report, secrets).findings) == len(report.findings) > 2000
    spent = SimpleNamespace(scan=judged - began, redaction=time.process_time() - judged)
    assert spent.redaction < spent.scan / 4, spent
