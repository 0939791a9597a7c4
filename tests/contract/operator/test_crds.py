"""The CRDs in a real API server: every rule refuses, and the refusal names field, value and remedy."""

from typing import Any

import pytest

from tests.contract.operator.conftest import clean
from tests.support.kube import KubeApi, KubectlError
from tests.support.manifests import drill, group, shift, site, system, trunk

pytestmark = pytest.mark.contract

ROUTES = trunk()["spec"]["routes"]
HALVES = [{"site": "east", "percent": 50}, {"site": "east", "percent": 50}]
SCALING = {"mode": "Scale", "min": 4, "max": 2}
PROMETHEUS = {"url": "http://prometheus.monitoring:9090"}
ALARM = {"name": "lost", "query": "lost > 0"}
LOST: dict[str, Any] = {"kind": "Failover", "failover": {"site": "east"}}
TWICE = [{"site": "east", "percent": 50}, {"site": "east", "percent": 50}]


def refused(manifest: dict[str, Any], field: str, *words: str) -> Any:
    return pytest.param(manifest, field, words, id=f"{manifest['kind']}-{field}-{words[0][:30]}".replace(" ", "-"))


@pytest.mark.parametrize(
    ("manifest", "field", "words"),
    [
        refused(
            group(placement=[{"site": "east", "percent": 60}, {"site": "west", "percent": 30}]),
            "spec.placement",
            "add up to 90",
            "until they add up to 100",
        ),
        refused(
            group(placement=[{"site": "north", "percent": 100}]), "spec.placement", "site north", "east, west", "add"
        ),
        refused(group(placement=TWICE), "spec.placement", "names a site twice", "one share"),
        refused(group(placement=[]), "spec.placement", "at least 1"),
        refused(group(sites=["east", "west", "east"]), "spec.sites", "east, west, east", "name each site once"),
        refused(group(agents=0), "spec.agents", "greater than or equal to 1"),
        refused(group(waves=[50, 10, 100]), "spec.waves", "[50, 10, 100]", "rise and end at 100"),
        refused(group(waves=[10, 50]), "spec.waves", "[10, 50]", "rise and end at 100"),
        refused(group(waves=[50, 50, 100]), "spec.waves", "[50, 50, 100]"),
        refused(group(waves=[0, 100]), "spec.waves", "[0, 100]"),
        refused(group(drain={"maxTalk": "ten minutes"}), "spec.drain.maxTalk", "ten minutes"),
        refused(site("witness", systems=[system()]), "spec.systems", "lists 1 system(s), first hotel", "role Active"),
        refused(site("witness", guestCapacity=5), "spec.guestCapacity", "is 5", "remove it"),
        refused(
            site("east", detection={"target": "4s"}),
            "spec.detection",
            "target is 4s, but by its own figures hotel needs 5900 ms: the longest of 3000 ms (interval 500ms + timeout"
            " 500ms + confirmAfter 2s), 2727 ms (lease 2700ms + 1 in 100) and 3500 ms (a heartbeat and an election),"
            " + 400 ms to act, + 2000 ms (1000 agents at 500 sign-ins a second)",
            "raise signInsPerSecond",
        ),
        refused(
            site("east", systems=[system("flight"), system(cti={**system()["cti"], "lease": "8s"})]),
            "spec.detection",
            "target is 10s, but by its own figures hotel needs 10480 ms",
            "8080 ms (lease 8s + 1 in 100)",
        ),
        refused(site("east", detection={"interval": "0s"}), "spec.detection.interval", "is 0s", "from 100ms to 1m"),
        refused(site("east", detection={"timeout": "0s"}), "spec.detection.timeout", "is 0s", "from 100ms to 1m"),
        refused(
            site("east", detection={"confirmAfter": "0s"}), "spec.detection.confirmAfter", "is 0s", "from 200ms to 10m"
        ),
        refused(
            site("east", detection={"interval": "3s", "target": "30s"}),
            "spec.detection.confirmAfter",
            "is 2s, but interval 3s + timeout 500ms are more",
            "raise it",
        ),
        refused(site("east", systems=[]), "spec.systems", "at least one system", "role Witness"),
        refused(site("east", systems=[system(), system()]), "spec.systems[1]", "Duplicate"),
        refused(site("east", engineURL="198.18.0.11:30590"), "spec.engineURL", "198.18.0.11:30590", "https?"),
        refused(
            site("east", systems=[system(cti={**system()["cti"], "scaling": SCALING})]),
            "spec.systems[0].cti.scaling.min",
            "is 4, more than max 2",
            "lower min or raise max",
        ),
        refused(
            site("east", systems=[system(cti={**system()["cti"], "deployment": "cti-hotel"})]),
            "spec.systems[0].cti.deployment",
            "cti-hotel",
        ),
        refused(trunk(routes=ROUTES[:2]), "spec.routes", "at least 3"),
        refused(trunk(routes=[*ROUTES, ROUTES[0]]), "spec.routes[3]", "Duplicate"),
        refused(
            trunk(followAgents=False, routes=[{**route, "weight": 0} for route in ROUTES]),
            "spec.routes",
            "every weight is 0",
            "give a route a weight",
        ),
        refused(trunk(numbers=[{"number": "0049 30", "group": "sales"}]), "spec.numbers[0].number", "0049 30"),
        refused(shift(selector={}), "spec.selector", "empty", "give system, region, skillGroup"),
        refused(shift(to=None), "spec", "give one of to", "given are 0"),
        refused(shift(evacuate="east"), "spec", "give one of to", "given are 2"),
        refused(shift(to=None, placement=[{"site": "west", "percent": 90}]), "spec.placement", "add up to 90"),
        refused(shift(to=None, placement=HALVES), "spec.placement[1]", "Duplicate"),
        refused(shift(to=None, evacuate="east", percent=50), "spec.percent", "is 50", "leave percent out"),
        refused(shift(selector=None), "spec.selector", "missing", "only evacuate"),
        refused(shift(percent=0), "spec.percent", "greater than or equal to 1"),
        refused(shift(approved=True), "spec.approvedBy", "empty", "say who approves"),
        refused(shift(abortedBy="ada"), "spec.abortedBy", "although abort is false", "leave it out"),
        refused(shift(gates={"patience": "25h"}), "spec.gates.patience", "is 25h", "from 0s to 24h"),
        refused(shift(gates={"signInTime": "soon"}), "spec.gates.signInTime", "soon"),
        refused(
            shift(gates={"alarms": {"prometheus": PROMETHEUS, "quiet": []}}), "spec.gates.alarms.quiet", "at least 1"
        ),
        refused(
            group(gates={"alarms": {"prometheus": PROMETHEUS, "quiet": [ALARM, ALARM]}}),
            "spec.gates.alarms.quiet[1]",
            "Duplicate",
        ),
        refused(group(gates={"signedIn": 101}), "spec.gates.signedIn", "less than or equal to 100"),
        refused(drill(schedule="0 3 * *"), "spec.schedule", "0 3 * *"),
        refused(drill(schedule="@daily"), "spec.schedule", "@daily"),
        refused(drill(timeZone="Europe/ Berlin"), "spec.timeZone", "Europe/ Berlin"),
        refused(drill(startingDeadline="5s"), "spec.startingDeadline", "is 5s", "from 10s to 24h"),
        refused(drill(hold="13h"), "spec.hold", "is 13h", "from 0s to 12h"),
        refused(
            drill(windows={"blocked": [{"firstDate": "2027-01-06", "lastDate": "2026-12-20"}]}),
            "spec.windows.blocked[0].firstDate",
            "is 2027-01-06, after lastDate 2026-12-20",
            "swap them",
        ),
        refused(
            drill(windows={"allowed": [{"from": "24:00"}]}), "spec.windows.allowed[0].from", "write 00:00 of the next"
        ),
        refused(
            drill(alarms={"prometheus": PROMETHEUS}),
            "spec.alarms",
            "names no alarm",
            "add one to blocking or to outcome",
        ),
        refused(
            drill(alarms={"prometheus": PROMETHEUS, "blocking": [ALARM], "outcome": [ALARM]}),
            "spec.alarms",
            "has an alarm in blocking and in outcome",
            "name it in outcome only",
        ),
        refused(
            drill(alarms={"prometheus": PROMETHEUS, "outcome": [ALARM, ALARM]}), "spec.alarms.outcome[1]", "Duplicate"
        ),
        refused(
            drill(alarms={"prometheus": PROMETHEUS, "outcome": [{**ALARM, "for": "2h"}]}),
            "spec.alarms.outcome[0].for",
            "is 2h",
            "from 0s to 1h",
        ),
        refused(
            drill(alarms={"prometheus": {**PROMETHEUS, "timeout": "1m"}, "outcome": [ALARM]}),
            "spec.alarms.prometheus.timeout",
            "is 1m",
            "from 100ms to 30s",
        ),
        refused(
            drill(alarms={"prometheus": {"url": "prometheus:9090"}, "outcome": [ALARM]}),
            "spec.alarms.prometheus.url",
            "prometheus:9090",
        ),
        refused(drill(windows={"allowed": [{"days": ["Someday"]}]}), "spec.windows.allowed[0].days[0]", "Someday"),
        refused(drill(shift={"selector": {}, "to": "west"}), "spec.shift.selector", "empty", "give system"),
        refused(
            drill(shift={"selector": {"system": "hotel"}, "to": "west", "waves": [50, 10]}),
            "spec.shift.waves",
            "rise and end at 100",
        ),
        refused(drill(kind="Failover"), "spec.failover", "is what kind Failover rehearses", "give both or neither"),
        refused(drill(failover={"site": "east"}), "spec.failover", "kind is Shift", "give both or neither"),
        refused(drill(shift={"selector": {"system": "hotel"}}), "spec.shift.to", "kind Shift needs it"),
        refused(drill(**LOST), "spec.shift.to", "kind is Failover", "a failover chooses"),
        refused(
            drill(**LOST, shift={"selector": {"system": "hotel"}, "percent": 50}),
            "spec.shift.percent",
            "is 50",
            "a failover moves everybody",
        ),
        refused(
            drill(**LOST, shift={"selector": {"site": "west"}}), "spec.shift.selector.site", "is west", "leave it out"
        ),
        refused(
            drill(kind="Failover", failover={"site": "east", "silence": 101}, shift={"selector": {"system": "hotel"}}),
            "spec.failover.silence",
            "less than or equal to 100",
        ),
        refused({**group(), "spec": {**group()["spec"], "placment": []}}, "spec.placment", "unknown field"),
    ],
)
def test_a_wrong_object_is_refused_with_field_value_and_remedy(
    kube: KubeApi, manifest: dict[str, Any], field: str, words: tuple[str, ...]
) -> None:
    with pytest.raises(KubectlError) as refusal:
        kube.create(manifest, dryRun="All")
    said = str(refusal.value)
    assert field in said
    for word in words:
        assert word in said


def test_a_drill_of_a_failover_is_taken(kube: KubeApi) -> None:
    kube.create(drill(**LOST, shift={"selector": {"system": "hotel"}}), dryRun="All")


@pytest.mark.parametrize(
    ("before", "after", "field", "words"),
    [
        pytest.param(group(), group(system="flight"), "spec.system", ("another AgentGroup",), id="system-of-a-group"),
        pytest.param(trunk(), trunk(system="flight"), "spec.system", ("another Trunk",), id="system-of-a-trunk"),
        pytest.param(
            site("witness"),
            site("witness", role="Active", systems=[system()]),
            "spec.role",
            ("create it anew",),
            id="role-of-a-site",
        ),
        *(
            pytest.param(
                shift(), shift(**changed), f"spec.{next(iter(changed))}", ("new Shift",), id=f"shift-{changed}"
            )
            for changed in (
                {"to": "east"},
                {"to": None, "evacuate": "east"},
                {"evacuate": "west", "to": None},
                {"placement": [{"site": "west", "percent": 100}], "to": None},
                {"percent": 50},
                {"selector": {"names": ["service"]}},
                {"mode": "Forced"},
                {"waves": [10, 100]},
                {"pace": 5},
                {"drain": {"maxTalk": "1m"}},
                {"gates": {"signedIn": 50}},
                {"approval": "Manual"},
                {"dryRun": True},
                {"requestedBy": "admin"},
                {"ttlSecondsAfterFinished": 60},
            )
        ),
        pytest.param(shift(abort=True), shift(abort=False), "spec.abort", ("cannot be taken back",), id="abort-stays"),
        pytest.param(
            shift(approved=True, approvedBy="admin"),
            shift(approved=False, approvedBy="admin"),
            "spec.approved",
            ("cannot be taken back",),
            id="approval-stays",
        ),
    ],
)
def test_what_cannot_change_says_what_to_do_instead(
    kube: KubeApi, before: dict[str, Any], after: dict[str, Any], field: str, words: tuple[str, ...]
) -> None:
    try:
        kube.apply(before)
        with pytest.raises(KubectlError) as refusal:
            kube.apply(after)
        for word in (field, *words):
            assert word in str(refusal.value)
    finally:
        clean(kube)


def test_abort_and_approval_may_be_added(kube: KubeApi) -> None:
    try:
        kube.apply(shift())
        kube.apply(shift(approved=True, approvedBy="admin"))
        kube.apply(shift(approved=True, approvedBy="admin", abort=True))
        assert kube.get("Shift", "to-west", "callcenter")["spec"]["abort"] is True
    finally:
        clean(kube)


def test_a_drill_may_be_changed_and_its_columns_answer(kube: KubeApi) -> None:
    try:
        kube.apply(drill(schedule="0 3 * * SUN", timeZone="Europe/Berlin"))
        kube.apply(drill(schedule="30 2 1 * *", timeZone="Europe/Berlin", suspend=True))
        found = kube.get("Drill", "monthly", "callcenter")["spec"]
        assert (found["hold"], found["startingDeadline"], found["shift"]["percent"]) == ("10m", "10m", 100)
        lines = [line.split() for line in kube.kubectl("get", "drills", "-A").splitlines()]
        assert lines[0] == [
            *("NAMESPACE", "NAME", "KIND", "SCHEDULE", "SUSPEND", "TO", "PHASE", "NEXT", "LAST", "LAST-SUCCESS", "AGE")
        ]
        assert lines[1][1:10] == ["monthly", "Shift", "30", "2", "1", "*", "*", "true", "west"]
    finally:
        clean(kube)


def test_defaults_and_short_names_are_served(kube: KubeApi) -> None:
    try:
        kube.apply(group(), shift(), site("witness"))
        found = kube.get("AgentGroup", "sales", "callcenter")
        assert found["spec"]["drain"] == {"maxTalk": "30m", "maxWrapUp": "5m", "onDeadline": "Stay"}
        assert found["spec"]["failover"] == "Automatic"
        moved = kube.get("Shift", "to-west", "callcenter")["spec"]
        assert (moved["percent"], moved["waves"]) == (100, [5, 25, 100])
        assert "ttlSecondsAfterFinished" not in moved
        header = kube.kubectl("get", "ag,sh", "-A").splitlines()[0].split()
        assert header == [
            *("NAMESPACE", "NAME", "SYSTEM", "REGION", "SKILL", "WHERE", "SIGNED-IN", "MOVING", "SHIFT", "READY", "AGE")
        ]
        assert "witness" in kube.kubectl("get", "tandem", "-A")
    finally:
        clean(kube)
