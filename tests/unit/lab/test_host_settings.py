"""How the machine reaches its registries is handed to builds, and only that."""

from pathlib import Path

import pytest

from lab import host_settings
from lab.host_settings import AptTarget


def test_only_the_images_release_is_taken_from_the_machines_mirrors() -> None:
    text = (
        "http://mirror.example/debian/ bookworm main\n"
        "http://mirror.example/debian/ bookworm main\n"
        "http://mirror.example/debian/ bookworm-updates main\n"
        "http://mirror.example/security/ bookworm-security main\n"
        "http://tools.example/apt/ nodistro main\n"
        "http://mirror.example/debian/ bookworm-backports main\n"
        "http://mirror.example/debian/ trixie main\n"
    )
    targets = host_settings.parse_index_targets(text)
    assert targets == [
        AptTarget("http://mirror.example/debian/", "bookworm", "main"),
        AptTarget("http://mirror.example/debian/", "bookworm-updates", "main"),
        AptTarget("http://mirror.example/security/", "bookworm-security", "main"),
    ]
    assert host_settings.sources_list(targets).splitlines()[0] == "deb http://mirror.example/debian/ bookworm main"


def test_apt_keeps_its_proxies_and_loses_its_hooks() -> None:
    dump = (
        'APT::Architecture "amd64";\n'
        'Acquire::http::Proxy "http://proxy.example:3128";\n'
        'Acquire::Check-Valid-Until "false";\n'
        'Acquire::Languages "";\n'
        'Acquire::IndexTargets::deb::Packages:: "x";\n'
        'DPkg::Post-Invoke:: "rm -f /x";\n'
    )
    assert host_settings.parse_apt_config(dump) == {
        "Acquire::http::Proxy": "http://proxy.example:3128",
        "Acquire::Check-Valid-Until": "false",
    }


def test_pip_is_told_what_files_and_variables_say_variables_last(tmp_path: Path) -> None:
    first, second = tmp_path / "a.conf", tmp_path / "b.conf"
    first.write_text("[global]\nindex-url = http://a.example/simple\nuser = yes\n")
    second.write_text("[install]\nfind-links = /wheels\n")
    found = host_settings.pip_settings(
        {"PIP_TRUSTED_HOST": "a.example", "PIP_DEFAULT_TIMEOUT": "180", "PIP_USER": "1"},
        [first, second, tmp_path / "missing.conf"],
    )
    assert found == {
        "index-url": "http://a.example/simple",
        "find-links": "/wheels",
        "trusted-host": "a.example",
        "timeout": "180",
    }
    assert host_settings.pip_settings({"PIP_INDEX_URL": "http://b.example"}, [first])["index-url"] == "http://b.example"


def test_uvs_index_serves_pip_too_unless_it_has_one() -> None:
    uv = {"UV_DEFAULT_INDEX": "http://uv.example/simple"}
    assert host_settings.pip_settings(uv, [])["index-url"] == "http://uv.example/simple"
    both = {**uv, "PIP_INDEX_URL": "http://pip.example/simple"}
    assert host_settings.pip_settings(both, [])["index-url"] == "http://pip.example/simple"


def test_builds_get_mounts_and_nothing_is_written_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_settings, "apt_targets", list)
    arguments = host_settings.build_mounts(tmp_path, {"slim": "x"}, "deb http://m.example bookworm main\n")
    assert arguments[::2] == ["--volume"] * (len(arguments) // 2)
    targets = {argument.split(":")[1] for argument in arguments[1::2]}
    assert {"/etc/apt/sources.list.d", "/etc/apt/apt.conf.d", "/etc/xdg/pip"} <= targets
    assert (tmp_path / "sources.list.d/build.list").read_text() == "deb http://m.example bookworm main\n"
    assert (tmp_path / "apt.conf.d/slim").read_text() == "x", "the mount would hide the base's own"
    assert (tmp_path / "pip/pip.conf").read_text().startswith("[global]\n")
