"""Namespaces, links and the wide-area bridge, and how to cut them.

Each location has one link into the bridge. Neighbours are entered by hand with fixed hardware addresses: without ARP a
cut is silence, as on a real wide-area network, and not "no route to host" after three seconds.
"""

import contextlib
import json
from pathlib import Path
from typing import Final

from lab.addresses import CITIES, LINKED, LOCATIONS, MACHINE, MACHINE_LINK, WAN, WAN_BRIDGE, WAN_NETNS, City, Location
from lab.commands import run
from lab.errors import CommandError, NotRunningError

CONNTRACK_LEAST: Final = 262_144
"""Entries in the machine's connection table: 10,000 phones in two cities with both directions and room."""

CITY_SYSCTLS: Final = {
    "net.ipv4.ip_forward": "1",
    # After an outage the store's members find each other in 0.3 s instead of 13-23 s (measured).
    "net.ipv4.tcp_retries2": "5",
    "net.ipv4.conf.all.rp_filter": "0",
    "net.ipv4.conf.default.rp_filter": "0",
}
OUTSIDE_SYSCTLS: Final = {"net.ipv4.ip_local_port_range": "10000 65000"}
WAN_SYSCTLS: Final = {
    "net.bridge.bridge-nf-call-iptables": "0",
    "net.bridge.bridge-nf-call-ip6tables": "0",
    "net.bridge.bridge-nf-call-arptables": "0",
}

WAN_RULES: Final = """
table bridge tandem {
  set cut { type ipv4_addr . ipv4_addr; }
  chain forward {
    type filter hook forward priority 0; policy accept;
    ip saddr . ip daddr @cut drop
  }
}
"""


def city_rules(city: City) -> str:
    """Pods leave their city under the node's address; inside the city they keep their own."""
    return f"""
table ip tandem_lab {{
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {city.pods} ip daddr != {city.pods} oifname "eth0" masquerade
  }}
}}
"""


def wan_batch() -> str:
    """`ip -batch` lines for the bridge's namespace; every other namespace exists already."""
    lines = ["link set lo up", f"link add name {WAN_BRIDGE} type bridge stp_state 0 forward_delay 0 mcast_snooping 0"]
    for place in LINKED.values():
        far = f"name eth0 address {place.mac} netns {place.netns}"
        if place is MACHINE:
            far = f"name {MACHINE_LINK} address {place.mac} netns 1"
        lines += [
            f"link add name {place.port} type veth peer {far}",
            f"link set dev {place.port} addrgenmode none",
            f"link set dev {place.port} master {WAN_BRIDGE} up",
        ]
    lines += [f"link set {WAN_BRIDGE} addrgenmode none", f"link set {WAN_BRIDGE} up"]
    return "\n".join(lines) + "\n"


def location_batch(place: Location, link: str = "eth0") -> str:
    """`ip -batch` lines for one location's own namespace."""
    lines = [
        "link set lo up",
        f"link set {link} addrgenmode none",
        f"address add {place.address}/{WAN.prefixlen} dev {link}",
        f"link set {link} up",
    ]
    lines += [
        f"neighbour replace {other.address} lladdr {other.mac} nud permanent dev {link}"
        for other in LINKED.values()
        if other is not place
    ]
    if isinstance(place, City):
        # A process on the node itself needs some route to a ClusterIP before kube-proxy's rules can rewrite it.
        lines.append(f"route add {place.services} dev {link} src {place.address}")
    return "\n".join(lines) + "\n"


def build() -> None:
    """Create every namespace and link. Nothing of them may exist."""
    for name in [WAN_NETNS, *(place.netns for place in LOCATIONS.values())]:
        run(["ip", "netns", "add", name])
    _sysctl(WAN_NETNS, WAN_SYSCTLS, needed=False)
    _link_batch(WAN_NETNS, wan_batch().replace("netns 1", f"netns {_root_netns()}"))
    _nft(WAN_NETNS, WAN_RULES)
    for place in LOCATIONS.values():
        _link_batch(place.netns, location_batch(place))
        _sysctl(place.netns, CITY_SYSCTLS if isinstance(place, City) else OUTSIDE_SYSCTLS)
    for city in CITIES.values():
        _nft(city.netns, city_rules(city))
    run(["ip", "-batch", "-"], stdin=location_batch(MACHINE, MACHINE_LINK).replace("link set lo up\n", ""))
    raise_conntrack_limit()


def exists() -> bool:
    """Is the whole network there?"""
    names = {WAN_NETNS, *(place.netns for place in LOCATIONS.values())}
    return names <= present_namespaces() and Path(f"/sys/class/net/{MACHINE_LINK}").exists()


def present_namespaces() -> set[str]:
    """The lab's network namespaces that exist now, the remains of a crashed lab included."""
    folder = Path("/run/netns")
    known = {WAN_NETNS, *(place.netns for place in LOCATIONS.values())}
    return {path.name for path in folder.iterdir() if path.name in known} if folder.is_dir() else set()


def processes_in(netns: str) -> set[int]:
    """Pids whose network is that namespace; pods that have networks of their own are not among them."""
    try:
        return {int(word) for word in run(["ip", "netns", "pids", netns]).split()}
    except CommandError:
        return set()


def remove() -> None:
    """Remove every namespace and link of the lab, whatever is there of them."""
    if Path(f"/sys/class/net/{MACHINE_LINK}").exists():
        run(["ip", "link", "delete", MACHINE_LINK])
    for name in sorted(present_namespaces()):
        run(["ip", "netns", "delete", name])


def set_link(place: Location, *, up: bool) -> None:
    """Plug or pull a location's link, at the bridge's end: the location itself sees its carrier go."""
    if WAN_NETNS not in present_namespaces():
        raise NotRunningError("the lab is not running: there is no wide-area bridge")
    run(["ip", "-n", WAN_NETNS, "link", "set", "dev", place.port, "up" if up else "down"])


def links_down() -> set[str]:
    """Locations whose link is pulled."""
    if WAN_NETNS not in present_namespaces():
        return set()
    links = json.loads(run(["ip", "-n", WAN_NETNS, "-json", "link", "show", "type", "veth"]))
    return {link["ifname"] for link in links if "UP" not in link["flags"]} & set(LINKED)


def cut(source: Location, target: Location) -> None:
    """Drop everything from `source` to `target`; the other direction stays."""
    if WAN_NETNS not in present_namespaces():
        raise NotRunningError("the lab is not running: there is no wide-area bridge")
    _nft(WAN_NETNS, f"add element bridge tandem cut {{ {source.address} . {target.address} }}\n")


def mend(source: Location, target: Location) -> None:
    """Undo `cut`; nothing happens when it was not cut."""
    element = f"element bridge tandem cut {{ {source.address} . {target.address} }}\n"
    with contextlib.suppress(CommandError):
        _nft(WAN_NETNS, f"delete {element}")


def cuts() -> set[tuple[str, str]]:
    """Pairs (from, to) of locations that are cut now."""
    if WAN_NETNS not in present_namespaces():
        return set()
    by_address = {str(place.address): place.name for place in LINKED.values()}
    listing = json.loads(
        run(["nsenter", f"--net=/run/netns/{WAN_NETNS}", "nft", "-j", "list", "set", "bridge", "tandem", "cut"])
    )
    pairs = set()
    for item in listing["nftables"]:
        for element in item.get("set", {}).get("elem", []):
            source, target = element["concat"]
            pairs.add((by_address[source], by_address[target]))
    return pairs


def raise_conntrack_limit() -> None:
    """Lift the machine's connection table if it is small. It stays lifted: other programs may rely on it by then."""
    limit = Path("/proc/sys/net/netfilter/nf_conntrack_max")
    if limit.exists() and int(limit.read_text()) < CONNTRACK_LEAST:
        limit.write_text(str(CONNTRACK_LEAST))


def _root_netns() -> str:
    # iproute2 names a namespace by name or by the pid of a process in it; ours is where the machine's link belongs.
    return str(Path("/proc/self").resolve().name)


def _link_batch(netns: str, lines: str) -> None:
    run(["ip", "-n", netns, "-batch", "-"], stdin=lines)


def _nft(netns: str, rules: str) -> None:
    run(["nsenter", f"--net=/run/netns/{netns}", "nft", "-f", "-"], stdin=rules)


def _sysctl(netns: str, values: dict[str, str], *, needed: bool = True) -> None:
    lines = "\n".join(f"{'' if needed else '-'}{key} = {value}" for key, value in values.items())
    run(["nsenter", f"--net=/run/netns/{netns}", "sysctl", "-q", "-p", "-"], stdin=lines + "\n")
