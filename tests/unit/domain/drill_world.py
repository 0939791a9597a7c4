"""A world with one Drill, and what people and agents do in it."""

import json
from collections.abc import Sequence
from typing import Any, Self

from tandem.constants import FINISH_INTERVAL_S
from tandem.domain import keys
from tandem.domain.digest import spec_digest
from tandem.domain.records import DrillRecord, DrillRunRecord, SpecRecord
from tests.unit.domain.world import GROUP, World

DRILL = "callcenter/monthly"
HOLD_S = 600.0
ALL: dict[str, Any] = {"shift": {"selector": {"system": "hotel"}, "to": "west"}, "hold": "10m"}
MIXED = {"east": "0-9,20-79", "west": "10-19,80-99"}
"""A starting map that no percentages could restore."""


class DrillWorld(World):
    """One group, ten of its agents signed in at east; `monthly` rehearses the move of everybody to west."""

    def __init__(
        self,
        placement: dict[str, str] | None = None,
        capacity: int = 1500,
        systems: tuple[str, ...] = ("hotel",),
        **spec: Any,
    ) -> None:
        super().__init__(capacity=capacity, systems=systems)
        for observer in self.cities:
            self.observe(observer, "witness", "", "engine")
        self.group({"east": 100})
        self.settle()
        if placement is not None:
            self.put(keys.placement(GROUP), self.record().model_copy(update={"map": placement}))
        self.sessions("east", GROUP, dict.fromkeys(range(10), 1))
        self.drill(**spec)
        self.settle()

    # -- what people do

    def drill(self, name: str = DRILL, *, by: Sequence[str] = ("east",), request: str = "", **spec: Any) -> None:
        wanted = {**ALL, **spec}
        record = SpecRecord(digest=spec_digest(wanted, {}), spec=wanted, request=request)
        for site in by:
            self.put(keys.spec(site, keys.DRILL, name), record)

    def command(
        self, action: str = "run", name: str = DRILL, *, site: str = "east", number: str = "1", age_s: float = 0.0
    ) -> None:
        """`kubectl tandem drill run` or `abort`, in one cluster; in those without the object by way of its copy."""
        held = self.store.get(keys.spec(site, keys.DRILL, name))
        request = json.dumps({"id": number, "action": action, "by": "ada", "at": self.mono - age_s})
        if held is not None:
            record = SpecRecord.model_validate_json(held[0]).model_copy(update={"request": request})
        else:
            record = SpecRecord(digest="copy", spec={}, request=request, mirrored=True)
        self.put(keys.spec(site, keys.DRILL, name), record)

    def started(self) -> Self:
        """A run is under way: everybody leaves east."""
        self.command()
        self.settle()
        assert self.state.phase == "Out", self.state.message
        return self

    # -- what agents do

    def travel(self, away: str, to: str, agents: int = 10, arrived: int | None = None) -> None:
        """Those of the Shift under way leave `away`, and `arrived` of them (all) are there."""
        leg = self.run.out if self.state.phase == "Out" else self.run.back
        self.advance(FINISH_INTERVAL_S)
        self.sessions(away, GROUP, {})
        self.sessions(to, GROUP, dict.fromkeys(range(agents), 1))
        self.arrived(to, leg.shift, agents if arrived is None else arrived)
        self.settle()

    def holding(self) -> Self:
        self.started()
        self.travel("east", "west")
        assert self.state.phase == "Holding", self.state.message
        return self

    def coming_back(self) -> Self:
        self.holding()
        self.advance(HOLD_S + 0.1)
        self.settle()
        assert self.state.phase == "Back", self.state.message
        return self

    def over(self) -> Self:
        self.coming_back()
        self.travel("west", "east")
        assert self.state.phase == "Waiting", self.state.message
        return self

    # -- looking

    @property
    def state(self) -> DrillRecord:
        return self.snapshot.drills[DRILL].record

    def phase(self) -> str:
        """As `state.phase`, for whoever asks again: mypy takes what a property said to stay so."""
        return self.state.phase

    @property
    def run(self) -> DrillRunRecord:
        assert self.state.run is not None
        return self.state.run

    @property
    def last(self) -> DrillRunRecord:
        return self.state.runs[0]

    def outcome(self) -> tuple[str | None, str]:
        return self.last.outcome, self.last.reason

    def successor(self) -> None:
        """The coordinator is lost, and an engine that has watched all along decides from now on."""
        self.delete(keys.COORDINATOR)
        self.put(keys.COORDINATOR, self.record_of_another_coordinator())

    def another_coordinator(self) -> None:
        """The engine is lost with all that it remembered; another one reads the store and goes on."""
        self.put(keys.COORDINATOR, self.record_of_another_coordinator())
        self.read_anew()
