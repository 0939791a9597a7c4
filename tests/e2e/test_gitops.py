"""Orders kept in Git: each city's own Flux applies them, and none moves anybody whom nobody ordered to move."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from demo.callcentre import CallCentre
from demo.quickstart import Group
from demo.waiting import until
from tandem.domain import keys
from tandem.domain.records import ShiftRecord
from tests.e2e.callcenter_fixtures import manifest_of
from tests.support.flux import Flux, Repository, serving

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

CITIES: Final = ("east", "west")
GROUP: Final = "callcenter/hotel-north-sales"
PACE: Final = 1
"""Agents a second: of the group's 15 most are still at home when the second commit comes."""


@dataclass
class GitOps:
    """One repository, and a Flux for each city."""

    repository: Repository
    fluxes: dict[str, Flux]

    async def each(self, step: Callable[[Flux], object]) -> None:
        await asyncio.gather(*(asyncio.to_thread(step, flux) for flux in self.fluxes.values()))

    async def push(self, message: str, manifest: dict[str, Any]) -> None:
        """Commit the group's manifest; returns when both cities have applied it."""
        sha = self.repository.commit(message, group=manifest)
        await self.each(lambda flux: flux.publish(sha))

    async def reconcile(self) -> None:
        await self.each(lambda flux: flux.reconcile())


@pytest_asyncio.fixture(loop_scope="session")
async def gitops(centre: CallCentre, tmp_path: Path) -> AsyncIterator[GitOps]:
    with serving(tmp_path) as (repository, source):
        fluxes = {city: Flux(centre.clusters[city].kubeconfig, source, tmp_path / city) for city in CITIES}
        made = GitOps(repository, fluxes)
        try:
            await made.each(lambda flux: flux.install())
            await made.each(lambda flux: flux.start())
            await made.push("as it is", ordered(centre, "east"))
            yield made
            # What the group had of its own goes again; its order stays or acts, as a person's would.
            await made.push("as it was", manifest_of(centre, centre.quickstart.group(GROUP)))
        finally:
            await made.each(lambda flux: flux.stop())
            await made.each(lambda flux: flux.uninstall())
            for city, flux in fluxes.items():
                print(f"Flux of {city}:\n{flux.log}")


def ordered(centre: CallCentre, *shares: str) -> dict[str, Any]:
    """The group's manifest with its own pace and drain; `shares`: `west`, or `east=50`, `west=50`."""
    manifest = manifest_of(centre, centre.quickstart.group(GROUP))
    parts = [share.partition("=") for share in shares]
    placement = [{"site": site, "percent": int(percent or 100)} for site, _, percent in parts]
    manifest["spec"] |= {"placement": placement, "pace": PACE, "drain": {"maxTalk": "2m"}}
    return manifest


async def shifts_of(centre: CallCentre, group: Group) -> dict[str, ShiftRecord]:
    """Those that carry out the group's orders."""
    found, _ = await centre.store.range(keys.SHIFTS, timeout=5.0)
    records = {kv.key.removeprefix(keys.SHIFTS): ShiftRecord.model_validate_json(kv.value) for kv in found}
    named = {name: record for name, record in records.items() if record.cause == "Order"}
    return {name: record for name, record in named.items() if group.name in [plan.group for plan in record.plan]}


async def says(centre: CallCentre, city: str) -> tuple[bool, str]:
    """Whether the group's Overridden says in this city that a failover counts and not the order."""
    found = await centre.clusters[city].get("agentgroup", GROUP.partition("/")[2])
    one = {one["type"]: one for one in found["status"]["conditions"]}["Overridden"]
    told = "ordered: east 100; actual: west 100, by Failover/" in one["message"]
    return (one["status"], one["reason"], told) == ("True", "Failover", True), str(one)


async def nothing_happens(centre: CallCentre, step: Awaitable[object], seconds: float = 3.0) -> bool:
    """Whether `step` and some time after it commit no placement of the group and move nobody of it."""
    before = standing(centre)
    await step
    await asyncio.sleep(seconds)
    return standing(centre) == before


def standing(centre: CallCentre) -> tuple[int, dict[str, str | None]]:
    """How many placements of the group were committed, and where its agents are."""
    centre.observed.look()
    accounts = centre.accounts([centre.quickstart.group(GROUP)])
    commits = [commit for commit in centre.commits.commits if commit.group == GROUP]
    return len(commits), {account: centre.observed.site_of.get(account) for account in accounts}


async def test_an_order_in_git_becomes_a_shift_and_a_second_one_plans_again_from_where_it_is(
    centre: CallCentre, gitops: GitOps
) -> None:
    group = centre.quickstart.group(GROUP)
    accounts = centre.accounts([group])
    before = await shifts_of(centre, group)
    assert await nothing_happens(centre, gitops.reconcile())
    await gitops.push("sales to west", ordered(centre, "west"))

    async def under_way() -> tuple[bool, str]:
        centre.observed.look()
        there = centre.observed.at("west", accounts)
        return there >= 1, f"{there} of {len(accounts)} at west"

    await until("the first agents are at west", under_way, timeout=20)
    (first,) = set(await shifts_of(centre, group)) - set(before)
    record = (await shifts_of(centre, group))[first]
    assert (record.spec.pace, record.spec.to) == (PACE, "west")
    assert record.spec.drain is not None
    assert record.spec.drain.max_talk == "2m"
    # Not waited for: in real life a person does not either.
    sha = gitops.repository.commit("half of them only", group=ordered(centre, "east=50", "west=50"))
    await gitops.each(lambda flux: flux.announce(sha))

    async def halved() -> tuple[bool, str]:
        found = await centre.clusters["west"].get("agentgroup", GROUP.partition("/")[2])
        status = found.get("status", {})
        return status.get("where") == "east 50, west 50", str(status.get("where"))

    await until("half of it is at west", halved, timeout=40)
    shifts = {name: shift for name, shift in (await shifts_of(centre, group)).items() if name not in before}
    assert (shifts[first].phase, shifts[first].reason) == ("Interrupted", "Superseded")
    (second,) = (shift for name, shift in shifts.items() if name != first)
    assert any("west" in part for part in second.plan[0].before)  # from where it was, not from home

    async def at_rest() -> tuple[bool, str]:
        return all(shift.finished_at for shift in (await shifts_of(centre, group)).values()), "a Shift is going on"

    await until("the Shift is over", at_rest, timeout=30)
    centre.observed.look()
    assert sum(centre.observed.at(site, accounts) for site in CITIES) == len(accounts)
    assert await nothing_happens(centre, gitops.reconcile())
    await gitops.push("home again", ordered(centre, "east"))
    await centre.everybody_at("east", (group,), timeout=40)
    await until("the Shift is over", at_rest, timeout=30)


async def test_flux_does_not_fight_a_failover(centre: CallCentre, gitops: GitOps) -> None:
    group = centre.quickstart.group(GROUP)
    accounts = centre.accounts([group])
    gitops.fluxes["east"].stop()  # it dies with its city
    west = gitops.fluxes["west"]
    found = await centre.lose("east")
    assert not found.missing

    assert await nothing_happens(centre, asyncio.to_thread(west.reconcile))
    await until("west says who has the last word", lambda: says(centre, "west"), timeout=15)

    await centre.restore("east")
    gitops.fluxes["east"].start()
    assert await nothing_happens(centre, gitops.reconcile())
    centre.observed.look()
    assert centre.observed.at("west", accounts) == len(accounts)
    for city in CITIES:
        await until(f"{city} says who has the last word", partial(says, centre, city), timeout=15)
