"""SIP messages of test calls: read, written, answered, and proved."""

import pytest

from tandem.probes.sip_message import Challenge, Message, answer, read, uri_in, user_in, write

INVITE = (
    b"INVITE sip:0510001@10.0.0.9:5060 SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 198.18.0.11:30560;branch=z9hG4bKb\r\nv: SIP/2.0/UDP 10.0.0.9;branch=z9hG4bKa\r\n"
    b"Record-Route: <sip:198.18.0.11:30560;lr>\r\nf: <sip:0510001@x>;tag=1\r\nt: <sip:n@x>\r\n"
    b"i: abc@tandem\r\nCSeq: 1 INVITE\r\nContent-Length: 3\r\n\r\nsdp"
)


def read_well(datagram: bytes) -> Message:
    message = read(datagram)
    assert message is not None
    return message


def test_a_request_is_read_compact_names_included() -> None:
    message = read_well(INVITE)
    assert (message.method, message.uri, message.code) == ("INVITE", "sip:0510001@10.0.0.9:5060", 0)
    assert (message.call_id, message.cseq, message.first("from")) == ("abc@tandem", "1 INVITE", "<sip:0510001@x>;tag=1")
    assert len(message.every("via")) == 2


def test_a_response_is_read() -> None:
    message = read_well(b"SIP/2.0 182 Queued\r\nCSeq: 2 INVITE\r\n\r\n")
    assert (message.method, message.code, message.reason, message.cseq) == ("", 182, "Queued", "2 INVITE")


@pytest.mark.parametrize(
    "datagram",
    [b"", b"\r\n\r\n", b"\xff" * 40, b"SIP/2.0 200 OK\r\n", b"SIP/2.0 2x0 OK\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"],
)
def test_everything_else_is_nobodys(datagram: bytes) -> None:
    assert read(datagram) is None


def test_an_answer_repeats_what_it_must_and_tags_our_end() -> None:
    back = read_well(answer(read_well(INVITE), "200 OK", tag="9", more=[("Contact", "<sip:0510001@me>")], body="v=0"))
    assert back.start == "SIP/2.0 200 OK"
    assert back.every("via") == read_well(INVITE).every("via")
    assert back.every("record-route") == ("<sip:198.18.0.11:30560;lr>",)
    assert (back.first("to"), back.first("from")) == ("<sip:n@x>;tag=9", "<sip:0510001@x>;tag=1")
    assert (back.first("contact"), back.first("content-length")) == ("<sip:0510001@me>", "3")


def test_routes_are_entries_however_they_are_spread_over_lines() -> None:
    text = write(
        "SIP/2.0 200 OK", [("Record-Route", "<sip:a;lr>, <sip:b;lr;x=1>;p=2"), ("Record-Route", "<sip:c,d;lr>")]
    )
    assert read_well(text).addresses("record-route") == ["<sip:a;lr>", "<sip:b;lr;x=1>;p=2", "<sip:c,d;lr>"]


@pytest.mark.parametrize(
    ("address", "uri", "user"),
    [
        ('"Anna" <sip:a@b;x>;tag=1', "sip:a@b;x", "a"),
        ("sip:a@b;tag=1", "sip:a@b", "a"),
        ("<sip:b:5060>", "sip:b:5060", ""),
    ],
)
def test_the_uri_is_found_in_an_address(address: str, uri: str, user: str) -> None:
    assert uri_in(address) == uri
    assert user_in(uri_in(address)) == user


def test_credentials_are_those_of_rfc_2617(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tandem.probes.sip_message.secrets.token_hex", lambda _: "0a4f113b")
    challenge = Challenge.of(
        'Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", '
        'opaque="5ccc069c403ebaf9f0171e9517f40e41"'
    )
    assert challenge is not None
    given = challenge.credentials("Mufasa", "Circle Of Life", "GET", "/dir/index.html")
    assert 'response="6629fae49393a05397450978507c4ef1"' in given
    assert 'opaque="5ccc069c403ebaf9f0171e9517f40e41"' in given
    assert "nc=00000001" in given
    assert "nc=00000002" in challenge.credentials("Mufasa", "Circle Of Life", "GET", "/dir/index.html")


def test_without_qop_the_older_proof_is_given() -> None:
    challenge = Challenge.of('Digest realm="r", nonce="n"')
    assert challenge is not None
    # md5(md5("u:r:p"):n:md5("REGISTER:sip:x"))
    assert 'response="f1360bea1a4221b5ee937bec4052dd1b"' in challenge.credentials("u", "p", "REGISTER", "sip:x")


@pytest.mark.parametrize(
    "header",
    ["", 'Basic realm="r"', 'Digest realm="r", nonce="n", algorithm=SHA-256', 'Digest nonce="n", qop="auth-int"'],
)
def test_what_cannot_be_proved_is_not_tried(header: str) -> None:
    assert Challenge.of(header) is None
