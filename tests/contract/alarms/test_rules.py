"""The alerting rules of examples/alerts, and the queries that docs and examples offer for alarms, judged by Prometheus'
own promtool on series that engines would tell.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

pytestmark = pytest.mark.contract

ROOT: Final = Path(__file__).parents[3]
RULES: Final = ROOT / "examples/alerts/tandem.rules.yaml"
DOCS: Final = ROOT / "docs/drills.md"
QUICKSTART: Final = ROOT / "examples/quickstart"
EAST, WEST, WITNESS = ENGINES = ("198.18.0.11:30590", "198.18.0.12:30590", "198.18.0.13:30590")

Told = Mapping[str, float | str]
"""Series -> value for an hour, or promtool's notation for one that changes."""


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("promtool")
    assert program is not None, "this machine lacks promtool: `python -m lab tools` installs Debian's prometheus"
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60, check=False)


def verdicts(site: str, state: str) -> dict[str, float]:
    """What an engine tells of a city: 1 for its verdict."""
    states = ("Healthy", "Degraded", "Suspect", "Down", "Absent")
    return {f'tandem_verdict{{site="{site}",system="hotel",state="{one}"}}': float(one == state) for one in states}


def all_well(instance: str) -> dict[str, float | str]:
    """What one engine tells while nothing is wrong."""
    return {
        'up{job="tandem"}': 1,
        "tandem_store_live": 1,
        "tandem_hold": 0,
        "tandem_coordinator_epoch": 7 if instance == WITNESS else 0,
        **{f'tandem_store_member{{site="{site}"}}': 1 for site in ("east", "west", "witness")},
        **verdicts("east", "Healthy"),
        **(
            {'tandem_failover_ready{group="callcenter/sales",reason="RoomElsewhere"}': 1} if instance == WITNESS else {}
        ),
        'tandem_agents_signed_in{site="east",group="callcenter/sales"}': 100,
        'tandem_calls_waiting{site="east",group="callcenter/sales"}': 0,
        'tandem_agents{site="east",group="callcenter/sales",state="available"}': 10,
        'tandem_drill_last_success_timestamp_seconds{drill="callcenter/monthly"}': 1,
        'tandem_drill_last_outcome{drill="callcenter/monthly",outcome="Succeeded"}': 1,
        'tandem_registered_phones{site="east",system="hotel"}': 100,
        'tandem_switch_seconds{site="west",system="hotel",shift="callcenter/s",quantile="0.95"}': 0.1,
    }


QUEUE: Final[Told] = {
    'tandem_calls_waiting{site="east",group="callcenter/sales"}': 9,
    'tandem_agents{site="east",group="callcenter/sales",state="available"}': 0,
}
GONE: Final[Told] = {'tandem_agents_signed_in{site="east",group="callcenter/sales"}': "100x160 40x80"}
"""After forty minutes."""
TROUBLE: Final[Told] = {
    **verdicts("east", "Suspect"),
    **QUEUE,
    **GONE,
    'tandem_registered_phones{site="east",system="hotel"}': "100x160 40x80",
    'tandem_switch_seconds{site="west",system="hotel",shift="callcenter/s",quantile="0.95"}': 3,
}


def with_instance(series: str, instance: str) -> str:
    name, _, labels = series.partition("{")
    return f'{name}{{instance="{instance}"' + (f",{labels}" if labels else "}")


def firing(tmp_path: Path, told: Mapping[str, Told], *, at: str, rules: Path = RULES) -> list[str]:
    """Which alerts fire at a time, as promtool finds. `told`: by engine."""
    series = [
        {"series": with_instance(name, instance), "values": value if isinstance(value, str) else f"{value:g}x240"}
        for instance, values in told.items()
        for name, value in values.items()
    ]
    # It says nothing of alerts that are as expected, so each is expected to be quiet.
    quiet = [{"eval_time": at, "alertname": alert, "exp_alerts": []} for alert in every(rules)]
    document = {
        "rule_files": [str(rules)],
        "evaluation_interval": "15s",
        "tests": [{"interval": "15s", "input_series": series, "alert_rule_test": quiet}],
    }
    file = tmp_path / "test.yaml"
    file.write_text(yaml.safe_dump(document), encoding="utf-8")
    result = promtool("test", "rules", str(file))
    said = result.stdout + result.stderr
    fired = set(re.findall(r"alertname: (\w+), time:", said))
    assert bool(fired) == (result.returncode != 0), said
    return [alert for alert in every(rules) if alert in fired]


def every(rules: Path) -> list[str]:
    return [rule["alert"] for group in yaml.safe_load(rules.read_text())["groups"] for rule in group["rules"]]


def told_with(changes: Told, *instances: str) -> dict[str, dict[str, float | str]]:
    """Three engines, of which these tell something else in some points."""
    return {one: {**all_well(one), **(changes if one in (instances or ENGINES) else {})} for one in ENGINES}


def test_prometheus_reads_the_rules() -> None:
    result = promtool("check", "rules", str(RULES))
    assert result.returncode == 0, result.stderr


def test_nothing_fires_while_all_is_well(tmp_path: Path) -> None:
    assert firing(tmp_path, told_with({}), at="50m") == []


@pytest.mark.parametrize(
    ("told", "at", "fires"),
    [
        pytest.param(
            told_with(verdicts("east", "Absent"), WEST, WITNESS), "1m", ["TandemSiteLost"], id="a-city-is-absent"
        ),
        pytest.param(told_with(verdicts("east", "Down")), "1m", ["TandemSiteLost"], id="a-system-is-down"),
        pytest.param(
            told_with({**verdicts("east", "Absent"), "tandem_store_live": 0}, WITNESS),
            "10m",
            ["TandemEngineCutOff"],
            id="an-engine-without-the-store-accuses-nobody",
        ),
        pytest.param(
            told_with({**verdicts("east", "Absent"), 'tandem_waiting{reason="CapacityExceeded"}': 2}),
            "1m",
            ["TandemSiteLost", "TandemAgentsStranded"],
            id="a-lost-city-and-no-room",
        ),
        pytest.param(
            told_with({'tandem_waiting{reason="CapacityExceeded"}': 1}),
            "30m",
            ["TandemWaitsLong"],
            id="a-shift-without-room-strands-nobody",
        ),
        pytest.param(
            told_with({'tandem_waiting{reason="ManualFailover"}': 1}, WITNESS),
            "30m",
            ["TandemApprovalNeeded"],
            id="a-manual-group",
        ),
        pytest.param(
            told_with({'tandem_failover_ready{group="callcenter/hotel",reason="Declined"}': 0}, WITNESS),
            "30m",
            [],
            id="a-person-wants-it-so",
        ),
        pytest.param(
            told_with({'tandem_waiting{reason="NotGivenUp"}': 1}),
            "1m",
            ["TandemNotGivenUp"],
            id="somebody-gets-through",
        ),
        pytest.param(
            told_with({"tandem_store_live": 0, "tandem_coordinator_epoch": 0}),
            "10m",
            ["TandemStoreSilent", "TandemEngineCutOff", "TandemNoCoordinator"],
            id="the-store-has-lost-its-majority",
        ),
        pytest.param(
            told_with({'tandem_store_member{site="east"}': 0}), "5m", ["TandemStoreMemberOut"], id="a-member-is-out"
        ),
        pytest.param(told_with({'up{job="tandem"}': 0}, EAST), "5m", ["TandemEngineMissing"], id="an-engine-is-gone"),
        pytest.param(told_with({"tandem_hold": 1}), "50m", ["TandemHeld"], id="a-hold-is-forgotten"),
        pytest.param(
            told_with({'tandem_failover_ready{group="callcenter/help",reason="CapacityExceeded"}': 0}, WITNESS),
            "10m",
            ["TandemFailoverNotReady"],
            id="the-next-loss-would-find-no-room",
        ),
        pytest.param(
            told_with({'tandem_failover_ready{group="callcenter/help",reason="Held"}': 0}, WITNESS),
            "10m",
            [],
            id="nothing-is-failed-over-under-a-hold",
        ),
        pytest.param(told_with({"tandem_hold": 1}), "20m", [], id="a-hold-is-young"),
        pytest.param(told_with(verdicts("east", "Suspect")), "5m", ["TandemSiteTroubled"], id="a-city-is-suspect"),
        pytest.param(told_with(QUEUE), "5m", ["TandemCallersWaitForNobody"], id="callers-wait-for-nobody"),
        pytest.param(told_with(GONE), "45m", ["TandemAgentsGone"], id="agents-are-gone"),
        pytest.param(
            {**told_with({**QUEUE, **GONE}), WITNESS: {**all_well(WITNESS), "tandem_store_live": 0}},
            "45m",
            ["TandemEngineCutOff", "TandemAgentsGone", "TandemCallersWaitForNobody"],
            id="an-engine-without-the-store-hides-nothing",
        ),
        pytest.param(
            told_with(
                {
                    'tandem_drill_last_outcome{drill="callcenter/monthly",outcome="Failed"}': 1,
                    "tandem_store_live": 0,
                },
                WITNESS,
            ),
            "5m",
            ["TandemEngineCutOff"],
            id="an-engine-without-the-store-knows-only-of-an-earlier-run",
        ),
    ],
)
def test_what_fires(tmp_path: Path, told: Mapping[str, Told], at: str, fires: list[str]) -> None:
    assert firing(tmp_path, told, at=at) == fires


# -- queries for alarms


def offered() -> list[str]:
    """The queries of docs/drills.md and of the examples' Shifts and Drills."""
    (block,) = re.findall(r"```promql\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.S)
    found = [line for line in block.splitlines() if line and not line.startswith("#")]
    for file in sorted(QUICKSTART.rglob("*.yaml")):
        found += [query for document in yaml.safe_load_all(file.read_text()) for query in _queries(document)]
    return found


def _queries(value: Any) -> Iterator[str]:
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _queries(part)
    if isinstance(value, dict) and "query" in value:
        yield value["query"]


def test_an_engine_that_is_cut_off_neither_hides_nor_makes_an_alarm(tmp_path: Path) -> None:
    queries = {f"Alarm{number}": query for number, query in enumerate(offered())}
    rules = tmp_path / "rules.yaml"
    group = {"name": "offered", "rules": [{"alert": name, "expr": query} for name, query in queries.items()]}
    rules.write_text(yaml.safe_dump({"groups": [group]}), encoding="utf-8")
    # Those about calls and sign-ins are the CTI's own words.
    of_engines = [name for name, query in queries.items() if re.search(r"\btandem_", query)]
    assert len(of_engines) >= 8

    cut_off = {"tandem_store_live": 0.0}
    unaware = {**told_with(TROUBLE), WITNESS: {**all_well(WITNESS), **cut_off}}
    assert firing(tmp_path, unaware, at="45m", rules=rules) == of_engines
    mistaken = told_with({**TROUBLE, **cut_off}, WITNESS)
    assert firing(tmp_path, mistaken, at="45m", rules=rules) == []
