"""Which tokens an operator hands over, to where, and which it does not."""

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tandem.api.alarms import Prometheus
from tandem.domain.alarms import token_path
from tandem.operator.credentials import Credentials, wanted_by
from tandem.operator.mirror import LocalNotes
from tandem.operator.objects import Table
from tests.support.manifests import drill, group, shift, trunk
from tests.unit.operator.objects import seen

SERVER = "http://prometheus.monitoring:9090"
THIEF = "http://thief.example"
CREDENTIALS = {"name": "a-token"}


class OneSecret:
    """A cluster with one Secret, which is for `server`."""

    def __init__(self, server: str) -> None:
        self.server = server

    async def get(self, path: str) -> dict[str, Any]:
        assert path == "/api/v1/namespaces/callcenter/secrets/a-token"
        annotations = {"tandem.dev/server": self.server} if self.server else None
        return {"metadata": {"annotations": annotations}, "data": {"token": base64.b64encode(b"s3cret").decode()}}


def alarmed(url: str = SERVER) -> dict[str, Any]:
    server = {"url": url, "credentials": CREDENTIALS}
    return drill(alarms={"prometheus": server, "outcome": [{"name": "lost", "query": "lost > 0"}]})


def file_of(folder: Path, url: str = SERVER) -> Path:
    path = token_path("callcenter", Prometheus.model_validate({"url": url, "credentials": CREDENTIALS}))
    assert path is not None
    return folder / path


async def handed_over(folder: Path, cluster: OneSecret, manifest: dict[str, Any]) -> tuple[str, str]:
    """Status and message of the object's condition after one look."""
    table, notes, shown = Table(), LocalNotes(), seen(manifest)
    table.update(shown)
    await Credentials(folder, table, cluster, notes)._one(shown)  # type: ignore[arg-type]
    (said,) = notes.of(shown.key)
    return said.status, said.message


async def test_an_alarms_token_is_handed_over_for_the_server_that_the_secret_names(tmp_path: Path) -> None:
    status, _ = await handed_over(tmp_path, OneSecret(SERVER), alarmed())
    assert status == "True"
    assert file_of(tmp_path).read_text() == "s3cret"


@pytest.mark.parametrize("named", ["", SERVER], ids=["a-carriers", "another-servers"])
async def test_a_drill_gets_no_token_for_a_server_that_the_secret_does_not_name(tmp_path: Path, named: str) -> None:
    status, message = await handed_over(tmp_path, OneSecret(named), alarmed(THIEF))
    assert status == "False"
    for words in ("spec.alarms.prometheus.credentials", f"is not for {THIEF}", f"is {named or 'missing'}"):
        assert words in message
    assert not file_of(tmp_path, THIEF).exists()
    assert not file_of(tmp_path).exists()


async def test_a_token_whose_secret_names_the_server_no_more_is_taken_back(tmp_path: Path) -> None:
    cluster = OneSecret(SERVER)
    await handed_over(tmp_path, cluster, alarmed())
    cluster.server = THIEF
    await handed_over(tmp_path, cluster, alarmed())
    assert not file_of(tmp_path).exists()


async def test_a_carriers_token_needs_no_such_word_and_is_where_it_was(tmp_path: Path) -> None:
    carrier = {"url": "http://198.18.0.31:8080", "credentials": CREDENTIALS}
    status, _ = await handed_over(tmp_path, OneSecret(""), trunk(carrier=carrier))
    assert status == "True"
    assert (tmp_path / "callcenter" / "a-token" / "token").read_text() == "s3cret"


@pytest.mark.parametrize("kind", ["shift", "group", "drill"])
async def test_a_gates_token_is_handed_over_wherever_the_gates_are_written(tmp_path: Path, kind: str) -> None:
    server = {"url": SERVER, "credentials": CREDENTIALS}
    gates = {"alarms": {"prometheus": server, "quiet": [{"name": "lost", "query": "lost > 0"}]}}
    manifest = {
        "shift": lambda: shift(gates=gates),
        "group": lambda: group(gates=gates),
        "drill": lambda: drill(shift={"selector": {"system": "hotel"}, "to": "west", "gates": gates}),
    }[kind]()
    status, message = await handed_over(tmp_path, OneSecret(SERVER), manifest)
    assert (status, message) == ("True", "Secret callcenter/a-token is handed to the engine")
    assert file_of(tmp_path).read_text() == "s3cret"
    _, message = await handed_over(tmp_path, OneSecret(THIEF), manifest)
    assert "gates.alarms.prometheus.credentials, is not for" in message


async def test_every_token_of_a_drill_is_looked_after(tmp_path: Path) -> None:
    asked = {"prometheus": {"url": THIEF, "credentials": CREDENTIALS}, "quiet": [{"name": "lost", "query": "lost > 0"}]}
    manifest = alarmed()
    manifest["spec"]["shift"]["gates"] = {"alarms": asked}
    status, message = await handed_over(tmp_path, OneSecret(SERVER), manifest)
    assert status == "False"
    assert "spec.shift.gates.alarms.prometheus.credentials, is not for" in message
    assert file_of(tmp_path).exists()
    assert not file_of(tmp_path, THIEF).exists()


def test_a_shift_that_is_over_needs_no_token() -> None:
    gates = {
        "alarms": {"prometheus": {"url": SERVER, "credentials": CREDENTIALS}, "quiet": [{"name": "a", "query": "1"}]}
    }
    manifest = shift(gates=gates)
    assert len(wanted_by(seen(manifest))) == 1
    assert wanted_by(replace(seen(manifest), status={"phase": "Completed"})) == ()
