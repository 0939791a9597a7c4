"""Verdicts from sources that are counted once each; missing evidence is none."""

import pytest

from tandem.domain import keys
from tandem.domain.snapshot import Instant
from tandem.domain.verdicts import (
    State,
    component_verdict,
    next_confirmation,
    site_verdict,
    system_verdict,
    usability,
)
from tandem.domain.words import CLIENTS, Word, accusation, watching
from tests.unit.domain.world import World, site_spec


def test_clients_are_a_source_of_their_own_and_never_the_only_one_beside_the_receiver() -> None:
    by_clients = word(f"{CLIENTS}west", "clients")
    assert accusation([word("witness"), by_clients]).enough
    assert not accusation([by_clients, word(f"{CLIENTS}north", "clients")]).enough
    assert not accusation([by_clients, word("west")], receiving="west").enough


def word(observer: str, domain: str = "", seen_at: float = 0.0) -> Word:
    return Word(observer, domain, passes=False, since=0.0, seen_at=seen_at)


@pytest.mark.parametrize(
    ("against", "receiving", "independent", "enough"),
    [
        pytest.param([], "", 0, False, id="nobody"),
        pytest.param([word("witness")], "", 1, False, id="one"),
        pytest.param([word("witness"), word("west")], "", 2, True, id="two"),
        pytest.param([word("witness", "d1"), word("west", "d1")], "", 1, False, id="one-failure-domain-is-one"),
        pytest.param([word("witness"), word("west")], "west", 2, True, id="the-receiver-and-another"),
        pytest.param([word("west", "d1"), word("west", "d2")], "west", 2, False, id="only-the-receiver"),
    ],
)
def test_an_accusation_needs_two_independent_sources_not_only_the_receiver(
    against: list[Word], receiving: str, independent: int, enough: bool
) -> None:
    found = accusation(against, receiving)
    assert (found.independent, found.enough) == (independent, enough)


def test_an_accusation_is_unbroken_since_its_second_source_spoke() -> None:
    against = [word("witness", seen_at=5.0), word("west", seen_at=9.0), word("north", seen_at=20.0)]
    assert accusation(against).unbroken_since == 9.0


def silence(world: World, *observers: str, components: tuple[str, ...] = ("softswitch", "cti")) -> None:
    for observer in observers:
        for component in components:
            world.delete(keys.observation(observer, "east", "hotel", component))


def stale(world: World, *observers: str) -> None:
    for observer in observers:
        world.observe(observer, "east", "hotel", "cti", stale=True)


@pytest.mark.parametrize(
    ("change", "state", "reason", "usable"),
    [
        pytest.param(lambda w: None, State.HEALTHY, "ProbesPass", True, id="all-pass"),
        pytest.param(
            lambda w: w.observe("west", "east", "hotel", "cti", passes=False, firm=False),
            State.SUSPECT,
            "AccusedByOne",
            True,
            id="one-accuser-while-own-and-witness-pass",
        ),
        pytest.param(
            lambda w: w.observe("west", "east", "hotel", "cti", passes=False),
            State.DEGRADED,
            "AccusedByOne",
            True,
            id="one-firm-accuser-of-a-usable-site",
        ),
        pytest.param(
            lambda w: [w.observe(o, "east", "hotel", "cti", passes=False) for o in ("east", "west", "witness")],
            State.DOWN,
            "OwnWordToo",
            False,
            id="it-says-so-itself-and-nobody-gets-through",
        ),
        pytest.param(
            lambda w: w.observe("west", "east", "hotel", "call", passes=False),
            State.DEGRADED,
            "AccusedByOne",
            True,
            id="a-call-that-one-outsider-cannot-make",
        ),
        pytest.param(
            lambda w: w.observe("east", "east", "hotel", "sign-in", passes=False),
            State.SUSPECT,
            "AccusedByOne",
            False,
            id="its-own-test-agent-cannot-sign-in",
        ),
        pytest.param(
            lambda w: [w.observe(o, "east", "hotel", "call", passes=False) for o in ("east", "witness")],
            State.DOWN,
            "OwnWordToo",
            False,
            id="refuses-calls-while-options-answer",
        ),
        pytest.param(
            lambda w: [w.observe(o, "east", "hotel", "cti", passes=False) for o in ("west", "witness")],
            State.SUSPECT,
            "AccusedByTwo",
            False,
            id="two-accusers",
        ),
        pytest.param(
            lambda w: w.observe("east", "east", "hotel", "softswitch", passes=False),
            State.SUSPECT,
            "AccusedByOne",
            False,
            id="its-own-probe-fails",
        ),
        pytest.param(
            lambda w: silence(w, "east", "west", "witness"), State.UNKNOWN, "NoEvidence", False, id="nobody-says"
        ),
        pytest.param(lambda w: silence(w, "east"), State.UNKNOWN, "NoOwnWord", False, id="no-own-word"),
        pytest.param(lambda w: stale(w, "east"), State.UNKNOWN, "NoOwnWord", False, id="a-stale-own-word-is-none"),
        pytest.param(lambda w: stale(w, "west"), State.HEALTHY, "ProbesPass", True, id="a-stale-word-is-no-accusation"),
        pytest.param(
            lambda w: stale(w, "west", "witness"), State.UNKNOWN, "NoOutsideWord", False, id="only-stale-words-outside"
        ),
        pytest.param(
            lambda w: silence(w, "west", "witness"), State.UNKNOWN, "NoOutsideWord", False, id="no-outside-word"
        ),
        pytest.param(lambda w: silence(w, "west"), State.HEALTHY, "ProbesPass", True, id="one-outside-word-is-enough"),
        pytest.param(
            lambda w: w.publish(keys.SITE, "east", site_spec("east", "hotel", maintenance=True)),
            State.MAINTENANCE,
            "Maintenance",
            True,
            id="maintenance-is-not-unusable",
        ),
    ],
)
def test_the_verdict_on_a_system(change, state: State, reason: str, usable: bool) -> None:  # type: ignore[no-untyped-def]
    world = World()
    change(world)
    world.advance(60)  # whatever has to stand for a while has
    verdict = system_verdict(world.snapshot, "east", "hotel", world.now)
    assert (verdict.state, verdict.reason) == (state, reason), verdict.sentence
    assert usability(world.snapshot, "east", "hotel").usable == usable


def test_a_component_names_its_sources_for_and_against() -> None:
    world = World()
    world.observe("witness", "east", "hotel", "cti", passes=False)
    found = component_verdict(world.snapshot, "east", "hotel", "cti")
    assert found.state == "Pass"
    assert [w.observer for w in found.sources_for] == ["east", "west"]
    assert [w.observer for w in found.sources_against] == ["witness"]


def test_a_component_that_two_sources_accuse_fails_whoever_speaks_for_it() -> None:
    world = World()
    for observer in ("west", "witness"):
        world.observe(observer, "east", "hotel", "cti", passes=False)
    assert component_verdict(world.snapshot, "east", "hotel", "cti").state == "Fail"


def test_systems_are_judged_apart_and_the_site_shows_the_worst() -> None:
    world = World(systems=("hotel", "flight"))
    world.observe("west", "east", "flight", "softswitch", passes=False)
    assert system_verdict(world.snapshot, "east", "hotel").state == State.HEALTHY
    assert site_verdict(world.snapshot, "east").state == State.DEGRADED
    assert "flight at east" in site_verdict(world.snapshot, "east").sentence


def test_a_loss_has_been_one_since_it_was_confirmed() -> None:
    world = World()
    world.die("east")
    died = world.mono
    assert next_confirmation(world.snapshot, world.mono) == pytest.approx(2.0)
    world.advance(60)
    verdict = system_verdict(world.snapshot, "east", "hotel", world.now)
    assert verdict.state is State.ABSENT
    assert verdict.since == pytest.approx(died + 2.0)
    assert next_confirmation(world.snapshot, world.mono) is None


def test_who_begins_to_look_after_a_failover_need_not_wait_until_the_loss_is_confirmed() -> None:
    world = World()
    world.group({"east": 100})
    world.settle()
    world.die("east")
    world.advance(2.1)
    world.settle()
    started_at = world.snapshot.failovers["east"].record.started_at
    just_begun = Instant(world.mono - 2.1, world.mono)
    for now in (just_begun, None):
        verdict = system_verdict(world.snapshot, "east", "hotel", now)
        assert (verdict.state, verdict.since) == (State.ABSENT, started_at)


@pytest.mark.parametrize(("passes", "state"), [(True, State.HEALTHY), (False, State.SUSPECT), (None, State.UNKNOWN)])
def test_a_witness_is_judged_by_its_engine(passes: bool | None, state: State) -> None:
    world = World()
    if passes is not None:
        world.observe("east", "witness", "", "engine", passes=passes)
    assert site_verdict(world.snapshot, "witness").state == state


def test_the_evidence_of_usability_names_the_words_that_it_rests_on() -> None:
    world = World()
    evidence = dict(usability(world.snapshot, "east", "hotel").evidence)
    assert set(evidence) == {
        keys.observation(observer, "east", "hotel", component)
        for observer in ("east", "west")
        for component in ("softswitch", "cti")
    }
    assert all(world.store[key][2] == revision for key, revision in evidence.items())


def test_clients_watch_nobody_from_outside() -> None:
    """Who could call a city Absent: locations only."""
    world = World()
    world.observe("clients@west", "east", "hotel", "cti", passes=False)
    assert watching(world.snapshot, "east", "hotel")["cti"].keys() == {"west", "witness"}


def test_who_has_measured_nothing_for_long_does_not_watch() -> None:
    world = World()
    for component in ("softswitch", "cti"):
        world.observe("witness", "east", "hotel", component, stale=True)
    assert [domains.keys() for domains in watching(world.snapshot, "east", "hotel").values()] == [{"west"}, {"west"}]
