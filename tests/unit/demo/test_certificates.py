"""The store's certificates, made by the real openssl and looked at by the real ssl module."""

import ssl
from pathlib import Path

from demo.certificates import authority, sign


def test_a_certificate_is_good_for_server_and_client_and_names_its_addresses(tmp_path: Path) -> None:
    signer = authority(tmp_path)
    made = sign(signer, tmp_path, "east", ["198.18.0.11", "localhost"])

    context = ssl.create_default_context(cafile=str(signer.certificate))
    context.load_cert_chain(made.certificate, made.key)  # raises when the key does not belong to it
    seen = ssl._ssl._test_decode_cert(str(made.certificate))  # type: ignore[attr-defined]
    assert seen["subjectAltName"] == (("IP Address", "198.18.0.11"), ("DNS", "localhost"))
    assert made.key.stat().st_mode & 0o077 == 0


def test_what_is_there_is_kept(tmp_path: Path) -> None:
    first = sign(authority(tmp_path), tmp_path, "east", ["198.18.0.11"]).certificate.read_bytes()

    assert sign(authority(tmp_path), tmp_path, "east", ["198.18.0.11"]).certificate.read_bytes() == first
