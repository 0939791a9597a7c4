"""The CTI's configuration: environment variables, checked once at the start.

Whatever is wrong is said as `VARIABLE is VALUE: what to write instead`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

from callcenter.cti.calls import DEFAULT_RING
from callcenter.cti.errors import ConfigError
from callcenter.session.lease import DEFAULT_LEASE, DEFAULT_PING, Timing

T = TypeVar("T")

MOST_CONNECTIONS: Final = 19_000
"""Open files that a process may have, less some; clients beyond are refused rather than the process brought down."""

SECRET_LEAST: Final = 8
"""Characters a secret must have at least."""


@dataclass(frozen=True, slots=True)
class HostPort:
    """An address to connect to."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Peer:
    """The CTI of another city: the city's name, and the URL of the CTI's client port."""

    site: str
    url: str


@dataclass(frozen=True, slots=True)
class Config:
    """Everything a CTI process needs to know. Durations in seconds, rates per second."""

    site: str
    system: str
    peers: tuple[Peer, ...]
    """At least one. Waiting calls are relayed to the first one's city, which the softswitch knows too."""
    directory: Path
    ticket_secret: bytes
    peer_secret: str
    control_token: str
    evapi: HostPort
    sip_address: HostPort
    state_dir: Path
    map_dir: Path | None
    port: int
    control_port: int
    host: str
    timing: Timing
    signin_rate: float
    wrapup: float
    ring: float = DEFAULT_RING


def read_config(env: Mapping[str, str]) -> Config:
    """Read the configuration from environment variables.

    Raises: ConfigError naming the variable, its value (unless it is a secret) and the remedy.
    """
    lease = _read(env, "TANDEM_LEASE", _positive, "seconds, for example 1.5", str(DEFAULT_LEASE))
    ping = _read(env, "TANDEM_PING", _positive, "seconds, for example 0.5", str(DEFAULT_PING))
    if ping * 2 > lease:
        raise ConfigError(
            f"TANDEM_PING is {ping}: with a lease of {lease} s one lost ping would end a session; "
            f"set it to {lease / 3:g} or less, or raise TANDEM_LEASE"
        )
    site = _read(env, "TANDEM_SITE", _name, "this city's name as in the Site object, for example east")
    map_dir = env.get("TANDEM_MAP_DIR", "")
    return Config(
        site=site,
        system=_read(env, "TANDEM_SYSTEM", _name, "the system's name, for example hotel"),
        peers=_peers(env, site),
        directory=_read(env, "TANDEM_DIRECTORY", _file, "the path of directory.json or directory.json.gz"),
        ticket_secret=_secret(env, "TANDEM_TICKET_SECRET").encode(),
        peer_secret=_secret(env, "TANDEM_PEER_SECRET"),
        control_token=_secret(env, "TANDEM_CONTROL_TOKEN"),
        evapi=_read(
            env, "TANDEM_EVAPI", _host_port, "the softswitch's evapi as host:port, for example softswitch:8448"
        ),
        sip_address=_read(
            env, "TANDEM_SIP_ADDRESS", _host_port, "where phones register, as host:port, for example 198.18.0.11:30560"
        ),
        state_dir=_read(env, "TANDEM_STATE_DIR", _writable, "a directory that this process can write to"),
        map_dir=_read(env, "TANDEM_MAP_DIR", _directory, "the directory of the mounted ConfigMap") if map_dir else None,
        port=_read(env, "TANDEM_PORT", _port, "a TCP port, or 0 for any", "8080"),
        control_port=_read(env, "TANDEM_CONTROL_PORT", _port, "a TCP port, or 0 for any", "8081"),
        host=_read(env, "TANDEM_HOST", str, "the address to listen on", "0.0.0.0"),
        timing=Timing(lease, ping),
        signin_rate=_read(env, "TANDEM_SIGNIN_RATE", _positive, "sign-ins a second, for example 2000", "2000"),
        wrapup=_read(env, "TANDEM_WRAPUP", _seconds, "seconds of after-call work, for example 2", "2"),
        ring=_read(env, "TANDEM_RING_SECONDS", _positive, "the softswitch's own value, in seconds", str(DEFAULT_RING)),
    )


def _peers(env: Mapping[str, str], site: str) -> tuple[Peer, ...]:
    """The other cities' CTIs: names and URLs in the same order, with commas between them."""
    sites = _read(env, "TANDEM_PEER_SITE", _list_of(_name), "the other city's name, for example west")
    urls = _read(env, "TANDEM_PEER_URL", _list_of(_url), "the other CTI, for example http://198.18.0.12:30580")
    if site in sites:
        raise ConfigError(f"TANDEM_PEER_SITE is {site!r}, which is this city: name the other one")
    if len(set(sites)) < len(sites):
        raise ConfigError(f"TANDEM_PEER_SITE is {','.join(sites)!r}, one of them twice: set it to each city once")
    if len(urls) != len(sites):
        raise ConfigError(f"TANDEM_PEER_URL has {len(urls)} URLs: set it to one for each city of {','.join(sites)!r}")
    return tuple(map(Peer, sites, urls))


def _read(env: Mapping[str, str], name: str, parse: Callable[[str], T], remedy: str, default: str = "") -> T:
    text = env.get(name, "").strip() or default
    if not text:
        raise ConfigError(f"{name} is not set: set it to {remedy}")
    try:
        return parse(text)
    except ValueError as e:
        why = f" ({e})" if str(e) else ""
        raise ConfigError(f"{name} is {text!r}{why}: set it to {remedy}") from None


def _secret(env: Mapping[str, str], name: str) -> str:
    text = env.get(name, "").strip()
    if len(text) < SECRET_LEAST:
        state = "not set" if not text else f"only {len(text)} characters long"
        raise ConfigError(f"{name} is {state}: set it to a random secret of {SECRET_LEAST} or more characters")
    return text


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError("must be more than 0")
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise ValueError("must be 0 or more")
    return value


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65535:
        raise ValueError("ports end at 65535")
    return value


def _name(text: str) -> str:
    if not text.replace("-", "").isalnum() or text != text.lower():
        raise ValueError("names are of lower-case letters, digits and '-'")
    return text


def _url(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise ValueError("must begin with http:// or https://")
    parts = urlsplit(text)
    if not parts.hostname or parts.port == 0:  # asking for a port that is none raises ValueError
        raise ValueError("no port" if parts.hostname else "no host")
    return text.rstrip("/")


def _list_of(parse: Callable[[str], str]) -> Callable[[str], tuple[str, ...]]:
    return lambda text: tuple(parse(part.strip()) for part in text.split(","))


def _host_port(text: str) -> HostPort:
    host, colon, port = text.rpartition(":")
    if not colon or not host:
        raise ValueError("no port")
    return HostPort(host, _port(port))


def _file(text: str) -> Path:
    path = Path(text)
    if not path.is_file():
        raise ValueError("no such file")
    return path


def _writable(text: str) -> Path:
    path = Path(text)
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as e:
        raise ValueError(e.strerror or "cannot be written to") from e
    return path


def _directory(text: str) -> Path:
    path = Path(text)
    if not path.is_dir():
        raise ValueError("no such directory")
    return path
