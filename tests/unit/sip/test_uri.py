import pytest

from callcenter.sip.errors import ParseError
from callcenter.sip.message import Request, parse
from callcenter.sip.uri import NameAddr, SipUri, parse_name_addr, parse_uri
from callcenter.sip.via import parse_via, take_source


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        pytest.param("sip:1@10.0.0.1", SipUri("1", "10.0.0.1"), id="plain"),
        pytest.param("SIP:1@10.0.0.1:30560", SipUri("1", "10.0.0.1", 30560), id="port"),
        pytest.param("sip:10.0.0.1;lr;x=y", SipUri("", "10.0.0.1", None, (("lr", ""), ("x", "y"))), id="parameters"),
        pytest.param("sip:a:secret@h?Subject=x", SipUri("a", "h"), id="password-and-headers-are-dropped"),
        pytest.param("sip:a;b=c@h", SipUri("a;b=c", "h"), id="semicolon-in-the-user"),
    ],
)
def test_uris(text: str, uri: SipUri) -> None:
    assert parse_uri(text) == uri


@pytest.mark.parametrize(
    "text",
    ["", "tel:123", "sip:", "sip:@h", "sip:a@", "sip:a@h:0", "sip:a@h:x", "sip:a@h:99999", "sip:a b@h", "sip:a@<h>"],
)
def test_malformed_uris_are_refused(text: str) -> None:
    with pytest.raises(ParseError):
        parse_uri(text)


@pytest.mark.parametrize("text", ["sip:1@10.0.0.1:30560;lr", "sip:10.0.0.1;transport=udp"])
def test_a_uri_is_written_as_it_was_read(text: str) -> None:
    assert str(parse_uri(text)) == text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param('"A \\"B\\"" <sip:a@h;x=1>;tag=t', NameAddr("sip:a@h;x=1", 'A "B"', {"tag": "t"}), id="quoted"),
        pytest.param("Ann <sip:a@h>", NameAddr("sip:a@h", "Ann"), id="bare-name"),
        pytest.param("sip:a@h;tag=t", NameAddr("sip:a@h", "", {"tag": "t"}), id="without-brackets"),
        pytest.param("*", NameAddr("*"), id="star"),
    ],
)
def test_addresses(value: str, expected: NameAddr) -> None:
    assert parse_name_addr(value) == expected


@pytest.mark.parametrize("value", ['"a <sip:a@h>', "<sip:a@h", "<>", "", '"\\'])
def test_malformed_addresses_are_refused(value: str) -> None:
    with pytest.raises(ParseError):
        parse_name_addr(value)


@pytest.mark.parametrize(
    ("via", "destination", "noted"),
    [
        pytest.param("10.0.0.9:5070;branch=b", ("10.0.0.9", 5070), "10.0.0.9:5070;branch=b", id="as-it-says"),
        pytest.param("10.0.0.9;branch=b", ("10.0.0.9", 5060), "10.0.0.9;branch=b", id="default-port"),
        pytest.param(
            "10.1.1.1:5070;branch=b", ("10.0.0.9", 5070), "10.1.1.1:5070;branch=b;received=10.0.0.9", id="behind-nat"
        ),
        pytest.param(
            "10.1.1.1:5070;rport;branch=b",
            ("10.0.0.9", 4444),
            "10.1.1.1:5070;branch=b;rport=4444;received=10.0.0.9",
            id="rport",
        ),
    ],
)
def test_responses_go_where_the_request_came_from(via: str, destination: tuple[str, int], noted: str) -> None:
    wire = (
        f"OPTIONS sip:a@h SIP/2.0\r\nVia: SIP/2.0/UDP {via}, SIP/2.0/UDP x;branch=c\r\n"
        "From: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n\r\n"
    )
    request = parse(wire.encode())
    assert isinstance(request, Request)
    assert take_source(request, ("10.0.0.9", 4444)) == destination
    assert request.headers.items_of("via") == [f"SIP/2.0/UDP {noted}", "SIP/2.0/UDP x;branch=c"]


@pytest.mark.parametrize("value", ["", "SIP/2.0/UDP", "HTTP/1.1 x", "SIP/2.0/UDP h:port", "SIP/2.0/UDP h:0"])
def test_malformed_vias_are_refused(value: str) -> None:
    with pytest.raises(ParseError):
        parse_via(value)
