"""A report with a bit of everything, for the tests of the formats: two namespaces of a cluster, a folder of files, and hostile text."""

from __future__ import annotations

import hashlib

from llmscan.findings import (
    Coverage,
    Evidence,
    Failure,
    Finding,
    InventoryItem,
    ProductNote,
    Related,
    Report,
    Resource,
    RuleNote,
    Severity,
    Status,
    Target,
    Waived,
)
from llmscan.model import Gap, Reach
from llmscan.places import Place
from llmscan.records import replace

OLLAMA = ProductNote("ollama", "Ollama", "0.5.1", "image ollama/ollama:0.5.1")
WEBUI = ProductNote("open-webui", "Open WebUI", "", "image ghcr.io/open-webui/open-webui:main")
QDRANT = ProductNote("qdrant", "Qdrant", "1.12.4", "image qdrant/qdrant:v1.12.4")
VLLM = ProductNote("vllm", "vLLM", "0.10.0", "command line vllm serve")

RULES = (
    RuleNote(
        "AUT001",
        "Inference API open to the internet",
        "unauthenticated-endpoint",
        Severity.CRITICAL,
        "Anyone who finds the address can run the model, read what it serves, and often pull or delete models.",
        "Set the product's key, or put an authenticating proxy in front and publish only that.",
        ("CWE-306", "LLM06:2026", "AML.T0040", "AML.T0034"),
        "OpenToTheInternet",
    ),
    RuleNote(
        "AUT003",
        "Vector store answers without a key",
        "unauthenticated-endpoint",
        Severity.HIGH,
        "Whoever reaches the store can read every document that was embedded, and can write new ones for the model to quote.",
        "Set the store's API key from a secret.",
        ("CWE-306", "LLM09:2026", "AML.T0036"),
        "VectorStoreWithoutKey",
    ),
    RuleNote(
        "COR001",
        "Any web page may call the API",
        "permissive-cors",
        Severity.MEDIUM,
        "A page that somebody on the network opens can read the answers of the API, from inside the network.",
        "Name the origins that need it.",
        ("CWE-942",),
        "AnyOrigin",
    ),
    RuleNote(
        "HST002",
        "Host path mounted for writing",
        "host-access",
        Severity.HIGH,
        "A process that breaks out of the model server can change files of the node.",
        "Use a claim, or mount it read-only.",
        ("CWE-732", "PSS-1.37:hostPathVolumes", "CIS-Kubernetes-2.0.1:5.2.11"),
        "WritableHostPath",
    ),
    RuleNote(
        "LOG001",
        "Container logs are kept without bound",
        "no-log-retention",
        Severity.LOW,
        "Logs fill the disk until the engine stops, and then nothing is logged at all.",
        "Set max-size and max-file.",
        ("CWE-779", "EU-AI-Act-2024/1689:26(6)"),
        "UnboundedLogs",
    ),
    RuleNote(
        "POD001",
        "Running as non-root is not required",
        "pod-hardening",
        Severity.LOW,
        "The image alone decides whether the process is root.",
        "Set runAsNonRoot: true.",
        ("PSS-1.37:runAsNonRoot", "CWE-250"),
        "NonRootNotRequired",
    ),
    RuleNote(
        "POD002",
        "No seccomp profile",
        "pod-hardening",
        Severity.LOW,
        "Every system call of the kernel is open to the process.",
        "Set seccompProfile to RuntimeDefault.",
        ("PSS-1.37:seccompProfile_restricted",),
        "NoSeccompProfile",
    ),
    RuleNote(
        "PTS001",
        "Secret written into a manifest",
        "plaintext-secret",
        Severity.HIGH,
        "Everybody who can read the repository has the credential.",
        "Move it to a Secret and refer to it.",
        ("CWE-798", "LLM02:2026"),
        "SecretInManifest",
    ),
    RuleNote(
        "ROO001",
        "Container runs as root",
        "runs-as-root",
        Severity.MEDIUM,
        "Root in the container is one kernel bug away from root on the node.",
        "Set runAsUser to a number above 0.",
        ("CWE-250", "PSS-1.37:runAsNonRoot"),
        "RunsAsRoot",
    ),
)
_RULES = {rule.id: rule for rule in RULES}

MISSING_ENV = Gap(
    "environment",
    "env_file deploy/.env",
    "is not in the repository",
    "scan where the file is",
    Place("compose.yaml", 31, 7, 31),
)
FLOATING_TAG = Gap("version", "tag main of ghcr.io/open-webui/open-webui", "floats", "a tag that names a version")
REFUSED = Gap("api", "networkpolicies in namespace ai", "were refused (403)", "the verb list on networkpolicies")

FILES = Target("files", "deploy compose.yaml")
CLUSTER = Target("kubernetes", "lab", {"context": "lab", "namespaces": "ai"})


def found(rule: str, resource: Resource, place: Place | None = None, /, **rest: object) -> Finding:
    """A finding of a rule of this sample, with a fingerprint that depends on what it is about."""
    note = _RULES[rule]
    identity = f"{rule}{resource.kind}{resource.name}{resource.container}{rest.get('setting', '')}"
    plain: dict[str, object] = {
        "status": Status.FAIL,
        "evidence": Evidence.DECLARED,
        "message": note.why,
        "fix": note.fix,
        "unit": "deploy",
        "fingerprint": hashlib.sha256(identity.encode("utf-8", "replace")).hexdigest()[:32],
    }
    return Finding(
        rule=rule,
        title=note.title,
        category=note.category,
        severity=note.severity,
        refs=note.refs,
        resource=resource,
        place=place,
        **(plain | rest),  # type: ignore[arg-type]
    )


def hardening(name: str, line: int) -> tuple[Finding, Finding]:
    """Both hardening findings of one container."""
    resource = Resource("Deployment", name, "ai", name)
    place = Place(f"deploy/{name}.yaml", line, 9, line + 8)
    return found("POD001", resource, place), found("POD002", resource, place)


OPEN_OLLAMA = found(
    "AUT001",
    Resource("Deployment", "ollama", "ai", "ollama"),
    Place("deploy/ollama.yaml", 41, 11, 43),
    evidence=Evidence.DEFAULT,
    message="Ollama asks nobody for a credential, and Service ollama (LoadBalancer) leads to its port 11434 from the internet.",
    fix="Ollama has no key of its own: make the Service a ClusterIP and put an authenticating proxy in front.",
    product=OLLAMA,
    reach=Reach.INTERNET,
    via=Related("ollama", "Service", "ai", Place("deploy/ollama.yaml", 61, 3, 61), "type: LoadBalancer"),
    setting="port 11434",
)
OPEN_QDRANT = found(
    "AUT003",
    Resource("StatefulSet", "qdrant", "ai", "qdrant"),
    Place("deploy/qdrant.yaml", 22, 9, 47),
    evidence=Evidence.OBSERVED,
    message="Qdrant listed its collections to a caller without a key on port 6333.",
    fix="Set QDRANT__SERVICE__API_KEY from a secretKeyRef.",
    product=QDRANT,
    reach=Reach.CLUSTER,
    quote='GET /collections\n200 {"result":{"collections":[{"name":"handbook"}]},"status":"ok"}',
    setting="QDRANT__SERVICE__API_KEY",
)
UNTOLD = found(
    "AUT001",
    Resource("service", "webui", "", "webui"),
    Place("compose.yaml", 24, 3, 40),
    status=Status.UNKNOWN,
    message="Whether Open WebUI asks its callers to sign in depends on WEBUI_AUTH, which may be in a file that was not there.",
    product=WEBUI,
    reach=Reach.HOST_NETWORK,
    missing=(MISSING_ENV, FLOATING_TAG),
    unit="compose.yaml",
    setting="WEBUI_AUTH",
)

FINDINGS = (
    OPEN_OLLAMA,
    OPEN_QDRANT,
    found(
        "HST002",
        Resource("Deployment", "ollama", "ai"),
        Place("deploy/ollama.yaml", 48, 9, 50),
        message="hostPath /var/lib/ollama of the node is mounted for writing at /root/.ollama.",
        related=(
            Related("triton", "Deployment", "ai", Place("deploy/triton.yaml", 30, 9, 33)),
            Related("vllm", "Deployment", "ai", Place("deploy/vllm.yaml", 52, 9, 55)),
        ),
        setting="hostPath /var/lib/ollama",
    ),
    found(
        "PTS001",
        Resource("service", "litellm", "", "litellm"),
        Place("compose.yaml", 52, 7, 52),
        message="LITELLM_MASTER_KEY is given in plain text (sk-1…, 24 characters).",
        unit="compose.yaml",
        setting="LITELLM_MASTER_KEY",
    ),
    found(
        "COR001",
        Resource("Deployment", "ollama", "ai", "ollama"),
        Place("deploy/ollama.yaml", 35, 15, 36),
        message="OLLAMA_ORIGINS is *, so that every web page may read the answers of Ollama.",
        product=OLLAMA,
        reach=Reach.INTERNET,
        setting="OLLAMA_ORIGINS",
    ),
    found(
        "ROO001",
        Resource("Deployment", "vllm", "ai", "vllm"),
        Place("deploy/vllm.yaml", 19, 9, 48, Place("deploy/values.yaml", 7, 3, 7)),
        evidence=Evidence.DEFAULT,
        message="The image vllm/vllm-openai:v0.10.0 runs as root unless told otherwise, and nothing here tells it otherwise.",
        product=VLLM,
    ),
    found(
        "LOG001",
        Resource("service", "litellm", "", "litellm"),
        Place("compose.yaml", 44, 3, 60),
        message="json-file keeps all that the container prints: no max-size is set.",
        unit="compose.yaml",
    ),
    *hardening("ollama", 20),
    *hardening("vllm", 19),
    UNTOLD,
)

INVENTORY = (
    InventoryItem(
        Resource("Deployment", "ollama", "ai", "ollama"),
        "ollama/ollama:0.5.1",
        (OLLAMA,),
        ("11434/tcp http, internet through Service/ollama",),
        Place("deploy/ollama.yaml", 20, 9, 50),
        "deploy",
    ),
    InventoryItem(
        Resource("StatefulSet", "qdrant", "ai", "qdrant"),
        "qdrant/qdrant:v1.12.4",
        (QDRANT,),
        ("6333/tcp http, cluster", "6334/tcp grpc, cluster"),
        Place("deploy/qdrant.yaml", 22, 9, 47),
        "deploy",
    ),
    InventoryItem(
        Resource("Deployment", "vllm", "ai", "vllm"),
        "vllm/vllm-openai:v0.10.0",
        (VLLM,),
        ("8000/tcp http, cluster through Service/vllm",),
        Place("deploy/vllm.yaml", 19, 9, 48),
        "deploy",
    ),
    InventoryItem(
        Resource("service", "litellm", "", "litellm"),
        "ghcr.io/berriai/litellm:v1.61.0-stable",
        (),
        ("4000/tcp http, host network",),
        Place("compose.yaml", 44, 3, 60),
        "compose.yaml",
    ),
    InventoryItem(
        Resource("service", "webui", "", "webui"),
        "ghcr.io/open-webui/open-webui:main",
        (WEBUI,),
        ("8080/tcp http, host network",),
        Place("compose.yaml", 24, 3, 40),
        "compose.yaml",
    ),
)

FILES_REPORT = Report(
    version="0.1.0",
    target=FILES,
    findings=FINDINGS,
    passed={"AUT001": 2, "COR001": 4, "ROO001": 3},
    failures=(
        Failure("input", "deploy/broken.yaml", "a tab stands where spaces must", Place("deploy/broken.yaml", 7, 1, 7)),
        Failure("rule", "EGR002", "ZeroDivisionError: division by zero (plugin telemetry_egress)"),
    ),
    coverage=Coverage(
        units=("compose.yaml", "deploy"),
        workloads=5,
        containers=5,
        objects=11,
        files=6,
        gaps=(MISSING_ENV,),
        notes=("deploy/values.yaml holds the values of a chart",),
    ),
    inventory=INVENTORY,
    rules=RULES,
    waived=(
        Waived(
            found(
                "LOG001",
                Resource("service", "webui", "", "webui"),
                Place("compose.yaml", 24, 3, 40),
                unit="compose.yaml",
            ),
            "the host's engine bounds logs",
            "2027-03-01",
        ),
    ),
    policy_notes=("waiver for AUT003 on Deployment/old matched nothing",),
)


def as_live(report: Report) -> Report:
    """The same report as if it came from a cluster: objects without a file."""
    live = tuple(replace(finding, place=None, live=True, related=(), unit="ai") for finding in report.findings)
    items = tuple(replace(item, place=None, unit="ai") for item in report.inventory)
    coverage = replace(report.coverage, units=("ai",), files=0, gaps=(REFUSED,))
    failures = (Failure("target", "lab", "the server closed the connection while pods were listed"),)
    return replace(report, target=CLUSTER, findings=live, inventory=items, coverage=coverage, failures=failures)


CLUSTER_REPORT = as_live(FILES_REPORT)
EMPTY_REPORT = Report(
    version="0.1.0", target=FILES, coverage=Coverage(units=("deploy",), workloads=2, containers=2, objects=4, files=3)
)

HOSTILE = (
    '<script>document.title="pwned"</script>',
    '"><img src=x onerror=\'document.title="pwned"\'>',
    "'-alert(1)-'",
    "{{ 7*7 }}${7*7}",
    "javascript:alert(1)",
    "</style><script>document.title='pwned'</script>",
    "]]><!--",
    "[link](http://example.invalid) `code` \\",
    "\x1b[31mred\x1b[0m \x07bell \x9b31m",
    "left\u202eright\u2066",
    "two\nlines\r\n\ttab",
    "surrogate \ud800 here",
    "%2e%2e/../..",
    "space and #hash?query",
)


def hostile_report() -> Report:
    """A report in which every text that can come from a target is hostile."""
    findings = tuple(_hostile_finding(text, number) for number, text in enumerate(HOSTILE))
    gaps = tuple(Gap("file", text, text, text, Place(text, 1, 1, 1)) for text in HOSTILE)
    failures = tuple(Failure("input", text, text, Place(text, 1, 1, 1)) for text in HOSTILE)
    items = tuple(_hostile_item(text) for text in HOSTILE)
    return replace(
        FILES_REPORT,
        target=Target("files", HOSTILE[0], {HOSTILE[1]: HOSTILE[5]}),
        findings=findings,
        failures=failures,
        coverage=Coverage(HOSTILE, 1, 1, 1, 1, gaps, HOSTILE),
        inventory=items,
        waived=tuple(Waived(finding, finding.message, finding.message) for finding in findings),
        policy_notes=HOSTILE,
    )


def _hostile_finding(text: str, number: int) -> Finding:
    related = Related(text, text, text, Place(text, 2, 1, 2), text)
    return found(
        "AUT001",
        Resource(text, text, text, text),
        Place(text, 3, 1, 3),
        status=Status.UNKNOWN if number % 3 == 2 else Status.FAIL,
        message=text,
        fix=text,
        unit=text,
        product=ProductNote(text, text, text, text),
        reach=Reach.INTERNET,
        via=related,
        related=(related,),
        missing=(Gap("file", text, text, text),),
        quote=text,
        setting=text,
        fingerprint=f"{number:024x}",
    )


def _hostile_item(text: str) -> InventoryItem:
    product = ProductNote(text, text, text, text)
    return InventoryItem(Resource(text, text, text, text), text, (product,), (text,), Place(text, 1, 1, 1), text)
