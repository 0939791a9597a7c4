"""The moves that the demo makes: which file is applied where, and who is to be where afterwards."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from demo.paths import shown
from demo.quickstart import Group, Quickstart

BOTH: Final = ("east", "west")


@dataclass(frozen=True)
class Order:
    """One move: one manifest, applied once. An order goes to every city, as a GitOps pipeline does it."""

    name: str
    file: Path
    cities: tuple[str, ...]
    """Clusters that it is applied to: an order acts when all Active sites have it, a Shift in any one of them."""
    groups: tuple[Group, ...]
    to: str
    with_calls: bool = True

    @property
    def command(self) -> str:
        """What a person types; `--context` names a cluster."""
        return "; ".join(f"kubectl --context {city} apply -f {shown(self.file)}" for city in self.cities)

    @property
    def agents(self) -> int:
        return sum(group.agents for group in self.groups)

    @property
    def shift(self) -> str:
        """The Shift's name when the file is one, else empty."""
        return self.file.stem if self.file.parent.name == "shifts" else ""


def home_again(quickstart: Quickstart) -> Order:
    """Everyone's way home after a disaster: a Shift that waits for a person's approval."""
    file = quickstart.folder / "shifts" / "everyone-home-approved.yaml"
    return Order("everyone, home after it", file, ("west",), quickstart.choose("east"), "east", with_calls=False)


def story(quickstart: Quickstart) -> list[Order]:
    """Everyone, idle, to west and home again; then a skill group, a region and a system under load."""
    folder = quickstart.folder
    sales = quickstart.choose("east", skill_group="sales")
    south = quickstart.choose("east", region="south")
    hotel = quickstart.choose("east", system="hotel")
    everyone = quickstart.choose("east")
    shifts = folder / "shifts"
    return [
        Order("everyone, idle, to west", shifts / "everyone-to-west.yaml", ("east",), everyone, "west", False),
        Order("everyone, idle, home", shifts / "everyone-home.yaml", ("west",), everyone, "east", False),
        Order("skill group sales to west", folder / "orders" / "sales-to-west.yaml", BOTH, sales, "west"),
        Order("skill group sales home", folder / "agentgroups.yaml", BOTH, sales, "east"),
        Order("region south to west", shifts / "region-south-to-west.yaml", ("east",), south, "west"),
        Order("region south home", shifts / "region-south-home.yaml", ("west",), south, "east"),
        Order("system hotel to west", shifts / "system-hotel-to-west.yaml", ("east",), hotel, "west"),
        Order("system hotel home", shifts / "system-hotel-home.yaml", ("west",), hotel, "east"),
    ]
