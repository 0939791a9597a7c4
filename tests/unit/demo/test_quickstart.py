"""The quickstart's manifests: valid, and what the issue asks for."""

from pathlib import Path

import pytest
from pydantic import BaseModel

from callcenter.directory_cli import read_groups
from demo.paths import QUICKSTART
from demo.quickstart import documents, load, scaled
from tandem.api.agentgroup import AgentGroupSpec
from tandem.api.drill import DrillSpec
from tandem.api.shift import ShiftSpec
from tandem.api.site import SiteSpec
from tandem.api.trunk import TrunkSpec

MODELS: dict[str, type[BaseModel]] = {
    "Site": SiteSpec,
    "AgentGroup": AgentGroupSpec,
    "Trunk": TrunkSpec,
    "Shift": ShiftSpec,
    "Drill": DrillSpec,
}
FILES = sorted(QUICKSTART.rglob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(QUICKSTART)))
def test_every_manifest_is_valid(path: Path) -> None:
    for document in documents(path):
        if str(document.get("apiVersion")).startswith("tandem.dev/"):
            MODELS[document["kind"]].model_validate(document["spec"])


def test_git_holds_what_is_wanted_and_no_shift() -> None:
    (kustomization,) = documents(QUICKSTART / "kustomization.yaml")
    kinds = {document["kind"] for name in kustomization["resources"] for document in documents(QUICKSTART / name)}
    assert kinds == {"Site", "AgentGroup", "Trunk", "Drill"}


def test_a_thousand_agents_start_at_east_and_two_hundred_stay_at_west() -> None:
    quickstart = load()
    moving = quickstart.choose("east")

    assert quickstart.agents_by_home == {"east": 1000, "west": 200}
    assert len(moving) >= 6
    assert {group.system for group in moving} == {"hotel", "flight"}
    assert len({group.region for group in moving}) == 3
    assert len({group.skill_group for group in moving}) == 4


def test_the_directory_is_made_for_exactly_these_groups() -> None:
    sizes, cities, _ = read_groups(next(documents(QUICKSTART / "groups.yaml")))

    assert [(size.group, size.system, size.agents) for size in sizes] == [
        (group.name, group.system, group.agents) for group in load().groups
    ]
    assert cities == ["east", "west"]


def test_every_group_has_a_number_and_every_trunk_three_routes() -> None:
    quickstart = load()

    assert sorted(quickstart.numbers.values()) == sorted(group.name for group in quickstart.groups)
    for trunk in documents(QUICKSTART / "trunks.yaml"):
        assert len(trunk["spec"]["routes"]) >= 3
        assert all(number["group"].startswith(trunk["spec"]["system"]) for number in trunk["spec"]["numbers"])


def test_the_order_changes_nothing_but_the_placement() -> None:
    home = {document["metadata"]["name"]: document for document in documents(QUICKSTART / "agentgroups.yaml")}
    order = list(documents(QUICKSTART / "orders" / "sales-to-west.yaml"))

    assert {document["metadata"]["name"] for document in order} == {
        name for name, document in home.items() if document["spec"]["skillGroup"] == "sales"
    }
    for document in order:
        assert document["spec"].pop("placement") == [{"site": "west", "percent": 100}]
        before = home[document["metadata"]["name"]]
        before["spec"].pop("placement")
        assert document == before


def test_everyone_fits_into_one_city() -> None:
    quickstart = load()
    for site in documents(QUICKSTART / "sites.yaml"):
        for system in site["spec"].get("systems", []):
            expected = sum(group.agents for group in quickstart.choose(system=system["name"]))
            assert system["cti"]["capacity"]["agents"] >= expected
            assert system["softswitch"]["capacity"]["agents"] >= expected


def test_a_smaller_copy_keeps_everything_but_the_agents(tmp_path: Path) -> None:
    small = scaled(0.1, tmp_path)
    whole = load()

    assert [group.agents for group in small.groups] == [max(2, round(group.agents * 0.1)) for group in whole.groups]
    assert small.numbers == whole.numbers
    order = next(documents(tmp_path / "orders" / "sales-to-west.yaml"))
    assert order["spec"]["agents"] == small.group("callcenter/hotel-north-sales").agents
    sizes, _, _ = read_groups(next(documents(tmp_path / "groups.yaml")))
    assert [size.agents for size in sizes] == [group.agents for group in small.groups]
    assert (tmp_path / "sites.yaml").exists()
    assert list(documents(tmp_path / "sites.yaml")) == list(documents(QUICKSTART / "sites.yaml"))


def test_a_copy_with_another_lease_still_keeps_its_target(tmp_path: Path) -> None:
    scaled(10, tmp_path, home="east", sign_ins=4000, lease=6.0)
    leases = {
        system.cti.lease
        for site in documents(tmp_path / "sites.yaml")
        for system in SiteSpec.model_validate(site["spec"]).systems
    }
    assert leases == {"6000ms"}


def test_a_larger_copy_has_cities_that_bear_everybody(tmp_path: Path) -> None:
    large = scaled(10, tmp_path, home="east")

    assert large.agents_by_home == {"east": 10_000, "west": 200}
    for site in documents(tmp_path / "sites.yaml"):
        spec = SiteSpec.model_validate(site["spec"])  # rates and target still fit together
        for system in spec.systems:
            everybody = sum(group.agents for group in large.choose(system=system.name))
            assert system.cti.capacity.agents >= everybody
            assert system.softswitch.capacity.agents >= everybody
