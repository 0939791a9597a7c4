"""Manifests in Git, applied by a real Flux: what it applies again starts nothing, and it never fights Tandem."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from demo.paths import QUICKSTART
from tandem.domain import keys
from tandem.domain.decide import decide
from tandem.domain.reasons import Reason
from tandem.domain.records import RanRecord, ShiftRecord, SpecRecord
from tandem.domain.snapshot import Instant
from tandem.engine.clock import RealClock
from tandem.engine.picture import Picture
from tandem.store.client import StoreClient
from tests.contract.operator.conftest import OperatorProcess, condition, everything, until
from tests.contract.operator.engine import GROUP, Engines
from tests.contract.operator.test_cli import Tandem
from tests.support.etcd import EtcdCluster
from tests.support.flux import MANAGER, Flux, FluxError, Repository, Source, serving
from tests.support.kube import KubeApi, KubectlError
from tests.support.manifests import drill, group, shift, site

pytestmark = [pytest.mark.contract, pytest.mark.slow]

Start = Callable[..., OperatorProcess]
SHIFT = keys.shift("callcenter/to-west")
HERE, THERE = keys.spec("east", keys.AGENT_GROUP, GROUP), keys.spec("west", keys.AGENT_GROUP, GROUP)
TO_WEST = [{"site": "west", "percent": 100}]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Repository, Source]]:
    with serving(tmp_path) as made:
        yield made


@pytest.fixture
def repository(served: tuple[Repository, Source]) -> Repository:
    return served[0]


@pytest.fixture
async def flux(
    kube: KubeApi, operator: Start, served: tuple[Repository, Source], tmp_path: Path
) -> AsyncIterator[Flux]:
    """East's Flux, and east's operator. Flux ends first, or it would apply again what is removed after the test."""
    made = Flux(kube.kubeconfig(), served[1], tmp_path / "flux")
    try:
        await asyncio.to_thread(made.install)
        made.start()
        operator("east")
        yield made
    finally:
        made.stop()
        made.uninstall()
        print(made.log)


async def applied(flux: Flux, sha: str) -> None:
    await asyncio.to_thread(flux.publish, sha)


async def again(flux: Flux) -> None:
    await asyncio.to_thread(flux.reconcile)


async def published(store: StoreClient, key: str = HERE) -> SpecRecord:
    found = await until(f"{key} is published", lambda: store.get(key))
    return SpecRecord.model_validate_json(found.value)


async def ordered(store: StoreClient, key: str = HERE) -> list[str]:
    """The sites that the published order names."""
    spec: dict[str, Any] = (await published(store, key)).spec
    return [share["site"] for share in spec["placement"]]


async def starts(store: StoreClient) -> list[str]:
    """What a coordinator would write now of orders and Shifts, by the rules that real ones decide by."""
    clock = RealClock()
    picture = Picture(store, clock)
    await picture.refresh()
    commits = decide(picture.snapshot, Instant(clock.monotonic(), clock.now())).commits
    return [key for commit in commits for key in commit.writes if key.startswith((keys.ORDERS, keys.SHIFTS))]


@pytest.fixture
async def engines(store: StoreClient) -> Engines:
    return Engines(store)


SITES = [site("east"), site("west"), site("witness")]


async def test_a_commit_is_published_once_and_the_same_manifests_again_are_nothing(
    kube: KubeApi, store: StoreClient, flux: Flux, repository: Repository
) -> None:
    manifest = group(pace=7, drain={"maxTalk": "2m"})
    await applied(flux, repository.commit("two cities and a group", sites=SITES, sales=manifest))
    record = await published(store)
    spec: dict[str, Any] = record.spec
    assert (spec["pace"], spec["drain"]["maxTalk"]) == (7, "2m")
    await asyncio.sleep(1.5)
    before, generation = (
        await everything(store),
        kube.get("AgentGroup", "sales", "callcenter")["metadata"]["generation"],
    )

    await again(flux)
    await applied(flux, repository.commit("another commit, the same manifests"))
    await asyncio.sleep(1.5)

    assert await everything(store) == before
    assert kube.get("AgentGroup", "sales", "callcenter")["metadata"]["generation"] == generation
    await applied(flux, repository.commit("sales to west", sales={**manifest, **_placed(manifest, TO_WEST)}))

    async def to_west() -> bool:
        return bool(await ordered(store) == ["west"])

    await until("the order is published", to_west)
    after = await everything(store)
    assert {key for key in after if after[key] != before.get(key)} == {HERE}


def _placed(manifest: dict[str, Any], placement: list[dict[str, Any]]) -> dict[str, Any]:
    return {"spec": {**manifest["spec"], "placement": placement}}


async def test_what_somebody_changes_in_one_cluster_is_healed_and_starts_nothing(
    kube: KubeApi, store: StoreClient, flux: Flux, repository: Repository, engines: Engines
) -> None:
    await applied(flux, repository.commit("two cities and a group", sites=SITES, sales=group()))
    echo = asyncio.create_task(engines.echo("east", "west"))
    await published(store, THERE)
    await engines.healthy()
    await engines.place({"east": "0-99"})
    await engines.take_order()
    await engines.report("east", signed_in=40, buckets={"0": 40})
    await engines.report("west")
    await asyncio.sleep(0.5)
    echo.cancel()
    assert await starts(store) == []
    patch = json.dumps({"spec": {"placement": TO_WEST}})
    kube.kubectl("patch", "agentgroup", "sales", "-n", "callcenter", "--type=merge", "-p", patch)

    async def drifted() -> bool:
        return bool(await ordered(store) == ["west"])

    await until("the drift is published", drifted)
    assert await starts(store) == []  # west does not say so
    await again(flux)

    async def healed() -> bool:
        return bool(await ordered(store) == ["east"])

    await until("Flux has healed it", healed)
    assert await starts(store) == []

    # The same by a commit, which both cities have: that does start, so the silence above says something.
    await applied(flux, repository.commit("sales to west", sales=group(placement=TO_WEST)))
    await until("the order is published", drifted)
    echo = asyncio.create_task(engines.echo("east", "west"))

    async def both() -> bool:
        return bool(await ordered(store, THERE) == ["west"])

    await until("west has it too", both)
    echo.cancel()
    assert keys.order(GROUP) in await starts(store)


async def test_agents_elsewhere_after_an_emergency_are_no_drift(
    kube: KubeApi, store: StoreClient, flux: Flux, repository: Repository, engines: Engines
) -> None:
    await applied(flux, repository.commit("two cities and a group", sites=SITES, sales=group()))
    echo = asyncio.create_task(engines.echo("east", "west"))
    await published(store, THERE)
    await engines.healthy()
    await engines.take_order()
    await engines.place({"west": "0-99"}, cause="Failover/east-1")
    await engines.report("east")
    await engines.report("west", signed_in=40, buckets={"0": 40})

    async def overridden() -> bool:
        found = await asyncio.to_thread(kube.get, "AgentGroup", "sales", "callcenter")
        return bool(condition(found, "Overridden")["status"] == "True")

    await until("the group says so", overridden)
    written = kube.get("AgentGroup", "sales", "callcenter")
    before = await store.get(HERE)
    await again(flux)
    await applied(flux, repository.commit("another commit, the same manifests"))
    await asyncio.sleep(1.0)

    assert await overridden()
    assert kube.get("AgentGroup", "sales", "callcenter")["metadata"]["generation"] == written["metadata"]["generation"]
    assert await store.get(HERE) == before
    assert await starts(store) == []
    echo.cancel()


async def test_flux_and_tandem_own_different_fields(
    kube: KubeApi, store: StoreClient, flux: Flux, repository: Repository, engines: Engines, tmp_path: Path
) -> None:
    objects = {"sales": group(), "monthly": drill(), "move": shift(approval="Manual", waves=[100])}
    await applied(flux, repository.commit("everything", sites=SITES, **objects))
    made = await until("the Shift is told to the store", lambda: store.get(SHIFT))
    spec = ShiftRecord.model_validate_json(made.value).spec
    await engines.healthy()
    await engines.shift("callcenter/to-west", spec=spec, phase="AwaitingApproval")
    tandem = Tandem(kube, tmp_path)

    async def approved() -> bool:
        code, _ = await tandem("approve", "to-west", "-n", "callcenter")
        return code == 0

    await until("the Shift is approved", approved, timeout=30)
    await tandem("drill", "run", "monthly", "-n", "callcenter")
    command = kube.get("Drill", "monthly", "callcenter")["metadata"]["annotations"]["tandem.dev/drill-request"]
    await until("the group has a status", lambda: asyncio.to_thread(_status, kube))

    await again(flux)
    await applied(flux, repository.commit("another commit, the same manifests"))

    assert kube.get("Shift", "to-west", "callcenter")["spec"]["approved"] is True
    annotations = kube.get("Drill", "monthly", "callcenter")["metadata"]["annotations"]
    assert annotations["tandem.dev/drill-request"] == command
    for kind, name in (("AgentGroup", "sales"), ("Drill", "monthly"), ("Shift", "to-west")):
        found = kube.get(kind, name, "callcenter")
        assert not found["metadata"].get("finalizers")
        fields = {(one["manager"], one.get("subresource", "")): one["fieldsV1"] for one in _managers(found)}
        assert "f:status" not in fields[MANAGER, ""]
        assert {manager for manager, part in fields if part == "status"} <= {"tandem-status"}
    assert _status(kube)


def _status(kube: KubeApi) -> dict[str, Any]:
    status: dict[str, Any] = kube.get("AgentGroup", "sales", "callcenter").get("status", {})
    return status


def _managers(found: dict[str, Any]) -> list[dict[str, Any]]:
    managers: list[dict[str, Any]] = found["metadata"]["managedFields"]
    return managers


async def test_the_example_is_what_flux_expects(flux: Flux) -> None:
    example = QUICKSTART / "gitops" / "flux.yaml"
    said = await asyncio.to_thread(flux.kubectl, "apply", "--dry-run=server", "--validate=strict", "-f", str(example))
    assert said.count("created") == 2, said


async def test_flux_undoes_what_plain_kubectl_writes_into_an_object_from_git(
    kube: KubeApi, flux: Flux, repository: Repository
) -> None:
    """So a Drill is suspended in Git; commands that must last go by `kubectl tandem`."""
    await applied(flux, repository.commit("a drill", sites=SITES, sales=group(), monthly=drill()))
    patch = '{"spec": {"suspend": true}}'
    kube.kubectl("patch", "drill", "monthly", "-n", "callcenter", "--type=merge", "-p", patch)

    await again(flux)

    assert not kube.get("Drill", "monthly", "callcenter")["spec"].get("suspend", False)


async def test_a_finished_shift_in_git_stays_as_history_and_one_with_a_ttl_comes_back_and_moves_nobody(
    kube: KubeApi, store: StoreClient, flux: Flux, repository: Repository, engines: Engines
) -> None:
    async def over(name: str) -> bool:
        return await asyncio.to_thread(_phase, kube, name) == "Completed"

    kept, fleeting = shift("kept"), shift("fleeting", ttlSecondsAfterFinished=1)
    await applied(flux, repository.commit("two Shifts", sites=SITES, sales=group(), kept=kept, fleeting=fleeting))
    for name in ("kept", "fleeting"):
        key = keys.shift(f"callcenter/{name}")
        made = await until(f"{name} is told to the store", partial(store.get, key))
        record = ShiftRecord.model_validate_json(made.value)
        await engines.put(key, record.model_copy(update={"phase": "Completed", "finished_at": time.time()}))
        await until(f"{name} is over", partial(over, name))
        # As the coordinator forgets what is old.
        await engines.put(keys.ran(f"callcenter/{name}"), RanRecord(phase="Completed", message="50 agents arrived"))
        await engines.delete(key)

    async def gone() -> bool:
        return not await asyncio.to_thread(_phase, kube, "fleeting")

    await until("the fleeting one is deleted", gone, timeout=30)
    await again(flux)

    async def says_so() -> bool:
        found = await asyncio.to_thread(kube.get, "Shift", "fleeting", "callcenter")
        return bool(found.get("status", {}).get("reason") == Reason.ALREADY_RUN)

    await until("it is made once more, and says that it has run", says_so, timeout=30)
    assert _phase(kube, "kept") == "Completed"
    for name in ("kept", "fleeting"):
        assert await store.get(keys.shift(f"callcenter/{name}")) is None


def _phase(kube: KubeApi, name: str) -> str:
    """Empty when there is none, or no such Shift."""
    try:
        return str(kube.get("Shift", name, "callcenter").get("status", {}).get("phase", ""))
    except KubectlError:
        return ""


async def test_a_shift_that_was_mirrored_before_flux_came_with_it_does_not_move_again(
    kube: KubeApi, store: StoreClient, flux: Flux, repository: Repository, engines: Engines
) -> None:
    """West's Flux was quicker: this city's operator shows the Shift, then this city's Flux applies the same one."""
    await applied(flux, repository.commit("a group", sites=SITES, sales=group()))
    await engines.shift("callcenter/to-west", phase="Moving", wave=1)
    await until("it is shown", lambda: asyncio.to_thread(_phase, kube, "to-west"))
    await applied(flux, repository.commit("a Shift", move=shift()))
    await engines.shift("callcenter/to-west", phase="Completed", finished_at=time.time())

    async def over() -> bool:
        return await asyncio.to_thread(_phase, kube, "to-west") == "Completed"

    await until("it is over", over)
    await engines.delete(SHIFT)
    await asyncio.sleep(2.0)
    await again(flux)
    await asyncio.sleep(1.0)

    assert await over()
    assert await store.get(SHIFT) is None


async def test_a_group_in_use_that_leaves_git_stays_and_flux_says_why(
    kube: KubeApi, etcd: EtcdCluster, store: StoreClient, flux: Flux, repository: Repository, engines: Engines
) -> None:
    await applied(flux, repository.commit("two cities and a group", sites=SITES, sales=group()))
    await published(store)
    await engines.healthy()
    await engines.place({"east": "0-99"})
    await engines.report("east", signed_in=40, buckets={"0": 40})

    async def in_use() -> bool:
        found = await asyncio.to_thread(kube.get, "AgentGroup", "sales", "callcenter")
        return bool(found["status"]["signedIn"] == 40)

    await until("agents are counted", in_use)
    held = await store.get(HERE)

    with pytest.raises(FluxError, match="40 agents are signed in"):
        await applied(flux, repository.commit("no group any more", sales=None))

    assert await in_use()
    assert await store.get(HERE) == held
