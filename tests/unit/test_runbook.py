"""The runbook has every reason that a user can meet, each in one row, and none that is nowhere in the code."""

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, get_args

import pytest
import yaml

from tandem.api.drill import Outcome
from tandem.api.resources import RESOURCES
from tandem.domain.drill_legs import cause_of as cause_of_drill
from tandem.domain.reasons import Reason
from tandem.domain.snapshot import FAILOVER, Instant, Snapshot
from tandem.domain.verdicts import State
from tandem.engine.coordinator import Figures
from tandem.engine.metrics import exposition
from tests.unit.test_docs import REPOSITORY, anchors, commands, page, trouble

RUNBOOK: Final = "docs/runbook.md"
RULES: Final = "examples/alerts/tandem.rules.yaml"
TANDEM: Final = REPOSITORY / "operator/tandem"
CALLCENTER: Final = REPOSITORY / "examples/callcenter/callcenter"

WORD: Final = re.compile(r"(?:[A-Z]{3,}|[A-Z])[a-z]+(?:[A-Z]+[a-z]*)*")
"""How a reason is written."""

MAKERS: Final = frozenset({"Said", "Tale", "Verdict", "Readiness"})
"""Whoever calls one of these says a reason: a condition's, an Event's, a verdict's, a readiness's."""

NO_REASONS: Final = frozenset(
    {
        *("True", "False", "Normal", "Warning"),  # a condition's status, an Event's type
        *("ConfigMap", "Site"),  # kinds, and the beginning of an Event's name
        *("Active", "Automatic", "None", "Refused", "Schedule", "Out", "Back"),  # values of specs and records
        *("Pass", "Fail", "Succeeded"),  # a component's state; an outcome, told as DrillSucceeded
    }
)
"""Words of these modules that no user meets as a reason."""

ANSWERING: Final = tuple(
    CALLCENTER / f"{module}.py"
    for module in (
        *("session/guests", "session/loans", "session/placements", "session/server", "session/tickets"),
        *("cti/clients", "cti/control"),
    )
)
"""Modules of the reference CTI that answer a client, or its engine."""

NO_ANSWERS: Final = frozenset(
    {
        *("Force", "Stay", "Guest", "Move", "Failover"),  # an order's `onDeadline`; causes that are counted
        *("NoSession", "Released", "SessionAlive", "OfferOutstanding", "Silenced"),  # the release query's, for programs
        *("Starting",),  # from one CTI to another: its client is told NoRelease
        *("Bucket", "Door", "Native", "PerAgent", "Shared"),  # capabilities
        *("Authorization", "BadRequest", "Full", "Over"),  # a header; for programs; a full queue; a drill that is over
    }
)
"""Words of these that no person meets."""


def words_of(files: Iterable[Path]) -> set[str]:
    """Strings in the code that are written as reasons are."""
    trees = (ast.walk(ast.parse(file.read_text(encoding="utf-8"))) for file in files)
    constants = (node.value for tree in trees for node in tree if isinstance(node, ast.Constant))
    return {value for value in constants if isinstance(value, str) and WORD.fullmatch(value)}


def speaking() -> Iterator[Path]:
    """Modules that make conditions, Events, verdicts or readiness."""
    for file in sorted(TANDEM.rglob("*.py")):
        calls = (
            node.func for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)
        )
        if any(isinstance(called, ast.Name) and called.id in MAKERS for called in calls):
            yield file


def reasons() -> set[str]:
    """Every reason, condition and verdict that a user can meet."""
    causes = {FAILOVER, cause_of_drill("callcenter/x"), "Shift/x"}  # Overridden says what has placed a group
    return {
        *Reason,
        *State,
        *(words_of(speaking()) - NO_REASONS),
        *(words_of(ANSWERING) - NO_ANSWERS),
        *(f"Drill{outcome}" for outcome in get_args(Outcome)),
        *(cause.partition("/")[0] for cause in causes),
    }


def rows() -> Counter[str]:
    """Words that have a row of their own, however often."""
    first_cells = re.findall(r"^\| (`[A-Z]\w+`(?:, `[A-Z]\w+`)*) \|", page(RUNBOOK), re.MULTILINE)
    return Counter(word for cell in first_cells for word in re.findall(r"`(\w+)`", cell))


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(page(RULES))["groups"] for rule in group["rules"]]


def alerts() -> set[str]:
    return {rule["alert"] for rule in rules()}


def test_every_reason_has_a_row() -> None:
    assert not sorted(reasons() - rows().keys())


def test_every_row_is_of_a_reason_or_an_alert_there_is() -> None:
    assert not sorted(rows().keys() - reasons() - alerts())


def test_each_has_one_row() -> None:
    assert not [word for word, count in rows().items() if count > 1]


def test_modules_that_say_reasons_are_found() -> None:
    found = {file.relative_to(TANDEM).as_posix() for file in speaking()}
    assert {"operator/story.py", "operator/statuses/group.py", "domain/verdicts.py", "domain/readiness.py"} <= found


def test_what_is_no_reason_is_still_a_word_of_theirs() -> None:
    assert not NO_REASONS - words_of(speaking())
    assert not NO_ANSWERS - words_of(ANSWERING)


def test_an_emergency_comes_first_and_has_the_commands() -> None:
    emergency = page(RUNBOOK).partition("## In an emergency")[2].partition("## Where to look")[0]
    given = {command.split()[2] for command in commands(emergency)}
    assert {"status", "history", "hold", "resume", "approve", "abort", "drill", "shift"} <= given


def test_commands_within_sentences_can_be_given_as_they_stand() -> None:
    said = re.findall(r"`(kubectl [^`]+)`", page(RUNBOOK))
    assert said
    assert not [(one, wrong) for one in said if one.startswith("kubectl tandem ") and (wrong := trouble(one))]
    kinds = {word for resource in RESOURCES for word in (resource.plural, resource.singular)}
    asked = set(re.findall(r"kubectl (?:get|describe) (\w+)", page(RUNBOOK)))
    assert asked <= kinds


# -- alerts


def test_every_alert_is_on_the_page() -> None:
    assert not sorted(alerts() - rows().keys())


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_asks_what_the_engines_tell_and_leads_to_the_page(rule: dict[str, Any]) -> None:
    seen = Snapshot(), Instant(0.0, 0.0), Figures()
    told = exposition("east", *seen, store_live=True, epoch=0, void_probes=0, readiness={})
    metrics = set(re.findall(r"^# TYPE (\w+)", told, re.MULTILINE))
    assert set(re.findall(r"\btandem_\w+", rule["expr"])) <= metrics
    known_values = {"reason": {*Reason}, "outcome": {*get_args(Outcome)}, "state": {*State, "available"}}
    for label, known in known_values.items():
        for value in re.findall(rf'\b{label}[=!]~?"([^"]+)"', rule["expr"]):
            assert set(value.split("|")) <= known
    path, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert path == RUNBOOK
    assert anchor in anchors(page(RUNBOOK))
