"""What a scan says of Kubernetes manifests: whom the cluster, its gateways and its policies let through to a model server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from file_scans import scan_files

from llmscan.findings import Finding, Report, Status

Scanner = Callable[..., Report]

SERVER = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: chat}
spec:
  template:
    metadata: {labels: {app: chat}}
    spec:
      containers:
        - name: ollama
          image: ollama/ollama:0.12.0
          ports: [{containerPort: 11434, name: api}]
---
apiVersion: v1
kind: Service
metadata: {name: chat}
spec:
  selector: {app: chat}
  ports: [{port: 80, targetPort: api}]
"""
HTTP_ROUTE = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: chat}
spec: {parentRefs: [{name: door}], rules: [{backendRefs: [{name: chat, port: 80}]}]}
"""
VIRTUAL_SERVICE = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: door}
spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: chat}
spec: {hosts: ["*"], gateways: [door], http: [{route: [{destination: {host: chat, port: {number: 80}}}]}]}
"""


@pytest.fixture
def scan(tmp_path: Path) -> Scanner:
    """Scan documents as one file."""

    def scanned(*documents: str) -> Report:
        path = tmp_path / "all.yaml"
        path.write_text("\n---\n".join(text.strip("\n") for text in documents))
        return scan_files(path)

    return scanned


def open_doors(report: Report) -> list[Finding]:
    """The findings that say that callers are asked for nothing."""
    return [
        finding
        for finding in report.findings
        if finding.category == "unauthenticated-endpoint" and finding.status is Status.FAIL
    ]


def rules(report: Report, category: str) -> set[str]:
    """The ids of the rules of a category that failed."""
    return {one.rule for one in report.findings if one.category == category and one.status is Status.FAIL}


def policy(spec: str, name: str = "some") -> str:
    """A NetworkPolicy of one spec."""
    return f"apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}}}\nspec: {spec}\n"


@pytest.mark.parametrize(
    ("specs", "rule"),
    [
        (["{podSelector: {}, policyTypes: [Ingress]}"], None),
        (["{podSelector: {}, policyTypes: [Ingress]}", "{podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}"], "AUT004"),
        (["{podSelector: {}, policyTypes: [Egress]}"], "AUT003"),
        (["{podSelector: {}, ingress: [{}]}"], "AUT003"),
        (["{podSelector: {}, policyTypes: [Ingress]}", "{podSelector: {}, ingress: [{}]}"], "AUT003"),
        (["{podSelector: {}, ingress: [{from: [{namespaceSelector: {}}]}]}"], "AUT003"),
        (["{podSelector: {}, ingress: [{from: [{namespaceSelector: {}, podSelector: {matchLabels: {a: b}}}]}]}"], "AUT004"),
        (["{podSelector: {}, ingress: [{ports: [{port: api}]}]}"], "AUT003"),
        (["{podSelector: {}, ingress: [{ports: [{port: 11000, endPort: 12000}]}]}"], "AUT003"),
        (["{podSelector: {}, ingress: [{ports: [{port: 9000}]}]}"], None),
    ],
)  # fmt: skip
def test_what_policies_admit_adds_up(scan: Scanner, specs: list[str], rule: str | None) -> None:
    """A port is limited only where no policy admits everybody: by an empty peer list, all namespaces, a named port or a range.

    Where policies select the pods and none admits anybody to the port, nobody gets there.
    """
    report = scan(SERVER, *(policy(spec, f"p{index}") for index, spec in enumerate(specs)))
    assert rules(report, "unauthenticated-endpoint") == ({rule} if rule else set())


@pytest.mark.parametrize(
    "guard",
    [
        "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: SecurityPolicy\nmetadata: {name: g}\n"
        "spec: {targetRefs: [{kind: HTTPRoute, name: chat}], oidc: {clientID: a}}",
        "apiVersion: kuadrant.io/v1\nkind: AuthPolicy\nmetadata: {name: g}\n"
        "spec: {targetRef: {kind: Gateway, name: door}, rules: {authentication: {keys: {apiKey: {}}}}}",
        "apiVersion: networking.gke.io/v1\nkind: GCPBackendPolicy\nmetadata: {name: g}\n"
        "spec: {targetRef: {kind: Service, name: chat}, default: {iap: {enabled: true}}}",
    ],
)
def test_policy_of_a_gateway_asks_for_a_credential(scan: Scanner, guard: str) -> None:
    """A policy that targets a route, its gateway or its Service guards the way from outside, and leaves the way inside open."""
    report = scan(SERVER, HTTP_ROUTE, guard)
    assert rules(report, "unauthenticated-endpoint") == {"AUT003"}
    assert "'g'" in open_doors(report)[0].message
    assert rules(report, "exposed-port") == {"EXP003"}


def test_gateway_policy_that_asks_for_nothing_changes_nothing(scan: Scanner) -> None:
    """CORS settings and anonymous access in a policy of a gateway are no authentication."""
    cors = (
        "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: SecurityPolicy\nmetadata: {name: g}\n"
        "spec: {targetRefs: [{kind: HTTPRoute, name: chat}], cors: {allowOrigins: ['https://a.example']}}"
    )
    anybody = (
        "apiVersion: kuadrant.io/v1\nkind: AuthPolicy\nmetadata: {name: h}\n"
        "spec: {targetRef: {kind: Gateway, name: door}, rules: {authentication: {all: {anonymous: {}}}}}"
    )
    assert rules(scan(SERVER, HTTP_ROUTE, cors, anybody), "unauthenticated-endpoint") == {"AUT001"}


def authorization(spec: str, namespace: str = "default") -> str:
    """An Istio AuthorizationPolicy of one spec."""
    return (
        f"apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: g, namespace: {namespace}}}\n"
        f"spec: {spec}\n"
    )


TOKEN = "rules: [{from: [{source: {requestPrincipals: ['*']}}]}]"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (f"{{selector: {{matchLabels: {{app: chat}}}}, {TOKEN}}}", set()),
        ("{action: DENY, rules: [{from: [{source: {notRequestPrincipals: ['*']}}]}]}", set()),
        ("{action: CUSTOM, provider: {name: oauth2-proxy}, rules: [{}]}", set()),
        ("{rules: [{from: [{source: {principals: ['cluster.local/ns/a/sa/b']}}]}]}", {"AUT001"}),
        ("{rules: [{to: [{operation: {methods: [GET]}}]}]}", {"AUT001"}),
        (f"{{selector: {{matchLabels: {{app: other}}}}, {TOKEN}}}", {"AUT001"}),
        (f"{{selector: {{matchLabels: {{istio: ingressgateway}}}}, {TOKEN}}}", {"AUT003"}),
    ],
)
def test_mesh_policy_that_demands_a_token(scan: Scanner, spec: str, expected: set[str]) -> None:
    """An AuthorizationPolicy that demands a token guards every way to the workloads that it selects; at the gateway, the way from outside."""
    report = scan(SERVER, VIRTUAL_SERVICE, authorization(spec))
    assert rules(report, "unauthenticated-endpoint") == expected


def test_token_check_without_a_demand_for_one(scan: Scanner) -> None:
    """A RequestAuthentication alone refuses bad tokens and lets callers through who bring none."""
    check = "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {name: g}\nspec: {jwtRules: [{issuer: x}]}"
    assert rules(scan(SERVER, VIRTUAL_SERVICE, check), "unauthenticated-endpoint") == {"AUT001"}


@pytest.mark.parametrize(
    ("spec", "name", "expected"),
    [
        ("{forwardAuth: {address: 'http://sso'}}", "gate", {"AUT003"}),
        ("{basicAuth: {secret: users}}", "gate", {"AUT003"}),
        ("{headers: {customRequestHeaders: {X-Auth: a}}}", "auth-headers", {"AUT001"}),
    ],
)
def test_middleware_is_known_by_what_it_does(scan: Scanner, spec: str, name: str, expected: set[str]) -> None:
    """A Traefik middleware that stands beside the route is judged by its settings, not by its name."""
    middleware = f"apiVersion: traefik.io/v1alpha1\nkind: Middleware\nmetadata: {{name: {name}}}\nspec: {spec}"
    route = (
        "apiVersion: traefik.io/v1alpha1\nkind: IngressRoute\nmetadata: {name: chat}\n"
        f"spec: {{routes: [{{match: Host(`a`), middlewares: [{{name: {name}}}], services: [{{name: chat, port: 80}}]}}]}}"
    )
    assert rules(scan(SERVER, middleware, route), "unauthenticated-endpoint") == expected


def test_guarded_ingress_beside_an_open_load_balancer(scan: Scanner) -> None:
    """A login on the Ingress lowers nothing while the Service itself is a load balancer."""
    ingress = (
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: chat\n"
        "  annotations: {nginx.ingress.kubernetes.io/auth-url: 'https://sso'}\n"
        "spec: {rules: [{http: {paths: [{path: /, backend: {service: {name: chat, port: {number: 80}}}}]}}]}"
    )
    report = scan(SERVER.replace("spec:\n  selector", "spec:\n  type: LoadBalancer\n  selector"), ingress)
    assert rules(report, "unauthenticated-endpoint") == {"AUT001"}


def test_openshift_route_names_the_port_of_the_pods(scan: Scanner) -> None:
    """The target port of an OpenShift Route is a port of the pods, whatever number the Service gives to it."""
    route = (
        "apiVersion: route.openshift.io/v1\nkind: Route\nmetadata: {name: chat}\n"
        "spec: {to: {kind: Service, name: chat}, port: {targetPort: 11434}}"
    )
    report = scan(SERVER.replace("targetPort: api", "targetPort: 11434"), route)
    assert rules(report, "unauthenticated-endpoint") == {"AUT001"}


TEMPLATE = """
apiVersion: template.openshift.io/v1
kind: Template
metadata: {name: serving}
objects:
  - apiVersion: apps/v1
    kind: Deployment
    metadata: {name: "${NAME}"}
    spec:
      replicas: ${{REPLICAS}}
      template:
        metadata: {labels: {app: "${NAME}"}}
        spec: {containers: [{name: server, image: "vllm/vllm-openai:${TAG}", args: [--model, m]}]}
  - apiVersion: v1
    kind: Service
    metadata: {name: "${NAME}"}
    spec: {selector: {app: "${NAME}"}, ports: [{port: 8000}]}
  - apiVersion: route.openshift.io/v1
    kind: Route
    metadata: {name: "${NAME}"}
    spec: {to: {kind: Service, name: "${NAME}"}}
parameters:
  - {name: NAME, value: llama}
  - {name: TAG, value: latest}
  - {name: REPLICAS, value: "1"}
"""


def test_objects_of_an_openshift_template(scan: Scanner) -> None:
    """A Template's objects are judged each by itself, with its parameters' values, and link to one another."""
    report = scan(TEMPLATE)
    (door,) = open_doors(report)
    assert (door.rule, str(door.resource.kind), door.resource.name) == ("AUT001", "Deployment", "llama")
    assert rules(report, "unpinned-image") == {"IMG001"}


def job(spec: str, container: str, labels: str = "{}") -> str:
    """A Job of one container."""
    return (
        f"apiVersion: batch/v1\nkind: Job\nmetadata: {{name: once, labels: {labels}}}\n"
        f"spec: {{{spec}template: {{spec: {{containers: [{{name: c, image: 'ollama/ollama:0.12.0', {container}}}]}}}}}}\n"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (job("", "command: [sh, -c, 'ollama serve & sleep 5; ollama pull llama3']"), set()),
        (job("", "args: [serve]"), set()),
        (job("", "ports: [{containerPort: 11434}]"), {"AUT003"}),
        (job("suspend: true, ", "ports: [{containerPort: 11434}]"), set()),
        (job("suspend: true, ", "ports: [{containerPort: 11434}]", "{kueue.x-k8s.io/queue-name: q}"), {"AUT003"}),
        (SERVER.replace("spec:\n  template", "spec:\n  replicas: 0\n  template", 1), set()),
    ],
)  # fmt: skip
def test_what_ends_or_does_not_run_is_no_server(scan: Scanner, text: str, expected: set[str]) -> None:
    """A job that starts a server for itself lets nobody in, nor does what is suspended or scaled to nothing; a queue's job will run."""
    assert rules(scan(text), "unauthenticated-endpoint") == expected


NIM = """
apiVersion: apps.nvidia.com/v1alpha1
kind: NIMService
metadata: {name: llama}
spec:
  image: {repository: nvcr.io/nim/meta/llama-3.1-8b-instruct, tag: "1.12.0"}
  expose: {service: {type: %s, port: 8000}%s}
"""


@pytest.mark.parametrize(
    ("service", "more", "expected"),
    [
        ("ClusterIP", "", set()),
        ("LoadBalancer", "", {"EXP002"}),
        ("ClusterIP", ", ingress: {enabled: true, spec: {rules: [{host: nim.example}]}}", {"EXP002"}),
        ("ClusterIP", ", ingress: {enabled: false}", set()),
        ("ClusterIP", ", router: {gateway: {name: g, httpRoutesEnabled: true}, hostDomainName: a.example}", {"EXP002"}),
    ],
)
def test_ways_that_a_nim_service_asks_for(scan: Scanner, service: str, more: str, expected: set[str]) -> None:
    """The NIM operator makes Services and routes of a NIMService, and they open its model like others do."""
    report = scan(NIM % (service, more))
    assert rules(report, "exposed-port") == expected
    assert rules(report, "unauthenticated-endpoint") == ({"AUT001"} if expected else {"AUT003"})


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        ("{name: REDIS_URL, value: 'redis://default:*****@10.0.0.5:6379'}", set()),
        ("{name: REDIS_URL, value: 'redis://default:hunter42@10.0.0.5:6379'}", {"SEC001"}),
        ("{name: ETCD_INITIAL_CLUSTER_TOKEN, value: etcd-cluster-k8s}", set()),
    ],
)
def test_values_that_only_look_like_secrets(scan: Scanner, variable: str, expected: set[str]) -> None:
    """A password that was blotted out and the name of an etcd cluster are no secrets."""
    text = SERVER.replace("          ports: [{", f"          env: [{variable}]\n          ports: [{{")
    assert rules(scan(text), "plaintext-secret") == expected


def test_certificate_in_a_secret(scan: Scanner) -> None:
    """A certificate is public; the private key beside it is a secret."""
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {{name: tls}}\nstringData:\n  {}.pem: |\n    -----BEGIN {}-----\n    MIIC\n"
    assert rules(scan(secret.format("ca", "CERTIFICATE")), "plaintext-secret") == set()
    assert rules(scan(secret.format("key", "PRIVATE KEY")), "plaintext-secret") == {"SEC002"}


PROXY = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: login}
spec:
  template:
    metadata: {labels: {app: login}}
    spec:
      containers:
        - name: proxy
          image: quay.io/oauth2-proxy/oauth2-proxy:v7.8.1
          args: [--http-address=0.0.0.0:4180, --upstream=http://%s]
          ports: [{containerPort: 4180}]
"""


@pytest.mark.parametrize(
    ("upstream", "named"),
    [("chat:80/", True), ("chat.default.svc.cluster.local", True), ("chat.other.svc:80", False), ("else:80", False)],
)
def test_login_proxy_in_front(scan: Scanner, upstream: str, named: bool) -> None:
    """A proxy that asks for a login and leads to the server's Service is named beside the direct way, which stays open."""
    (door,) = open_doors(scan(SERVER, PROXY % upstream))
    assert door.rule == "AUT003"
    assert ("OAuth2 Proxy in Deployment 'login'" in door.message) == named


@pytest.mark.parametrize(("address", "expected"), [("127.0.0.1", set()), ("0.0.0.0", {"AUT003"})])
def test_login_proxy_in_the_same_pod(scan: Scanner, address: str, expected: set[str]) -> None:
    """Behind a sidecar that asks for a login, a server on loopback lets nobody past it, and one on every interface still does."""
    server = (
        "        - name: model\n          image: ghcr.io/ggml-org/llama.cpp:server-b6000\n"
        f"          args: [-m, /m.gguf, --host, {address}, --port, '8080']\n          ports: [{{containerPort: 8080}}]\n"
    )
    report = scan(PROXY % "127.0.0.1:8080" + server)
    assert rules(report, "unauthenticated-endpoint") == expected
    assert all("OAuth2 Proxy" in door.message for door in open_doors(report))


def test_route_beside_a_kustomization(tmp_path: Path) -> None:
    """A route that lies beside a kustomization and is none of its resources leads to the Service that it builds."""
    server, service = SERVER.split("\n---\n")
    (tmp_path / "deployment.yaml").write_text(server)
    (tmp_path / "service.yaml").write_text(service)
    (tmp_path / "kustomization.yaml").write_text("resources: [deployment.yaml, service.yaml]\n")
    (tmp_path / "route.yaml").write_text(
        "apiVersion: route.openshift.io/v1\nkind: Route\nmetadata: {name: chat}\nspec: {to: {kind: Service, name: chat}}\n"
    )
    report = scan_files(tmp_path)
    assert rules(report, "unauthenticated-endpoint") == {"AUT001"}
    assert rules(report, "exposed-port") == {"EXP002"}


def test_door_to_what_is_elsewhere(scan: Scanner) -> None:
    """A load balancer whose pods are not here is no exposure, and not clean either; one that leads to a server here is told with it alone."""
    outside = "apiVersion: v1\nkind: Service\nmetadata: {name: out}\nspec: {type: LoadBalancer, selector: {made: elsewhere}, ports: [{port: 80}]}"
    assert {(f.rule, f.status) for f in scan(outside).findings if f.category == "exposed-port"} == {
        ("EXP006", Status.UNKNOWN)
    }
    inside = SERVER.replace("spec:\n  selector", "spec:\n  type: LoadBalancer\n  selector")
    assert rules(scan(inside), "exposed-port") == {"EXP002"}
    assert rules(scan(outside.replace("LoadBalancer", "ClusterIP")), "exposed-port") == set()


def test_replicas_make_one_mistake(scan: Scanner) -> None:
    """Leader and workers of one object that are started alike are told once to let every page in."""
    pod = "{spec: {containers: [{name: c, image: 'lmsysorg/sglang:v0.4.6', command: [python3, -m, sglang.launch_server, --model-path, m]}]}}"
    text = (
        "apiVersion: leaderworkerset.x-k8s.io/v1\nkind: LeaderWorkerSet\nmetadata: {name: s}\n"
        f"spec: {{leaderWorkerTemplate: {{size: 2, leaderTemplate: {pod}, workerTemplate: {pod}}}}}\n"
    )
    report = scan(text)
    assert len([one for one in report.findings if one.category == "permissive-cors"]) == 1


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("cluster: [monitor]", set()),
        ("password: Wf8s-20kd", {"SEC002"}),
        ("url: postgres://app:Wf8s20kd@db/app", {"SEC002"}),
    ],
)
def test_configuration_file_in_a_secret(scan: Scanner, line: str, expected: set[str]) -> None:
    """A configuration file that is kept in a Secret is a secret in plain text where a line of it sets one."""
    secret = f"apiVersion: v1\nkind: Secret\nmetadata: {{name: roles}}\nstringData:\n  roles.yml: |\n    reader: true\n    {line}\n"
    assert rules(scan(secret), "plaintext-secret") == expected


def test_names_of_capabilities_are_shown(scan: Scanner) -> None:
    """What a custom resource's container may do is told by name, though all else in the resource is held to be secret."""
    text = (
        "apiVersion: ray.io/v1\nkind: RayCluster\nmetadata: {name: r}\nspec:\n  headGroupSpec:\n    template:\n      spec:\n        containers:\n"
        "          - {name: h, image: 'rayproject/ray:2.49.0', securityContext: {capabilities: {add: [SYS_PTRACE]}}}\n"
    )
    assert any("SYS_PTRACE" in one.message for one in scan(text).findings)


RUNTIME = """
apiVersion: serving.kserve.io/v1alpha1
kind: ServingRuntime
metadata: {name: engine}
spec:
  supportedModelFormats: [{name: vLLM, autoSelect: true}]
  containers:
    - name: kserve-container
      image: vllm/vllm-openai:v0.11.0
      args: [--port=8080, --model=/mnt/models]
      ports: [{containerPort: 8080}]
"""
MODEL = """
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {name: granite%s}
spec:
  predictor:
    model:
      modelFormat: {name: vLLM}
      storageUri: oci://registry.example/granite:1.0
      args: [%s]
"""


def of_models(report: Report, category: str) -> set[str]:
    """The rules of a category that failed on an InferenceService."""
    return {
        one.rule
        for one in report.findings
        if one.category == category and one.status is Status.FAIL and one.resource.kind == "InferenceService"
    }


def test_model_runs_what_its_runtime_starts(scan: Scanner) -> None:
    """An InferenceService is judged by the runtime that stands beside it, with the model's own arguments after the runtime's."""
    assert of_models(scan(RUNTIME, MODEL % ("", "--dtype=auto")), "unauthenticated-endpoint") == {"AUT003"}
    keyed = scan(RUNTIME, MODEL % ("", "--api-key=$(KEY)"))
    assert of_models(keyed, "unauthenticated-endpoint") == set()
    trusting = scan(RUNTIME, MODEL % ("", "--trust-remote-code"))
    assert [
        (one.product.id, one.place.line)
        for one in trusting.findings
        if one.rule == "MOD001" and one.product and one.place
    ] == [("vllm", 20)]


def test_check_of_tokens_that_open_data_hub_adds(scan: Scanner) -> None:
    """The annotation by which the platform puts a check of tokens before a model is a login; its label opens the model to the outside."""
    exposed = ", labels: {networking.kserve.io/visibility: exposed}"
    guarded = exposed + ", annotations: {security.opendatahub.io/enable-auth: 'true'}"
    assert of_models(scan(RUNTIME, MODEL % (exposed, "--dtype=auto")), "unauthenticated-endpoint") == {"AUT001"}
    assert of_models(scan(RUNTIME, MODEL % (exposed, "--dtype=auto")), "exposed-port") == {"EXP002"}
    assert of_models(scan(RUNTIME, MODEL % (guarded, "--dtype=auto")), "unauthenticated-endpoint") == set()


def test_ingress_to_the_service_of_a_model(scan: Scanner) -> None:
    """A route to the Service that KServe makes of a model opens the model."""
    ingress = (
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: in}\n"
        "spec: {rules: [{http: {paths: [{path: /, backend: {service: {name: granite-predictor, port: {number: 80}}}}]}}]}"
    )
    assert of_models(scan(RUNTIME, MODEL % ("", ""), ingress), "unauthenticated-endpoint") == {"AUT001"}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("master_key: sk-1234", [12]),
        ("api_key: os.environ/OPENAI_API_KEY", []),
        ("api_key: none", []),
        ("existingSecret: litellm-keys", []),
        ("max_tokens: 4096", []),
        ("database_url: postgres://app:Wf8s20kd@db/app", [12]),
    ],
)
def test_secret_in_a_configuration_file_of_a_config_map(scan: Scanner, line: str, expected: list[int]) -> None:
    """A ConfigMap is no place for a key: what its files set in plain text is told on the line that sets it."""
    text = (
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: ai}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n"
        f"data:\n  config.yaml: |\n    model_list: []\n    general_settings:\n      {line}\n"
    )
    found = [one.place.line for one in scan(text).findings if one.rule == "SEC002" and one.place]
    assert found == expected


@pytest.mark.parametrize(
    "pool",
    [
        "apiVersion: inference.networking.k8s.io/v1\nkind: InferencePool\nmetadata: {name: pool}\n"
        "spec: {selector: {matchLabels: {app: chat}}, targetPorts: [{number: 11434}]}\n",
        "apiVersion: inference.networking.x-k8s.io/v1alpha2\nkind: InferencePool\nmetadata: {name: pool}\n"
        "spec: {selector: {app: chat}, targetPortNumber: 11434}\n",
    ],
)
def test_a_route_leads_through_an_inference_pool(scan: Scanner, pool: str) -> None:
    """A pool selects pods as a Service does."""
    route = HTTP_ROUTE.replace(
        "{name: chat, port: 80}", "{group: inference.networking.k8s.io, kind: InferencePool, name: pool}"
    )
    report = scan(SERVER, pool, route)
    assert "AUT001" in {finding.rule for finding in report.findings if finding.status is Status.FAIL}


FETCHING = """
apiVersion: batch/v1
kind: Job
metadata: {name: fetch}
spec:
  template:
    spec:
      containers:
        - name: fetch
          image: python:3.12
          command: [sh, -c]
          args:
            - |
              pip list
              COMMAND
"""


@pytest.mark.parametrize(
    ("command", "lines"),
    [
        ("python -c \"from huggingface_hub import snapshot_download as s; snapshot_download('org/m')\"", [14]),
        ("python -c \"hf_hub_download(repo_id='org/m', filename='a.bin')\"", [14]),
        ("curl -LO https://huggingface.co/org/m/resolve/main/model.gguf", [14]),
        ("python -c \"snapshot_download('org/m', revision='0123456789')\"", []),
        ("curl -LO https://huggingface.co/org/m/resolve/0123456789012345678901234567890123456789/model.gguf", []),
    ],
)
def test_scripts_that_fetch_models(scan: Scanner, command: str, lines: list[int]) -> None:
    """A download from a hub names a revision, or what it brings moves; the line is that of the download."""
    report = scan(FETCHING.replace("COMMAND", command))
    assert [finding.place.line for finding in report.findings if finding.rule == "MOD003" and finding.place] == lines


def test_a_custom_resource_names_its_model_by_uri(scan: Scanner) -> None:
    """KServe's own form, with and without a revision."""
    resource = (
        "apiVersion: serving.kserve.io/v1alpha1\nkind: LLMInferenceService\nmetadata: {name: m}\nspec:\n"
        "  model: {uri: 'hf://org/m'}\n  template: {containers: [{name: main, image: 'vllm/vllm-openai:v0.10.0'}]}\n"
    )
    told = [finding.place.line for finding in scan(resource).findings if finding.rule == "MOD004" and finding.place]
    assert told == [5]
    assert not [f for f in scan(resource.replace("org/m'", "org/m:v1'")).findings if f.rule == "MOD004"]


@pytest.mark.parametrize(
    ("router", "open_to_the_internet"),
    [("{route: {}, gateway: {}}", True), ("{gateway: {}}", False), ("{route: {http: {refs: [{name: own}]}}}", False)],
)
def test_the_route_of_an_llm_inference_service(scan: Scanner, router: str, open_to_the_internet: bool) -> None:
    """KServe makes one where the resource asks for it; routes that it refers to are objects of their own."""
    report = scan(
        "apiVersion: serving.kserve.io/v1alpha1\nkind: LLMInferenceService\nmetadata: {name: m}\nspec:\n"
        f"  router: {router}\n  template: {{containers: [{{name: main, image: 'vllm/vllm-openai:v0.10.0'}}]}}\n"
    )
    told = {finding.rule for finding in report.findings if finding.status is Status.FAIL}
    assert ("AUT001" in told) == open_to_the_internet
