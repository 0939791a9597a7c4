"""kill -9 of a softswitch pod: it has forgotten everything; its tables are back within 5 s of its being ready."""

import asyncio
import json
import sys
import time
from typing import Any

import pytest

from demo.callcentre import CallCentre
from demo.waiting import until
from tests.e2e.callcenter_fixtures import E2E_OUT

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

ASK = """
import json, sys, urllib.request
url, token, method, params = sys.argv[1:5]
body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": json.loads(params)}).encode()
headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
print(urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=2).read().decode())
"""


async def rpc(centre: CallCentre, city: str, system: str, method: str, params: list[str]) -> Any:
    """One question to a softswitch's control port, which only its own city reaches."""
    log = E2E_OUT / "rpc.log"
    log.unlink(missing_ok=True)
    service = await centre.clusters[city].get("service", f"softswitch-{system}")
    url = f"http://{service['spec']['clusterIP']}:8080/RPC"
    asked = centre.lab.spawn(
        city, [sys.executable, "-c", ASK, url, centre.installation.control_token, method, json.dumps(params)], log=log
    )
    await asyncio.to_thread(asked.wait, 5)
    return json.loads(log.read_text(encoding="utf-8"))["result"]


async def tables(centre: CallCentre, city: str, system: str) -> dict[str, str]:
    """Numbers and placements that a softswitch holds."""
    found: dict[str, str] = {}
    for table in ("numbers", "placement"):
        for slot in await rpc(centre, city, system, "htable.dump", [table]):
            for entry in slot["slot"]:
                found[f"{table}/{entry['name']}"] = str(entry["value"])
    return found


async def tables_at_rest(centre: CallCentre, city: str, system: str) -> dict[str, str]:
    """The same, when the last move's revisions have arrived: nothing has changed for two seconds."""
    held: dict[str, str] = {}

    async def unchanged() -> tuple[bool, str]:
        nonlocal held
        before, held = held, await tables(centre, city, system)
        return held == before, f"{len(held)} entries"

    await until(f"the tables of softswitch-{system} at rest", unchanged, timeout=20, every=2.0)
    return held


async def ready_since(centre: CallCentre, city: str, system: str) -> str | None:
    """When the pod's container started anew and is ready; None while it is not."""
    pods = await centre.clusters[city].get("pods")
    for pod in pods["items"]:
        if pod["metadata"]["name"].startswith(f"softswitch-{system}-"):
            ready = next(c for c in pod["status"]["conditions"] if c["type"] == "Ready")
            status = pod["status"]["containerStatuses"][0]
            running = status["state"].get("running")
            # The pod may be called ready for a moment longer than its container runs.
            return str(running["startedAt"]) if running and ready["status"] == "True" and status["ready"] else None
    return None


async def test_tables_are_back_within_five_seconds_of_ready_and_calls_are_answered(centre: CallCentre) -> None:
    hotel = centre.quickstart.choose("east", system="hotel")
    before = await tables_at_rest(centre, "east", "hotel")
    numbers = {key for key in before if key.startswith("numbers/")}
    assert {key for key in numbers if not key.startswith("numbers/tandem-probe.")} == {
        f"numbers/{number}" for number in centre.quickstart.numbers_of(centre.quickstart.choose(system="hotel"))
    }
    started = await ready_since(centre, "east", "hotel")
    # On a slow machine it stays away for long enough to be given up, and its groups would be placed elsewhere.
    await centre.tandem("hold", "--reason", "a softswitch is killed")

    await centre.lab.faults.kill("east", "pod/callcenter/softswitch-hotel")

    async def ready_again() -> tuple[bool, str]:
        now = await ready_since(centre, "east", "hotel")
        return now is not None and now != started, str(now)

    await until("the softswitch is ready again", ready_again, timeout=60, every=0.1)
    ready_at = time.monotonic()

    async def as_before() -> tuple[bool, str]:
        held = await tables(centre, "east", "hotel")
        other = sorted(key for key in held.keys() | before.keys() if held.get(key) != before.get(key))
        return not other, f"{len(held)} of {len(before)} entries, other than before: {', '.join(other) or 'none'}"

    await until("the tables are back", as_before, timeout=5, every=0.1)
    assert time.monotonic() - ready_at <= 5

    # What the tables are for: a call to east's numbers is answered again.
    known = set(centre.carrier.calls)
    await centre.load(3, hotel)

    async def answered() -> tuple[bool, str]:
        await centre.carrier.look()
        new = [call for ident, call in centre.carrier.calls.items() if ident not in known]
        return any(call.answered_at and call.agent.startswith("51") for call in new), str([c.fate for c in new])

    await until("a call is answered at east", answered, timeout=20)
