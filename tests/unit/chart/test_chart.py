"""The chart: renders for every location, refuses half a configuration, grants no more than it says."""

from typing import Any

import pytest
import yaml

from tandem.api.crd import documents
from tandem.cli.plan import DEFAULT_OPERATOR, PORT
from tests.support.chart import CHART, MEMBERS, ChartError, lint, of_kind, render, values

POLICIES = "ValidatingAdmissionPolicy"


def container(objects: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    (found,) = of_kind(objects, kind)
    containers: dict[str, dict[str, Any]] = {
        one["name"]: one for one in found["spec"]["template"]["spec"]["containers"]
    }
    return containers[name]


def environment(one: dict[str, Any]) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in one["env"]}


@pytest.fixture(scope="module")
def objects() -> list[dict[str, Any]]:
    return render(values())


def test_lint_finds_nothing_wrong() -> None:
    assert "0 chart(s) failed" in lint(values())


def test_the_chart_installs_the_same_crds_as_the_models_say(objects: list[dict[str, Any]]) -> None:
    installed = {found["metadata"]["name"]: found for found in of_kind(objects, "CustomResourceDefinition")}
    written = {document["metadata"]["name"]: document for document in map(yaml.safe_load, documents().values())}
    assert installed == written


def test_crds_stay_when_the_release_is_uninstalled(objects: list[dict[str, Any]]) -> None:
    for found in of_kind(objects, "CustomResourceDefinition"):
        assert found["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_the_member_listens_on_its_own_address_and_knows_all_members(objects: list[dict[str, Any]]) -> None:
    arguments = container(objects, "StatefulSet", "etcd")["args"]
    assert "--listen-client-urls=https://198.18.0.11:32379" in arguments
    assert (
        "--initial-cluster=east=https://198.18.0.11:32380,west=https://198.18.0.12:32380,"
        "witness=https://198.18.0.13:32380" in arguments
    )
    assert {"--client-cert-auth", "--peer-client-cert-auth", "--watch-progress-notify-interval=1s"} <= set(arguments)
    assert {"--heartbeat-interval=100", "--election-timeout=500"} <= set(arguments)


def test_both_processes_ask_the_local_member_first() -> None:
    for site in ("east", "west", "witness"):
        rendered = render(values(site={"name": site}, deployments=[]))
        own = next(member["ip"] for member in MEMBERS if member["name"] == site)
        for name in ("engine", "operator"):
            found = environment(container(rendered, "Deployment", name))
            endpoints = found["TANDEM_STORE_ENDPOINTS"].split(",")
            assert endpoints[0] == f"https://{own}:32379"
            assert len(endpoints) == 3
            assert found["TANDEM_SITE"] == site


def test_only_the_operator_gets_a_token_of_the_kubernetes_api(objects: list[dict[str, Any]]) -> None:
    (deployment,) = of_kind(objects, "Deployment")
    assert deployment["spec"]["template"]["spec"]["automountServiceAccountToken"] is False
    token = "/var/run/secrets/kubernetes.io/serviceaccount"
    mounts = {
        name: {mount["mountPath"] for mount in container(objects, "Deployment", name)["volumeMounts"]}
        for name in ("engine", "operator")
    }
    assert token in mounts["operator"]
    assert token not in mounts["engine"]


def test_rights_on_workloads_secrets_and_config_maps_are_by_name_only() -> None:
    rendered = render(values(credentials=[{"namespace": "callcenter", "secrets": ["carrier-token"]}]))
    for role in of_kind(rendered, "Role"):
        for rule in role["rules"]:
            assert rule["resourceNames"], rule
            assert not {"*", "list", "watch", "delete", "update"} & set(rule["verbs"]), rule
    (operator,) = [role for role in of_kind(rendered, "ClusterRole") if role["metadata"]["name"] == "tandem-operator"]
    touched = {resource for rule in operator["rules"] for resource in rule["resources"]}
    assert touched == {
        *("sites", "agentgroups", "trunks", "shifts", "drills"),
        *("sites/status", "agentgroups/status", "trunks/status", "shifts/status", "drills/status"),
        "events",
    }


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        pytest.param({}, [("ClusterRole", None)], id="default"),
        pytest.param({"drillReports": {"namespaces": ["callcenter"]}}, [("Role", "callcenter")], id="named"),
        pytest.param({"drillReports": {"namespaces": []}}, [], id="nowhere"),
        pytest.param({"policies": {"install": False}}, [], id="no-policy-no-right"),
        pytest.param(
            {"policies": {"install": False}, "drillReports": {"namespaces": ["*", "callcenter"]}},
            [("Role", "callcenter")],
            id="no-policy-and-named",
        ),
    ],
)
def test_reports_of_drills_may_be_made_and_deleted_where_it_is_said_and_nothing_be_read(
    changes: dict[str, Any], where: list[tuple[str, str | None]]
) -> None:
    rendered = render(values(**changes))
    named = [found for found in rendered if found["metadata"]["name"] == "tandem-drill-reports"]
    roles = [found for found in named if found["kind"].endswith("Role")]
    assert [(role["kind"], role["metadata"].get("namespace")) for role in roles] == where
    for role in roles:
        assert role["rules"] == [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create", "delete"]}]
    bindings = [found for found in named if found["kind"].endswith("Binding")]
    assert [(one["kind"], one["metadata"].get("namespace")) for one in bindings] == [
        (f"{kind}Binding", namespace) for kind, namespace in where
    ]
    assert all(one["subjects"][0]["name"] == "tandem" for one in bindings)


@pytest.mark.parametrize("policies", [True, False])
def test_drills_may_be_changed_only_with_the_policy_that_holds_it_to_copies(policies: bool) -> None:
    rendered = render(values(policies={"install": policies}))
    (operator,) = [one for one in of_kind(rendered, "ClusterRole") if one["metadata"]["name"] == "tandem-operator"]
    assert any("drills" in rule["resources"] and "patch" in rule["verbs"] for rule in operator["rules"]) is policies
    assert any(found["metadata"]["name"] == "tandem-own-drills" for found in of_kind(rendered, POLICIES)) is policies


def test_every_policy_is_bound_and_denies(objects: list[dict[str, Any]]) -> None:
    bound = {
        found["spec"]["policyName"]: found["spec"]["validationActions"]
        for found in of_kind(objects, f"{POLICIES}Binding")
    }
    assert bound == {found["metadata"]["name"]: ["Deny"] for found in of_kind(objects, POLICIES)}
    for found in of_kind(objects, POLICIES):
        assert found["spec"]["failurePolicy"] == "Fail"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        pytest.param({"site": {"name": ""}}, "site.name is empty", id="no-name"),
        pytest.param({"etcd": {"members": []}}, "etcd.members is empty", id="no-members"),
        pytest.param({"site": {"name": "north"}}, 'no member called "north"', id="not-a-member"),
        pytest.param({"sites": {}}, "sites", id="unknown-value"),
        pytest.param({"etcd": {"members": MEMBERS, "data": {"type": "nfs"}}}, "etcd.data.type", id="unknown-volume"),
        pytest.param({"deployments": [{"names": ["x"]}]}, "namespace", id="deployments-without-namespace"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ChartError) as refused:
        render(values(**changes))
    assert named.replace(".", "/") in str(refused.value).replace(".", "/")


def test_every_value_is_described_in_the_schema() -> None:
    schema = yaml.safe_load((CHART / "values.schema.json").read_text())

    def check(given: dict[str, Any], described: dict[str, Any], path: str) -> None:
        for key, value in given.items():
            assert key in described.get("properties", {}), f"{path}{key} is not in values.schema.json"
            found = described["properties"][key]
            assert found.get("description"), f"{path}{key} has no description"
            if isinstance(value, dict) and "properties" in found:
                check(value, found, f"{path}{key}.")

    check(yaml.safe_load((CHART / "values.yaml").read_text()), schema, "")


@pytest.mark.parametrize("kind", ["hostPath", "emptyDir", "persistentVolumeClaim"])
def test_the_member_keeps_its_data_where_it_is_told(kind: str) -> None:
    rendered = render(values(etcd={"members": MEMBERS, "data": {"type": kind, "hostPath": "/data"}}))
    (member,) = of_kind(rendered, "StatefulSet")
    volumes = {volume["name"]: volume for volume in member["spec"]["template"]["spec"]["volumes"]}
    claims = [claim["metadata"]["name"] for claim in member["spec"].get("volumeClaimTemplates", [])]
    assert ("data" in claims) == (kind == "persistentVolumeClaim")
    assert (kind in volumes.get("data", {})) == (kind != "persistentVolumeClaim")


def test_plans_are_asked_for_by_a_service_that_one_role_opens(objects: list[dict[str, Any]]) -> None:
    service = next(found for found in of_kind(objects, "Service") if found["metadata"]["name"].endswith("-operator"))
    assert "type" not in service["spec"]  # a ClusterIP: reached from within, and through the API server
    (port,) = service["spec"]["ports"]
    assert (port["name"], port["targetPort"]) == ("plan", "liveness")
    name = service["metadata"]["name"]
    assert f"{service['metadata']['namespace']}/{name}" == DEFAULT_OPERATOR
    roles = {found["metadata"]["name"]: found for found in of_kind(objects, "ClusterRole")}
    (rule,) = roles["tandem-plan"]["rules"]
    assert (rule["resources"], rule["resourceNames"], rule["verbs"]) == (
        ["services/proxy"],
        [f"{name}:{PORT}"],
        ["create"],
    )


def test_the_history_is_read_by_a_role_of_its_own(objects: list[dict[str, Any]]) -> None:
    roles = {found["metadata"]["name"]: found for found in of_kind(objects, "ClusterRole")}
    (rule,) = roles["tandem-history"]["rules"]
    service = DEFAULT_OPERATOR.rpartition("/")[2]
    assert (rule["resources"], rule["resourceNames"], rule["verbs"]) == (
        ["services/proxy"],
        [f"{service}:{PORT}"],
        ["get"],
    )
    labels = roles["tandem-history"]["metadata"]["labels"]
    assert not any(label.startswith("rbac.authorization.k8s.io/aggregate") for label in labels)
