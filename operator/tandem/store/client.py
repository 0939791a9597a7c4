"""The store's client: `engine.ports.Store` on the JSON gateway of an etcd cluster.

Each member has its own few connections, so that a silent one holds up nobody who asks another. A request goes to the
local member and, when that one fails before its time is over, to the next:

- not sent, or refused because the member has no leader: nothing was applied, so any request may be asked elsewhere;
- sent, and then silence: unknown. Reads, grants, keepalives and revocations are asked again, a transaction is not: it
  may have been applied, and its guard would then fail the second one. The caller reads.
"""

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from math import ceil
from pathlib import Path
from typing import Final, Self, TypeVar

import httpx
from pydantic import ValidationError

from tandem.engine.ports import (
    Change,
    CompactedError,
    Delete,
    Guard,
    KeyValue,
    LeaseLostError,
    Membership,
    NoQuorumError,
    Page,
    Put,
    StoreError,
    TxnResult,
)
from tandem.errors import ConfigError
from tandem.store.endpoints import Endpoints
from tandem.store.faults import refusal
from tandem.store.watch import lines, read_line, watch_request
from tandem.store.wire import (
    Answer,
    GrantAnswer,
    GrantRequest,
    KeepAliveAnswer,
    LeaseRequest,
    MemberListAnswer,
    MemberListRequest,
    RangeAnswer,
    RangeRequest,
    Request,
    RevokeAnswer,
    StatusAnswer,
    StatusRequest,
    TransferRequest,
    TxnAnswer,
    end_of,
    key_of,
    transaction,
)
from tandem.undisturbed import undisturbed

REQUEST_CONNECTIONS: Final = 3
"""Connections per member for reads and writes. More would not be faster: etcd, httpx and we share the processors."""

LEASE_CONNECTIONS: Final = 1
"""Connections per member for leases alone: a keepalive never waits behind a burst of transactions."""

CONNECT_S: Final = 0.25
"""Longest wait for a member's TCP and TLS handshakes. Nothing was sent yet, so another member can be asked."""

WATCH_SILENCE_S: Final = 3.0
"""Silence after which a watch counts as lost. Members send progress each second
(`--watch-progress-notify-interval=1s`)."""

KEPT_OPEN_S: Final = 30.0
"""Seconds for which an idle connection is kept."""

# Without it a member that lost its leader keeps requests waiting for seconds and watches silent for ever.
_HEADERS: Final = {"Grpc-Metadata-Hasleader": "true", "Content-Type": "application/json"}

A = TypeVar("A", bound=Answer)


class _NotSentError(StoreError):
    """The request did not reach the member: nothing was applied."""


class StoreClient:
    """A client of all members.

    Args:
        endpoints: Members' client URLs, the local one first.
        ca, cert, key: Files for mutual TLS; empty where the members speak plain HTTP (tests).
    Raises: ConfigError without endpoints, or without a CA for https; OSError or ssl.SSLError for unreadable files.
    """

    def __init__(
        self, endpoints: Sequence[str], *, ca: str | Path = "", cert: str | Path = "", key: str | Path = ""
    ) -> None:
        if not endpoints:
            raise ConfigError("endpoints is empty; name at least one member of the store")
        if not ca and (secure := [url for url in endpoints if url.startswith("https:")]):
            raise ConfigError(f"ca is empty, but endpoints has {secure[0]}; name the CA that signed the members")
        tls = _tls(ca, cert, key)
        self._members = [_Member(url.rstrip("/"), tls) for url in endpoints]
        self._endpoints = Endpoints(len(self._members))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        for member in self._members:
            await member.aclose()

    async def range(self, prefix: str, *, timeout: float = 1.0) -> tuple[Sequence[KeyValue], int]:
        request = RangeRequest(key=key_of(prefix), range_end=end_of(prefix))
        answer = await self._ask("kv/range", request, RangeAnswer, timeout, repeatable=True)
        return [kv.read() for kv in answer.kvs], answer.header.revision

    async def page(
        self, prefix: str, *, start: str = "", limit: int = 0, keys_only: bool = False, timeout: float = 1.0
    ) -> Page:
        request = RangeRequest(
            key=key_of(start or prefix), range_end=end_of(prefix), limit=limit or None, keys_only=keys_only or None
        )
        answer = await self._ask("kv/range", request, RangeAnswer, timeout, repeatable=True)
        return Page([kv.read() for kv in answer.kvs], answer.count, answer.header.revision)

    async def get(self, key: str, *, timeout: float = 1.0) -> KeyValue | None:
        answer = await self._ask("kv/range", RangeRequest(key=key_of(key)), RangeAnswer, timeout, repeatable=True)
        return answer.kvs[0].read() if answer.kvs else None

    async def txn(self, guards: Sequence[Guard], writes: Sequence[Put | Delete], *, timeout: float = 1.0) -> TxnResult:
        answer = await self._ask("kv/txn", transaction(guards, writes), TxnAnswer, timeout, repeatable=False)
        return TxnResult(answer.succeeded, answer.header.revision)

    async def grant(self, ttl: float, *, timeout: float = 1.0) -> int:
        # Asked twice, the first lease is nobody's and expires.
        answer = await self._ask("lease/grant", GrantRequest(TTL=ceil(ttl)), GrantAnswer, timeout, repeatable=True)
        if not answer.ID:
            raise StoreError(f"no lease was granted: {answer.error or 'no reason given'}")
        return answer.ID

    async def keepalive(self, lease: int, *, timeout: float = 0.5) -> float:
        request = LeaseRequest(ID=lease)
        answer = await self._ask("lease/keepalive", request, KeepAliveAnswer, timeout, repeatable=True)
        if answer.result.TTL <= 0:
            raise LeaseLostError(f"lease {lease:x} has expired or was revoked")
        return float(answer.result.TTL)

    async def revoke(self, lease: int, *, timeout: float = 1.0) -> None:
        try:
            await self._ask("lease/revoke", LeaseRequest(ID=lease), RevokeAnswer, timeout, repeatable=True)
        except LeaseLostError:
            return  # which is what was wanted

    async def leader(self, *, timeout: float = 1.0) -> int:
        """ID of the member that leads the store when it is not the local one, the first of the endpoints; else 0.

        Raises: StoreError when the local member does not answer.
        """
        local = await self._status(self._members[0], timeout)
        return 0 if local.leader == local.header.member_id else local.leader

    async def lead(self, instead_of: int, *, timeout: float = 1.0) -> bool:
        """Let the local member lead the store instead of another one, by its ID. False when that one is not found.

        Raises: StoreError when the local member does not answer.
        """
        local = await self._status(self._members[0], timeout)
        for member in self._members[1:]:
            with contextlib.suppress(StoreError):
                if (await self._status(member, timeout)).header.member_id == instead_of:
                    wish = TransferRequest(targetID=local.header.member_id)
                    await member.post("maintenance/transfer-leadership", wish.encode(), timeout)
                    return True
        return False

    async def membership(self, *, timeout: float = 1.0) -> Membership | None:
        """What the local member, the first of the endpoints, says by a linearizable read; None: we are too busy to ask.

        Raises: StoreError when it does not answer, or cannot read so: it does not take part in what is decided.
        """
        local = self._members[0]
        try:
            content = await local.post("cluster/member/list", MemberListRequest().encode(), timeout)
        except _BusyError:
            return None
        answer = _read(MemberListAnswer, content, local.url)
        voters = sum(not member.isLearner for member in answer.members)
        return Membership(f"{answer.header.member_id:x}", voters)

    async def _status(self, member: "_Member", timeout: float) -> StatusAnswer:
        return StatusAnswer.model_validate_json(
            await member.post("maintenance/status", StatusRequest().encode(), timeout)
        )

    async def watch(self, prefix: str, from_revision: int) -> AsyncIterator[Sequence[Change]]:
        if from_revision < 1:
            raise ValueError(f"a watch begins at revision 1 or later, not at {from_revision}")
        following = from_revision
        while True:  # once more whenever a nearer member is well again
            async with aclosing(self._watch_from(prefix, following)) as batches:
                async for changes in batches:
                    if changes:
                        following = changes[-1].revision + 1
                    yield changes

    async def _watch_from(self, prefix: str, from_revision: int) -> AsyncGenerator[Sequence[Change], None]:
        # One revision earlier than asked: to a watch that begins in the future etcd sends no signs of life.
        try:
            async with aclosing(self._watch(prefix, max(from_revision - 1, 1))) as batches:
                async for changes in batches:
                    yield [change for change in changes if change.revision >= from_revision]
        except CompactedError:
            # Perhaps only that one revision is gone.
            async with aclosing(self._watch(prefix, from_revision)) as batches:
                async for changes in batches:
                    yield changes

    async def _watch(self, prefix: str, start_revision: int) -> AsyncGenerator[Sequence[Change], None]:
        """One stream at one member. Ends without an error when a nearer member is well again.

        A watch that stayed in the city where it found refuge would go blind for seconds when that city dies.
        """
        body = watch_request(prefix, start_revision).encode()
        number = self._endpoints.order(time.monotonic(), repeatable=True)[0]
        member = self._members[number]
        try:
            async with aclosing(member.stream("watch", body)) as answer:
                async for line in answer:
                    self._endpoints.answered(number, time.monotonic())
                    yield read_line(member.url, line)
                    if self._endpoints.nearer_is_well(number, time.monotonic()):
                        return
        except (_NotSentError, NoQuorumError):
            self._endpoints.failed(number, time.monotonic())
            raise
        except (httpx.HTTPError, OSError) as error:
            self._endpoints.failed(number, time.monotonic())
            raise StoreError(f"the watch at {member.url} broke: {_words(error)}") from error
        raise StoreError(f"{member.url} ended the watch without a word")

    async def _ask(self, path: str, request: Request, answer: type[A], timeout: float, *, repeatable: bool) -> A:
        """Ask one member after the other until one answers.

        Raises: StoreError when none did in time, or when one has refused for a reason that the others would share.
        """
        body = request.encode()
        now = time.monotonic()
        deadline = now + timeout
        order = self._endpoints.order(now, repeatable=repeatable)
        failures: list[StoreError] = []
        for position, number in enumerate(order):
            left = deadline - time.monotonic()
            if left <= 0:
                break
            # A silent member leaves time to ask another one.
            share = left / 2 if repeatable and position + 1 < len(order) else left
            member = self._members[number]
            try:
                content = await member.post(path, body, share)
            except _BusyError as error:
                failures.append(error)
                continue
            except (_NotSentError, NoQuorumError) as error:
                failures.append(error)
            except _SilentError as error:
                failures.append(error)
                if not repeatable:
                    self._endpoints.failed(number, time.monotonic())
                    raise
            else:
                self._endpoints.answered(number, time.monotonic())
                return _read(answer, content, member.url)
            self._endpoints.failed(number, time.monotonic())
        raise _summary(path, timeout, failures)


class _SilentError(StoreError):
    """The member was sent the request and did not answer."""


class _BusyError(_NotSentError):
    """All our connections to the member are busy: our own haste, not its fault."""


class _Lane:
    """A few connections to one member, taken in turn.

    Requests wait for them here: who waits has not been sent, and httpcore's own queue grows slow as it grows long.
    """

    def __init__(self, url: str, tls: ssl.SSLContext | bool, connections: int) -> None:
        self._url = url
        self._transport = _transport(tls, connections)
        self._free = asyncio.Semaphore(connections)

    async def aclose(self) -> None:
        await self._transport.aclose()

    async def post(self, path: str, body: bytes, timeout: float) -> httpx.Response:
        """The answer within `timeout` seconds. Raises _BusyError, httpx's errors, OSError (TimeoutError included)."""
        deadline = time.monotonic() + timeout
        try:
            async with asyncio.timeout(timeout):
                await self._free.acquire()
        except TimeoutError:
            raise _BusyError(f"{self._url}: all connections were busy for {timeout:.2f} s") from None
        left = max(deadline - time.monotonic(), 0.0)
        return await undisturbed(self._on_a_free_connection(path, body, left), left)

    async def _on_a_free_connection(self, path: str, body: bytes, timeout: float) -> httpx.Response:
        request = _request(self._url, path, body, httpx.Timeout(timeout, connect=min(CONNECT_S, timeout)))
        try:
            answer = await self._transport.handle_async_request(request)
            try:
                await answer.aread()
            finally:
                await answer.aclose()
            return answer
        finally:
            self._free.release()  # not earlier, when the caller has gone


class _Member:
    """One member and the connections to it."""

    def __init__(self, url: str, tls: ssl.SSLContext | bool) -> None:
        self.url = url
        self._requests = _Lane(url, tls, REQUEST_CONNECTIONS)
        self._leases = _Lane(url, tls, LEASE_CONNECTIONS)
        self._watches = _transport(tls, 0)

    async def aclose(self) -> None:
        await self._requests.aclose()
        await self._leases.aclose()
        await self._watches.aclose()

    async def post(self, path: str, body: bytes, timeout: float) -> bytes:
        """The body of a good answer.

        Raises: _NotSentError, _SilentError; the error that a refusal stands for.
        """
        lane = self._leases if path.startswith("lease/") else self._requests
        try:
            answer = await lane.post(path, body, timeout)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise _NotSentError(f"{self.url} cannot be reached: {_words(error)}") from error
        except (httpx.HTTPError, OSError) as error:  # httpx lets errors of an established TLS connection through
            raise _SilentError(f"{self.url} did not answer {path} within {timeout:.2f} s: {_words(error)}") from error
        refused = refusal(self.url, answer.status_code, answer.content)
        if refused is not None:
            raise refused
        return answer.content

    async def stream(self, path: str, body: bytes) -> AsyncGenerator[bytes, None]:
        """The lines of an endless answer. Raises httpx's errors and OSError when it breaks, else as `post` does."""
        timeout = httpx.Timeout(WATCH_SILENCE_S, connect=CONNECT_S)
        try:
            answer = await self._watches.handle_async_request(_request(self.url, path, body, timeout))
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise _NotSentError(f"{self.url} cannot be reached: {_words(error)}") from error
        try:
            refused = refusal(self.url, answer.status_code, b"" if answer.is_success else await answer.aread())
            if refused is not None:
                raise refused
            async for line in lines(answer.aiter_raw()):
                yield line
        finally:
            await answer.aclose()


def _transport(tls: ssl.SSLContext | bool, kept_open: int) -> httpx.AsyncHTTPTransport:
    """Connections to one member. The transport alone: see `adapters.json_http`."""
    return httpx.AsyncHTTPTransport(
        verify=tls,
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=kept_open, keepalive_expiry=KEPT_OPEN_S),
        trust_env=False,  # the members are reached directly, whatever proxy the environment names
    )


def _request(url: str, path: str, body: bytes, timeout: httpx.Timeout) -> httpx.Request:
    extensions = {"timeout": timeout.as_dict()}
    return httpx.Request("POST", f"{url}/v3/{path}", content=body, headers=_HEADERS, extensions=extensions)


def _tls(ca: str | Path, cert: str | Path, key: str | Path) -> ssl.SSLContext | bool:
    if not ca:
        return False
    context = ssl.create_default_context(cafile=str(ca))
    if cert:
        context.load_cert_chain(str(cert), str(key))
    return context


def _read(answer: type[A], content: bytes, endpoint: str) -> A:
    try:
        return answer.model_validate_json(content)
    except ValidationError as error:
        raise StoreError(f"{endpoint} answered what cannot be read: {content[:200]!r}") from error


def _summary(path: str, timeout: float, failures: Sequence[StoreError]) -> StoreError:
    """What to raise when no member answered: a lost quorum explains the others' silence."""
    said = "; ".join(map(str, failures)) or "no member was asked"
    kind = NoQuorumError if any(isinstance(error, NoQuorumError) for error in failures) else StoreError
    return kind(f"{path} was not answered within {timeout:.2f} s: {said}")


def _words(error: Exception) -> str:
    return f"{type(error).__name__} {error}".strip()
