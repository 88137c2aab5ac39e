"""The way in through a cluster's API server: its proxy to pods and Services, where the caller may use it.

The proxy takes Access-Control headers out of answers, and keeps the Authorization header for itself: whom a server asks for a credential can be
seen through it, and which web pages may call it cannot.
"""

from __future__ import annotations

from collections.abc import Mapping

from llmscan.collect.api_client import ApiFailure
from llmscan.collect.cluster import Cluster
from llmscan.probe.asking import BODY_LIMIT, METHODS, NOT_PROXIED, USER_AGENT, Answer, Deadline, Patience, Trouble
from llmscan.records import Record

NO_BACKEND = frozenset({500, 502, 503, 504})


class Backend(Record, frozen=True):
    """What the API server leads to: a pod or a Service, and its port."""

    resource: str
    namespace: str
    name: str
    port: int
    scheme: str = ""

    @property
    def path(self) -> str:
        """The proxy's path, to which a path of the server is appended."""
        prefix = f"{self.scheme}:" if self.scheme else ""
        return f"/api/v1/namespaces/{self.namespace}/{self.resource}/{prefix}{self.name}:{self.port}/proxy"


class ThroughApi:
    """Requests to one backend, all of them within one deadline."""

    cross_origin = False

    def __init__(self, cluster: Cluster, backend: Backend, patience: Patience) -> None:
        self._cluster, self._backend, self._patience = cluster, backend, patience
        self._deadline = Deadline(patience.total)

    def ask(self, method: str, path: str, headers: Mapping[str, str]) -> Answer:
        """One request. Raises Trouble, and ValueError for a method that could change something."""
        if method not in METHODS:
            raise ValueError(f"{method} could change the target")
        if not self._deadline.left:
            raise Trouble("took too long over all requests together")
        sent = {"User-Agent": USER_AGENT, "Accept": "*/*", **headers}
        wait = min(self._patience.read, self._deadline.left)
        try:
            reply = self._cluster.request(method, self._backend.path + path, sent, wait, BODY_LIMIT)
        except ApiFailure as failure:
            raise Trouble(f"was not reached: the API server {failure.why}", final=False) from None
        shown = {name.lower(): value for name, value in reply.headers.items()}
        answer = Answer(method, path, reply.status, self._relative(shown), reply.body)
        self._check(answer)
        return answer

    def _relative(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """Headers with the redirects as the server gave them: the API server puts its own path in front."""
        location = headers.get("location", "")
        if location.startswith(self._backend.path):
            return {**headers, "location": location.removeprefix(self._backend.path) or "/"}
        return headers

    def _check(self, answer: Answer) -> None:
        """Raises Trouble where it is the API server itself that answered."""
        said = answer.document if answer.status >= 400 else None
        if not isinstance(said, dict) or (said.get("kind"), said.get("apiVersion")) != ("Status", "v1"):
            return
        if answer.status in NO_BACKEND:
            raise Trouble(NOT_PROXIED)
        raise Trouble(f"was not reached: the API server answered {answer.status}")
