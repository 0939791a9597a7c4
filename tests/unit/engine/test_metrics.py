"""Health and metrics."""

import json

from tandem.domain import keys
from tandem.domain.decision import Note
from tandem.domain.readiness import Readiness
from tandem.domain.reasons import Reason
from tandem.domain.records import GroupReport, StoreMemberRecord, SystemReport
from tandem.engine.coordinator import Figures
from tandem.engine.metrics import exposition, health
from tests.unit.domain.drill_world import DRILL, DrillWorld
from tests.unit.domain.test_drill_alarms import AlarmedWorld
from tests.unit.domain.test_gate_alarms import FIRING, say
from tests.unit.domain.test_gate_alarms import a_world as a_world_with_alarms
from tests.unit.domain.world import GROUP, World

READINESS = {
    GROUP: Readiness(True, "RoomElsewhere", "there is room elsewhere"),
    "callcenter/other": Readiness(False, "CapacityExceeded", "there is none"),
}


def told(world: World, figures: Figures | None = None) -> str:
    """What the witness's engine, which reigns, tells Prometheus."""
    seen = world.snapshot, world.now, figures or Figures()
    return exposition("witness", *seen, store_live=True, epoch=17, void_probes=2, readiness=READINESS)


def a_world() -> World:
    world = World()
    world.group({"east": 60, "west": 40})
    world.settle()
    world.sessions("east", GROUP, {1: 3})
    world.shift(selector={"system": "hotel"}, to="west")
    world.settle()
    world.arrived("west", "callcenter/s1", 7)
    return world


def test_health_names_the_location_and_the_coordinator() -> None:
    found = json.loads(health("east", "e1", a_world().snapshot, store_live=True, epoch=0))
    assert found["ok"] is True
    assert (found["site"], found["coordinator"], found["reigns"]) == ("east", "witness", False)


def test_metrics_tell_verdicts_coordinator_moves_and_decisions() -> None:
    figures = Figures(decisions=4, commits=3, notes=(Note("x", Reason.HELD, ""), Note("y", Reason.HELD, "")))
    figures.decide_seconds.extend([0.001, 0.002, 0.003])
    world = a_world()
    group = GroupReport(signed_in=3, talking=2, calls_waiting=4)
    world.put(
        keys.report("east", "hotel"),
        SystemReport(boot="b", groups={GROUP: group}, registered=9, calls=5, calls_per_second=1.5),
    )
    world.put(keys.store_member("east"), StoreMemberRecord(works=True, member="a", voters=3))
    world.put(keys.store_member("west"), StoreMemberRecord(works=False))
    text = told(world, figures)
    lines = text.splitlines()
    for line in (
        'tandem_verdict{site="east",system="hotel",state="Healthy"} 1',
        'tandem_verdict{site="east",system="hotel",state="Suspect"} 0',
        'tandem_verdict{site="witness",system="",state="Unknown"} 1',
        'tandem_coordinator{site="witness"} 1',
        'tandem_coordinator{site="east"} 0',
        'tandem_coordinator_epoch{site="witness"} 17',
        'tandem_store_member{site="east"} 1',
        'tandem_store_member{site="west"} 0',
        'tandem_usable{site="west",system="hotel"} 1',
        f'tandem_failover_ready{{group="{GROUP}",reason="RoomElsewhere"}} 1',
        'tandem_failover_ready{group="callcenter/other",reason="CapacityExceeded"} 0',
        f'tandem_agents_signed_in{{site="east",system="hotel",group="{GROUP}"}} 3',
        f'tandem_agents{{site="east",system="hotel",group="{GROUP}",state="talking"}} 2',
        f'tandem_calls_waiting{{site="east",system="hotel",group="{GROUP}"}} 4',
        'tandem_registered_phones{site="east",system="hotel"} 9',
        'tandem_calls{site="east",system="hotel"} 5',
        'tandem_new_calls_per_second{site="east",system="hotel"} 1.5',
        f'tandem_buckets{{group="{GROUP}",slot="east>west"}} 60',
        'tandem_shifts{phase="Moving"} 1',
        'tandem_moved_agents{site="west",system="hotel",shift="callcenter/s1"} 7',
        'tandem_switch_seconds{site="west",system="hotel",shift="callcenter/s1",quantile="0.95"} 0.2',
        "tandem_decisions_total 4",
        "tandem_commits_total 3",
        'tandem_decide_seconds{quantile="0.5"} 0.002',
        'tandem_waiting{reason="Held"} 2',
        "tandem_void_probes_total 2",
        "tandem_hold 0",
    ):
        assert line in lines, line
    names = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(names) == len(set(names))


def test_metrics_tell_what_is_said_of_a_drills_alarms() -> None:
    world = AlarmedWorld()
    world.told(lost="Pending")
    text = told(world)
    assert f'tandem_alarm{{drill="{DRILL}",alarm="lost",state="Pending"}} 1' in text
    assert f'tandem_alarm{{drill="{DRILL}",alarm="lost",state="Firing"}} 0' in text
    assert f'tandem_alarm{{drill="{DRILL}",alarm="batch",state="Quiet"}} 1' in text


def test_metrics_tell_how_the_drills_went_to_the_second() -> None:
    world = DrillWorld()
    world.advance(1_795_521_600.0 - world.mono)
    world.over()
    text = told(world)
    lines = text.splitlines()
    for line in (
        f'tandem_drill_phase{{drill="{DRILL}",phase="Waiting"}} 1',
        f'tandem_drill_phase{{drill="{DRILL}",phase="Out"}} 0',
        f'tandem_drill_last_outcome{{drill="{DRILL}",outcome="Succeeded"}} 1',
        f'tandem_drill_last_outcome{{drill="{DRILL}",outcome="Failed"}} 0',
        f'tandem_drill_last_success_timestamp_seconds{{drill="{DRILL}"}} {world.last.finished_at:.0f}',
        f'tandem_drill_last_duration_seconds{{drill="{DRILL}"}} {world.last.finished_at - world.last.started_at:.6g}',
    ):
        assert line in lines, line


def test_metrics_tell_what_is_said_of_a_shifts_alarms() -> None:
    world = a_world_with_alarms()
    say(world, FIRING)
    text = told(world)
    assert 'tandem_alarm{shift="callcenter/s1",alarm="calls-lost",state="Firing"} 1' in text
    assert 'tandem_alarm{shift="callcenter/s1",alarm="calls-lost",state="Quiet"} 0' in text


def test_a_lost_city_is_suspect_until_that_is_confirmed() -> None:
    world = World()
    world.die("east")

    def state() -> list[str]:
        text = told(world)
        states = (line for line in text.splitlines() if 'tandem_verdict{site="east",system="hotel"' in line)
        return [line for line in states if line.endswith(" 1")]

    assert state() == ['tandem_verdict{site="east",system="hotel",state="Suspect"} 1']
    world.advance(2.1)
    assert state() == ['tandem_verdict{site="east",system="hotel",state="Absent"} 1']
