"""The engine's settings, from the environment. Errors name the variable, its value and the remedy."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tandem.constants import DEFAULT_ENGINE_PORT
from tandem.errors import ConfigError

_NAME = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")

_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


@dataclass(frozen=True)
class StoreSettings:
    endpoints: tuple[str, ...]
    """Client URLs of the members, this location's first."""
    ca: Path | None
    cert: Path | None
    key: Path | None


@dataclass(frozen=True)
class Settings:
    site: str
    store: StoreSettings
    control_token: str
    """For this city's CTIs and softswitches."""
    carrier_token: str
    credentials: Path | None
    """Folder with the carriers' tokens that the operator read from Secrets."""
    port: int
    log_level: str


def settings_from(environment: Mapping[str, str]) -> Settings:
    """Read TANDEM_* variables. Raises ConfigError."""
    site = _required(environment, "TANDEM_SITE", "set it to the name of this location's Site object")
    if not _NAME.match(site):
        raise ConfigError(f"TANDEM_SITE is {site!r}: a Site's name has lower-case letters, digits and '-' only")
    return Settings(
        site=site,
        store=_store(environment),
        control_token=_secret(environment, "TANDEM_CONTROL_TOKEN", "control"),
        carrier_token=_secret(environment, "TANDEM_CARRIER_TOKEN", "carrier"),
        credentials=_folder(environment, "TANDEM_CREDENTIALS"),
        port=_port(environment, "TANDEM_ENGINE_PORT", DEFAULT_ENGINE_PORT),
        log_level=_log_level(environment),
    )


def _store(environment: Mapping[str, str]) -> StoreSettings:
    name = "TANDEM_STORE_ENDPOINTS"
    text = _required(environment, name, "set it to the etcd members' URLs, separated by commas, this location's first")
    endpoints = tuple(part.strip() for part in text.split(",") if part.strip())
    for endpoint in endpoints:
        if not endpoint.startswith(("http://", "https://")):
            raise ConfigError(f"{name} holds {endpoint!r}: write each as https://host:port")
    if not endpoints:
        raise ConfigError(f"{name} is {text!r}: name at least one URL")
    files = {
        variable: _file(environment, variable)
        for variable in ("TANDEM_STORE_CA", "TANDEM_STORE_CERT", "TANDEM_STORE_KEY")
    }
    given = [variable for variable, path in files.items() if path is not None]
    if given and len(given) < len(files):
        missing = ", ".join(variable for variable, path in files.items() if path is None)
        raise ConfigError(f"{missing} is not set although {given[0]} is: mutual TLS needs all three, or none")
    secure = [endpoint for endpoint in endpoints if endpoint.startswith("https://")]
    if secure and not given:
        raise ConfigError(f"{name} holds {secure[0]!r}: set TANDEM_STORE_CA, TANDEM_STORE_CERT and TANDEM_STORE_KEY")
    return StoreSettings(endpoints, files["TANDEM_STORE_CA"], files["TANDEM_STORE_CERT"], files["TANDEM_STORE_KEY"])


def _required(environment: Mapping[str, str], name: str, remedy: str) -> str:
    value = environment.get(name, "").strip()
    if not value:
        raise ConfigError(f"{name} is not set: {remedy}")
    return value


def _file(environment: Mapping[str, str], name: str) -> Path | None:
    value = environment.get(name, "").strip()
    if not value:
        return None
    path = Path(value)
    if not path.is_file():
        raise ConfigError(f"{name} is {value!r}: there is no such file; mount the Secret with the store's certificates")
    return path


def _folder(environment: Mapping[str, str], name: str) -> Path | None:
    """A folder that may come to be later: another process fills it."""
    value = environment.get(name, "").strip()
    if not value:
        return None
    path = Path(value)
    if path.exists() and not path.is_dir():
        raise ConfigError(f"{name} is {value!r}, which is a file: name the folder that the operator fills")
    return path


def _secret(environment: Mapping[str, str], name: str, key: str) -> str:
    """A token: the value of `name`, the content of the file that `name`_FILE names, or of `key` in the tokens' folder.

    "" when there is none: CTIs, softswitches and carriers without authentication are asked without.
    """
    value = environment.get(name, "").strip()
    path = _file(environment, f"{name}_FILE")
    if value and path is not None:
        raise ConfigError(f"{name} and {name}_FILE are both set: set one of them")
    if value:
        return value
    folder = _folder(environment, "TANDEM_CONTROL_TOKENS")
    if path is None and folder is not None and (folder / key).is_file():
        path = folder / key
    if path is None:
        return ""
    try:
        return path.read_text().strip()
    except OSError as error:
        raise ConfigError(f"{name} is in {str(path)!r}: {error.strerror}; let this process read it") from error


def _port(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name, "").strip() or str(default)
    if not text.isdigit() or not 0 <= int(text) <= 65535:
        raise ConfigError(f"{name} is {text!r}: write a TCP port, like {default}")
    return int(text)


def _log_level(environment: Mapping[str, str]) -> str:
    text = environment.get("TANDEM_LOG_LEVEL", "").strip().upper() or "INFO"
    if text not in _LOG_LEVELS:
        raise ConfigError(f"TANDEM_LOG_LEVEL is {text!r}: write one of {', '.join(_LOG_LEVELS)}")
    return text
