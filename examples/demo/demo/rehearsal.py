"""The demo's drill: started by command under calls, followed by its status, and its report as Tandem has written it."""

import json
from dataclasses import dataclass
from typing import Any, Final

from demo.callcentre import CallCentre, Say
from demo.paths import shown
from demo.waiting import until

NAME: Final = "everyone-short"
RUN_S: Final = 90.0
"""Seconds that the run may take: two ways of a call and its wrap-up each, the hold, and a slow machine."""


@dataclass(frozen=True)
class Rehearsal:
    """One run, and its report in both forms."""

    outcome: str
    message: str
    data: dict[str, Any]
    page: str

    @property
    def complete(self) -> bool:
        return self.outcome == "Succeeded"


async def rehearse(centre: CallCentre, say: Say) -> Rehearsal:
    """Apply the Drill in one city, start it, wait until it is over, and fetch its report."""
    file = centre.quickstart.folder / "drills" / f"{NAME}.yaml"
    say(f"$ kubectl --context east apply -f {shown(file)}")
    await centre.clusters["east"].apply(file)
    before = len((await _status(centre)).get("runs", ()))

    async def ready() -> tuple[bool, str]:
        status = await _status(centre)
        said = [
            one["message"] for one in status.get("conditions", ()) if (one["type"], one["status"]) == ("Ready", "True")
        ]
        return bool(said), str(status.get("conditions"))

    await until(f"Drill {NAME} is known", ready, timeout=20)
    say(f"$ kubectl tandem drill run {NAME} -n callcenter")
    await centre.tandem("drill", "run", NAME, "-n", "callcenter")
    told: list[str] = []

    async def over() -> tuple[bool, str]:
        status = await _status(centre)
        words = f"{status.get('phase')}: {status.get('message')}"
        if words not in told and status.get("phase") in ("Out", "Holding", "Back"):
            told.append(words)
            say(words)
        return len(status.get("runs", ())) > before, words

    await until("the drill is over", over, timeout=RUN_S)

    async def written() -> tuple[bool, str]:
        (run, *_) = (await _status(centre))["runs"]
        return bool(run.get("report")), str(run)

    await until("its report is written", written, timeout=20)
    command = ("drill", "report", NAME, "-n", "callcenter", "-o")
    data: dict[str, Any] = json.loads(await centre.tandem(*command, "json"))
    page = await centre.tandem(*command, "html")
    say(f"drill {data['outcome']}: {data['message']}; {data['restoredText']}")
    return Rehearsal(data["outcome"], data["message"], data, page)


async def _status(centre: CallCentre) -> dict[str, Any]:
    found: dict[str, Any] = (await centre.clusters["east"].get("drill", NAME)).get("status", {})
    return found
