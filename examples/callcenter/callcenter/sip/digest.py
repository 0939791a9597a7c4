"""Digest authentication, the client's side (RFC 2617 and RFC 7616: MD5 and SHA-256, with and without qop=auth)."""

import hashlib
from dataclasses import dataclass, field
from typing import Final

from .errors import ParseError
from .message import split_list

_HASHES: Final = {"md5": hashlib.md5, "sha-256": hashlib.sha256}


@dataclass(slots=True, frozen=True)
class Challenge:
    """What a 401 or 407 asks for."""

    realm: str
    nonce: str
    algorithm: str = "MD5"
    qop_auth: bool = False
    opaque: str | None = None
    stale: bool = False


def parse_challenge(value: str) -> Challenge:
    """Parse `WWW-Authenticate` or `Proxy-Authenticate`.

    Raises: ParseError for another scheme, a missing realm or nonce, and for algorithms and qop values that we do not
        have: answering those would only be refused again.
    """
    scheme, _, rest = value.strip().partition(" ")
    if scheme.lower() != "digest":
        raise ParseError(f"not a digest challenge: {value[:80]!r}")
    fields: dict[str, str] = {}
    for item in split_list(rest):
        name, equals, content = item.partition("=")
        if equals:
            fields[name.strip().lower()] = _unquote(content.strip())
    if "realm" not in fields or not fields.get("nonce"):
        raise ParseError("a digest challenge without realm or nonce")
    algorithm = fields.get("algorithm", "MD5")
    if algorithm.lower() not in _HASHES:
        raise ParseError(f"digest algorithm {algorithm[:40]!r} is not supported")
    qops = [qop.strip().lower() for qop in fields["qop"].split(",")] if "qop" in fields else []
    if qops and "auth" not in qops:
        raise ParseError(f"digest qop {fields['qop'][:40]!r} is not supported")
    return Challenge(
        realm=fields["realm"],
        nonce=fields["nonce"],
        algorithm=algorithm,
        qop_auth=bool(qops),
        opaque=fields.get("opaque"),
        stale=fields.get("stale", "").lower() == "true",
    )


def _unquote(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return text[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    return text


def digest_response(
    challenge: Challenge, *, username: str, password: str, method: str, uri: str, cnonce: str, nonce_count: int
) -> str:
    """The `response` value for one request, in lower-case hexadecimal digits."""
    new_hash = _HASHES[challenge.algorithm.lower()]

    def hexdigest(text: str) -> str:
        return new_hash(text.encode()).hexdigest()

    ha1 = hexdigest(f"{username}:{challenge.realm}:{password}")
    ha2 = hexdigest(f"{method}:{uri}")
    if challenge.qop_auth:
        return hexdigest(f"{ha1}:{challenge.nonce}:{nonce_count:08x}:{cnonce}:auth:{ha2}")
    return hexdigest(f"{ha1}:{challenge.nonce}:{ha2}")


@dataclass(slots=True)
class DigestCredentials:
    """A user's name and password, and the server's latest challenge, so that a refresh needs no second round trip."""

    username: str
    password: str
    challenge: Challenge | None = None
    _nonce_count: int = field(default=0, repr=False)

    def challenged(self, challenge: Challenge) -> None:
        """Answer this challenge from now on."""
        self.challenge = challenge
        self._nonce_count = 0

    def authorization(self, method: str, uri: str, cnonce: str) -> str | None:
        """The value of `Authorization` for one request, or None before the first challenge."""
        challenge = self.challenge
        if challenge is None:
            return None
        self._nonce_count += 1
        response = digest_response(
            challenge,
            username=self.username,
            password=self.password,
            method=method,
            uri=uri,
            cnonce=cnonce,
            nonce_count=self._nonce_count,
        )
        parts = [
            f'Digest username="{self.username}"',
            f'realm="{challenge.realm}"',
            f'nonce="{challenge.nonce}"',
            f'uri="{uri}"',
            f'response="{response}"',
            f"algorithm={challenge.algorithm}",
        ]
        if challenge.qop_auth:
            parts += [f'cnonce="{cnonce}"', "qop=auth", f"nc={self._nonce_count:08x}"]
        if challenge.opaque is not None:
            parts.append(f'opaque="{challenge.opaque}"')
        return ", ".join(parts)
