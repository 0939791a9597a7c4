"""`kubectl tandem certs`: an authority and one certificate per location for the store's mutual TLS, as Secrets.

ECDSA keys by the openssl program. The authority's key stays in the folder: keep it safe, or delete it when no location
will be added. Running it again keeps what is there and adds what is missing.
"""

import base64
import ipaddress
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import yaml

from tandem.errors import ConfigError

SECRET = "tandem-store-tls"


def parse_sites(text: str) -> dict[str, list[str]]:
    """`east=198.18.0.11,west=198.18.0.12` -> addresses by site; a second address is joined by `+`.

    Raises: ConfigError naming the part that is wrong.
    """
    found: dict[str, list[str]] = {}
    for part in text.split(","):
        name, equals, addresses = part.strip().partition("=")
        if not name or not equals or not addresses:
            raise ConfigError(f"--sites has {part!r}; write it like east=198.18.0.11,west=198.18.0.12")
        if name in found:
            raise ConfigError(f"--sites names {name!r} twice")
        found[name] = addresses.split("+")
    return found


def run(sites: dict[str, list[str]], folder: Path, namespace: str, secret: str, days: int) -> int:
    """Make what is missing in `folder` and write `<site>.yaml` per location. Raises: ConfigError."""
    openssl = shutil.which("openssl")
    if openssl is None:
        raise ConfigError("openssl is not on PATH; install it, or bring certificates of your own")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    authority(openssl, folder, days)
    for site, addresses in sites.items():
        certificate(openssl, folder, site, addresses, days)
        path = folder / f"{site}.yaml"
        path.write_text(yaml.safe_dump(manifest(folder, site, namespace, secret), sort_keys=False))
        path.chmod(0o600)
        print(f"{path}: apply it in {site}: kubectl --context {site} apply -f {path}")
    return 0


def authority(openssl: str, folder: Path, days: int) -> None:
    """ca.crt and ca.key, unless they are there."""
    key, made = folder / "ca.key", folder / "ca.crt"
    if key.exists() and made.exists():
        return
    _key(openssl, key)
    _run(
        [
            *(openssl, "req", "-x509", "-new", "-key", str(key), "-days", str(days), "-out", str(made)),
            *("-subj", "/CN=tandem-store", "-addext", "keyUsage=critical,keyCertSign,cRLSign"),
        ]
    )


def certificate(openssl: str, folder: Path, site: str, addresses: Sequence[str], days: int) -> None:
    """<site>.crt and <site>.key for server and client use, unless they are there.

    Both uses in one: etcd's JSON gateway talks to its own member with the server's certificate.
    """
    key, made = folder / f"{site}.key", folder / f"{site}.crt"
    if key.exists() and made.exists():
        return
    request, extensions = folder / f"{site}.csr", folder / f"{site}.ext"
    names = ",".join(_alternative(name) for name in ("127.0.0.1", "localhost", *addresses))
    extensions.write_text(
        "basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\n"
        f"extendedKeyUsage=serverAuth,clientAuth\nsubjectAltName={names}\n"
    )
    _key(openssl, key)
    _run([openssl, "req", "-new", "-key", str(key), "-subj", f"/CN=tandem-{site}", "-out", str(request)])
    _run(
        [
            *(openssl, "x509", "-req", "-in", str(request), "-days", str(days), "-extfile", str(extensions)),
            *("-CA", str(folder / "ca.crt"), "-CAkey", str(folder / "ca.key"), "-CAcreateserial", "-out", str(made)),
        ]
    )
    request.unlink()
    extensions.unlink()


def manifest(folder: Path, site: str, namespace: str, secret: str) -> dict[str, object]:
    """The Secret of one location."""
    files = {"ca.crt": "ca.crt", "tls.crt": f"{site}.crt", "tls.key": f"{site}.key"}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": secret, "namespace": namespace},
        "type": "Opaque",
        "data": {key: base64.b64encode((folder / file).read_bytes()).decode() for key, file in files.items()},
    }


def _alternative(name: str) -> str:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return f"DNS:{name}"
    return f"IP:{name}"


def _key(openssl: str, path: Path) -> None:
    _run([openssl, "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(path)])
    path.chmod(0o600)


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        raise ConfigError(f"`{' '.join(command[:3])} ...` failed: {done.stderr.strip()}")
