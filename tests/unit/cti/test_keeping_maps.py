"""A map is on the disk before it counts: before it opens a door, and before the engine is told that it was taken."""

import asyncio
import errno
import threading
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from callcenter.cti import mapstore
from callcenter.cti.app import Cti
from callcenter.cti.config import read_config
from callcenter.cti.errors import NotKeptError, WrongBootError
from callcenter.cti.mapkeeper import MapKeeper
from callcenter.session.door import parse_map
from callcenter.session.placements import Placement
from tests.unit.cti.centre import GROUP, OTHER, a_directory, an_environment

EAST, LEAVING = parse_map({"east": "0-99"}), parse_map({"east>west": "0-99"})


class SlowDisk:
    """A disk that writes when a test lets it."""

    def __init__(self) -> None:
        self.writes: list[dict[str, int]] = []
        self.works = True
        self.can_delete = False
        self.emptied = 0
        self.may_write = threading.Semaphore(0)

    def save(self, maps: Mapping[str, Placement]) -> None:
        assert self.may_write.acquire(timeout=10)
        if not self.works:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.writes.append({name: placement.revision for name, placement in maps.items()})

    def forget(self) -> None:
        if not self.can_delete:
            raise OSError(errno.EROFS, "Read-only file system")
        self.emptied += 1


@pytest.fixture
def disk() -> SlowDisk:
    return SlowDisk()


@pytest.fixture
async def keeper(disk: SlowDisk) -> AsyncIterator[MapKeeper]:
    keeper = MapKeeper(disk.save, disk.forget, {GROUP: Placement(5, EAST)})
    run = asyncio.create_task(keeper.run())
    yield keeper
    disk.may_write.release(100)
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)


async def begun(keeper: MapKeeper, **revisions: int) -> "asyncio.Task[None]":
    """A push that is under way."""
    task = asyncio.create_task(keeper.keep({name: Placement(n, LEAVING) for name, n in revisions.items()}))
    await asyncio.sleep(0.02)
    return task


async def test_a_push_waits_for_the_disk(disk: SlowDisk, keeper: MapKeeper) -> None:
    push = await begun(keeper, a=7)
    assert not push.done()
    disk.may_write.release()
    await asyncio.wait_for(push, 5)
    assert disk.writes == [{GROUP: 5, "a": 7}]


async def test_pushes_that_come_while_the_disk_is_busy_share_the_next_write(disk: SlowDisk, keeper: MapKeeper) -> None:
    pushes = [await begun(keeper, a=7)]
    pushes += [await begun(keeper, **{f"b{n}": 8 + n}) for n in range(20)]
    pushes.append(await begun(keeper, a=6))
    disk.may_write.release()
    await asyncio.wait_for(pushes[0], 5)
    assert [push.done() for push in pushes[1:-1]] == [False] * 20
    disk.may_write.release()
    await asyncio.wait_for(asyncio.gather(*pushes), 5)
    assert disk.writes == [{GROUP: 5, "a": 7}, {GROUP: 5, "a": 7} | {f"b{n}": 8 + n for n in range(20)}]


async def test_what_the_disk_has_is_not_written_again(disk: SlowDisk, keeper: MapKeeper) -> None:
    await asyncio.wait_for(keeper.keep({GROUP: Placement(5, EAST)}), 5)
    await asyncio.wait_for(keeper.keep({GROUP: Placement(4, LEAVING)}), 5)
    assert disk.writes == []


async def test_a_full_disk_forgets_what_is_old_rather_than_keep_agents_out(disk: SlowDisk, keeper: MapKeeper) -> None:
    disk.works, disk.can_delete = False, True
    push = await begun(keeper, a=7)
    disk.may_write.release()
    await asyncio.wait_for(push, 5)
    assert (disk.writes, disk.emptied) == ([], 1)
    disk.works = True
    push = await begun(keeper, b=8)
    disk.may_write.release()
    await asyncio.wait_for(push, 5)
    assert disk.writes == [{GROUP: 5, "a": 7, "b": 8}], "all of them, once it works again"


async def test_a_disk_that_takes_and_gives_nothing_refuses_and_is_tried_again_with_the_next_push(
    disk: SlowDisk, keeper: MapKeeper, caplog: pytest.LogCaptureFixture
) -> None:
    disk.works = False
    for _ in range(3):
        push = await begun(keeper, a=7)
        disk.may_write.release()
        with pytest.raises(NotKeptError, match="Read-only file system"):
            await asyncio.wait_for(push, 5)
    assert [record.levelname for record in caplog.records] == ["ERROR"], "said once"
    disk.works = True
    push = await begun(keeper, a=7)
    disk.may_write.release()
    await asyncio.wait_for(push, 5)
    assert disk.writes == [{GROUP: 5, "a": 7}]


# ---- the whole CTI


@pytest.fixture
async def cti(tmp_path: Path) -> AsyncIterator[Cti]:
    cti = Cti(read_config(an_environment(tmp_path)), a_directory())
    run = asyncio.create_task(cti._maps.run())
    yield cti
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)


def revisions(cti: Cti) -> dict[str, int]:
    return {name: placement.revision for name, placement in cti.centre.server.book.all().items()}


async def test_a_map_counts_when_the_disk_has_it_and_not_before(cti: Cti, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[Any] = []
    honest = mapstore.save

    def spying(directory: Path, placements: Mapping[str, Placement], priorities: Mapping[str, int]) -> None:
        held.append(revisions(cti))
        honest(directory, placements, priorities)
        held.append(revisions(cti))

    monkeypatch.setattr(mapstore, "save", spying)
    boot = cti.centre.server.boot
    answers = await cti.place(boot, {GROUP: Placement(3, EAST)}, confirmed=True)
    assert answers[GROUP].accepted
    assert held == [{}, {}]
    assert revisions(cti) == {GROUP: 3}
    assert mapstore.load(cti.config.state_dir) == {GROUP: Placement(3, EAST)}


async def test_what_is_refused_is_not_written(cti: Cti) -> None:
    boot = cti.centre.server.boot
    await cti.place(boot, {GROUP: Placement(3, EAST)}, confirmed=True)
    answers = await cti.place(boot, {GROUP: Placement(3, LEAVING), OTHER: Placement(4, EAST)}, confirmed=True)
    assert (answers[GROUP].reason, answers[OTHER].accepted) == ("SameRevisionOtherMap", True)
    assert mapstore.load(cti.config.state_dir) == {GROUP: Placement(3, EAST), OTHER: Placement(4, EAST)}


async def test_a_word_that_waited_for_the_disk_confirms_nothing_for_the_next_boot(
    cti: Cti, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process stood still meanwhile, and what was decided then nobody has told it."""
    honest = mapstore.save

    def standing_still(directory: Path, placements: Mapping[str, Placement], priorities: Mapping[str, int]) -> None:
        honest(directory, placements, priorities)
        cti._alive_at -= 60.0

    monkeypatch.setattr(mapstore, "save", standing_still)
    with pytest.raises(WrongBootError):
        await cti.place(cti.centre.server.boot, {GROUP: Placement(3, EAST)}, confirmed=True)
    assert not cti.centre.server.book.any_confirmed


async def test_the_engine_is_told_why_a_map_cannot_be_kept_and_may_try_again(
    cti: Cti, monkeypatch: pytest.MonkeyPatch
) -> None:
    boot = cti.centre.server.boot
    await cti.place(boot, {GROUP: Placement(3, EAST)}, confirmed=True)
    body = {
        "boot": boot,
        "confirmed": True,
        "guestCapacity": 7,
        "asOf": 1,
        "groups": {GROUP: {"revision": 4, "map": {"east>west": "0-99"}}},
    }
    headers = {"Authorization": "Bearer control-token"}
    async with TestClient(TestServer(cti.control.app())) as engine:
        with monkeypatch.context() as patch:
            patch.setattr(mapstore, "write_whole", no_space)
            patch.setattr(mapstore, "_sync_directory", no_space)
            answer = await engine.put("/v1/placements", json=body, headers=headers)
            said = await answer.json()
        assert (answer.status, said["error"]) == (507, "NotKept")
        assert "No space left on device" in said["message"]
        assert revisions(cti) == {GROUP: 3}, "doors and sessions go on by the map that is on the disk"
        answer = await engine.put("/v1/placements", json=body, headers=headers)
        assert answer.status == 200
    assert revisions(cti) == {GROUP: 4}
    assert cti.centre.server.guests.capacity == 7


async def test_a_push_that_was_late_on_its_way_does_not_set_an_older_number_of_guests(cti: Cti) -> None:
    headers = {"Authorization": "Bearer control-token"}
    held = []
    async with TestClient(TestServer(cti.control.app())) as engine:
        for revision, guests in ((10, 40), (9, 7), (10, 40), (11, 8), (12, 9)):
            body = {"boot": cti.centre.server.boot, "confirmed": True, "groups": {}, "guestCapacity": guests}
            answer = await engine.put("/v1/placements", json=body | {"asOf": revision}, headers=headers)
            assert answer.status == 200
            held.append(cti.centre.server.guests.capacity)
        answer = await engine.put("/v1/placements", json=body | {"guestCapacity": 3}, headers=headers)
        assert answer.status == 200, "an older engine says no revision, and its maps count"
        held.append(cti.centre.server.guests.capacity)
    assert held == [40, 40, 40, 8, 9, 9]


async def test_on_a_full_disk_a_map_counts_and_a_restart_knows_none(cti: Cti, monkeypatch: pytest.MonkeyPatch) -> None:
    boot = cti.centre.server.boot
    await cti.place(boot, {GROUP: Placement(3, EAST)}, confirmed=True)
    with monkeypatch.context() as patch:
        patch.setattr(mapstore, "write_whole", no_space)
        answers = await cti.place(boot, {GROUP: Placement(4, LEAVING)}, confirmed=True)
    assert answers[GROUP].accepted
    assert revisions(cti) == {GROUP: 4}
    assert mapstore.load(cti.config.state_dir) == {}


def no_space(path: Path, document: Any = None) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_write_that_fails_leaves_the_old_file_and_no_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mapstore.save(tmp_path, {GROUP: Placement(3, EAST)}, {})
    monkeypatch.setattr("os.fsync", lambda _: no_space(tmp_path, None))
    with pytest.raises(OSError, match="No space"):
        mapstore.save(tmp_path, {GROUP: Placement(4, EAST)}, {})
    monkeypatch.undo()
    assert mapstore.load(tmp_path) == {GROUP: Placement(3, EAST)}
    assert [path.name for path in tmp_path.iterdir()] == ["placements.json"]
