"""Errors of the session protocol.

SessionError
  - FrameError       a frame that breaks the protocol; the connection that sent it is closed
  - MapError         a placement map that cannot be read
  - TicketError      a ticket that admits nobody; carries a stable `reason`
"""


class SessionError(Exception):
    """Base of everything this package raises on purpose."""


class FrameError(SessionError):
    """A frame that cannot be understood: names the frame, the field and what was expected."""


class MapError(SessionError):
    """A placement map that names no site, an impossible bucket, or a bucket twice or never."""


class TicketError(SessionError):
    """A ticket that admits nobody.

    Attributes:
        reason: Stable CamelCase word: TicketForged, TicketUsed, TicketForAnother.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
