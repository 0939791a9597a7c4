"""Which adapters there are, by the name that a declaration gives: `engine.ports.Adapters`."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Self, TypeVar

from tandem.adapters.carrier.http import HttpCarrier
from tandem.adapters.cti.http import HttpCTI
from tandem.adapters.json_http import JsonHttp, Token, new_transport
from tandem.adapters.names import Names
from tandem.adapters.softswitch.kamailio import KamailioSoftswitch
from tandem.adapters.tokens import token_of
from tandem.api.site import System
from tandem.api.trunk import Carrier
from tandem.engine.ports import CarrierAdapter, CTIAdapter, SoftswitchAdapter
from tandem.errors import ConfigError

CTIS: Final[Mapping[str, Callable[[JsonHttp], CTIAdapter]]] = {"http": HttpCTI}
SOFTSWITCHES: Final[Mapping[str, Callable[[JsonHttp], SoftswitchAdapter]]] = {"kamailio": KamailioSoftswitch}
CARRIERS: Final[Mapping[str, Callable[[JsonHttp], CarrierAdapter]]] = {"http": HttpCarrier}

T = TypeVar("T")


class AdapterRegistry:
    """Makes adapters. All of them share one HTTP transport, which `aclose` ends.

    Args:
        control_token: For this city's CTIs and softswitches.
        carrier_token: For carriers whose Trunk names no Secret; empty: they are asked without.
        credentials: Folder into which the operator writes tokens read from Secrets, as namespace/secret/key.
    """

    def __init__(self, control_token: str, carrier_token: str = "", credentials: Path | None = None) -> None:
        self._control_token = control_token
        self._carrier_token = carrier_token
        self._credentials = credentials
        self._transport = new_transport()
        self._names = Names()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._names.aclose()
        await self._transport.aclose()

    def cti(self, system: System) -> CTIAdapter:
        make = _named(CTIS, f"spec.systems[{system.name}].cti.adapter", system.cti.adapter)
        return make(self._http(f"CTI {system.name}", system.cti.control_url, lambda: self._control_token))

    def softswitch(self, system: System) -> SoftswitchAdapter:
        make = _named(SOFTSWITCHES, f"spec.systems[{system.name}].softswitch.adapter", system.softswitch.adapter)
        return make(self._http(f"softswitch {system.name}", system.softswitch.control_url, lambda: self._control_token))

    def carrier(self, carrier: Carrier, namespace: str) -> CarrierAdapter:
        make = _named(CARRIERS, "spec.carrier.adapter", carrier.adapter)
        secret = carrier.credentials
        return make(
            self._http(
                "carrier",
                carrier.url,
                lambda: self._carrier_token if secret is None else token_of(self._credentials, namespace, secret),
            )
        )

    def _http(self, who: str, url: str, token: Token) -> JsonHttp:
        return JsonHttp(self._transport, self._names, who, url, token)


def _named(known: Mapping[str, T], field: str, name: str) -> T:
    """The entry of that name. Raises ConfigError naming field, value and what there is."""
    if name not in known:
        raise ConfigError(f"{field} is {name!r}, which is not installed; there is {', '.join(sorted(known))}")
    return known[name]
