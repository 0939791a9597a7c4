"""A city's firewall that swallows what begins with certain bytes: a service is reached and yet does not do its work.

Only the messages named are lost, at the city's own edge and between its pods alike, so that its own probes meet the
fault as everybody else does.
"""

import json
from typing import Final

from lab.addresses import City
from lab.commands import run
from lab.errors import CommandError
from lab.interface import Swallowed
from lab.network import present_namespaces

TABLE: Final = "tandem_swallow"
DNS_PORT: Final = 53


def rules(city: City, words: Swallowed) -> str:
    """Input of `nft -f`: the table, if it is not there, and one rule in it."""
    match = f"@ih,{words.offset * 8},{len(words.begins) * 8} 0x{words.begins.hex()} counter drop"
    # Asked before the port is rewritten to the pod's; answers are known by their connection, whatever they show.
    into = f"ip daddr {city.address} {words.protocol} dport {words.port} {match}"
    out = (
        f"ip saddr {city.pods} meta l4proto {words.protocol} ct direction reply "
        f"ct original proto-dst {words.port} {match}"
    )
    return f"""
table ip {TABLE} {{
  chain in {{
    type filter hook prerouting priority raw; policy accept;
    {into if words.way == "in" else ""}
  }}
  chain out {{
    type filter hook forward priority filter; policy accept;
    {out if words.way == "out" else ""}
  }}
}}
"""


def rules_for_names() -> str:
    """The same for every question to a name server, over UDP and TCP, whichever server a pod asks."""
    return f"""
table ip {TABLE} {{
  chain in {{
    type filter hook prerouting priority raw; policy accept;
    meta l4proto {{ tcp, udp }} th dport {DNS_PORT} counter drop
  }}
}}
"""


def swallow_names(city: City) -> None:
    """Lose the pods' questions to their name server from now on, beside what is lost already."""
    run([*_enter(city), "nft", "-f", "-"], stdin=rules_for_names())


def swallow(city: City, words: Swallowed) -> None:
    """Lose these messages from now on, beside those that are lost already."""
    run([*_enter(city), "nft", "-f", "-"], stdin=rules(city, words))


def release(city: City) -> None:
    """Lose nothing any more."""
    if swallowing(city):
        run([*_enter(city), "nft", "delete", "table", "ip", TABLE])


def swallowing(city: City) -> bool:
    """Whether the city's firewall swallows anything now."""
    if city.netns not in present_namespaces():
        return False
    try:
        listing = json.loads(run([*_enter(city), "nft", "-j", "list", "tables"]))
    except CommandError:
        return False
    return any(item.get("table", {}).get("name") == TABLE for item in listing["nftables"])


def _enter(city: City) -> list[str]:
    return ["nsenter", f"--net={city.netns_path}"]
