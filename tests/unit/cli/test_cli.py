"""`kubectl tandem`: what it prints and what it refuses, without a cluster."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tandem.api.common import HOLD_REQUEST, WHY_LETTERS
from tandem.cli import certs, hold, shift, status
from tandem.cli.contexts import Answer, chosen, known_contexts, kubeconfig_files
from tandem.cli.main import parser, wanted
from tandem.cli.table import table
from tandem.errors import ConfigError
from tandem.operator.hold import HoldRequest, parse_request
from tests.support.manifests import group, site, trunk
from tests.support.manifests import shift as shift_manifest


def kubeconfig(path: Path, *contexts: str, namespace: str = "") -> Path:
    settings = {"cluster": "c", "user": "u", **({"namespace": namespace} if namespace else {})}
    path.write_text(yaml.safe_dump({"contexts": [{"name": name, "context": settings} for name in contexts]}))
    return path


def test_contexts_of_all_files_are_known_and_the_first_file_wins(tmp_path: Path) -> None:
    first = kubeconfig(tmp_path / "a", "east", namespace="callcenter")
    second = kubeconfig(tmp_path / "b", "east", "west")
    files = kubeconfig_files({"KUBECONFIG": f"{first}:{second}:{tmp_path / 'missing'}"})
    known = known_contexts(files)
    assert {name: settings["file"] for name, settings in known.items()} == {"east": str(first), "west": str(second)}
    assert known["east"]["namespace"] == "callcenter"
    assert chosen([], files) == ["east", "west"]
    assert chosen(["west"], files) == ["west"]


def test_an_unknown_context_and_an_empty_kubeconfig_are_named(tmp_path: Path) -> None:
    files = [kubeconfig(tmp_path / "a", "east")]
    with pytest.raises(ConfigError, match="'north', but there are east"):
        chosen(["north"], files)
    with pytest.raises(ConfigError, match="set KUBECONFIG"):
        chosen([], [tmp_path / "missing"])


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert table(("A", "LONG"), [("value", ""), ("", 7)]) == ["A      LONG", "value  -", "-      7"]


# -- status


def shown(*answers: Answer[Any]) -> list[str]:
    return list(status.render(status.overview(answers)))


def with_status(manifest: dict[str, Any], **found: Any) -> dict[str, Any]:
    return {**manifest, "status": found}


def cluster(context: str, **objects: list[dict[str, Any]]) -> Answer[Any]:
    return Answer(context, {"sites": [], "agentgroups": [], "trunks": [], "shifts": [], **objects})


def ready(state: str = "True", reason: str = "Placed", message: str = "") -> dict[str, str]:
    return {"type": "Ready", "status": state, "reason": reason, "message": message}


def test_the_page_shows_sites_groups_trunks_and_shifts() -> None:
    lines = shown(
        cluster(
            "ctx",
            sites=[
                with_status(
                    site("east"), verdict="Healthy", signedIn=40, capacity=1000, coordinator="witness", here=True
                ),
                with_status(site("witness"), verdict="Suspect", message="nobody reaches it"),
            ],
            agentgroups=[
                with_status(group(), where="east 100", signedIn=40, moving=0, conditions=[ready()]),
                with_status(group("late"), conditions=[ready("False", "CapacityExceeded", "no room at west")]),
            ],
            trunks=[with_status(trunk(), where="east 75, west 25", channelsInUse=3, conditions=[ready()])],
            shifts=[
                with_status(
                    shift_manifest(), phase="Moving", progress={"text": "10/40"}, message="wave 1 of 1", switchTimes={}
                )
            ],
        )
    )
    page = "\n".join(lines)
    assert "coordinator: witness" in page
    assert "east     Active   Healthy  40/1000" in page
    assert "nobody reaches it" in page
    assert "callcenter/sales  east 100" in page
    assert "callcenter/late: CapacityExceeded: no room at west" in page
    assert "callcenter/hotel  east 75, west 25  3" in page
    assert "callcenter/to-west  west  Moving  10/40" in page
    assert "HELD" not in page


def test_a_hold_comes_first() -> None:
    held = {"active": True, "by": "ada", "since": "2026-11-23T20:00:00Z", "reason": "storm"}
    lines = shown(cluster("ctx", sites=[with_status(site("east"), hold=held)]))
    assert lines[0] == "HELD by ada since 2026-11-23T20:00:00Z: storm"
    assert "kubectl tandem resume" in lines[1]


def test_a_cluster_that_does_not_answer_is_named_and_hides_nothing() -> None:
    lines = shown(
        cluster("east", sites=[with_status(site("east"))]), Answer("west", None, "does not answer within 5 s")
    )
    assert "cluster west: does not answer within 5 s" in lines
    assert any(line.startswith("east ") for line in lines)


def test_a_site_is_shown_as_its_own_cluster_says() -> None:
    stale = with_status(site("west"), verdict="Healthy", here=False)
    own = with_status(site("west"), verdict="Suspect", here=True, message="its own engine says so")
    for answers in ((cluster("east", sites=[stale]), cluster("west", sites=[own])),
                    (cluster("west", sites=[own]), cluster("east", sites=[stale]))):  # fmt: skip
        (line,) = [line for line in shown(*answers) if line.startswith("west ")]
        assert "Suspect" in line


BLIND = {"type": "Ready", "status": "Unknown", "reason": "StoreUnreachable", "message": "no answer for a while"}


def test_a_store_that_does_not_answer_comes_first_and_what_is_shown_is_called_old() -> None:
    old = {"verdict": "Healthy", "coordinator": "witness", "here": True, "conditions": [BLIND]}
    lines = shown(cluster("east", sites=[with_status(site("east"), **old)]))
    assert lines[0].startswith("THE STORE DOES NOT ANSWER")
    (line,) = [line for line in lines if line.startswith("east ")]
    assert "as last known: no answer for a while" in line


def test_a_cluster_that_hears_from_the_store_is_believed_about_one_that_does_not() -> None:
    old = with_status(site("west"), verdict="Healthy", here=True, conditions=[BLIND])
    new = with_status(site("west"), verdict="Absent", here=False, message="nobody reaches it")
    for answers in ((cluster("east", sites=[new]), cluster("west", sites=[old])),
                    (cluster("west", sites=[old]), cluster("east", sites=[new]))):  # fmt: skip
        lines = shown(*answers)
        (line,) = [line for line in lines if line.startswith("west ")]
        assert "Absent" in line
        assert not any("STORE" in line for line in lines)


def test_only_the_last_finished_shifts_are_shown_and_all_running_ones() -> None:
    done = [
        with_status(shift_manifest(f"done-{n}"), phase="Completed", finishedAt=f"2026-11-23T20:00:0{n}Z")
        for n in range(9)
    ]
    running = [with_status(shift_manifest(f"run-{n}"), phase="Moving") for n in range(9)]
    page = "\n".join(shown(cluster("ctx", shifts=[*done, *running])))
    assert all(f"run-{n}" in page for n in range(9))
    assert [n for n in range(9) if f"done-{n}" in page] == [4, 5, 6, 7, 8]


def test_no_sites_says_what_to_do() -> None:
    assert "Apply your Sites" in shown(cluster("ctx"))[0]


# -- shift


def test_the_command_line_becomes_a_shift() -> None:
    arguments = parser().parse_args(
        ["shift", "--to", "west", "--system", "hotel", "--skill-group", "sales", "--labels", "home=east", "--percent",
         "25%", "--waves", "10, 100", "--forced", "--approval", "--dry-run", "--names", "a,b", "--from", "east"]
    )  # fmt: skip
    made = shift.manifest(wanted(arguments), "callcenter", "ada", 1_700_000_000.0)
    assert made["metadata"] == {"name": "to-west-20231114-221320", "namespace": "callcenter"}
    assert made["spec"] == {
        "selector": {
            "system": "hotel", "skillGroup": "sales", "site": "east", "names": ["a", "b"], "labels": {"home": "east"}
        },
        "to": "west",
        "percent": 25,
        "waves": [10, 100],
        "requestedBy": "ada",
        "mode": "Forced",
        "approval": "Manual",
        "dryRun": True,
    }  # fmt: skip


def test_a_shift_whose_waves_nobody_names_gets_the_default_ones() -> None:
    made = shift.manifest(shift.Wanted(to="west", system="hotel"), "callcenter", "ada", 0.0)
    assert "waves" not in made["spec"]
    with pytest.raises(ConfigError, match=r"--waves is 'all'.*like 5,25,100"):
        wanted(parser().parse_args(["shift", "--to", "west", "--waves", "all"]))


def test_shares_by_site_and_an_evacuation_need_no_target() -> None:
    def spec(*arguments: str) -> tuple[str, dict[str, Any]]:
        made = shift.manifest(wanted(parser().parse_args(["shift", *arguments])), "callcenter", "ada", 0.0)
        return made["metadata"]["name"], made["spec"]

    assert spec("--placement", "east=60, west=40%", "--system", "hotel") == (
        "spread-19700101-000000",
        {
            "selector": {"system": "hotel"},
            "placement": [{"site": "east", "percent": 60}, {"site": "west", "percent": 40}],
            "requestedBy": "ada",
        },
    )
    assert spec("--evacuate", "east") == (
        "evacuate-east-19700101-000000",
        {"evacuate": "east", "requestedBy": "ada"},
    )
    assert spec("--evacuate", "east", "--region", "coast")[1]["selector"] == {"region": "coast"}
    with pytest.raises(ConfigError, match="--placement holds 'east'; write shares by site in percent"):
        wanted(parser().parse_args(["shift", "--placement", "east,west=40"]))


@pytest.mark.parametrize(
    "arguments", [[], ["--to", "west", "--evacuate", "east"], ["--to", "west", "--placement", "a=1"]]
)
def test_a_shift_has_one_goal(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["shift", *arguments])
    assert "--to" in capsys.readouterr().err


def test_nothing_selected_is_refused() -> None:
    with pytest.raises(ConfigError, match="give --system"):
        shift.manifest(shift.Wanted(to="west"), "callcenter", "ada", 0.0)


@pytest.mark.parametrize("text", ["0", "101", "-5", "some"])
def test_a_percentage_is_from_1_to_100(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["shift", "--to", "west", f"--percent={text}"])
    assert f"'{text}' is not a percentage from 1 to 100" in capsys.readouterr().err


def test_the_story_of_a_shift() -> None:
    found = {
        "phase": "Completed",
        "message": "40 agents arrived",
        "plan": ["a: 40 agents"],
        "switchTimes": {"p50": "0.01s", "p95": "0.02s", "max": "0.3s"},
    }
    assert shift.story(found) == [
        "plan: a: 40 agents",
        "Completed: 40 agents arrived",
        "agents' own gaps: p50 0.01s, p95 0.02s, max 0.3s",
    ]
    assert shift.story({}) == []


# -- hold


@pytest.mark.parametrize("command", ["hold", "resume"])
def test_a_reason_that_no_operator_takes_is_refused_at_once(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    def parsed(reason: str) -> HoldRequest | None:
        given = parser().parse_args([command, "--reason", reason])
        patch = hold.request("1", given.command, "ada", given.reason, 1.0)
        return parse_request(patch["metadata"]["annotations"][HOLD_REQUEST])

    longest = "ü" * WHY_LETTERS
    found = parsed(longest)
    assert found is not None
    assert found.reason == longest
    with pytest.raises(SystemExit):
        parsed(longest + "!")
    assert "argument --reason: has 1025 letters; write 1024 at most" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        parser().parse_args(["hold", "--reason", "st\udcf6rm"])
    assert "argument --reason: is no UTF-8" in capsys.readouterr().err


# -- certs


@pytest.mark.parametrize(
    ("text", "word"), [("east", "'east'"), ("east=", "'east='"), ("=1.2.3.4", "'=1.2.3.4'"), ("a=1,a=2", "'a' twice")]
)
def test_wrong_sites_are_named(text: str, word: str) -> None:
    with pytest.raises(ConfigError) as refused:
        certs.parse_sites(text)
    assert word in str(refused.value)


def test_certificates_are_for_both_sides_and_made_once(tmp_path: Path) -> None:
    sites = certs.parse_sites("east=198.18.0.11+east.example.com,west=198.18.0.12")
    assert certs.run(sites, tmp_path, "tandem-system", certs.SECRET, 30) == 0
    first = (tmp_path / "east.crt").read_bytes()
    text = subprocess.run(
        ["openssl", "x509", "-in", str(tmp_path / "east.crt"), "-noout", "-text"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for word in ("TLS Web Server Authentication", "TLS Web Client Authentication", "IP Address:198.18.0.11",
                 "DNS:east.example.com", "IP Address:127.0.0.1"):  # fmt: skip
        assert word in text
    for site_name in ("east", "west"):
        done = subprocess.run(
            ["openssl", "verify", "-CAfile", str(tmp_path / "ca.crt"), str(tmp_path / f"{site_name}.crt")],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    secret = yaml.safe_load((tmp_path / "east.yaml").read_text())
    assert secret["metadata"] == {"name": "tandem-store-tls", "namespace": "tandem-system"}
    assert set(secret["data"]) == {"ca.crt", "tls.crt", "tls.key"}
    assert (tmp_path / "east.key").stat().st_mode & 0o077 == 0
    assert (tmp_path / "east.yaml").stat().st_mode & 0o077 == 0
    certs.run(certs.parse_sites("east=198.18.0.11,witness=198.18.0.13"), tmp_path, "tandem-system", certs.SECRET, 30)
    assert (tmp_path / "east.crt").read_bytes() == first
    assert (tmp_path / "witness.yaml").exists()
