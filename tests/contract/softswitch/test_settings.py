"""A softswitch that cannot work does not start, and says which variable is wrong."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from callcenter.directory import Directory
from lab import dockerfiles
from tests.contract.softswitch.kamailio import SOFTSWITCH

pytestmark = pytest.mark.contract

GOOD = {
    "TANDEM_SITE": "east",
    "TANDEM_SYSTEM": "hotel",
    "TANDEM_POD_IP": "127.0.0.1",
    "TANDEM_SIP_ADDRESS": "198.18.0.11:30560",
    "TANDEM_SIP_SECRET": "secret",
    "TANDEM_CONTROL_TOKEN": "token",
}


def start(
    environment: dict[str, str], entrypoint: Path = SOFTSWITCH / "entrypoint.py", *options: str
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *options, str(entrypoint)],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        pytest.param({"TANDEM_SITE": ""}, "TANDEM_SITE is not set", id="missing"),
        pytest.param({"TANDEM_SITE": "north"}, "no city 'north'", id="city-not-in-the-directory"),
        pytest.param({"TANDEM_SYSTEM": "train"}, "no agents of system 'train'", id="system-not-in-the-directory"),
        pytest.param({"TANDEM_DIRECTORY": "/nowhere"}, "/nowhere", id="no-directory"),
        pytest.param({"TANDEM_POD_IP": "east"}, "TANDEM_POD_IP", id="a-name-for-an-address"),
        pytest.param({"TANDEM_SIP_ADDRESS": "198.18.0.11"}, "TANDEM_SIP_ADDRESS", id="no-port"),
        pytest.param({"TANDEM_PEER_SIP_ADDRESS": "west:1"}, "TANDEM_PEER_SIP_ADDRESS", id="peer-by-name"),
        pytest.param({"TANDEM_CARRIER_NETWORKS": "198.18.0.31/8"}, "TANDEM_CARRIER_NETWORKS", id="host-bits"),
        pytest.param({"TANDEM_RING_SECONDS": "0"}, "TANDEM_RING_SECONDS", id="zero-seconds"),
        pytest.param({"TANDEM_REPLICA": "3/2"}, "TANDEM_REPLICA", id="third-of-two"),
        pytest.param({"TANDEM_CONTROL_TOKEN": 'a"b'}, "TANDEM_CONTROL_TOKEN", id="a-token-that-breaks-the-file"),
    ],
)
def test_what_is_wrong_is_named(directory_path: Path, tmp_path: Path, wrong: dict[str, str], words: str) -> None:
    ended = start({**GOOD, "TANDEM_DIRECTORY": str(directory_path), "TANDEM_RUN_DIR": str(tmp_path), **wrong})
    assert ended.returncode == 2
    assert words in ended.stderr


def test_the_image_holds_all_that_the_entry_point_imports(tmp_path: Path) -> None:
    """The image takes single files of the call centre's package and no package from outside; so does this."""
    repository = SOFTSWITCH.parents[2]
    for line in (SOFTSWITCH / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY "):
            *sources, target = line.split()[1:]
            folder = tmp_path / target.lstrip("/")
            folder.mkdir(parents=True, exist_ok=True)
            for file in dockerfiles.files(repository, sources):
                shutil.copy(repository / file, folder)
    ended = start({}, tmp_path / "opt/softswitch/entrypoint.py", "-S")  # -S: without this machine's packages
    assert "TANDEM_SITE is not set" in ended.stderr
    assert ended.returncode == 2


def test_no_password_reaches_the_softswitch(
    entrypoint: ModuleType, directory: Directory, directory_path: Path, tmp_path: Path
) -> None:
    settings = entrypoint.read_settings(
        {**GOOD, "TANDEM_DIRECTORY": str(directory_path), "TANDEM_RUN_DIR": str(tmp_path)}
    )
    assert entrypoint.write_tables(settings) == directory.realm
    table = tmp_path / "tables" / "ha1"
    assert table.stat().st_mode & 0o777 == 0o600
    text = table.read_text()
    assert len(text.splitlines()) == 1 + len(directory.agents)
    assert not any(agent.password in text for agent in directory.agents)
