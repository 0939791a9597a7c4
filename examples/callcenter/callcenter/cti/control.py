"""The control port: the CTI contract (contract.yaml), which the city's engine uses."""

import asyncio
import hmac
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from math import inf
from typing import Any, Final, Protocol

from aiohttp import web

from callcenter.cti import metrics, openapi
from callcenter.cti.centre import Centre
from callcenter.cti.errors import NotKeptError, RequestError, WrongBootError
from callcenter.cti.wire import (
    Impairment,
    read_as_of,
    read_guest_capacity,
    read_impairment,
    read_placements,
    read_priorities,
)
from callcenter.session.placements import PlaceAnswer, Placement
from callcenter.session.priorities import Priorities
from callcenter.version import VERSION

LONGEST_WAIT: Final = 60.0
"""Seconds that a long poll may ask to wait."""

COALESCE: Final = 0.02
"""Seconds that a long poll stays on after news: a move of a thousand agents should not be a thousand answers."""

MOST_NAMED: Final = 1_000
"""Accounts of a group that are named as staying; `buckets` counts them all."""

MOST_MOVES: Final = 5_000
"""Moves in one answer; the caller asks again."""

LARGEST_PUSH: Final = 8_000_000
"""Bytes of a request: a thousand groups' placements have room in it."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Host(Protocol):
    """What the control port needs of the process."""

    @property
    def centre(self) -> Centre:
        """The CTI's state."""

    def now(self) -> float:
        """CLOCK_BOOTTIME, seconds."""

    async def place(self, boot: str, placements: dict[str, Placement], *, confirmed: bool) -> dict[str, PlaceAnswer]:
        """Keep placements on disk, take them and act on them. Raises WrongBootError, NotKeptError."""

    def set_guest_capacity(self, capacity: int, as_of: int) -> None:
        """Take in at most so many guests, as the store had it at revision `as_of`."""

    def set_priorities(self, priorities: Priorities) -> None:
        """Let in by these priorities from now on."""

    def impair(self, wanted: Impairment) -> dict[str, int]:
        """Keep idle agents silent for a drill; how many, by group. Raises WrongBootError."""

    async def news(self, timeout: float) -> None:
        """Return at the next change of anything, or after `timeout` seconds."""

    def health(self) -> tuple[int, dict[str, Any]]:
        """Status and body of `/healthz`."""


def group_json(centre: Centre, group: str) -> dict[str, Any]:
    """One group as the contract shows it."""
    calls = centre.calls.tally(group)
    count, states = centre.server.count(group), centre.agents.states(group)
    placement = centre.server.book.get(group)
    return {
        "revision": placement.revision if placement is not None else 0,
        "confirmed": centre.server.book.confirmed(group),
        "priority": centre.server.priorities.of(group),
        "signed_in": count.signed_in,
        "available": states["available"],
        "ringing": states["ringing"],
        "talking": states["talking"],
        "wrapup": states["wrapup"],
        "on_break": states["break"],
        "waiting": count.waiting,
        "guests": centre.server.guests.count(group),
        "standby": count.standby,
        "calls_waiting": centre.calls.waiting(group),
        "released": count.released,
        "calls_answered": calls.answered,
        "calls_unanswered": centre.calls.unanswered_of(group),
        "calls": asdict(calls),
        "buckets": {str(bucket): n for bucket, n in count.occupied.items()},
        "staying": count.staying[:MOST_NAMED],
    }


def _error(status: int, error: str, message: str, **more: Any) -> web.Response:
    return web.json_response({"error": error, "message": message, **more}, status=status)


class ControlPort:
    """Handlers of the contract. `rate`: sign-ins a second that this CTI takes."""

    def __init__(self, host: Host, *, token: str, system: str, rate: float) -> None:
        self._host = host
        self._token = f"Bearer {token}".encode()
        self._system = system
        self._rate = rate

    def app(self) -> web.Application:
        """The application to serve."""

        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self._guard(request, handler)

        app = web.Application(middlewares=[guard], client_max_size=LARGEST_PUSH)
        app.add_routes(
            [
                web.get("/healthz", self.healthz),
                web.get("/openapi.json", self.openapi),
                web.get("/metrics", self.metrics),
                web.get("/v1/capabilities", self.capabilities),
                web.get("/v1/status", self.status),
                web.get("/v1/progress", self.progress),
                web.put("/v1/placements", self.placements),
                web.put("/v1/impair", self.impair),
                web.get("/v1/moves", self.moves),
                web.get("/v1/agents/{account}", self.agent),
                web.post("/v1/release-query", self.release_query),
                web.get("/v1/evidence", self.evidence),
            ]
        )
        return app

    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Ask for the token, and turn what cannot be understood into a 400 that names the field."""
        if request.path.startswith("/v1/"):
            given = request.headers.get("Authorization", "").encode()
            if not hmac.compare_digest(given, self._token):
                return _error(401, "Unauthorized", "send Authorization: Bearer <TANDEM_CONTROL_TOKEN>")
        try:
            return await handler(request)
        except RequestError as e:
            return _error(400, "BadRequest", str(e), field=e.field)
        except web.HTTPException as e:
            return _error(e.status, e.reason.replace(" ", ""), e.text or e.reason)

    # ---- unauthenticated

    async def healthz(self, _: web.Request) -> web.Response:
        """Whether this CTI serves."""
        status, body = self._host.health()
        return web.json_response(body, status=status)

    async def openapi(self, _: web.Request) -> web.Response:
        """The contract itself."""
        return web.json_response(openapi.document())

    async def metrics(self, _: web.Request) -> web.Response:
        """Figures for Prometheus. No part of the contract: they are this call centre's own."""
        centre = self._host.centre
        text = metrics.exposition(centre, centre.server.site, self._system)
        return web.Response(text=text, headers={"Content-Type": metrics.CONTENT_TYPE})

    # ---- the contract

    async def capabilities(self, _: web.Request) -> web.Response:
        """What an engine may expect of this CTI."""
        return web.json_response(
            {
                "selection": "Bucket",
                "percentStep": 1,
                "drain": True,
                "forced": True,
                "admission": "Door",
                "progress": "PerAgent",
                "clientEvidence": True,
                "fence": "Native",
                "identity": "Shared",
                "maxRate": self._rate,
                "impair": True,
                "version": f"callcenter {VERSION}",
            }
        )

    async def status(self, _: web.Request) -> web.Response:
        """All groups."""
        centre, now = self._host.centre, self._host.now()
        server = centre.server
        return web.json_response(
            {
                "site": server.site,
                "system": self._system,
                "boot": server.boot,
                "uptime": round(now - server.book.boot_at, 3),
                "confirmed": server.book.any_confirmed,
                "groups": {name: group_json(centre, name) for name in centre.group_seq},
            }
        )

    async def progress(self, request: web.Request) -> web.Response:
        """Groups that changed after `after`; waits for news for up to `wait` seconds."""
        centre = self._host.centre
        after, wait = _integer(request, "after"), _wait(request)
        if after > centre.seq:
            after = 0  # counted by an earlier boot
        await self._until(lambda: centre.seq > after, wait)
        changed = [name for name, seq in centre.group_seq.items() if seq > after]
        groups = {name: group_json(centre, name) for name in changed}
        rate = centre.server.sign_in_rate
        return web.json_response(
            {
                "seq": centre.seq,
                "boot": centre.server.boot,
                "signInRate": round(rate, 1) if rate < inf else None,
                "groups": groups,
            }
        )

    async def placements(self, request: web.Request) -> web.Response:
        """Take placements."""
        body = await _body(request)
        boot, confirmed = body.get("boot"), body.get("confirmed")
        if not isinstance(boot, str):
            raise RequestError("boot", "expected the boot ID that /v1/status shows")
        if not isinstance(confirmed, bool):
            raise RequestError("confirmed", "expected true or false: whether a linearizable read stands behind this")
        placements, guest_capacity = read_placements(body), read_guest_capacity(body)
        priorities = read_priorities(body)
        as_of = read_as_of(body) if guest_capacity is not None else 0
        server = self._host.centre.server
        try:
            if boot != server.boot:
                raise WrongBootError(boot)
            if priorities is not None:
                self._host.set_priorities(priorities)  # before the doors that this push opens
            answers = await self._host.place(boot, placements, confirmed=confirmed)
        except WrongBootError:
            return _error(409, "WrongBoot", f"this process is {server.boot}, not {boot}", boot=server.boot)
        except NotKeptError as e:
            return _error(507, "NotKept", str(e))
        if guest_capacity is not None:
            self._host.set_guest_capacity(guest_capacity, as_of)
        return web.json_response(
            {
                "boot": server.boot,
                "groups": {
                    name: {"revision": answer.revision, "accepted": answer.accepted, "reason": answer.reason}
                    for name, answer in answers.items()
                },
            }
        )

    async def impair(self, request: web.Request) -> web.Response:
        """A drill's silence towards idle agents: begin, go on, end."""
        wanted = read_impairment(await _body(request))
        server = self._host.centre.server
        try:
            chosen = self._host.impair(wanted)
        except WrongBootError:
            message = f"this process is {server.boot}, not {wanted.boot}"
            return _error(409, "WrongBoot", message, boot=server.boot)
        if wanted.shares and not server.keeps_silent(wanted.drill):
            return _error(410, "Over", f"{wanted.drill} was ended here, or has lasted for as long as it may")
        return web.json_response({"boot": server.boot, "drill": wanted.drill, "groups": chosen})

    async def moves(self, request: web.Request) -> web.Response:
        """Moves into this city after `after`; waits for news for up to `wait` seconds."""
        centre = self._host.centre
        after, wait = _integer(request, "after"), _wait(request)
        if after > centre.move_seq:
            after = 0
        await self._until(lambda: centre.move_seq > after, wait)
        # The newest are at the end, and usually few of them are asked for.
        newest = centre.move_seq - max(after, centre.move_seq - len(centre.moves))
        wanted = [centre.moves[i] for i in range(len(centre.moves) - newest, len(centre.moves))][:MOST_MOVES]
        return web.json_response(
            {
                "seq": wanted[-1].seq if wanted else centre.move_seq,
                "boot": centre.server.boot,
                "moves": [
                    {
                        "seq": entry.seq,
                        "account": entry.move.member.account,
                        "group": entry.move.member.group,
                        "bucket": entry.move.member.bucket,
                        "from": entry.move.from_,
                        "to": centre.server.site,
                        "released_at": entry.move.released_at,
                        "signed_in_at": entry.move.signed_in_at,
                        "gap": entry.move.gap,
                        "cause": entry.move.cause,
                        "delay": asdict(entry.move.delay),
                    }
                    for entry in wanted
                ],
            }
        )

    async def agent(self, request: web.Request) -> web.Response:
        """The record of one agent."""
        centre, now = self._host.centre, self._host.now()
        member = self._member(request.match_info["account"])
        if member is None:
            return _error(404, "UnknownAccount", f"no agent {request.match_info['account']!r} in this system")
        server = centre.server
        record, view = centre.agents.record(member.account), server.view(member.account, now)
        session = view.session if view is not None else None
        released = view.released if view is not None else None
        return web.json_response(
            {
                "account": member.account,
                "group": member.group,
                "bucket": member.bucket,
                "virtual_id": record.virtual_id,
                "extension": centre.agents.extension(member.account),
                "number": centre.agents.number(member.account) if session is not None else None,
                "session": session,
                "instance": view.instance if view is not None else None,
                "valid_for": view.valid_for if view is not None else None,
                "state": centre.agents.state(member.account),
                "call": centre.agents.call_of(member.account),
                "at_door": view.at_door if view is not None else None,
                "guest": view is not None and view.guest,
                "lent": server.guests.is_lent(member.account, now),
                "released": None
                if released is None
                else {"to": released.to, "ago": round(now - released.at, 3), "revision": released.revision},
            }
        )

    async def release_query(self, request: web.Request) -> web.Response:
        """Whether this CTI counts no session of an account any more."""
        body = await _body(request)
        for field in ("account", "instance"):
            if not isinstance(body.get(field), str):
                raise RequestError(field, "expected a string")
        member = self._member(body["account"])
        if member is None:
            return _error(404, "UnknownAccount", f"no agent {body['account']!r} in this system")
        released, reason = self._host.centre.server.release_query(member.account, self._host.now())
        return web.json_response({"released": released, "reason": reason})

    async def evidence(self, _: web.Request) -> web.Response:
        """What clients here say of their connections to the other cities, by site and group."""
        sites: dict[str, dict[str, Counter[str]]] = {}
        longest: dict[str, float] = {}
        for said in self._host.centre.server.evidence(self._host.now()):
            counts = sites.setdefault(said.site, {}).setdefault(said.member.group, Counter(clients=0, lost=0))
            counts["clients"] += 1
            if not said.ok:
                counts["lost"] += 1
                longest[said.site] = max(longest.get(said.site, 0.0), said.since)
        return web.json_response(
            {
                "boot": self._host.centre.server.boot,
                "sites": {
                    site: {
                        "clients": sum(counts["clients"] for counts in groups.values()),
                        "lost": sum(counts["lost"] for counts in groups.values()),
                        "longest_lost": round(longest.get(site, 0.0), 3),
                        "groups": groups,
                    }
                    for site, groups in sites.items()
                },
            }
        )

    # ---- small steps

    def _member(self, account: str) -> Any:
        return self._host.centre.agents.member(account)

    async def _until(self, there: Callable[[], bool], wait: float) -> None:
        deadline = self._host.now() + wait
        while not there():
            left = deadline - self._host.now()
            if left <= 0:
                return
            await self._host.news(left)
            if there():
                await asyncio.sleep(min(COALESCE, left))


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.text())
    except ValueError as e:
        raise RequestError("body", f"not JSON: {e}") from e
    if not isinstance(body, dict):
        raise RequestError("body", f"expected an object, not {type(body).__name__}")
    return body


def _integer(request: web.Request, name: str) -> int:
    text = request.query.get(name, "0")
    if not text.isdigit():
        raise RequestError(name, f"is {text!r}: expected an integer of 0 or more")
    return int(text)


def _wait(request: web.Request) -> float:
    text = request.query.get("wait", "0")
    try:
        wait = float(text)
    except ValueError:
        wait = -1.0
    if not 0 <= wait <= LONGEST_WAIT:
        raise RequestError("wait", f"is {text!r}: expected seconds from 0 to {LONGEST_WAIT:g}")
    return wait
