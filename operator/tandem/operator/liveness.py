"""The operator's small HTTP server: for the kubelet (does this process still do its work?), and for plans.

A Kubernetes API or a store that is away is no reason for a restart.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from tandem.errors import ConfigError, DependencyError

Report = Callable[[], tuple[bool, dict[str, Any]]]
"""Whether the process is alive, and what to say about it."""

Plan = Callable[[bytes], Awaitable[dict[str, Any]]]
"""What manifests would do. Raises: ConfigError, DependencyError."""

PLAN_PATH: Final = "/v1/plan"
_MOST_BYTES: Final = 4 * 2**20


class Liveness:
    """`GET /livez` and `POST /v1/plan` on one port."""

    def __init__(self, port: int, report: Report, plan: Plan | None = None) -> None:
        self._port = port
        self._report = report
        self._plan = plan
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def start(self) -> None:
        app = web.Application(client_max_size=_MOST_BYTES)
        app.router.add_get("/livez", self._answer)
        if self._plan is not None:
            app.router.add_post(PLAN_PATH, self._answer_plan)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "0.0.0.0", self._port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, _: web.Request) -> web.Response:
        alive, said = self._report()
        return _json(200 if alive else 503, {"ok": alive, **said})

    async def _answer_plan(self, request: web.Request) -> web.Response:
        assert self._plan is not None
        try:
            return _json(200, await self._plan(await request.read()))
        except ConfigError as error:
            return _json(400, {"message": str(error)})
        except DependencyError as error:
            return _json(503, {"message": str(error)})


def _json(status: int, document: dict[str, Any]) -> web.Response:
    return web.Response(status=status, text=json.dumps(document), content_type="application/json")
