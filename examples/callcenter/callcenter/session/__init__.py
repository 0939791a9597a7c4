"""The session protocol between an agent's client and the CTIs of two cities, both ends, as pure code.

Nothing here does I/O, reads a clock or draws a random number: time and jitter come in as arguments, so that the
deterministic simulation runs exactly the code that the CTI and the agents run. See docs/session-protocol.md.
"""
