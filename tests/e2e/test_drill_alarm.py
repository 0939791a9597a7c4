"""A Drill asks a real Prometheus that scrapes the engines: an alarm keeps it from starting, and one brings it back."""

from typing import Any, Final

import pytest

from demo.callcentre import CallCentre
from demo.waiting import until
from lab.addresses import CITIES
from tests.e2e.alarm_fixtures import ON_BREAK, QUERY, alarm, set_off
from tests.e2e.callcenter_fixtures import write
from tests.e2e.test_drill import maps

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

NAME: Final = "e2e-alarm"


def drill(names: list[str], url: str) -> dict[str, Any]:
    return {
        "apiVersion": "tandem.dev/v1alpha1",
        "kind": "Drill",
        "metadata": {"name": NAME, "namespace": "callcenter"},
        "spec": {
            "shift": {"selector": {"names": names}, "to": "west", "waves": [100]},
            "hold": "10m",
            "alarms": {
                "prometheus": {"url": url},
                "blocking": [alarm("too-many-on-break")],
                "outcome": [alarm("agents-walk-out")],
            },
        },
    }


async def test_an_alarm_blocks_a_drill_and_another_one_brings_it_back(centre: CallCentre, prometheus: str) -> None:
    groups = centre.quickstart.choose("east")
    names = [group.name.partition("/")[2] for group in groups]
    others = sorted(centre.accounts(centre.quickstart.choose("west")))[:ON_BREAK]
    before = await maps(centre, names)
    file = write("drill-alarm", drill(names, prometheus))

    async def status() -> dict[str, Any]:
        found: dict[str, Any] = (await centre.clusters["west"].get("drill", NAME)).get("status", {})
        return found

    async def becomes(what: str, timeout: float, **wanted: str) -> dict[str, Any]:
        async def there() -> tuple[bool, str]:
            now = await status()
            fits = all(now.get(field) == value for field, value in wanted.items())
            return fits, f"{now.get('phase')} ({now.get('reason')}): {now.get('message')}; alarms: {now.get('alarms')}"

        await until(what, there, timeout=timeout)
        return await status()

    try:
        for city in ("east", "west"):
            await centre.clusters[city].apply(file)

        async def asked() -> tuple[bool, str]:
            alarms = (await status()).get("alarms", ())
            return bool(alarms) and all(one["state"] == "Quiet" for one in alarms), str(alarms)

        await until("every alarm was asked", asked, timeout=90)  # once a minute while no run is due
        await set_off(centre, others, prometheus)
        await centre.tandem("drill", "run", NAME, "-n", "callcenter")
        blocked = await becomes("the alarm blocks it", 30, phase="Checking", reason="AlarmFiring")
        assert "too-many-on-break" in blocked["message"]
        assert QUERY in blocked["message"]
        await centre.floors.press("available", others)
        await becomes("it starts when the alarm is quiet, and they work at west", 90, phase="Holding")
        await centre.floors.press("break", others)
        over = await becomes("the outcome alarm brings it back", 90, phase="Waiting", lastOutcome="Failed")
        run = over["runs"][0]
        assert run["reason"] == "AlarmFired", run
        assert (run["alarm"]["name"], run["alarm"]["query"]) == ("agents-walk-out", QUERY)
        assert int(run["alarm"]["value"]) >= ON_BREAK
        assert run["alarm"]["at"]
        assert run["alarm"]["seenBy"] in CITIES
        assert run["back"]["moved"] > 0

        async def restored() -> tuple[bool, str]:
            now = await maps(centre, names)
            return now == before, str(now)

        await until("every bucket is where it was", restored, timeout=15)
    finally:
        await centre.floors.press("available", others)
        for city in ("east", "west"):
            # Whatever went wrong above: a Drill that is deleted in the middle of a run brings everybody back first.
            allow = ("annotate", "drill", NAME, "-n", "callcenter", "tandem.dev/allow-delete=true", "--overwrite")
            await centre.clusters[city].kubectl(*allow)
            await centre.clusters[city].kubectl("delete", "drill", NAME, "-n", "callcenter", "--wait=false")
