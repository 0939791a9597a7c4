"""One phone's registration at one registrar: digest, refresh, retry with jitter, and a window for many of them.

Ten thousand REGISTERs at once over one socket cost thousands of retransmissions; with at most a hundred unanswered
there are none (measured). So registrations of one socket share a `RegistrationWindow`.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from .client_transaction import ClientTransaction
from .digest import DigestCredentials, parse_challenge
from .errors import ParseError
from .message import Address, Headers, Request, Response
from .stack import SipStack
from .timers import Timer
from .uri import parse_name_addr

EXPIRES: Final = 360
"""Seconds asked of the registrar: twice the refresh interval, so that one lost refresh does not unregister a phone."""

REFRESH: Final = 180.0
"""Seconds between refreshes; each phone draws 75-100 % of it, so that phones which start together drift apart."""

ATTEMPT_TIMEOUT: Final = 8.0
"""Seconds until an unanswered REGISTER gives its place in the window to another (RFC 3261 would keep it for 32)."""

RETRY_FIRST: Final = 1.0
RETRY_MOST: Final = 30.0
"""Seconds before the first and before a late retry; doubled each time, 50-100 % jitter (RFC 5626 section 4.5)."""


class RegistrationWindow:
    """At most `limit` registrations in flight; the others wait in the order in which they came."""

    def __init__(self, limit: int = 100) -> None:
        self._limit = limit
        self._in_flight = 0
        self._waiting: deque[Callable[[], None]] = deque()

    def submit(self, job: Callable[[], None]) -> None:
        """Run `job` as soon as there is room; it must end with one `done()`."""
        if self._in_flight < self._limit:
            self._in_flight += 1
            job()
        else:
            self._waiting.append(job)

    def done(self) -> None:
        """One job is over."""
        if self._waiting:
            self._waiting.popleft()()
        else:
            self._in_flight -= 1

    @property
    def in_flight(self) -> int:
        """Jobs running now."""
        return self._in_flight

    @property
    def waiting(self) -> int:
        """Jobs not begun yet."""
        return len(self._waiting)


class RegistrationListener(Protocol):
    """Whoever wants to know how a registration is doing."""

    def on_registered(self, registration: "Registration", *, fresh: bool) -> None:
        """The registrar holds our contact. `fresh`: it did not before, as far as we know, or `register()` asked."""

    def on_registration_failed(self, registration: "Registration", code: int) -> None:
        """An attempt failed (408: no answer); it is tried again by itself."""


class Registration:
    """A contact that is kept registered until `stop()`.

    Args:
        user: User part of the address of record and of the contact.
        realm: Domain of the address of record; the digest's realm is the registrar's word.
        window: Shared by all registrations of the stack.
    """

    def __init__(
        self,
        stack: SipStack,
        *,
        user: str,
        password: str,
        registrar: Address,
        realm: str,
        window: RegistrationWindow,
        listener: RegistrationListener,
    ) -> None:
        self.user = user
        self.registrar = registrar
        self.registered = False
        self._stack = stack
        self._realm = realm
        self._credentials = DigestCredentials(user, password)
        self._window = window
        self._listener = listener
        self._call_id = stack.new_call_id()
        self._from_tag = stack.token()
        self._cseq = 0
        self._failures = 0
        self._wanted = True
        self._fresh = True
        self._queued = False
        self._authenticated = False
        self._transaction: ClientTransaction | None = None
        self._timer: Timer | None = None

    def register(self) -> None:
        """Register now (in turn), whatever was known before: at the start, and when the registrar lost its memory."""
        self._wanted = True
        self._fresh = True
        self._failures = 0
        self._submit()

    def stop(self, *, unregister: bool) -> None:
        """Refresh no more; with `unregister` also tell the registrar, once and without waiting for the answer."""
        self._wanted = False
        self._disarm()
        if unregister and self.registered:
            self._stack.request(self._request(expires=0), self.registrar, _NobodyListens())
        self.registered = False

    def _submit(self) -> None:
        self._disarm()
        if self._queued:
            return
        if self._transaction is not None:
            # What is in flight may have gone to a registrar that has since lost its memory: begin again.
            self._transaction.abandon()
            self._transaction = None
            self._begin()
            return
        self._queued = True
        self._window.submit(self._begin)

    def _begin(self) -> None:
        self._queued = False
        self._authenticated = False
        if self._wanted:
            self._send()
        else:
            self._window.done()

    def _send(self) -> None:
        self._transaction = self._stack.request(
            self._request(expires=EXPIRES), self.registrar, self, timeout=ATTEMPT_TIMEOUT
        )

    def _request(self, *, expires: int) -> Request:
        self._cseq += 1
        host, port = self.registrar
        uri = f"sip:{host}:{port}"
        address_of_record = f"<sip:{self.user}@{self._realm}>"
        headers = Headers()
        headers.set("max-forwards", "70")
        headers.set("from", f"{address_of_record};tag={self._from_tag}")
        headers.set("to", address_of_record)
        headers.set("call-id", self._call_id)
        headers.set("cseq", f"{self._cseq} REGISTER")
        headers.set("contact", self._stack.contact(self.user))
        headers.set("expires", str(expires))
        authorization = self._credentials.authorization("REGISTER", uri, self._stack.token())
        if authorization is not None:
            headers.set("authorization", authorization)
        return Request(headers, b"", "REGISTER", uri)

    # -- answers (ClientUser) ----------------------------------------------------------------------------------------

    def on_response(self, response: Response) -> None:
        """An answer to REGISTER."""
        if response.status < 200:
            return
        if response.status == 401 and not self._authenticated and self._challenged(response):
            self._authenticated = True
            self._send()
            return
        self._finish_attempt()
        if not self._wanted:
            return
        if response.status < 300:
            self._succeed(response)
        else:
            self._fail(response.status, _retry_after(response))

    def on_timeout(self) -> None:
        """No answer to REGISTER."""
        self._finish_attempt()
        if self._wanted:
            self._fail(408, 0.0)

    def _challenged(self, response: Response) -> bool:
        try:
            challenge = parse_challenge(response.headers.require("www-authenticate"))
        except ParseError:
            return False
        self._credentials.challenged(challenge)
        return True

    def _finish_attempt(self) -> None:
        self._transaction = None
        self._window.done()

    def _succeed(self, response: Response) -> None:
        self._failures = 0
        fresh, self._fresh = self._fresh or not self.registered, False
        self.registered = True
        granted = self._granted(response)
        self._arm(min(REFRESH, granted / 2) * self._stack.rng.uniform(0.75, 1.0))
        self._listener.on_registered(self, fresh=fresh)

    def _fail(self, code: int, at_least: float) -> None:
        self.registered = False
        delay = min(RETRY_MOST, RETRY_FIRST * 2 ** min(self._failures, 16))
        self._failures += 1
        # A thousand phones were told the same Retry-After: it is spread, and only ever lengthened.
        jitter = self._stack.rng.uniform(0.5, 1.0)
        self._arm(at_least * (0.5 + jitter) + delay * jitter)
        self._listener.on_registration_failed(self, code)

    def _granted(self, response: Response) -> float:
        """Seconds that the registrar keeps our contact; what we asked for when it does not say."""
        ours = f"{self.user}@{self._stack.local[0]}:{self._stack.local[1]}"
        for value in response.headers.items_of("contact"):
            if ours in value:
                try:
                    text = parse_name_addr(value).parameters.get("expires", "")
                except ParseError:
                    continue
                if text.isascii() and text.isdigit():
                    return max(1.0, float(text))
        text = response.headers.get("expires") or ""
        return max(1.0, float(text)) if text.isascii() and text.isdigit() else float(EXPIRES)

    def _arm(self, delay: float) -> None:
        self._disarm()
        self._timer = self._stack.scheduler.call_later(delay, self._submit)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _NobodyListens:
    def on_response(self, response: Response) -> None:
        """The phone is off already."""

    def on_timeout(self) -> None:
        """The phone is off already."""


def _retry_after(response: Response) -> float:
    text = (response.headers.get("retry-after") or "").partition(";")[0].partition("(")[0].strip()
    return min(float(text), 300.0) if text.isascii() and text.isdigit() and len(text) < 6 else 0.0
