"""Two softswitches of one system in one city share their phones."""

from pathlib import Path

import pytest

from tests.contract.softswitch.conftest import Floor, push_tables
from tests.contract.softswitch.cti_client import CtiClient
from tests.contract.softswitch.kamailio import Softswitch, eventually

pytestmark = pytest.mark.contract


async def test_a_phone_registered_at_one_replica_rings_for_a_call_at_the_other(
    directory_path: Path, tmp_path: Path, floor: Floor
) -> None:
    first = Softswitch("east", directory_path, tmp_path / "first")
    second = Softswitch("east", directory_path, tmp_path / "second")
    first.environment = {"TANDEM_REPLICA": "1/2", "TANDEM_REPLICA_PEER": second.address}
    second.environment = {"TANDEM_REPLICA": "2/2", "TANDEM_REPLICA_PEER": first.address}
    try:
        first.start()
        early = await floor.registered(first)
        second.start()
        late = await floor.registered(first, 1)
        push_tables(second)
        # Both the registration that came after the second replica and the one that was there before it.
        await eventually(
            lambda: bool(second.rpc("stats.fetchn", "usrloc:")["usrloc.location_contacts"] == 2),
            within=8,
            what="both phones known to the second replica",
        )
        cti = await CtiClient.connect(second.evapi)
        for phone in (early, late):
            caller, callee = await floor.talk(second, cti, phone)
            await caller.hang_up(callee)
        await cti.close()
    finally:
        first.kill()
        second.kill()
