"""A small SIP user agent library (RFC 3261 over UDP): parsing, transactions, dialogs, digest, calls and registrations.

Everything except `transport` is pure: it takes a scheduler and a `send` function, so tests run it on a clock of their
own. `stack.SipStack` joins the pieces; `transport.open_endpoint` puts one on a real UDP socket.
"""
