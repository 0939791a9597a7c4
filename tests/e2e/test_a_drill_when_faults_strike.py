"""What can happen to a Drill while its agents work at the other site: it carries on, or ends and says why."""

from typing import Any

import pytest

from demo.callcentre import CallCentre
from demo.waiting import until
from tests.e2e.callcenter_fixtures import write
from tests.e2e.test_drill import maps
from tests.e2e.test_every_phase_of_a_move import coordinator_change, emergency, softswitch_crash

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

EVENTS = {
    "the coordinator changes": (coordinator_change, ("Succeeded",)),
    "the city that they came from is lost": (emergency, ("Interrupted",)),
    # Kubernetes lets what has crashed several times wait: its system may be Down for so long.
    "the softswitch at the target crashes": (softswitch_crash, ("Succeeded", "Interrupted")),
}


@pytest.mark.parametrize("event", EVENTS)
async def test_a_drill_carries_on_or_says_why_it_ended(centre: CallCentre, event: str) -> None:
    strike, outcomes = EVENTS[event]
    groups = centre.quickstart.choose("east")[:2]  # the others stay: there is somebody to be lost with the city
    names = [group.name.partition("/")[2] for group in groups]
    before = await maps(centre, names)
    drill = f"e2e-struck-{list(EVENTS).index(event)}"
    manifest = {
        "apiVersion": "tandem.dev/v1alpha1",
        "kind": "Drill",
        "metadata": {"name": drill, "namespace": "callcenter"},
        "spec": {"shift": {"selector": {"names": names}, "to": "west", "waves": [100]}, "hold": "15s"},
    }
    status: dict[str, Any] = {}

    async def phase(wanted: str) -> tuple[bool, str]:
        nonlocal status
        status = (await centre.clusters["west"].get("drill", drill)).get("status", {})
        return status.get("phase") == wanted, f"{status.get('phase')}: {status.get('message')}"

    async def over() -> tuple[bool, str]:
        await phase("")
        return bool(status.get("runs")), f"{status.get('phase')}: {status.get('message')}"

    try:
        await centre.clusters["west"].apply(write(drill, manifest))
        await until("it waits to be run", lambda: phase("Waiting"), timeout=30)
        await centre.tandem("drill", "run", drill, "-n", "callcenter", "--contexts", "west")
        await until("the agents work at west", lambda: phase("Holding"), timeout=90)
        await strike(centre, drill)
        await until("the run is over", over, timeout=180)
        (run,) = status["runs"]
        assert run["outcome"] in outcomes, run
        if run["outcome"] == "Succeeded":
            assert await maps(centre, names) == before
        else:
            lost = "west" if event.startswith("the softswitch") else "east"
            assert run["reason"] == "FailedOver", run
            assert lost in [city for city, _ in centre.commits.failovers], run
    finally:
        await centre.lab.faults.undo_all()
        allow = ("annotate", "drill", drill, "-n", "callcenter", "tandem.dev/allow-delete=true", "--overwrite")
        await centre.clusters["west"].kubectl(*allow)
        await centre.clusters["west"].kubectl("delete", "drill", drill, "-n", "callcenter", "--wait=false")
