"""The agents' control port (contracts, section 10): figures, breaks, and the end."""

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
    app.router.add_post("/v1/stop", _stop)
    app.router.add_get("/healthz", _healthz)
    return app


async def _stats(request: web.Request) -> web.Response:
    return web.json_response(request.app[_FLOOR].stats())


async def _break(request: web.Request) -> web.Response:
    try:
        document: Any = await request.json()
    except json.JSONDecodeError as error:
        return web.json_response({"error": "Invalid", "message": f"the body is not JSON: {error}"}, status=400)
    accounts = document.get("accounts") if isinstance(document, dict) else None
    if not isinstance(accounts, list) or not all(isinstance(account, str) for account in accounts):
        return web.json_response({"error": "Invalid", "message": "accounts must be a list of strings"}, status=400)
    over = document.get("state") == "available"
    unknown = request.app[_FLOOR].take_break(accounts, over=over)
    return web.json_response({"pressed": len(accounts) - len(unknown), "unknown": unknown})


async def _stop(request: web.Request) -> web.Response:
    request.app[_STOP].set()
    return web.json_response({"stopping": True})


async def _healthz(request: web.Request) -> web.Response:
    return web.json_response({"ok": True, "agents": len(request.app[_FLOOR].agents)})
