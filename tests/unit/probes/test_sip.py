"""SIP OPTIONS: the request as it goes out, and which answers count for what."""

import pytest

from tandem.probes.sip import Status, options_request, read_status

BRANCH = "z9hG4bK0123456789abcdef01234567"


def answer(first: str, *more: str, via: str = f"SIP/2.0/UDP tandem.invalid:5060;rport=5070;branch={BRANCH}") -> bytes:
    return "\r\n".join((first, f"Via: {via}", *more, "Content-Length: 0", "", "")).encode()


def test_the_request_is_a_complete_one() -> None:
    head, _, body = options_request("198.18.0.11", 30560, BRANCH).decode().partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert first == "OPTIONS sip:198.18.0.11:30560 SIP/2.0"
    assert headers["Via"] == f"SIP/2.0/UDP tandem.invalid:5060;rport;branch={BRANCH}"
    assert headers["From"].endswith(";tag=01234567")
    assert headers["To"] == "<sip:198.18.0.11:30560>"
    assert headers["CSeq"] == "1 OPTIONS"
    assert {"Call-ID", "Max-Forwards"} <= headers.keys()
    assert (headers["Content-Length"], body) == ("0", "")


@pytest.mark.parametrize(
    ("datagram", "status"),
    [
        pytest.param(answer("SIP/2.0 200 OK"), Status(BRANCH, 200, "OK"), id="ok"),
        pytest.param(
            answer("SIP/2.0 503 Service Unavailable", "Retry-After: 9"),
            Status(BRANCH, 503, "Service Unavailable"),
            id="draining",
        ),
        pytest.param(
            answer("SIP/2.0 200 OK", via=f"SIP/2.0/UDP x; branch={BRANCH} ;rport"),
            Status(BRANCH, 200, "OK"),
            id="blanks",
        ),
        pytest.param(
            b"SIP/2.0 200 OK\r\nv: SIP/2.0/UDP x;branch=" + BRANCH.encode() + b"\r\n\r\n",
            Status(BRANCH, 200, "OK"),
            id="compact-form",
        ),
        pytest.param(answer("SIP/2.0 100 Trying"), None, id="not-final"),
        pytest.param(answer("OPTIONS sip:me SIP/2.0"), None, id="a-request"),
        pytest.param(b"SIP/2.0 200 OK\r\n\r\n", None, id="no-via"),
        pytest.param(b"\xff\x00garbage", None, id="garbage"),
        pytest.param(b"", None, id="empty"),
    ],
)
def test_answers_are_read_and_everything_else_is_ignored(datagram: bytes, status: Status | None) -> None:
    assert read_status(datagram) == status


@pytest.mark.parametrize(
    ("code", "lives"),
    [(200, True), (204, True), (302, False), (404, True), (405, True), (408, False), (503, False), (603, False)],
)
def test_a_softswitch_that_refuses_this_request_lives_and_one_that_wants_nothing_new_does_not(
    code: int, lives: bool
) -> None:
    assert Status(BRANCH, code, "").lives is lives
