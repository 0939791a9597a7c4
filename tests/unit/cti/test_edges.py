"""The small pure parts of the edges: configuration, placements, netstrings, reports, numbers, the contract."""

import json
import resource
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st
from openapi_spec_validator import validate

from callcenter.cti import loanstore, mapstore, openapi
from callcenter.cti.config import Peer, read_config
from callcenter.cti.control import ControlPort
from callcenter.cti.distribution import PeerGroup
from callcenter.cti.errors import ConfigError, RequestError
from callcenter.cti.loanstore import Kept
from callcenter.cti.main import main, read_directory
from callcenter.cti.numbers import NumberPool, PoolExhaustedError
from callcenter.cti.peer import Arrivals, read_frame
from callcenter.cti.softswitch import NetstringError, NetstringReader, netstring
from callcenter.cti.wire import read_as_of, read_guest_capacity, read_placements, write_placements
from callcenter.session.door import parse_map
from callcenter.session.lease import DEFAULT_LEASE, DEFAULT_PING
from callcenter.session.placements import Drain, Placement, Together
from tests.unit.cti.centre import an_environment

REPOSITORY = Path(__file__).parents[3]

# ---- configuration


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return an_environment(tmp_path)


def test_a_complete_environment(env: dict[str, str]) -> None:
    config = read_config(env)
    assert (config.site, str(config.evapi)) == ("east", "softswitch-hotel.callcenter.svc:8448")
    assert config.peers == (Peer("west", "http://198.18.0.12:30580"),)
    assert (config.port, config.control_port, config.signin_rate, config.wrapup) == (8080, 8081, 2000.0, 2.0)
    assert (config.timing.lease, config.timing.ping, config.map_dir) == (DEFAULT_LEASE, DEFAULT_PING, None)
    assert read_directory(config).realm == "callcenter"


def test_three_cities(env: dict[str, str]) -> None:
    env |= {"TANDEM_PEER_SITE": "west, north", "TANDEM_PEER_URL": "http://198.18.0.12:1,http://198.18.0.13:1/"}
    assert read_config(env).peers == (Peer("west", "http://198.18.0.12:1"), Peer("north", "http://198.18.0.13:1"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param({"TANDEM_SITE": ""}, "TANDEM_SITE is not set: set it to this city's name", id="missing"),
        pytest.param({"TANDEM_SITE": "East"}, "TANDEM_SITE is 'East' (names are of lower-case", id="capital"),
        pytest.param({"TANDEM_PEER_SITE": "east"}, "TANDEM_PEER_SITE is 'east', which is this city", id="own-peer"),
        pytest.param({"TANDEM_PEER_SITE": "west,west"}, "is 'west,west', one of them twice", id="peer-twice"),
        pytest.param({"TANDEM_PEER_SITE": "west,north"}, "TANDEM_PEER_URL has 1 URLs: set it to one", id="one-url"),
        pytest.param(
            {"TANDEM_PEER_URL": "198.18.0.12"}, "TANDEM_PEER_URL is '198.18.0.12' (must begin", id="no-scheme"
        ),
        pytest.param({"TANDEM_PEER_URL": "http://:80"}, "TANDEM_PEER_URL is 'http://:80' (no host)", id="no-host"),
        pytest.param(
            {"TANDEM_PEER_URL": "http://west:305800"},
            "TANDEM_PEER_URL is 'http://west:305800' (Port out of range",
            id="no-such-port",
        ),
        pytest.param({"TANDEM_DIRECTORY": "/nowhere"}, "TANDEM_DIRECTORY is '/nowhere' (no such file)", id="no-file"),
        pytest.param({"TANDEM_EVAPI": "softswitch"}, "TANDEM_EVAPI is 'softswitch' (no port)", id="no-port"),
        pytest.param({"TANDEM_EVAPI": "s:99999"}, "(ports end at 65535)", id="port-too-high"),
        pytest.param({"TANDEM_STATE_DIR": "/proc/x"}, "TANDEM_STATE_DIR is '/proc/x' (", id="not-writable"),
        pytest.param({"TANDEM_MAP_DIR": "/nowhere"}, "TANDEM_MAP_DIR is '/nowhere' (no such directory)", id="no-map"),
        pytest.param({"TANDEM_LEASE": "soon"}, "TANDEM_LEASE is 'soon'", id="no-number"),
        pytest.param({"TANDEM_LEASE": "-1"}, "TANDEM_LEASE is '-1' (must be more than 0)", id="negative"),
        pytest.param({"TANDEM_LEASE": "nan"}, "TANDEM_LEASE is 'nan'", id="nan"),
        pytest.param({"TANDEM_PING": "2"}, "TANDEM_PING is 2.0: with a lease of 2.7 s", id="ping-too-slow"),
        pytest.param({"TANDEM_SIGNIN_RATE": "0"}, "TANDEM_SIGNIN_RATE is '0' (must be more than 0)", id="rate-0"),
        pytest.param({"TANDEM_CONTROL_TOKEN": ""}, "TANDEM_CONTROL_TOKEN is not set", id="no-token"),
        pytest.param({"TANDEM_TICKET_SECRET": "short"}, "TANDEM_TICKET_SECRET is only 5 characters long", id="short"),
        pytest.param({"TANDEM_SITE": "north"}, "the directory has numbers for east, west only", id="unknown-city"),
        pytest.param({"TANDEM_SYSTEM": "ship"}, "the directory has agents of flight, hotel only", id="unknown-system"),
    ],
)
def test_a_wrong_environment_names_variable_value_and_remedy(
    env: dict[str, str], change: dict[str, str], says: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        read_directory(read_config(env | change))
    assert says in str(caught.value)
    assert (
        "set it to" in str(caught.value) or "use one of" in str(caught.value) or "name the other" in str(caught.value)
    )


def test_it_takes_all_the_files_that_the_system_allows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    taken: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 20_000))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: taken.append(limits))
    monkeypatch.delenv("TANDEM_SITE", raising=False)
    with pytest.raises(SystemExit):
        main()
    assert taken == [(20_000, 20_000)]
    assert "TANDEM_SITE is not set" in capsys.readouterr().err


def test_no_secret_is_repeated(env: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as caught:
        read_config(env | {"TANDEM_PEER_SECRET": "geheim"})
    assert "geheim" not in str(caught.value)


def test_a_directory_that_is_none_says_so(env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(ConfigError, match=r"TANDEM_DIRECTORY is .*broken\.json.* holds no directory"):
        read_directory(read_config(env | {"TANDEM_DIRECTORY": str(tmp_path / "broken.json")}))


# ---- placements as JSON and on disk

PLACEMENTS = {
    "callcenter/x": Placement(11, parse_map({"east": "0-59", "east>west": "60-99"}), 50.0, Drain(300.0, 60.0, "Force")),
    "callcenter/y": Placement(7, parse_map({"west": "0-99"})),
    "callcenter/z": Placement(8, parse_map({"east>west": "0-99"}), 0.5, together=Together("callcenter/s1", 100.0)),
}


def test_what_is_written_is_what_is_read() -> None:
    assert read_placements(json.loads(json.dumps(write_placements(PLACEMENTS)))) == PLACEMENTS


@pytest.mark.parametrize(
    ("body", "field"),
    [
        pytest.param([], "body", id="a-list"),
        pytest.param({}, "groups", id="no-groups"),
        pytest.param({"groups": {"g": 5}}, "groups.g", id="a-number"),
        pytest.param({"groups": {"g": {"revision": True, "map": {}}}}, "groups.g.revision", id="true"),
        pytest.param({"groups": {"g": {"revision": 1, "map": {"east": 5}}}}, "groups.g.map", id="range-is-a-number"),
        pytest.param(
            {"groups": {"g": {"revision": 1, "map": {"east": "0-99"}, "pace": float("inf")}}},
            "groups.g.pace",
            id="endless",
        ),
        pytest.param(
            {"groups": {"g": {"revision": 1, "map": {"east": "0-99"}, "together": {"pace": 5}}}},
            "groups.g.together.move",
            id="a-pace-of-no-move",
        ),
        pytest.param(
            {"groups": {"g": {"revision": 1, "map": {"east": "0-99"}, "together": {"move": "s1"}}}},
            "groups.g.together.pace",
            id="a-move-without-a-pace",
        ),
        pytest.param(
            {"groups": {"g": {"revision": 1, "map": {"east": "0-99"}, "drain": []}}},
            "groups.g.drain",
            id="drain-a-list",
        ),
    ],
)
def test_what_is_wrong_is_named(body: Any, field: str) -> None:
    with pytest.raises(RequestError) as caught:
        read_placements(body)
    assert caught.value.field == field


def test_the_map_survives_a_restart(tmp_path: Path) -> None:
    assert mapstore.load(tmp_path) == {}
    mapstore.save(tmp_path, {}, {})
    mapstore.save(tmp_path, PLACEMENTS, {"callcenter/x": 200})
    assert mapstore.load(tmp_path) == PLACEMENTS
    assert mapstore.load_priorities(tmp_path) == {"callcenter/x": 200}
    assert [path.name for path in tmp_path.iterdir()] == ["placements.json"]


def test_a_disk_of_an_earlier_version_knows_no_priorities(tmp_path: Path) -> None:
    assert mapstore.load_priorities(tmp_path) == {}
    (tmp_path / "placements.json").write_text(json.dumps(write_placements(PLACEMENTS)))
    assert mapstore.load(tmp_path) == PLACEMENTS
    assert mapstore.load_priorities(tmp_path) == {}


def test_a_map_that_cannot_be_read_is_no_reason_not_to_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "placements.json").write_text('{"groups": {"g": {"revision": 0}}}')
    assert mapstore.load(tmp_path) == {}
    assert "groups.g.revision" in caplog.text


# ---- netstrings


@settings(deadline=None)  # a machine that is busy elsewhere is no fault of this code's
@given(st.lists(st.dictionaries(st.text(), st.text()), max_size=5), st.integers(1, 30))
def test_netstrings_survive_being_cut_anywhere(bodies: list[dict[str, str]], size: int) -> None:
    stream = b"".join(netstring(body) for body in bodies)
    reader = NetstringReader()
    read = [
        json.loads(text) for start in range(0, len(stream), size) for text in reader.feed(stream[start : start + size])
    ]
    assert read == bodies


@pytest.mark.parametrize("data", [b":x,", b"hello world", b"5;hello,", b"5:helloX", b"99999999:", b"-1:x,"])
def test_what_is_no_netstring_is_noticed(data: bytes) -> None:
    with pytest.raises(NetstringError):
        list(NetstringReader().feed(data))


# ---- the peer's report


def test_what_a_cti_says_to_its_peer_is_read() -> None:
    text = '{"t":"idle","groups":{"callcenter/x":{"available":3,"signed_in":17,"longest_idle":12.3}}}'
    assert read_frame(text) == {"callcenter/x": PeerGroup(3, 17)}
    assert read_frame('{"t":"arrivals","boot":"b1","n":7}') == Arrivals("b1", 7)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"groups":{}}',
        '{"t":"idle"}',
        '{"t":"idle","groups":{"x":{"available":1}}}',
        '{"t":"idle","groups":{"x":3}}',
        '{"t":"arrivals","n":7}',
        '{"t":"arrivals","boot":"b1","n":"many"}',
    ],
)
def test_what_is_no_report_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_frame(text)


# ---- numbers


def test_numbers_are_reused_only_when_the_pool_is_empty_and_never_taken_from_who_works() -> None:
    pool = NumberPool(1, 3)
    working = {"a", "c"}
    assert [pool.take(name, working.__contains__) for name in ("a", "b", "c")] == [1, 2, 3]
    assert pool.take("b", working.__contains__) == 2
    assert pool.take("d", working.__contains__) == 2
    working |= {"d"}
    with pytest.raises(PoolExhaustedError, match="widen this city's pool"):
        pool.take("e", working.__contains__)


# ---- the contract


def test_the_contract_in_docs_is_the_one_that_is_served() -> None:
    packaged = REPOSITORY / "examples/callcenter/callcenter/cti/contract.yaml"
    assert (REPOSITORY / "docs/cti-contract.yaml").read_bytes() == packaged.read_bytes()


def test_the_contract_is_valid_openapi_without_empty_words() -> None:
    document = openapi.document()
    validate(document)

    def empty(node: Any, path: str) -> list[str]:
        if isinstance(node, dict):
            return [found for key, value in node.items() for found in empty(value, f"{path}/{key}")]
        if isinstance(node, list):
            return [found for n, value in enumerate(node) for found in empty(value, f"{path}/{n}")]
        return [path] if node is None else []

    assert empty(document, "") == [], "a comma in an unquoted flow mapping cuts a sentence in two"


def test_the_contract_names_exactly_the_routes_that_are_served() -> None:
    app = ControlPort(None, token="t", system="hotel", rate=1.0).app()  # type: ignore[arg-type]
    served = {
        (route.method.lower(), route.resource.canonical)
        for route in app.router.routes()
        if isinstance(route, web.ResourceRoute) and route.resource is not None and route.method != "HEAD"
    }
    written = {(method, path) for path, methods in openapi.document()["paths"].items() for method in methods}
    assert served - {("get", "/metrics")} == written  # figures: this call centre's own


# ---- guests


@pytest.mark.parametrize(("body", "capacity"), [({"guestCapacity": 7}, 7), ({"guestCapacity": 0}, 0), ({}, None)])
def test_a_push_may_say_how_many_guests_there_may_be(body: dict[str, Any], capacity: int | None) -> None:
    assert read_guest_capacity(body) == capacity


@pytest.mark.parametrize("value", [-1, 1.5, True, "many"])
def test_a_wrong_number_of_guests_is_refused_by_name(value: Any) -> None:
    with pytest.raises(RequestError, match="guestCapacity"):
        read_guest_capacity({"guestCapacity": value})
    with pytest.raises(RequestError, match="asOf"):
        read_as_of({"asOf": value})


def test_loans_survive_on_disk(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert loanstore.load(tmp_path) == Kept(None, 0), "a first life knows nothing"
    assert caplog.records == []
    loanstore.save(tmp_path, Kept(frozenset({"b", "a"}), 5))
    assert loanstore.load(tmp_path) == Kept(frozenset({"a", "b"}), 5)
    loanstore.save(tmp_path, Kept(frozenset(), 5))
    assert loanstore.load(tmp_path) == Kept(frozenset(), 5), "that nobody is lent is knowledge too"


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"lent": "a", "guestCapacity": 1}', '{"lent": [], "guestCapacity": "x"}']
)
def test_loans_that_cannot_be_read_are_loans_unknown(
    text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / loanstore.FILE).write_text(text)
    assert loanstore.load(tmp_path).lent is None
    assert "cannot be used" in caplog.text
