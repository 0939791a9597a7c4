"""Which cluster a command goes to: one whose city is gone keeps nobody waiting, one that is deaf is not the last."""

import asyncio
import itertools
import json
from pathlib import Path
from typing import Any, cast

import pytest

from tandem.api.common import DRILL_REQUEST, HOLD_REQUEST
from tandem.api.resources import SHIFT
from tandem.cli import abort, approve, contexts, drill, hold, shift
from tandem.cli.contexts import Clusters, full_name, in_first
from tandem.errors import ConfigError
from tandem.operator.cluster import ApiError, Cluster, TakenError


class FakeCluster:
    def __init__(self, *, silent: bool = False, refuses: bool = False) -> None:
        self.silent, self.refuses = silent, refuses

    async def get(self, path: str) -> dict[str, Any]:
        if self.silent:
            await asyncio.sleep(60)
        if self.refuses:
            raise ApiError("connection refused")
        return {}


def clusters(**named: Any) -> Clusters:
    found = Clusters(list(named), [Path("nowhere")])
    found._clusters = cast("dict[str, Cluster]", named)
    found._known = {name: {} for name in named}
    return found


async def steps(found: Clusters) -> list[str]:
    """Where the command was tried, in order; the last of them took it."""
    tried: list[str] = []

    async def step(cluster: Cluster, name: str) -> str:
        tried.append(next(context for context in found.names if found[context] is cluster))
        await cluster.get(name)
        return name

    answer = await in_first(found, SHIFT, "s1", "callcenter", step, nowhere="nowhere")
    assert answer is not None
    assert answer.context == tried[-1]
    return tried


async def test_a_cluster_that_is_silent_is_asked_last() -> None:
    assert await steps(clusters(east=FakeCluster(silent=True), west=FakeCluster())) == ["west"]


async def test_so_is_one_that_refuses_connections() -> None:
    assert await steps(clusters(east=FakeCluster(refuses=True), west=FakeCluster())) == ["west"]


async def test_clusters_that_are_well_are_asked_in_their_order() -> None:
    assert await steps(clusters(west=FakeCluster(), east=FakeCluster())) == ["west"]


# -- commands of which something has to come


class ClusterWithAShift:
    """Its API server answers. `phases`: those of its Shift once it is changed, look by look; none: nobody acts."""

    def __init__(
        self, *phases: str, before: str = "Moving", reason: str = "", plan: str = "all", first: str = "", **spec: Any
    ) -> None:
        self.spec, self.phases, self.before, self.reason, self.plan = spec, list(phases), before, reason, plan
        self.first = first
        """Who has approved or aborted it, as the store knows; empty: whoever does it here."""
        self.changed = False

    async def get(self, path: str) -> dict[str, Any]:
        if path == "/version":
            return {}
        assert path.endswith("/namespaces/callcenter/shifts/night")
        phase = self.before
        if self.changed and self.phases:
            phase = self.phases.pop(0) if len(self.phases) > 1 else self.phases[0]
        status = {"phase": phase, "reason": self.reason, "message": "so it is", "approvedAt": self.approved_at}
        if self.changed and self.phases:
            for field in ("approvedBy", "abortedBy"):
                status[field] = self.first or self.spec.get(field, "")
        return {"spec": self.spec, "status": {**status, "plan": [self.plan] if self.plan else []}}

    @property
    def approved_at(self) -> str:
        return "2026-11-29T03:00:00Z" if self.changed and self.phases else ""

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return {"status": {"userInfo": {"username": "ada"}}}

    async def merge(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.spec |= body["spec"]
        self.changed = True
        return {}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contexts, "CONFIRM_S", 0.5)


async def test_an_abort_is_done_when_the_shift_goes_back(capsys: pytest.CaptureFixture[str]) -> None:
    east, west = ClusterWithAShift("Moving", "Aborting"), ClusterWithAShift("Aborting")
    assert await abort.run(clusters(east=east, west=west), "night", "callcenter") == 0
    assert capsys.readouterr().out == "Shift callcenter/night aborted by ada (by way of east)\n"
    assert not west.changed


async def test_an_abort_of_which_nothing_comes_is_told_to_the_next_cluster(capsys: pytest.CaptureFixture[str]) -> None:
    deaf, west = ClusterWithAShift(), ClusterWithAShift("Aborting")
    assert await abort.run(clusters(east=deaf, west=west), "night", "callcenter") == 0
    said = capsys.readouterr().out
    assert "cluster east: nothing has come of it within" in said
    assert "aborted by ada (by way of west)" in said


async def test_an_abort_that_nobody_acts_on_is_none_the_second_time_too(capsys: pytest.CaptureFixture[str]) -> None:
    deaf = ClusterWithAShift()
    for _ in range(2):
        assert await abort.run(clusters(east=deaf), "night", "callcenter") == 1
        said = capsys.readouterr().out
        assert "NOT CONFIRMED: Shift night has it in east" in said
        assert "by way of" not in said


async def test_an_abort_that_comes_too_late_says_how_the_shift_ended(capsys: pytest.CaptureFixture[str]) -> None:
    assert await abort.run(clusters(east=ClusterWithAShift("Completed")), "night", "callcenter") == 1
    assert "was over before it could be aborted (Completed: so it is)" in capsys.readouterr().out


async def test_an_approval_counts_when_the_store_has_it(capsys: pytest.CaptureFixture[str]) -> None:
    def waits(*phases: str) -> ClusterWithAShift:
        return ClusterWithAShift(*phases, before="AwaitingApproval", approval="Manual")

    deaf, west = waits(), waits("AwaitingApproval")
    assert await approve.run(clusters(east=deaf, west=west), "night", "callcenter") == 0
    assert "approved by ada (by way of west)" in capsys.readouterr().out
    assert await approve.run(clusters(east=waits()), "night", "callcenter") == 1
    assert "NOT CONFIRMED" in capsys.readouterr().out


async def test_an_approval_that_comes_too_late_says_how_the_shift_ended(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A question about a failover lapses in the very moment: the store never has the approval."""
    monkeypatch.setattr(ClusterWithAShift, "approved_at", "")
    lapsed = ClusterWithAShift("RolledBack", before="AwaitingApproval", approval="Manual")
    assert await approve.run(clusters(east=lapsed), "night", "callcenter") == 1
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == "Shift callcenter/night was over before it could be approved (RolledBack: so it is)"


async def test_who_approved_first_is_named_whichever_cluster_was_told(capsys: pytest.CaptureFixture[str]) -> None:
    already = "Shift callcenter/night was approved by bob already"
    west = ClusterWithAShift("AwaitingApproval", before="AwaitingApproval", first="bob", approval="Manual")
    assert await approve.run(clusters(west=west), "night", "callcenter") == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == f"{already}, by way of another cluster"
    # Its spec names the second person by now, and the store the first.
    assert west.spec["approvedBy"] == "ada"
    assert await approve.run(clusters(west=west), "night", "callcenter") == 0
    assert capsys.readouterr().out == f"{already}\n"


async def test_what_was_approved_elsewhere_is_approved_nowhere_again(capsys: pytest.CaptureFixture[str]) -> None:
    west = ClusterWithAShift("Preparing", first="bob", approval="Manual")
    west.changed = True  # as its status shows, not its spec
    assert await approve.run(clusters(west=west), "night", "callcenter") == 0
    assert capsys.readouterr().out == "Shift callcenter/night was approved by bob already\n"
    assert "approved" not in west.spec


async def test_who_aborted_first_is_named_whichever_cluster_was_told(capsys: pytest.CaptureFixture[str]) -> None:
    already = "Shift callcenter/night was aborted by bob already"
    west = ClusterWithAShift("Aborting", first="bob")
    assert await abort.run(clusters(west=west), "night", "callcenter") == 0
    assert capsys.readouterr().out == f"{already}, by way of another cluster\n"
    assert await abort.run(clusters(west=west), "night", "callcenter") == 0
    assert capsys.readouterr().out == f"{already}\n"


async def test_nobody_approves_a_plan_that_is_not_made_yet(capsys: pytest.CaptureFixture[str]) -> None:
    young = ClusterWithAShift("Preparing", before="Pending", plan="", approval="Manual")
    assert await approve.run(clusters(east=young), "night", "callcenter") == 1
    said = capsys.readouterr().out
    assert "Shift callcenter/night has no plan yet that could be approved (Pending: so it is)" in said
    assert "`kubectl get shift night -n callcenter -w` shows" in said
    assert not young.changed
    # Where an operator hears nothing from the store, its cluster does not show what another one has long since.
    west = ClusterWithAShift("Preparing", before="AwaitingApproval", approval="Manual")
    assert await approve.run(clusters(east=young, west=west), "night", "callcenter") == 0
    assert "approved by ada (by way of west)" in capsys.readouterr().out
    assert not young.changed


async def test_an_object_of_an_earlier_shift_of_the_name_is_passed_over(capsys: pytest.CaptureFixture[str]) -> None:
    old = ClusterWithAShift(before="Completed", reason="NameTaken")
    assert await abort.run(clusters(east=old, west=ClusterWithAShift("Aborting")), "night", "callcenter") == 0
    said = capsys.readouterr().out
    assert "cluster east: so it is; trying the next one" in said
    assert "aborted by ada (by way of west)" in said
    assert not old.changed


# -- names


async def test_a_name_may_have_its_namespace_as_everything_that_prints_one_shows_it() -> None:
    assert await abort.run(clusters(east=ClusterWithAShift("Aborting")), "callcenter/night", "") == 0


def test_a_name_and_an_option_that_say_two_namespaces_are_named() -> None:
    assert full_name("night", "", "mine") == "mine/night"
    assert full_name("night", "asked", "mine") == "asked/night"
    assert full_name("callcenter/night", "callcenter", "mine") == "callcenter/night"
    with pytest.raises(ConfigError, match="callcenter/night is of namespace callcenter, but --namespace says asked"):
        full_name("callcenter/night", "asked", "mine")


# -- shift


class SlowCluster:
    """Makes what it is asked for, and does not answer."""

    def __init__(self, *, answers: bool = False, has_it: bool = False) -> None:
        self.answers, self.has_it = answers, has_it
        self.made: list[str] = []

    async def get(self, path: str) -> dict[str, Any]:
        return {}

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if "selfsubjectreviews" in path:
            return {"status": {"userInfo": {"username": "ada"}}}
        self.made.append(body["metadata"]["name"])
        if self.has_it:
            raise TakenError("already exists")
        if not self.answers:
            raise ApiError("did not answer")
        return {}


async def test_a_shift_that_a_cluster_made_without_an_answer_is_the_same_in_the_next_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moments = itertools.count(1_800_000_000)
    monkeypatch.setattr("tandem.cli.shift.time.time", lambda: float(next(moments)))
    wanted = shift.Wanted(to="west", system="hotel")
    slow, west = SlowCluster(), SlowCluster(answers=True)
    assert await shift.run(clusters(east=slow, west=west), wanted, "callcenter", 0) == 0
    assert slow.made == west.made
    # By the time that the next one is asked it may be shown there. Alone, a name that is taken is somebody else's.
    shown = SlowCluster(has_it=True)
    assert await shift.run(clusters(east=SlowCluster(), west=shown), wanted, "callcenter", 0) == 0
    assert await shift.run(clusters(west=shown), wanted, "callcenter", 0) == 1


async def test_one_hold_is_one_request_in_every_cluster_and_the_next_one_is_another() -> None:
    asked: list[str] = []

    class Frozen:
        """Its API server answers, its operator does nothing."""

        async def get(self, path: str) -> dict[str, Any]:
            if path == "/version":
                return {}
            raise ApiError("gone")

        async def list(self, _: object) -> tuple[list[dict[str, Any]], str]:
            return [{"metadata": {"name": "east"}, "status": {"here": True}}], "1"

        async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
            return {"status": {"userInfo": {"username": "ada"}}}

        async def merge(self, path: str, body: dict[str, Any]) -> None:
            asked.append(json.loads(body["metadata"]["annotations"][HOLD_REQUEST])["id"])

    for _ in range(2):
        assert await hold.run(clusters(east=Frozen(), west=Frozen()), "hold", "storm") == 1
    assert len(asked) == 4
    assert asked[0] == asked[1]
    assert asked[2] == asked[3]
    assert asked[0] != asked[2]


class WithAnOperator:
    """Its API server answers. `acts`: its operator does what it is asked; else nobody has started it yet."""

    def __init__(self, site: str, *, acts: bool) -> None:
        self.site, self.acts = site, acts
        self.asked: list[dict[str, Any]] = []
        self.status: dict[str, Any] = {"here": True}

    async def get(self, path: str) -> dict[str, Any]:
        return {} if path == "/version" else {"status": self.status}

    async def list(self, _: object) -> tuple[list[dict[str, Any]], str]:
        return [{"metadata": {"name": self.site}, "status": self.status}], "1"

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return {"status": {"userInfo": {"username": "ada"}}}

    async def merge(self, path: str, body: dict[str, Any]) -> None:
        request = json.loads(body["metadata"]["annotations"][HOLD_REQUEST])
        self.asked.append(request)
        if self.acts:
            self.status["hold"] = {"active": True, "by": request["by"], "reason": request["reason"]}


async def test_a_city_whose_operator_is_still_starting_keeps_no_hold_waiting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(hold, "NEXT_AFTER_S", 0.05)
    monkeypatch.setattr(hold, "CONFIRM_S", 3600.0)
    east, west = WithAnOperator("east", acts=False), WithAnOperator("west", acts=True)
    async with asyncio.timeout(30):
        assert await hold.run(clusters(east=east, west=west), "hold", "storm") == 0
    assert [request["id"] for request in east.asked] == [request["id"] for request in west.asked]
    assert capsys.readouterr().out.startswith("HELD by ada (by way of west)")


async def test_a_city_that_confirms_at_once_is_the_only_one_that_is_asked() -> None:
    east, west = WithAnOperator("east", acts=True), WithAnOperator("west", acts=True)
    assert await hold.run(clusters(east=east, west=west), "hold", "storm") == 0
    assert len(east.asked) == 1
    assert west.asked == []


async def test_a_drill_command_that_nobody_takes_up_goes_on_to_the_next_cluster_as_the_same_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(drill, "ANSWER_S", 0.3)
    asked: list[str] = []

    class WithADrill:
        def __init__(self, *, acts: bool) -> None:
            self.acts = acts
            self.status: dict[str, Any] = {}

        async def get(self, path: str) -> dict[str, Any]:
            return {"status": self.status}

        async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
            return {"status": {"userInfo": {"username": "ada"}}}

        async def merge(self, path: str, body: dict[str, Any]) -> None:
            request = json.loads(body["metadata"]["annotations"][DRILL_REQUEST])["id"]
            asked.append(request)
            if self.acts:
                self.status = {"lastRequest": {"id": request, "answer": "aborted: the agents come back"}}

    found = clusters(east=WithADrill(acts=False), west=WithADrill(acts=True))
    assert await drill.run(found, "abort", "monthly", "callcenter", 0.0) == 0
    assert len(asked) == 2
    assert asked[0] == asked[1]
