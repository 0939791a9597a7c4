"""Settings from the environment."""

from pathlib import Path

import pytest

from tandem.engine.config import settings_from
from tandem.errors import ConfigError

LEAST = {"TANDEM_SITE": "east", "TANDEM_STORE_ENDPOINTS": "http://127.0.0.1:2379"}


def test_the_least_that_is_needed() -> None:
    settings = settings_from(LEAST)
    assert (settings.site, settings.store.endpoints, settings.port) == ("east", ("http://127.0.0.1:2379",), 8590)
    assert (settings.control_token, settings.carrier_token, settings.credentials) == ("", "", None)


def test_tokens_come_from_the_environment_from_a_file_or_from_the_folder_of_tokens(tmp_path: Path) -> None:
    (tmp_path / "control").write_text("from-folder\n")
    (tmp_path / "other").write_text("from-file\n")
    folder = {**LEAST, "TANDEM_CONTROL_TOKENS": str(tmp_path)}
    assert settings_from(folder).control_token == "from-folder"
    assert settings_from({**folder, "TANDEM_CONTROL_TOKEN_FILE": str(tmp_path / "other")}).control_token == "from-file"
    assert settings_from({**folder, "TANDEM_CONTROL_TOKEN": "given"}).control_token == "given"
    assert settings_from(folder).carrier_token == ""


def test_mutual_tls_needs_its_three_files(tmp_path: Path) -> None:
    files = {}
    for name in ("CA", "CERT", "KEY"):
        (tmp_path / name).write_text("x")
        files[f"TANDEM_STORE_{name}"] = str(tmp_path / name)
    settings = settings_from({**LEAST, **files, "TANDEM_STORE_ENDPOINTS": "https://a:1, https://b:1"})
    assert settings.store.endpoints == ("https://a:1", "https://b:1")
    assert settings.store.key == tmp_path / "KEY"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"TANDEM_SITE": ""}, ["TANDEM_SITE", "not set", "Site object"]),
        ({"TANDEM_SITE": "East!"}, ["TANDEM_SITE", "'East!'", "lower-case"]),
        ({"TANDEM_STORE_ENDPOINTS": ""}, ["TANDEM_STORE_ENDPOINTS", "not set", "etcd"]),
        ({"TANDEM_STORE_ENDPOINTS": "a:1"}, ["TANDEM_STORE_ENDPOINTS", "'a:1'", "https://host:port"]),
        ({"TANDEM_STORE_ENDPOINTS": ","}, ["TANDEM_STORE_ENDPOINTS", "at least one"]),
        ({"TANDEM_STORE_ENDPOINTS": "https://a:1"}, ["TANDEM_STORE_CA", "'https://a:1'"]),
        ({"TANDEM_STORE_CA": "/nowhere"}, ["TANDEM_STORE_CA", "'/nowhere'", "no such file"]),
        ({"TANDEM_STORE_CA": __file__}, ["TANDEM_STORE_CERT, TANDEM_STORE_KEY", "all three"]),
        ({"TANDEM_CONTROL_TOKEN_FILE": "/nowhere"}, ["TANDEM_CONTROL_TOKEN_FILE", "'/nowhere'"]),
        (
            {"TANDEM_CONTROL_TOKEN_FILE": __file__, "TANDEM_CONTROL_TOKEN": "x"},
            ["TANDEM_CONTROL_TOKEN", "both set"],
        ),
        ({"TANDEM_CREDENTIALS": __file__}, ["TANDEM_CREDENTIALS", "folder"]),
        ({"TANDEM_ENGINE_PORT": "http"}, ["TANDEM_ENGINE_PORT", "'http'", "8590"]),
        ({"TANDEM_LOG_LEVEL": "loud"}, ["TANDEM_LOG_LEVEL", "'LOUD'", "DEBUG"]),
        ({"TANDEM_ENGINE_PORT": "99999"}, ["TANDEM_ENGINE_PORT", "'99999'"]),
    ],
)
def test_a_wrong_setting_is_named_with_its_value_and_the_remedy(changes: dict[str, str], words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        settings_from({**LEAST, **changes})
    assert all(word in str(caught.value) for word in words), caught.value
