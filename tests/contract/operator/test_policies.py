"""The admission policies, while no operator runs: what is in use stays, and moving agents takes a right of its own."""

from collections.abc import Iterator
from typing import Any

import pytest

from tandem.cli.contexts import annotation_of
from tests.contract.operator.conftest import clean, eventually
from tests.support.kube import CORP, KubeApi, KubectlError
from tests.support.manifests import annotated, drill, group, shift, site, trunk

pytestmark = pytest.mark.contract


@pytest.fixture(autouse=True)
def tidy(kube: KubeApi) -> Iterator[None]:
    yield
    clean(kube)


@pytest.fixture(scope="module", autouse=True)
def users(kube: KubeApi) -> None:
    """alice may place and approve, CORP may place, bob may edit only."""
    edit = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "test-edit"},
        "rules": [{"apiGroups": ["tandem.dev"], "resources": ["*"], "verbs": ["get", "create", "update", "patch"]}],
    }
    bindings = [
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": f"test-{number}"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}],
        }
        for number, (user, role) in enumerate(
            (("alice", "tandem-place"), ("alice", "tandem-approve"), (CORP, "tandem-place"), ("bob", "test-edit"))
        )
    ]
    kube.apply(edit, *bindings)
    # A policy just installed takes a moment until it is enforced.
    eventually("the policies are enforced", lambda: _refuses(kube))


def _refuses(kube: KubeApi) -> bool:
    try:
        kube.apply(group("probe"), user="bob")
    except KubectlError as error:
        return "verb place" in str(error)
    kube.delete("AgentGroup", "probe", "callcenter")
    return False


@pytest.mark.parametrize(
    ("manifest", "status", "words"),
    [
        pytest.param(group(), {"signedIn": 500}, ("AgentGroup sales is in use", "500 agents"), id="group-signed-in"),
        pytest.param(group(), {"moving": 3}, ("3 agents are on their way",), id="group-moving"),
        pytest.param(site("east"), {"signedIn": 2}, ("Site east is in use", "2 agents"), id="site-signed-in"),
        pytest.param(site("east"), {"verdict": "Healthy"}, ("its engine works",), id="site-alive"),
        pytest.param(trunk(), {"channelsInUse": 7}, ("Trunk hotel is in use", "7 calls"), id="trunk-with-calls"),
        pytest.param(
            trunk(),
            {"routes": [{"name": "first", "site": "east", "weight": 60}]},
            ("routes are in force",),
            id="trunk-routed",
        ),
        pytest.param(shift(), {"phase": "Moving"}, ("not finished (Moving)", "spec.abort"), id="shift-moving"),
        pytest.param(drill(), {"phase": "Holding"}, ("run under way (Holding)", "drill abort"), id="drill-under-way"),
        pytest.param(shift(), {"reason": "x"}, ("not finished (Pending)",), id="shift-just-made"),
    ],
)
def test_what_is_in_use_is_not_deleted_without_the_annotation(
    kube: KubeApi, manifest: dict[str, Any], status: dict[str, Any], words: tuple[str, ...]
) -> None:
    kind, name, namespace = reference(manifest)
    kube.apply(manifest)
    kube.patch(kind, name, namespace, {"status": status}, subresource="status")
    for target in (name, ""):  # the object, and all of its kind
        with pytest.raises(KubectlError) as refusal:
            kube.delete(kind, target, namespace)
        for word in (*words, "tandem.dev/allow-delete"):
            assert word in str(refusal.value)
    kube.annotate(kind, name, namespace, allow_delete="true")
    kube.delete(kind, name, namespace)


def reference(manifest: dict[str, Any]) -> tuple[str, str, str]:
    """Kind, name and namespace."""
    return manifest["kind"], manifest["metadata"]["name"], manifest["metadata"].get("namespace", "")


@pytest.mark.parametrize(
    ("manifest", "status"),
    [
        pytest.param(group(), {"signedIn": 0}, id="empty-group"),
        pytest.param(site("east"), {"verdict": "Unknown"}, id="site-that-never-worked"),
        pytest.param(trunk(), {"channelsInUse": 0}, id="trunk-without-routes"),
        pytest.param(drill(), {"phase": "Waiting"}, id="drill-that-waits"),
        *(
            pytest.param(shift(), {"phase": phase}, id=f"shift-{phase}")
            for phase in ("Completed", "RolledBack", "Interrupted", "Failed")
        ),
    ],
)
def test_what_is_not_in_use_is_deleted(kube: KubeApi, manifest: dict[str, Any], status: dict[str, Any]) -> None:
    kind, name, namespace = reference(manifest)
    kube.apply(manifest)
    kube.patch(kind, name, namespace, {"status": status}, subresource="status")
    kube.delete(kind, name, namespace)


@pytest.mark.parametrize("kind", ["sites", "agentgroups", "trunks", "shifts", "drills"])
def test_the_crds_are_not_deleted_without_the_annotation(kube: KubeApi, kind: str) -> None:
    with pytest.raises(KubectlError, match="deleting a CRD deletes every object of its kind"):
        kube.delete("CustomResourceDefinition", f"{kind}.tandem.dev")
    assert kube.get("CustomResourceDefinition", f"{kind}.tandem.dev")


def test_placing_takes_the_verb_place(kube: KubeApi) -> None:
    kube.apply(group(), user="alice")
    kube.apply(group(agents=120), user="bob")  # not an order
    moved = group(agents=120, placement=[{"site": "west", "percent": 100}])
    for order in (moved, annotated(group(agents=120), order_id="again"), shift(), group("other")):
        with pytest.raises(KubectlError, match="bob needs the verb place on agentgroups in namespace callcenter"):
            kube.apply(order, user="bob")
    kube.apply(moved, user="alice")
    kube.apply(shift(requestedBy="alice"), user="alice")


def test_a_drill_and_its_commands_take_the_verb_place_and_the_own_name(kube: KubeApi) -> None:
    with pytest.raises(KubectlError, match="a Drill moves agents: bob needs the verb place"):
        kube.apply(drill(), user="bob")
    kube.apply(drill(), user="alice")
    bobs, alices = (f'{{"id":"1","action":"run","by":"{user}","at":1}}' for user in ("bob", "alice"))
    for changed in (drill(suspend=True), annotated(drill(), drill_request=bobs)):
        with pytest.raises(KubectlError, match="bob needs the verb place"):
            kube.apply(changed, user="bob")
    with pytest.raises(KubectlError, match="has to say"):
        kube.apply(annotated(drill(), drill_request=bobs), user="alice")
    corps = annotation_of({"id": "2", "action": "run", "by": CORP, "at": 1})
    kube.apply(annotated(drill(), drill_request=corps), user=CORP)
    kube.apply(annotated(drill(), drill_request=alices), user="alice")
    kube.apply({**annotated(drill(), drill_request=alices, note="x")}, user="bob")


@pytest.mark.parametrize("user", ["alice", CORP])
def test_who_holds_writes_the_own_name(kube: KubeApi, user: str) -> None:
    kube.apply(site("east"))
    asked = annotation_of({"id": "1", "action": "hold", "by": user, "reason": "storm"})
    others = annotation_of({"id": "1", "action": "hold", "by": "bob", "reason": f'"by":"{user}"'})
    for wrong in (others, '{"id":"1","action":"hold"}', "now!"):
        with pytest.raises(KubectlError, match=r"annotation tandem.dev/hold-request has to say"):
            kube.apply(annotated(site("east"), hold_request=wrong), user=user)
    kube.apply(annotated(site("east"), hold_request=asked), user=user)
    kube.apply(annotated(site("east"), hold_request=asked, note="x"), user="bob")  # no request of his
    kube.apply(annotated(site("east"), hold_request=asked.replace(":", ": ").replace("hold", "resume")), user=user)
    kube.apply(site("east"), user="bob")


def test_requested_by_is_who_asks_or_empty(kube: KubeApi) -> None:
    with pytest.raises(KubectlError, match=r"spec.requestedBy is bob, but alice is asking"):
        kube.apply(shift(requestedBy="bob"), user="alice")
    kube.apply(shift(), user="alice")


def test_approving_takes_the_verb_approve_and_the_own_name(kube: KubeApi) -> None:
    kube.apply(shift(approval="Manual"), user="alice")
    with pytest.raises(KubectlError, match="bob may not approve"):
        kube.apply(shift(approval="Manual", approved=True, approvedBy="bob"), user="bob")
    with pytest.raises(KubectlError, match=r"spec.approvedBy is bob, but alice is approving"):
        kube.apply(shift(approval="Manual", approved=True, approvedBy="bob"), user="alice")
    kube.apply(shift(approval="Manual", approved=True, approvedBy="alice"), user="alice")
    with pytest.raises(KubectlError, match=r"spec.abortedBy is alice, but bob is aborting; write that or leave it out"):
        kube.apply(
            shift(approval="Manual", approved=True, approvedBy="alice", abort=True, abortedBy="alice"), user="bob"
        )
    kube.apply(shift(approval="Manual", approved=True, approvedBy="alice", abort=True, abortedBy="bob"), user="bob")
    with pytest.raises(KubectlError, match=r"abortedBy.*cannot be changed once the Shift is aborted"):
        kube.apply(shift(approval="Manual", approved=True, approvedBy="alice", abort=True, abortedBy="cy"), user="bob")
