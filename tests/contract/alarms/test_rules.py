"""The alerting rules of examples/alerts, judged by Prometheus' own promtool on series that engines would tell."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest
import yaml

pytestmark = pytest.mark.contract

RULES: Final = Path(__file__).parents[3] / "examples/alerts/tandem.rules.yaml"
EAST, WEST, WITNESS = ENGINES = ("198.18.0.11:30590", "198.18.0.12:30590", "198.18.0.13:30590")


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("promtool")
    assert program is not None, "this machine lacks promtool: `python -m lab tools` installs Debian's prometheus"
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60, check=False)


def verdicts(site: str, state: str) -> dict[str, float]:
    """What an engine tells of a city: 1 for its verdict."""
    states = ("Healthy", "Degraded", "Suspect", "Down", "Absent")
    return {f'tandem_verdict{{site="{site}",system="hotel",state="{one}"}}': float(one == state) for one in states}


def all_well(instance: str) -> dict[str, float]:
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
    }


def with_instance(series: str, instance: str) -> str:
    name, _, labels = series.partition("{")
    return f'{name}{{instance="{instance}"' + (f",{labels}" if labels else "}")


def firing(tmp_path: Path, told: Mapping[str, Mapping[str, float]], *, at: str) -> list[str]:
    """Which alerts fire at a time, as promtool finds. `told`: engine -> series -> value, for an hour."""
    series = [
        {"series": with_instance(name, instance), "values": f"{value:g}+0x240"}
        for instance, values in told.items()
        for name, value in values.items()
    ]
    # It says nothing of alerts that are as expected, so each is expected to be quiet.
    quiet = [{"eval_time": at, "alertname": alert, "exp_alerts": []} for alert in every()]
    document = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "15s",
        "tests": [{"interval": "15s", "input_series": series, "alert_rule_test": quiet}],
    }
    file = tmp_path / "test.yaml"
    file.write_text(yaml.safe_dump(document), encoding="utf-8")
    result = promtool("test", "rules", str(file))
    said = result.stdout + result.stderr
    fired = set(re.findall(r"alertname: (\w+), time:", said))
    assert bool(fired) == (result.returncode != 0), said
    return [alert for alert in every() if alert in fired]


def every() -> list[str]:
    return [rule["alert"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def told_with(changes: Mapping[str, float], *instances: str) -> dict[str, dict[str, float]]:
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
        pytest.param(
            told_with(
                {
                    'tandem_calls_waiting{site="east",group="callcenter/sales"}': 3,
                    'tandem_agents{site="east",group="callcenter/sales",state="available"}': 0,
                }
            ),
            "5m",
            ["TandemCallersWaitForNobody"],
            id="callers-wait-for-nobody",
        ),
    ],
)
def test_what_fires(tmp_path: Path, told: Mapping[str, Mapping[str, float]], at: str, fires: list[str]) -> None:
    assert firing(tmp_path, told, at=at) == fires
