"""Waiting that ends, and says how it stood."""

import pytest

from demo.errors import NotInTimeError
from demo.waiting import until


async def test_what_happens_is_waited_for_and_told() -> None:
    answers = iter([(False, "1 of 2"), (False, "1 of 2"), (True, "2 of 2")])
    told: list[str] = []

    async def check() -> tuple[bool, str]:
        return next(answers)

    await until("two", check, timeout=5, every=0, told=told.append)

    assert told == ["1 of 2", "2 of 2"]


async def test_what_never_happens_is_named_with_its_last_words() -> None:
    async def check() -> tuple[bool, str]:
        raise OSError("no route")

    with pytest.raises(NotInTimeError, match=r"the API: not after 0 s.*OSError: no route"):
        await until("the API", check, timeout=0, every=0)
