"""Adapters: small plug-ins behind the engine's ports, one folder per port. They know nothing of each other.

registry.AdapterRegistry   makes the adapter that a declaration names
json_http                  one HTTP request with a deadline, its failure as AdapterError
cti/http                   the CTI contract (docs/contracts.md, section 8)
softswitch/kamailio        JSON-RPC of a Kamailio (section 7)
carrier/http               a carrier's routing platform (section 9)
alarms/prometheus          queries to the Prometheus that a Drill names
"""
