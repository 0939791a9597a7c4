import random

import pytest

from callcenter.sip.errors import ParseError
from callcenter.sip.message import CSeq, Request, Response, parameter, parse, split_list

OK = (
    b"SIP/2.0 200 OK\r\n"
    b"Via: SIP/2.0/UDP 198.18.0.21:40000;branch=z9hG4bKabc;rport=40000;received=198.18.0.21\r\n"
    b'From: "Agent, One" <sip:510001@callcenter>;tag=11\r\n'
    b"To: <sip:510001@callcenter>;tag=22\r\n"
    b"Call-ID: 77@198.18.0.21\r\n"
    b"CSeq: 3 REGISTER\r\n"
    b"Contact: <sip:510001@198.18.0.21:40000>;expires=120\r\n"
    b"Content-Length: 0\r\n\r\n"
)

INVITE = (
    b"INVITE sip:510001@198.18.0.21:40000 SIP/2.0\r\n"
    b"v: SIP/2.0/UDP 198.18.0.11:30560;branch=z9hG4bK1, SIP/2.0/UDP 198.18.0.31:5060;branch=z9hG4bK2\r\n"
    b"Record-Route: <sip:198.18.0.11:30560;lr;did=a,b>\r\n"
    b"f: <sip:0215550100@198.18.0.31>;tag=a1\r\n"
    b"t: <sip:4008001@198.18.0.11>\r\n"
    b"i: call-1\r\n"
    b"CSeq: 1 INVITE\r\n"
    b"m: <sip:0215550100@198.18.0.31:5060>\r\n"
    b"Subject: a long\r\n"
    b"  subject line\r\n"
    b"X-Tandem-Talk: 7.5\r\n"
    b"c: application/sdp\r\n"
    b"l: 5\r\n\r\n"
    b"v=0\r\nTRAILING"
)


def test_a_response_is_parsed() -> None:
    message = parse(OK)
    assert isinstance(message, Response)
    assert (message.status, message.reason, message.cseq) == (200, "OK", CSeq(3, "REGISTER"))
    assert (message.branch, message.from_tag, message.to_tag) == ("z9hG4bKabc", "11", "22")


def test_a_request_with_compact_names_folding_lists_and_surplus_bytes_is_parsed() -> None:
    message = parse(INVITE)
    assert isinstance(message, Request)
    assert (message.method, message.uri) == ("INVITE", "sip:510001@198.18.0.21:40000")
    assert message.call_id == "call-1"
    assert message.branch == "z9hG4bK1"
    assert [via[-1] for via in message.headers.items_of("via")] == ["1", "2"]
    assert message.headers.items_of("record-route") == ["<sip:198.18.0.11:30560;lr;did=a,b>"]
    assert message.headers.get("subject") == "a long subject line"
    assert message.headers.get("x-tandem-talk") == "7.5"
    assert message.body == b"v=0\r\n"
    assert message.to_tag is None


@pytest.mark.parametrize("wire", [OK, INVITE])
def test_what_is_serialized_is_parsed_to_the_same(wire: bytes) -> None:
    message = parse(wire)
    again = parse(message.serialize())
    assert list(again.headers) == [
        *((n, v) for n, v in message.headers if n != "content-length"),
        ("content-length", str(len(message.body))),
    ]
    assert again.body == message.body


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(b"\r\n\r\n", b"\r\n", id="no-empty-line"),
        pytest.param(b"SIP/2.0 200 OK", b"SIP/2.0 2000 OK", id="status-of-four-digits"),
        pytest.param(b"SIP/2.0 200 OK", b"SIP/2.0 700 OK", id="status-out-of-range"),
        pytest.param(b"SIP/2.0 200 OK", "SIP/2.0 ²00 OK".encode(), id="status-of-superscripts"),
        pytest.param(b"SIP/2.0 200 OK", b"REGISTER sip:x", id="request-line-of-two-words"),
        pytest.param(b"SIP/2.0 200 OK", b"REGISTER sip:x SIP/3.0", id="unknown-version"),
        pytest.param(b"SIP/2.0 200 OK", b"REG(STER sip:x SIP/2.0", id="method-is-no-token"),
        pytest.param(b"SIP/2.0 200 OK", b"OPTIONS sip:x SIP/2.0", id="cseq-of-another-method"),
        pytest.param(b"CSeq: 3 REGISTER", b"CSeq: REGISTER", id="cseq-without-number"),
        pytest.param(b"CSeq: 3 REGISTER", b"CSeq: 4294967296 REGISTER", id="cseq-too-large"),
        pytest.param(b"CSeq: 3 REGISTER", b"CSeq: -1 REGISTER", id="cseq-negative"),
        pytest.param(b"CSeq: 3 REGISTER\r\n", b"", id="no-cseq"),
        pytest.param(b"Call-ID: 77@198.18.0.21\r\n", b"", id="no-call-id"),
        pytest.param(b"Content-Length: 0", b"Content-Length: 12", id="body-shorter-than-declared"),
        pytest.param(b"Content-Length: 0", b"Content-Length: x", id="length-no-number"),
        pytest.param(b"Content-Length: 0", b"Content-Length: -1", id="length-negative"),
        pytest.param(b"Content-Length: 0", b"Content-Length", id="header-without-colon"),
        pytest.param(b"Content-Length: 0", b"Content Length: 0", id="space-in-a-header-name"),
        pytest.param(b"OK\r\nVia", b"OK\r\n Via", id="continuation-of-nothing"),
    ],
)
def test_malformed_messages_are_refused(old: bytes, new: bytes) -> None:
    assert old in OK
    with pytest.raises(ParseError):
        parse(OK.replace(old, new, 1))


def test_no_bytes_raise_anything_but_parse_error() -> None:
    rng = random.Random(7)
    survived = 0
    for wire in (OK, INVITE):
        for _ in range(3000):
            data = bytearray(wire)
            for _ in range(rng.randint(1, 6)):
                position = rng.randrange(len(data))
                match rng.randrange(4):
                    case 0:
                        data[position] = rng.randrange(256)
                    case 1:
                        del data[position : position + rng.randrange(40)]
                    case 2:
                        data[position:position] = rng.randbytes(3)
                    case 3:
                        data[position:position] = data[: rng.randrange(60)]
                if not data:
                    break
            try:
                parse(bytes(data))
                survived += 1
            except ParseError:
                pass
    assert 0 < survived < 6000


@pytest.mark.parametrize(
    ("value", "items"),
    [
        pytest.param("a", ["a"], id="one"),
        pytest.param(" a , b ", ["a", "b"], id="two"),
        pytest.param('"x, y" <sip:a;p=1,2>, <sip:b>', ['"x, y" <sip:a;p=1,2>', "<sip:b>"], id="quotes-and-brackets"),
        pytest.param('"a\\", b" <sip:c>,d', ['"a\\", b" <sip:c>', "d"], id="escaped-quotation-mark"),
        pytest.param(",, ", [], id="nothing"),
    ],
)
def test_lists_are_split_at_bare_commas(value: str, items: list[str]) -> None:
    assert split_list(value) == items


@pytest.mark.parametrize(
    ("value", "tag"),
    [
        pytest.param("<sip:a@b;tag=uri>;tag=header", "header", id="parameters-of-the-uri-do-not-count"),
        pytest.param("sip:a@b;Tag=x", "x", id="names-know-no-case"),
        pytest.param("<sip:a@b>;tag", "", id="without-a-value"),
        pytest.param("<sip:a@b>", None, id="absent"),
    ],
)
def test_parameter(value: str, tag: str | None) -> None:
    assert parameter(value, "tag") == tag
