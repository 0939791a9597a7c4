"""A certificate authority for the store's mutual TLS, and the certificates it signs.

One authority for all locations: members of one etcd must trust each other. ECDSA keys, by the openssl program.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.commands import run

DAYS: Final = "30"
"""A demo's certificates die soon."""


@dataclass(frozen=True)
class Authority:
    """The authority's certificate and key."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key."""

    certificate: Path
    key: Path


def authority(folder: Path) -> Authority:
    """Make an authority in `folder`, or take the one that is there."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Authority(folder / "ca.crt", folder / "ca.key")
    if not (made.certificate.exists() and made.key.exists()):
        _new_key(made.key)
        run(
            [
                *("openssl", "req", "-x509", "-new", "-key", str(made.key), "-days", DAYS),
                *("-subj", "/CN=tandem-store-ca", "-addext", "keyUsage=critical,keyCertSign,cRLSign"),
                *("-out", str(made.certificate)),
            ]
        )
    return made


def sign(signer: Authority, folder: Path, name: str, addresses: Sequence[str]) -> Certificate:
    """A certificate for server and client use, valid for these IP addresses and DNS names."""
    made = Certificate(folder / f"{name}.crt", folder / f"{name}.key")
    if made.certificate.exists() and made.key.exists():
        return made
    request, extensions = folder / f"{name}.csr", folder / f"{name}.ext"
    names = ",".join(f"{'IP' if address[-1].isdigit() else 'DNS'}:{address}" for address in addresses)
    extensions.write_text(
        "basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\n"
        f"extendedKeyUsage=serverAuth,clientAuth\nsubjectAltName={names}\n",
        encoding="utf-8",
    )
    _new_key(made.key)
    run(["openssl", "req", "-new", "-key", str(made.key), "-subj", f"/CN={name}", "-out", str(request)])
    run(
        [
            *("openssl", "x509", "-req", "-in", str(request), "-days", DAYS, "-extfile", str(extensions)),
            *("-CA", str(signer.certificate), "-CAkey", str(signer.key), "-CAcreateserial"),
            *("-out", str(made.certificate)),
        ]
    )
    return made


def _new_key(path: Path) -> None:
    run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(path)])
    path.chmod(0o600)
