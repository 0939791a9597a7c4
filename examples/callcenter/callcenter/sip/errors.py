"""SipError
- ParseError       what came from the wire is not a SIP message we can act on
- StateError       the caller asked for something that this call cannot do any more (a bug on our side)"""


class SipError(Exception):
    """Base of everything this package raises on purpose."""


class ParseError(SipError):
    """A datagram, header or URI that does not follow the grammar."""


class StateError(SipError):
    """An operation that does not fit the state of a call or transaction."""
