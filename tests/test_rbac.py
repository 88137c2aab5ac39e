"""The documented permissions are what a scan needs: no more in the file, no less on a real cluster."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from llmscan.collect.api_resources import BUILTIN, CUSTOM
from llmscan.collect.cluster import ClusterOptions, Listing, connect
from llmscan.commands import group

Json = dict[str, Any]

RBAC = Path(__file__).parent.parent / "docs" / "rbac.yaml"
KUBECONFIG = os.environ.get("LLMSCAN_TEST_KUBECONFIG", "")
ON_A_CLUSTER = [
    pytest.mark.cluster,
    pytest.mark.skipif(not KUBECONFIG, reason="LLMSCAN_TEST_KUBECONFIG names no cluster"),
]
_EXEC = "client.authentication.k8s.io/v1"
OUTSIDE = ("gateways", "httproutes", "grpcroutes", "tcproutes", "tlsroutes", "clusterservingruntimes")
ELSEWHERE = ["configmaps outside namespace", "daemonsets outside namespace", "pods outside namespace"]


def documents() -> dict[str, Json]:
    """The documents of the file by kind."""
    return {item["kind"]: item for item in yaml.safe_load_all(RBAC.read_text(encoding="utf-8"))}


def granted(role: Json) -> set[tuple[str, str, str]]:
    return {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_the_cluster_role_grants_to_list_what_a_scan_lists_and_nothing_else() -> None:
    """Every type that the reader lists is in the ClusterRole, with the one verb that it needs."""
    wanted = {(found.group, found.plural, "list") for found in BUILTIN}
    wanted |= {(group, plural, "list") for group, plurals in CUSTOM.items() for plural in plurals}
    assert granted(documents()["ClusterRole"]) == wanted
    assert not any(resource == "secrets" for _, resource, _ in wanted)


def test_the_role_lacks_only_what_no_namespace_holds() -> None:
    """The Role is the ClusterRole without the types that are cluster-wide."""
    missing = granted(documents()["ClusterRole"]) - granted(documents()["Role"])
    assert {resource for _, resource, _ in missing} == {"nodes", "namespaces", "clusterservingruntimes"}
    assert granted(documents()["Role"]) <= granted(documents()["ClusterRole"])


class Tenant:
    """A namespace on a real cluster with the service account of the file, under names that no other test has."""

    def __init__(self, client: Any, folder: Path) -> None:
        api: Any = import_module("kubernetes.client")
        self.name = f"llmscan-{secrets.token_hex(4)}"
        self._api = api
        self._core = api.CoreV1Api(client)
        self._rbac = api.RbacAuthorizationV1Api(client)
        self._server = client.configuration
        self._folder = folder

    def create(self) -> None:
        self._core.create_namespace({"metadata": {"name": self.name}})
        self._core.create_namespaced_service_account(self.name, {"metadata": {"name": "llmscan"}})

    def delete(self) -> None:
        self._core.delete_namespace(self.name)
        for remove in (self._rbac.delete_cluster_role, self._rbac.delete_cluster_role_binding):
            try:
                remove(self.name)
            except self._api.ApiException as error:
                assert error.status == 404

    def grant(self, kind: str) -> None:
        """Bind the file's Role or ClusterRole to the service account."""
        metadata = {"name": self.name, "namespace": self.name} if kind == "Role" else {"name": self.name}
        role = documents()[kind] | {"metadata": metadata}
        binding = documents()[f"{kind}Binding"] | {"metadata": metadata}
        binding["roleRef"]["name"] = self.name
        binding["subjects"][0]["namespace"] = self.name
        if kind == "Role":
            self._rbac.create_namespaced_role(self.name, role)
            self._rbac.create_namespaced_role_binding(self.name, binding)
        else:
            self._rbac.create_cluster_role(role)
            self._rbac.create_cluster_role_binding(binding)

    def revoke(self, group: str, resource: str) -> None:
        """The whole ClusterRole again, but for one resource."""
        rules = [
            {"apiGroups": [found], "resources": [plural], "verbs": [verb]}
            for found, plural, verb in sorted(granted(documents()["ClusterRole"]) - {(group, resource, "list")})
        ]
        self._rbac.replace_cluster_role(self.name, {"metadata": {"name": self.name}, "rules": rules})

    def options(self, plugin: bool = False) -> ClusterOptions:
        """A kubeconfig with a token of the service account, or with a plugin that prints it."""
        review = {"spec": {"expirationSeconds": 600}}
        token = self._core.create_namespaced_service_account_token("llmscan", self.name, review).status.token
        cluster = {"server": self._server.host, "certificate-authority": self._server.ssl_ca_cert}
        status = {"apiVersion": _EXEC, "kind": "ExecCredential", "status": {"token": token}}
        printing = {"apiVersion": _EXEC, "command": "printf", "args": ["%s", json.dumps(status)]}
        config = {
            "current-context": "tenant",
            "clusters": [{"name": "tenant", "cluster": cluster}],
            "users": [{"name": "tenant", "user": {"exec": printing} if plugin else {"token": token}}],
            "contexts": [{"name": "tenant", "context": {"cluster": "tenant", "user": "tenant"}}],
        }
        path = self._folder / "kubeconfig"
        path.write_text(json.dumps(config))
        return ClusterOptions((self.name,), kubeconfig=str(path))

    def run(self, options: ClusterOptions, *more: str) -> Result:
        """The command as this service account."""
        arguments = ["k8s", "-n", self.name, "--kubeconfig", str(options.kubeconfig), *more]
        return CliRunner().invoke(group, arguments)

    def scan(self, options: ClusterOptions) -> Json:
        """The JSON report of the command."""
        document: Json = json.loads(self.run(options, "--format", "json").stdout)
        return document

    def listing(self) -> Listing:
        return connect(self.options()).list()


@pytest.fixture
def tenant(tmp_path: Path) -> Iterator[Tenant]:
    config: Any = import_module("kubernetes.config")
    with config.new_client_from_config(KUBECONFIG, persist_config=False) as client:
        made = Tenant(client, tmp_path)
        made.create()
        try:
            yield made
        finally:
            made.delete()


class TestOnARealCluster:
    pytestmark = ON_A_CLUSTER

    def test_the_cluster_role_leaves_no_gap(self, tenant: Tenant) -> None:
        """A service account with the ClusterRole reads everything."""
        tenant.grant("ClusterRole")
        listing = tenant.listing()
        assert listing.gaps == ()
        assert listing.objects["Node"]

    def test_the_role_leaves_the_gaps_that_its_comments_name(self, tenant: Tenant) -> None:
        """With the Role, the namespace is read, and what lies outside is named."""
        tenant.grant("Role")
        listing = tenant.listing()
        expected = [
            "namespaces in the cluster",
            "nodes in the cluster",
            *(f"{what} {tenant.name}" for what in ELSEWHERE),
        ]
        builtin = [gap.what for gap in listing.gaps if "route" not in gap.what and "gateway" not in gap.what]
        assert sorted(builtin) == sorted(expected)
        assert [item["metadata"]["name"] for item in listing.objects["ConfigMap"]] == ["kube-root-ca.crt"]

    def test_each_missing_permission_is_named(self, tenant: Tenant) -> None:
        """Whichever permission is taken away, the gap says which one."""
        tenant.grant("ClusterRole")
        options = tenant.options()
        for resource in BUILTIN:
            tenant.revoke(resource.group, resource.plural)
            document = tenant.scan(options)
            gaps = document["coverage"]["gaps"]
            assert {resource.plural} == {gap["what"].split()[0] for gap in gaps}
            assert all(f"permission to list {resource.qualified} " in gap["would"] for gap in gaps)
            assert document["failures"] == []

    def test_the_command_reports_no_gap_with_the_cluster_role(self, tenant: Tenant) -> None:
        """What the file grants is enough for the whole scan, and the access check says so beforehand."""
        tenant.grant("ClusterRole")
        options = tenant.options()
        document = tenant.scan(options)
        assert (document["coverage"]["gaps"], document["failures"]) == ([], [])
        assert tenant.run(options, "--check-access").exit_code == 0

    @pytest.mark.parametrize("plugin", [False, True])
    def test_the_command_reports_what_the_role_lacks(self, tenant: Tenant, plugin: bool) -> None:
        """With a token and with a credential plugin alike, the gaps are those of the file's comments and no failure."""
        tenant.grant("Role")
        options = tenant.options(plugin)
        document = tenant.scan(options)
        named = {gap["what"].split()[0] for gap in document["coverage"]["gaps"]}
        assert {"namespaces", "nodes", "pods", "daemonsets", "configmaps"} <= named
        assert named <= {"namespaces", "nodes", "pods", "daemonsets", "configmaps", *OUTSIDE}
        assert document["failures"] == []
        assert tenant.run(options, "--check-access").exit_code == 3

    def test_the_access_check_agrees_with_the_reading(self, tenant: Tenant) -> None:
        """What the review allows is what the list gives."""
        tenant.grant("Role")
        rows = {(row.resource, row.namespace): row.allowed for row in connect(tenant.options()).check_access()}
        assert rows["pods", None] is False
        assert rows["pods", tenant.name] is True
        assert rows["nodes", None] is False

    def test_a_credential_plugin_opens_the_cluster(self, tenant: Tenant) -> None:
        """A token from a plugin reads what the same token in the kubeconfig reads."""
        tenant.grant("Role")
        by_plugin = connect(tenant.options(plugin=True)).list()
        assert by_plugin.gaps == tenant.listing().gaps
        assert by_plugin.objects["ServiceAccount"]
