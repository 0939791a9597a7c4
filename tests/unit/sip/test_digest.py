import pytest

from callcenter.sip.digest import Challenge, DigestCredentials, digest_response, parse_challenge
from callcenter.sip.errors import ParseError

RFC2617 = Challenge(
    "testrealm@host.com", "dcd98b7102dd2f0e8b11d0f600bfb0c093", qop_auth=True, opaque="5ccc069c403ebaf9f0171e9517f40e41"
)
RFC7616_NONCE = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
RFC7616_CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"


@pytest.mark.parametrize(
    ("challenge", "username", "password", "cnonce", "expected"),
    [
        pytest.param(
            RFC2617, "Mufasa", "Circle Of Life", "0a4f113b", "6629fae49393a05397450978507c4ef1", id="rfc2617-3.5"
        ),
        pytest.param(
            Challenge("http-auth@example.org", RFC7616_NONCE, "MD5", qop_auth=True),
            "Mufasa",
            "Circle of Life",
            RFC7616_CNONCE,
            "8ca523f5e9506fed4657c9700eebdbec",
            id="rfc7616-3.9.1-md5",
        ),
        pytest.param(
            Challenge("http-auth@example.org", RFC7616_NONCE, "SHA-256", qop_auth=True),
            "Mufasa",
            "Circle of Life",
            RFC7616_CNONCE,
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
            id="rfc7616-3.9.1-sha-256",
        ),
        pytest.param(
            Challenge("testrealm@host.com", "dcd98b7102dd2f0e8b11d0f600bfb0c093"),
            "Mufasa",
            "Circle Of Life",
            "unused",
            "670fd8c2df070c60b045671b8b24ff02",
            id="rfc2069-without-qop",
        ),
    ],
)
def test_published_vectors(challenge: Challenge, username: str, password: str, cnonce: str, expected: str) -> None:
    response = digest_response(
        challenge,
        username=username,
        password=password,
        method="GET",
        uri="/dir/index.html",
        cnonce=cnonce,
        nonce_count=1,
    )
    assert response == expected


def test_a_challenge_is_parsed() -> None:
    value = 'Digest realm="callcenter", nonce="a,b=", qop="auth,auth-int", algorithm=MD5, stale=TRUE, opaque="o\\"p"'
    assert parse_challenge(value) == Challenge("callcenter", "a,b=", "MD5", qop_auth=True, opaque='o"p', stale=True)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param('Basic realm="x"', id="another-scheme"),
        pytest.param('Digest realm="x"', id="no-nonce"),
        pytest.param('Digest nonce="x"', id="no-realm"),
        pytest.param('Digest realm="x", nonce="y", algorithm=SHA-512-256', id="unknown-algorithm"),
        pytest.param('Digest realm="x", nonce="y", qop="auth-int"', id="unknown-qop"),
        pytest.param("", id="empty"),
    ],
)
def test_challenges_that_cannot_be_answered_are_refused(value: str) -> None:
    with pytest.raises(ParseError):
        parse_challenge(value)


def test_a_nonce_is_used_again_with_a_growing_count() -> None:
    credentials = DigestCredentials("510001", "secret")
    assert credentials.authorization("REGISTER", "sip:r", "c") is None
    credentials.challenged(Challenge("callcenter", "n1", qop_auth=True))
    first = credentials.authorization("REGISTER", "sip:r", "c") or ""
    second = credentials.authorization("REGISTER", "sip:r", "c") or ""
    assert "nc=00000001" in first
    assert "nc=00000002" in second
    credentials.challenged(Challenge("callcenter", "n2", qop_auth=True))
    assert "nc=00000001" in (credentials.authorization("REGISTER", "sip:r", "c") or "")
