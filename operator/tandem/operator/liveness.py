"""What the kubelet asks: does this process still do its work? A Kubernetes API or a store that is away is no reason."""

import json
from collections.abc import Callable
from typing import Any

from aiohttp import web

Report = Callable[[], tuple[bool, dict[str, Any]]]
"""Whether the process is alive, and what to say about it."""


class Liveness:
    """`GET /livez` on one port."""

    def __init__(self, port: int, report: Report) -> None:
        self._port = port
        self._report = report
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/livez", self._answer)
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
        return web.Response(
            status=200 if alive else 503, text=json.dumps({"ok": alive, **said}), content_type="application/json"
        )
