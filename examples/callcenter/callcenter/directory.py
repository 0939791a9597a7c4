"""The directory: who the agents are, as data that is the same in both cities (docs/contracts.md section 3).

Unified login needs one answer to "who is this?" everywhere: domain account <-> virtual agent ID, and phone MAC <-> one
extension per city. Agent *numbers* are not in here: each city hands them out at sign-in from its own pool, so that two
cities that cannot reach each other never give out the same one.

The softswitch's image takes this file without the rest of the package, so it imports nothing of it.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

BUCKETS: Final = 100
"""Buckets that the agents of every group are spread over; the unit in which Tandem moves them."""

POOL_SIZE: Final = 100_000
"""Agent numbers that each city owns; the first city's pool starts at 100000."""

FIRST_EXTENSION: Final = 510_001
"""Extension of the first agent in the first city; the next city's are `POOL_SIZE` higher."""

MOST_AGENTS: Final = POOL_SIZE - 10_001
"""Agents that fit before one city's extensions would run into the next city's."""

TEST_NAMESPACE: Final = "tandem-probe"
"""Groups in this namespace are Tandem's test agents: one for each location that observes a system. They belong to no
city and count nowhere; people's groups must be elsewhere."""


class DirectoryError(Exception):
    """The directory, or what it should be generated from, is wrong; waiting will not help."""


@dataclass(frozen=True, slots=True)
class Agent:
    """One person, with the phone on the desk. `extensions` maps a city's name to the phone's extension there."""

    account: str
    group: str
    system: str
    virtual_id: str
    mac: str
    extensions: Mapping[str, str]
    password: str

    @property
    def is_test(self) -> bool:
        """Whether this is one of Tandem's test agents, and nobody's colleague."""
        return is_test_group(self.group)


@dataclass(frozen=True, slots=True)
class GroupSize:
    """How many agents a group (`namespace/name`) of a system has."""

    group: str
    system: str
    agents: int


@dataclass(frozen=True, slots=True)
class Directory:
    """All agents, the digest realm of their phones, and each city's pool of agent numbers (first, last)."""

    realm: str
    pools: Mapping[str, tuple[int, int]]
    agents: tuple[Agent, ...]
    by_account: Mapping[str, Agent] = field(init=False, repr=False, compare=False)
    by_mac: Mapping[str, Agent] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_account", _index(self.agents, "account", (a.account.lower() for a in self.agents)))
        object.__setattr__(self, "by_mac", _index(self.agents, "MAC", (a.mac.lower() for a in self.agents)))

    def of_system(self, system: str) -> tuple[Agent, ...]:
        """The agents of one system, in the directory's order."""
        return tuple(agent for agent in self.agents if agent.system == system)

    def to_json(self) -> dict[str, Any]:
        """The form of `directory.json`."""
        return {
            "realm": self.realm,
            "pools": {city: list(pool) for city, pool in self.pools.items()},
            "agents": [asdict(agent) for agent in self.agents],
        }


def _index(agents: Sequence[Agent], what: str, keys: Iterable[str]) -> dict[str, Agent]:
    indexed: dict[str, Agent] = {}
    for key, agent in zip(keys, agents, strict=True):
        if key in indexed:
            raise DirectoryError(f"{what} {key!r} belongs to both {indexed[key].account!r} and {agent.account!r}")
        indexed[key] = agent
    return indexed


def is_test_group(group: str) -> bool:
    """Whether a group (`namespace/name`) holds a test agent of Tandem's."""
    return group.startswith(TEST_NAMESPACE + "/")


def bucket(account: str) -> int:
    """The bucket 0..99 of a domain account.

    Hashed from the account, never from a number that a city hands out: both cities must agree without talking.
    """
    return int.from_bytes(hashlib.sha256(account.lower().encode()).digest()[:8], "big") % BUCKETS


def ha1(extension: str, realm: str, password: str) -> str:
    """What the softswitch stores instead of the password: RFC 2617's H(A1), for the digest algorithm MD5."""
    return hashlib.md5(f"{extension}:{realm}:{password}".encode(), usedforsecurity=False).hexdigest()


def generate(
    sizes: Sequence[GroupSize], *, cities: Sequence[str], realm: str, seed: str, observers: Sequence[str] = ()
) -> Directory:
    """Make up a directory: the same arguments give the same agents, so both cities can be given it independently.

    Args:
        sizes: Groups in the order in which their agents are numbered.
        cities: Names of the cities, each with a pool of its own and one extension per agent.
        realm: Digest realm of the phones.
        seed: What the made-up passwords are derived from. Whoever knows it knows them all.
        observers: Names of the locations whose engines probe the cities: each gets a test agent in every system.
    Raises: DirectoryError when names repeat, are empty, or more agents are asked for than extensions exist.
    """
    total = sum(size.agents for size in sizes)
    if len(set(cities)) != len(cities) or not cities:
        raise DirectoryError(f"cities must be named, each once, not {list(cities)}")
    if total > MOST_AGENTS:
        raise DirectoryError(f"{total} agents asked for, but a city has extensions for {MOST_AGENTS}")
    named: set[str] = set()
    for size in sizes:
        if size.group in named:
            raise DirectoryError(f"group {size.group!r} is listed twice")
        if is_test_group(size.group):
            raise DirectoryError(f"group {size.group!r}: the namespace {TEST_NAMESPACE} is for Tandem's test agents")
        if size.agents < 1:
            raise DirectoryError(f"group {size.group!r} has {size.agents} agents; it needs at least 1")
        named.add(size.group)

    width = max(4, len(str(total)))
    agents: list[Agent] = []
    for size in sizes:
        for _ in range(size.agents):
            agents.append(_agent(len(agents), size, width=width, cities=cities, seed=seed))
    systems = dict.fromkeys(size.system for size in sizes)
    testers = [(system, observer) for system in systems for observer in observers]
    agents += [
        _test_agent(n, system, observer, cities=cities, seed=seed) for n, (system, observer) in enumerate(testers)
    ]
    pools = {city: ((n + 1) * POOL_SIZE, (n + 2) * POOL_SIZE - 1) for n, city in enumerate(cities)}
    return Directory(realm=realm, pools=pools, agents=tuple(agents))


def _agent(index: int, size: GroupSize, *, width: int, cities: Sequence[str], seed: str) -> Agent:
    account = f"agent{index + 1:0{width}d}"
    # The leading 02 marks a locally administered address: no maker's real phone can have it.
    mac = bytes([2]) + (index + 1).to_bytes(5, "big")
    return Agent(
        account=account,
        group=size.group,
        system=size.system,
        virtual_id=f"V{index + 1:06d}",
        mac=mac.hex(":"),
        extensions={city: str(FIRST_EXTENSION + n * POOL_SIZE + index) for n, city in enumerate(cities)},
        password=_password(seed, account),
    )


def _test_agent(index: int, system: str, observer: str, *, cities: Sequence[str], seed: str) -> Agent:
    """The engine at `observer` knows account and MAC by the same rule; the rest the CTI tells it."""
    account = f"{TEST_NAMESPACE}.{system}.{observer}"
    # Locally administered too, and never one of the agents' above.
    mac = bytes([6]) + hashlib.sha256(account.encode()).digest()[:5]
    return Agent(
        account=account,
        group=f"{TEST_NAMESPACE}/{observer}",
        system=system,
        virtual_id=f"P{index + 1:06d}",
        mac=mac.hex(":"),
        # The leading zero tells a test phone from everybody's.
        extensions={city: f"0{FIRST_EXTENSION + n * POOL_SIZE + index}" for n, city in enumerate(cities)},
        password=_password(seed, account),
    )


def _password(seed: str, account: str) -> str:
    return hashlib.sha256(f"{seed}/{account}".encode()).hexdigest()[:20]


def ha1_rows(directory: Directory, *, city: str, system: str) -> list[tuple[str, str]]:
    """(extension, HA1) of every phone that registers at one city's softswitch of one system.

    Raises: DirectoryError when the directory knows no such city or system: a softswitch that refuses every phone
        should not start.
    """
    if city not in directory.pools:
        raise DirectoryError(f"the directory has no city {city!r}; it has {sorted(directory.pools)}")
    agents = directory.of_system(system)
    if not agents:
        known = sorted({agent.system for agent in directory.agents})
        raise DirectoryError(f"the directory has no agents of system {system!r}; it has {known}")
    rows = []
    for agent in agents:
        extension = agent.extensions[city]
        if not extension.isdecimal():
            raise DirectoryError(f"extension {extension!r} of {agent.account!r} is not a number")
        rows.append((extension, ha1(extension, directory.realm, agent.password)))
    return rows


def parse(document: Mapping[str, Any]) -> Directory:
    """Read the form of `directory.json`. Raises: DirectoryError naming what is missing or doubled."""
    try:
        return Directory(
            realm=document["realm"],
            pools={city: (int(first), int(last)) for city, (first, last) in document["pools"].items()},
            agents=tuple(Agent(**agent) for agent in document["agents"]),
        )
    except (KeyError, TypeError, ValueError) as e:
        raise DirectoryError(f"not a directory: {e!r}") from e


def load(path: Path) -> Directory:
    """Read a directory from a file, gzipped when it is named `*.gz`. Raises: DirectoryError, OSError."""
    raw = path.read_bytes()
    try:
        return parse(json.loads(gzip.decompress(raw) if path.suffix == ".gz" else raw))
    except (json.JSONDecodeError, UnicodeDecodeError, EOFError, gzip.BadGzipFile) as e:
        raise DirectoryError(f"{path} holds no directory: {e}") from e


def save(directory: Directory, path: Path) -> None:
    """Write a directory to a file, gzipped when it is named `*.gz` (without a date: equal data gives equal bytes)."""
    raw = json.dumps(directory.to_json(), separators=(",", ":")).encode()
    path.write_bytes(gzip.compress(raw, mtime=0) if path.suffix == ".gz" else raw)
