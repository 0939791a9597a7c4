"""The models refuse what the CRDs refuse, and say field, value and remedy as well."""

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from tandem.api.agentgroup import AgentGroupSpec
from tandem.api.common import duration_seconds
from tandem.api.shift import ShiftSpec
from tandem.api.site import SiteSpec
from tandem.api.trunk import TrunkSpec
from tests.support.manifests import group, shift, site, system, trunk

MODELS: dict[str, type[BaseModel]] = {
    "AgentGroup": AgentGroupSpec,
    "Site": SiteSpec,
    "Trunk": TrunkSpec,
    "Shift": ShiftSpec,
}
ROUTES = trunk()["spec"]["routes"]
HALVES = [{"site": "east", "percent": 50}, {"site": "east", "percent": 50}]


@pytest.mark.parametrize(
    "manifest", [group(), site("east"), site("witness"), trunk(), shift()], ids=lambda m: m["kind"]
)
def test_what_is_right_is_read_and_written_unchanged(manifest: dict[str, Any]) -> None:
    model = MODELS[manifest["kind"]]
    spec = model.model_validate(manifest["spec"])
    written = spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert model.model_validate(written) == spec
    for key, value in manifest["spec"].items():
        assert isinstance(value, list | dict) or written[key] == value


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        pytest.param(
            group(placement=[{"site": "east", "percent": 90}]), ("percentages add up to 90", "until"), id="not-100"
        ),
        pytest.param(group(placement=[{"site": "north", "percent": 100}]), ("north", "east, west"), id="unlisted-site"),
        pytest.param(group(placement=HALVES), ("east twice", "one share"), id="site-twice-in-placement"),
        pytest.param(group(sites=["east", "east"]), ("east twice",), id="site-twice"),
        pytest.param(group(waves=[50, 20, 100]), ("[50, 20, 100]", "rise and end at 100"), id="waves-fall"),
        pytest.param(group(waves=[50]), ("[50]",), id="waves-end-early"),
        pytest.param(group(drain={"maxTalk": "5 minutes"}), ("maxTalk",), id="not-a-duration"),
        pytest.param(group(shoeSize=44), ("shoeSize", "Extra inputs"), id="unknown-field"),
        pytest.param(site("witness", systems=[system()]), ("hotel", "role Active"), id="witness-with-systems"),
        pytest.param(site("witness", guestCapacity=3), ("guestCapacity is 3", "remove it"), id="witness-with-guests"),
        pytest.param(site("east", systems=[]), ("at least one system",), id="active-without-systems"),
        pytest.param(site("east", systems=[system(), system()]), ("hotel twice",), id="system-twice"),
        pytest.param(
            site("east", systems=[system(cti={**system()["cti"], "scaling": {"min": 3, "max": 2}})]),
            ("min 3 is more than max 2",),
            id="bounds",
        ),
        *(
            pytest.param(
                site("east", systems=[system(softswitch={**system()["softswitch"], "sip": address})]),
                (f"{address} is no host and port", "with a port from 1 to 65535"),
                id=f"sip-{name}",
            )
            for name, address in (
                ("port-too-high", "198.18.0.11:65536"),
                ("port-none", "198.18.0.11:0"),
                ("empty-label", "pbx..east:5060"),
                ("long-label", f"{'x' * 64}.east:5060"),
            )
        ),
        *(
            pytest.param(
                trunk(carrier={"url": "http://carrier", "credentials": {"name": "token", **named}}),
                (f"credentials.{field}", "should match pattern"),
                id=f"secret-{field}-{number}",
            )
            for number, (field, named) in enumerate(
                (
                    ("name", {"name": "a**"}),
                    ("name", {"name": "*"}),
                    ("name", {"name": "../token"}),
                    ("key", {"key": "../../store.key"}),
                    ("key", {"key": ".."}),
                )
            )
        ),
        pytest.param(trunk(routes=[*ROUTES, ROUTES[0]]), ("first twice",), id="route-twice"),
        pytest.param(trunk(numbers=trunk()["spec"]["numbers"] * 2), ("4930100 twice",), id="number-twice"),
        pytest.param(
            trunk(followAgents=False, routes=[{**route, "weight": 0} for route in ROUTES]),
            ("every weight is 0", "give a route a weight"),
            id="no-weight",
        ),
        pytest.param(shift(selector={}), ("selector is empty", "give system"), id="empty-selector"),
        pytest.param(shift(to=None), ("give one of to", "given are none"), id="no-goal"),
        pytest.param(shift(evacuate="east"), ("give one of to", "to and evacuate"), id="two-goals"),
        pytest.param(
            shift(to=None, placement=[{"site": "west", "percent": 90}]), ("add up to 90", "until"), id="shares-of-90"
        ),
        pytest.param(shift(to=None, placement=HALVES), ("east twice", "one share"), id="a-site-twice"),
        pytest.param(
            shift(to=None, evacuate="east", percent=50), ("percent is 50", "leave percent out"), id="half-an-evacuation"
        ),
        pytest.param(shift(selector=None), ("selector is missing", "only evacuate"), id="everybody"),
        pytest.param(shift(approved=True), ("approvedBy is empty",), id="approved-by-nobody"),
    ],
)
def test_what_is_wrong_is_refused(manifest: dict[str, Any], words: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError) as refused:
        MODELS[manifest["kind"]].model_validate(manifest["spec"])
    for word in words:
        assert word in str(refused.value)


@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", 0.5), ("2s", 2), ("5m", 300), ("1h30m", 5400), ("1h1m1s1ms", 3661.001)]
)
def test_durations(text: str, seconds: float) -> None:
    assert duration_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "5 m", "1m1h", "-5s", "1.5s", "m"])
def test_what_is_no_duration_is_refused_with_the_form_that_is(text: str) -> None:
    with pytest.raises(ValueError, match="write it like 500ms, 2s, 5m or 1h30m"):
        duration_seconds(text)


@pytest.mark.parametrize("address", ["198.18.0.11:1", "198.18.0.11:65535", "pbx.east.example:5060", "pbx.east.:5060"])
def test_an_address_that_there_may_be_is_admitted(address: str) -> None:
    manifest = site("east", systems=[system(softswitch={**system()["softswitch"], "sip": address})])
    assert SiteSpec.model_validate(manifest["spec"]).systems[0].softswitch.sip == address


def test_a_secret_and_its_key_may_have_all_that_kubernetes_admits() -> None:
    credentials = {"name": "carrier.token-2", "key": ".Token_2-a..b"}
    manifest = trunk(carrier={"url": "http://carrier", "credentials": credentials})
    read = TrunkSpec.model_validate(manifest["spec"]).carrier.credentials
    assert read is not None
    assert read.model_dump() == credentials


def test_an_address_that_was_stored_before_it_was_asked_so_strictly_takes_no_other_system_along() -> None:
    softswitch = {**system()["softswitch"], "sip": "198.18.0.11:70000"}
    manifest = site("east", systems=[system(), system("flight", softswitch=softswitch)])
    assert [each.name for each in SiteSpec.stored(manifest["spec"]).systems] == ["hotel", "flight"]
