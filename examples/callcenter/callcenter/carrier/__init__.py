"""The carrier: a routing platform that places real SIP calls over weighted, ordered routes and records their fates.

`routes`, `fate`, `limits` and `load` are rules; `placed_call` is one call's way over its routes; `switchboard` holds
all of them; `api` and `main` are the edges.
"""
