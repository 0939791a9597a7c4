"""Transactions of the coordinator."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from unittest import mock

import pytest

from tandem.constants import TXN_OPERATIONS
from tandem.domain import keys
from tandem.domain.decide import decide
from tandem.domain.decision import Commit, Decision, Premise
from tandem.domain.reasons import Reason
from tandem.domain.records import FailoverRecord, HoldRequestRecord
from tandem.domain.snapshot import Instant, Snapshot
from tandem.engine.coordinator import pack, transaction
from tandem.engine.ports import Delete, Guard, Put
from tests.unit.domain.world import GROUP
from tests.unit.engine.cities import Cities
from tests.unit.engine.virtual import run_virtual

REIGN = Premise(keys.COORDINATOR, create_revision=7)


def a_commit(number: int, writes: int = 1, premises: int = 0) -> Commit:
    return Commit(
        subject=f"{number}",
        reason=Reason.PLANNED,
        sentence="",
        premises=(REIGN, *(Premise(f"p{number}-{i}", mod_revision=1) for i in range(premises))),
        writes={f"w{number}-{i}": HoldRequestRecord(id="x") for i in range(writes)},
    )


@pytest.mark.parametrize(
    ("commits", "sizes"),
    [
        pytest.param([], [], id="none"),
        pytest.param([a_commit(n) for n in range(8)], [8], id="eight-orders-are-one-transaction"),
        pytest.param([a_commit(n, writes=3, premises=3) for n in range(40)], [33, 7], id="as-many-as-fit"),
        pytest.param([a_commit(1, writes=99), a_commit(2, writes=1), a_commit(3)], [2, 1], id="by-writes"),
        pytest.param([a_commit(1, premises=60), a_commit(2, premises=60)], [1, 1], id="by-premises"),
    ],
)
def test_commits_share_transactions_as_far_as_they_fit(commits: list[Commit], sizes: list[int]) -> None:
    batches = pack(commits)
    assert [len(batch) for batch in batches] == sizes
    assert [commit for batch in batches for commit in batch] == commits
    for batch in batches:
        guards, writes = transaction(batch)
        assert len(guards) <= TXN_OPERATIONS
        assert len(writes) <= TXN_OPERATIONS


def test_a_transaction_compares_each_premise_once_and_deletes_what_has_no_value() -> None:
    delete = Commit("", Reason.FORGOTTEN, "", (REIGN, Premise("k", mod_revision=3)), {"k": None})
    guards, writes = transaction([a_commit(1), delete])
    assert guards == [Guard(keys.COORDINATOR, create_revision=7), Guard("k", mod_revision=3)]
    assert writes == [Put("w1-0", HoldRequestRecord(id="x").encode()), Delete("k")]


def test_an_engine_that_does_not_reign_commits_nothing() -> None:
    async def story() -> None:
        cities = Cities()
        await cities.start()
        await cities.engines["witness"].kill()
        for site in ("east", "west"):
            cities.engines[site].election.epoch = lambda: 0  # type: ignore[method-assign]
        cities.group({"east": 100})
        await asyncio.sleep(10.0)
        assert cities.placement() == {}
        await cities.stop()

    run_virtual(story())


def test_an_engine_that_believes_in_a_reign_that_has_ended_commits_nothing() -> None:
    async def story() -> None:
        cities = Cities()
        await cities.start()
        witness = cities.engines["witness"]
        epoch = witness.election.epoch()
        assert epoch
        for site in ("east", "west"):
            cities.engines[site].coordinator._turn = _nothing  # type: ignore[method-assign]
        # It goes on believing, and everything but the end of its reign reaches its picture.
        witness.election.epoch = lambda: epoch  # type: ignore[method-assign]
        real = witness.picture._take
        witness.picture._take = lambda key, *rest: None if key == keys.COORDINATOR else real(key, *rest)  # type: ignore[method-assign]
        cities.delete(keys.COORDINATOR)
        cities.group({"east": 100})
        await asyncio.sleep(3.0)
        assert witness.coordinator.figures.refused > 0
        assert cities.placement() == {}
        await cities.stop()

    run_virtual(story())


def test_a_commit_that_no_transaction_can_hold_stops_neither_the_engine_nor_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def decide_too_much(snapshot: Snapshot, now: Instant) -> Decision:
        found = decide(snapshot, now)
        premises = tuple(Premise(f"/tandem/v1/{number}", mod_revision=0) for number in range(200))
        huge = Commit("Site east", Reason.FAILED_OVER, "a defect", premises, {"/tandem/v1/huge": None})
        return replace(found, commits=(huge, *found.commits))

    async def story() -> None:
        cities = Cities()
        await cities.start()
        cities.group({"east": 100})
        await cities.until(lambda: cities.placement() == {"east": "0-99"})
        figures = cities.engines["witness"].coordinator.figures
        assert figures.defects > 0
        assert figures.refused == 0
        await cities.stop()

    monkeypatch.setattr("tandem.engine.coordinator.decide", decide_too_much)
    run_virtual(story())


def test_when_a_failovers_record_is_refused_none_of_its_other_transactions_is_sent() -> None:
    async def story() -> None:
        cities = Cities()
        await cities.start()
        coordinator = cities.engines["witness"].coordinator
        sent: list[str] = []

        async def refuses(batch: Sequence[Commit], snapshot: Snapshot) -> bool:
            sent.extend(commit.sentence for commit in batch)
            return False

        coordinator._commit = refuses  # type: ignore[method-assign]
        coordinator._conflicts = 1  # each goes alone
        record = FailoverRecord(number=1, state="Active")
        opening = Commit("Site east", Reason.FAILED_OVER, "with its record", (), {keys.failover("east"): record})
        rest = Commit("Site east", Reason.FAILED_OVER, "the rest", (), {keys.placement(GROUP): None})
        with mock.patch("tandem.engine.coordinator.decide", return_value=Decision(commits=(opening, rest))):
            await coordinator._turn()
            assert sent == ["with its record"]
        with mock.patch("tandem.engine.coordinator.decide", return_value=Decision(commits=(rest, opening))):
            sent.clear()
            await coordinator._turn()
            assert sent == ["the rest", "with its record"]
        await cities.stop()

    run_virtual(story())


def test_when_a_failovers_record_cannot_even_be_sent_none_of_its_other_transactions_is() -> None:
    async def story() -> None:
        cities = Cities()
        await cities.start()
        cities.group({"east": 100})
        await cities.until(lambda: cities.placement() == {"east": "0-99"})
        coordinator = cities.engines["witness"].coordinator
        coordinator._conflicts = 1  # each goes alone
        premises = tuple(Premise(f"/tandem/v1/{number}", mod_revision=0) for number in range(200))
        record = FailoverRecord(number=1, state="Active")
        opening = Commit("Site east", Reason.FAILED_OVER, "too large", premises, {keys.failover("east"): record})
        rest = Commit("Site east", Reason.FAILED_OVER, "the rest", (), {keys.placement(GROUP): None})
        with mock.patch("tandem.engine.coordinator.decide", return_value=Decision(commits=(opening, rest))):
            await coordinator._turn()
        assert coordinator.figures.defects == 1
        assert cities.placement() == {"east": "0-99"}
        await cities.stop()

    run_virtual(story())


async def _nothing() -> None:
    await asyncio.sleep(0.1)


def test_a_new_coordinator_decides_only_after_a_linearizable_read() -> None:
    async def story() -> None:
        cities = Cities()
        await cities.start()
        cities.group({"east": 100})
        await cities.until(lambda: cities.placement() == {"east": "0-99"})
        east = cities.engines["east"]
        # Its watch is deaf from now on: only a read can tell it of the hold.
        east.picture._apply_changes = lambda changes: None  # type: ignore[method-assign]
        cities.hold()
        await cities.engines["west"].kill()
        await cities.engines["witness"].kill()
        await cities.until(lambda: bool(east.election.epoch()), within=20.0)
        await asyncio.sleep(6.0)
        assert east.picture.snapshot.hold is not None
        await cities.stop()

    run_virtual(story())
