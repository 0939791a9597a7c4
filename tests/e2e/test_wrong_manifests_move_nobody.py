"""A wrong manifest is refused, or its object says so: the field, the value and the remedy; and nothing moves."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from demo.callcentre import CallCentre
from demo.errors import ToolError
from demo.quickstart import documents
from demo.waiting import until
from tests.e2e.callcenter_fixtures import manifest_of, write

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

Manifest = dict[str, Any]
GROUP = "callcenter/flight-north-sales"


@dataclass(frozen=True)
class Wrong:
    """A manifest made wrong, and the words that its refusal or condition must hold."""

    change: Callable[[Manifest], None]
    words: tuple[str, ...]
    kind: str = "AgentGroup"


def unknown_site(group: Manifest) -> None:
    group["spec"]["sites"] = ["east", "north"]
    group["spec"]["placement"] = [{"site": "north", "percent": 100}]


def unknown_system(group: Manifest) -> None:
    group["metadata"]["name"] = "e2e-rail"
    group["spec"]["system"] = "rail"


def ninety_percent(group: Manifest) -> None:
    group["spec"]["placement"] = [{"site": "east", "percent": 50}, {"site": "west", "percent": 40}]


def no_agents(group: Manifest) -> None:
    group["spec"]["agents"] = 0


def more_than_a_city_carries(group: Manifest) -> None:
    group["metadata"]["name"] = "e2e-crowd"
    group["spec"]["agents"] = 50_000


def route_to_nowhere(trunk: Manifest) -> None:
    trunk["metadata"]["name"] = "e2e-nowhere"
    trunk["spec"]["numbers"] = [{"number": "8009999", "group": "flight-north-sales"}]
    trunk["spec"]["routes"][2]["site"] = "north"


REFUSED = {
    "percentages-that-do-not-sum": Wrong(ninety_percent, ("placement", "90", "100")),
    "no-agents": Wrong(no_agents, ("spec.agents", "0", "greater than or equal to 1")),
}
CONDITIONED = {
    "unknown-site": Wrong(unknown_site, ("spec.sites", "'north'", "east", "correct")),
    "unknown-system": Wrong(unknown_system, ("spec.system", "'rail'", "hotel", "correct")),
    "no-capacity": Wrong(more_than_a_city_carries, ("flight at east", "50000", "has room for", "capacity")),
    "route-to-nowhere": Wrong(route_to_nowhere, ("routes", "north", "correct"), kind="Trunk"),
}


def made(centre: CallCentre, wrong: Wrong) -> Manifest:
    if wrong.kind == "Trunk":
        found = documents(centre.quickstart.folder / "trunks.yaml")
        manifest = next(document for document in found if document["metadata"]["name"] == "flight")
    else:
        manifest = manifest_of(centre, centre.quickstart.group(GROUP))
    wrong.change(manifest)
    return manifest


def standing(centre: CallCentre) -> tuple[int, dict[str, str]]:
    """How many placements were committed, and where everybody is."""
    centre.observed.look()
    return len(centre.commits.commits), dict(centre.observed.site_of)


@pytest.mark.parametrize("wrong", REFUSED.values(), ids=REFUSED.keys())
async def test_a_manifest_wrong_in_itself_is_refused(centre: CallCentre, wrong: Wrong) -> None:
    before = standing(centre)

    for city in ("east", "west"):
        with pytest.raises(ToolError) as refusal:
            await centre.clusters[city].apply(write("wrong", made(centre, wrong)))
        assert all(word in str(refusal.value) for word in wrong.words), str(refusal.value)

    assert standing(centre) == before


@pytest.mark.parametrize("wrong", CONDITIONED.values(), ids=CONDITIONED.keys())
async def test_a_manifest_that_does_not_fit_the_world_says_so_in_its_condition(
    centre: CallCentre, wrong: Wrong
) -> None:
    before = standing(centre)
    manifest = made(centre, wrong)
    kind, name = wrong.kind.lower(), manifest["metadata"]["name"]
    file = write(f"wrong-{name}", manifest)
    for city in ("east", "west"):
        await centre.clusters[city].apply(file)

    async def said() -> tuple[bool, str]:
        found = await centre.clusters["east"].get(kind, name)
        conditions = found.get("status", {}).get("conditions", [])
        messages = [c["message"] for c in conditions if (c["type"], c["status"]) == ("Ready", "False")]
        return any(all(word in message for word in wrong.words) for message in messages), str(conditions)

    try:
        await until(f"{kind} {name} says what is wrong", said, timeout=15)
        assert standing(centre) == before
    finally:
        if name.startswith("e2e-"):
            for city in ("east", "west"):
                await centre.clusters[city].kubectl("delete", kind, name, "-n", "callcenter", "--wait=false")
        else:
            await centre.installation.apply_quickstart()


async def test_a_shift_onto_a_site_without_room_fails_before_anything_moves(centre: CallCentre) -> None:
    """The group is as big as west is in all, so that west cannot take it besides its own agents."""
    group = centre.quickstart.group(GROUP)
    before = standing(centre)
    big = manifest_of(centre, group)
    big["spec"]["agents"] = 1495
    file = write("big-group", big)
    manifest = {
        "apiVersion": "tandem.dev/v1alpha1",
        "kind": "Shift",
        "metadata": {"name": "e2e-too-many", "namespace": "callcenter"},
        "spec": {"selector": {"names": [big["metadata"]["name"]]}, "to": "west"},
    }
    try:
        for city in ("east", "west"):
            await centre.clusters[city].apply(file)
        await centre.clusters["east"].apply(write("too-many", manifest))

        async def failed() -> tuple[bool, str]:
            status = (await centre.clusters["east"].get("shift", "e2e-too-many")).get("status", {})
            return status.get("phase") == "Failed", f"{status.get('phase')}: {status.get('message')}"

        await until("the Shift has failed", failed, timeout=20)
        message = (await centre.clusters["east"].get("shift", "e2e-too-many"))["status"]["message"]
        assert all(word in message for word in ("flight at west", "1495", "has room for", "capacity")), message
        assert standing(centre) == before
    finally:
        await centre.installation.apply_quickstart()
