"""Adapters by name, and the tokens that they send."""

from pathlib import Path
from typing import Any

import pytest

from tandem.adapters.carrier.http import HttpCarrier
from tandem.adapters.cti.http import HttpCTI
from tandem.adapters.registry import AdapterRegistry
from tandem.adapters.softswitch.kamailio import KamailioSoftswitch
from tandem.adapters.tokens import token_of
from tandem.api.site import System
from tandem.api.trunk import Carrier, SecretRef
from tandem.engine.ports import AdapterError, Adapters
from tandem.errors import ConfigError


def a_system(cti: str = "http", softswitch: str = "kamailio") -> System:
    place: dict[str, Any] = {"deployment": "callcenter/x", "controlURL": "http://x.callcenter.svc:8081"}
    return System.model_validate(
        {
            "name": "hotel",
            "cti": {
                **place,
                "adapter": cti,
                "url": "http://198.18.0.11:30580",
                "capacity": {"agents": 1, "signInsPerSecond": 1},
            },
            "softswitch": {
                **place,
                "adapter": softswitch,
                "sip": "198.18.0.11:30560",
                "capacity": {"agents": 1, "callsPerSecond": 1},
            },
        }
    )


NAMESPACE = "callcenter"


def a_carrier(adapter: str = "http", secret: str = "") -> Carrier:
    named = SecretRef(name=secret) if secret else None
    return Carrier(adapter=adapter, url="http://198.18.0.31:8080", credentials=named)


async def test_a_declaration_gets_the_adapter_that_it_names() -> None:
    async with AdapterRegistry("token") as registry:
        adapters: Adapters = registry
        assert isinstance(adapters.cti(a_system()), HttpCTI)
        assert isinstance(adapters.softswitch(a_system()), KamailioSoftswitch)
        assert isinstance(adapters.carrier(a_carrier(), NAMESPACE), HttpCarrier)


async def test_an_unknown_adapter_is_refused_with_field_value_and_what_there_is() -> None:
    async with AdapterRegistry("token") as registry:
        with pytest.raises(ConfigError, match=r"spec.systems\[hotel\].cti.adapter is 'genesys'.*there is http$"):
            registry.cti(a_system(cti="genesys"))
        with pytest.raises(ConfigError, match=r"spec.systems\[hotel\].softswitch.adapter is 'asterisk'.*kamailio$"):
            registry.softswitch(a_system(softswitch="asterisk"))
        with pytest.raises(ConfigError, match=r"spec.carrier.adapter is 'sip-trunk'.*there is http$"):
            registry.carrier(a_carrier("sip-trunk"), NAMESPACE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    target = tmp_path / "callcenter" / "carrier-token" / "token"
    target.parent.mkdir(parents=True)
    target.write_text("s3cret\n")
    return tmp_path


def test_a_secret_s_token_is_read_anew_each_time(folder: Path) -> None:
    secret = SecretRef(name="carrier-token")
    assert token_of(folder, NAMESPACE, secret) == "s3cret"
    (folder / "callcenter" / "carrier-token" / "token").write_text("changed")
    assert token_of(folder, NAMESPACE, secret) == "changed"


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        pytest.param(SecretRef(name="other"), "Secret callcenter/other, key token.*not been handed", id="no-secret"),
        pytest.param(SecretRef(name="carrier-token", key="x"), "key x.*not been handed over", id="no-key"),
    ],
)
def test_a_token_that_is_not_there_is_named(folder: Path, secret: SecretRef, said: str) -> None:
    with pytest.raises(AdapterError, match=said):
        token_of(folder, NAMESPACE, secret)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        pytest.param("s\xe9same".encode(), "is no token: it may have printable ASCII", id="letters-beyond-ascii"),
        pytest.param(b"first\nsecond", "is no token: it may have printable ASCII", id="two-lines"),
        pytest.param(b"\xff\xfe\x00", "cannot be read", id="no-text"),
    ],
)
def test_a_secret_s_value_that_is_no_token_is_said_and_ends_nothing(folder: Path, value: bytes, said: str) -> None:
    (folder / "callcenter" / "carrier-token" / "token").write_bytes(value)
    with pytest.raises(AdapterError, match=said):
        token_of(folder, NAMESPACE, SecretRef(name="carrier-token"))


def test_an_engine_without_credentials_says_so() -> None:
    with pytest.raises(AdapterError, match="TANDEM_CREDENTIALS"):
        token_of(None, NAMESPACE, SecretRef(name="carrier-token"))


def test_a_trunk_has_the_token_of_its_own_namespace_only(folder: Path) -> None:
    twin = folder / "elsewhere" / "carrier-token" / "token"
    twin.parent.mkdir(parents=True)
    twin.write_text("another")
    secret = SecretRef(name="carrier-token")
    assert token_of(folder, NAMESPACE, secret) == "s3cret"
    assert token_of(folder, "elsewhere", secret) == "another"
    with pytest.raises(AdapterError, match=r"Secret third/carrier-token, key token.*not been handed over"):
        token_of(folder, "third", secret)
