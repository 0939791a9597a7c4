"""The reserved agents by whom deep probes sign in and call: who they are, by rule (docs/contracts.md section 3).

One for each location and system, the same in every city, so that locations that probe one city do not disturb each
other. They belong to no AgentGroup. The call centre's directory makes them by the same rule.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

NAMESPACE: Final = "tandem-probe"


@dataclass(frozen=True, slots=True)
class ProbeAgent:
    """One location's test agent of one system. Password and extension the CTI tells it when it says hello."""

    account: str
    mac: str
    group: str
    number: str
    """What to dial for this agent's phone."""


def probe_agent(system: str, location: str) -> ProbeAgent:
    """The agent by whom the engine at `location` probes a system, in whichever city."""
    account = f"{NAMESPACE}.{system}.{location}"
    mac = bytes([6]) + hashlib.sha256(account.encode()).digest()[:5]
    return ProbeAgent(account, mac.hex(":"), f"{NAMESPACE}/{location}", f"{NAMESPACE}.{location}")
