"""How this machine reaches its package registries, handed to image builds as mounts and never written into an image.

Proxies, mirrors and certificate authorities are this machine's affair: an image built here equals one built elsewhere.
"""

import configparser
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DEBIAN: Final = "bookworm"

_CA_BUNDLES: Final = (Path("/etc/ssl/certs/ca-certificates.crt"), Path("/etc/pki/tls/certs/ca-bundle.crt"))
_PIP_KEYS: Final = (
    "index-url",
    "extra-index-url",
    "trusted-host",
    "find-links",
    "proxy",
    "timeout",
    "no-index",
    "retries",
)
_INSIDE: Final = Path("/etc/xdg/pip")
"""Where builds find pip's settings: a folder that pip reads and that no package owns."""


@dataclass(frozen=True)
class AptTarget:
    """One suite of one mirror that the machine uses."""

    uri: str
    suite: str
    component: str


def parse_index_targets(text: str) -> list[AptTarget]:
    """Lines `<uri> <suite> <component>` of `apt-get indextargets`, only those of the images' own Debian release."""
    targets = [AptTarget(*words) for line in text.splitlines() if len(words := line.split()) == 3]
    return [t for t in dict.fromkeys(targets) if re.fullmatch(rf"{DEBIAN}(-updates|-security)?", t.suite)]


def apt_targets() -> list[AptTarget]:
    """The machine's own mirrors for the images' release; none on a machine that runs another one."""
    if shutil.which("apt-get") is None:
        return []
    done = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Identifier: Packages"],
        capture_output=True,
        text=True,
        check=False,
    )
    return parse_index_targets(done.stdout)


def sources_list(targets: Iterable[AptTarget]) -> str:
    """As a sources.list."""
    return "".join(f"deb {t.uri} {t.suite} {t.component}\n" for t in targets)


def parse_apt_config(dump: str) -> dict[str, str]:
    """Settings of `apt-config dump` that say how to fetch; the others (hooks, paths) belong to the machine."""
    found = {}
    for line in dump.splitlines():
        match = re.fullmatch(r'(Acquire::\S+) "(.*)";', line)
        if match and match[2] and not match[1].endswith("::"):
            found[match[1]] = match[2]
    return found


def pip_settings(environment: Mapping[str, str], files: Iterable[Path]) -> dict[str, str]:
    """pip's `[global]` settings of this machine: configuration files in order, then variables, the later one wins."""
    found: dict[str, str] = {}
    for file in files:
        parser = configparser.RawConfigParser()
        parser.read(file)
        for section in ("global", "install"):
            if parser.has_section(section):
                found.update({k: v for k, v in parser.items(section) if k in _PIP_KEYS})
    for key in _PIP_KEYS:
        for name in (f"PIP_DEFAULT_{key}", f"PIP_{key}"):
            if value := environment.get(name.upper().replace("-", "_")):
                found[key] = value
    if "index-url" not in found and (index := environment.get("UV_DEFAULT_INDEX") or environment.get("UV_INDEX_URL")):
        found["index-url"] = index
    return found


def ca_bundle(environment: Mapping[str, str]) -> Path | None:
    """The authorities that this machine trusts."""
    named = [Path(environment[name]) for name in ("PIP_CERT", "SSL_CERT_FILE") if environment.get(name)]
    return next((path for path in [*named, *_CA_BUNDLES] if path.is_file()), None)


def build_mounts(folder: Path, base_apt_conf: Mapping[str, str], base_sources: str) -> list[str]:
    """Write the settings below `folder` and return buildah's `--volume` arguments.

    Args:
        base_apt_conf: The base image's own /etc/apt/apt.conf.d, file name -> text, which the mount would hide.
        base_sources: sources.list for a machine without mirrors of its own.
    """
    sources, conf, pip = folder / "sources.list.d", folder / "apt.conf.d", folder / "pip"
    for made in (sources, conf, pip):
        made.mkdir(parents=True, exist_ok=True)
    (sources / "build.list").write_text(sources_list(apt_targets()) or base_sources)
    for name, text in base_apt_conf.items():
        (conf / name).write_text(text)
    (conf / "99machine").write_text(_apt_conf(pip))
    _write_pip_conf(pip)
    volumes = [f"{sources}:/etc/apt/sources.list.d", f"{conf}:/etc/apt/apt.conf.d", f"{pip}:{_INSIDE}"]
    if Path("/etc/apt/auth.conf.d").is_dir():
        volumes.append("/etc/apt/auth.conf.d:/etc/apt/auth.conf.d:ro")
    links = pip_settings(os.environ, _pip_files()).get("find-links", "")
    volumes += [f"{link}:{link}:ro" for link in links.split() if Path(link).is_dir()]
    return [word for volume in volumes for word in ("--volume", volume)]


def _apt_conf(files_folder: Path) -> str:
    if shutil.which("apt-config") is None:
        return ""
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False).stdout
    lines = []
    for number, (name, value) in enumerate(parse_apt_config(dump).items()):
        if value.startswith("/") and Path(value).is_file():  # a certificate, say
            shutil.copyfile(value, files_folder / f"apt-{number}")
            value = f"{_INSIDE}/apt-{number}"
        lines.append(f'{name} "{value}";\n')
    return "".join(lines)


def _pip_files() -> list[Path]:
    home = Path.home()
    return [Path("/etc/pip.conf"), home / ".pip" / "pip.conf", home / ".config" / "pip" / "pip.conf"]


def _write_pip_conf(folder: Path) -> None:
    settings = pip_settings(os.environ, _pip_files())
    links = [link for link in settings.pop("find-links", "").split() if "://" in link or Path(link).is_dir()]
    if links:
        settings["find-links"] = " ".join(links)
    if bundle := ca_bundle(os.environ):
        # A copy, at a place of our own: the package ca-certificates must stay free to write its own file.
        shutil.copyfile(bundle, folder / "ca.crt")
        settings["cert"] = f"{_INSIDE}/ca.crt"
    settings["disable-pip-version-check"] = "1"
    (folder / "pip.conf").write_text("[global]\n" + "".join(f"{key} = {value}\n" for key, value in settings.items()))
