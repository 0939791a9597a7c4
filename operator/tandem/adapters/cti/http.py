"""The `http` adapter: any CTI that serves the CTI contract (docs/cti-contract.yaml)."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from tandem.adapters.json_http import JsonHttp
from tandem.api.common import duration_seconds
from tandem.domain.capabilities import CTICapabilities
from tandem.domain.clients import ClientCount
from tandem.domain.records import DelayRecord, GroupReport, PlacementRecord
from tandem.engine.ports import Arrival, Arrived, ClientCounts, CTIGroups, DoorWords, PushResult

ANSWER_S: Final = 2.0
"""Seconds for an answer; for a long poll, on top of what it may wait."""

_CONFLICT: Final = 409
_STRAY: Final = "Guest"
"""Cause of a move that no order made: a guest's, or a guest's way home."""
_FAILOVER: Final = "Failover"
"""Cause of a move that no ticket made: the client found its city lost."""


class _Read(BaseModel):
    """What a CTI sends; fields of newer versions are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class _Confirmed(_Read):
    confirmed: bool = False


class _Groups(_Read):
    """Answer of /v1/status and of /v1/progress, each of which has one of the last two fields."""

    boot: str
    groups: dict[str, GroupReport]
    confirmed: bool | None = None
    seq: int = 0
    sign_in_rate: float | None = Field(default=None, alias="signInRate", ge=0, allow_inf_nan=False)


class _GroupsConfirmed(_Read):
    groups: dict[str, _Confirmed]


class _Move(_Read):
    account: str
    group: str
    bucket: int
    from_: str = Field(alias="from")
    released_at: float
    signed_in_at: float
    gap: float
    cause: str = "Move"
    delay: DelayRecord | None = None


class _Moves(_Read):
    seq: int
    boot: str = ""
    moves: tuple[_Move, ...]


class _Held(_Read):
    revision: int
    accepted: bool
    reason: str = ""


class _Pushed(_Read):
    boot: str
    groups: dict[str, _Held]


class _WrongBoot(_Read):
    boot: str


class _ClientCount(_Read):
    clients: int
    lost: int


class _SaidOfSite(_Read):
    groups: dict[str, _ClientCount]


class _Evidence(_Read):
    sites: dict[str, _SaidOfSite]


class _Capabilities(_Read):
    """`CTICapabilities` in the contract's spelling."""

    model_config = ConfigDict(alias_generator=to_camel)

    selection: Literal["Bucket", "AgentList", "Count", "WholeGroup"]
    percent_step: int = Field(ge=1)
    drain: bool
    forced: bool
    admission: Literal["Door", "Push", "None"]
    progress: Literal["PerAgent", "Counts"]
    client_evidence: bool
    fence: Literal["Native", "Adapter"]
    identity: Literal["Shared", "PerSite"]
    max_rate: float = Field(ge=0, allow_inf_nan=False)
    impair: bool = False
    version: str = ""


class _Impaired(_Read):
    groups: dict[str, int]


class HttpCTI:
    """`engine.ports.CTIAdapter` by HTTP."""

    def __init__(self, http: JsonHttp) -> None:
        self._http = http
        self._confirmed_boot = ""

    async def capabilities(self) -> CTICapabilities:
        answer = await self._http.ask("GET", "/v1/capabilities", timeout=ANSWER_S)
        found = self._http.read(_Capabilities, answer.document, "GET /v1/capabilities")
        return CTICapabilities(**found.model_dump(exclude={"max_rate"}), max_rate=int(found.max_rate))

    async def status(self) -> CTIGroups:
        answer = await self._http.ask("GET", "/v1/status", timeout=ANSWER_S)
        return self._groups(answer.document, "GET /v1/status")

    async def progress(self, after: int, wait: float) -> CTIGroups:
        answer = await self._http.ask(
            "GET", "/v1/progress", params={"after": after, "wait": wait}, timeout=wait + ANSWER_S
        )
        return self._groups(answer.document, "GET /v1/progress")

    async def arrivals(self, after: int, wait: float) -> Arrived:
        answer = await self._http.ask(
            "GET", "/v1/moves", params={"after": after, "wait": wait}, timeout=wait + ANSWER_S
        )
        found = self._http.read(_Moves, answer.document, "GET /v1/moves")
        agents = [
            Arrival(
                move.account,
                move.group,
                move.bucket,
                move.from_,
                move.released_at,
                move.signed_in_at,
                move.gap,
                move.delay,
                failed_over=move.cause == _FAILOVER,
            )
            for move in found.moves
            if move.cause != _STRAY
        ]
        return Arrived(found.boot, found.seq, agents)

    async def evidence(self) -> ClientCounts:
        answer = await self._http.ask("GET", "/v1/evidence", timeout=ANSWER_S)
        found = self._http.read(_Evidence, answer.document, "GET /v1/evidence")
        return {
            site: {group: ClientCount(count.clients, count.lost) for group, count in said.groups.items()}
            for site, said in found.sites.items()
        }

    async def push(
        self,
        boot: str,
        placements: Mapping[str, tuple[int, PlacementRecord]],
        *,
        doors: DoorWords | None = None,
    ) -> PushResult:
        body: dict[str, Any] = {
            "boot": boot,
            "confirmed": True,
            "groups": {name: _placement(revision, record) for name, (revision, record) in placements.items()},
        }
        if doors is not None:
            body |= {"priorities": dict(doors.priorities), "asOf": doors.as_of}
            if doors.guest_capacity is not None:
                body["guestCapacity"] = doors.guest_capacity
        answer = await self._http.ask("PUT", "/v1/placements", body=body, timeout=ANSWER_S, good=(200, _CONFLICT))
        if answer.status == _CONFLICT:
            return PushResult(
                boot=self._http.read(_WrongBoot, answer.document, "PUT /v1/placements").boot, wrong_boot=True
            )
        found = self._http.read(_Pushed, answer.document, "PUT /v1/placements")
        self._confirmed_boot = found.boot
        return PushResult(
            boot=found.boot,
            accepted={name: held.revision for name, held in found.groups.items() if held.accepted},
            refused={name: held.reason for name, held in found.groups.items() if not held.accepted},
        )

    async def impair(
        self, boot: str, run: str, shares: Mapping[str, int], to: Sequence[str], ttl: float
    ) -> Mapping[str, int]:
        body = {"boot": boot, "drill": run, "ttl": ttl, "to": list(to), "groups": dict(shares)}
        answer = await self._http.ask("PUT", "/v1/impair", body=body, timeout=ANSWER_S)
        return self._http.read(_Impaired, answer.document, "PUT /v1/impair").groups

    def _groups(self, document: Any, what: str) -> CTIGroups:
        found = self._http.read(_Groups, document, what)
        confirmed = self._is_confirmed(found, document, what)
        return CTIGroups(found.boot, confirmed, found.seq, found.groups, found.sign_in_rate or 0.0)

    def _is_confirmed(self, found: _Groups, document: Any, what: str) -> bool:
        """Whether this boot of the CTI has had a map confirmed by a linearizable read.

        /v1/progress says so of the groups that changed only; once confirmed, a boot stays it.
        """
        groups = self._http.read(_GroupsConfirmed, document, what).groups
        if found.confirmed or any(group.confirmed for group in groups.values()):
            self._confirmed_boot = found.boot
        return found.boot == self._confirmed_boot


def _placement(revision: int, record: PlacementRecord) -> dict[str, Any]:
    drain = record.drain
    return {
        "revision": revision,
        "map": record.map,
        "pace": record.pace or None,  # 0: no limit
        "together": {"move": record.together, "pace": record.together_pace} if record.together else None,
        "drain": {
            "maxTalk": duration_seconds(drain.max_talk),
            "maxWrapUp": duration_seconds(drain.max_wrap_up),
            "onDeadline": drain.on_deadline,
        },
    }
