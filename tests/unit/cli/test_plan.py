"""`kubectl tandem plan -f`: which documents it asks about, and what it prints."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tandem.cli.main import parser
from tandem.cli.plan import CAN, CANNOT, documents, exit_code, page, question
from tandem.errors import ConfigError
from tests.support.manifests import group, shift, site


def write(path: Path, *manifests: Any) -> str:
    path.write_text(yaml.safe_dump_all(manifests))
    return str(path)


def named(manifest: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {**manifest, "metadata": metadata}


def test_files_folders_and_standard_input_are_read_with_all_their_documents(tmp_path: Path) -> None:
    one = write(tmp_path / "one.yaml", shift("a"), None, shift("b"))
    folder = tmp_path / "folder"
    folder.mkdir()
    write(folder / "2.yml", {"apiVersion": "v1", "kind": "List", "items": [shift("d"), shift("e")]})
    write(folder / "1.json", shift("c"))
    (folder / "notes.txt").write_text("not a manifest")
    found = list(documents([one, str(folder), "-"], lambda: yaml.safe_dump(shift("f"))))
    assert [document["metadata"]["name"] for _, document in found] == ["a", "b", "c", "d", "e", "f"]
    assert found[1][0] == f"{one}, document 2"
    assert found[-1][0] == "standard input"


@pytest.mark.parametrize(
    ("text", "words"),
    [("{", "not YAML"), ("just words", "no kind"), ("- a", "no kind")],
)
def test_what_is_no_manifest_is_named(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=f"x.yaml.*{words}"):
        list(documents([str(file)]))


def test_a_file_that_is_not_there_and_an_empty_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.yaml: No such file"):
        list(documents([str(tmp_path / "missing.yaml")]))
    with pytest.raises(ConfigError, match=r"no \.yaml"):
        list(documents([str(tmp_path)]))


def test_namespaces_are_those_of_kubectl() -> None:
    bare = named(shift(), name="a")
    assert question([("x", bare)], "", "mine")[0][0]["metadata"]["namespace"] == "mine"
    assert question([("x", bare)], "asked", "mine")[0][0]["metadata"]["namespace"] == "asked"
    assert question([("x", shift())], "", "mine")[0][0]["metadata"]["namespace"] == "callcenter"
    with pytest.raises(ConfigError, match="of namespace callcenter, but --namespace says asked"):
        question([("x", shift())], "asked", "mine")


def test_a_generated_name_will_do_for_a_plan() -> None:
    asked, _ = question([("x", named(shift(), generateName="night-"))], "", "mine")
    assert asked[0]["metadata"]["name"] == "night-plan"


def test_what_moves_nobody_is_passed_over_and_told() -> None:
    asked, skipped = question([("a.yaml", site("east")), ("b.yaml", group())], "", "mine")
    assert [one["kind"] for one in asked] == ["AgentGroup"]
    assert skipped == ["Site east: moves nobody by itself, so there is no plan (a.yaml)"]
    with pytest.raises(ConfigError, match="no Shift and no AgentGroup in it\n  Site east"):
        question([("a.yaml", site("east"))], "", "mine")


def test_everything_that_is_wrong_is_told_at_once_before_anybody_is_asked() -> None:
    found = [("a.yaml", shift(percent=0)), ("b.yaml", named(shift(), namespace="n")), ("c.yaml", shift())]
    with pytest.raises(ConfigError) as error:
        question(found, "", "mine")
    said = str(error.value)
    assert "a.yaml: Shift to-west: spec.percent is 0" in said
    assert "b.yaml: Shift without metadata.name" in said
    assert "c.yaml" not in said
    assert "last good one" not in said


def answer(outcome: str, **changes: Any) -> dict[str, Any]:
    plan = {"kind": "Shift", "name": "n/a", "outcome": outcome, "reason": "Held", "message": "ada holds everything"}
    return {"site": "east", "revision": 7, "plans": [{**plan, "notes": [], "plan": [], **changes}]}


def test_the_page_shows_the_plan_line_by_line_and_that_nothing_was_created() -> None:
    found = answer("Planned", plan=["Move about 10 agents.", "Gate: x."], notes=["no engine is coordinator"])
    assert list(page(found, ["Site east: ..."])) == [
        "Site east: ...",
        "Shift n/a: would be accepted now",
        "  Note: no engine is coordinator",
        "  Move about 10 agents.",
        "  Gate: x.",
        "By the operator of east, from the store's revision 7. Nothing was created.",
    ]
    assert list(page(answer("Waits")))[:2] == [
        "Shift n/a: would wait a minute for this to pass, and then lapse",
        "  Held: ada holds everything",
    ]


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [(["Planned", "Nothing"], CAN), (["Planned", "Refused"], CANNOT), (["Waits"], CANNOT)],
)
def test_the_exit_code_says_whether_all_would_be_accepted(outcomes: list[str], code: int) -> None:
    assert exit_code({"plans": [answer(outcome)["plans"][0] for outcome in outcomes]}) == code


def test_the_command_line_takes_several_files() -> None:
    found = parser().parse_args(["plan", "-f", "a", "-f", "-", "-n", "x", "-o", "json"])
    assert (found.filename, found.namespace, found.output) == (["a", "-"], "x", "json")
    assert found.operator == "tandem-system/tandem-operator"
