"""What the operator process is told by its environment, and its own constants."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tandem.errors import ConfigError

FIELD_MANAGER_STATUS: Final = "tandem-status"
"""Owner of the status fields in server-side apply."""
FIELD_MANAGER_SCALE: Final = "tandem-scale"
"""Owner of replicas, or of an autoscaler's lower bound, while the operator has raised them."""
FIELD_MANAGER: Final = "tandem-operator"
"""Owner of the revision annotations and of the ConfigMaps."""

REQUEST_TIMEOUT_S: Final = 10.0
"""Seconds that one request to the Kubernetes API may take."""
STATUS_INTERVAL_S: Final = 0.5
"""Least seconds between two rounds of status writes: a move of 1,000 agents changes counts a thousand times."""
STATUS_DUTY: Final = 5.0
"""A round of statuses is followed by at least this many times its own computing time of rest."""
CONFIRMED_SLACK_S: Final = 0.01
"""Seconds after the moment at which time alone confirms a loss until it is looked at: no timer may be early."""
WRITES_AT_ONCE: Final = 8
"""Requests to the Kubernetes API in flight."""
STORE_SILENT_S: Final = 5.0
"""Seconds without the store after which the statuses say so; shorter gaps are an election."""
RECONCILE_S: Final = 30.0
"""Seconds between two comparisons of what was published with a list of the objects."""
UNWATCHED_S: Final = 2.0
"""Seconds between two lists while kopf does not watch: an order must not wait for its restart."""
SPECS_IN_A_TXN: Final = 40
"""Objects published in one transaction."""
DEFAULT_LIVENESS_PORT: Final = 8591
"""TCP port that the kubelet asks."""


@dataclass(frozen=True)
class Settings:
    """The operator's settings. Paths of certificates are empty where the store speaks plain HTTP (tests)."""

    site: str
    endpoints: tuple[str, ...]
    ca: str = ""
    cert: str = ""
    key: str = ""
    liveness_port: int = DEFAULT_LIVENESS_PORT
    credentials: Path | None = None
    """Folder in memory, shared with the engine, for tokens read from Secrets."""
    log_level: str = "INFO"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Raises: ConfigError naming the variable, its value and the remedy."""
        site = environment.get("TANDEM_SITE", "")
        if not site:
            raise ConfigError("TANDEM_SITE is empty; set it to the name of this location's Site")
        endpoints = tuple(part.strip() for part in environment.get("TANDEM_STORE_ENDPOINTS", "").split(",") if part)
        if not endpoints:
            raise ConfigError("TANDEM_STORE_ENDPOINTS is empty; list the store's members, this location's first")
        for endpoint in endpoints:
            if not endpoint.startswith(("http://", "https://")):
                raise ConfigError(f"TANDEM_STORE_ENDPOINTS names {endpoint!r}; write it like https://198.18.0.11:32379")
        port = environment.get("TANDEM_LIVENESS_PORT", str(DEFAULT_LIVENESS_PORT))
        if not port.isdigit() or not 0 <= int(port) <= 65535:
            raise ConfigError(f"TANDEM_LIVENESS_PORT is {port!r}; set a TCP port, 0 for any")
        credentials = environment.get("TANDEM_CREDENTIALS", "")
        return cls(
            site=site,
            endpoints=endpoints,
            ca=environment.get("TANDEM_STORE_CA", ""),
            cert=environment.get("TANDEM_STORE_CERT", ""),
            key=environment.get("TANDEM_STORE_KEY", ""),
            liveness_port=int(port),
            credentials=Path(credentials) if credentials else None,
            log_level=environment.get("TANDEM_LOG_LEVEL", "INFO"),
        )
