"""Before the first wave the target is tried by a test agent, for this very Shift."""

from typing import Any

import pytest

from tandem.constants import PREPARE_PATIENCE_S
from tandem.domain import keys
from tandem.domain.reasons import Reason
from tandem.domain.records import TargetTestRecord
from tests.unit.domain.world import GROUP, World, site_spec

SHIFT = "callcenter/s1"
TO_WEST: dict[str, Any] = {"selector": {"system": "hotel"}, "to": "west"}


def a_world(mode: str = "SignInAndCall") -> World:
    """One group at east; west has test agents, whom nobody has tried yet."""
    world = World()
    spec = site_spec("west", "hotel")
    spec["systems"][0]["deepProbes"] = mode
    world.publish(keys.SITE, "west", spec)
    world.group({"east": 100})
    world.settle()
    world.sessions("east", GROUP, {1: 1})
    world.shift(**TO_WEST)
    world.settle()
    return world


def try_out(world: World, observer: str, *, ok: bool = True, shift: str = SHIFT) -> None:
    detail = "" if ok else "call: 486 Busy Here"
    record = TargetTestRecord(asked=(shift,), ok=ok, detail=detail, sign_in_s=0.1, call_s=0.2)
    world.put(keys.test(observer, "west", "hotel"), record)
    world.settle()


def test_the_first_wave_waits_for_a_test_by_the_target_and_by_another_location() -> None:
    world = a_world()
    record = world.shift_record()
    assert (record.phase, record.reason) == ("Preparing", Reason.TESTING_TARGET)
    assert "hotel at west" in record.message
    try_out(world, "west")
    assert "another location" in world.shift_record().message
    assert world.placement() == {"east": "0-99"}
    try_out(world, "witness")
    assert world.shift_record().phase == "Moving"


@pytest.mark.parametrize(
    ("results", "reason"),
    [
        pytest.param({"witness": True, "east": True}, Reason.TESTING_TARGET, id="its-own-location-is-missing"),
        pytest.param({"west": False, "witness": True}, Reason.TARGET_TEST_FAILED, id="its-own-test-failed"),
        pytest.param({"west": True, "witness": False}, Reason.TARGET_TEST_FAILED, id="nobody-else-gets-through"),
        pytest.param({"west": True, "witness": False, "east": True}, None, id="one-other-gets-through"),
    ],
)
def test_whose_tests_count(results: dict[str, bool], reason: Reason | None) -> None:
    world = a_world()
    for observer, ok in results.items():
        try_out(world, observer, ok=ok)
    record = world.shift_record()
    if reason is None:
        assert record.phase == "Moving"
    else:
        assert (record.phase, record.reason) == ("Preparing", reason)
        assert ("486" in record.message) == (reason is Reason.TARGET_TEST_FAILED)


def test_a_test_for_another_shift_does_not_count() -> None:
    world = a_world()
    for observer in ("west", "witness"):
        try_out(world, observer, shift="callcenter/yesterday")
    assert world.shift_record().reason == Reason.TESTING_TARGET


def test_a_target_that_never_passes_fails_the_shift_with_nobody_moved() -> None:
    world = a_world()
    try_out(world, "west", ok=False)
    world.advance(PREPARE_PATIENCE_S + 0.1)
    world.settle()
    record = world.shift_record()
    assert (record.phase, record.reason) == ("Failed", Reason.TARGET_TEST_FAILED)
    assert "486" in record.message
    assert world.placement() == {"east": "0-99"}


def test_an_abort_does_not_wait_for_a_test() -> None:
    world = a_world()
    world.change_shift(abort=True)
    world.settle()
    assert world.shift_record().phase == "RolledBack"


def test_a_later_wave_is_not_tested_again() -> None:
    world = a_world()
    for observer in ("west", "witness"):
        try_out(world, observer)
    for observer in ("west", "witness"):
        world.delete(keys.test(observer, "west", "hotel"))
    world.settle()
    assert world.shift_record().phase == "Moving"


@pytest.mark.parametrize(
    ("mode", "gate", "limit"),
    [
        ("None", "", "has no test agents"),
        ("SignIn", "a test agent must sign in at hotel at west", "are not called"),
        ("SignInAndCall", "a test agent must sign in at hotel at west", ""),
    ],
)
def test_the_plan_says_what_is_tried_and_what_is_not(mode: str, gate: str, limit: str) -> None:
    record = a_world(mode).shift_record()
    gates, limits = " ".join(record.planned.gates), " ".join(record.planned.limits)
    assert ("a test agent must" in gates, gate in gates) == (bool(gate), True)
    assert ("beforehand" in limits, limit in limits) == (bool(limit), True)
    assert (record.phase == "Moving") == (mode == "None")
