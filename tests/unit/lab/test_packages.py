"""What is missing is installed, or said in a way that a person can act on."""

import os

import pytest

from lab import packages
from lab.errors import NeedsError
from lab.packages import Package

NOWHERE = (Package("some-package", "no-such-program-anywhere"), Package("some-package", "cni:no-such-plugin"))


def test_what_is_there_is_not_missing() -> None:
    assert packages.missing([Package("coreutils", "ls")]) == []


def test_a_package_is_named_once_however_many_of_its_programs_are_missing() -> None:
    assert packages.missing(NOWHERE) == ["some-package"]


def test_nobody_but_root_installs_and_is_told_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("shutil.which", lambda program: "/usr/bin/apt-get")
    with pytest.raises(NeedsError, match="sudo apt-get install --no-install-recommends some-package"):
        packages.ensure(NOWHERE, purpose="The lab")


def test_a_system_without_apt_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda program: None)
    with pytest.raises(NeedsError, match=r"The lab needs some-package.*Debian 12"):
        packages.ensure(NOWHERE, purpose="The lab")


def test_root_without_the_administrators_path_gets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    packages.complete_path()
    packages.complete_path()
    assert os.environ["PATH"] == "/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"


def test_the_lab_itself_needs_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(NeedsError, match="needs root"):
        packages.require_root("The lab")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    packages.require_root("The lab")
