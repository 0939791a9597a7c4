"""Where each city's CTI and softswitch are, per system: the `--sites` file (contracts, section 10)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from callcenter.sip.errors import ParseError
from callcenter.sip.message import Address
from callcenter.sip.uri import parse_uri

from .errors import SitesError


@dataclass(frozen=True, slots=True)
class SiteSystem:
    """One system in one city. `cti` is an HTTP URL without a path."""

    cti: str
    sip: Address


Sites = Mapping[str, Mapping[str, SiteSystem]]
"""city -> system -> where it is; cities in the file's order."""


def parse_sites(document: Any) -> Sites:
    """Read the form of the sites file. Raises: SitesError that names city, system, field and value."""
    if not isinstance(document, dict) or not document:
        raise SitesError('sites must be an object: {"east": {"hotel": {"cti": "http://...", "sip": "host:port"}}}')
    sites: dict[str, dict[str, SiteSystem]] = {}
    for city, systems in document.items():
        if not isinstance(systems, dict) or not systems:
            raise SitesError(f"sites.{city} must be an object of systems")
        sites[city] = {system: _parse_system(f"sites.{city}.{system}", entry) for system, entry in systems.items()}
    return sites


def _parse_system(where: str, entry: Any) -> SiteSystem:
    if not isinstance(entry, dict):
        raise SitesError(f"{where} must be an object with cti and sip")
    cti = entry.get("cti")
    if not isinstance(cti, str) or not cti.startswith(("http://", "https://")):
        raise SitesError(f"{where}.cti {cti!r} must be a URL like http://198.18.0.11:30580")
    sip = entry.get("sip")
    try:
        uri = parse_uri(f"sip:{sip}")
    except ParseError as error:
        raise SitesError(f"{where}.sip {sip!r} must be host:port like 198.18.0.11:30560") from error
    return SiteSystem(cti.rstrip("/"), uri.address)


def load_sites(path: Path) -> Sites:
    """Read the sites file. Raises: SitesError."""
    try:
        return parse_sites(json.loads(path.read_text()))
    except (OSError, ValueError) as error:
        raise SitesError(f"{path}: {error}") from error
