"""The CTI of one system in one city: agents sign in here, and calls are given to them.

Everything that decides is pure and takes the time as an argument: `centre` puts together the session protocol
(`callcenter.session`), agent states (`agents`), calls (`calls`) and their distribution (`distribution`). The edges do
I/O: `clients` (WebSockets), `control` (the CTI contract), `peer`, `softswitch`, `mapstore`; `app` wires them.
"""
