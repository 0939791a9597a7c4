"""The agents' control port (contracts, section 10): figures, breaks, new starts, and the end."""

import asyncio
import json
from typing import Any

from aiohttp import web

from .floor import Floor

_FLOOR: web.AppKey[Floor] = web.AppKey("floor", Floor)
_STOP: web.AppKey[asyncio.Event] = web.AppKey("stop", asyncio.Event)


def make_app(floor: Floor, stop: asyncio.Event) -> web.Application:
    """The HTTP application; `POST /v1/stop` sets `stop`."""
    app = web.Application()
    app[_FLOOR] = floor
    app[_STOP] = stop
    app.router.add_get("/v1/stats", _stats)
    app.router.add_post("/v1/break", _break)
    app.router.add_post("/v1/restart", _restart)
    app.router.add_post("/v1/stop", _stop)
    app.router.add_get("/healthz", _healthz)
    return app


async def _stats(request: web.Request) -> web.Response:
    return web.json_response(request.app[_FLOOR].stats())


async def _break(request: web.Request) -> web.Response:
    document = await _body(request)
    over = document.get("state") == "available"
    unknown = request.app[_FLOOR].take_break(document["accounts"], over=over)
    return web.json_response({"pressed": len(document["accounts"]) - len(unknown), "unknown": unknown})


async def _restart(request: web.Request) -> web.Response:
    accounts = (await _body(request))["accounts"]
    unknown = request.app[_FLOOR].restart(accounts)
    return web.json_response({"restarted": len(accounts) - len(unknown), "unknown": unknown})


async def _body(request: web.Request) -> dict[str, Any]:
    """The request's document, whose `accounts` are strings. Raises: web.HTTPBadRequest that says what is wrong."""
    try:
        document: Any = await request.json()
    except json.JSONDecodeError as error:
        raise _invalid(f"the body is not JSON: {error}") from None
    accounts = document.get("accounts") if isinstance(document, dict) else None
    if not isinstance(accounts, list) or not all(isinstance(account, str) for account in accounts):
        raise _invalid("accounts must be a list of strings")
    body: dict[str, Any] = document
    return body


def _invalid(message: str) -> web.HTTPBadRequest:
    return web.HTTPBadRequest(
        text=json.dumps({"error": "Invalid", "message": message}), content_type="application/json"
    )


async def _stop(request: web.Request) -> web.Response:
    request.app[_STOP].set()
    return web.json_response({"stopping": True})


async def _healthz(request: web.Request) -> web.Response:
    return web.json_response({"ok": True, "agents": len(request.app[_FLOOR].agents)})
