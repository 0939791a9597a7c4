"""The carrier's HTTP API (contracts, section 9)."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from .errors import CarrierError, RouteError, StaleRevisionError
from .load import parse_load
from .routes import parse_plan, plan_document
from .switchboard import Switchboard

_BOARD: web.AppKey[Switchboard] = web.AppKey("switchboard", Switchboard)


@web.middleware
async def _errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except StaleRevisionError as error:
        return web.json_response({"error": "StaleRevision", "message": str(error)}, status=409)
    except CarrierError as error:
        return web.json_response({"error": "Invalid", "message": str(error)}, status=400)


def make_app(board: Switchboard) -> web.Application:
    """The API on a switchboard."""
    app = web.Application(middlewares=[_errors])
    app[_BOARD] = board
    app.router.add_put("/v1/routes/{number}", _put_routes)
    app.router.add_get("/v1/routes", _get_routes)
    app.router.add_put("/v1/load", _put_load)
    app.router.add_post("/v1/hangup", _post_hangup)
    app.router.add_get("/v1/calls", _get_calls)
    app.router.add_delete("/v1/calls", _delete_calls)
    app.router.add_get("/v1/stats", _get_stats)
    app.router.add_get("/healthz", _healthz)
    return app


async def _body(request: web.Request) -> Any:
    try:
        return await request.json()
    except json.JSONDecodeError as error:
        raise RouteError(f"the body is not JSON: {error}") from error


async def _put_routes(request: web.Request) -> web.Response:
    plan = parse_plan(request.match_info["number"], await _body(request))
    request.app[_BOARD].set_plan(plan)
    return web.json_response({"number": plan.number, "revision": plan.revision})


async def _get_routes(request: web.Request) -> web.Response:
    plans = request.app[_BOARD].plans
    return web.json_response({number: plan_document(plan) for number, plan in sorted(plans.items())})


async def _put_load(request: web.Request) -> web.Response:
    load = parse_load(await _body(request))
    request.app[_BOARD].set_load(load)
    return web.json_response({"calls_per_second": load.calls_per_second})


async def _post_hangup(request: web.Request) -> web.Response:
    return web.json_response({"calls": request.app[_BOARD].hang_up()})


async def _get_calls(request: web.Request) -> web.Response:
    text = request.query.get("after", "0")
    if not (text.isascii() and text.isdigit()):
        raise RouteError(f"after {text[:40]!r} must be an integer of at least 0")
    log = request.app[_BOARD].log
    return web.json_response({"seq": log.seq, "calls": [record.document() for record in log.after(int(text))]})


async def _delete_calls(request: web.Request) -> web.Response:
    request.app[_BOARD].log.clear()
    return web.json_response({"seq": request.app[_BOARD].log.seq})


async def _get_stats(request: web.Request) -> web.Response:
    return web.json_response(request.app[_BOARD].stats())


async def _healthz(request: web.Request) -> web.Response:
    return web.json_response({"ok": True, "calls": request.app[_BOARD].calls_under_way})
