"""Dialogs (RFC 3261 section 12): who talks to whom, over which proxies, and in which order."""

from dataclasses import dataclass

from .message import Address, Headers, Request, Response
from .uri import parse_name_addr, parse_uri


@dataclass(slots=True)
class Dialog:
    """One side's view of a dialog.

    `local` and `remote` are whole From/To values including tags; `route_set` holds Route values in the order in which
    this side sends them; `remote_target` is the other side's Contact URI.
    """

    call_id: str
    local: str
    remote: str
    local_tag: str
    remote_tag: str
    remote_target: str
    route_set: tuple[str, ...]
    local_cseq: int
    remote_cseq: int | None
    contact: str

    @classmethod
    def of_answer(cls, invite: Request, response: Response, *, contact: str) -> "Dialog":
        """The caller's dialog from its INVITE and a 2xx. Raises: ParseError when the 2xx lacks tag or Contact."""
        return cls(
            call_id=invite.call_id,
            local=invite.headers.require("from"),
            remote=response.headers.require("to"),
            local_tag=invite.from_tag or "",
            remote_tag=response.to_tag or "",
            remote_target=_target(response),
            route_set=tuple(reversed(response.headers.items_of("record-route"))),
            local_cseq=invite.cseq.number,
            remote_cseq=None,
            contact=contact,
        )

    @classmethod
    def of_invite(cls, invite: Request, *, local_tag: str, contact: str) -> "Dialog":
        """The called side's dialog from the INVITE it took. Raises: ParseError when there is no usable Contact."""
        return cls(
            call_id=invite.call_id,
            local=f"{invite.headers.require('to')};tag={local_tag}",
            remote=invite.headers.require("from"),
            local_tag=local_tag,
            remote_tag=invite.from_tag or "",
            remote_target=_target(invite),
            route_set=tuple(invite.headers.items_of("record-route")),
            local_cseq=0,
            remote_cseq=invite.cseq.number,
            contact=contact,
        )

    def request(self, method: str, *, cseq: int | None = None) -> Request:
        """A request inside the dialog, complete but for Via.

        Args:
            cseq: For an ACK the number of its INVITE; every other request takes the next number.
        """
        if cseq is None:
            self.local_cseq += 1
            cseq = self.local_cseq
        uri, routes = self.remote_target, list(self.route_set)
        if routes:
            first = parse_name_addr(routes[0]).uri
            if not parse_uri(first).has("lr"):
                # A strict router (section 12.2.1.1) wants itself in the Request-URI and our target at the end.
                uri, routes = first, [*routes[1:], f"<{self.remote_target}>"]
        headers = Headers()
        headers.extend("route", routes)
        headers.set("max-forwards", "70")
        headers.set("from", self.local)
        headers.set("to", self.remote)
        headers.set("call-id", self.call_id)
        headers.set("cseq", f"{cseq} {method}")
        headers.set("contact", self.contact)
        return Request(headers, b"", method, uri)

    def next_hop(self) -> Address:
        """Where this side's requests are sent: to the first proxy of the route set, else to the other side."""
        uri = parse_name_addr(self.route_set[0]).uri if self.route_set else self.remote_target
        return parse_uri(uri).address

    def belongs(self, request: Request) -> bool:
        """Whether an incoming request is of this dialog, given that Call-ID and our tag fit."""
        return (request.from_tag or "") == self.remote_tag

    def in_order(self, request: Request) -> bool:
        """Take the sequence number of an incoming request.

        Returns: False for one older than what was seen; it is answered with 500 (section 12.2.2).
        """
        number = request.cseq.number
        if self.remote_cseq is not None and number < self.remote_cseq:
            return False
        self.remote_cseq = number
        return True

    def refresh_target(self, request: Request) -> None:
        """Follow the other side's new Contact after re-INVITE or UPDATE. Raises: ParseError."""
        if "contact" in request.headers:
            self.remote_target = _target(request)


def _target(message: Request | Response) -> str:
    uri = parse_name_addr(message.headers.require("contact").partition(",")[0]).uri
    parse_uri(uri)
    return uri
