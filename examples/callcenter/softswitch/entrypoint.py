"""Start Kamailio: check the environment, write the tables that it loads at its start, become it.

The phones' secrets come from the directory (the same in both cities) and are kept as HA1 only: the running softswitch
never sees a password.
"""

from __future__ import annotations

import ipaddress
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from callcenter.directory import DirectoryError, ha1_rows, load

HERE: Final = Path(__file__).resolve().parent

EVERYBODY: Final = "0.0.0.0/0"
"""The network that every address is in."""

HELP: Final = """\
Environment of the softswitch:

  TANDEM_SITE               this city's name in the directory (east)
  TANDEM_SYSTEM             the system it serves (hotel)
  TANDEM_DIRECTORY          path of directory.json or directory.json.gz
  TANDEM_POD_IP             address to listen on
  TANDEM_SIP_ADDRESS        ADDRESS:PORT at which phones, carriers and the other city reach this softswitch
  TANDEM_PEER_SIP_ADDRESS   the other city's; empty: there is none
  TANDEM_SIP_SECRET         secret that nonces are made from; the same for all replicas
  TANDEM_CONTROL_TOKEN      bearer token of JSON-RPC

  TANDEM_CONTROL_NETWORKS   who may use JSON-RPC and connect as CTI: "10.11.0.0/16,..." (default: everybody)
  TANDEM_CARRIER_NETWORKS   who may place calls, and is believed about their age (default: everybody, not believed)
  TANDEM_MAX_WAIT_SECONDS   longest wait of a call (default: 3600)
  TANDEM_RING_SECONDS       how long a phone rings (default: 8)
  TANDEM_REPLICA_PEER       ADDRESS:PORT of another replica of this softswitch; empty: there is none
  TANDEM_REPLICA            which of how many this is, "1/2"; needed with TANDEM_REPLICA_PEER
  TANDEM_SIP_PORT, TANDEM_HTTP_PORT, TANDEM_EVAPI_PORT      (defaults: 5060, 8080, 8448)
  TANDEM_RUN_DIR            where tables and process ID are written (default: /run/softswitch)
"""


class SettingsError(Exception):
    """Something in the environment is missing or wrong."""


@dataclass(frozen=True)
class Address:
    """An IPv4 address and a port."""

    ip: str
    port: int

    def __str__(self) -> str:
        return f"{self.ip}:{self.port}"


@dataclass(frozen=True)
class Settings:
    """What distinguishes this softswitch from all others."""

    site: str
    system: str
    directory: Path
    pod_ip: str
    advertised: Address
    peer: Address | None
    sip_secret: str
    control_token: str
    control_networks: str
    carrier_networks: str
    max_wait_s: int
    ring_s: int
    sip_port: int
    http_port: int
    evapi_port: int
    run_dir: Path
    replica_peer: Address | None
    replica: tuple[int, int]
    """Number of this replica, from 1, and how many there are."""


def read_settings(env: Mapping[str, str]) -> Settings:
    """Read the environment. Raises: SettingsError that names the variable and what is wrong with it."""

    def text(name: str, default: str | None = None) -> str:
        value = env.get(name, "").strip() or default
        if value is None:
            raise SettingsError(f"{name} is not set")
        if '"' in value or "\\" in value:
            raise SettingsError(f"{name} must not contain quotes or backslashes")
        return value

    def number(name: str, default: int, *, most: int) -> int:
        value = text(name, str(default))
        if not value.isdecimal() or not 0 < int(value) <= most:
            raise SettingsError(f"{name}={value!r} must be a whole number from 1 to {most}")
        return int(value)

    def ip(name: str, value: str) -> str:
        try:
            return str(ipaddress.IPv4Address(value))
        except ValueError as e:
            raise SettingsError(f"{name}: {value!r} is not an IPv4 address") from e

    def address(name: str, value: str) -> Address:
        host, _, port = value.partition(":")
        if not port.isdecimal() or not 0 < int(port) < 65536:
            raise SettingsError(f"{name}={value!r} must look like 198.18.0.11:30560")
        return Address(ip(name, host), int(port))

    def networks(name: str) -> str:
        value = text(name, EVERYBODY).replace(" ", "")
        for network in value.split(","):
            try:
                ipaddress.IPv4Network(network)
            except ValueError as e:
                raise SettingsError(f"{name}: {network!r} is not a network like 10.11.0.0/16") from e
        return value

    def optional_address(name: str) -> Address | None:
        value = env.get(name, "").strip()
        return address(name, value) if value else None

    def replica(name: str) -> tuple[int, int]:
        own, _, of = text(name, "1/1").partition("/")
        if not own.isdecimal() or not of.isdecimal() or not 1 <= int(own) <= int(of):
            raise SettingsError(f"{name}={own}/{of} must look like 1/2")
        return int(own), int(of)

    return Settings(
        site=text("TANDEM_SITE"),
        system=text("TANDEM_SYSTEM"),
        directory=Path(text("TANDEM_DIRECTORY")),
        pod_ip=ip("TANDEM_POD_IP", text("TANDEM_POD_IP")),
        advertised=address("TANDEM_SIP_ADDRESS", text("TANDEM_SIP_ADDRESS")),
        peer=optional_address("TANDEM_PEER_SIP_ADDRESS"),
        sip_secret=text("TANDEM_SIP_SECRET"),
        control_token=text("TANDEM_CONTROL_TOKEN"),
        control_networks=networks("TANDEM_CONTROL_NETWORKS"),
        carrier_networks=networks("TANDEM_CARRIER_NETWORKS"),
        max_wait_s=number("TANDEM_MAX_WAIT_SECONDS", 3600, most=86400),
        ring_s=number("TANDEM_RING_SECONDS", 8, most=120),
        sip_port=number("TANDEM_SIP_PORT", 5060, most=65535),
        http_port=number("TANDEM_HTTP_PORT", 8080, most=65535),
        evapi_port=number("TANDEM_EVAPI_PORT", 8448, most=65535),
        run_dir=Path(text("TANDEM_RUN_DIR", "/run/softswitch")),
        replica_peer=optional_address("TANDEM_REPLICA_PEER"),
        replica=replica("TANDEM_REPLICA"),
    )


def write_tables(settings: Settings) -> str:
    """Write the phones' HA1 and the peer's address for Kamailio to load; returns the phones' digest realm.

    Raises: DirectoryError, OSError.
    """
    directory = load(settings.directory)
    tables = settings.run_dir / "tables"
    tables.mkdir(parents=True, exist_ok=True)
    # db_text: a line of column names with types, then values separated by colons. HA1 and extensions hold none.
    lines = ["key_name(string) key_type(int) value_type(int) key_value(string) expires(int)"]
    lines += [
        f"{ext}:0:0:{digest}:0" for ext, digest in ha1_rows(directory, city=settings.site, system=settings.system)
    ]
    _write_private(tables / "ha1", "\n".join(lines) + "\n")
    # Flags 9 = inactive and probed: the other city takes calls once it has answered, not before.
    peer = f"1 sip:{settings.peer} 9\n" if settings.peer else ""
    _write_private(settings.run_dir / "peer.list", peer)
    return directory.realm


def _write_private(path: Path, content: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(content)


def kamailio_environment(settings: Settings, realm: str) -> dict[str, str]:
    """The names that kamailio.cfg reads (`#!defenv`)."""
    peer = str(settings.peer) if settings.peer else "none"
    return {
        "SOFTSWITCH_SIP_LISTEN": f"udp:{settings.pod_ip}:{settings.sip_port} advertise {settings.advertised}",
        "SOFTSWITCH_HTTP_LISTEN": f"tcp:{settings.pod_ip}:{settings.http_port}",
        "SOFTSWITCH_SIP_SOCKET": f"udp:{settings.pod_ip}:{settings.sip_port}",
        "SOFTSWITCH_EVAPI_LISTEN": f"{settings.pod_ip}:{settings.evapi_port}",
        "SOFTSWITCH_HA1_URL": f"text://{settings.run_dir / 'tables'}",
        "SOFTSWITCH_REALM": realm,
        "SOFTSWITCH_SIP_SECRET": settings.sip_secret,
        "SOFTSWITCH_AUTHORIZATION": f"Bearer {settings.control_token}",
        "SOFTSWITCH_CONTROL_NETWORKS": settings.control_networks,
        "SOFTSWITCH_CARRIER_NETWORKS": settings.carrier_networks,
        "SOFTSWITCH_PEER_LIST": str(settings.run_dir / "peer.list"),
        "SOFTSWITCH_PEER_PING_FROM": f"sip:softswitch@{settings.advertised}",
        "SOFTSWITCH_PEER_ADDRESS": peer,
        "SOFTSWITCH_PEER_IP": settings.peer.ip if settings.peer else "none",
        "SOFTSWITCH_REPLICA_ADDRESS": f"sip:{settings.pod_ip}:{settings.sip_port}",
        "SOFTSWITCH_REPLICA_PEER": f"sip:{settings.replica_peer}",
        "SOFTSWITCH_REPLICA_NUMBER": str(settings.replica[0]),
        "SOFTSWITCH_REPLICAS": str(settings.replica[1]),
        "SOFTSWITCH_MAX_WAIT_MS": str(settings.max_wait_s * 1000),
        "SOFTSWITCH_EARLY_TIMEOUT_S": str(settings.max_wait_s + 300),
        "SOFTSWITCH_RING_MS": str(settings.ring_s * 1000),
        # The other city's phone may ring as long as ours; a little more for the way.
        "SOFTSWITCH_PEER_RING_MS": str((settings.ring_s + 2) * 1000),
    }


def command(settings: Settings) -> list[str]:
    """Kamailio in the foreground: 128 MB shared memory at most (10,000 phones take 25 MB), 16 MB a process."""
    run = str(settings.run_dir)
    # Whoever may place calls by name is believed when it says how long a caller has been waiting already.
    defines = ["-A", "KNOWN_CARRIERS"] if settings.carrier_networks != EVERYBODY else []
    if settings.replica_peer:
        defines += ["-A", "REPLICATED"]
    return [
        *("kamailio", "-DD", "-E", "-m", "128", "-M", "16", "-f", str(HERE / "kamailio.cfg")),
        *("-w", run, "-Y", run, "-P", f"{run}/kamailio.pid"),
        *defines,
    ]


def main() -> None:
    """Replace this process by Kamailio; exits with 2 when the environment or the directory is wrong."""
    try:
        settings = read_settings(os.environ)
        realm = write_tables(settings)
    except (SettingsError, DirectoryError, OSError) as e:
        sys.stderr.write(f"softswitch: {e}\n\n{HELP}")
        sys.exit(2)
    argv = command(settings)
    os.execvpe(argv[0], argv, {**os.environ, **kamailio_environment(settings, realm)})


if __name__ == "__main__":
    main()
