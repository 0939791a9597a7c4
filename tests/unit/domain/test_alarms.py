"""What an answer makes of a location's word, and what the locations' words together are worth."""

from typing import Any

import pytest

from tandem.api.alarms import DrillAlarms
from tandem.api.drill import DrillSpec
from tandem.domain import keys
from tandem.domain.alarms import (
    AlarmAnswer,
    AlarmRow,
    Watch,
    alarms_evidence,
    alarms_refusal,
    firing,
    follow,
    judge,
    renewed,
    token_path,
    unknown,
    watch_of_drill,
)
from tandem.domain.reasons import Reason
from tandem.domain.records import AlarmsRecord, AlarmWord, DrillDue, DrillRecord, DrillRunRecord
from tandem.domain.snapshot import PublishedDrill
from tests.unit.domain.world import World

QUERY = "sum(rate(lost[1m])) > 0.1"
TRUE, FALSE, NO_ANSWER = AlarmAnswer(True, '{system="hotel"} 3'), AlarmAnswer(False), "no answer within 5 s"
OWNER = "drills/callcenter/monthly"


# -- one location


def states(answers: list[AlarmAnswer | str], for_s: float = 0.0, step_s: float = 1.0) -> list[str]:
    """The states after each of these answers, one every `step_s`."""
    row: AlarmRow | None = None
    found: list[str] = []
    for number, answer in enumerate(answers):
        row = follow(row, answer, for_s, 1000.0 + number * step_s, number * step_s)
        found.append(row.word.state)
    return found


@pytest.mark.parametrize(
    ("answers", "for_s", "expected"),
    [
        pytest.param([FALSE], 0, ["Quiet"], id="quiet"),
        pytest.param([TRUE], 0, ["Firing"], id="fires-at-once"),
        pytest.param([TRUE, TRUE, TRUE], 2, ["Pending", "Pending", "Firing"], id="true-for-long-enough"),
        pytest.param(
            [TRUE, FALSE, TRUE, TRUE], 2, ["Pending", "Quiet", "Pending", "Pending"], id="a-break-counts-anew"
        ),
        pytest.param([TRUE, FALSE], 0, ["Firing", "Quiet"], id="over"),
        pytest.param([NO_ANSWER], 0, ["Unknown"], id="no-answer"),
        pytest.param([FALSE, NO_ANSWER, FALSE], 0, ["Quiet", "Unknown", "Quiet"], id="an-old-answer-counts-no-more"),
        pytest.param(
            [TRUE, NO_ANSWER, TRUE], 2, ["Pending", "Unknown", "Firing"], id="no-answer-is-no-break-of-what-was-true"
        ),
        pytest.param([NO_ANSWER, TRUE, TRUE], 2, ["Unknown", "Pending", "Pending"], id="no-answer-is-not-true-either"),
    ],
)
def test_an_answer_makes_a_word(answers: list[AlarmAnswer | str], for_s: float, expected: list[str]) -> None:
    assert states(answers, for_s) == expected


def test_only_a_change_is_news_and_values_are_those_of_the_change() -> None:
    first = follow(None, AlarmAnswer(True, "3"), 0, 1000.0, 0.0)
    second = follow(first, AlarmAnswer(True, "4"), 0, 1001.0, 1.0)
    assert second.word == first.word
    quiet = follow(second, FALSE, 0, 1002.0, 2.0)
    assert (quiet.word.state, quiet.word.since, quiet.word.value) == ("Quiet", 1002.0, "")
    assert (quiet.word.fired_at, quiet.word.fired_value) == (1000.0, "3")  # it has fired, and stays so
    assert follow(quiet, AlarmAnswer(True, "9"), 0, 1003.0, 3.0).word.fired_value == "3"


def test_another_error_is_news() -> None:
    first = follow(None, "refused", 0, 1000.0, 0.0)
    assert follow(first, "refused", 0, 1001.0, 1.0).word == first.word
    assert follow(first, "401", 0, 1001.0, 1.0).word.detail == "401"


def test_what_fired_before_is_forgotten_for_a_new_purpose_and_since_when_it_is_true_is_not() -> None:
    row = renewed(follow(follow(None, TRUE, 5, 1000.0, 0.0), TRUE, 5, 1005.0, 5.0))
    assert (row.word.fired_at, row.true_since) == (0.0, 0.0)
    assert follow(row, TRUE, 5, 1006.0, 6.0).word.fired_at == 1006.0


# -- all of them


def watch(purpose: str = "before 1", *, latches: bool = False, **alarm: Any) -> Watch:
    spec = DrillAlarms.model_validate(
        {"prometheus": {"url": "http://p:9090"}, "outcome": [{"name": "lost", "query": QUERY, **alarm}]}
    )
    return Watch(OWNER, purpose, spec.prometheus, spec.all, "d1", latches)


def word(state: str, **changes: Any) -> AlarmWord:
    return AlarmWord.model_validate({"state": state, "since": 1000.0, **changes})


FIRING = word("Firing", value="3", fired_at=1000.0, fired_value="3")
FIRED = word("Quiet", fired_at=900.0, fired_value="7")
PENDING = word("Pending", value="2")
UNKNOWN = word("Unknown", detail="no answer within 5 s")
QUIET = word("Quiet")


def world(**words: AlarmWord | None) -> World:
    """Locations and their words; None: it has said something, but not of this alarm."""
    made = World()
    for site, said in words.items():
        made.put(
            keys.alarms(site, OWNER),
            AlarmsRecord(purpose="before 1", digest="d1", alarms={"lost": said} if said else {}),
        )
    return made


@pytest.mark.parametrize(
    ("words", "latches", "expected"),
    [
        pytest.param({}, False, "Unknown", id="nobody-has-asked"),
        pytest.param({"east": None}, False, "Unknown", id="not-asked-yet"),
        pytest.param({"east": UNKNOWN, "west": UNKNOWN}, False, "Unknown", id="nobody-gets-an-answer"),
        pytest.param({"east": UNKNOWN, "west": QUIET}, False, "Quiet", id="one-can-and-it-is-quiet"),
        pytest.param({"east": QUIET, "west": FIRING}, False, "Firing", id="one-sees-it-fire"),
        pytest.param({"east": UNKNOWN, "witness": FIRING}, False, "Firing", id="the-only-one-that-can-sees-it-fire"),
        pytest.param({"east": QUIET, "west": PENDING}, False, "Pending", id="one-sees-it-true"),
        pytest.param({"east": PENDING, "west": FIRING}, False, "Firing", id="firing-before-pending"),
        pytest.param({"east": FIRED}, False, "Quiet", id="it-was-and-is-quiet-again-before-the-run"),
        pytest.param({"east": FIRED, "west": QUIET}, True, "Firing", id="it-was-during-the-run"),
        pytest.param({"east": word("Unknown", detail="x", fired_at=900.0)}, True, "Firing", id="it-was-and-is-silent"),
    ],
)
def test_what_the_locations_together_say(words: dict[str, AlarmWord | None], latches: bool, expected: str) -> None:
    found = watch(latches=latches)
    assert judge(world(**words).snapshot, found, found.alarms[0]).state == expected


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"purpose": ""}, id="asked-while-nobody-waited"),
        pytest.param({"purpose": "before 0"}, id="asked-for-an-earlier-run"),
        pytest.param({"digest": "d0"}, id="asked-other-questions"),
    ],
)
def test_words_for_something_else_count_for_nothing(other: dict[str, str]) -> None:
    made = World()
    for site, said in (("east", QUIET), ("west", FIRING)):
        record = {"purpose": "before 1", "digest": "d1", "alarms": {"lost": said}, **other}
        made.put(keys.alarms(site, OWNER), AlarmsRecord.model_validate(record))
    assert judge(made.snapshot, watch(), watch().alarms[0]).state == "Unknown"


def test_a_location_that_is_gone_says_nothing_any_more() -> None:
    made = world(east=QUIET)
    made.delete(keys.alarms("east", OWNER))
    assert judge(made.snapshot, watch(), watch().alarms[0]).state == "Unknown"


@pytest.mark.parametrize(
    ("said", "reason", "words"),
    [
        pytest.param(QUIET, None, (), id="quiet"),
        pytest.param(
            FIRING,
            Reason.ALARM_FIRING,
            ("alarm lost fires", QUERY, "is 3", "1970-01-01T00:16:40Z as west sees it"),
            id="firing",
        ),
        pytest.param(
            PENDING, Reason.ALARM_PENDING, ("alarm lost is true", QUERY, "is 2", "fires after 1m"), id="pending"
        ),
        pytest.param(
            UNKNOWN,
            Reason.ALARM_UNKNOWN,
            ("cannot be asked by any location", "west: no answer within 5 s"),
            id="unknown",
        ),
    ],
)
def test_nothing_starts_unless_all_are_quiet_and_the_reason_says_all(
    said: AlarmWord, reason: Reason | None, words: tuple[str, ...]
) -> None:
    for_a_minute: dict[str, Any] = {"for": "1m"}
    refusal = alarms_refusal(world(west=said).snapshot, watch(**for_a_minute))
    assert (refusal.reason if refusal else None) == reason
    if refusal is not None:
        assert refusal.temporary
        for part in words:
            assert part in refusal.message


def test_of_several_that_speak_against_it_one_that_fires_is_named_first() -> None:
    spec = [{"name": name, "query": QUERY} for name in ("a", "b")]
    found = DrillAlarms.model_validate({"prometheus": {"url": "http://p:9090"}, "blocking": spec})
    both = Watch(OWNER, "before 1", found.prometheus, found.all, "d1")
    made = World()
    said = {"a": UNKNOWN, "b": FIRING}
    made.put(keys.alarms("east", OWNER), AlarmsRecord(purpose="before 1", digest="d1", alarms=said))
    refusal = alarms_refusal(made.snapshot, both)
    assert refusal is not None
    assert "alarm b fires" in refusal.message
    assert [one.alarm.name for one in firing(made.snapshot, both)] == ["b"]
    assert [one.alarm.name for one in unknown(made.snapshot, both)] == ["a"]


def test_what_fired_is_kept_with_query_value_time_and_place_of_the_first_who_saw_it() -> None:
    later = word("Firing", value="4", fired_at=1002.0, fired_value="4")
    found = judge(world(east=later, west=FIRING).snapshot, watch(latches=True), watch().alarms[0]).fired
    assert (found.name, found.query, found.value, found.at, found.site) == ("lost", QUERY, "3", 1000.0, "west")


def test_a_long_query_is_shortened_in_a_sentence() -> None:
    long = watch(query="sum(" + "x" * 1900 + ")")
    assert len(judge(world(east=FIRING).snapshot, long, long.alarms[0]).sentence) < 400


def test_the_evidence_is_what_every_location_said_or_that_it_said_nothing() -> None:
    made = world(east=QUIET, elsewhere=UNKNOWN)
    east, elsewhere = (made.store[keys.alarms(site, OWNER)][2] for site in ("east", "elsewhere"))
    assert alarms_evidence(made.snapshot, watch()) == (
        (keys.alarms("east", OWNER), east),
        (keys.alarms("elsewhere", OWNER), elsewhere),
        (keys.alarms("west", OWNER), 0),
        (keys.alarms("witness", OWNER), 0),
    )


# -- what is asked


def published(**spec: Any) -> PublishedDrill:
    found = DrillSpec.model_validate({"shift": {"selector": {"system": "hotel"}, "to": "west"}, **spec})
    return PublishedDrill("callcenter/monthly", found, True, "", 0.0, ("east",), {}, ())


ALARMS = {"prometheus": {"url": "http://p:9090"}, "outcome": [{"name": "lost", "query": QUERY}]}
FROZEN = DrillAlarms.model_validate({**ALARMS, "outcome": [{"name": "older", "query": QUERY}]})
DUE = DrillDue(name="r1", at=0.0, until=60.0)
RUN = DrillRunRecord.model_validate(
    {"due": DUE, "shift": {"selector": {"system": "hotel"}, "to": "west"}, "alarms": FROZEN}
)


@pytest.mark.parametrize(
    ("record", "purpose", "names", "latches"),
    [
        pytest.param(None, "", ["lost"], False, id="new"),
        pytest.param(DrillRecord(after=0), "", ["lost"], False, id="waiting"),
        pytest.param(DrillRecord(after=0, phase="Checking", due=DUE), "before r1", ["lost"], False, id="due"),
        pytest.param(DrillRecord(after=0, phase="Holding", run=RUN), "r1", ["older"], True, id="under-way"),
    ],
)
def test_what_is_asked_for_a_drill(record: DrillRecord | None, purpose: str, names: list[str], latches: bool) -> None:
    found = watch_of_drill("callcenter/monthly", published(alarms=ALARMS), record)
    assert found is not None
    assert (found.owner, found.namespace, found.purpose, found.latches) == (OWNER, "callcenter", purpose, latches)
    assert [alarm.name for alarm in found.alarms] == names


def test_a_drill_without_alarms_asks_nobody() -> None:
    assert watch_of_drill("callcenter/monthly", published(), DrillRecord(after=0)) is None
    run = RUN.model_copy(update={"alarms": None})
    under_way = DrillRecord(after=0, phase="Out", run=run)
    assert watch_of_drill("callcenter/monthly", published(alarms=ALARMS), under_way) is None


def test_a_deleted_drill_under_way_is_still_watched() -> None:
    assert watch_of_drill("callcenter/monthly", None, DrillRecord(after=0, phase="Out", run=RUN)) is not None


def test_a_token_is_kept_by_server_and_namespace() -> None:
    def path(namespace: str, url: str) -> str:
        spec = {**ALARMS, "prometheus": {"url": url, "credentials": {"name": "prometheus", "key": "t"}}}
        return str(token_path(namespace, DrillAlarms.model_validate(spec).prometheus))

    mine = path("callcenter", "http://p:9090")
    assert mine.endswith("/prometheus/t")
    assert len({mine, path("callcenter", "http://thief:9090"), path("other", "http://p:9090")}) == 3
    assert token_path("callcenter", FROZEN.prometheus) is None
