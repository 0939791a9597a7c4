"""What the matrix's observer makes of the store's bytes."""

import base64
import json
from typing import Any

from tests.matrix.watcher import Doors, Loss, Phones, Seen, take, unknown_maps


def row(key: str, value: dict[str, Any], revision: int = 1) -> dict[str, Any]:
    return {
        "key": base64.b64encode(f"/tandem/v1/{key}".encode()).decode(),
        "value": base64.b64encode(json.dumps(value).encode()).decode(),
        "mod_revision": str(revision),
    }


def placed(revision: int, **ranges: str) -> dict[str, Any]:
    return row("placement/n/g", {"map": ranges}, revision)


def report(site: str, revision: int, *, confirmed: bool = True) -> dict[str, Any]:
    return row(f"report/{site}/hotel", {"confirmed": confirmed, "groups": {"n/g": {"revision": revision}}})


def test_each_revision_of_a_map_is_noted_once() -> None:
    seen = Seen()
    for revision in (3, 3, 5):
        take(seen, [placed(revision, east="0-99")], [], [], [], at=float(revision))
    assert [p.revision for p in seen.placements] == [3, 5]
    assert seen.newest["n/g"].revision == 5
    assert set(seen.maps) == {("n/g", 3), ("n/g", 5)}


def test_doors_are_those_of_confirmed_ctis() -> None:
    seen = Seen()
    reports = [report("east", 3), report("west", 4, confirmed=False)]
    for at in (1.0, 2.0):
        take(seen, [], reports, [row("heartbeat/east", {})], [], at=at)
    assert seen.doors == [Doors(1.0, {"east": {"n/g": 3}})], "only changes are kept"


def test_a_loss_lasts_from_the_last_heartbeat_to_the_next_and_says_whether_it_was_failed_over() -> None:
    seen = Seen()
    active, ended = ([row("failover/east", {"state": state})] for state in ("Active", "Ended"))
    alive = [row("heartbeat/east", {})]
    for at, (heartbeats, failovers) in enumerate(
        [
            (alive, []),  # 0
            ([], []),  # 1: a moment that nobody made anything of
            (alive, []),  # 2
            (alive, active),  # 3: broken, but it writes: it can shut its doors
            ([], active),  # 4
            ([], active),  # 5
            (alive, active),  # 6: back, and it may not have heard of the newer map yet
            (alive, ended),  # 7
        ]
    ):
        take(seen, [], [report("east", 3)], heartbeats, failovers, at=float(at))
    assert seen.losses == [Loss("east", 1.0, 2.0, False), Loss("east", 4.0, 6.0, True)]


def test_a_failover_that_is_first_seen_together_with_the_return_belongs_to_the_loss() -> None:
    seen = Seen()
    alive, active = [row("heartbeat/east", {})], [row("failover/east", {"state": "Active"})]
    for at, heartbeats, failovers in ((1.0, [], []), (1.25, alive, active)):
        take(seen, [], [report("east", 3)], heartbeats, failovers, at=at)
    assert seen.losses == [Loss("east", 1.0, 1.25, True)]


def test_a_map_that_only_a_cti_names_is_asked_for() -> None:
    seen = Seen()
    take(seen, [placed(9, east="0-99")], [report("east", 7), report("west", 0)], [], [], at=1.0)
    assert unknown_maps(seen) == {("n/g", 7)}


def test_phones_are_known_by_the_directory(tmp_path: Any) -> None:
    file = tmp_path / "directory.json"
    file.write_text(json.dumps({"agents": [{"account": "a", "extensions": {"east": "51", "west": "61"}}]}))
    phones = Phones.read(file)
    assert phones.account_of == {"51": "a", "61": "a"}
    assert phones.city_of == {"51": "east", "61": "west"}
