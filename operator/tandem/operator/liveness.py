"""The operator's small HTTP server: for the kubelet (does this process still do its work?), for plans and the history.

A Kubernetes API or a store that is away is no reason for a restart.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from aiohttp import web

from tandem.errors import ConfigError, DependencyError

Report = Callable[[], tuple[bool, dict[str, Any]]]
"""Whether the process is alive, and what to say about it."""

Plan = Callable[[bytes], Awaitable[dict[str, Any]]]
"""What manifests would do. Raises: ConfigError, DependencyError."""

History = Callable[[Mapping[str, str]], Awaitable[dict[str, Any]]]
"""What the decision log says, by the parameters of the query. Raises: ConfigError, DependencyError."""

PLAN_PATH: Final = "/v1/plan"
HISTORY_PATH: Final = "/v1/history"
_MOST_BYTES: Final = 4 * 2**20


class Liveness:
    """`GET /livez`, `POST /v1/plan` and `GET /v1/history` on one port."""

    def __init__(self, port: int, report: Report, plan: Plan | None = None, history: History | None = None) -> None:
        self._port = port
        self._report = report
        self._plan = plan
        self._history = history
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def start(self) -> None:
        app = web.Application(client_max_size=_MOST_BYTES)
        app.router.add_get("/livez", self._answer)
        if self._plan is not None:
            app.router.add_post(PLAN_PATH, self._answer_plan)
        if self._history is not None:
            app.router.add_get(HISTORY_PATH, self._answer_history)
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
        return await _asked(self._plan(await request.read()))

    async def _answer_history(self, request: web.Request) -> web.Response:
        assert self._history is not None
        return await _asked(self._history(dict(request.query)))


async def _asked(answer: Awaitable[dict[str, Any]]) -> web.Response:
    """An answer, or whose fault it is that there is none."""
    try:
        return _json(200, await answer)
    except ConfigError as error:
        return _json(400, {"message": str(error)})
    except DependencyError as error:
        return _json(503, {"message": str(error)})


def _json(status: int, document: dict[str, Any]) -> web.Response:
    return web.Response(status=status, text=json.dumps(document), content_type="application/json")
