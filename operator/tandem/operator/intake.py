"""kopf, in a thread and an event loop of its own: its watches become changes of the operator's table.

kopf cancels everything in its loop when one watch dies for good, and it dies after about a minute of errors. Here that
costs a restart of this thread, and nothing else: our own tasks live in the main loop.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import kopf

from tandem.api.common import GROUP, VERSION
from tandem.api.resources import RESOURCES, Resource
from tandem.operator.objects import Seen, parse
from tandem.operator.settings import REQUEST_TIMEOUT_S

log = logging.getLogger(__name__)

OnSeen = Callable[[Seen], None]
OnDeleted = Callable[[Seen], None]

IDENTITY: Any = "tandem"
_BACKOFF_S: Final = (1.0, 2.0, 5.0, 10.0, 30.0)
_CALM_S: Final = 120.0
"""A run that lasted this long was a good one: the next restart comes quickly again."""
_BEAT_S: Final = 1.0
_WEDGED_S: Final = 60.0
"""Seconds without a beat of kopf's loop after which it counts as stuck."""
_STOP_S: Final = 8.0


class Intake:
    """Runs kopf and hands what it sees to the main loop. `start` in the main loop's thread."""

    def __init__(self, on_seen: OnSeen, on_deleted: OnDeleted) -> None:
        self._on_seen = on_seen
        self._on_deleted = on_deleted
        self._main: asyncio.AbstractEventLoop | None = None
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._thread: threading.Thread | None = None
        self._beat = time.monotonic()
        self._waiting = False
        self.restarts = 0

    def start(self) -> None:
        self._main = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._supervise, name="kopf", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """Ask kopf to end, and wait for a while."""
        self._stop.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, _STOP_S)

    @property
    def watching(self) -> bool:
        """Whether kopf has started; while it has not, somebody else has to look at the API."""
        return self._ready.is_set()

    @property
    def stuck(self) -> bool:
        """Whether kopf's loop stands still although it should run."""
        alive = self._thread is not None and self._thread.is_alive()
        return not self._stop.is_set() and (
            not alive or (not self._waiting and time.monotonic() - self._beat > _WEDGED_S)
        )

    def _supervise(self) -> None:
        attempt = 0
        while not self._stop.is_set():
            started = time.monotonic()
            try:
                asyncio.run(self._run())
            except Exception:
                # Whatever kopf died of, the next run starts from lists and misses nothing.
                log.exception("kopf ended with an error")
            if self._stop.is_set():
                return
            attempt = 0 if time.monotonic() - started > _CALM_S else attempt + 1
            pause = _BACKOFF_S[min(attempt, len(_BACKOFF_S) - 1)]
            self.restarts += 1
            log.warning("kopf's watches ended; starting them again in %.0f s", pause)
            self._waiting = True
            self._stop.wait(pause)
            self._waiting = False
            self._beat = time.monotonic()

    async def _run(self) -> None:
        beat = asyncio.create_task(self._beats())
        try:
            await kopf.operator(
                registry=self.registry(),
                settings=settings(),
                clusterwide=True,
                standalone=True,
                # Else kopf asks for the user's name, and a container's user has none.
                identity=IDENTITY,
                stop_flag=self._stop,
                ready_flag=self._ready,
                memo=kopf.Memo(),
            )
        finally:
            self._ready.clear()
            beat.cancel()

    async def _beats(self) -> None:
        while True:
            self._beat = time.monotonic()
            await asyncio.sleep(_BEAT_S)

    def registry(self) -> kopf.OperatorRegistry:
        """Handlers for all kinds. They only translate."""
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry)(login)
        for resource in RESOURCES:
            kopf.on.event(GROUP, VERSION, resource.plural, registry=registry)(self._handler(resource))
        return registry

    def _handler(self, resource: Resource) -> Callable[..., Any]:
        async def on_event(type: str | None, body: kopf.Body, **_: Any) -> None:  # noqa: A002 - kopf's word
            self._hand_over(resource, type, dict(body))

        return on_event

    def _hand_over(self, resource: Resource, kind: str | None, body: Mapping[str, Any]) -> None:
        assert self._main is not None
        seen = parse(resource, body)
        self._main.call_soon_threadsafe(self._on_deleted if kind == "DELETED" else self._on_seen, seen)


async def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
    """The pod's service account; outside of a cluster the kubeconfig."""
    return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)


def settings() -> kopf.OperatorSettings:
    """kopf's settings: short timeouts, nothing of its own on users' objects, no Events of its own."""
    found = kopf.OperatorSettings()
    found.networking.request_timeout = REQUEST_TIMEOUT_S
    found.networking.connect_timeout = REQUEST_TIMEOUT_S
    found.posting.enabled = False
    found.scanning.disabled = True  # no rights on CRDs and namespaces are needed for a few fixed kinds
    found.watching.server_timeout = 300  # a whole number: it is put into the URL as it is
    found.watching.connect_timeout = REQUEST_TIMEOUT_S
    found.queueing.worker_limit = None  # a worker idles before it ends: with a limit, objects queue up behind idlers
    found.queueing.idle_timeout = 1.0
    found.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix="kopf.tandem.dev")
    found.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix="kopf.tandem.dev")
    return found
