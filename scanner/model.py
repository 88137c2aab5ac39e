"""The model of a deployment: what every collector produces and every rule judges, whatever the source.

A `Stack` is one unit: a namespace of a cluster, a compose project, a chart, a folder of manifests. It holds workloads with their
containers, the objects that open or close ways to them, and the configuration that they take. All records are frozen; each
value knows its `Place` where it was read from a file. Effective values are settled by the collector (pod and container contexts, image defaults,
interpolation), so that no rule has to know from where a stack came.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from typing import Any, Generic, Literal, TypeVar

from msgspec import field

from llmscan.places import Place
from llmscan.records import Record

T = TypeVar("T")
ELSEWHERE = "*"
"""The scope of a gap that concerns other namespaces than those that are judged."""


class Reach(IntEnum):
    """From where an endpoint can be reached; each level includes the ones before it."""

    LOOPBACK = 0
    POD = 1
    CLUSTER = 2
    HOST_NETWORK = 3
    INTERNET = 4

    def __str__(self) -> str:
        return self.name.lower().replace("_", " ")


class Origin(StrEnum):
    """What kind of thing gave a setting its value."""

    LITERAL = "literal"
    """The deployment says it."""
    CONFIG = "config"
    """A configuration file or ConfigMap that the deployment brings along."""
    SECRET = "secret"  # noqa: S105
    """A reference to a secret: set, and its value is never read."""
    IMAGE = "image"
    """The image sets it."""
    UNRESOLVED = "unresolved"
    """Present, but its value comes from something that was not there to read."""


class Gap(Record, frozen=True):
    """Something that was not seen, so that what rests on it is unknown.

    kind: `environment` (variables of a container), `config` (a mounted file), `secret` (keys of a whole Secret), `image` (a variable image name),
    `api` (a list that the API refused), `file` (not read), `version`, `remote` (not fetched).
    what: the thing, as its owner calls it. why: completes "<what> …". would: what would tell.
    resource: for `api`, the type that was not listed, as RBAC names it (`services`, `httproutes.gateway.networking.k8s.io`).
    scope: in which namespace it was not; "": in none of them could it be; `ELSEWHERE`: only outside those that are judged.
    """

    kind: str
    what: str
    why: str
    would: str = ""
    place: Place | None = None
    resource: str = ""
    scope: str = ""

    def __str__(self) -> str:
        return f"{self.what} {self.why}"


class Value(Record, Generic[T], frozen=True):
    """What holds for one thing, and what says so. `value` None: nothing says it, unless `gap` tells that it could not be known."""

    value: T | None = None
    place: Place | None = None
    said_by: str = ""
    gap: Gap | None = None

    def __bool__(self) -> bool:
        return self.value is not None


class Setting(Record, frozen=True):
    """One named value of a container: an environment variable, a flag, or a key of a configuration file.

    `value` is None where something sets it whose value was not seen (`origin` SECRET or UNRESOLVED, `gap` says why).
    Every value is held to be a secret: rules show it only through `llmscan.redact`, which knows what is public.
    """

    name: str
    value: str | None
    place: Place | None = None
    origin: Origin = Origin.LITERAL
    gap: Gap | None = None


class Image(Record, frozen=True):
    """An image reference. `reference` is as written; `name` has neither tag nor digest; `local`: built here, nobody publishes it."""

    reference: str
    name: str = ""
    tag: str | None = None
    digest: str | None = None
    place: Place | None = None
    local: bool = False
    gap: Gap | None = None
    user: Value[str] | None = None
    """The user that the image itself declares, where the collector could look into it (a live engine, a Dockerfile); else None."""
    base: Image | None = None
    """What a local build starts from."""


class Word(Record, frozen=True):
    """One word of a command line, and where it stands; `gap` where a part of it could not be resolved."""

    text: str
    place: Place | None = None
    gap: Gap | None = None


class Port(Record, frozen=True):
    """A port that a container declares. `published` are the addresses of the host that lead to it."""

    number: int
    protocol: str = "tcp"
    name: str = ""
    place: Place | None = None


class Published(Record, frozen=True):
    """A port of the host that leads to a port of a container: a compose `ports` entry, an engine's binding, a `hostPort`.

    `address` "" means every interface. `host_port` None: chosen by the engine. `container_port` None: not known (`gap`).
    """

    container_port: int | None
    host_port: int | None = None
    address: str = ""
    protocol: str = "tcp"
    place: Place | None = None
    gap: Gap | None = None
    kind: str = "published port"
    """How its owner calls it: `published port`, `hostPort`."""


class Volume(Record, frozen=True):
    """Something mounted into a container.

    kind: `node-path` (a path of the node on which a pod happens to run: hostPath), `host-path` (a path of the engine's host), `project-path`
    (a path inside the project), `named`, `config` (a ConfigMap or compose config), `secret`, `memory`, `claim`, `image`, `other` (then `source` is
    the type).
    source: the path, or the name. mounted_at: the path in the container; "" for a volume that no container mounts.
    """

    kind: str
    source: str
    mounted_at: str = ""
    sub_path: str = ""
    read_only: bool = False
    place: Place | None = None
    gap: Gap | None = None
    propagation: str = ""


class ConfigFile(Record, frozen=True):
    """A configuration file that a container mounts: `path` in the container, its text, and where the text stands.

    source: what brings it, by its path where `place` is that of the text itself, else by a name: a ConfigMap's entry, placed at its key.
    """

    path: str
    text: str
    place: Place | None = None
    source: str = ""

    @property
    def inline(self) -> bool:
        """Whether the text is the value of a key, on whose next line it begins, and not a file of its own."""
        return bool(self.source) and self.place is not None and self.source != self.place.path


class Security(Record, frozen=True):
    """A security context. For a container these are effective values (`said_by` "container", "pod" or "image"); for a workload, what the pod says."""

    run_as_user: Value[int] = Value()
    run_as_group: Value[int] = Value()
    run_as_non_root: Value[bool] = Value()
    privileged: Value[bool] = Value()
    allow_privilege_escalation: Value[bool] = Value()
    capabilities_added: tuple[Value[str], ...] = ()
    capabilities_dropped: tuple[Value[str], ...] = ()
    seccomp: Value[str] = Value()
    """`RuntimeDefault`, `Localhost`, `Unconfined`, or nothing. An engine confines by default: its collector says RuntimeDefault."""
    app_armor: Value[str] = Value()
    se_linux: tuple[Value[str], ...] = ()
    """`type=...`, `user=...`, `role=...` as given."""
    proc_mount: Value[str] = Value()
    read_only_root: Value[bool] = Value()
    windows_host_process: Value[bool] = Value()
    user_name: Value[str] = Value()
    """A user given by name (compose `user: www-data`)."""


class Logging(Record, frozen=True):
    """Where the engine puts what a container prints. `driver` empty: the engine's default (`gap` if that is not known here)."""

    driver: Value[str] = Value()
    options: Mapping[str, str] = field(default_factory=dict)
    place: Place | None = None


class Resources(Record, frozen=True):
    """Limits as written: `cpu`, `memory`, and others (`nvidia.com/gpu`). Empty where none are set."""

    limits: Mapping[str, str] = field(default_factory=dict)
    requests: Mapping[str, str] = field(default_factory=dict)
    place: Place | None = None
    gap: Gap | None = None


ContainerRole = Literal["regular", "init", "sidecar", "ephemeral"]


class Container(Record, frozen=True):
    """One container of a workload. `place` spans its whole definition."""

    name: str
    image: Image | None
    role: ContainerRole = "regular"
    command: tuple[Word, ...] | None = None
    """What replaces the image's entrypoint; None: the image decides."""
    args: tuple[Word, ...] | None = None
    env: Mapping[str, Setting] = field(default_factory=dict)
    ports: tuple[Port, ...] = ()
    published: tuple[Published, ...] = ()
    mounts: tuple[Volume, ...] = ()
    files: tuple[ConfigFile, ...] = ()
    security: Security = Security()
    resources: Resources = Resources()
    logging: Logging | None = None
    """None where the orchestrator keeps what a container prints (Kubernetes)."""
    gaps: tuple[Gap, ...] = ()
    """What was not seen of it: variables from a missing env_file, a mounted file that is not there."""
    place: Place | None = None
    probed_hosts: tuple[Value[str], ...] = ()
    """Hosts that probes and lifecycle hooks name."""


class Workload(Record, frozen=True):
    """What runs as one: a pod template with its controller, a compose service, a container of an engine.

    kind: the controller's kind (`Deployment`, `RayCluster`), `service` for compose, `container` for an engine.
    """

    kind: str
    name: str
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    containers: tuple[Container, ...] = ()
    volumes: tuple[Volume, ...] = ()
    security: Security = Security()
    host_network: Value[bool] = Value()
    host_pid: Value[bool] = Value()
    host_ipc: Value[bool] = Value()
    host_users: Value[bool] = Value()
    sysctls: tuple[Value[str], ...] = ()
    os: str = "linux"
    replicas: Value[int] = Value()
    networks: tuple[str, ...] = ()
    """Container networks that it joins (compose, engine); a pod is on its cluster's one network and joins none."""
    shares_network_with: str = ""
    """The workload whose network namespace it uses (`network_mode: service:x`)."""
    service_account: str = ""
    place: Place | None = None
    variant: str = ""
    """Which pod template of its object, where that has several (`head`, `prefill`)."""
    resource: Any = None
    """The object that owns the pod, as a tree, for settings that live in a custom resource; None where there is none."""
    api_version: str = ""
    conditional: str = ""
    """Under which condition it runs at all (`profile gpu`); empty: always."""
    orchestrated: bool = True
    """A cluster decides where it runs (and has an admission, a network policy, a log pipeline); False for an engine or compose."""

    partial: Gap | None = None
    """Why only a part of its settings was seen (the chart that makes it is elsewhere): only what a line plainly says is then a mistake."""

    @property
    def runs(self) -> bool:
        """False where it is scaled to nothing."""
        return self.replicas.value != 0


class ServicePort(Record, frozen=True):
    """A port of a Service. `target` is a number, a port's name, or None (the same number)."""

    number: int
    target: int | str | None = None
    node_port: int | None = None
    name: str = ""
    protocol: str = "tcp"
    place: Place | None = None


class Service(Record, frozen=True):
    """A Kubernetes Service, or what a custom resource makes its operator create (`because` says so)."""

    name: str
    namespace: str = ""
    type: Value[str] = Value("ClusterIP")
    selector: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[ServicePort, ...] = ()
    external_ips: tuple[str, ...] = ()
    internal: bool = False
    """A load balancer that its annotations or class keep inside a private network."""
    headless: bool = False
    external_name: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)
    place: Place | None = None
    kind: str = "Service"
    because: str = ""
    addresses: tuple[str, ...] = ()
    source_ranges: tuple[str, ...] = ()


class Backend(Record, frozen=True):
    """Where a route leads: a Service and one of its ports (number, name, or None)."""

    service: str
    namespace: str = ""
    port: int | str | None = None
    path: str = ""
    place: Place | None = None


class Route(Record, frozen=True):
    """An Ingress, HTTPRoute, VirtualService, OpenShift Route...: a way from outside to Services.

    authenticated_by: what asks callers for a credential before this route leads on, or "".
    """

    kind: str
    name: str
    namespace: str = ""
    hosts: tuple[str, ...] = ()
    backends: tuple[Backend, ...] = ()
    internal: bool = False
    internal_because: str = ""
    authenticated_by: str = ""
    authenticated_place: Place | None = None
    parents: tuple[str, ...] = ()
    """Names of the gateways that it attaches to (`namespace/name`)."""
    tls: bool = False
    annotations: Mapping[str, str] = field(default_factory=dict)
    place: Place | None = None
    gap: Gap | None = None


class Gateway(Record, frozen=True):
    """A Gateway (gateway.networking.k8s.io or Istio): where routes attach."""

    name: str
    namespace: str = ""
    class_name: str = ""
    internal: bool = False
    place: Place | None = None


class Selector(Record, frozen=True):
    """A label selector: equal labels, and expressions `(key, operator, values)`. Empty selects everything."""

    labels: Mapping[str, str] = field(default_factory=dict)
    expressions: tuple[tuple[str, str, tuple[str, ...]], ...] = ()


class Peer(Record, frozen=True):
    """A source or destination in a policy: pods, namespaces, or an address block. All empty: everybody."""

    pods: Selector | None = None
    namespaces: Selector | None = None
    block: str = ""
    other: str = ""
    """A peer of another kind (an FQDN), as written."""


class PolicyRule(Record, frozen=True):
    """Who may pass to which ports. No peers: everybody; no ports and no ranges: all. A range is its first and last port."""

    peers: tuple[Peer, ...] = ()
    ports: tuple[int | str, ...] = ()
    ranges: tuple[tuple[int, int], ...] = ()


class Policy(Record, frozen=True):
    """A NetworkPolicy or its kin. `ingress` None: it says nothing of ingress; (): it allows none."""

    name: str
    namespace: str = ""
    selector: Selector = Selector()
    ingress: tuple[PolicyRule, ...] | None = None
    egress: tuple[PolicyRule, ...] | None = None
    kind: str = "NetworkPolicy"
    place: Place | None = None
    covers: str = ""
    """The workload whose operator makes this policy (`RayCluster/x`), where it has no selector of its own."""
    authenticates: str = ""
    """What asks callers for a credential before they reach a workload that it selects (a policy of a service mesh), or ""."""


class ConfigData(Record, frozen=True):
    """A ConfigMap or compose config: each entry a text and its place. `secret`: a Secret in a file; only its keys are kept."""

    name: str
    namespace: str = ""
    entries: Mapping[str, Setting] = field(default_factory=dict)
    place: Place | None = None
    secret: bool = False


class Network(Record, frozen=True):
    """A container network. `internal`: it has no way out or in but through its members."""

    name: str
    internal: bool = False
    external: bool = False
    place: Place | None = None


class LooseValue(Record, frozen=True):
    """A value that stands in a file outside any container: an entry of a Secret, a line of a `.env` file.

    kind, name: the object that holds it (`Secret`, its name; `env file`, "(env file)").
    """

    kind: str
    name: str
    setting: Setting
    namespace: str = ""
    decoded: str | None = None
    """What a base64 value stands for."""


class Engine(Record, frozen=True):
    """What is known of the container engine of a live scan, or of nothing for files."""

    name: str = ""
    version: str = ""
    tcp_without_tls: Value[str] = Value()
    """The address of an API that answers without client certificates."""
    log_driver: Value[str] = Value()
    log_options: Mapping[str, str] = field(default_factory=dict)
    rootless: Value[bool] = Value()


class Surroundings(Record, frozen=True):
    """What lies around a unit: of a cluster, what the other namespaces run. `seen` False: only this unit's own files were there to read."""

    seen: bool = False
    images: tuple[tuple[str, str], ...] = ()
    """Each image reference that the cluster runs, with one `namespace/Kind/name` that runs it."""
    namespace_labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


class Stack(Record, frozen=True):
    """One unit of a deployment. `source`: `files`, `kubernetes`, `docker` or `endpoints`, for reports alone: rules do not ask."""

    unit: str
    source: str
    workloads: tuple[Workload, ...] = ()
    services: tuple[Service, ...] = ()
    routes: tuple[Route, ...] = ()
    gateways: tuple[Gateway, ...] = ()
    policies: tuple[Policy, ...] = ()
    configs: tuple[ConfigData, ...] = ()
    networks: tuple[Network, ...] = ()
    loose_values: tuple[LooseValue, ...] = ()
    engine: Engine = Engine()
    surroundings: Surroundings = Surroundings()
    gaps: tuple[Gap, ...] = ()
    namespace: str = ""
    place: Place | None = None
    declared_namespace: Place | None = None
    """Where the unit itself makes its namespace."""
    overlay: tuple[str, ...] = ()
    """Of a variant that is laid upon another unit's files, the files that are its own: only what stands in them is judged; empty: all."""
    rendered_by: str = ""
    """The tool that made the objects out of the unit's files (`helm`, `kustomize`); their places are then the best that can be known."""


def parse_image(reference: str, place: Place | None = None, **rest: Any) -> Image:
    """Split an image reference into name, tag and digest (`host:5000/a/b:1@sha256:…`)."""
    name, _, digest = reference.partition("@")
    tag = None
    head, slash, last = name.rpartition("/")
    if ":" in last:
        last, _, tag = last.partition(":")
        name = f"{head}{slash}{last}"
    return Image(reference, name, tag or None, digest or None, place, **rest)
