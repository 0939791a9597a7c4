"""Whether the location's member of the store takes part is said when it has been found several times, not before."""

import asyncio
from collections.abc import Callable, Sequence

from tandem.domain import keys
from tandem.domain.records import StoreMemberRecord
from tandem.engine.picture import Picture
from tandem.engine.ports import Membership, StoreError
from tandem.engine.publisher import Publisher
from tandem.engine.store_member import LOOK_S, LOOKS, StoreMember
from tests.support.memory_store import MemoryEtcd
from tests.unit.engine.virtual import VirtualClock, run_virtual

KEY = keys.store_member("witness")
GOOD = Membership("8e9e05c52164694d", 3)
TAKES_PART = (True, "8e9e05c52164694d", 3, "")

Answer = Membership | str | None
"""What a look finds: an answer, why there is none, or None where nobody could ask."""


class Member:
    """Answers look by look, the last answer for ever."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        self.answers = list(answers)
        self.asked: list[float] = []

    async def membership(self, *, timeout: float) -> Membership | None:
        assert timeout < LOOK_S
        self.asked.append(asyncio.get_running_loop().time())
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, str):
            raise StoreError(answer)
        return answer


def told(
    *answers: Answer, looks: int | None = None, live: Callable[[int], bool] = lambda look: True
) -> list[tuple[bool, str, int, str]]:
    """What the store shows of the member after each look. `live`: whether the store as a whole is, at look 0, 1, ..."""
    seen: list[tuple[bool, str, int, str] | None] = []
    member = Member(answers)

    async def story() -> None:
        clock = VirtualClock()
        etcd = MemoryEtcd(clock)
        store = etcd.client()
        picture = Picture(store, clock)
        publisher = Publisher(store, clock)
        tasks = [asyncio.create_task(publisher.run())]
        await asyncio.sleep(0.1)
        picture.live = live(0)
        tasks.append(asyncio.create_task(StoreMember("witness", picture, publisher, member, clock).run()))
        revisions = []
        for look in range(looks or len(answers)):
            await asyncio.sleep(LOOK_S / 2)
            assert len(member.asked) == look + 1
            found = etcd.get(KEY)
            revisions.append(found.mod_revision if found else 0)
            record = StoreMemberRecord.model_validate_json(found.value) if found else None
            seen.append((record.works, record.member, record.voters, record.detail) if record else None)
            picture.live = live(look + 1)
            await asyncio.sleep(LOOK_S / 2)
        for task in tasks:
            assert not task.done()
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await etcd.aclose()
        news = [now for before, now in zip([None, *seen], seen, strict=False) if now != before]
        assert len(set(revisions) - {0}) == len(news), "written when it changes, and not otherwise"

    run_virtual(story())
    return seen  # type: ignore[return-value]


def test_a_member_that_answers_is_said_to_take_part_at_once_and_once() -> None:
    assert told(GOOD, looks=20) == [TAKES_PART] * 20


def test_one_that_does_not_is_named_after_a_few_looks_in_a_row() -> None:
    found = told(GOOD, "refused", looks=3 + LOOKS)
    assert found[:LOOKS] == [TAKES_PART] * LOOKS
    assert found[LOOKS:] == [(False, "8e9e05c52164694d", 3, "refused")] * 3


def test_a_stall_now_and_then_is_no_news() -> None:
    answers = ([GOOD] + ["slow"] * (LOOKS - 1)) * 5
    assert told(*answers) == [TAKES_PART] * len(answers)


def test_nor_is_one_good_answer_of_a_member_that_is_not_well() -> None:
    out = (False, "8e9e05c52164694d", 3, "slow")
    answers = [GOOD, *["slow"] * LOOKS, *([GOOD] * (LOOKS - 1) + ["slower"]) * 4]
    assert told(*answers)[LOOKS:] == [out] * (len(answers) - LOOKS)


def test_one_that_is_well_again_is_said_to_be() -> None:
    found = told(GOOD, *["slow"] * LOOKS, GOOD, looks=2 * LOOKS + 1)
    assert [works for works, *_ in found] == [True] * LOOKS + [False] * LOOKS + [True]


def test_one_that_never_answered_is_named_too() -> None:
    found = told("refused", looks=LOOKS)
    assert found == [None] * (LOOKS - 1) + [(False, "", 0, "refused")]


def test_while_the_whole_store_is_silent_nothing_is_told_of_one_member() -> None:
    answers: list[Answer] = [GOOD, *["no leader"] * 10, GOOD]
    assert told(*answers, live=lambda look: not 1 <= look <= 10) == [TAKES_PART] * 12


def test_who_is_too_busy_to_ask_has_learned_nothing() -> None:
    answers: list[Answer] = [GOOD, "slow", None, "slow", None, None, "slow"]
    found = told(*answers)
    assert [works for works, *_ in found] == [True] * 6 + [False]
    assert told(GOOD, None, looks=10) == [TAKES_PART] * 10


def test_members_that_come_and_go_are_counted_anew() -> None:
    assert [voters for _, _, voters, _ in told(GOOD, Membership(GOOD.member, 4), GOOD)] == [3, 4, 3]
